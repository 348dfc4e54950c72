/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_large.cuh: matmul for products with many tiles (sm_90a), instantiated by gemm_large_<type>.cu and launched by
 * ops/gemm_wgmma.c. Blocks stay and take tile after tile of 128 × BN: two warpgroups multiply 64 × BN each, one thread
 * behind them loads stages ahead, across tiles. Of the first tile, what is settled is loaded, and multiplied, while the
 * kernel before still runs.
 *
 *     shared memory   stages × (left 128 × 128 bytes, right BN × 128 bytes) | per warp 2 × 16 rows × 128 bytes
 *
 * The last step knows alpha alone; the host sends other products to gemm_tile.
 */
#pragma once
#include "wgmma.cuh"

namespace amps {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { LARGE_ROWS = 128, LARGE_LEFT_BYTES = LARGE_ROWS * STAGE_DEPTH_BYTES, LARGE_STAGES_MOST = 8, SLAB_BYTES = 16 * 128 };
template <int BN> constexpr int LARGE_STAGE_BYTES = LARGE_LEFT_BYTES + BN * STAGE_DEPTH_BYTES;

struct large_place {
    int row, column, matrix;

    /* Tiles in groups of `group` rows of tiles, so that what runs together shares operands in the L2 cache. */
    __device__ large_place(const amps_wgmma_params &p, int item, int tile_rows, int tile_columns)
    {
        const int per_matrix = p.down * p.along, in_group = p.group * p.along;
        matrix = item / per_matrix;
        const int tile = item - matrix * per_matrix, number = tile / in_group, first = number * p.group;
        const int height = min(p.group, p.down - first), inside = tile - number * in_group;
        row = (first + inside % height) * tile_rows;
        column = inside / height * tile_columns;
    }
};

template <typename T, bool AT, bool BT, int BN>
__device__ inline void large_load(const amps_wgmma_params &p, unsigned memory, unsigned full, unsigned empty)
{
    constexpr int DEPTH = STAGE_DEPTH_BYTES / sizeof(T);
    auto load = [&](const large_place &at, int stage, int step, int sides) {
        const unsigned to = memory + stage * LARGE_STAGE_BYTES<BN>, barrier = full + 8 * stage;
        if (sides & AMPS_SETTLED_LEFT) {
            load_operand<AT, LARGE_ROWS>(to, p.left_map, step * DEPTH, at.row, p.left_batched ? at.matrix : 0, barrier);
        }
        if (sides & AMPS_SETTLED_RIGHT) {
            load_operand<BT, BN>(to + LARGE_LEFT_BYTES, p.right_map, step * DEPTH, at.column,
                                 p.right_batched ? at.matrix : 0, barrier);
        }
    };
    const int ahead = min(p.stages, p.steps);
    const large_place first(p, blockIdx.x, LARGE_ROWS, BN);
    for (int stage = 0; stage < ahead; stage++) {
        barrier_expect(full + 8 * stage, LARGE_STAGE_BYTES<BN>);
        load(first, stage, stage, p.settled);
    }
    if (p.settled != AMPS_SETTLED_BOTH) {
        wait_previous();
    }
    for (int stage = 0; stage < ahead; stage++) {
        load(first, stage, stage, AMPS_SETTLED_BOTH & ~p.settled);
    }
    int stage = ahead % p.stages, from = ahead;
    unsigned phase = ahead == p.stages ? 0 : 1;
    for (int item = blockIdx.x; item < p.items; item += gridDim.x, from = 0) {
        const large_place at(p, item, LARGE_ROWS, BN);
        for (int step = from; step < p.steps; step++) {
            barrier_wait(empty + 8 * stage, phase);
            barrier_expect(full + 8 * stage, LARGE_STAGE_BYTES<BN>);
            load(at, stage, step, AMPS_SETTLED_BOTH);
            if (++stage == p.stages) {
                stage = 0;
                phase ^= 1;
            }
        }
    }
}

/* Waits until the copy engine has read what this warp gave it, but for the latest `LEFT` groups. */
template <int LEFT> __device__ inline void slab_wait()
{
    if (threadIdx.x % 32 == 0) {
        asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(LEFT) : "memory");
    }
    __syncwarp();
}

__device__ inline void slab_send(const void *map, unsigned slab, int column, int row, int matrix)
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
    if (threadIdx.x % 32 == 0) {
        copy_out(map, slab, column, row, matrix);
        asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    }
}

/* 64 columns of 16 bits: 16-byte chunk c of row r lies at c ^ (r % 8). */
template <typename T> __device__ inline void slab_fill_narrow(unsigned slab, const float *sum, float alpha)
{
    const int lane = threadIdx.x % 32, row = lane % 16;
#pragma unroll
    for (int n = 0; n < 8; n += 2) {
        const float *d = sum + 4 * n;
        const unsigned at = slab + row * 128 + (((n + lane / 16) ^ (row % 8)) * 16);
        asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(at),
                     "r"(pack_two(alpha * d[0], alpha * d[1], T())), "r"(pack_two(alpha * d[2], alpha * d[3], T())),
                     "r"(pack_two(alpha * d[4], alpha * d[5], T())), "r"(pack_two(alpha * d[6], alpha * d[7], T()))
                     : "memory");
    }
}

