/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_any.cu: matmul of every type and layout on the ordinary arithmetic units: the reference that the faster
 * kernels must agree with, and what runs where they decline. Launched by ops/cuda_gemm.c.
 *
 * One block of 256 threads makes a 64 × 64 tile, each thread 4 × 4 of it; 16 steps of the interior at a time
 * lie in shared memory, already converted to the type of the sums.
 */
#include "gemm_end.cuh"

using namespace amps;

enum { TILE = 64, DEPTH = 16 };

template <typename S, typename T> __device__ inline S operand(T x) { return (S)to_f32(x); }
template <> __device__ inline unsigned operand<unsigned, int8_t>(int8_t x) { return (unsigned)(int)x; }

/* Fills tile[k][i] from element (i, k) at base + i*across + k*along; threads run along the dense direction. */
template <typename S, typename T>
__device__ inline void load_tile(S (*tile)[TILE + 4], const T *base, int64_t across, int64_t along, int64_t count,
                                 int64_t depth)
{
#pragma unroll
    for (int n = 0; n < TILE * DEPTH / 256; n++) {
        const int index = threadIdx.x + n * 256;
        const int k = along == 1 ? index % DEPTH : index / TILE;
        const int i = along == 1 ? index / DEPTH : index % TILE;
        tile[k][i] = i < count && k < depth ? operand<S, T>(base[i * across + k * along]) : (S)0;
    }
}

template <typename T, typename S, typename R> __device__ __forceinline__ void gemm_any(const amps_gemm_params &p)
{
    __shared__ S left[DEPTH][TILE + 4], right[DEPTH][TILE + 4];
    begin_kernel();
    if (p.guard != 0 && *(const volatile int *)p.guard == 0) {
        return;
    }
    const int64_t tiles = (p.columns + TILE - 1) / TILE;
    const int64_t per_matrix = tiles * ((p.rows + TILE - 1) / TILE);
    const int64_t matrix = blockIdx.x / per_matrix, tile = blockIdx.x - matrix * per_matrix;
    const int64_t i0 = tile / tiles * TILE, j0 = tile % tiles * TILE;
    const T *a = (const T *)p.left + matrix * p.left_matrix + i0 * p.left_row;
    const T *b = (const T *)p.right + matrix * p.right_matrix + j0 * p.right_column;
    const int ti = threadIdx.x / 16 * 4, tj = threadIdx.x % 16 * 4;
    S sum[4][4] = {};
    for (int64_t k0 = 0; k0 < p.interior; k0 += DEPTH) {
        load_tile<S, T>(left, a + k0 * p.left_column, p.left_row, p.left_column, p.rows - i0, p.interior - k0);
        load_tile<S, T>(right, b + k0 * p.right_row, p.right_column, p.right_row, p.columns - j0, p.interior - k0);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            S x[4], y[4];
#pragma unroll
            for (int n = 0; n < 4; n++) {
                x[n] = left[k][ti + n];
                y[n] = right[k][tj + n];
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    sum[i][j] += x[i] * y[j];
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (i0 + ti + i < p.rows && j0 + tj + j < p.columns) {
                gemm_end<T, R>(p, matrix, i0 + ti + i, j0 + tj + j, sum[i][j]);
            }
        }
    }
}

#define GEMM(type, sums, result, name)                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                              \
        gemm_any_##name(const __grid_constant__ amps_gemm_params p)                                \
    {                                                                                              \
        gemm_any<type, sums, result>(p);                                                           \
    }

GEMM(float, float, float, f32_f32)
GEMM(f16, float, f16, f16_f16)
GEMM(f16, float, float, f16_f32)
GEMM(bf16, float, bf16, bf16_bf16)
GEMM(bf16, float, float, bf16_f32)
GEMM(int8_t, float, float, i8_f32)
GEMM(int8_t, float, f16, i8_f16)
GEMM(int8_t, unsigned, int32_t, i8_i32)
GEMM(int16_t, float, float, i16_f32)
