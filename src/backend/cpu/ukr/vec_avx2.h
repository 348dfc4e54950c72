/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec_avx2.h: one f32 vector of AVX2 with FMA (8 lanes) under the names that the matmul templates use; see
 * vec_avx512.h. Included by microkernel files with the suffix __avx2 only.
 */
#ifndef AMPS_VEC_AVX2_H
#define AMPS_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VEC_REGISTERS_32 0
#define VEC_STEPS_APART  0

typedef __m256 vec;
typedef __m256i vec_lanes;
enum { VEC = 8, VEC_REGISTERS = 16 };

static inline vec_lanes vec_first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec vec_zero(void)
{
    return _mm256_setzero_ps();
}
static inline vec vec_set1(float x)
{
    return _mm256_set1_ps(x);
}
static inline vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline vec vec_load_lanes(const float *p, vec_lanes lanes)
{
    return _mm256_maskload_ps(p, lanes);
}
/* The value is in a register from here on: the compiler may not read it from memory again for each use. */
static inline vec vec_keep(vec x)
{
    __asm__("" : "+x"(x));
    return x;
}
static inline void vec_store(float *p, vec x)
{
    _mm256_storeu_ps(p, x);
}
/* Past the caches; p is a multiple of a vector. */
static inline void vec_stream(float *p, vec x)
{
    _mm256_stream_ps(p, x);
}
/* What was streamed is visible to other threads before what is stored from here on. */
static inline void vec_stream_end(void)
{
    _mm_sfence();
}
static inline void vec_store_lanes(float *p, vec_lanes lanes, vec x)
{
    _mm256_maskstore_ps(p, lanes, x);
}
static inline vec vec_mul(vec x, vec y)
{
    return _mm256_mul_ps(x, y);
}
static inline vec vec_add(vec x, vec y)
{
    return _mm256_add_ps(x, y);
}
/* x*y + z, one rounding. */
static inline vec vec_fma(vec x, vec y, vec z)
{
    return _mm256_fmadd_ps(x, y, z);
}
static inline float vec_fma1(float x, float y, float z)
{
    return _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(x), _mm_set_ss(y), _mm_set_ss(z)));
}
/* x*alpha + y*beta; x*alpha and the sum are rounded once. */
static inline vec vec_combine(vec x, vec alpha, vec y, vec beta)
{
    return vec_fma(x, alpha, vec_mul(y, beta));
}
/* The sum of the lanes, always in the same order. */
static inline float vec_sum(vec x)
{
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}
/* The sums of the lanes of `count` vectors. */
static inline void vec_sums(const vec *x, int count, float *sums)
{
    for (int n = 0; n < count; n++) {
        sums[n] = vec_sum(x[n]);
    }
}
static inline void vec_prefetch(const float *p)
{
    __builtin_prefetch(p, 0, 3);
}
static inline void vec_prefetch_write(const float *p)
{
    __builtin_prefetch(p, 1, 3);
}
/* Into the second cache. In assembly, as GCC 12 drops calls of an inline function that only prefetches. */
static inline void vec_prefetch_far(const float *p)
{
    __asm__ volatile("prefetcht1 %0" : : "m"(*p));
}

/* Turns a block of at most 8 × 8 around: to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns. */
static inline void vec_transpose(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                                 size_t columns)
{
    const vec_lanes in = vec_first(columns);
    const vec_lanes out = vec_first(rows);
    vec r[8], t[8];
    for (size_t i = 0; i < 8; i++) {
        r[i] = i < rows ? vec_load_lanes(from + i * from_row, in) : vec_zero();
    }
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++) {
        if (j < columns) {
            vec_store_lanes(to + j * to_row, out, t[j]);
        }
    }
}

#include "vec_no_half.h"

#endif /* AMPS_VEC_AVX2_H */
