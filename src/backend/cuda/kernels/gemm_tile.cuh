/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_tile.cuh: matmul for products with few tiles or a few rows (sm_90a), instantiated by gemm_tile_<type>.cu and
 * launched by ops/gemm_wgmma.c. A block makes one tile of 64·GROUPS × BN, each of GROUPS warpgroups 64 rows of it; one
 * thread of a warp behind them loads. The blocks of a cluster take equal parts of the interior; their sums meet in
 * shared memory and are added in the order of the blocks, so the bits repeat. Settled operands fill the first stages, and
 * are multiplied, while the kernel before still runs; only the store waits for it.
 *
 *     shared memory   stages × (left 64·GROUPS × 128 bytes, right BN × 128 bytes), then in the same place the sums:
 *                     [rows][BN + 8] of 32 bits, or, `turned`, [BN][rows + 4]
 *
 * `turned` products are those of the transposed operands: the tile's rows run along the result's columns.
 */
#pragma once
#include "wgmma.cuh"

namespace amps {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { TILE_STAGES_MOST = 16 };

template <typename T, bool AT, bool BT, int GROUPS, int BN>
__device__ inline void tile_load(const amps_wgmma_params &p, unsigned memory, unsigned full, unsigned empty, int row, int column,
                                 int matrix, int begin, int end)
{
    constexpr int LEFT = GROUPS * PIECE_BYTES, BYTES = LEFT + BN * STAGE_DEPTH_BYTES;
    constexpr int DEPTH = STAGE_DEPTH_BYTES / sizeof(T);
    const int left_matrix = p.left_batched ? matrix : 0, right_matrix = p.right_batched ? matrix : 0;
    auto load = [&](int stage, int step, int sides) {
        const unsigned to = memory + stage * BYTES, barrier = full + 8 * stage;
        if (sides & AMPS_SETTLED_LEFT) {
            load_operand<AT, 64 * GROUPS>(to, p.left_map, step * DEPTH, row, left_matrix, barrier);
        }
        if (sides & AMPS_SETTLED_RIGHT) {
            load_operand<BT, BN>(to + LEFT, p.right_map, step * DEPTH, column, right_matrix, barrier);
        }
    };
    const int ahead = min(p.stages, end - begin);
    for (int stage = 0; stage < ahead; stage++) {
        barrier_expect(full + 8 * stage, BYTES);
        load(stage, begin + stage, p.settled);
    }
    if (p.settled != AMPS_SETTLED_BOTH) {
        wait_previous();
    }
    for (int stage = 0; stage < ahead; stage++) {
        load(stage, begin + stage, AMPS_SETTLED_BOTH & ~p.settled);
    }
    int stage = 0;
    unsigned phase = 0;
    for (int step = begin + ahead; step < end; step++) {
        barrier_wait(empty + 8 * stage, phase);
        barrier_expect(full + 8 * stage, BYTES);
        load(stage, step, AMPS_SETTLED_BOTH);
        if (++stage == p.stages) {
            stage = 0;
            phase ^= 1;
        }
    }
}

template <typename T, bool AT, bool BT, int GROUPS, int BN, typename S>
__device__ inline void tile_multiply(const amps_wgmma_params &p, S (&sum)[BN / 2], unsigned memory, unsigned full,
                                     unsigned empty, int steps)
{
    constexpr int LEFT = GROUPS * PIECE_BYTES, BYTES = LEFT + BN * STAGE_DEPTH_BYTES;
    const int group = threadIdx.x / 128;
    int stage = 0, before = 0;
    unsigned phase = 0;
    for (int step = 0; step < steps; step++) {
        barrier_wait(full + 8 * stage, phase);
        const unsigned at = memory + stage * BYTES;
        multiply_begin();
        multiply_stage<T, AT, BT>(sum, at + group * PIECE_BYTES, at + LEFT, step == 0);
        multiply_commit();
        multiply_wait<1>();
        if (step > 0 && threadIdx.x % 128 == 0) {
            barrier_arrive(empty + 8 * before);
        }
        before = stage;
        if (++stage == p.stages) {
            stage = 0;
            phase ^= 1;
        }
    }
    multiply_wait<0>();
}

__device__ inline float tile_bits(float x) { return x; }
__device__ inline float tile_bits(int x) { return __int_as_float(x); }

/* This thread's sums to the tile in shared memory. The pitches keep a warp's stores on all 32 banks. */
template <int GROUPS, int BN, typename S> __device__ inline void tile_put(float *tile, const S (&sum)[BN / 2], bool turned)
{
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
#pragma unroll
    for (int n = 0; n < BN / 8; n++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = row + 8 * half, j = 8 * n + lane % 4 * 2;
            const float a = tile_bits(sum[4 * n + 2 * half]), b = tile_bits(sum[4 * n + 2 * half + 1]);
            if (turned) {
                tile[j * (64 * GROUPS + 4) + i] = a;
                tile[(j + 1) * (64 * GROUPS + 4) + i] = b;
            } else {
                *reinterpret_cast<float2 *>(tile + i * (BN + 8) + j) = make_float2(a, b);
            }
        }
    }
}

