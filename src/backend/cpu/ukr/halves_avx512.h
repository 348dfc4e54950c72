/* SPDX-License-Identifier: Apache-2.0 */
/*
 * halves_avx512.h: bf16 to f32 with AVX-512 and back, to nearest even, subnormals kept, NaN stays one. By integers, since
 * the instruction for it (AVX512-BF16) takes subnormals for 0. For microkernel files with the suffixes __avx512 and
 * __avx512bf16.
 */
#ifndef AMPS_HALVES_AVX512_H
#define AMPS_HALVES_AVX512_H

#include <immintrin.h>

/* One shuffle: half i into the upper half of word i, zeros below. */
static inline __m512 f32_of_bf16(__m256i x)
{
    const __m512i place = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7, 0, 6, 0, 5, 0, 4, 0,
                                           3, 0, 2, 0, 1, 0, 0, 0);
    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, place, _mm512_castsi256_si512(x)));
}

/* The upper words are the result: half a unit is added, less one if the last bit that stays is even. */
static inline __m512i rounded_to_bf16(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
    const __m512i below = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_mask_add_epi32(below, odd, bits, _mm512_set1_epi32(0x8000));
    /* Of both kinds of NaN the quiet one, of everything else what is there. Without optimization GCC 12's intrinsic is a macro
       that -Wconversion objects to. */
    __asm__("vfixupimmps $0, %2, %1, %0" : "+v"(rounded) : "v"(x), "v"(_mm512_set1_epi32(0x22)));
    return rounded;
}

/* One vector as 16 halves. */
static inline __m256i bf16_of_f32(__m512 x)
{
    const __m512i upper = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 31, 29, 27, 25,
                                           23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_castsi512_si256(_mm512_permutexvar_epi16(upper, rounded_to_bf16(x)));
}

#endif /* AMPS_HALVES_AVX512_H */
