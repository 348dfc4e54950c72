/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bf16_gemm_14x32__avx512bf16.c: bf16 matmul tiles on vdpbf16ps. Called by gemm_low.c through low_ukr.h; the tile is
 * in low_tile.h. Register budget of 32: 14 * 2 sums, 2 of B, 1 splat of A, 1 spare.
 *
 * The instruction adds two products to an f32 sum, each addition rounded to nearest, but it takes subnormals for
 * zero, in and out. A product of two bf16 is a multiple of 2^(x + y - 14) if x and y are their exponents, and so is
 * every rounded sum of such products. Where the least exponents of a panel and a strip add up to 2^-112 or more,
 * no subnormal can appear and the instruction is exact to the rules; elsewhere the tile widens to f32 and uses fused
 * multiply-adds (`careful`). The heads hold these least exponents.
 */
#include <immintrin.h>

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

/* Exponents are biased by 127: 2^-126 is a multiple of 2^(x + y - 14) if x + y - 254 - 14 >= -126. */
enum { LEAST_SUM = 142, SUBNORMAL = -1000, NOTHING = 1000, CAREFUL_ROWS = 6 };

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

/* Rows are read 64 bytes at a time, and the next strip goes on where this one ends: too many streams for the machine's own
   prefetching. */
enum { AHEAD = 128 };

/* Two rows of at most 32 columns a step. */
static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
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

/* The least biased exponent but for zeros. */
static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    const __m512i magnitude = _mm512_set1_epi16(0x7fff), one = _mm512_set1_epi16(1);
    __m512i least = _mm512_set1_epi16(-1);
    const uint32_t *x = panel_words + width;
    const size_t count = width * words;
    (void)left;
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
    panel_words[0] = (uint32_t)(exponent == 0 ? SUBNORMAL : exponent);
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
