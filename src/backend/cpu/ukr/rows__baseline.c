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
#define VH __m128i
#define VW 4
#define V_PICKS 0
#define V_UNFUSED 1
#define V_MASKS 0
#define V_PAIRS 0
#define ISA_NAME "baseline"
#define ROWS_TABLE amps_row_ukr_baseline

static inline VF v_set(float x) { return _mm_set1_ps(x); }
static inline VF v_load(const float *p) { return _mm_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm_storeu_ps(p, v); }
static inline void v_stream(float *p, VF v) { _mm_stream_ps(p, v); }
static inline VF v_load_part(const float *p, size_t n, float fill)
{
    float lane[VW] = {fill, fill, fill, fill};
    __builtin_memcpy(lane, p, n * sizeof *lane);
    return v_load(lane);
}
static inline void v_store_part(float *p, VF v, size_t n)
{
    float lane[VW];
    v_store(lane, v);
    __builtin_memcpy(p, lane, n * sizeof *lane);
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
static inline float v_fold_add(VF v) { return fold_add_4(v); }
static inline float v_fold_max(VF v) { return fold_max_4(v); }
/* Always: GCC 12 takes a function that does nothing else for one without effect, and drops its calls. */
static inline __attribute__((always_inline)) void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T1); }
static inline void v_fence(void) { _mm_sfence(); }

static inline __m128i choose(__m128i mask, __m128i yes, __m128i no)
{
    return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}

/* Four f16 in 32-bit lanes to f32, as amps_f32_of_f16 has it with every case computed and one chosen. A
   subnormal is magnitude * 2^-24, exactly; a normal number is rebiased by 127 - 15. */
static inline VF widen(__m128i half)
{
    const __m128i sign = _mm_slli_epi32(_mm_and_si128(half, _mm_set1_epi32(0x8000)), 16);
    const __m128i magnitude = _mm_and_si128(half, _mm_set1_epi32(0x7fff));
    const __m128i shifted = _mm_slli_epi32(magnitude, 13);
    const __m128i is_nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7c00));
    const __m128i quiet = _mm_and_si128(is_nan, _mm_set1_epi32(0x400000));
    const __m128i special = _mm_or_si128(_mm_or_si128(shifted, quiet), _mm_set1_epi32(0x7f800000));
    const __m128i subnormal = _mm_castps_si128(_mm_mul_ps(_mm_cvtepi32_ps(magnitude), _mm_set1_ps(0x1p-24f)));
    const __m128i normal = _mm_add_epi32(shifted, _mm_set1_epi32(0x38000000));
    const __m128i finite = choose(_mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x400)), subnormal, normal);
    const __m128i is_special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff));
    return _mm_castsi128_ps(_mm_or_si128(sign, choose(is_special, special, finite)));
}

/* Four f32 to f16 in 32-bit lanes, as amps_f16_of_f32 has it: adding 0.5 rounds what becomes subnormal, since
   the sum's last bit is 2^-24. */
static inline __m128i narrow(VF v)
{
    const __m128i bits = _mm_castps_si128(v);
    const __m128i sign = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(0x8000));
    const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fffffff));
    const __m128i fraction = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(0x3ff));
    const __m128i is_nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7f800000));
    const __m128i nan_bits = _mm_and_si128(is_nan, _mm_or_si128(fraction, _mm_set1_epi32(0x200)));
    const __m128i beyond = _mm_or_si128(_mm_set1_epi32(0x7c00), nan_bits);
    const VF lifted = _mm_add_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(0.5f));
    const __m128i subnormal = _mm_sub_epi32(_mm_castps_si128(lifted), _mm_set1_epi32(0x3f000000));
    const __m128i even = _mm_and_si128(_mm_srli_epi32(magnitude, 13), _mm_set1_epi32(1));
    const __m128i rebiased = _mm_sub_epi32(magnitude, _mm_set1_epi32(0x38000000 - 0xfff));
    const __m128i normal = _mm_srli_epi32(_mm_add_epi32(rebiased, even), 13);
    const __m128i finite = choose(_mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x38800000)), subnormal, normal);
    const __m128i is_beyond = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x477fefff));
    return _mm_or_si128(sign, choose(is_beyond, beyond, finite));
}

/* Four 16-bit elements are the lower half of a register. */
static inline VH h_load(const void *p) { return _mm_loadl_epi64((const __m128i *)p); }
static inline void h_store(void *p, VH h) { _mm_storel_epi64((__m128i *)p, h); }
static inline void h_stream(void *p, VH h) { h_store(p, h); }
static inline VF v_of_f16(VH h) { return widen(_mm_unpacklo_epi16(h, _mm_setzero_si128())); }
static inline VF v_of_bf16(VH h) { return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), h)); }
/* The pack saturates signed numbers, so each half is first spread from its sign bit. */
static inline VH pack(__m128i half)
{
    const __m128i spread = _mm_srai_epi32(_mm_slli_epi32(half, 16), 16);
    return _mm_packs_epi32(spread, spread);
}
static inline VH v_to_f16(VF v) { return pack(narrow(v)); }
static inline VH v_to_bf16(VF v)
{
    const __m128i bits = _mm_castps_si128(v);
    const __m128i even = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
    const __m128i rounded = _mm_add_epi32(_mm_add_epi32(bits, _mm_set1_epi32(0x7fff)), even);
    const __m128i quiet = _mm_or_si128(bits, _mm_set1_epi32(0x400000));
    return pack(_mm_srli_epi32(choose(_mm_castps_si128(_mm_cmpunord_ps(v, v)), quiet, rounded), 16));
}

static inline VF v_of_i16(VH h)
{
    return _mm_cvtepi32_ps(_mm_srai_epi32(_mm_unpacklo_epi16(h, h), 16));
}

#define I_BYTES 8
#define VB __m128i
#define VI __m128i
static inline VB b_load(const void *p)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
    return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
}
static inline VI i_zero(void) { return _mm_setzero_si128(); }
static inline VI i_load(const int32_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline void i_store(int32_t *p, VI v) { _mm_storeu_si128((__m128i *)(void *)p, v); }
static inline VI i_dot(VI s, VB a, VB b) { return _mm_add_epi32(s, _mm_madd_epi16(a, b)); }
static inline int32_t i_fold(VI v)
{
    const __m128i two = _mm_add_epi32(v, _mm_unpackhi_epi64(v, v));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
static inline void i_pairs(VI s[2], VB r, VB q, int32_t pair)
{
    const __m128i k = _mm_set1_epi32(pair);
    s[0] = i_dot(s[0], _mm_unpacklo_epi16(r, q), k);
    s[1] = i_dot(s[1], _mm_unpackhi_epi16(r, q), k);
}
static inline void i_columns(VI s[2]) { (void)s; }

#include "backend/cpu/ukr/rows_template.h"

#else
typedef int amps_rows_baseline_is_x86_only; /* elsewhere the baseline is row_reference.c */
#endif
