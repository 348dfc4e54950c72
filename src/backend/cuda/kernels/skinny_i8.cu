/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skinny_i8.cu: one row of int8 times a large matrix of int8, exact sums, the matrix read once at the speed of the memory.
 * Launched by ops/gemm_skinny.c. As in skinny.cu the matrix is the right operand, and what is settled of it is on its way
 * while the kernel before still runs.
 *
 *     skinny_k_i8    each column's interior is dense in memory: a warp takes one
 *     skinny_n_i8    each row of the matrix is dense: a lane makes eight columns, warps and cluster split the interior
 */
#include "gemm_end.cuh"

using namespace amps;

enum { WARPS = 8, WARPS_N = 16, COLUMNS_N = 32 * 8, AHEAD_K = 8, AHEAD_N = 16 };

/* As load_now, of eight bytes. */
__device__ inline uint2 load_eight(const int8_t *at)
{
    uint2 x;
    asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(x.x), "=r"(x.y) : "l"(at) : "memory");
    return x;
}

__device__ inline int dot_sixteen(const uint4 &a, const uint4 &b, int sum)
{
    sum = __dp4a((int)a.x, (int)b.x, sum);
    sum = __dp4a((int)a.y, (int)b.y, sum);
    sum = __dp4a((int)a.z, (int)b.z, sum);
    return __dp4a((int)a.w, (int)b.w, sum);
}

extern "C" __global__ void __launch_bounds__(WARPS * 32) skinny_k_i8(const __grid_constant__ amps_gemm_params p)
{
    launch_next();
    if (!(p.settled & AMPS_SETTLED_RIGHT)) {
        wait_previous();
    }
    const int lane = threadIdx.x % 32;
    const int64_t groups = (p.columns + WARPS - 1) / WARPS, matrix = blockIdx.x / groups;
    const int64_t n = (blockIdx.x - matrix * groups) * WARPS + threadIdx.x / 32;
    const int8_t *few = (const int8_t *)p.left + matrix * p.left_matrix;
    /* A column that does not exist reads another and is not stored. */
    const int8_t *column = (const int8_t *)p.right + matrix * p.right_matrix + min(n, p.columns - 1) * p.right_column;
    uint4 first[AHEAD_K];
#pragma unroll
    for (int u = 0; u < AHEAD_K; u++) {
        const int64_t k = (u * 32 + lane) * 16; /* the interior is a multiple of 16 here */
        first[u] = k < p.interior ? load_now(column + k) : make_uint4(0, 0, 0, 0);
    }
    if (!(p.settled & AMPS_SETTLED_LEFT)) {
        wait_previous();
    }
    int sum = 0;
#pragma unroll
    for (int u = 0; u < AHEAD_K; u++) {
        const int64_t k = (u * 32 + lane) * 16;
        if (k < p.interior) {
            sum = dot_sixteen(*reinterpret_cast<const uint4 *>(few + k), first[u], sum);
        }
    }
#pragma unroll 8
    for (int64_t k = (AHEAD_K * 32 + lane) * 16; k < p.interior; k += 32 * 16) {
        sum = dot_sixteen(*reinterpret_cast<const uint4 *>(few + k), *reinterpret_cast<const uint4 *>(column + k), sum);
    }
    wait_previous();
    sum = __reduce_add_sync(0xffffffffu, sum);
    if (lane == 0 && n < p.columns) {
        gemm_end<int8_t, int32_t>(p, matrix, 0, n, (unsigned)sum);
    }
}

/* Eight products of one row of the matrix; sums are modulo 2^32. */
__device__ inline void add_eight(unsigned (&sum)[8], int a, const uint2 &b)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        sum[i] += (unsigned)(a * (int)(int8_t)(b.x >> 8 * i));
        sum[4 + i] += (unsigned)(a * (int)(int8_t)(b.y >> 8 * i));
    }
}

extern "C" __global__ void __launch_bounds__(WARPS_N * 32) skinny_n_i8(const __grid_constant__ amps_gemm_params p)
{
    __shared__ unsigned part[WARPS_N][COLUMNS_N];
    __shared__ unsigned whole[COLUMNS_N];
    launch_next();
    if (!(p.settled & AMPS_SETTLED_RIGHT)) {
        wait_previous();
    }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    auto cluster = cooperative_groups::this_cluster();
    const int splits = cluster.num_blocks(), split = cluster.block_rank();
#else
    const int splits = 1, split = 0;
#endif
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, step = splits * WARPS_N;
    const int64_t blocks = (p.columns + COLUMNS_N - 1) / COLUMNS_N, block = blockIdx.x / splits, matrix = block / blocks;
    const int64_t n0 = (block - matrix * blocks) * COLUMNS_N, n = n0 + lane * 8;
    const int8_t *few = (const int8_t *)p.left + matrix * p.left_matrix;
    const int8_t *many = (const int8_t *)p.right + matrix * p.right_matrix + n;
    int64_t k = split * WARPS_N + warp;
    unsigned sum[8] = {};
    uint2 first[AHEAD_N];
    /* Columns are a multiple of eight here. */
#pragma unroll
    for (int u = 0; u < AHEAD_N; u++) {
        const int64_t row = k + u * step;
        first[u] = row < p.interior && n < p.columns ? load_eight(many + row * p.right_row) : make_uint2(0, 0);
    }
    if (!(p.settled & AMPS_SETTLED_LEFT)) {
        wait_previous();
    }
#pragma unroll
    for (int u = 0; u < AHEAD_N; u++) {
        const int64_t row = k + u * step;
        add_eight(sum, row < p.interior ? few[row * p.left_column] : 0, first[u]);
    }
    if (n < p.columns) {
#pragma unroll 16
        for (k += AHEAD_N * step; k < p.interior; k += step) {
            add_eight(sum, few[k * p.left_column], *reinterpret_cast<const uint2 *>(many + k * p.right_row));
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        part[warp][lane * 8 + i] = sum[i];
    }
    __syncthreads();
    for (int j = threadIdx.x; j < COLUMNS_N; j += WARPS_N * 32) {
        unsigned all = 0;
#pragma unroll
        for (int w = 0; w < WARPS_N; w++) {
            all += part[w][j];
        }
        whole[j] = all;
    }
    wait_previous();
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    cluster.sync();
#else
    __syncthreads();
#endif
    for (int j = split * WARPS_N * 32 + threadIdx.x; j < COLUMNS_N; j += splits * WARPS_N * 32) {
        unsigned all = 0;
        for (int s = 0; s < splits; s++) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
            all += cluster.map_shared_rank(whole, s)[j];
#else
            all += whole[j];
#endif
        }
        if (n0 + j < p.columns) {
            gemm_end<int8_t, int32_t>(p, matrix, 0, n0 + j, all);
        }
    }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    cluster.sync(); /* nobody leaves while others read its shared memory */
#endif
}