__device__ inline unsigned final_bits(float sum, float alpha)
{
    return __float_as_uint(alpha * sum);
}
__device__ inline unsigned final_bits(int sum, float)
{
    return (unsigned)sum;
}

/* 32 columns of 32 bits, in the same order. */
template <typename S> __device__ inline void slab_fill_wide(unsigned slab, const S *sum, float alpha)
{
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = lane / 4 + 8 * half;
            const unsigned at = slab + row * 128 + (((2 * n + lane % 4 / 2) ^ (row % 8)) * 16) + lane % 2 * 8;
            asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(at), "r"(final_bits(sum[4 * n + 2 * half], alpha)),
                         "r"(final_bits(sum[4 * n + 2 * half + 1], alpha))
                         : "memory");
        }
    }
}

template <typename T, typename S, int N>
__device__ inline void large_store(const amps_wgmma_params &p, const S (&sum)[N], unsigned slabs, int row, int column,
                                   int matrix)
{
    const float alpha = p.gemm.alpha;
    const int first = row + threadIdx.x % 128 / 32 * 16;
    if (sizeof(T) == 1 || p.gemm.wide) {
#pragma unroll
        for (int c = 0; c < N / 16; c++) {
            slab_wait<1>();
            slab_fill_wide(slabs + c % 2 * SLAB_BYTES, sum + 16 * c, alpha);
            slab_send(p.result_map, slabs + c % 2 * SLAB_BYTES, column + 32 * c, first, matrix);
        }
    } else if constexpr (sizeof(T) == 2) {
#pragma unroll
        for (int c = 0; c < N / 32; c++) {
            slab_wait<1>();
            slab_fill_narrow<T>(slabs + c % 2 * SLAB_BYTES, sum + 32 * c, alpha);
            slab_send(p.result_map, slabs + c % 2 * SLAB_BYTES, column + 64 * c, first, matrix);
        }
    }
}

template <typename T, bool AT, bool BT, int BN>
__device__ inline void large_multiply(const amps_wgmma_params &p, unsigned memory, unsigned full, unsigned empty)
{
    const int group = threadIdx.x / 128;
    const unsigned slabs = memory + p.stages * LARGE_STAGE_BYTES<BN> + threadIdx.x / 32 * (2 * SLAB_BYTES);
    int stage = 0;
    unsigned phase = 0;
    for (int item = blockIdx.x; item < p.items; item += gridDim.x) {
        typename sums_of<T>::type sum[BN / 2];
        const large_place place(p, item, LARGE_ROWS, BN); /* its divisions go on beside the multiplication */
        int before = 0;
        for (int step = 0; step < p.steps; step++) {
            barrier_wait(full + 8 * stage, phase);
            const unsigned at = memory + stage * LARGE_STAGE_BYTES<BN>;
            multiply_begin();
            multiply_stage<T, AT, BT>(sum, at + group * PIECE_BYTES, at + LARGE_LEFT_BYTES, step == 0);
            multiply_commit();
            multiply_wait<1>(); /* the stage before has been read */
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
        if (threadIdx.x % 128 == 0) {
            barrier_arrive(empty + 8 * before);
        }
        if (item == blockIdx.x) {
            wait_previous();
        }
        large_store<T>(p, sum, slabs, place.row + group * 64, place.column, place.matrix);
    }
    slab_wait<0>();
}

template <typename T, bool AT, bool BT, int BN> __device__ __forceinline__ void gemm_large(const amps_wgmma_params &p)
{
    extern __shared__ unsigned char dynamic[];
    __shared__ uint64_t barriers[2 * LARGE_STAGES_MOST];
    const unsigned memory = (shared_address(dynamic) + 1023) & ~1023u;
    const unsigned full = shared_address(barriers), empty = full + 8 * LARGE_STAGES_MOST;
    if (threadIdx.x == 0) {
        for (int i = 0; i < p.stages; i++) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, 2); /* one arrival of each multiplying warpgroup */
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        prefetch_map(p.left_map);
        prefetch_map(p.right_map);
        prefetch_map(p.result_map);
    }
    launch_next();
    __syncthreads();
    /* 128 sums a thread leave no room in an equal share of the registers: the loading warpgroup gives some up. */
    if (threadIdx.x >= 256) {
        if constexpr (BN == 256) {
            asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        }
        if (threadIdx.x == 256) {
            large_load<T, AT, BT, BN>(p, memory, full, empty);
        }
    } else {
        if constexpr (BN == 256) {
            asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        }
        large_multiply<T, AT, BT, BN>(p, memory, full, empty);
    }
}

#define LARGE_BODY(type, at, bt, bn) gemm_large<type, at, bt, bn>(p);
#else
#define LARGE_BODY(type, at, bt, bn)
#endif

/* A warpgroup loads beside 128 × 256, a warp beside 128 × 128. */
#define LARGE(type, name, at, bt, layouts, bn)                                                                         \
    extern "C" __global__ void __launch_bounds__(256 + (bn == 256 ? 128 : 32), 1)                                      \
        large_##name##_##layouts##_##bn(const __grid_constant__ amps_wgmma_params p)                                   \
    {                                                                                                                  \
        LARGE_BODY(type, at, bt, bn)                                                                                   \
    }

} // namespace amps