/* One element's whole sum: the blocks' parts in their order. */
__device__ inline float tile_sum(const float *tile, int splits, float)
{
    auto cluster = cooperative_groups::this_cluster();
    float all = splits == 1 ? *tile : *cluster.map_shared_rank(tile, 0);
    for (int s = 1; s < splits; s++) {
        all += *cluster.map_shared_rank(tile, s);
    }
    return all;
}
__device__ inline unsigned tile_sum(const float *tile, int splits, int)
{
    auto cluster = cooperative_groups::this_cluster();
    unsigned all = __float_as_uint(splits == 1 ? *tile : *cluster.map_shared_rank(tile, 0));
    for (int s = 1; s < splits; s++) {
        all += __float_as_uint(*cluster.map_shared_rank(tile, s));
    }
    return all;
}

/* What eight finished sums of columns j … j + 7 become, as gemm_value does it one by one. */
template <typename T>
__device__ inline void tile_finish_eight(const amps_gemm_params &p, int64_t matrix, int64_t at, int64_t j, float (&x)[8])
{
    float rest[8] = {}, slope[8] = {};
    if (p.bias != 0) {
        unpack<T, 8>((const T *)p.bias + matrix * p.bias_matrix + j, rest);
    }
    if (p.beta != 0.0f) {
        float old[8];
        if (p.wide) {
            unpack<float, 4>((const float *)p.result + at, old);
            unpack<float, 4>((const float *)p.result + at + 4, old + 4);
        } else {
            unpack<T, 8>((const T *)p.result + at, old);
        }
#pragma unroll
        for (int i = 0; i < 8; i++) {
            rest[i] = fmaf(p.beta, old[i], rest[i]);
        }
    }
    if (p.prelu != 0) {
        unpack<T, 8>((const T *)p.prelu + matrix * p.prelu_matrix + j, slope);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        x[i] = fmaf(p.alpha, x[i], rest[i]);
    }
    if (p.neuron.type == NEURON_GELU) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            x[i] = gelu(x[i]);
        }
    } else if (p.neuron.type != 0) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            x[i] = neuron(p.neuron, x[i], slope[i]);
        }
    }
}

/* Eight neighbours at once, with whatever there is to apply. */
template <typename T>
__device__ inline void tile_store_eight(const amps_wgmma_params &p, const float *tile, int64_t matrix, int64_t at, int64_t j)
{
    auto cluster = cooperative_groups::this_cluster();
    float x[8] = {};
#pragma unroll 1
    for (int s = 0; s < p.splits; s++) {
        const float4 *from = reinterpret_cast<const float4 *>(p.splits == 1 ? tile : cluster.map_shared_rank(tile, s));
        const float4 a = from[0], b = from[1];
        x[0] += a.x, x[1] += a.y, x[2] += a.z, x[3] += a.w, x[4] += b.x, x[5] += b.y, x[6] += b.z, x[7] += b.w;
    }
    tile_finish_eight<T>(p.gemm, matrix, at, j, x);
    if (p.gemm.wide) {
        repack<float, 4>((float *)p.gemm.result + at, x);
        repack<float, 4>((float *)p.gemm.result + at + 4, x + 4);
    } else {
        repack<T, 8>((T *)p.gemm.result + at, x);
    }
}

/* Where a tile's elements go, and which of them this block stores: a share of every block of its cluster. */
struct tile_target {
    int row, column, matrix; /* of the result, of the tile's first element */
    int height, shift;       /* rows; log2 of the columns */
    int pitch;               /* of the sums in shared memory */
    int first, step;
};

