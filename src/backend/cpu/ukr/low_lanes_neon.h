/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_lanes_neon.h: the inner loop of tiles that multiply a vector of B by one 32-bit lane of A: f32 words by FMLA, four
 * i8 by SDOT. A microkernel file includes low_neon.h, defines `word` (a vector of four 32-bit words), `load` and
 * `multiply` (acc + b times lane `lane` of a), then includes this file and low_tile.h.
 *
 * Register budget of 32: 8 * 3 sums, 3 of B, 2 of A (four rows each), 3 spare. 24 multiplications for 5 loads.
 */
#ifndef AMPS_LOW_LANES_NEON_H
#define AMPS_LOW_LANES_NEON_H

#define LOW_OWN_WORDS

AMPS_INLINE void low_words(const amps_low_strip *s, const uint32_t *a, const uint32_t *b, sums *acc, int mr, int nv)
{
    for (size_t w = s->words; w > 0; w--, a += s->panel_rows, b += LOW_LANES * LOW_WIDE) {
        word row[LOW_WIDE], x[2] = {load(a)};
        if (mr > 4) {
            x[1] = load(a + 4);
        }
#pragma GCC unroll 3
        for (int v = 0; v < nv; v++) {
            row[v] = load(b + v * LOW_LANES);
        }
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
#pragma GCC unroll 3
            for (int v = 0; v < nv; v++) {
                acc[i * nv + v] = multiply(acc[i * nv + v], row[v], x[i / 4], i % 4);
            }
        }
    }
}

#endif /* AMPS_LOW_LANES_NEON_H */
