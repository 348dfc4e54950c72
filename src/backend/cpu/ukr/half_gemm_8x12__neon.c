/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half_gemm_8x12__neon.c: f16, bf16 and i16 matmul tiles of arm64's base: elements are widened to f32 while they are packed,
 * or where they lie for few rows. Called by gemm_low.c through low_ukr.h; the inner loop and its registers are in
 * low_lanes_neon.h, the tables in low_half.h.
 */
#define LOW_INTEGER 0
#include "low_neon.h"

#include "half.h"

typedef float32x4_t word;

static inline word low_splat(uint32_t x)
{
    return vdupq_n_f32(amps_f32_of_bits(x));
}
static inline sums low_dot(sums acc, word a, word b)
{
    return vfmaq_f32(acc, a, b);
}
static inline word load(const uint32_t *p)
{
    return vreinterpretq_f32_u32(vld1q_u32(p));
}

AMPS_INLINE sums multiply(sums acc, word b, word a, int lane)
{
    switch (lane) {
    case 0: return vfmaq_laneq_f32(acc, b, a, 0);
    case 1: return vfmaq_laneq_f32(acc, b, a, 1);
    case 2: return vfmaq_laneq_f32(acc, b, a, 2);
    default: return vfmaq_laneq_f32(acc, b, a, 3);
    }
}

#include "low_lanes_neon.h"

#include "low_tile.h"

static inline float32x4_t f32_of(uint16x4_t x, low_half half)
{
    return half == LOW_F16    ? f32_of_f16(x)
           : half == LOW_BF16 ? f32_of_bf16(x)
                              : vcvtq_f32_s32(vmovl_s16(vreinterpret_s16_u16(x)));
}

/* `columns` elements of a row, at most four, widened. */
static inline word place_load(const unsigned char *p, size_t columns, low_half half)
{
    return f32_of(part_load_halves(p, columns), half);
}

#include "low_in_place.h"

/* n elements widened. */
AMPS_INLINE void widen(const unsigned char *from, uint32_t *to, size_t n, low_half half)
{
    size_t j = 0;
    for (; j + 4 <= n; j += 4) {
        const uint16x4_t x = vreinterpret_u16_u8(vld1_u8(from + 2 * j));
        vst1q_u32(to + j, vreinterpretq_u32_f32(f32_of(x, half)));
    }
    for (; j < n; j++) {
        uint16_t x;
        __builtin_memcpy(&x, from + 2 * j, sizeof x);
        to[j] = half == LOW_F16    ? amps_bits_of_f32(amps_f32_of_f16(x))
                : half == LOW_BF16 ? (uint32_t)x << 16
                                   : amps_bits_of_f32((float)(int16_t)x);
    }
}

#include "low_half.h"

LOW_HALF_UKR(f16, 8x12__neon);
LOW_HALF_UKR(bf16, 8x12__neon);
LOW_HALF_UKR(i16, 8x12__neon);
