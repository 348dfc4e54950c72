/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_ukr.h: what a matmul microkernel of narrow types (bf16, f16, i8, i16), or of f32 cut into bf16 parts, is given.
 * Filled by gemm_low.c and pack_low.c, read by the files bf16_gemm_*, f16_gemm_*, half_gemm_*, i8_gemm_* and
 * f32_*gemm_32x32__amx of this folder. Nothing here knows threads, blocking or memory.
 *
 * Both operands come packed in 32-bit words of `group` neighbours along k, as the machine's dot product
 * instructions want them, or one by one as f32 (group 1); where k is no multiple of the group, zeros follow. A panel of
 * A (rows side by side) or a strip of B (columns side by side) is
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

/* Words behind the panels of A that a microkernel may read without using them. */
enum { AMPS_LOW_SLACK = 4 };

/* The sums themselves (f32 or i32), or f32 sums rounded to nearest even; then beta is 0. I32, of low_small.h only: f32
   sums that are whole. */
typedef enum amps_low_result { AMPS_LOW_SUMS, AMPS_LOW_F16, AMPS_LOW_BF16, AMPS_LOW_I32 } amps_low_result;

/*
 * One strip of sums, at most `wide` vectors wide, any number of rows high:
 *
 *     f32:  C[i][j] = alpha * sum_k A[i][k] * B[k][j] + (beta == 0 ? 0 : beta * C[i][j])
 *     i32:  C[i][j] = sum_k A[i][k] * B[k][j] + (add ? C[i][j] : 0)    modulo 2^32
 *
 * in panels of `panel_rows` rows, the last one lower.
 */
typedef struct amps_low_strip {
    const uint32_t *a;    /* the first panel's head; panels follow one another */
    const uint32_t *b;    /* the strip's head */
    const uint32_t *next; /* that of the strip that comes after it, to be fetched meanwhile; NULL: none */
    /* For `in_place` instead: a are rows of words a_row apart, without heads, and B is read where it lies. */
    size_t a_row;
    const unsigned char *b_rows;
    size_t b_row_bytes;
    void *c;
    size_t c_row_bytes;
    amps_low_result result; /* what C holds */
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
    /* 0, or: the words of a panel are filled up with zeros to a multiple of `step`, and each step takes `stored` words
       of an element's room. Packing puts the words at the end of that room, `seal` may rearrange them. A panel of A has
       `rows` rows then, filled up with zeros too, and holds, step by step, each row's words side by side. */
    size_t step, stored;
    bool integer; /* sums are i32 */
    void (*strip)(const amps_low_strip *strip);
    /* The same with B's rows as the operand has them; NULL where there is none. */
    void (*in_place)(const amps_low_strip *strip);
    /* Rows of a matrix, `n` elements wide and row_bytes apart, to words: to[w * to_row + j] holds rows w·group …
       of column j; `interior` rows. */
    void (*interleave)(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n);
    /* `lines` lines of n elements side by side along k, row_bytes apart, to words to_row apart; NULL where words are
       just the elements' bytes. */
    void (*lines)(const unsigned char *from, size_t row_bytes, size_t lines, uint32_t *to, size_t to_row, size_t n);
    /* For `step`: up to `rows` lines of `bytes` bytes, row_bytes apart, into the steps of a panel. */
    void (*pack_rows)(const unsigned char *from, size_t row_bytes, size_t rows, size_t bytes, uint32_t *to);
    /* n i32 sums to f32 where they lie; NULL where sums are f32. */
    void (*convert)(uint32_t *sums, size_t n);
    /* Ends the packing of a panel (`left`) or strip: its head, and what the words need. NULL: nothing to do. */
    void (*seal)(uint32_t *panel, size_t width, size_t words, bool left);
} amps_low_ukr;

extern const amps_low_ukr amps_f32_gemm_32x32__amx;
extern const amps_low_ukr amps_f32_reduced_gemm_32x32__amx;
extern const amps_low_ukr amps_bf16_gemm_32x32__amx;
extern const amps_low_ukr amps_i8_gemm_32x32__amx;
extern const amps_low_ukr amps_bf16_gemm_14x32__avx512bf16;
extern const amps_low_ukr amps_f16_gemm_14x32__avx512;
extern const amps_low_ukr amps_bf16_gemm_14x32__avx512;
extern const amps_low_ukr amps_i16_gemm_14x32__avx512;
extern const amps_low_ukr amps_f16_gemm_6x16__avx2;
extern const amps_low_ukr amps_bf16_gemm_6x16__avx2;
extern const amps_low_ukr amps_i16_gemm_6x16__avx2;
extern const amps_low_ukr amps_i8_gemm_14x32__avx512vnni;
extern const amps_low_ukr amps_i8_gemm_6x16__avx2;
extern const amps_low_ukr amps_f16_gemm_8x12__neon;
extern const amps_low_ukr amps_bf16_gemm_8x12__neon;
extern const amps_low_ukr amps_i16_gemm_8x12__neon;
extern const amps_low_ukr amps_i8_gemm_8x12__neon;
extern const amps_low_ukr amps_f16_gemm_8x12__neonfhm;
extern const amps_low_ukr amps_i8_gemm_8x12__neondot;
extern const amps_low_ukr amps_i8_gemm_8x12__neoni8mm;
extern const amps_low_ukr amps_bf16_gemm_8x12__neonbf16;

#endif /* AMPS_LOW_UKR_H */