/* Eight neighbours at once, only alpha to apply. Several times eight are read before the first is stored. */
template <typename T, int SPLITS>
__device__ inline void tile_store_simple(const amps_wgmma_params &p, const float *tile, const tile_target &to)
{
    constexpr int AT_ONCE = SPLITS <= 2 ? 2 : 1;
    const int count = to.height << to.shift >> 3, mask = (1 << to.shift) - 1;
    const float *parts[SPLITS];
    parts[0] = tile;
    if constexpr (SPLITS > 1) {
#pragma unroll
        for (int s = 0; s < SPLITS; s++) {
            parts[s] = cooperative_groups::this_cluster().map_shared_rank(tile, s);
        }
    }
#pragma unroll 1
    for (int v0 = to.first; v0 < count; v0 += AT_ONCE * to.step) {
        float4 x[AT_ONCE][2];
#pragma unroll
        for (int n = 0; n < AT_ONCE; n++) {
            const int v = min(v0 + n * to.step, count - 1) * 8, from = (v >> to.shift) * to.pitch + (v & mask);
#pragma unroll
            for (int s = 0; s < SPLITS; s++) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const float4 y = reinterpret_cast<const float4 *>(parts[s] + from)[half];
                    float4 &all = x[n][half];
                    all = s == 0 ? y : make_float4(all.x + y.x, all.y + y.y, all.z + y.z, all.w + y.w);
                }
            }
            /* All is added, also what lies outside of the result: no read is under way when a block leaves. */
            if constexpr (SPLITS > 1) {
                asm volatile("" ::"f"(x[n][0].x), "f"(x[n][0].y), "f"(x[n][0].z), "f"(x[n][0].w), "f"(x[n][1].x),
                             "f"(x[n][1].y), "f"(x[n][1].z), "f"(x[n][1].w));
            }
        }
#pragma unroll
        for (int n = 0; n < AT_ONCE; n++) {
            const int v = (v0 + n * to.step) * 8, i = to.row + (v >> to.shift), j = to.column + (v & mask);
            if (v < count * 8 && i < p.gemm.rows && j < p.gemm.columns) {
                const int64_t at = to.matrix * p.gemm.result_matrix + i * p.gemm.result_row + j;
                const float a = p.gemm.alpha, y[8] = {a * x[n][0].x, a * x[n][0].y, a * x[n][0].z, a * x[n][0].w,
                                                      a * x[n][1].x, a * x[n][1].y, a * x[n][1].z, a * x[n][1].w};
                if (p.gemm.wide) {
                    repack<float, 4>((float *)p.gemm.result + at, y);
                    repack<float, 4>((float *)p.gemm.result + at + 4, y + 4);
                } else {
                    repack<T, 8>((T *)p.gemm.result + at, y);
                }
            }
        }
    }
}

template <typename T>
__device__ inline void tile_store_eights(const amps_wgmma_params &p, const float *tile, const tile_target &to)
{
#pragma unroll 1
    for (int v = to.first * 8; v < to.height << to.shift; v += to.step * 8) {
        const int row = v >> to.shift, i = to.row + row, from = v & ((1 << to.shift) - 1), j = to.column + from;
        if (i < p.gemm.rows && j < p.gemm.columns) {
            tile_store_eight<T>(p, tile + row * to.pitch + from, to.matrix,
                                to.matrix * p.gemm.result_matrix + i * p.gemm.result_row + j, j);
        }
    }
}

/* The same element by element. */
template <typename T>
__device__ inline void tile_store_any(const amps_wgmma_params &p, const float *tile, const tile_target &to)
{
    using S = typename sums_of<T>::type;
#pragma unroll 1
    for (int v = to.first; v < to.height << to.shift; v += to.step) {
        const int i = v >> to.shift, j = v & ((1 << to.shift) - 1);
        if (to.row + i < p.gemm.rows && to.column + j < p.gemm.columns) {
            const auto sum = tile_sum(tile + i * to.pitch + j, p.splits, S());
            if constexpr (sizeof(T) == 1) {
                gemm_end<T, int32_t>(p.gemm, to.matrix, to.row + i, to.column + j, sum);
            } else if (p.gemm.wide) {
                gemm_end<T, float>(p.gemm, to.matrix, to.row + i, to.column + j, sum);
            } else {
                gemm_end<T, T>(p.gemm, to.matrix, to.row + i, to.column + j, sum);
            }
        }
    }
}

