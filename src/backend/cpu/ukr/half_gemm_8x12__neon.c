/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half_gemm_8x12__neon.c: f16 and bf16 matmul tiles of arm64's base: elements are widened to f32 while they are packed,
 * or where they lie for few rows. Called by gemm_low.c through low_ukr.h; the tile is in low_tile.h. Register budget of
 * 32: 8 * 3 sums, 3 of B, 2 of A (four rows each, multiplied lane by lane), 3 spare. 24 multiplications for 5 loads.
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

#include "low_tile.h"

/* `columns` elements of a row, at most four, widened. */
static inline word place_load(const unsigned char *p, size_t columns, bool bf16)
{
    const uint16x4_t x = part_load_halves(p, columns);
    return bf16 ? f32_of_bf16(x) : f32_of_f16(x);
}

#include "low_in_place.h"

static void strip(const amps_low_strip *s)
{
    panels(s);
}

static void f16_in_place(const amps_low_strip *s)
{
    place_panels(s, false);
}

static void bf16_in_place(const amps_low_strip *s)
{
    place_panels(s, true);
}

/* n elements, of bf16 or f16, widened. */
AMPS_INLINE void widen(const unsigned char *from, uint32_t *to, size_t n, bool bf16)
{
    size_t j = 0;
    for (; j + 4 <= n; j += 4) {
        const uint16x4_t x = vreinterpret_u16_u8(vld1_u8(from + 2 * j));
        vst1q_u32(to + j, vreinterpretq_u32_f32(bf16 ? f32_of_bf16(x) : f32_of_f16(x)));
    }
    for (; j < n; j++) {
        uint16_t x;
        __builtin_memcpy(&x, from + 2 * j, sizeof x);
        to[j] = bf16 ? (uint32_t)x << 16 : amps_bits_of_f32(amps_f32_of_f16(x));
    }
}

static void f16_lines(const unsigned char *from, size_t row_bytes, size_t lines, uint32_t *to, size_t to_row, size_t n)
{
    for (size_t l = 0; l < lines; l++) {
        widen(from + l * row_bytes, to + l * to_row, n, false);
    }
}

static void bf16_lines(const unsigned char *from, size_t row_bytes, size_t lines, uint32_t *to, size_t to_row, size_t n)
{
    for (size_t l = 0; l < lines; l++) {
        widen(from + l * row_bytes, to + l * to_row, n, true);
    }
}

const amps_low_ukr amps_f16_gemm_8x12__neon = {
    .name = "f16_gemm_8x12__neon",
    .group = 1,
    .element = 2,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .strip = strip,
    .in_place = f16_in_place,
    .interleave = f16_lines,
    .lines = f16_lines,
};

const amps_low_ukr amps_bf16_gemm_8x12__neon = {
    .name = "bf16_gemm_8x12__neon",
    .group = 1,
    .element = 2,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .strip = strip,
    .in_place = bf16_in_place,
    .interleave = bf16_lines,
    .lines = bf16_lines,
};
