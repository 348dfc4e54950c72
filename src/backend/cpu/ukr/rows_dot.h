/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_dot.h: products of few f32 rows with a 16-bit matrix, widened on the way into the multiplication, a part of
 * rows_template.h, which includes it. Called by gemm_vector.c. The matrix is read once, front to back; at read bandwidth
 * that leaves some five cycles for a vector of it, of which widening takes two.
 *
 * Registers of a block of four lines and four rows: 16 sums, four vectors of lines, one of a row.
 */
#ifndef AMPS_ROWS_DOT_H
#define AMPS_ROWS_DOT_H

enum { DOT16_LINES = 4, DOT16_MANY = 8, DOT16_ROWS = 4, ROW16_STEP = 8 };

/* Lane l of a sum takes the k with k mod VW = l, whatever the block. */
V_INLINE void dot16_block(const amps_dot16 *d, const float *a, const unsigned char *b, float *c, amps_row_type type,
                          size_t rows, size_t lines)
{
    VF sums[DOT16_ROWS * DOT16_LINES]; /* or 2 * DOT16_MANY */
    const amps_dot16 own = *d;
#pragma GCC unroll 16
    for (size_t i = 0; i < rows * lines; i++) {
        sums[i] = v_set(0.0f);
    }
    for (size_t k = 0; k < own.interior; k += VW) {
        const size_t count = own.interior - k < VW ? own.interior - k : VW;
        VF y[DOT16_MANY];
        if (count < VW) {
#pragma GCC unroll 8
            for (size_t j = 0; j < lines; j++) {
                y[j] = e_load(b + j * own.b_line_bytes, k, count, type, 0.0f);
            }
        } else {
#pragma GCC unroll 8
            for (size_t j = 0; j < lines; j++) {
                y[j] = e_load(b + j * own.b_line_bytes, k, VW, type, 0.0f);
            }
        }
#pragma GCC unroll 4
        for (size_t i = 0; i < rows; i++) {
            const float *const at = a + i * own.a_row + k;
            const VF x = count < VW ? v_load_part(at, count, 0.0f) : v_load(at);
#pragma GCC unroll 8
            for (size_t j = 0; j < lines; j++) {
                sums[i * lines + j] = v_fma(x, y[j], sums[i * lines + j]);
            }
        }
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < rows; i++) {
#pragma GCC unroll 8
        for (size_t j = 0; j < lines; j++) {
            c[i * own.c_row + j * own.c_line] = v_fold_add(sums[i * lines + j]);
        }
    }
}

/* All rows with `lines` lines. */
V_INLINE void dot16_lines(const amps_dot16 *d, const unsigned char *b, float *c, amps_row_type type, size_t lines)
{
    const float *a = d->a;
    size_t left = d->rows;
    for (; left >= 4; left -= 4, a += 4 * d->a_row, c += 4 * d->c_row) {
        dot16_block(d, a, b, c, type, 4, lines);
    }
    switch (left) {
    case 1: dot16_block(d, a, b, c, type, 1, lines); break;
    case 2: dot16_block(d, a, b, c, type, 2, lines); break;
    case 3: dot16_block(d, a, b, c, type, 3, lines); break;
    default: break;
    }
}

V_INLINE void dot16_typed(const amps_dot16 *d, amps_row_type type)
{
    const unsigned char *b = d->b;
    float *c = d->c;
    size_t left = d->lines;
    for (; d->rows == 1 && left >= DOT16_MANY;
         left -= DOT16_MANY, b += DOT16_MANY * d->b_line_bytes, c += DOT16_MANY * d->c_line) {
        dot16_block(d, d->a, b, c, type, 1, DOT16_MANY);
    }
    for (; left >= DOT16_LINES; left -= DOT16_LINES, b += DOT16_LINES * d->b_line_bytes, c += DOT16_LINES * d->c_line) {
        dot16_lines(d, b, c, type, DOT16_LINES);
    }
    for (; left > 0; left--, b += d->b_line_bytes, c += d->c_line) {
        dot16_lines(d, b, c, type, 1);
    }
}

static void dot16(const amps_dot16 *d)
{
    if (d->type == AMPS_ROW_F16) {
        dot16_typed(d, AMPS_ROW_F16);
    } else if (d->type == AMPS_ROW_BF16) {
        dot16_typed(d, AMPS_ROW_BF16);
    } else {
        dot16_typed(d, AMPS_ROW_I16);
    }
}

