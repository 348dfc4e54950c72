/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8_gemm_8x12__neondot.c: i8 matmul tiles on SDOT (FEAT_DotProd), four products a lane, added modulo 2^32. Called by
 * gemm_low.c through low_ukr.h; the inner loop and its registers are in low_lanes_neon.h. The heads
 * are not used.
 */
#define LOW_INTEGER 1
#include "low_neon.h"

typedef int8x16_t word;

static inline word load(const uint32_t *p)
{
    return vreinterpretq_s8_u32(vld1q_u32(p));
}

AMPS_INLINE sums multiply(sums acc, word b, word a, int lane)
{
    switch (lane) {
    case 0: return vdotq_laneq_s32(acc, b, a, 0);
    case 1: return vdotq_laneq_s32(acc, b, a, 1);
    case 2: return vdotq_laneq_s32(acc, b, a, 2);
    default: return vdotq_laneq_s32(acc, b, a, 3);
    }
}

#include "low_lanes_neon.h"

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
