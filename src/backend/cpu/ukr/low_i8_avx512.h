/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_i8_avx512.h: how rows of i8 become words of four along k, how i32 sums are stored and turned into f32. For the i8
 * microkernels with the suffixes __avx512vnni and __amx.
 */
#ifndef AMPS_LOW_I8_AVX512_H
#define AMPS_LOW_I8_AVX512_H

#include <immintrin.h>

#include "low_ukr.h"

static inline void low_store(const amps_low_strip *s, unsigned char *c, __m512i x, size_t columns)
{
    const __mmask16 lanes = (__mmask16)((1u << (columns < 16 ? columns : 16)) - 1u);
    if (s->add) {
        x = _mm512_add_epi32(x, _mm512_maskz_loadu_epi32(lanes, c));
    }
    _mm512_mask_storeu_epi32(c, lanes, x);
}

/* 16 columns of one row, or nothing. */
static inline __m128i row16(const unsigned char *from, __mmask16 lanes)
{
    return _mm_maskz_loadu_epi8(lanes, from);
}

/* Four rows of 16 columns a step. */
static inline void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                              size_t n)
{
    for (size_t k = 0; k < interior; k += 4, from += 4 * row_bytes, to += to_row) {
        const size_t rows = interior - k < 4 ? interior - k : 4;
        for (size_t j = 0; j < n; j += 16) {
            const __mmask16 lanes = (__mmask16)(n - j < 16 ? (1u << (n - j)) - 1u : 0xffffu);
            const unsigned char *x = from + j;
            const __m128i r0 = row16(x, lanes), r1 = row16(x + row_bytes, rows > 1 ? lanes : 0);
            const __m128i r2 = row16(x + 2 * row_bytes, rows > 2 ? lanes : 0);
            const __m128i r3 = row16(x + 3 * row_bytes, rows > 3 ? lanes : 0);
            const __m128i low01 = _mm_unpacklo_epi8(r0, r1), high01 = _mm_unpackhi_epi8(r0, r1);
            const __m128i low23 = _mm_unpacklo_epi8(r2, r3), high23 = _mm_unpackhi_epi8(r2, r3);
            __m512i words = _mm512_castsi128_si512(_mm_unpacklo_epi16(low01, low23));
            words = _mm512_inserti32x4(words, _mm_unpackhi_epi16(low01, low23), 1);
            words = _mm512_inserti32x4(words, _mm_unpacklo_epi16(high01, high23), 2);
            words = _mm512_inserti32x4(words, _mm_unpackhi_epi16(high01, high23), 3);
            _mm512_mask_storeu_epi32(to + j, lanes, words);
        }
    }
}

static inline void convert(uint32_t *values, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = (__mmask16)(n - i < 16 ? (1u << (n - i)) - 1u : 0xffffu);
        _mm512_mask_storeu_ps(values + i, lanes, _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(lanes, values + i)));
    }
}

#endif /* AMPS_LOW_I8_AVX512_H */
