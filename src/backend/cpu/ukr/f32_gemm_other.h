/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_other.h: the templates of the f32 matmul microkernels that are no tile: dot products, one row times a
 * matrix, and the two copies that packing is made of. A microkernel file includes one vec_*.h, f32_gemm_strip.h,
 * then this file.
 */
#ifndef AMPS_F32_GEMM_OTHER_H
#define AMPS_F32_GEMM_OTHER_H

#include "f32_gemm_strip.h"

/* A dot block has at most 6 × 4 or 3 × 8 sums; with 16 registers 4 × 3, or 4 × 4 of which some are spilled. */
enum {
    DOT_LINES = 16,
    DOT_SUMS = 24,
    DOT_WIDE = VEC_REGISTERS >= 32 ? 8 : 4,
    DOT_ROWS = VEC_REGISTERS >= 32 ? 6 : 4,
    DOT_LANES_16 = VEC == 16,
    DOT_SHORT = 4 * VEC, /* so short sums of one row are added up sixteen at a time */
    ROW_STEP = 8,
    ROW_FEW = 3
};

/* `count` numbers side by side as a piece of C: alpha * x + beta * C. `room`: numbers that may be read. */
AMPS_INLINE void dot_piece(const float *x, int room, float *c, int count, tile_scale scale, vec alpha, vec beta)
{
#pragma GCC unroll 8
    for (int n = 0; n < count; n += VEC) {
        const vec_lanes lanes = vec_first(count - n < VEC ? (size_t)(count - n) : VEC);
        vec sum = n + VEC <= room ? vec_load(x + n) : vec_load_lanes(x + n, lanes);
        if (scale == TILE_ADDS) {
            sum = vec_combine(sum, alpha, vec_load_lanes(c + n, lanes), beta);
        } else if (scale == TILE_SCALES) {
            sum = vec_mul(alpha, sum);
        }
        vec_store_lanes(c + n, lanes, sum);
    }
}

/* `groups` × `length` numbers as rows of C that are `stride` apart. */
AMPS_INLINE void dot_pieces(const amps_gemm_dot *d, const float *x, float *c, size_t stride, int groups, int length,
                            tile_scale scale)
{
    const vec alpha = vec_set1(d->alpha), beta = vec_set1(d->beta);
    if (stride == (size_t)length) {
        const int count = groups * length, written = DOT_LANES_16 ? (count + 15) / 16 * 16 : count; /* by vec_sums */
        dot_piece(x, written, c, count, scale, alpha, beta);
        return;
    }
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
        dot_piece(x + g * length, length, c + (size_t)g * stride, length, scale, alpha, beta);
    }
}

AMPS_INLINE void dot_store(const amps_gemm_dot *d, const float *x, float *c, size_t stride, int groups, int length)
{
    if (d->beta != 0.0f) {
        dot_pieces(d, x, c, stride, groups, length, TILE_ADDS);
    } else if (d->alpha != 1.0f) {
        dot_pieces(d, x, c, stride, groups, length, TILE_SCALES);
    } else {
        dot_pieces(d, x, c, stride, groups, length, TILE_STORES);
    }
}

AMPS_INLINE void dot_sums(const vec *acc, int count, float *sums)
{
#pragma GCC unroll 2
    for (int n = 0; n < count; n += 16) {
        vec_sums(acc + n, count - n < 16 ? count - n : 16, sums + n);
    }
}

/* The block of C from its sums, written in the direction in which C is contiguous. */
AMPS_INLINE void dot_finish(const amps_gemm_dot *d, const vec *acc, float *c, int mr, int nr)
{
    float sums[DOT_SUMS + VEC];
    if (d->c_column == 1 && mr > 1) {
        dot_sums(acc, mr * nr, sums);
        dot_store(d, sums, c, d->c_row, mr, nr);
        return;
    }
    vec turned[DOT_SUMS];
#pragma GCC unroll 24
    for (int n = 0; n < mr * nr; n++) {
        turned[n] = acc[n % mr * nr + n / mr];
    }
    dot_sums(turned, mr * nr, sums);
    dot_store(d, sums, c, d->c_column, nr, mr);
}

/* Vector k of the lines a and b, or its first `lanes`. */
AMPS_INLINE void dot_step(vec *acc, const tile_a *a, size_t a_row, const tile_a *b, size_t b_row, size_t k, int mr,
                          int nr, const vec_lanes *lanes)
{
    vec y[DOT_LINES];
#pragma GCC unroll 16
    for (int j = 0; j < nr; j++) {
        const float *const from = &b->group[j / 4][(size_t)(j % 4) * b_row + k];
        y[j] = lanes == NULL ? vec_load(from) : vec_load_lanes(from, *lanes);
        y[j] = mr > 1 ? vec_keep(y[j]) : y[j];
    }
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        const float *const from = &a->group[i / 4][(size_t)(i % 4) * a_row + k];
        const vec x = lanes == NULL ? vec_load(from) : vec_load_lanes(from, *lanes);
#pragma GCC unroll 16
        for (int j = 0; j < nr; j++) {
            acc[i * nr + j] = vec_fma(x, y[j], acc[i * nr + j]);
        }
    }
}

