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
 * One strip of the result, at most `vectors` vectors wide and any number of rows high:
 *
 *     C[i][j] = alpha * sum_k A[i][k] * B[k][j] + (beta == 0 ? 0 : beta * C[i][j])
 *
 * The strip is cut into panels of `panel_rows` rows, the last one lower. Element (i, k) of panel p is
 * a[p * a_panel + i * a_row + k * a_column]; B's rows and C's rows lie contiguously. Sums of one element
 * run over k upwards in one chain of fused multiply-adds, whatever the tile.
 */
typedef struct amps_gemm_strip {
    const float *a;
    size_t a_panel, a_row, a_column;
    const float *b;
    size_t b_row;
    float *c;
    size_t c_row;
    size_t rows, columns, interior;
    size_t panel_rows;
    float alpha, beta;
    bool prefetch_b; /* B comes from memory, not from a cache */
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
 * One row times a matrix, for B too large for the caches; B is read once from front to back:
 *
 *     c[j] += sum_k a[k * a_column] * b[k * b_row + j]
 */
typedef struct amps_gemm_row {
    const float *a;
    size_t a_column;
    const float *b;
    size_t b_row;
    float *c;
    size_t columns, interior;
} amps_gemm_row;

/* The f32 matmul microkernels of one instruction set. */
typedef struct amps_gemm_ukr {
    const char *name;  /* "f32_gemm_14x32__avx512" */
    size_t lanes;      /* f32 in a vector */
    size_t vectors;    /* widest strip, in vectors; at most 4 */
    size_t rows[4];    /* rows[v - 1]: highest panel of a strip of v vectors */
    size_t wide;       /* vectors of the strip to take where nothing speaks against it */
    void (*strip)(const amps_gemm_strip *strip);
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
