/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.cuh: what the kernels over rows share (rows.cu: a row in registers, rows_held.cu: a row in shared memory):
 * packs of elements, the fast exponential, the steps of the norms.
 */
#pragma once
#include "common.cuh"

namespace amps {

/* Pack `n` of a row of `columns` elements, which are a multiple of V; a pack past the end becomes `fill`. */
template <typename T, int V> __device__ inline void load_pack(const T *row, int n, int64_t columns, float fill, float *x)
{
    if (n * V < columns) {
        unpack<T, V>(row + n * V, x);
    } else {
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = fill;
        }
    }
}

template <typename T, int V> __device__ inline void store_pack(T *row, int64_t n, int64_t columns, const float *x)
{
    if (n * V < columns) {
        repack<T, V>(row + n * V, x);
    }
}

/*
 * What a thread keeps of a row: NV packs of V elements. 16-bit elements stay packed, two in a register, and are unpacked
 * for each pass: twice the bytes in flight for the same registers.
 */
template <typename T, int V, int NV> struct row_data {
    static constexpr bool PACKED = sizeof(T) == 2 && V == 8;
    static constexpr int WORDS = PACKED ? V / 2 : V;
    unsigned words[NV * WORDS];

    __device__ void get(int n, float *x) const
    {
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            unsigned word = words[n * WORDS + i];
            asm volatile("" : "+r"(word)); /* else the compiler keeps what it made of it for the next pass */
            if constexpr (PACKED) {
                unpack_two(word, x + 2 * i, T());
            } else {
                x[i] = __uint_as_float(word);
            }
        }
    }
    __device__ void set(int n, const float *x)
    {
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            if constexpr (PACKED) {
                words[n * WORDS + i] = pack_two(x[2 * i], x[2 * i + 1], T());
            } else {
                words[n * WORDS + i] = __float_as_uint(x[i]);
            }
        }
    }
    /* Pack `at` of the row straight from memory. */
    __device__ void load(int n, const T *row, int64_t at, int64_t columns, float fill)
    {
        if constexpr (V * sizeof(T) == 16) {
            const unsigned empty = PACKED ? pack_two(fill, fill, T()) : __float_as_uint(fill);
            uint4 got = make_uint4(empty, empty, empty, empty);
            if (at * V < columns) {
                got = *reinterpret_cast<const uint4 *>(row + at * V);
            }
            words[n * 4] = got.x, words[n * 4 + 1] = got.y, words[n * 4 + 2] = got.z, words[n * 4 + 3] = got.w;
        } else {
            float x[V];
            load_pack<T, V>(row, at, columns, fill, x);
            set(n, x);
        }
    }
};

/* 2^t by the special function unit. */
__device__ inline float exp2_of(float t)
{
    float y;
    asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(t));
    return y;
}

/* From the sum of (shrink*x)^2 over the row: what each x*shrink is multiplied with. */
__device__ inline float norm_factor(const amps_norm_params &p, float sum, float shrink)
{
    if (sum == 0.0f && p.epsilon_positive) {
        return 0.0f;
    }
    return 1.0f / sqrtf(fmaf(p.epsilon * shrink, shrink, sum / (float)p.columns));
}

/* A power of two near 1/greatest, so that squares neither overflow nor vanish; 1 if that cannot help. */
__device__ inline float rescue_scale(const amps_norm_params &p, float greatest)
{
    const float exponent = -(float)ilogbf(greatest);
    /* epsilon is scaled too, by the square, and must stay finite */
    return greatest > 0.0f && greatest < CUDART_INF_F ? exp2f(fminf(exponent, p.epsilon_positive ? 60.0f : 120.0f)) : 1.0f;
}

/* Sums of squares outside of this range have lost digits or overflowed: the row is done again, rescaled. */
__device__ inline bool needs_rescue(const amps_norm_params &p, float sum)
{
    return sum > 1e38f || sum != sum || (sum < 1e-26f && p.epsilon < 1e-20f);
}

} // namespace amps
