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

/* Rows are read 32 bytes at a time, and the next strip goes on where this one ends: too many streams for the machine's
   own prefetching. */
enum { AHEAD = 128 };

/* Four rows of at most 32 columns a step. */
static inline void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                              size_t n)
{
    const __mmask32 columns = (__mmask32)(((uint64_t)1 << n) - 1u);
    for (size_t k = 0; k < interior; k += 4, from += 4 * row_bytes, to += to_row) {
        __m256i row[4];
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            const unsigned char *const x = from + (k + i < interior ? i : 0) * row_bytes;
            row[i] = _mm256_maskz_loadu_epi8(k + i < interior ? columns : 0, x);
            _mm_prefetch((const char *)x + AHEAD, _MM_HINT_T0);
        }
        /* In each half of 16 columns: words 0 … 3, 4 … 7, 8 … 11, 12 … 15. */
        const __m256i low01 = _mm256_unpacklo_epi8(row[0], row[1]), high01 = _mm256_unpackhi_epi8(row[0], row[1]);
        const __m256i low23 = _mm256_unpacklo_epi8(row[2], row[3]), high23 = _mm256_unpackhi_epi8(row[2], row[3]);
        const __m512i first = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_unpacklo_epi16(low01, low23)),
                                                 _mm256_unpackhi_epi16(low01, low23), 1);
        const __m512i second = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_unpacklo_epi16(high01, high23)),
                                                  _mm256_unpackhi_epi16(high01, high23), 1);
        _mm512_mask_storeu_epi32(to, (__mmask16)columns, _mm512_shuffle_i64x2(first, second, 0x88));
        _mm512_mask_storeu_epi32(to + 16, (__mmask16)(columns >> 16), _mm512_shuffle_i64x2(first, second, 0xdd));
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
