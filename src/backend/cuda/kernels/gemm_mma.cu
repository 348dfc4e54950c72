/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_mma.cu: matmul of f16 and bf16 on the tensor cores by mma.sync, for every pair of layouts with 16-byte rows.
 * Launched by ops/gemm_tensor.c. Small tiles and four stages of cp.async: made for matrices up to a few hundred,
 * and for chips before Hopper.
 *
 * An operand lies in shared memory as it lies in device memory, in chunks of 16 bytes that are permuted within their row
 * so that ldmatrix reads eight rows from all 32 banks:
 *
 *     dense along the interior    [rows][64]     chunk c of row r at c ^ (r % 8)
 *     dense along the rows        [64][rows]     chunk c of row r at c ^ (r % 8), or c ^ (r/2 % 4) in rows of 4 chunks
 */
#include "gemm_end.cuh"

using namespace amps;

enum { DEPTH = 64, STAGES = 4 };

template <int INNER> __device__ inline int chunk_place(int row, int chunk)
{
    constexpr int chunks = INNER / 8;
    return row * chunks + (chunk ^ (chunks >= 8 ? row & 7 : (row >> 1) & 3));
}

/* Copies [OUTER][INNER] elements; what lies outside of outer × inner becomes zero. */
template <typename T, int OUTER, int INNER, int THREADS>
__device__ inline void copy_tile(unsigned to, const T *from, int64_t step, int64_t outer, int64_t inner)
{
#pragma unroll
    for (int n = threadIdx.x; n < OUTER * INNER / 8; n += THREADS) {
        const int row = n / (INNER / 8), chunk = n % (INNER / 8);
        const int64_t left = row < outer ? (inner - chunk * 8) * 2 : 0;
        const int bytes = left <= 0 ? 0 : left < 16 ? (int)left : 16;
        const T *at = bytes > 0 ? from + row * step + chunk * 8 : from;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to + 16 * chunk_place<INNER>(row, chunk)), "l"(at),
                     "r"(bytes)
                     : "memory");
    }
}

template <bool TRANSPOSE> __device__ inline void load_matrices(unsigned (&r)[4], unsigned at)
{
    if constexpr (TRANSPOSE) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at));
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at));
    }
}

/* Two results next to each other in a row. */
template <typename T, typename R>
__device__ inline void store_two(const amps_gemm_params &p, int64_t matrix, int64_t i, int64_t j, float a, float b, bool paired)
{
    R *to = (R *)p.result + matrix * p.result_matrix + i * p.result_row + j * p.result_column;
    if (paired && j + 1 < p.columns) {
        const float y0 = gemm_value<T, R>(p, matrix, j, to, a), y1 = gemm_value<T, R>(p, matrix, j + 1, to + 1, b);
        if constexpr (sizeof(R) == 4) {
            *reinterpret_cast<float2 *>(to) = make_float2(y0, y1);
        } else {
            *reinterpret_cast<unsigned *>(to) = pack_two(y0, y1, R());
        }
    } else {
        gemm_end<T, R>(p, matrix, i, j, a);
        if (j + 1 < p.columns) {
            gemm_end<T, R>(p, matrix, i, j + 1, b);
        }
    }
}

