/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_small.h: what a microkernel of small products of narrow types (f16, bf16, i16, i8) is given: whole matrices as
 * they lie, all in the caches, widened to f32 on the way. Filled by gemm_small.c, read by half_small_7x64__avx512.c.
 * Nothing here knows threads, tasks or memory.
 */
#ifndef AMPS_LOW_SMALL_H
#define AMPS_LOW_SMALL_H

#include "backend/cpu/ukr/low_ukr.h"

/*
 * C = alpha * A * B + (beta == 0 ? 0 : beta * C), A rows × interior, B interior × columns. The sum of an element runs
 * over the interior upwards in one chain of fused multiply-adds in f32, whatever the tile. C is f32; with beta 0 also
 * A's own type or, of i8, f16 or (alpha 1, and sums that f32 holds exactly) i32.
 */
typedef struct amps_low_small {
    const unsigned char *a; /* its lines lie a_line_bytes apart: rows, or (a_turned) columns */
    size_t a_line_bytes;
    bool a_turned;
    const unsigned char *b; /* its lines lie b_row_bytes apart: rows, or, for `turn`, columns */
    size_t b_row_bytes;
    bool b_is_wide; /* `turn` has brought it into the room */
    bool keeps_b;   /* its widened rows are kept for further panels */
    unsigned char *c;
    size_t c_row_bytes;
    size_t rows, columns, interior;
    /* Of tiles: `higher` panels of panel_rows rows (at most amps_low_small_ukr.rows), then such of one row less. */
    size_t panel_rows, higher, vectors;
    amps_low_result result;
    float alpha, beta;
} amps_low_small;

enum { AMPS_SMALL_VECTORS = 4, AMPS_SMALL_LANES = 16, AMPS_SMALL_ROWS = 8 };

typedef struct amps_low_small_ukr {
    const char *name;                /* "f16_small_7x64__avx512" */
    size_t element;                  /* bytes of one */
    size_t rows[AMPS_SMALL_VECTORS]; /* rows[v - 1]: highest tile of v vectors */
    /* `room` begins on a cache line; it holds a widened panel of A, and B if that is wide or kept. */
    void (*run)(const amps_low_small *small, float *room);
    /* Brings all of a B whose lines are columns into the room. NULL: none. */
    void (*turn)(const amps_low_small *small, float *room);
} amps_low_small_ukr;

/* Floats from one row of the widened panel to the next, which share no set of the caches. */
static inline size_t amps_low_small_row(size_t interior)
{
    return (interior + 15) / 16 * 16 + 16;
}

/* Floats of room for a widened panel of A. */
static inline size_t amps_low_small_room(size_t interior)
{
    return AMPS_SMALL_LANES * amps_low_small_row(interior);
}

extern const amps_low_small_ukr amps_f16_small_7x64__avx512;
extern const amps_low_small_ukr amps_bf16_small_7x64__avx512;
extern const amps_low_small_ukr amps_i16_small_7x64__avx512;
extern const amps_low_small_ukr amps_i8_small_7x64__avx512;

#endif /* AMPS_LOW_SMALL_H */
