/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_dot8.h: one row of i8 times an i8 matrix in i32 sums, modulo 2^32, a part of rows_template.h, which
 * includes it. Called by gemm_vector.c. Bytes are widened to i16, whose products are added in pairs; the matrix is read
 * once, front to back.
 *
 *     I_BYTES            elements of a step: 2 * VW
 *     VB, VI             a vector of I_BYTES i16; one of VW i32 sums
 *     b_load(p)          I_BYTES bytes widened
 *     i_zero()  i_load(p)  i_store(p, v)
 *     i_dot(s, a, b)     s plus the products of a and b, in any lanes
 *     i_fold(s)          the sum of all lanes
 *     i_pairs(s, r, q, pair)   s[0], s[1] plus k0 * r + k1 * q, column by column, in an order of the machine's own;
 *                        pair = k0 & 0xffff | k1 << 16
 *     i_columns(s)       s[0], s[1] brought into the order of the columns
 */
#ifndef AMPS_ROWS_DOT8_H
#define AMPS_ROWS_DOT8_H

enum { DOT8_LINES = 8, ROW8_PAIRS = 4 };

#if !V_MASKS
/* Of n < I_BYTES bytes, zeros behind. */
V_INLINE VB b_load_part(const void *p, size_t n)
{
    unsigned char bytes[I_BYTES] = {0};
    __builtin_memcpy(bytes, p, n);
    return b_load(bytes);
}
#endif

V_INLINE void dot8_lines(const amps_dot8 *d, const unsigned char *b, int32_t *c, size_t lines)
{
    VI sums[DOT8_LINES];
    const amps_dot8 own = *d;
#pragma GCC unroll 8
    for (size_t j = 0; j < lines; j++) {
        sums[j] = i_zero();
    }
    for (size_t k = 0; k < own.interior; k += I_BYTES) {
        const size_t count = own.interior - k;
        const VB x = count < I_BYTES ? b_load_part(own.a + k, count) : b_load(own.a + k);
#pragma GCC unroll 8
        for (size_t j = 0; j < lines; j++) {
            const unsigned char *const at = b + j * own.b_line_bytes + k;
            sums[j] = i_dot(sums[j], x, count < I_BYTES ? b_load_part(at, count) : b_load(at));
        }
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < lines; j++) {
        c[j] = i_fold(sums[j]);
    }
}

static void dot8(const amps_dot8 *d)
{
    const unsigned char *b = d->b;
    int32_t *c = d->c;
    size_t left = d->lines;
    for (; left >= DOT8_LINES; left -= DOT8_LINES, b += DOT8_LINES * d->b_line_bytes, c += DOT8_LINES) {
        dot8_lines(d, b, c, DOT8_LINES);
    }
    for (; left > 0; left--, b += d->b_line_bytes, c++) {
        dot8_lines(d, b, c, 1);
    }
}

/* Elements k and k + 1 of a, the second 0 where there is none. */
V_INLINE int32_t pair_of(const amps_row8 *r, size_t k)
{
    const int32_t second = k + 1 < r->interior ? r->a[k + 1] : 0;
    return (int32_t)((uint32_t)r->a[k] & 0xffffu) | (int32_t)((uint32_t)second << 16);
}

/* `pairs` pairs of lines from k on; the last one's second line is not there if `odd`. One step of columns of c is read and
   written once for them. */
V_INLINE void row8_pairs(const amps_row8 *r, size_t k, size_t pairs, int odd)
{
    const amps_row8 own = *r;
    const unsigned char *const b = own.b + k * own.b_line_bytes;
    const size_t ahead = 2 * ROW8_PAIRS * own.b_line_bytes;
    const int more = k + 4 * ROW8_PAIRS <= own.interior;
    int32_t x[ROW8_PAIRS];
#pragma GCC unroll 4
    for (size_t p = 0; p < pairs; p++) {
        x[p] = pair_of(r, k + 2 * p);
    }
    for (size_t j = 0; j < own.columns; j += I_BYTES) {
        const size_t count = own.columns - j;
        VI sums[2] = {i_load(own.c + j), i_load(own.c + j + VW)};
#pragma GCC unroll 4
        for (size_t p = 0; p < pairs; p++) {
            const unsigned char *const at = b + 2 * p * own.b_line_bytes + j;
            const unsigned char *const second = odd ? at : at + own.b_line_bytes;
            if (more) {
                v_prefetch(at + ahead);
                v_prefetch(second + ahead);
            }
            if (count < I_BYTES) {
                i_pairs(sums, b_load_part(at, count), b_load_part(second, count), x[p]);
            } else {
                i_pairs(sums, b_load(at), b_load(second), x[p]);
            }
        }
        i_store(own.c + j, sums[0]);
        i_store(own.c + j + VW, sums[1]);
    }
}

static void row8(const amps_row8 *r)
{
    size_t k = 0;
    for (size_t j = 0; j < r->columns; j += I_BYTES) {
        i_store(r->c + j, i_zero());
        i_store(r->c + j + VW, i_zero());
    }
    for (; k + 2 * ROW8_PAIRS <= r->interior; k += 2 * ROW8_PAIRS) {
        row8_pairs(r, k, ROW8_PAIRS, 0);
    }
    for (; k + 2 <= r->interior; k += 2) {
        row8_pairs(r, k, 1, 0);
    }
    if (k < r->interior) {
        row8_pairs(r, k, 1, 1);
    }
    for (size_t j = 0; j < r->columns; j += I_BYTES) {
        VI sums[2] = {i_load(r->c + j), i_load(r->c + j + VW)};
        i_columns(sums);
        i_store(r->c + j, sums[0]);
        i_store(r->c + j + VW, sums[1]);
    }
}

#endif /* AMPS_ROWS_DOT8_H */
