/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec_avx512.h: one f32 vector of AVX-512 (16 lanes) under the names that the matmul templates use. Included by
 * microkernel files with the suffix __avx512 only; its twins are vec_avx2.h, vec_neon.h and vec_baseline.h.
 * `vec_first(n)` selects the first n lanes, 0 ≤ n ≤ 16; lanes left out read as zero and are not written.
 */
#ifndef AMPS_VEC_AVX512_H
#define AMPS_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>

#include "transpose_avx512.h"

#define VEC_REGISTERS_32 1
#define VEC_STEPS_APART  0

typedef __m512 vec;
typedef __mmask16 vec_lanes;
enum { VEC = 16, VEC_REGISTERS = 32 };

static inline vec_lanes vec_first(size_t n)
{
    return (vec_lanes)((1u << n) - 1u);
}
static inline vec vec_zero(void)
{
    return _mm512_setzero_ps();
}
static inline vec vec_set1(float x)
{
    return _mm512_set1_ps(x);
}
static inline vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline vec vec_load_lanes(const float *p, vec_lanes lanes)
{
    return _mm512_maskz_loadu_ps(lanes, p);
}
/* The value is in a register from here on: the compiler may not read it from memory again for each use. */
static inline vec vec_keep(vec x)
{
    __asm__("" : "+v"(x));
    return x;
}
static inline void vec_store(float *p, vec x)
{
    _mm512_storeu_ps(p, x);
}
/* Past the caches; p is a multiple of a vector. */
static inline void vec_stream(float *p, vec x)
{
    _mm512_stream_ps(p, x);
}
/* What was streamed is visible to other threads before what is stored from here on. */
static inline void vec_stream_end(void)
{
    _mm_sfence();
}
static inline void vec_store_lanes(float *p, vec_lanes lanes, vec x)
{
    _mm512_mask_storeu_ps(p, lanes, x);
}
static inline vec vec_mul(vec x, vec y)
{
    return _mm512_mul_ps(x, y);
}
static inline vec vec_add(vec x, vec y)
{
    return _mm512_add_ps(x, y);
}
/* x*y + z, one rounding. */
static inline vec vec_fma(vec x, vec y, vec z)
{
    return _mm512_fmadd_ps(x, y, z);
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
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}
/*
 * The sums of the lanes of `count` ≤ 16 vectors, each added up in the order of vec_sum: in every round two vectors
 * become one that holds both parts of each, added. A blend keeps what lies in place already, so that one shuffle a pair
 * is enough. 128 bits q of a vector of the second round come from vector 4n + {0, 2, 1, 3}[q] of the first.
 */
static inline void vec_sums(const vec *x, int count, float *sums)
{
    static const int quarter[4] = {0, 2, 1, 3};
    vec t[16];
#pragma GCC unroll 16
    for (int n = 0; n < 16; n++) {
        const int from = 4 * quarter[n % 4] + n / 4;
        t[n] = from < count ? x[from] : _mm512_setzero_ps();
    }
#pragma GCC unroll 8
    for (int n = 0; n < 8; n++) { /* halves */
        const vec x0 = t[2 * n], x1 = t[2 * n + 1];
        t[n] = _mm512_add_ps(_mm512_mask_blend_ps(0xff00, x0, x1), _mm512_shuffle_f32x4(x0, x1, 0x4e));
    }
#pragma GCC unroll 4
    for (int n = 0; n < 4; n++) { /* quarters */
        const vec x0 = t[2 * n], x1 = t[2 * n + 1], other = _mm512_mask_blend_ps(0x0f0f, x0, x1);
        t[n] = _mm512_add_ps(_mm512_mask_blend_ps(0xf0f0, x0, x1), _mm512_shuffle_f32x4(other, other, 0xb1));
    }
#pragma GCC unroll 2
    for (int n = 0; n < 2; n++) { /* pairs */
        const __m512d x0 = _mm512_castps_pd(t[2 * n]), x1 = _mm512_castps_pd(t[2 * n + 1]);
        t[n] = _mm512_add_ps(_mm512_mask_blend_ps(0xcccc, t[2 * n], t[2 * n + 1]),
                             _mm512_castpd_ps(_mm512_shuffle_pd(x0, x1, 0x55)));
    }
    t[0] = _mm512_add_ps(_mm512_shuffle_ps(t[0], t[1], 0x88), _mm512_shuffle_ps(t[0], t[1], 0xdd));
    _mm512_storeu_ps(sums, t[0]);
}
/* A lane for each lane. */
typedef __m512i vec_index;

