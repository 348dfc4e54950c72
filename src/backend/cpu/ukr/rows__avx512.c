/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows__avx512.c: the row microkernels with 16 floats a vector, AVX-512 F, BW, DQ, VL. Reached through its
 * table in ukr.def; the arithmetic is in rows_template.h. Partial vectors are masks.
 */
#include "backend/cpu/ukr/halves_avx512.h"
#include "backend/cpu/ukr/ukr.h"

#include <immintrin.h>

#define VF __m512
#define VH __m256i
#define VW 16
#define V_PICKS 1
#define V_UNFUSED 0
#define V_MASKS 1
#define V_PAIRS 1
#define ISA_NAME "avx512"
#define ROWS_TABLE amps_row_ukr_avx512

static inline VF v_set(float x) { return _mm512_set1_ps(x); }
static inline VF v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm512_storeu_ps(p, v); }
static inline void v_stream(float *p, VF v) { _mm512_stream_ps(p, v); }
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

static inline float fold_add_4(__m128 v)
{
    const __m128 pair = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps(pair, pair, 1)));
}
static inline float fold_max_4(__m128 v)
{
    const __m128 pair = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_shuffle_ps(pair, pair, 1)));
}
static inline float fold_add_8(__m256 v)
{
    return fold_add_4(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)));
}
static inline float fold_max_8(__m256 v)
{
    return fold_max_4(_mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)));
}
static inline float v_fold_add(VF v)
{
    return fold_add_8(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}
static inline float v_fold_max(VF v)
{
    return fold_max_8(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}
static inline VF v_pick(const float table[32], VF place)
{
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), _mm512_castps_si512(place), _mm512_loadu_ps(table + 16));
}
static inline VF v_pick_power(const uint32_t table[32], VF place)
{
    const __m512i bits = _mm512_castps_si512(place);
    const __m512i root = _mm512_permutex2var_epi32(_mm512_loadu_si512(table), bits, _mm512_loadu_si512(table + 16));
    return _mm512_castsi512_ps(_mm512_add_epi32(root, _mm512_slli_epi32(bits, 18)));
}
/* Always: GCC 12 takes a function that does nothing else for one without effect, and drops its calls. */
static inline __attribute__((always_inline)) void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }
static inline void v_fence(void) { _mm_sfence(); }

static inline VH h_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline VH h_load_part(const void *p, size_t n) { return _mm256_maskz_loadu_epi16(first(n), p); }
static inline void h_store_part(void *p, VH h, size_t n) { _mm256_mask_storeu_epi16(p, first(n), h); }
static inline VF v_first(VF v, size_t n, float fill) { return _mm512_mask_mov_ps(_mm512_set1_ps(fill), first(n), v); }
static inline void h_store(void *p, VH h) { _mm256_storeu_si256((__m256i *)p, h); }
static inline void h_stream(void *p, VH h) { _mm256_stream_si256((__m256i *)p, h); }
static inline VF v_of_i16(VH h) { return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(h)); }
static inline VF v_of_f16(VH h) { return _mm512_cvtph_ps(h); }
static inline VF v_of_bf16(VH h) { return f32_of_bf16(h); }
/* The masked form: GCC 12 defines the plain one, without optimization, as a macro that -Wconversion objects to. */
static inline VH v_to_f16(VF v)
{
    return _mm512_maskz_cvtps_ph(0xffff, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline VH v_to_bf16(VF v) { return bf16_of_f32(v); }
static inline void v_pair_of_bf16(const void *p, VF pair[2])
{
    const __m512i words = _mm512_loadu_si512(p);
    pair[0] = _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
    pair[1] = _mm512_castsi512_ps(_mm512_maskz_mov_epi16(0xaaaaaaaa, words));
}
static inline void v_pair_to_bf16(void *p, const VF pair[2])
{
    const __m512i lower = _mm512_srli_epi32(rounded_to_bf16(pair[0]), 16);
    _mm512_storeu_si512(p, _mm512_mask_mov_epi16(lower, 0xaaaaaaaa, rounded_to_bf16(pair[1])));
}

#define I_BYTES 32
#define VB __m512i
#define VI __m512i
static inline VB b_load(const void *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
static inline VB b_load_part(const void *p, size_t n)
{
    return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8((__mmask32)((1u << n) - 1u), p));
}
static inline VI i_zero(void) { return _mm512_setzero_si512(); }
static inline VI i_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void i_store(int32_t *p, VI v) { _mm512_storeu_si512(p, v); }
static inline VI i_dot(VI s, VB a, VB b) { return _mm512_add_epi32(s, _mm512_madd_epi16(a, b)); }
static inline int32_t i_fold(VI v) { return _mm512_reduce_add_epi32(v); }
/* Columns 8q … 8q + 3 in quarter q of the first, the others in the second. */
static inline void i_pairs(VI s[2], VB r, VB q, int32_t pair)
{
    const __m512i k = _mm512_set1_epi32(pair);
    s[0] = i_dot(s[0], _mm512_unpacklo_epi16(r, q), k);
    s[1] = i_dot(s[1], _mm512_unpackhi_epi16(r, q), k);
}
static inline void i_columns(VI s[2])
{
    const __m512i low = _mm512_set_epi32(23, 22, 21, 20, 7, 6, 5, 4, 19, 18, 17, 16, 3, 2, 1, 0);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    const __m512i first = _mm512_permutex2var_epi32(s[0], low, s[1]);
    s[1] = _mm512_permutex2var_epi32(s[0], high, s[1]);
    s[0] = first;
}

#include "backend/cpu/ukr/rows_template.h"
