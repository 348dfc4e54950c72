/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8_gemm_6x16__avx2.c: i8 matmul tiles on vpmaddwd, for AVX2 and for AVX-512 without VNNI. Called by gemm_low.c
 * through low_ukr.h; the tile is in low_tile.h. Register budget of 16: 6 * 2 sums, 2 of B, 1 splat of A, 1 product.
 *
 * Bytes are widened to i16 while they are packed, two a word; a pair of products is at most 2^15 and is added to
 * the sums modulo 2^32. The heads are not used.
 */
#include <immintrin.h>

#include "low_ukr.h"

typedef __m256i word;
typedef __m256i sums;
#define LOW_LANES 8
#define LOW_WIDE  2
#define LOW_ROWS  6

static inline word low_load(const uint32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline word low_splat(uint32_t x)
{
    return _mm256_set1_epi32((int)x);
}
static inline sums low_first(const uint32_t *head)
{
    (void)head;
    return _mm256_setzero_si256();
}
static inline sums low_dot(sums acc, word a, word b)
{
    return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
}
typedef __m256i low_lanes;

static inline low_lanes low_first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline bool low_is_plain(const amps_low_strip *s)
{
    return !s->add;
}
static inline void low_put(unsigned char *c, bool whole, low_lanes lanes, sums x)
{
    if (whole) {
        _mm256_storeu_si256((__m256i *)(void *)c, x);
    } else {
        _mm256_maskstore_epi32((int *)(void *)c, lanes, x);
    }
}
static inline void low_store(const amps_low_strip *s, unsigned char *c, sums x, size_t columns)
{
    const low_lanes lanes = low_first_lanes(columns);
    int *to = (int *)(void *)c;
    if (s->add) {
        x = _mm256_add_epi32(x, _mm256_maskload_epi32(to, lanes));
    }
    _mm256_maskstore_epi32(to, lanes, x);
}

#include "low_tile.h"

static void strip(const amps_low_strip *s)
{
    panels(s);
}

static inline uint32_t pair(signed char first, signed char second)
{
    return (uint32_t)(uint16_t)(int16_t)first | (uint32_t)(uint16_t)(int16_t)second << 16;
}

/* Two rows of 16 columns a step; the rest one by one. */
static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n)
{
    for (size_t k = 0; k < interior; k += 2, from += 2 * row_bytes, to += to_row) {
        const bool both = k + 1 < interior;
        const signed char *x = (const signed char *)from, *y = (const signed char *)from + (both ? row_bytes : 0);
        size_t j = 0;
        for (; both && j + 8 <= n; j += 8) {
            const __m256i even = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(x + j)));
            const __m256i odd = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(y + j)));
            const __m256i words = _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
            _mm256_storeu_si256((__m256i *)(void *)(to + j), words);
        }
        for (; j < n; j++) {
            to[j] = pair(x[j], both ? y[j] : 0);
        }
    }
}

static void lines(const unsigned char *from, size_t row_bytes, size_t count, uint32_t *to, size_t to_row, size_t n)
{
    for (size_t l = 0; l < count; l++, from += row_bytes, to += to_row) {
        const signed char *x = (const signed char *)from;
        size_t i = 0;
        for (; i + 16 <= n; i += 16) {
            const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x + i)));
            _mm256_storeu_si256((__m256i *)(void *)(to + i / 2), wide);
        }
        for (; i < n; i += 2) {
            to[i / 2] = pair(x[i], i + 1 < n ? x[i + 1] : 0);
        }
    }
}

static void convert(uint32_t *values, size_t n)
{
    size_t i = 0;
    for (; i + LOW_LANES <= n; i += LOW_LANES) {
        const __m256 x = _mm256_cvtepi32_ps(low_load(values + i));
        _mm256_storeu_si256((__m256i *)(void *)(values + i), _mm256_castps_si256(x));
    }
    for (; i < n; i++) {
        const float x = (float)(int32_t)values[i];
        __builtin_memcpy(values + i, &x, sizeof x);
    }
}

const amps_low_ukr amps_i8_gemm_6x16__avx2 = {
    .name = "i8_gemm_6x16__avx2",
    .group = 2,
    .element = 1,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .integer = true,
    .strip = strip,
    .interleave = interleave,
    .lines = lines,
    .convert = convert,
};