template <typename T, int GROUPS, int BN>
__device__ inline void tile_store(const amps_wgmma_params &p, const float *tile, int row, int column, int matrix, int rank)
{
    constexpr int ROWS = 64 * GROUPS;
    const int width = p.turned ? ROWS : BN;
    const tile_target to = {p.turned ? column : row,
                            p.turned ? row : column,
                            matrix,
                            p.turned ? BN : ROWS,
                            31 - __clz(width),
                            p.turned ? ROWS + 4 : BN + 8,
                            rank * (int)blockDim.x + (int)threadIdx.x,
                            p.splits * (int)blockDim.x};
    if constexpr (sizeof(T) == 2) {
        if (p.simple) {
            const bool plain = p.gemm.beta == 0.0f && p.gemm.bias == 0 && p.gemm.neuron.type == 0;
            switch (plain ? p.splits : 0) {
            case 0: tile_store_eights<T>(p, tile, to); break;
            case 1: tile_store_simple<T, 1>(p, tile, to); break;
            case 2: tile_store_simple<T, 2>(p, tile, to); break;
            case 4: tile_store_simple<T, 4>(p, tile, to); break;
            default: tile_store_simple<T, 8>(p, tile, to); break;
            }
            return;
        }
    }
    tile_store_any<T>(p, tile, to);
}

template <typename T, bool AT, bool BT, int GROUPS, int BN>
__device__ __forceinline__ void gemm_tile(const amps_wgmma_params &p)
{
    extern __shared__ unsigned char dynamic[];
    __shared__ uint64_t barriers[2 * TILE_STAGES_MOST];
    /* Not rounded up in the generic address: all blocks of a cluster have the tile at one place. */
    const unsigned memory = (shared_address(dynamic) + 1023) & ~1023u;
    float *const tile = reinterpret_cast<float *>(dynamic + (memory - shared_address(dynamic)));
    const unsigned full = shared_address(barriers), empty = full + 8 * TILE_STAGES_MOST;
    /* Nothing is divided: a division takes longer than a stage. The parts of the interior are a power of two. */
    const int rank = cluster_rank(), shift = __ffs(p.splits) - 1;
    const int row = cluster_number() * 64 * GROUPS, column = blockIdx.y * BN, matrix = blockIdx.z;
    const int begin = p.steps * rank >> shift, end = p.steps * (rank + 1) >> shift;
    if (threadIdx.x == 0) {
        for (int i = 0; i < p.stages; i++) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, GROUPS);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    if (threadIdx.x == GROUPS * 128) {
        prefetch_map(p.left_map);
        prefetch_map(p.right_map);
    }
    launch_next();
    __syncthreads();
    if (threadIdx.x >= GROUPS * 128) {
        if (threadIdx.x == GROUPS * 128) {
            tile_load<T, AT, BT, GROUPS, BN>(p, memory, full, empty, row, column, matrix, begin, end);
        }
        __syncwarp();
        __syncthreads();
    } else {
        typename sums_of<T>::type sum[BN / 2];
        tile_multiply<T, AT, BT, GROUPS, BN>(p, sum, memory, full, empty, end - begin);
        __syncthreads(); /* all have read their operands: the sums take their place */
        tile_put<GROUPS, BN>(tile, sum, p.turned);
    }
    if (p.splits > 1) {
        cluster_sync();
    } else {
        __syncthreads();
    }
    wait_previous();
    tile_store<T, GROUPS, BN>(p, tile, row, column, matrix, rank);
    if (p.splits > 1) {
        cluster_leave(); /* nobody leaves while others read its sums */
    }
}

#define TILE_BODY(type, at, bt, groups, bn) gemm_tile<type, at, bt, groups, bn>(p);
#else
#define TILE_BODY(type, at, bt, groups, bn)
#endif

#define TILE(type, name, at, bt, layouts, groups, bn, suffix)                                                          \
    extern "C" __global__ void __launch_bounds__(groups * 128 + 32)                                                    \
        tile_##name##_##layouts##_##suffix(const __grid_constant__ amps_wgmma_params p)                                \
    {                                                                                                                  \
        TILE_BODY(type, at, bt, groups, bn)                                                                            \
    }

} // namespace amps
