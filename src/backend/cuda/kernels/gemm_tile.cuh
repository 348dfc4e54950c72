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
    wait_previous();
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

/* Eight neighbours at once. */
template <typename T>
__device__ inline void tile_store_eight(const amps_wgmma_params &p, const float *tile, int64_t matrix, int64_t at, int64_t j)
{
    auto cluster = cooperative_groups::this_cluster();
    float x[8] = {};
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

/* The tile's elements, shared out over the threads of all blocks of the cluster. */
template <typename T, int GROUPS, int BN>
__device__ inline void tile_store(const amps_wgmma_params &p, const float *tile, int row, int column, int matrix, int rank)
{
    using S = typename sums_of<T>::type;
    constexpr int ROWS = 64 * GROUPS;
    const int height = p.turned ? BN : ROWS, width = p.turned ? ROWS : BN, pitch = p.turned ? ROWS + 4 : BN + 8;
    const int i0 = p.turned ? column : row, j0 = p.turned ? row : column;
    const int first = rank * blockDim.x + threadIdx.x, step = p.splits * blockDim.x;
    const int shift = 31 - __clz(width);
    if constexpr (sizeof(T) == 2) {
        if (p.simple) {
            for (int v = first; v < height * width / 8; v += step) {
                const int i = v >> (shift - 3), j = v * 8 & (width - 1);
                if (i0 + i < p.gemm.rows && j0 + j < p.gemm.columns) {
                    tile_store_eight<T>(p, tile + i * pitch + j, matrix,
                                        matrix * p.gemm.result_matrix + (i0 + i) * p.gemm.result_row + j0 + j, j0 + j);
                }
            }
            return;
        }
    }
#pragma unroll 1
    for (int v = first; v < height * width; v += step) {
        const int i = v >> shift, j = v & (width - 1);
        if (i0 + i < p.gemm.rows && j0 + j < p.gemm.columns) {
            const auto sum = tile_sum(tile + i * pitch + j, p.splits, S());
            if constexpr (sizeof(T) == 1) {
                gemm_end<T, int32_t>(p.gemm, matrix, i0 + i, j0 + j, sum);
            } else if (p.gemm.wide) {
                gemm_end<T, float>(p.gemm, matrix, i0 + i, j0 + j, sum);
            } else {
                gemm_end<T, T>(p.gemm, matrix, i0 + i, j0 + j, sum);
            }
        }
    }
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
    const int rank = blockIdx.x % p.splits, item = blockIdx.x / p.splits;
    const int per_matrix = p.down * p.along, matrix = item / per_matrix, index = item - matrix * per_matrix;
    const int row = index % p.down * 64 * GROUPS, column = index / p.down * BN;
    const int begin = (int)((int64_t)p.steps * rank / p.splits), end = (int)((int64_t)p.steps * (rank + 1) / p.splits);
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
        cluster_sync(); /* nobody leaves while others read its sums */
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
