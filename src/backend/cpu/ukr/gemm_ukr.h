/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_ukr.h: what a matmul microkernel is given. Filled by gemm.c, read by the files f32_gemm_*.c and
 * f32_dot_*.c of this folder. Nothing here knows threads, types other than f32, blocking or memory.
 *
 * Distances are in elements. A is rows × interior, B interior × columns, C rows × columns.
 */
#ifndef AMPS_GEMM_UKR_H
#define AMPS_GEMM_UKR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A block of the result, of any size:
 *
 *     C[i][j] = alpha * sum_k A[i][k] * B[k][j] + (beta == 0 ? 0 : beta * C[i][j])
 *
 * It is cut into strips of `vectors` vectors, the last one narrower, and these into panels: `higher` of `panel_rows`
 * rows, then such of one row less, so that all are nearly equal (a low one costs as much as one of four rows); what is
 * left is the last one. Element (i, k) of panel p is a[p * a_panel + i * a_row + k * a_column], with a_panel 0 the rows
 * of all panels lie a_row apart; element (k, j) of strip s is b[s * b_strip + k * b_row + j]; C's rows lie contiguously.
 * The sum of an element runs over k upwards in one chain of
 * fused multiply-adds, whatever the tile; with `chained`, in four (k mod 4) that are added at the end: for products
 * that have too few tiles to keep the multipliers busy, at most three vectors in all. While k runs, `next_lines` cache
 * lines of each row of `next`, the B of the next call, are fetched from memory, shared out among the panels.
 * With `pack`, of one strip, the first panel reads B where it lies and copies it there, interior × vectors; the others
 * read the copy. `pack_next` is the B of the next call then.
 */
typedef struct amps_gemm_strip {
    const float *a, *b;
    float *c;
    size_t rows, columns, interior;
    size_t a_row, a_column, a_panel;
    size_t b_row, b_strip;
    size_t c_row;
    size_t panel_rows, higher, vectors;
    float alpha, beta;
    bool chained;
    bool fetch_c;  /* C is not in the first cache */
    bool stream_c; /* `outer` only: C exceeds all caches and is stored past them */
    size_t next_lines;
    const float *next;
    size_t next_row;
    float *pack;            /* or NULL: B is read where `b` says */
    const float *pack_next; /* its rows lie b_row apart, too; or NULL */
} amps_gemm_strip;

/*
 * Products of rows with rows, for operands that both lie contiguously along k:
 *
 *     C[i][j] = alpha * sum_k A[i][k] * B[j][k] + (beta == 0 ? 0 : beta * C[i][j])
 *
 * A[i][k] is a[i * a_row + k], B[j][k] is b[j * b_row + k], C[i][j] is c[i * c_row + j * c_column].
 * Lane l of a sum takes the k with k mod lanes = l; the lanes are added at the end in a fixed order.
 */
typedef struct amps_gemm_dot {
    const float *a;
    size_t a_row;
    const float *b;
    size_t b_row;
    float *c;
    size_t c_row, c_column;
    size_t rows, columns, interior;
    float alpha, beta;
} amps_gemm_dot;

/*
 * Few rows times a matrix that lies row by row; B is read once, eight rows at a time, front to back:
 *
 *     C[i][j] = (adds ? C[i][j] : 0) + sum_k A[i][k] * B[k][j]
 *
 * A[i][k] is a[i * a_row + k * a_column], B[k][j] b[k * b_row + j], C[i][j] c[i * c_row + j]. The sum is one chain of
 * fused multiply-adds over k upwards. C should fit the second cache.
 */
typedef struct amps_gemm_row {
    const float *a;
    size_t a_row, a_column;
    const float *b;
    size_t b_row;
    float *c;
    size_t c_row;
    size_t rows, columns, interior;
    bool adds;
} amps_gemm_row;

enum { AMPS_GEMM_VECTORS = 8, AMPS_GEMM_SUMS = 32 };

/* The f32 matmul microkernels of one instruction set. */
typedef struct amps_gemm_ukr {
    const char *name;  /* "f32_gemm_14x32__avx512" */
    size_t lanes;      /* f32 in a vector */
    size_t half;       /* columns up to which a strip's last vector is one of half the width; 0: none is */
    size_t vectors;    /* widest strip, in vectors; at most AMPS_GEMM_VECTORS */
    size_t rows[AMPS_GEMM_VECTORS]; /* rows[v - 1]: highest panel of a strip of v vectors; 0: no such strip */
    size_t wide;       /* vectors of the strip to take where nothing speaks against it */
    size_t stores;     /* vectors of sums stored while the next tile begins; AMPS_GEMM_SUMS: no limit is known */
    void (*strip)(const amps_gemm_strip *strip);
    size_t outer_interior; /* the longest interior that `outer` takes */
    /* The same for short interiors, operands as they lie, row by row: a_panel, b_strip, vectors do not count. */
    void (*outer)(const amps_gemm_strip *strip);
    size_t flat_interior; /* the longest interior that `flat` takes; 0: there is none */
    /* The same for fewer columns than lanes, A and C each in one piece, alpha 1, beta 0, and interior times the most
       rows of C that a vector touches at most `lanes`. */
    void (*flat)(const amps_gemm_strip *strip);
    void (*dot)(const amps_gemm_dot *dot);
    void (*row)(const amps_gemm_row *row);
    /* to[j * to_row + i] = from[i * from_row + j], i < rows, j < columns. */
    void (*transpose)(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                      size_t columns);
    /* to[i * to_row + j] = from[i * from_row + j]. */
    void (*copy)(const float *from, size_t from_row, float *to, size_t to_row, size_t rows, size_t columns);
} amps_gemm_ukr;

extern const amps_gemm_ukr amps_f32_gemm_14x32__avx512;
extern const amps_gemm_ukr amps_f32_gemm_6x16__avx2;
extern const amps_gemm_ukr amps_f32_gemm_8x12__neon;
extern const amps_gemm_ukr amps_f32_gemm_4x8__baseline;

#endif /* AMPS_GEMM_UKR_H */
