/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows__avx2.c: the row microkernels with 8 floats a vector, AVX2 with FMA and F16C. Reached through its
 * table in ukr.def; the arithmetic is in rows_template.h. Partial vectors are masked loads and stores.
 */
#include "backend/cpu/ukr/ukr.h"

#include <immintrin.h>

#define VF __m256
#define VH __m128i
#define VW 8
#define V_PICKS 0
#define V_UNFUSED 0
#define V_MASKS 0
#define V_PAIRS 0
#define ISA_NAME "avx2"
#define ROWS_TABLE amps_row_ukr_avx2

static inline VF v_set(float x) { return _mm256_set1_ps(x); }
static inline VF v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm256_storeu_ps(p, v); }
static inline void v_stream(float *p, VF v) { _mm256_stream_ps(p, v); }
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
static inline float v_fold_add(VF v) { return fold_add_8(v); }
static inline float v_fold_max(VF v) { return fold_max_8(v); }
/* Always: GCC 12 takes a function that does nothing else for one without effect, and drops its calls. */
static inline __attribute__((always_inline)) void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }
static inline void v_fence(void) { _mm_sfence(); }

static inline VH h_load(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline void h_store(void *p, VH h) { _mm_storeu_si128((__m128i *)p, h); }
static inline void h_stream(void *p, VH h) { _mm_stream_si128((__m128i *)p, h); }
static inline VF v_of_i16(VH h) { return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(h)); }
static inline VF v_of_f16(VH h) { return _mm256_cvtph_ps(h); }
static inline VF v_of_bf16(VH h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
static inline VH v_to_f16(VF v) { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT); }
static inline VH v_to_bf16(VF v)
{
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i even = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), even);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    const __m256 chosen = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan);
    const __m256i high = _mm256_srli_epi32(_mm256_castps_si256(chosen), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}

#define I_BYTES 16
#define VB __m256i
#define VI __m256i
static inline VB b_load(const void *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
static inline VI i_zero(void) { return _mm256_setzero_si256(); }
static inline VI i_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline void i_store(int32_t *p, VI v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
static inline VI i_dot(VI s, VB a, VB b) { return _mm256_add_epi32(s, _mm256_madd_epi16(a, b)); }
static inline int32_t i_fold(VI v)
{
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
/* Columns 8q … 8q + 3 in half q of the first, the others in the second. */
static inline void i_pairs(VI s[2], VB r, VB q, int32_t pair)
{
    const __m256i k = _mm256_set1_epi32(pair);
    s[0] = i_dot(s[0], _mm256_unpacklo_epi16(r, q), k);
    s[1] = i_dot(s[1], _mm256_unpackhi_epi16(r, q), k);
}
static inline void i_columns(VI s[2])
{
    const VI first = _mm256_permute2x128_si256(s[0], s[1], 0x20);
    s[1] = _mm256_permute2x128_si256(s[0], s[1], 0x31);
    s[0] = first;
}

#include "backend/cpu/ukr/rows_template.h"