/* c += `steps` lines of B, each times its element of a; one vector of c is read and written once for them. `more`: as
   many lines follow, and are fetched meanwhile. */
V_INLINE void row16_steps(const amps_row16 *r, const float *a, const unsigned char *b, amps_row_type type, size_t steps,
                          int more)
{
    const amps_row16 own = *r;
    VF x[ROW16_STEP];
#pragma GCC unroll 8
    for (size_t s = 0; s < steps; s++) {
        x[s] = v_set(a[s]);
    }
    size_t j = 0;
    for (; j + VW <= own.columns; j += VW) {
        VF sum = v_load(own.c + j);
#pragma GCC unroll 8
        for (size_t s = 0; s < steps; s++) {
            if (more) {
                v_prefetch(element_at(b + (steps + s) * own.b_line_bytes, j, type));
            }
            sum = v_fma(x[s], e_load(b + s * own.b_line_bytes, j, VW, type, 0.0f), sum);
        }
        v_store(own.c + j, sum);
    }
    const size_t rest = own.columns - j;
    if (rest > 0) {
        VF sum = v_load_part(own.c + j, rest, 0.0f);
        for (size_t s = 0; s < steps; s++) {
            sum = v_fma(x[s], e_load(b + s * own.b_line_bytes, j, rest, type, 0.0f), sum);
        }
        v_store_part(own.c + j, sum, rest);
    }
}

/* The same for several rows: the lines are widened once, and each row of c takes all of them. */
V_INLINE void row16_many(const amps_row16 *r, const float *a, const unsigned char *b, amps_row_type type, size_t steps,
                         int more)
{
    const amps_row16 own = *r;
    for (size_t j = 0; j < own.columns; j += VW) {
        const size_t count = own.columns - j < VW ? own.columns - j : VW;
        VF y[ROW16_STEP];
#pragma GCC unroll 8
        for (size_t s = 0; s < steps; s++) {
            const unsigned char *const line = b + s * own.b_line_bytes;
            y[s] = count < VW ? e_load(line, j, count, type, 0.0f) : e_load(line, j, VW, type, 0.0f);
            if (more) {
                v_prefetch(element_at(line + steps * own.b_line_bytes, j, type));
            }
        }
        for (size_t i = 0; i < own.rows; i++) {
            const float *const x = a + i * own.a_row;
            float *const c = own.c + i * own.c_row + j;
            VF sum = count < VW ? v_load_part(c, count, 0.0f) : v_load(c);
#pragma GCC unroll 8
            for (size_t s = 0; s < steps; s++) {
                sum = v_fma(v_set(x[s]), y[s], sum);
            }
            if (count < VW) {
                v_store_part(c, sum, count);
            } else {
                v_store(c, sum);
            }
        }
    }
}

V_INLINE void row16_rows(const amps_row16 *r, amps_row_type type)
{
    const unsigned char *b = r->b;
    size_t k = 0;
    for (; k + ROW16_STEP <= r->interior; k += ROW16_STEP, b += ROW16_STEP * r->b_line_bytes) {
        row16_many(r, r->a + k, b, type, ROW16_STEP, k + 2 * ROW16_STEP <= r->interior);
    }
    for (; k < r->interior; k++, b += r->b_line_bytes) {
        row16_many(r, r->a + k, b, type, 1, 0);
    }
}

V_INLINE void row16_typed(const amps_row16 *r, amps_row_type type)
{
    const unsigned char *b = r->b;
    size_t k = 0;
    if (r->rows > 1) {
        row16_rows(r, type);
        return;
    }
    for (; k + 2 * ROW16_STEP <= r->interior; k += ROW16_STEP, b += ROW16_STEP * r->b_line_bytes) {
        row16_steps(r, r->a + k, b, type, ROW16_STEP, 1);
    }
    for (; k + ROW16_STEP <= r->interior; k += ROW16_STEP, b += ROW16_STEP * r->b_line_bytes) {
        row16_steps(r, r->a + k, b, type, ROW16_STEP, 0);
    }
    for (; k < r->interior; k++, b += r->b_line_bytes) {
        row16_steps(r, r->a + k, b, type, 1, 0);
    }
}

static void row16(const amps_row16 *r)
{
    if (r->type == AMPS_ROW_F16) {
        row16_typed(r, AMPS_ROW_F16);
    } else if (r->type == AMPS_ROW_BF16) {
        row16_typed(r, AMPS_ROW_BF16);
    } else {
        row16_typed(r, AMPS_ROW_I16);
    }
}

#endif /* AMPS_ROWS_DOT_H */
