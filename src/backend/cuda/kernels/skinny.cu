/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skinny.cu: a few rows (M up to 16) times a large matrix, which is read once at the speed of the memory. Launched by
 * ops/gemm_skinny.c. In all of them the large matrix is the right operand, K × N; a matrix times a vector is put that
 * way by the host (left and right swapped).
 *
 *     skinny_k    each column's interior is dense in memory; f16 and bf16 through the tensor cores, f32 by FMA
 *     skinny_n    each row of the matrix is dense; one lane makes some columns, warps and cluster split the interior
 */
#include "gemm_end.cuh"
#include "mma.cuh"

using namespace amps;

enum { WARPS = 8, WARPS_N = 16 };

template <typename T> __device__ inline void store_one(const amps_gemm_params &p, int64_t matrix, int64_t m, int64_t n, float sum)
{
    if (p.wide) {
        gemm_end<T, float>(p, matrix, m, n, sum);
    } else {
        gemm_end<T, T>(p, matrix, m, n, sum);
    }
}

/* Operands that are both settled are read while the kernel before still runs; all wait for it before they store. */
__device__ inline void begin_product(const amps_gemm_params &p)
{
    launch_next();
    if (p.settled != AMPS_SETTLED_BOTH) {
        wait_previous();
    }
}

/* ---- Tensor cores, dense interior ------------------------------------------------------------- */

/* Eight elements from `at`, of which the first `count` exist. */
template <typename T> __device__ inline uint4 load_eight(const T *at, int64_t count)
{
    if (count >= 8) {
        return *reinterpret_cast<const uint4 *>(at);
    }
    unsigned words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        words[i] = pack_two(2 * i < count ? to_f32(at[2 * i]) : 0.0f, 2 * i + 1 < count ? to_f32(at[2 * i + 1]) : 0.0f, T());
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

/*
 * A warp takes 8*NT columns; lane = 4*r + c holds 8 interior elements (16 bytes) of column r and of rows r and r+8,
 * at interior offset 8*c of a step of 32. The tensor core wants other elements in that lane, but any order of the
 * interior gives the same sum as long as both operands have it.
 */
template <typename T, int NT> __device__ __forceinline__ void skinny_k(const amps_gemm_params &p)
{
    __shared__ float part[WARPS][16][NT * 8 + 1];
    begin_product(p);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, r = lane / 4, c = lane % 4;
    const int64_t blocks = (p.columns + NT * 8 - 1) / (NT * 8), matrix = blockIdx.x / blocks;
    const int64_t n0 = (blockIdx.x - matrix * blocks) * NT * 8;
    const T *few = (const T *)p.left + matrix * p.left_matrix;
    const T *many = (const T *)p.right + matrix * p.right_matrix;
    /* Rows and columns that do not exist read others and are not stored. */
    constexpr bool eight = NT == 1; /* the host gives the narrow kernel at most 8 rows */
    const T *row0 = few + min((int64_t)r, p.rows - 1) * p.left_row, *row8 = few + min((int64_t)r + 8, p.rows - 1) * p.left_row;
    const T *column[NT];
#pragma unroll
    for (int n = 0; n < NT; n++) {
        column[n] = many + min(n0 + n * 8 + r, p.columns - 1) * p.right_column;
    }
    float sum[NT][4] = {};
    const uint4 zero = make_uint4(0, 0, 0, 0);
    auto multiply = [&](const uint4 &a0, const uint4 &a8, const uint4(&b)[NT]) {
        const unsigned first[4] = {a0.x, a8.x, a0.y, a8.y}, second[4] = {a0.z, a8.z, a0.w, a8.w};
#pragma unroll
        for (int n = 0; n < NT; n++) {
            mma_16x8x16(sum[n], first, b[n].x, b[n].y, T());
            mma_16x8x16(sum[n], second, b[n].z, b[n].w, T());
        }
    };
    /* Four steps at once: 256 bytes of each column are whole lines of the cache, and many loads are in flight. */
    const int64_t groups = p.interior / 128, steps = (p.interior + 31) / 32;
#pragma unroll 2
    for (int64_t g = warp; g < groups; g += WARPS) {
        uint4 a0[4], a8[4], b[4][NT];
#pragma unroll
        for (int s = 0; s < 4; s++) {
            const int64_t k = g * 128 + s * 32 + c * 8;
#pragma unroll
            for (int n = 0; n < NT; n++) {
                b[s][n] = *reinterpret_cast<const uint4 *>(column[n] + k);
            }
            a0[s] = *reinterpret_cast<const uint4 *>(row0 + k);
            a8[s] = eight ? zero : *reinterpret_cast<const uint4 *>(row8 + k);
        }
#pragma unroll
        for (int s = 0; s < 4; s++) {
            multiply(a0[s], a8[s], b[s]);
        }
    }
    for (int64_t s = groups * 4 + warp; s < steps; s += WARPS) { /* the whole warp takes each step */
        const int64_t k = s * 32 + c * 8, left = p.interior - k;
        uint4 b[NT];
#pragma unroll
        for (int n = 0; n < NT; n++) {
            b[n] = load_eight(column[n] + k, left);
        }
        multiply(load_eight(row0 + k, left), eight ? zero : load_eight(row8 + k, left), b);
    }
#pragma unroll
    for (int n = 0; n < NT; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            part[warp][r + i / 2 * 8][n * 8 + c * 2 + i % 2] = sum[n][i];
        }
    }
    wait_previous();
    __syncthreads();
    for (int index = threadIdx.x; index < 16 * NT * 8; index += WARPS * 32) {
        const int m = index / (NT * 8), n = index % (NT * 8);
        if (m < p.rows && n0 + n < p.columns) {
            float all = 0.0f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                all += part[w][m][n];
            }
            store_one<T>(p, matrix, m, n0 + n, all);
        }
    }
}

