/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8_gemm_8x12__neondot.c: i8 matmul tiles on SDOT (FEAT_DotProd), four products a lane, added modulo 2^32. Called by
 * gemm_low.c through low_ukr.h; the tile is in low_tile.h. Register budget of 32: 8 * 3 sums, 3 of B, 2 of A (four rows
 * each, multiplied lane by lane), 3 spare. 24 dot products for 5 loads. The heads are not used.
 */
#define LOW_INTEGER 1
#include "low_neon.h"

static inline int8x16_t load(const uint32_t *p)
{
    return vreinterpretq_s8_u32(vld1q_u32(p));
}

AMPS_INLINE sums dot(sums acc, int8x16_t b, int8x16_t a, int lane)
{
    switch (lane) {
    case 0: return vdotq_laneq_s32(acc, b, a, 0);
    case 1: return vdotq_laneq_s32(acc, b, a, 1);
    case 2: return vdotq_laneq_s32(acc, b, a, 2);
    default: return vdotq_laneq_s32(acc, b, a, 3);
    }
}

#define LOW_OWN_WORDS
AMPS_INLINE void low_words(const amps_low_strip *s, const uint32_t *a, const uint32_t *b, sums *acc, int mr, int nv)
{
    for (size_t w = s->words; w > 0; w--, a += s->panel_rows, b += LOW_LANES * LOW_WIDE) {
        int8x16_t row[LOW_WIDE], x[2] = {load(a)};
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
                acc[i * nv + v] = dot(acc[i * nv + v], row[v], x[i / 4], i % 4);
            }
        }
    }
}

#include "low_tile.h"

static void strip(const amps_low_strip *s)
{
    panels(s);
}

static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n)
{
    interleave_bytes(from, row_bytes, interior, to, to_row, n);
}

const amps_low_ukr amps_i8_gemm_8x12__neondot = {
    .name = "i8_gemm_8x12__neondot",
    .group = 4,
    .element = 1,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .integer = true,
    .strip = strip,
    .interleave = interleave,
    .convert = convert,
};
