/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8_gemm_8x12__neon.c: i8 matmul tiles of arm64's base, on SMLAL. Called by gemm_low.c through low_ukr.h; the inner
 * loop and its registers are in low_halves_neon.h. Bytes are widened to i16 while they are packed, two a word; a
 * product is at most 2^14 and is added to the sums modulo 2^32. The heads are not used.
 */
#define LOW_INTEGER 1
#include "low_neon.h"

typedef int16x8_t halves;

static inline halves load_halves(const uint32_t *p)
{
    return vreinterpretq_s16_u32(vld1q_u32(p));
}

AMPS_INLINE sums mul_low(sums acc, halves b, halves a, int lane)
{
    const int16x4_t low = vget_low_s16(b);
    switch (lane) {
    case 0: return vmlal_laneq_s16(acc, low, a, 0);
    case 1: return vmlal_laneq_s16(acc, low, a, 1);
    case 2: return vmlal_laneq_s16(acc, low, a, 2);
    case 3: return vmlal_laneq_s16(acc, low, a, 3);
    case 4: return vmlal_laneq_s16(acc, low, a, 4);
    case 5: return vmlal_laneq_s16(acc, low, a, 5);
    case 6: return vmlal_laneq_s16(acc, low, a, 6);
    default: return vmlal_laneq_s16(acc, low, a, 7);
    }
}

AMPS_INLINE sums mul_high(sums acc, halves b, halves a, int lane)
{
    switch (lane) {
    case 0: return vmlal_high_laneq_s16(acc, b, a, 0);
    case 1: return vmlal_high_laneq_s16(acc, b, a, 1);
    case 2: return vmlal_high_laneq_s16(acc, b, a, 2);
    case 3: return vmlal_high_laneq_s16(acc, b, a, 3);
    case 4: return vmlal_high_laneq_s16(acc, b, a, 4);
    case 5: return vmlal_high_laneq_s16(acc, b, a, 5);
    case 6: return vmlal_high_laneq_s16(acc, b, a, 6);
    default: return vmlal_high_laneq_s16(acc, b, a, 7);
    }
}

#include "low_halves_neon.h"

#include "low_tile.h"

static void strip(const amps_low_strip *s)
{
    panels(s);
}

static inline uint32_t pair(signed char first, signed char second)
{
    return (uint32_t)(uint16_t)(int16_t)first | (uint32_t)(uint16_t)(int16_t)second << 16;
}

/* Two rows, eight columns a step; the rest one by one. */
static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n)
{
    for (size_t k = 0; k < interior; k += 2, from += 2 * row_bytes, to += to_row) {
        const bool both = k + 1 < interior;
        const int8_t *x = (const int8_t *)from, *y = (const int8_t *)from + (both ? row_bytes : 0);
        size_t j = 0;
        for (; both && j + 8 <= n; j += 8) {
            const int16x8x2_t pairs = {{vmovl_s8(vld1_s8(x + j)), vmovl_s8(vld1_s8(y + j))}};
            vst2q_s16((int16_t *)(void *)(to + j), pairs);
        }
        for (; j < n; j++) {
            to[j] = pair(x[j], both ? y[j] : 0);
        }
    }
}

static void lines(const unsigned char *from, size_t row_bytes, size_t count, uint32_t *to, size_t to_row, size_t n)
{
    for (size_t l = 0; l < count; l++, from += row_bytes, to += to_row) {
        const int8_t *x = (const int8_t *)from;
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            vst1q_s16((int16_t *)(void *)(to + i / 2), vmovl_s8(vld1_s8(x + i)));
        }
        for (; i < n; i += 2) {
            to[i / 2] = pair(x[i], i + 1 < n ? x[i + 1] : 0);
        }
    }
}

const amps_low_ukr amps_i8_gemm_8x12__neon = {
    .name = "i8_gemm_8x12__neon",
    .group = 2,
    .element = 1,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .integer = true,
    .strip = strip,
    .interleave = interleave,
    .lines = lines,
    .convert = convert,
    .seal = seal,
};
