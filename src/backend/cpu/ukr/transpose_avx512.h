/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transpose_avx512.h: 16 × 16 words of 32 bits turned around in registers. For vec_avx512.h and the microkernels of narrow
 * types, which take two elements for a word. Knows no memory.
 */
#ifndef AMPS_TRANSPOSE_AVX512_H
#define AMPS_TRANSPOSE_AVX512_H

#include <immintrin.h>

/* Word j of r[i] to word i of r[j], in four rounds of shuffles: pairs of lanes, pairs of pairs, then quarters of the
   register twice. */
static inline __attribute__((always_inline)) void transpose_words(__m512 r[16])
{
    __m512 t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        const __m512d low0 = _mm512_castps_pd(t[i]), low1 = _mm512_castps_pd(t[i + 2]);
        const __m512d high0 = _mm512_castps_pd(t[i + 1]), high1 = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1));
    }
    /* r[4g + c] holds rows 4g … 4g+3 of words c, c+4, c+8, c+12, one a quarter. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        t[c] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88);
        t[c + 4] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);
        t[c + 8] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0x88);
        t[c + 12] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        r[c] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0x88);
        r[c + 8] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0xdd);
        r[c + 4] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0x88);
        r[c + 12] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0xdd);
    }
}

#endif /* AMPS_TRANSPOSE_AVX512_H */
