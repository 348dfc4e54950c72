/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_bf16_avx512.h: how rows of bf16 become words of pairs along k, and the least exponent of a packed panel or strip.
 * For the bf16 microkernels with the suffixes __avx512bf16 and __amx, whose instructions take subnormals for zero.
 *
 * A product of two bf16 is a multiple of 2^(x + y - 14) if x and y are their exponents, and so is every rounded sum of
 * such products. Where the least exponents of a panel and a strip add up to 2^-112 or more, no subnormal can appear.
 */
#ifndef AMPS_LOW_BF16_AVX512_H
#define AMPS_LOW_BF16_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* Exponents are biased by 127: 2^-126 is a multiple of 2^(x + y - 14) if x + y - 254 - 14 >= -126. */
enum { LEAST_SUM = 142, SUBNORMAL = -1000, NOTHING = 1000 };

/* Rows are read 64 bytes at a time, and the next strip goes on where this one ends: too many streams for the machine's own
   prefetching. */
enum { AHEAD = 128 };

/* Two rows of at most 32 columns a step. */
static inline void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                              size_t n)
{
    /* Of the words of two registers: 0, 32, 1, 33, … and 16, 48, 17, 49, … */
    const __m512i ascending = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i low =
        _mm512_or_si512(ascending, _mm512_slli_epi32(_mm512_add_epi32(ascending, _mm512_set1_epi32(32)), 16));
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (size_t k = 0; k < interior; k += 2, from += 2 * row_bytes, to += to_row) {
        for (size_t j = 0; j < n; j += 32) {
            const size_t here = n - j < 32 ? n - j : 32;
            const __mmask32 lanes = (__mmask32)(((uint64_t)1 << here) - 1u);
            const __m512i x = _mm512_maskz_loadu_epi16(lanes, from + 2 * j);
            _mm_prefetch((const char *)from + 2 * j + AHEAD, _MM_HINT_T0);
            _mm_prefetch((const char *)from + row_bytes + 2 * j + AHEAD, _MM_HINT_T0);
            const __m512i y = _mm512_maskz_loadu_epi16(k + 1 < interior ? lanes : 0, from + row_bytes + 2 * j);
            _mm512_mask_storeu_epi32(to + j, (__mmask16)lanes, _mm512_permutex2var_epi16(x, low, y));
            _mm512_mask_storeu_epi32(to + j + 16, (__mmask16)(lanes >> 16), _mm512_permutex2var_epi16(x, high, y));
        }
    }
}

/* The least biased exponent of `count` words but for zeros; SUBNORMAL: one of them is, NOTHING: all are zero. */
static inline int32_t least_exponent(const uint32_t *x, size_t count)
{
    const __m512i magnitude = _mm512_set1_epi16(0x7fff), one = _mm512_set1_epi16(1);
    __m512i least = _mm512_set1_epi16(-1);
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 lanes = (__mmask16)(count - i < 16 ? (1u << (count - i)) - 1u : 0xffffu);
        const __m512i values = _mm512_maskz_loadu_epi32(lanes, x + i);
        least = _mm512_min_epu16(least, _mm512_sub_epi16(_mm512_and_si512(values, magnitude), one));
    }
    uint16_t each[32];
    uint32_t found = 0xffff;
    _mm512_storeu_si512(each, least);
    for (size_t i = 0; i < 32; i++) {
        found = each[i] < found ? each[i] : found;
    }
    const int32_t exponent = found == 0xffff ? NOTHING : (int32_t)((found + 1) >> 7);
    return exponent == 0 ? SUBNORMAL : exponent;
}

#endif /* AMPS_LOW_BF16_AVX512_H */