AMPS_INLINE void dot_move(tile_a *at, int lines)
{
#pragma GCC unroll 4
    for (int g = 0; g * 4 < lines; g++) {
        at->group[g] += VEC;
    }
}

/* A block of mr × nr dot products; a and b are its first rows. */
AMPS_INLINE void dot_block(const amps_gemm_dot *d, const float *a, const float *b, float *c, int mr, int nr)
{
    const size_t a_row = d->a_row, b_row = d->b_row;
    tile_a a_at = tile_a_of(a, a_row, mr), b_at = tile_a_of(b, b_row, nr);
    vec acc[DOT_SUMS];
#pragma GCC unroll 24
    for (int i = 0; i < mr * nr; i++) {
        acc[i] = vec_zero();
    }
    size_t left = d->interior;
    for (; left >= VEC; left -= VEC) {
        dot_step(acc, &a_at, a_row, &b_at, b_row, 0, mr, nr, NULL);
        dot_move(&a_at, mr);
        dot_move(&b_at, nr);
    }
    if (left > 0) {
        const vec_lanes rest = vec_first(left);
        dot_step(acc, &a_at, a_row, &b_at, b_row, 0, mr, nr, &rest);
    }
    dot_finish(d, acc, c, mr, nr);
}

/* nr columns, all rows. Eight columns go with at most three rows. */
AMPS_INLINE void dot_columns(const amps_gemm_dot *d, const float *b, float *c, int nr)
{
    const float *a = d->a;
    size_t left = d->rows;
    for (; nr <= 4 && left > (size_t)DOT_ROWS; left -= 4, a += 4 * d->a_row, c += 4 * d->c_row) {
        dot_block(d, a, b, c, 4, nr);
    }
    switch (left) {
    case 1: dot_block(d, a, b, c, 1, nr); break;
    case 2: dot_block(d, a, b, c, 2, nr); break;
    case 3: dot_block(d, a, b, c, 3, nr); break;
    case 4: dot_block(d, a, b, c, 4, nr <= 4 ? nr : 0); break;
    case 5: dot_block(d, a, b, c, DOT_ROWS > 4 ? 5 : 0, nr <= 4 ? nr : 0); break;
    case 6: dot_block(d, a, b, c, DOT_ROWS > 4 ? 6 : 0, nr <= 4 ? nr : 0); break;
    default: break;
    }
}

