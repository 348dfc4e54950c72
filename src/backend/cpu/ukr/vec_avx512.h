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
static inline void vec_store(float *p, vec x)
{
    _mm512_storeu_ps(p, x);
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
static inline void vec_prefetch(const float *p)
{
    _mm_prefetch((const char *)p, _MM_HINT_T0);
}
/* Into the second cache. */
static inline void vec_prefetch_far(const float *p)
{
    _mm_prefetch((const char *)p, _MM_HINT_T1);
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
 * Four rounds of shuffles: pairs of lanes, pairs of pairs, then quarters of the register twice.
 */
static inline void vec_transpose(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                                 size_t columns)
{
    const vec_lanes in = vec_first(columns);
    const vec_lanes out = vec_first(rows);
    vec r[16], t[16];
    for (size_t i = 0; i < 16; i++) {
        r[i] = i < rows ? vec_load_lanes(from + i * from_row, in) : vec_zero();
    }
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        const __m512d low0 = _mm512_castps_pd(t[i]), low1 = _mm512_castps_pd(t[i + 2]);
        const __m512d high0 = _mm512_castps_pd(t[i + 1]), high1 = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1));
    }
    /* r[4g + c] holds rows 4g … 4g+3 of columns c, c+4, c+8, c+12, one a quarter. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        t[c] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88);
        t[c + 4] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);
        t[c + 8] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0x88);
        t[c + 12] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        r[c] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0x88);
        r[c + 8] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0xdd);
        r[c + 4] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0x88);
        r[c + 12] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0xdd);
    }
#pragma GCC unroll 16
    for (size_t j = 0; j < 16; j++) {
        if (j < columns) {
            vec_store_lanes(to + j * to_row, out, r[j]);
        }
    }
}

#endif /* AMPS_VEC_AVX512_H */