/* Lane l: (first + l) / n and the rest of that; first < n ≤ 16. Half a unit keeps the quotient away from whole numbers. */
static inline void vec_index_divide(size_t first, size_t n, vec_index *quotients, vec_index *rests)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i x = _mm512_add_epi32(lane, _mm512_set1_epi32((int)first));
    const __m512 past = _mm512_add_ps(_mm512_cvtepi32_ps(x), _mm512_set1_ps(0.5f));
    *quotients = _mm512_cvttps_epi32(_mm512_mul_ps(past, _mm512_set1_ps(1.0f / (float)n)));
    *rests = _mm512_sub_epi32(x, _mm512_mullo_epi32(*quotients, _mm512_set1_epi32((int)n)));
}
static inline vec_index vec_index_times(vec_index x, int factor)
{
    return _mm512_mullo_epi32(x, _mm512_set1_epi32(factor));
}
static inline vec_index vec_index_add(vec_index x, int y)
{
    return y == 0 ? x : _mm512_add_epi32(x, _mm512_set1_epi32(y));
}
/* Lane l: lane index[l] of x. */
static inline vec vec_pick(vec x, vec_index index)
{
    return _mm512_permutexvar_ps(index, x);
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

/* Half a vector, for the end of a row: the same names with half_. */
typedef __m256 vec_half;
typedef __mmask8 half_lanes;
enum { VEC_HALF = 8 };

static inline half_lanes half_first(size_t n)
{
    return (half_lanes)((1u << n) - 1u);
}
static inline vec_half half_zero(void)
{
    return _mm256_setzero_ps();
}
static inline vec_half half_set1(float x)
{
    return _mm256_set1_ps(x);
}
static inline vec_half vec_to_half(vec x)
{
    return _mm512_castps512_ps256(x);
}
static inline vec_half half_load_lanes(const float *p, half_lanes lanes)
{
    return _mm256_maskz_loadu_ps(lanes, p);
}
static inline void half_store_lanes(float *p, half_lanes lanes, vec_half x)
{
    _mm256_mask_storeu_ps(p, lanes, x);
}
static inline vec_half half_mul(vec_half x, vec_half y)
{
    return _mm256_mul_ps(x, y);
}
static inline vec_half half_add(vec_half x, vec_half y)
{
    return _mm256_add_ps(x, y);
}
static inline vec_half half_fma(vec_half x, vec_half y, vec_half z)
{
    return _mm256_fmadd_ps(x, y, z);
}
static inline vec_half half_combine(vec_half x, vec_half alpha, vec_half y, vec_half beta)
{
    return half_fma(x, alpha, half_mul(y, beta));
}

/*
 * Turns a block of at most 16 × 16 around: to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns.
 */
static inline void vec_transpose_wide(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                                 size_t columns)
{
    const vec_lanes in = vec_first(columns);
    const vec_lanes out = vec_first(rows);
    vec r[16];
    for (size_t i = 0; i < 16; i++) {
        r[i] = i < rows ? vec_load_lanes(from + i * from_row, in) : vec_zero();
    }
    transpose_words(r);
#pragma GCC unroll 16
    for (size_t j = 0; j < 16; j++) {
        if (j < columns) {
            vec_store_lanes(to + j * to_row, out, r[j]);
        }
    }
}

/* Rows i, i + 4, i + 8 and i + 12 of a block of at most four columns; rows from `rows` on are zero. */
static inline vec vec_load_fourths(const float *from, size_t from_row, size_t rows, __mmask8 in, size_t i)
{
    __m128 quarter[4];
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        const size_t row = i + 4 * q;
        quarter[q] = row < rows ? _mm_maskz_loadu_ps(in, from + row * from_row) : _mm_setzero_ps();
    }
    const vec low = _mm512_insertf32x4(_mm512_castps128_ps512(quarter[0]), quarter[1], 1);
    return _mm512_insertf32x4(_mm512_insertf32x4(low, quarter[2], 2), quarter[3], 3);
}

/* The same for at most four columns: the quarters already hold the rows that become neighbours. */
static inline void vec_transpose_narrow(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                                        size_t columns)
{
    const __mmask8 in = (__mmask8)((1u << columns) - 1u);
    vec r[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        r[i] = vec_load_fourths(from, from_row, rows, in, i);
    }
    const __m512d low0 = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
    const __m512d low1 = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
    const __m512d high0 = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
    const __m512d high1 = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
    const vec turned[4] = {
        _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1)), _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1)),
        _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1)), _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1))};
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        if (j < columns) {
            vec_store_lanes(to + j * to_row, vec_first(rows), turned[j]);
        }
    }
}

/* Rows i and i + 4 of a block of at most eight columns; rows from `rows` on are zero. */
static inline vec vec_load_halves(const float *from, size_t from_row, size_t rows, __mmask8 in, size_t i)
{
    const __m256 low = i < rows ? _mm256_maskz_loadu_ps(in, from + i * from_row) : _mm256_setzero_ps();
    const __m256 high = i + 4 < rows ? _mm256_maskz_loadu_ps(in, from + (i + 4) * from_row) : _mm256_setzero_ps();
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

/* The same for at most eight columns: rows 0-3 stand above 4-7, 8-11 above 12-15. */
static inline void vec_transpose_half(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                                      size_t columns)
{
    const __mmask8 in = (__mmask8)((1u << columns) - 1u);
    vec r[8], t[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        r[i] = vec_load_halves(from, from_row, rows, in, i / 4 * 8 + i % 4);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        const __m512d low0 = _mm512_castps_pd(t[i]), low1 = _mm512_castps_pd(t[i + 2]);
        const __m512d high0 = _mm512_castps_pd(t[i + 1]), high1 = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1));
    }
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; c++) {
        t[c] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88);
        t[c + 4] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++) {
        if (j < columns) {
            vec_store_lanes(to + j * to_row, vec_first(rows), t[j]);
        }
    }
}

/* Sixteen rows of two columns side by side. */
static inline void vec_transpose_pairs(const float *from, float *to, size_t to_row)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const vec low = vec_load(from), high = vec_load(from + VEC);
    vec_store(to, _mm512_permutex2var_ps(low, even, high));
    vec_store(to + to_row, _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high));
}

static inline void vec_transpose(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                                 size_t columns)
{
    if (columns == 2 && from_row == 2 && rows == VEC) {
        vec_transpose_pairs(from, to, to_row);
    } else if (columns <= 4) {
        vec_transpose_narrow(from, from_row, to, to_row, rows, columns);
    } else if (columns <= 8) {
        vec_transpose_half(from, from_row, to, to_row, rows, columns);
    } else {
        vec_transpose_wide(from, from_row, to, to_row, rows, columns);
    }
}

#endif /* AMPS_VEC_AVX512_H */
