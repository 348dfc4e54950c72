/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_ukr.h: what a matmul microkernel of narrow types (bf16, i8) is given. Filled by gemm_low.c and pack_low.c, read
 * by the files bf16_gemm_* and i8_gemm_* of this folder. Nothing here knows threads, blocking or memory.
 *
 * Both operands come packed in 32-bit words of `group` neighbours along k, as the machine's dot product
 * instructions want them; where k is no multiple of the group, zeros follow. A panel of A (rows side by side) or a
 * strip of B (columns side by side) is
 *
 *     head:      `width` words of the microkernel's own, written by `seal`
 *     word 0:    k 0 … group-1 of element 0, the same of element 1, … of element width-1
 *     word 1:    k group … 2·group-1 of each
 *       …
 */
#ifndef AMPS_LOW_UKR_H
#define AMPS_LOW_UKR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One strip of sums, at most `wide` vectors wide, any number of rows high:
 *
 *     f32:  C[i][j] = alpha * sum_k A[i][k] * B[k][j] + (beta == 0 ? 0 : beta * C[i][j])
 *     i32:  C[i][j] = sum_k A[i][k] * B[k][j] + (add ? C[i][j] : 0)    modulo 2^32
 *
 * in panels of `panel_rows` rows, the last one lower.
 */
typedef struct amps_low_strip {
    const uint32_t *a; /* the first panel's head; panels follow one another */
    const uint32_t *b; /* the strip's head */
    void *c;
    size_t c_row; /* in elements */
    size_t rows, columns, words;
    size_t panel_rows;
    float alpha, beta;
    bool add;
} amps_low_strip;

typedef struct amps_low_ukr {
    const char *name;   /* "bf16_gemm_14x32__avx512bf16" */
    size_t group;       /* elements in a word */
    size_t element;     /* bytes of one of them as the operand stores it */
    size_t lanes, wide; /* words in a vector, vectors in a strip */
    size_t rows;        /* highest panel */
    bool integer;       /* sums are i32 */
    void (*strip)(const amps_low_strip *strip);
    /* Rows of a matrix, `n` elements wide and row_bytes apart, to words: to[w * to_row + j] holds rows w·group …
       of column j; `interior` rows. */
    void (*interleave)(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n);
    /* n elements side by side along k to words, where words are not just their bytes; else NULL. */
    void (*line)(const unsigned char *from, uint32_t *to, size_t n);
    /* n i32 sums to f32 where they lie; NULL where sums are f32. */
    void (*convert)(uint32_t *sums, size_t n);
    /* Ends the packing of a panel (`left`) or strip: its head, and what the words need. */
    void (*seal)(uint32_t *panel, size_t width, size_t words, bool left);
} amps_low_ukr;

extern const amps_low_ukr amps_bf16_gemm_14x32__avx512bf16;
extern const amps_low_ukr amps_i8_gemm_14x32__avx512vnni;
extern const amps_low_ukr amps_i8_gemm_6x16__avx2;

#endif /* AMPS_LOW_UKR_H */