/* ---- FMA units, dense interior ---------------------------------------------------------------- */

/* A warp takes R columns and goes along the interior in steps of 512 bytes. The first eight steps of a settled matrix are
   on their way, in registers, while the kernel before still runs. */
template <typename T, int M, int R> __device__ __forceinline__ void skinny_k_fma(const amps_gemm_params &p)
{
    constexpr int V = 16 / sizeof(T), AHEAD = M == 1 && R == 1 ? 8 : 0;
    launch_next();
    if (AHEAD == 0 ? p.settled != AMPS_SETTLED_BOTH : !(p.settled & AMPS_SETTLED_RIGHT)) {
        wait_previous();
    }
    const int lane = threadIdx.x % 32;
    const int64_t groups = (p.columns + WARPS * R - 1) / (WARPS * R), matrix = blockIdx.x / groups;
    const int64_t n0 = ((blockIdx.x - matrix * groups) * WARPS + threadIdx.x / 32) * R;
    const T *few = (const T *)p.left + matrix * p.left_matrix;
    const T *many = (const T *)p.right + matrix * p.right_matrix;
    const T *column[R];
#pragma unroll
    for (int n = 0; n < R; n++) { /* one that does not exist reads another and is not stored */
        column[n] = many + min(n0 + n, p.columns - 1) * p.right_column;
    }
    float sum[M][R] = {};
    if constexpr (AHEAD > 0) {
        uint4 first[AHEAD];
#pragma unroll
        for (int n = 0; n < AHEAD; n++) {
            const int64_t k = (n * 32 + lane) * V;
            first[n] = k < p.interior ? load_now(column[0] + k) : make_uint4(0, 0, 0, 0);
        }
        if (!(p.settled & AMPS_SETTLED_LEFT)) {
            wait_previous();
        }
#pragma unroll
        for (int n = 0; n < AHEAD; n++) {
            const int64_t k = (n * 32 + lane) * V;
            if (k < p.interior) {
                float a[V], b[V];
                unpack<T, V>(few + k, a);
                unpack<T, V>(reinterpret_cast<const T *>(&first[n]), b);
#pragma unroll
                for (int i = 0; i < V; i++) {
                    sum[0][0] = fmaf(a[i], b[i], sum[0][0]);
                }
            }
        }
    }
#pragma unroll 8
    for (int64_t k = (AHEAD * 32 + lane) * V; k < p.interior; k += 32 * V) { /* the interior is a multiple of V here */
        float b[R][V];
#pragma unroll
        for (int n = 0; n < R; n++) {
            unpack<T, V>(column[n] + k, b[n]);
        }
#pragma unroll
        for (int m = 0; m < M; m++) {
            float a[V];
            unpack<T, V>(few + min((int64_t)m, p.rows - 1) * p.left_row + k, a);
#pragma unroll
            for (int n = 0; n < R; n++) {
#pragma unroll
                for (int i = 0; i < V; i++) {
                    sum[m][n] = fmaf(a[i], b[n][i], sum[m][n]);
                }
            }
        }
    }
    wait_previous();
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < R; n++) {
            const float all = reduce_warp<op_sum>(sum[m][n]);
            if (lane == 0 && m < p.rows && n0 + n < p.columns) {
                store_one<T>(p, matrix, m, n0 + n, all);
            }
        }
    }
}

/* ---- Dense rows of the matrix ----------------------------------------------------------------- */

