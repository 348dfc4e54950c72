/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_half.h: what the microkernels that widen f16, bf16 and i16 to f32 have in common: the types' entries, and their
 * tables. A file includes low_tile.h and low_in_place.h, defines `widen` (n elements of any of them to f32), then includes
 * this file and names its tables with LOW_HALF_UKR. Knows no instruction set.
 */
#ifndef AMPS_LOW_HALF_H
#define AMPS_LOW_HALF_H

static void strip(const amps_low_strip *s)
{
    panels(s);
}

static void f16_in_place(const amps_low_strip *s)
{
    place_panels(s, LOW_F16);
}

static void bf16_in_place(const amps_low_strip *s)
{
    place_panels(s, LOW_BF16);
}

static void i16_in_place(const amps_low_strip *s)
{
    place_panels(s, LOW_I16);
}

AMPS_INLINE void widen_lines(const unsigned char *from, size_t row_bytes, size_t lines, uint32_t *to, size_t to_row,
                             size_t n, low_half half)
{
    for (size_t l = 0; l < lines; l++) {
        widen(from + l * row_bytes, to + l * to_row, n, half);
    }
}

static void f16_lines(const unsigned char *from, size_t row_bytes, size_t lines, uint32_t *to, size_t to_row, size_t n)
{
    widen_lines(from, row_bytes, lines, to, to_row, n, LOW_F16);
}

static void bf16_lines(const unsigned char *from, size_t row_bytes, size_t lines, uint32_t *to, size_t to_row, size_t n)
{
    widen_lines(from, row_bytes, lines, to, to_row, n, LOW_BF16);
}

static void i16_lines(const unsigned char *from, size_t row_bytes, size_t lines, uint32_t *to, size_t to_row, size_t n)
{
    widen_lines(from, row_bytes, lines, to, to_row, n, LOW_I16);
}

/* The table of `type` (f16, bf16, i16); `shape` is the rest of its name, "8x12__neon". */
#define LOW_HALF_UKR(type, shape)                                                                                      \
    const amps_low_ukr amps_##type##_gemm_##shape = {                                                                  \
        .name = #type "_gemm_" #shape,                                                                                 \
        .group = 1,                                                                                                    \
        .element = 2,                                                                                                  \
        .lanes = LOW_LANES,                                                                                            \
        .wide = LOW_WIDE,                                                                                              \
        .rows = LOW_ROWS,                                                                                              \
        .strip = strip,                                                                                                \
        .in_place = type##_in_place,                                                                                   \
        .interleave = type##_lines,                                                                                    \
        .lines = type##_lines,                                                                                         \
    }

#endif /* AMPS_LOW_HALF_H */
