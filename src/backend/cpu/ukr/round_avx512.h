/* SPDX-License-Identifier: Apache-2.0 */
/*
 * round_avx512.h: f32 to bf16 with AVX-512, to nearest even, subnormals kept, NaN stays one. By integers, since the
 * instruction for it (AVX512-BF16) takes subnormals for 0. For microkernel files with the suffixes __avx512 and
 * __avx512bf16.
 */
#ifndef AMPS_ROUND_AVX512_H
#define AMPS_ROUND_AVX512_H

#include <immintrin.h>

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
static inline __m256i halves_to_bf16(__m512 x)
{
    const __m512i upper = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 31, 29, 27, 25,
                                           23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_castsi512_si256(_mm512_permutexvar_epi16(upper, rounded_to_bf16(x)));
}

#endif /* AMPS_ROUND_AVX512_H */
