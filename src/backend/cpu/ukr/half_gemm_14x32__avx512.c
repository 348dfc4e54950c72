/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half_gemm_14x32__avx512.c: f16, bf16 and i16 matmul tiles of AVX-512 without dot products of these types: elements are
 * widened to f32 while they are packed. Called by gemm_low.c through low_ukr.h; the tile is in low_tile.h. Register
 * budget of 32: 14 * 2 sums, 2 of B, 1 splat of A, 1 spare.
 */
#include "low_store_avx512.h"

typedef __m512 word;
typedef __m512 sums;
#define LOW_LANES 16
#define LOW_WIDE  2
#define LOW_ROWS  14

static inline word low_load(const uint32_t *p)
{
    return _mm512_loadu_ps(p);
}
static inline word low_splat(uint32_t x)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32((int)x));
}
static inline sums low_first(const uint32_t *head)
{
    (void)head;
    return _mm512_setzero_ps();
}
static inline sums low_dot(sums acc, word a, word b)
{
    return _mm512_fmadd_ps(a, b, acc);
}

#include "low_tile.h"

static inline __m512 f32_of(__m256i x, low_half half)
{
    return half == LOW_F16    ? _mm512_cvtph_ps(x)
           : half == LOW_BF16 ? _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16))
                              : _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(x));
}

/* `columns` elements of a row, at most 16, widened. */
static inline word place_load(const unsigned char *p, size_t columns, low_half half)
{
    const __mmask16 lanes = (__mmask16)((1u << (columns < 16 ? columns : 16)) - 1u);
    return f32_of(_mm256_maskz_loadu_epi16(lanes, p), half);
}

#include "low_in_place.h"

/* n elements widened. */
AMPS_INLINE void widen(const unsigned char *from, uint32_t *to, size_t n, low_half half)
{
    for (size_t j = 0; j < n; j += 16) {
        const __mmask16 lanes = (__mmask16)(n - j < 16 ? (1u << (n - j)) - 1u : 0xffffu);
        const __m256i x = _mm256_maskz_loadu_epi16(lanes, from + 2 * j);
        _mm512_mask_storeu_epi32(to + j, lanes, _mm512_castps_si512(f32_of(x, half)));
    }
}

#include "low_half.h"

LOW_HALF_UKR(f16, 14x32__avx512);
LOW_HALF_UKR(bf16, 14x32__avx512);
LOW_HALF_UKR(i16, 14x32__avx512);