static void dot(const amps_gemm_dot *d)
{
    const float *b = d->b;
    float *c = d->c;
    size_t left = d->columns;
    for (; DOT_LANES_16 && d->rows == 1 && d->interior <= DOT_SHORT && left >= 16;
         left -= 16, b += 16 * d->b_row, c += 16 * d->c_column) {
        dot_block(d, d->a, b, c, 1, DOT_LANES_16 ? 16 : 0);
    }
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

/*
 * Few rows times a matrix: `steps` rows of B are read side by side, front to back, each vector once for all rows of C:
 *
 *     A: rows × steps   [ splats ]      B: steps rows     ->  j
 *                                       C: one vector, or two, of each row at a time
 *
 * Up to ROW_FEW rows keep their splats in registers (24, with a vector of B and three sums); of more rows each splat is
 * loaded for two vectors of C (16 of B, 2 sums, 1 splat).
 */
AMPS_INLINE void row_vector(const amps_gemm_row *r, const vec *x, const float *b, float *c, int mr, int steps,
                            bool adds, const vec_lanes *lanes)
{
    const size_t b_row = r->b_row, c_row = r->c_row;
    vec sum[ROW_FEW];
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++) {
        const float *const from = c + (size_t)i * c_row;
        sum[i] = !adds ? vec_zero() : lanes == NULL ? vec_load(from) : vec_load_lanes(from, *lanes);
    }
#pragma GCC unroll 8
    for (int s = 0; s < steps; s++) {
        const float *const from = b + (size_t)s * b_row;
        const vec read = lanes == NULL ? vec_load(from) : vec_load_lanes(from, *lanes);
        const vec y = mr > 1 ? vec_keep(read) : read;
#pragma GCC unroll 4
        for (int i = 0; i < mr; i++) {
            sum[i] = vec_fma(x[i * steps + s], y, sum[i]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++) {
        if (lanes == NULL) {
            vec_store(c + (size_t)i * c_row, sum[i]);
        } else {
            vec_store_lanes(c + (size_t)i * c_row, *lanes, sum[i]);
        }
    }
}

/* `steps` of k for up to ROW_FEW rows. */
AMPS_INLINE void row_steps(const amps_gemm_row *r, const float *a, const float *b, int mr, int steps, bool adds)
{
    vec x[ROW_FEW * ROW_STEP];
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 8
        for (int s = 0; s < steps; s++) {
            x[i * steps + s] = vec_set1(a[(size_t)i * r->a_row + (size_t)s * r->a_column]);
        }
    }
    size_t j = 0;
    for (; j + VEC <= r->columns; j += VEC) {
        row_vector(r, x, b + j, r->c + j, mr, steps, adds, NULL);
    }
    if (j < r->columns) {
        const vec_lanes rest = vec_first(r->columns - j);
        row_vector(r, x, b + j, r->c + j, mr, steps, adds, &rest);
    }
}

AMPS_INLINE void row_some(const amps_gemm_row *r, const float *a, const float *b, int mr, int steps)
{
    if (r->adds || a != r->a) {
        row_steps(r, a, b, mr, steps, true);
    } else {
        row_steps(r, a, b, mr, steps, false);
    }
}

/* All of k for mr rows. */
AMPS_INLINE void row_few(const amps_gemm_row *r, int mr)
{
    const float *a = r->a, *b = r->b;
    size_t left = r->interior;
    for (; left >= ROW_STEP; left -= ROW_STEP, a += ROW_STEP * r->a_column, b += ROW_STEP * r->b_row) {
        row_some(r, a, b, mr, ROW_STEP);
    }
    switch (left) {
    case 1: row_some(r, a, b, mr, 1); break;
    case 2: row_some(r, a, b, mr, 2); break;
    case 3: row_some(r, a, b, mr, 3); break;
    case 4: row_some(r, a, b, mr, 4); break;
    case 5: row_some(r, a, b, mr, 5); break;
    case 6: row_some(r, a, b, mr, 6); break;
    case 7: row_some(r, a, b, mr, 7); break;
    default: break;
    }
}

/* Two vectors of every row. */
AMPS_INLINE void row_pair(const amps_gemm_row *r, const float *a, const float *b, float *c, int steps, bool adds)
{
    const size_t a_row = r->a_row, a_column = r->a_column, c_row = r->c_row;
    vec y[2 * ROW_STEP];
#pragma GCC unroll 8
    for (int s = 0; s < steps; s++) {
        y[2 * s] = vec_keep(vec_load(b + (size_t)s * r->b_row));
        y[2 * s + 1] = vec_keep(vec_load(b + (size_t)s * r->b_row + VEC));
    }
    for (size_t i = r->rows; i > 0; i--, a += a_row, c += c_row) {
        vec sum0 = adds ? vec_load(c) : vec_zero(), sum1 = adds ? vec_load(c + VEC) : vec_zero();
#pragma GCC unroll 8
        for (int s = 0; s < steps; s++) {
            const vec x = vec_set1(a[(size_t)s * a_column]);
            sum0 = vec_fma(x, y[2 * s], sum0);
            sum1 = vec_fma(x, y[2 * s + 1], sum1);
        }
        vec_store(c, sum0);
        vec_store(c + VEC, sum1);
    }
}

/* One vector of every row, or its first lanes. */
AMPS_INLINE void row_single(const amps_gemm_row *r, const float *a, const float *b, float *c, int steps, bool adds,
                            vec_lanes lanes)
{
    vec y[ROW_STEP];
#pragma GCC unroll 8
    for (int s = 0; s < steps; s++) {
        y[s] = vec_load_lanes(b + (size_t)s * r->b_row, lanes);
    }
    for (size_t i = r->rows; i > 0; i--, a += r->a_row, c += r->c_row) {
        vec sum = adds ? vec_load_lanes(c, lanes) : vec_zero();
#pragma GCC unroll 8
        for (int s = 0; s < steps; s++) {
            sum = vec_fma(vec_set1(a[(size_t)s * r->a_column]), y[s], sum);
        }
        vec_store_lanes(c, lanes, sum);
    }
}

AMPS_INLINE void row_many_steps(const amps_gemm_row *r, const float *a, const float *b, int steps, bool adds)
{
    size_t j = 0;
    for (; j + 2 * VEC <= r->columns; j += 2 * VEC) {
        row_pair(r, a, b + j, r->c + j, steps, adds);
    }
    for (; j < r->columns; j += VEC) {
        row_single(r, a, b + j, r->c + j, steps, adds, vec_first(r->columns - j < VEC ? r->columns - j : VEC));
    }
}

AMPS_INLINE void row_many_some(const amps_gemm_row *r, const float *a, const float *b, int steps)
{
    if (r->adds || a != r->a) {
        row_many_steps(r, a, b, steps, true);
    } else {
        row_many_steps(r, a, b, steps, false);
    }
}

static void row_many(const amps_gemm_row *r)
{
    const float *a = r->a, *b = r->b;
    size_t left = r->interior;
    for (; left >= ROW_STEP; left -= ROW_STEP, a += ROW_STEP * r->a_column, b += ROW_STEP * r->b_row) {
        row_many_some(r, a, b, ROW_STEP);
    }
    for (; left > 0; left--, a += r->a_column, b += r->b_row) {
        row_many_some(r, a, b, 1);
    }
}

static void row(const amps_gemm_row *r)
{
    switch (r->rows) {
    case 1: row_few(r, 1); break;
    case 2: row_few(r, 2); break;
    case 3: row_few(r, 3); break;
    default: row_many(r); break;
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
