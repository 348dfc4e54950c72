/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_halves_neon.h: the inner loop of tiles that multiply 16-bit elements into 32-bit sums four at a time, A lane by
 * lane: f16 by FMLAL, i16 (of i8) by SMLAL. A microkernel file includes low_neon.h, defines `halves` (a vector of
 * eight), load_halves, mul_low and mul_high (the lower or upper four of B times one lane of A), then includes this
 * file and low_tile.h.
 *
 * Words hold two k. A panel of A stays as it is packed: lane 2i + h of four rows' vector is k h of row i. A strip of B
 * is taken apart by `seal`, each word's 12 columns lying by k, so that three vectors hold both:
 *
 *     [ k 0: columns 0 … 7 ][ k 0: 8 … 11 | k 1: 0 … 3 ][ k 1: 4 … 11 ]
 *
 * Register budget of 32: 8 * 3 sums, 3 of B, 2 of A (which must be among the first 16), 3 spare. 48 multiplications of
 * four elements for 5 loads.
 */
#ifndef AMPS_LOW_HALVES_NEON_H
#define AMPS_LOW_HALVES_NEON_H

#define LOW_OWN_WORDS

/* The six quarters of the three vectors: columns 4v … of k h. */
AMPS_INLINE sums multiply(sums acc, const halves *b, int h, int v, halves a, int lane)
{
    const int quarter = 3 * h + v;
    return quarter % 2 == 0 ? mul_low(acc, b[quarter / 2], a, lane) : mul_high(acc, b[quarter / 2], a, lane);
}

AMPS_INLINE void low_words(const amps_low_strip *s, const uint32_t *a, const uint32_t *b, sums *acc, int mr, int nv)
{
    for (size_t w = s->words; w > 0; w--, a += s->panel_rows, b += LOW_LANES * LOW_WIDE) {
        const halves row[3] = {load_halves(b), load_halves(b + 4), load_halves(b + 8)};
        halves x[2] = {load_halves(a)};
        if (mr > 4) {
            x[1] = load_halves(a + 4);
        }
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
#pragma GCC unroll 8
            for (int i = 0; i < mr; i++) {
#pragma GCC unroll 3
                for (int v = 0; v < nv; v++) {
                    acc[i * nv + v] = multiply(acc[i * nv + v], row, h, v, x[i / 4], 2 * (i % 4) + h);
                }
            }
        }
    }
}

/* Every word's 12 columns: first k 0 of all, then k 1. */
static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    uint32_t *x = panel_words + width;
    for (size_t w = 0; w < words && !left; w++, x += LOW_LANES * LOW_WIDE) {
        uint16_t *const at = (uint16_t *)(void *)x;
        const uint16x8x2_t first = vld2q_u16(at);
        const uint16x4x2_t rest = vld2_u16(at + 16);
        vst1q_u16(at, first.val[0]);
        vst1_u16(at + 8, rest.val[0]);
        vst1q_u16(at + 12, first.val[1]);
        vst1_u16(at + 20, rest.val[1]);
    }
}

#endif /* AMPS_LOW_HALVES_NEON_H */