/* Each lane makes V columns of M rows; 16 warps of a block and the blocks of a cluster take turns along the interior. */
template <typename T, int M, int V> __device__ __forceinline__ void skinny_n(const amps_gemm_params &p)
{
    constexpr int AHEAD = M == 1 ? 8 : 0;
    __shared__ float part[WARPS_N][M][32 * V + 4];
    __shared__ float whole[M][32 * V];
    launch_next();
    if (AHEAD == 0 ? p.settled != AMPS_SETTLED_BOTH : !(p.settled & AMPS_SETTLED_RIGHT)) {
        wait_previous();
    }
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    auto cluster = cooperative_groups::this_cluster();
    const int splits = cluster.num_blocks(), split = cluster.block_rank();
#else
    const int splits = 1, split = 0;
#endif
    const int64_t blocks = (p.columns + 32 * V - 1) / (32 * V), block = blockIdx.x / splits, matrix = block / blocks;
    const int64_t n0 = (block - matrix * blocks) * 32 * V, n = n0 + lane * V;
    const T *few = (const T *)p.left + matrix * p.left_matrix;
    const T *many = (const T *)p.right + matrix * p.right_matrix;
    float sum[M][V] = {};
    int64_t first_k = split * WARPS_N + warp;
    if constexpr (AHEAD > 0) { /* as in skinny_k_fma */
        uint4 first[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            const int64_t k = first_k + u * splits * WARPS_N;
            first[u] = k < p.interior && n < p.columns ? load_now(many + k * p.right_row + n) : make_uint4(0, 0, 0, 0);
        }
        if (!(p.settled & AMPS_SETTLED_LEFT)) {
            wait_previous();
        }
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            const int64_t k = first_k + u * splits * WARPS_N;
            float b[V];
            unpack<T, V>(reinterpret_cast<const T *>(&first[u]), b);
            const float a = k < p.interior ? to_f32(few[k * p.left_column]) : 0.0f;
#pragma unroll
            for (int i = 0; i < V; i++) {
                sum[0][i] = fmaf(a, b[i], sum[0][i]);
            }
        }
        first_k += AHEAD * splits * WARPS_N;
    }
    if (n < p.columns) { /* columns are a multiple of V here */
#pragma unroll 8
        for (int64_t k = first_k; k < p.interior; k += splits * WARPS_N) {
            float b[V];
            unpack<T, V>(many + k * p.right_row + n, b);
#pragma unroll
            for (int m = 0; m < M; m++) {
                const float a = to_f32(few[min((int64_t)m, p.rows - 1) * p.left_row + k * p.left_column]);
#pragma unroll
                for (int i = 0; i < V; i++) {
                    sum[m][i] = fmaf(a, b[i], sum[m][i]);
                }
            }
        }
    }
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int i = 0; i < V; i++) {
            part[warp][m][lane * V + i] = sum[m][i];
        }
    }
    __syncthreads();
    for (int index = threadIdx.x; index < M * 32 * V; index += WARPS_N * 32) {
        const int m = index / (32 * V), j = index % (32 * V);
        float all = 0.0f;
#pragma unroll
        for (int w = 0; w < WARPS_N; w++) {
            all += part[w][m][j];
        }
        whole[m][j] = all;
    }
    wait_previous();
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    cluster.sync();
#else
    __syncthreads();
#endif
    for (int index = split * WARPS_N * 32 + threadIdx.x; index < M * 32 * V; index += splits * WARPS_N * 32) {
        const int m = index / (32 * V), j = index % (32 * V);
        float all = 0.0f;
        for (int s = 0; s < splits; s++) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
            all += cluster.map_shared_rank(&whole[0][0], s)[index];
#else
            all += whole[m][j];
#endif
        }
        if (m < p.rows && n0 + j < p.columns) {
            store_one<T>(p, matrix, m, n0 + j, all);
        }
    }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    cluster.sync(); /* nobody leaves while others read its shared memory */
#endif
}

#define SKINNY(name, threads, body)                                                                \
    extern "C" __global__ void __launch_bounds__(threads)                                          \
        skinny_##name(const __grid_constant__ amps_gemm_params p)                                  \
    {                                                                                              \
        body(p);                                                                                   \
    }

SKINNY(k_f16_n1, 256, (skinny_k<f16, 1>))
SKINNY(k_f16_n4, 256, (skinny_k<f16, 4>))
SKINNY(k_bf16_n1, 256, (skinny_k<bf16, 1>))
SKINNY(k_bf16_n4, 256, (skinny_k<bf16, 4>))
SKINNY(k_f32_m1, 256, (skinny_k_fma<float, 1, 1>))
SKINNY(k_f16_m1, 256, (skinny_k_fma<f16, 1, 1>))
SKINNY(k_bf16_m1, 256, (skinny_k_fma<bf16, 1, 1>))
SKINNY(k_f32_m4, 256, (skinny_k_fma<float, 4, 2>))
SKINNY(n_f32_m1, 512, (skinny_n<float, 1, 4>))
SKINNY(n_f32_m4, 512, (skinny_n<float, 4, 4>))
SKINNY(n_f16_m1, 512, (skinny_n<f16, 1, 8>))
SKINNY(n_f16_m4, 512, (skinny_n<f16, 4, 4>))
SKINNY(n_bf16_m1, 512, (skinny_n<bf16, 1, 8>))
SKINNY(n_bf16_m4, 512, (skinny_n<bf16, 4, 4>))
