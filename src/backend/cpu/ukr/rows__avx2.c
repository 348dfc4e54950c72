/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows__avx2.c: the row microkernels with 8 floats a vector, AVX2 with FMA and F16C. Reached through its
 * table in ukr.def; the arithmetic is in rows_template.h. Partial vectors are masked loads and stores.
 */
#include "backend/cpu/ukr/ukr.h"

#include <immintrin.h>

#define VF __m256
#define VW 8
#define ISA_NAME "avx2"
#define ROWS_TABLE amps_row_ukr_avx2

static inline VF v_set(float x) { return _mm256_set1_ps(x); }
static inline VF v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm256_storeu_ps(p, v); }
static inline __m256i first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline VF v_load_part(const float *p, size_t n, float fill)
{
    const __m256i mask = first(n);
    return _mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
static inline void v_store_part(float *p, VF v, size_t n) { _mm256_maskstore_ps(p, first(n), v); }
static inline VF v_add(VF a, VF b) { return _mm256_add_ps(a, b); }
static inline VF v_sub(VF a, VF b) { return _mm256_sub_ps(a, b); }
static inline VF v_mul(VF a, VF b) { return _mm256_mul_ps(a, b); }
static inline VF v_div(VF a, VF b) { return _mm256_div_ps(a, b); }
static inline VF v_fma(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }
static inline VF v_fnma(VF a, VF b, VF c) { return _mm256_fnmadd_ps(a, b, c); }
static inline VF v_max(VF a, VF b) { return _mm256_max_ps(a, b); }
static inline VF v_min(VF a, VF b) { return _mm256_min_ps(a, b); }
static inline VF v_lt(VF a, VF b, VF yes, VF no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline VF v_abs(VF a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline VF v_sign(VF magnitude, VF x)
{
    const VF sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, magnitude), _mm256_and_ps(sign, x));
}
/* 2^k as a float, k in [-126, 127]. */
static inline VF power(__m256i k)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(k, _mm256_set1_epi32(127)), 23));
}
/* In two steps, the first exact, so that neither power of two leaves the normal range. */
static inline VF v_scale(VF p, VF n)
{
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(p, power(half)), power(_mm256_sub_epi32(whole, half)));
}
static inline VF v_mul_error(VF a, VF b, VF p) { return _mm256_fmsub_ps(a, b, p); }

static void f16_to_f32(const void *x, float *y, size_t n)
{
    const unsigned char *const from = x;
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        v_store(y + j, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + 2 * j))));
    }
    if (j < n) {
        uint16_t rest[8] = {0};
        __builtin_memcpy(rest, from + 2 * j, 2 * (n - j));
        v_store_part(y + j, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)rest)), n - j);
    }
}

static void f32_to_f16(const float *x, void *y, size_t n)
{
    unsigned char *const to = y;
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        _mm_storeu_si128((__m128i *)(void *)(to + 2 * j),
                         _mm256_cvtps_ph(v_load(x + j), _MM_FROUND_TO_NEAREST_INT));
    }
    if (j < n) {
        uint16_t rest[8];
        const VF v = v_load_part(x + j, n - j, 0.0f);
        _mm_storeu_si128((__m128i *)(void *)rest, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
        __builtin_memcpy(to + 2 * j, rest, 2 * (n - j));
    }
}

#include "backend/cpu/ukr/rows_template.h"

#include "backend/cpu/ukr/rows_table.h"
