/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows__baseline.c: the row microkernels with 4 floats a vector, SSE2, which every x86-64 has. Reached
 * through its table in ukr.def; the arithmetic is in rows_template.h. There is no fused multiply-add, so
 * the error of a product is found by Dekker's splitting.
 */
#include "backend/cpu/ukr/ukr.h"

#if defined(__SSE2__)

#include <emmintrin.h>

#define VF __m128
#define VW 4
#define ISA_NAME "baseline"
#define ROWS_TABLE amps_row_ukr_baseline

static inline VF v_set(float x) { return _mm_set1_ps(x); }
static inline VF v_load(const float *p) { return _mm_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm_storeu_ps(p, v); }
static inline VF v_load_part(const float *p, size_t n, float fill)
{
    float lane[VW] = {fill, fill, fill, fill};
    for (size_t i = 0; i < n; i++) {
        lane[i] = p[i];
    }
    return v_load(lane);
}
static inline void v_store_part(float *p, VF v, size_t n)
{
    float lane[VW];
    v_store(lane, v);
    for (size_t i = 0; i < n; i++) {
        p[i] = lane[i];
    }
}
static inline VF v_add(VF a, VF b) { return _mm_add_ps(a, b); }
static inline VF v_sub(VF a, VF b) { return _mm_sub_ps(a, b); }
static inline VF v_mul(VF a, VF b) { return _mm_mul_ps(a, b); }
static inline VF v_div(VF a, VF b) { return _mm_div_ps(a, b); }
static inline VF v_fma(VF a, VF b, VF c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
static inline VF v_fnma(VF a, VF b, VF c) { return _mm_sub_ps(c, _mm_mul_ps(a, b)); }
static inline VF v_max(VF a, VF b) { return _mm_max_ps(a, b); }
static inline VF v_min(VF a, VF b) { return _mm_min_ps(a, b); }
static inline VF v_lt(VF a, VF b, VF yes, VF no)
{
    const VF mask = _mm_cmplt_ps(a, b);
    return _mm_or_ps(_mm_and_ps(mask, yes), _mm_andnot_ps(mask, no));
}
static inline VF v_abs(VF a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
static inline VF v_sign(VF magnitude, VF x)
{
    const VF sign = _mm_set1_ps(-0.0f);
    return _mm_or_ps(_mm_andnot_ps(sign, magnitude), _mm_and_ps(sign, x));
}
/* The conversion rounds to nearest even in the mode that the backend sets. */
static inline VF v_round(VF a) { return _mm_cvtepi32_ps(_mm_cvtps_epi32(a)); }
/* 2^k as a float, k in [-126, 127]. */
static inline VF power(__m128i k)
{
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(k, _mm_set1_epi32(127)), 23));
}
/* In two steps, the first exact, so that neither power of two leaves the normal range. */
static inline VF v_scale(VF p, VF n)
{
    const __m128i whole = _mm_cvtps_epi32(n);
    const __m128i half = _mm_srai_epi32(whole, 1);
    return _mm_mul_ps(_mm_mul_ps(p, power(half)), power(_mm_sub_epi32(whole, half)));
}
/* The upper 12 bits of a: a*4097 - (a*4097 - a) (Dekker 1971). */
static inline VF upper(VF a)
{
    const VF c = _mm_mul_ps(a, _mm_set1_ps(4097.0f));
    return _mm_sub_ps(c, _mm_sub_ps(c, a));
}
static inline VF v_mul_error(VF a, VF b, VF p)
{
    const VF ah = upper(a);
    const VF bh = upper(b);
    const VF al = _mm_sub_ps(a, ah);
    const VF bl = _mm_sub_ps(b, bh);
    VF error = _mm_sub_ps(_mm_mul_ps(ah, bh), p);
    error = _mm_add_ps(error, _mm_mul_ps(ah, bl));
    error = _mm_add_ps(error, _mm_mul_ps(al, bh));
    error = _mm_add_ps(error, _mm_mul_ps(al, bl));
    const VF largest = _mm_max_ps(v_abs(p), _mm_max_ps(v_abs(a), v_abs(b)));
    return v_lt(largest, _mm_set1_ps(0x1p100f), error, _mm_setzero_ps());
}

#include "backend/cpu/ukr/rows_template.h"

static void f16_to_f32(const void *x, float *y, size_t n)
{
    const unsigned char *const from = x;
    for (size_t j = 0; j < n; j++) {
        uint16_t bits;
        __builtin_memcpy(&bits, from + 2 * j, sizeof bits);
        y[j] = amps_f32_of_f16(bits);
    }
}

static void f32_to_f16(const float *x, void *y, size_t n)
{
    unsigned char *const to = y;
    for (size_t j = 0; j < n; j++) {
        const uint16_t bits = amps_f16_of_f32(x[j]);
        __builtin_memcpy(to + 2 * j, &bits, sizeof bits);
    }
}

#include "backend/cpu/ukr/rows_table.h"

#else
typedef int amps_rows_baseline_is_x86_only; /* elsewhere the baseline is row_reference.c */
#endif