/* LT: the left operand is dense along the rows; RT: the right one is dense along the columns. */
template <typename T, bool LT, bool RT, int TM, int TN, int WM, int WN>
__device__ __forceinline__ void gemm_mma(const amps_gemm_params &p)
{
    constexpr int THREADS = TM / WM * (TN / WN) * 32;
    constexpr int LEFT_BYTES = TM * DEPTH * 2, STAGE_BYTES = LEFT_BYTES + TN * DEPTH * 2;
    extern __shared__ __align__(128) unsigned char dynamic[];
    const unsigned memory = (unsigned)__cvta_generic_to_shared(dynamic);
    begin_kernel();
    const int64_t along = (p.columns + TN - 1) / TN, per_matrix = along * ((p.rows + TM - 1) / TM);
    const int64_t matrix = blockIdx.x / per_matrix, tile = blockIdx.x - matrix * per_matrix;
    const int64_t i0 = tile / along * TM, j0 = tile % along * TN;
    const T *left = (const T *)p.left + matrix * p.left_matrix + i0 * p.left_row;
    const T *right = (const T *)p.right + matrix * p.right_matrix + j0 * p.right_column;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int wi = warp / (TN / WN) * WM, wj = warp % (TN / WN) * WN;
    const int steps = (int)((p.interior + DEPTH - 1) / DEPTH);

    auto fetch = [&](int step) {
        if (step < steps) {
            const unsigned to = memory + step % STAGES * STAGE_BYTES;
            const int64_t k = (int64_t)step * DEPTH;
            if constexpr (LT) {
                copy_tile<T, DEPTH, TM, THREADS>(to, left + k * p.left_column, p.left_column, p.interior - k, p.rows - i0);
            } else {
                copy_tile<T, TM, DEPTH, THREADS>(to, left + k, p.left_row, p.rows - i0, p.interior - k);
            }
            if constexpr (RT) {
                copy_tile<T, DEPTH, TN, THREADS>(to + LEFT_BYTES, right + k * p.right_row, p.right_row, p.interior - k, p.columns - j0);
            } else {
                copy_tile<T, TN, DEPTH, THREADS>(to + LEFT_BYTES, right + k, p.right_column, p.columns - j0, p.interior - k);
            }
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };

    float sum[WM / 16][WN / 8][4] = {};
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        fetch(s);
    }
    for (int step = 0; step < steps; step++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();
        fetch(step + STAGES - 1);
        const unsigned a_at = memory + step % STAGES * STAGE_BYTES, b_at = a_at + LEFT_BYTES;
        const int q = lane / 8, r = lane % 8; /* this lane addresses row r of the q-th 8 × 8 matrix */
#pragma unroll
        for (int k = 0; k < DEPTH; k += 16) {
            unsigned a[WM / 16][4], b[WN / 16][4];
#pragma unroll
            for (int m = 0; m < WM / 16; m++) {
                const int i = wi + m * 16;
                load_matrices<LT>(a[m], a_at + 16 * (LT ? chunk_place<TM>(k + q / 2 * 8 + r, i / 8 + q % 2)
                                                        : chunk_place<DEPTH>(i + q % 2 * 8 + r, k / 8 + q / 2)));
            }
#pragma unroll
            for (int n = 0; n < WN / 16; n++) {
                const int j = wj + n * 16;
                load_matrices<RT>(b[n], b_at + 16 * (RT ? chunk_place<TN>(k + q % 2 * 8 + r, j / 8 + q / 2)
                                                        : chunk_place<DEPTH>(j + q / 2 * 8 + r, k / 8 + q % 2)));
            }
#pragma unroll
            for (int m = 0; m < WM / 16; m++) {
#pragma unroll
                for (int n = 0; n < WN / 8; n++) {
                    mma_16x8x16(sum[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1], T());
                }
            }
        }
    }
    const int64_t size = p.wide ? 4 : 2;
    const bool paired = p.result_column == 1 && p.result % (2 * size) == 0 && p.result_row % 2 == 0 && p.result_matrix % 2 == 0;
#pragma unroll
    for (int m = 0; m < WM / 16; m++) {
#pragma unroll
        for (int n = 0; n < WN / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int64_t i = i0 + wi + m * 16 + lane / 4 + half * 8, j = j0 + wj + n * 8 + lane % 4 * 2;
                if (i < p.rows && j < p.columns) {
                    if (p.wide) {
                        store_two<T, float>(p, matrix, i, j, sum[m][n][half * 2], sum[m][n][half * 2 + 1], paired);
                    } else {
                        store_two<T, T>(p, matrix, i, j, sum[m][n][half * 2], sum[m][n][half * 2 + 1], paired);
                    }
                }
            }
        }
    }
}

#define MMA(type, name, lt, rt, layouts)                                                           \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        mma_##name##_##layouts##_32(const __grid_constant__ amps_gemm_params p)                    \
    {                                                                                              \
        gemm_mma<type, lt, rt, 32, 32, 16, 16>(p);                                                 \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        mma_##name##_##layouts##_64(const __grid_constant__ amps_gemm_params p)                    \
    {                                                                                              \
        gemm_mma<type, lt, rt, 64, 64, 32, 32>(p);                                                 \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256)                                              \
        mma_##name##_##layouts##_128(const __grid_constant__ amps_gemm_params p)                   \
    {                                                                                              \
        gemm_mma<type, lt, rt, 128, 128, 64, 32>(p);                                               \
    }

/* n: dense along the interior; t: dense along rows (left) or columns (right) */
MMA(f16, f16, false, false, nn)
MMA(f16, f16, false, true, nt)
MMA(f16, f16, true, false, tn)
MMA(f16, f16, true, true, tt)
MMA(bf16, bf16, false, false, nn)
MMA(bf16, bf16, false, true, nt)
MMA(bf16, bf16, true, false, tn)
MMA(bf16, bf16, true, true, tt)
