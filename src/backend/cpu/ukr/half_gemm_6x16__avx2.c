/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half_gemm_6x16__avx2.c: f16, bf16 and i16 matmul tiles of AVX2 with FMA and F16C: elements are widened to f32 while they
 * are packed. Called by gemm_low.c through low_ukr.h; the tile is in low_tile.h. Register budget of 16: 6 * 2 sums,
 * 2 of B, 1 splat of A, 1 spare.
 */
#include <immintrin.h>

#include "half.h"
#include "low_ukr.h"

typedef __m256 word;
typedef __m256 sums;
#define LOW_LANES 8
#define LOW_WIDE  2
#define LOW_ROWS  6

static inline word low_load(const uint32_t *p)
{
    return _mm256_loadu_ps((const float *)(const void *)p);
}
static inline word low_splat(uint32_t x)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32((int)x));
}
static inline sums low_first(const uint32_t *head)
{
    (void)head;
    return _mm256_setzero_ps();
}
static inline sums low_dot(sums acc, word a, word b)
{
    return _mm256_fmadd_ps(a, b, acc);
}

/* To nearest even; subnormals are kept, a NaN stays one. */
static inline __m128i to_bf16(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i words = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0xd8);
    return _mm256_castsi256_si128(halves);
}

typedef __m256i low_lanes;

static inline low_lanes low_first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline bool low_is_plain(const amps_low_strip *s)
{
    return s->result == AMPS_LOW_SUMS && s->alpha == 1.0f && s->beta == 0.0f;
}
static inline void low_put(unsigned char *c, bool whole, low_lanes lanes, sums x)
{
    if (whole) {
        _mm256_storeu_ps((float *)(void *)c, x);
    } else {
        _mm256_maskstore_ps((float *)(void *)c, lanes, x);
    }
}
static inline void low_store(const amps_low_strip *s, unsigned char *c, sums x, size_t columns)
{
    const size_t here = columns < LOW_LANES ? columns : LOW_LANES;
    const low_lanes lanes = low_first_lanes(here);
    float *to = (float *)(void *)c;
    if (s->alpha != 1.0f || s->beta != 0.0f) {
        const __m256 alpha = _mm256_set1_ps(s->alpha), beta = _mm256_set1_ps(s->beta);
        x = s->beta == 0.0f ? _mm256_mul_ps(alpha, x)
                            : _mm256_fmadd_ps(x, alpha, _mm256_mul_ps(_mm256_maskload_ps(to, lanes), beta));
    }
    if (s->result == AMPS_LOW_SUMS) {
        _mm256_maskstore_ps(to, lanes, x);
        return;
    }
    const __m128i halves =
        s->result == AMPS_LOW_F16 ? _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC) : to_bf16(x);
    if (here == LOW_LANES) {
        _mm_storeu_si128((__m128i *)(void *)c, halves);
    } else {
        uint16_t each[LOW_LANES];
        _mm_storeu_si128((__m128i *)(void *)each, halves);
        __builtin_memcpy(c, each, 2 * here);
    }
}

#include "low_tile.h"

static inline __m256 f32_of(__m128i x, low_half half)
{
    return half == LOW_F16    ? _mm256_cvtph_ps(x)
           : half == LOW_BF16 ? _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16))
                              : _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(x));
}

/* `columns` elements of a row, at most 8, widened. */
static inline word place_load(const unsigned char *p, size_t columns, low_half half)
{
    __m128i x;
    if (columns >= LOW_LANES) {
        x = _mm_loadu_si128((const __m128i *)(const void *)p);
    } else {
        uint16_t each[LOW_LANES] = {0};
        __builtin_memcpy(each, p, 2 * columns);
        x = _mm_loadu_si128((const __m128i *)(const void *)each);
    }
    return f32_of(x, half);
}

#include "low_in_place.h"

/* n elements widened. */
AMPS_INLINE void widen(const unsigned char *from, uint32_t *to, size_t n, low_half half)
{
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * j));
        _mm256_storeu_ps((float *)(void *)(to + j), f32_of(x, half));
    }
    for (; j < n; j++) {
        uint16_t x;
        __builtin_memcpy(&x, from + 2 * j, sizeof x);
        to[j] = half == LOW_F16    ? amps_bits_of_f32(amps_f32_of_f16(x))
                : half == LOW_BF16 ? (uint32_t)x << 16
                                   : amps_bits_of_f32((float)(int16_t)x);
    }
}

#include "low_half.h"

LOW_HALF_UKR(f16, 6x16__avx2);
LOW_HALF_UKR(bf16, 6x16__avx2);
LOW_HALF_UKR(i16, 6x16__avx2);
