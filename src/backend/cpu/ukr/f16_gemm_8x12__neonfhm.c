/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f16_gemm_8x12__neonfhm.c: f16 matmul tiles on FMLAL and FMLAL2 (FEAT_FHM), which multiply f16 and add to f32 in one
 * rounding, subnormals kept. Called by gemm_low.c through low_ukr.h; the inner loop and its registers are in
 * low_halves_neon.h. The heads are not used.
 */
#define LOW_INTEGER 0
#include "low_neon.h"

typedef float16x8_t halves;

static inline halves load_halves(const uint32_t *p)
{
    return vreinterpretq_f16_u32(vld1q_u32(p));
}

AMPS_INLINE sums mul_low(sums acc, halves b, halves a, int lane)
{
    switch (lane) {
    case 0: return vfmlalq_laneq_low_f16(acc, b, a, 0);
    case 1: return vfmlalq_laneq_low_f16(acc, b, a, 1);
    case 2: return vfmlalq_laneq_low_f16(acc, b, a, 2);
    case 3: return vfmlalq_laneq_low_f16(acc, b, a, 3);
    case 4: return vfmlalq_laneq_low_f16(acc, b, a, 4);
    case 5: return vfmlalq_laneq_low_f16(acc, b, a, 5);
    case 6: return vfmlalq_laneq_low_f16(acc, b, a, 6);
    default: return vfmlalq_laneq_low_f16(acc, b, a, 7);
    }
}

AMPS_INLINE sums mul_high(sums acc, halves b, halves a, int lane)
{
    switch (lane) {
    case 0: return vfmlalq_laneq_high_f16(acc, b, a, 0);
    case 1: return vfmlalq_laneq_high_f16(acc, b, a, 1);
    case 2: return vfmlalq_laneq_high_f16(acc, b, a, 2);
    case 3: return vfmlalq_laneq_high_f16(acc, b, a, 3);
    case 4: return vfmlalq_laneq_high_f16(acc, b, a, 4);
    case 5: return vfmlalq_laneq_high_f16(acc, b, a, 5);
    case 6: return vfmlalq_laneq_high_f16(acc, b, a, 6);
    default: return vfmlalq_laneq_high_f16(acc, b, a, 7);
    }
}

#include "low_halves_neon.h"

#include "low_tile.h"

static void strip(const amps_low_strip *s)
{
    panels(s);
}

static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n)
{
    interleave_pairs(from, row_bytes, interior, to, to_row, n);
}

const amps_low_ukr amps_f16_gemm_8x12__neonfhm = {
    .name = "f16_gemm_8x12__neonfhm",
    .group = 2,
    .element = 2,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .strip = strip,
    .interleave = interleave,
    .seal = seal,
};
