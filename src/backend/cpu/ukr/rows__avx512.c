/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows__avx512.c: the row microkernels with 16 floats a vector, AVX-512 F, BW, DQ, VL. Reached through its
 * table in ukr.def; the arithmetic is in rows_template.h. Partial vectors are masks.
 */
#include "backend/cpu/ukr/ukr.h"

#include <immintrin.h>

#define VF __m512
#define VW 16
#define ISA_NAME "avx512"
#define ROWS_TABLE amps_row_ukr_avx512

static inline VF v_set(float x) { return _mm512_set1_ps(x); }
static inline VF v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm512_storeu_ps(p, v); }
static inline __mmask16 first(size_t n) { return (__mmask16)((1u << n) - 1u); }
static inline VF v_load_part(const float *p, size_t n, float fill)
{
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), first(n), p);
}
static inline void v_store_part(float *p, VF v, size_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
static inline VF v_add(VF a, VF b) { return _mm512_add_ps(a, b); }
static inline VF v_sub(VF a, VF b) { return _mm512_sub_ps(a, b); }
static inline VF v_mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
static inline VF v_div(VF a, VF b) { return _mm512_div_ps(a, b); }
static inline VF v_fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
static inline VF v_fnma(VF a, VF b, VF c) { return _mm512_fnmadd_ps(a, b, c); }
static inline VF v_max(VF a, VF b) { return _mm512_max_ps(a, b); }
static inline VF v_min(VF a, VF b) { return _mm512_min_ps(a, b); }
static inline VF v_lt(VF a, VF b, VF yes, VF no)
{
    return _mm512_mask_blend_ps(_mm512_cmplt_ps_mask(a, b), no, yes);
}
static inline VF v_abs(VF a) { return _mm512_abs_ps(a); }
static inline VF v_sign(VF magnitude, VF x)
{
    const VF sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, magnitude), _mm512_and_ps(sign, x));
}
static inline VF v_scale(VF p, VF n) { return _mm512_scalef_ps(p, n); }
static inline VF v_mul_error(VF a, VF b, VF p) { return _mm512_fmsub_ps(a, b, p); }

/* The masked form: GCC 12 defines the plain one, without optimization, as a macro that -Wconversion objects to. */
static inline __m256i to_f16(VF v)
{
    return _mm512_maskz_cvtps_ph(0xffff, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static void f16_to_f32(const void *x, float *y, size_t n)
{
    const unsigned char *const from = x;
    size_t j = 0;
    for (; j + 16 <= n; j += 16) {
        v_store(y + j, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(from + 2 * j))));
    }
    if (j < n) {
        v_store_part(y + j, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n - j), from + 2 * j)), n - j);
    }
}

static void f32_to_f16(const float *x, void *y, size_t n)
{
    unsigned char *const to = y;
    size_t j = 0;
    for (; j + 16 <= n; j += 16) {
        _mm256_storeu_si256((__m256i *)(void *)(to + 2 * j), to_f16(v_load(x + j)));
    }
    if (j < n) {
        _mm256_mask_storeu_epi16(to + 2 * j, first(n - j), to_f16(v_load_part(x + j, n - j, 0.0f)));
    }
}

#include "backend/cpu/ukr/rows_template.h"

#include "backend/cpu/ukr/rows_table.h"
