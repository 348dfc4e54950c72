/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_other.h: the templates of the f32 matmul microkernels that are no tile: dot products, one row times a
 * matrix, and the two copies that packing is made of. A microkernel file includes one vec_*.h, f32_gemm_strip.h,
 * then this file.
 */
#ifndef AMPS_F32_GEMM_OTHER_H
#define AMPS_F32_GEMM_OTHER_H

#include "f32_gemm_strip.h"

/* A dot block has at most 4 × 4 or 3 × 8 sums; the latter where there are 32 registers. */
enum { DOT_COLUMNS = 8, DOT_SUMS = 24, DOT_WIDE = VEC_REGISTERS >= 32 ? 8 : 4, ROW_STEP = 8 };

/* The block of C from its sums. */
AMPS_INLINE void dot_store(const amps_gemm_dot *d, const vec *acc, float *c, int mr, int nr)
{
    const size_t c_row = d->c_row, c_column = d->c_column;
    const float alpha = d->alpha, beta = d->beta;
    float sums[DOT_SUMS + VEC];
#pragma GCC unroll 2
    for (int n = 0; n < mr * nr; n += 16) {
        vec_sums(acc + n, mr * nr - n < 16 ? mr * nr - n : 16, sums + n);
    }
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 8
        for (int j = 0; j < nr; j++) {
            float *to = c + (size_t)i * c_row + (size_t)j * c_column;
            const float sum = sums[i * nr + j];
            *to = beta == 0.0f ? alpha * sum : vec_fma1(alpha, sum, beta * *to);
        }
    }
}

/* A block of mr × nr dot products; a and b are its first rows. */
AMPS_INLINE void dot_block(const amps_gemm_dot *d, const float *a, const float *b, float *c, int mr, int nr)
{
    vec acc[DOT_SUMS];
#pragma GCC unroll 32
    for (int i = 0; i < mr * nr; i++) {
        acc[i] = vec_zero();
    }
    size_t k = 0;
    for (; k + VEC <= d->interior; k += VEC) {
        vec y[DOT_COLUMNS];
#pragma GCC unroll 8
        for (int j = 0; j < nr; j++) {
            y[j] = vec_load(b + (size_t)j * d->b_row + k);
        }
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
            const vec x = vec_load(a + (size_t)i * d->a_row + k);
#pragma GCC unroll 8
            for (int j = 0; j < nr; j++) {
                acc[i * nr + j] = vec_fma(x, y[j], acc[i * nr + j]);
            }
        }
    }
    if (k < d->interior) {
        const vec_lanes rest = vec_first(d->interior - k);
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++) {
            const vec x = vec_load_lanes(a + (size_t)i * d->a_row + k, rest);
#pragma GCC unroll 8
            for (int j = 0; j < nr; j++) {
                const vec y = vec_load_lanes(b + (size_t)j * d->b_row + k, rest);
                acc[i * nr + j] = vec_fma(x, y, acc[i * nr + j]);
            }
        }
    }
    dot_store(d, acc, c, mr, nr);
}

/* nr columns, all rows. Eight columns go with at most three rows. */
AMPS_INLINE void dot_columns(const amps_gemm_dot *d, const float *b, float *c, int nr)
{
    const float *a = d->a;
    size_t left = d->rows;
    for (; nr <= 4 && left >= 4; left -= 4, a += 4 * d->a_row, c += 4 * d->c_row) {
        dot_block(d, a, b, c, 4, nr);
    }
    switch (left) {
    case 1: dot_block(d, a, b, c, 1, nr); break;
    case 2: dot_block(d, a, b, c, 2, nr); break;
    case 3: dot_block(d, a, b, c, 3, nr); break;
    default: break;
    }
}

static void dot(const amps_gemm_dot *d)
{
    const float *b = d->b;
    float *c = d->c;
    size_t left = d->columns;
    for (; DOT_WIDE > 4 && d->rows <= 3 && left >= 8; left -= 8, b += 8 * d->b_row, c += 8 * d->c_column) {
        dot_columns(d, b, c, DOT_WIDE);
    }
    for (; left >= 4; left -= 4, b += 4 * d->b_row, c += 4 * d->c_column) {
        dot_columns(d, b, c, 4);
    }
    switch (left) {
    case 1: dot_columns(d, b, c, 1); break;
    case 2: dot_columns(d, b, c, 2); break;
    case 3: dot_columns(d, b, c, 3); break;
    default: break;
    }
}

/* c += `steps` rows of B, each times its element of A; one vector of c is read and written once a step. */
AMPS_INLINE void row_steps(const amps_gemm_row *r, const float *a, const float *b, int steps)
{
    vec x[ROW_STEP];
#pragma GCC unroll 8
    for (int s = 0; s < steps; s++) {
        x[s] = vec_set1(a[(size_t)s * r->a_column]);
    }
    size_t j = 0;
    for (; j + VEC <= r->columns; j += VEC) {
        vec sum = vec_load(r->c + j);
#pragma GCC unroll 8
        for (int s = 0; s < steps; s++) {
            sum = vec_fma(x[s], vec_load(b + (size_t)s * r->b_row + j), sum);
        }
        vec_store(r->c + j, sum);
    }
    if (j < r->columns) {
        const vec_lanes rest = vec_first(r->columns - j);
        vec sum = vec_load_lanes(r->c + j, rest);
#pragma GCC unroll 8
        for (int s = 0; s < steps; s++) {
            sum = vec_fma(x[s], vec_load_lanes(b + (size_t)s * r->b_row + j, rest), sum);
        }
        vec_store_lanes(r->c + j, rest, sum);
    }
}

static void row(const amps_gemm_row *r)
{
    size_t k = 0;
    for (; k + ROW_STEP <= r->interior; k += ROW_STEP) {
        row_steps(r, r->a + k * r->a_column, r->b + k * r->b_row, ROW_STEP);
    }
    for (; k < r->interior; k++) {
        row_steps(r, r->a + k * r->a_column, r->b + k * r->b_row, 1);
    }
}

static void transpose(const float *from, size_t from_row, float *to, size_t to_row, size_t rows, size_t columns)
{
    for (size_t j = 0; j < columns; j += VEC) {
        const size_t width = columns - j < VEC ? columns - j : VEC;
        for (size_t i = 0; i < rows; i += VEC) {
            const size_t height = rows - i < VEC ? rows - i : VEC;
            vec_transpose(from + i * from_row + j, from_row, to + j * to_row + i, to_row, height, width);
        }
    }
}

static void copy(const float *from, size_t from_row, float *to, size_t to_row, size_t rows, size_t columns)
{
    const vec_lanes rest = vec_first(columns % VEC);
    for (size_t i = 0; i < rows; i++, from += from_row, to += to_row) {
        size_t j = 0;
        for (; j + VEC <= columns; j += VEC) {
            vec_store(to + j, vec_load(from + j));
        }
        if (j < columns) {
            vec_store_lanes(to + j, rest, vec_load_lanes(from + j, rest));
        }
    }
}

#endif /* AMPS_F32_GEMM_OTHER_H */
