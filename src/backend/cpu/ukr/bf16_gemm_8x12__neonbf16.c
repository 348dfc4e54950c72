/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bf16_gemm_8x12__neonbf16.c: bf16 matmul tiles on BFMMLA (FEAT_BF16). Called by gemm_low.c through low_ukr.h; the
 * inner loop and its registers are in low_mmla_neon.h.
 *
 * The instruction rounds to odd: two products are added, then their sum to the f32 sum, each within 2^-23 of the
 * value; a sum of K products so passes through K/2 roundings twice as coarse as usual, which the bound covers. It
 * takes subnormals for zero, in and out. A product of two bf16 is a multiple of 2^(x + y - 14) if x and y are their
 * exponents, and so is every rounded sum of such products. Where the least exponents of a panel and a strip add up to
 * 2^-112 or more, no subnormal can appear; elsewhere the tile widens to f32 and uses fused multiply-adds (`careful`).
 * The heads hold these least exponents.
 */
#define LOW_INTEGER 0
#include "low_neon.h"

AMPS_INLINE sums mmla(sums acc, uint32x4_t a, uint32x4_t b)
{
    return vbfmmlaq_f32(acc, vreinterpretq_bf16_u32(a), vreinterpretq_bf16_u32(b));
}

#include "low_mmla_neon.h"

#include "low_tile.h"

/* Exponents are biased by 127: 2^-126 is a multiple of 2^(x + y - 14) if x + y - 254 - 14 >= -126. */
enum { LEAST_SUM = 142, SUBNORMAL = -1000, NOTHING = 1000 };

static inline float lower_half(uint32_t word)
{
    return vget_lane_f32(vreinterpret_f32_u32(vdup_n_u32(word << 16)), 0);
}

static inline float upper_half(uint32_t word)
{
    return vget_lane_f32(vreinterpret_f32_u32(vdup_n_u32(word & 0xffff0000u)), 0);
}

/* One word of a row times one of four columns, in f32. */
static inline sums careful_dot(sums acc, uint32_t a, uint32x4_t b)
{
    const float32x4_t even = vreinterpretq_f32_u32(vshlq_n_u32(b, 16));
    const float32x4_t odd = vreinterpretq_f32_u32(vandq_u32(b, vdupq_n_u32(0xffff0000u)));
    return vfmaq_n_f32(vfmaq_n_f32(acc, even, lower_half(a)), odd, upper_half(a));
}

/* Row i of a panel: words as `zip_words` leaves them. */
static void careful_row(const amps_low_strip *s, const uint32_t *a, size_t i, unsigned char *c)
{
    const uint32_t *b = s->b + LOW_STRIP;
    sums acc[LOW_WIDE] = {low_first(NULL), low_first(NULL), low_first(NULL)};
    for (size_t w = s->words; w > 1; w -= 2, a += 2 * s->panel_rows, b += 2 * LOW_STRIP) {
        for (size_t v = 0; v < LOW_WIDE; v++) {
            const uint32x4_t left = vld1q_u32(b + 8 * v), right = vld1q_u32(b + 8 * v + 4);
            acc[v] = careful_dot(acc[v], a[2 * i], vuzp1q_u32(left, right));
            acc[v] = careful_dot(acc[v], a[2 * i + 1], vuzp2q_u32(left, right));
        }
    }
    for (size_t v = 0; v < LOW_WIDE && s->words % 2 != 0; v++) {
        acc[v] = careful_dot(acc[v], a[i], vld1q_u32(b + 4 * v));
    }
    const size_t size = s->result == AMPS_LOW_SUMS ? 4 : 2;
    for (size_t v = 0, past = 0; past < s->columns; v++, past += LOW_LANES) {
        low_store(s, c + past * size, acc[v], s->columns - past);
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
            for (size_t i = 0; i < rows; i++) {
                careful_row(s, a + s->panel_rows, i, c + i * s->c_row_bytes);
            }
        }
        left -= rows;
        a += s->panel_rows * (s->words + 1);
        c += rows * s->c_row_bytes;
    }
}

static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n)
{
    interleave_pairs(from, row_bytes, interior, to, to_row, n);
}

/* The head: the least biased exponent but for zeros. */
static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    const uint32_t *x = panel_words + width;
    uint16x8_t least = vdupq_n_u16(0xffff);
    const size_t count = width * words;
    (void)left;
    for (size_t i = 0; i < count; i += LOW_LANES) {
        const uint32x4_t values = part_load(x + i, count - i);
        const uint16x8_t magnitude = vandq_u16(vreinterpretq_u16_u32(values), vdupq_n_u16(0x7fff));
        least = vminq_u16(least, vsubq_u16(magnitude, vdupq_n_u16(1)));
    }
    const uint32_t found = vminvq_u16(least);
    const int32_t exponent = found == 0xffff ? NOTHING : (int32_t)((found + 1) >> 7);
    panel_words[0] = (uint32_t)(exponent == 0 ? SUBNORMAL : exponent);
    zip_words(panel_words + width, width, words);
}

const amps_low_ukr amps_bf16_gemm_8x12__neonbf16 = {
    .name = "bf16_gemm_8x12__neonbf16",
    .group = 2,
    .element = 2,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .strip = strip,
    .interleave = interleave,
    .seal = seal,
};
