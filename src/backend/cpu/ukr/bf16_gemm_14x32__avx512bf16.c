/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bf16_gemm_14x32__avx512bf16.c: bf16 matmul tiles on vdpbf16ps. Called by gemm_low.c through low_ukr.h; the tile is
 * in low_tile.h. Register budget of 32: 14 * 2 sums, 2 of B, 1 splat of A, 1 spare.
 *
 * The instruction adds two products to an f32 sum, each addition rounded to nearest, but it takes subnormals for
 * zero, in and out. Where the heads, which hold least exponents (low_bf16_avx512.h), say that none can appear, the
 * instruction is exact to the rules; elsewhere the tile widens to f32 and uses fused multiply-adds (`careful`).
 */
#include <immintrin.h>

#include "low_bf16_avx512.h"
#include "low_store_avx512.h"

typedef __m512i word;
typedef __m512 sums;
#define LOW_LANES 16
#define LOW_WIDE  2
#define LOW_ROWS  14

static inline word low_load(const uint32_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline word low_splat(uint32_t x)
{
    return _mm512_set1_epi32((int)x);
}
static inline sums low_first(const uint32_t *head)
{
    (void)head;
    return _mm512_setzero_ps();
}
static inline sums low_dot(sums acc, word a, word b)
{
    return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
}
#include "low_tile.h"

enum { CAREFUL_ROWS = 6 };

/* At most CAREFUL_ROWS rows: both halves of a word as f32. */
AMPS_INLINE void careful_tile(const amps_low_strip *s, const uint32_t *a, unsigned char *c, int mr)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    const uint32_t *b = s->b + LOW_STRIP;
    __m512 acc[2 * CAREFUL_ROWS];
#pragma GCC unroll 12
    for (int i = 0; i < 2 * mr; i++) {
        acc[i] = _mm512_setzero_ps();
    }
    for (size_t w = 0; w < s->words; w++, a += s->panel_rows, b += LOW_STRIP) {
        __m512 even[2], odd[2];
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            const __m512i row = low_load(b + v * LOW_LANES);
            even[v] = _mm512_castsi512_ps(_mm512_slli_epi32(row, 16));
            odd[v] = _mm512_castsi512_ps(_mm512_and_si512(row, high));
        }
#pragma GCC unroll 6
        for (int i = 0; i < mr; i++) {
            const __m512 x = _mm512_castsi512_ps(_mm512_set1_epi32((int)(a[i] << 16)));
            const __m512 y = _mm512_castsi512_ps(_mm512_set1_epi32((int)(a[i] & 0xffff0000u)));
#pragma GCC unroll 2
            for (int v = 0; v < 2; v++) {
                acc[2 * i + v] = _mm512_fmadd_ps(x, even[v], acc[2 * i + v]);
                acc[2 * i + v] = _mm512_fmadd_ps(y, odd[v], acc[2 * i + v]);
            }
        }
    }
    const size_t first = s->columns < LOW_LANES ? s->columns : LOW_LANES;
#pragma GCC unroll 6
    for (int i = 0; i < mr; i++, c += s->c_row_bytes) {
        low_store(s, c, acc[2 * i], first);
        if (s->columns > LOW_LANES) {
            low_store(s, c + LOW_LANES * (s->result == AMPS_LOW_SUMS ? 4 : 2), acc[2 * i + 1], s->columns - LOW_LANES);
        }
    }
}

static void careful_panel(const amps_low_strip *s, const uint32_t *a, unsigned char *c, size_t rows)
{
    a += s->panel_rows;
    for (; rows >= CAREFUL_ROWS; rows -= CAREFUL_ROWS, a += CAREFUL_ROWS, c += CAREFUL_ROWS * s->c_row_bytes) {
        careful_tile(s, a, c, CAREFUL_ROWS);
    }
    for (; rows > 0; rows--, a++, c += s->c_row_bytes) {
        careful_tile(s, a, c, 1);
    }
}

static void strip(const amps_low_strip *s)
{
    const uint32_t *a = s->a;
    unsigned char *c = s->c;
    for (size_t left = s->rows; left > 0;) {
        const size_t rows = left < s->panel_rows ? left : s->panel_rows;
        if ((int32_t)a[0] + (int32_t)s->b[0] >= LEAST_SUM) {
            panel(s, a, c, rows);
        } else {
            careful_panel(s, a, c, rows);
        }
        left -= rows;
        a += s->panel_rows * (s->words + 1);
        c += rows * s->c_row_bytes;
    }
}

static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    (void)left;
    panel_words[0] = (uint32_t)least_exponent(panel_words + width, width * words);
}

const amps_low_ukr amps_bf16_gemm_14x32__avx512bf16 = {
    .name = "bf16_gemm_14x32__avx512bf16",
    .group = 2,
    .element = 2,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .strip = strip,
    .interleave = interleave,
    .seal = seal,
};
