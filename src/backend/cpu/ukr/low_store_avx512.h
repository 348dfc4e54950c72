/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_store_avx512.h: how the tiles of low_tile.h store f32 sums with AVX-512: with alpha and beta, or rounded to a
 * 16-bit type in the same step. For microkernel files with the suffixes __avx512 and __avx512bf16.
 */
#ifndef AMPS_LOW_STORE_AVX512_H
#define AMPS_LOW_STORE_AVX512_H

#include <immintrin.h>

#include "low_ukr.h"
#include "halves_avx512.h"

typedef __mmask16 low_lanes;

static inline low_lanes low_first_lanes(size_t n)
{
    return (low_lanes)((1u << n) - 1u);
}

static inline bool low_is_plain(const amps_low_strip *s)
{
    return s->result == AMPS_LOW_SUMS && s->alpha == 1.0f && s->beta == 0.0f;
}

static inline void low_put(unsigned char *c, bool whole, low_lanes lanes, __m512 x)
{
    if (whole) {
        _mm512_storeu_ps(c, x);
    } else {
        _mm512_mask_storeu_ps(c, lanes, x);
    }
}

/* Whole vectors by a plain store. */
static inline void put_halves(unsigned char *c, size_t columns, __m256i halves)
{
    if (columns >= 16) {
        _mm256_storeu_si256((__m256i *)(void *)c, halves);
    } else {
        _mm256_mask_storeu_epi16(c, low_first_lanes(columns), halves);
    }
}

static inline void low_store(const amps_low_strip *s, unsigned char *c, __m512 x, size_t columns)
{
    const low_lanes lanes = low_first_lanes(columns < 16 ? columns : 16);
    if (s->alpha != 1.0f || s->beta != 0.0f) {
        const __m512 alpha = _mm512_set1_ps(s->alpha), beta = _mm512_set1_ps(s->beta);
        x = s->beta == 0.0f ? _mm512_mul_ps(alpha, x)
                            : _mm512_fmadd_ps(x, alpha, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, c), beta));
    }
    if (s->result == AMPS_LOW_SUMS) {
        _mm512_mask_storeu_ps(c, lanes, x);
    } else if (s->result == AMPS_LOW_F16) {
        /* The masked form: GCC 12's plain one is, without optimization, a macro that -Wconversion objects to. */
        put_halves(c, columns, _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    } else {
        put_halves(c, columns, bf16_of_f32(x));
    }
}

#endif /* AMPS_LOW_STORE_AVX512_H */
