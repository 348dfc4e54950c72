/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_flat.h: the template of products with fewer columns than a vector has lanes, whose C lies in one piece: its
 * vectors hold parts of several rows, so that no lane is idle and no store crosses a line that others do not. A
 * microkernel file includes one vec_*.h with vec_index, f32_gemm_strip.h, then this file.
 *
 *     columns = 3:   C  | c00 c01 c02 c10 | c11 c12 c20 c21 | c22 …        vectors of, say, four lanes
 *                    A  | a0  a0  a0  a1  | a1  a1  a2  a2  | a2  …        picked from the rows of one vector of A
 *                    B  | b0  b1  b2  b0  | b1  b2  b0  b1  | b2  …        the same again after three vectors
 */
#ifndef AMPS_F32_GEMM_FLAT_H
#define AMPS_F32_GEMM_FLAT_H

#include "f32_gemm_strip.h"

enum { FLAT_INTERIOR = 5 };

/* What the vectors of C that begin in one column share. The elements of A for its lanes lie within one vector. */
typedef struct flat_phase {
    vec_index from; /* A's elements, counted from the row of the first lane */
    size_t row;     /* of the first lane, counted from the first phase's */
    vec b[FLAT_INTERIOR];
} flat_phase;

/* Vectors of C until one begins with a row again. */
AMPS_INLINE size_t flat_phases(size_t columns)
{
    size_t phases = columns;
    for (size_t lanes = VEC; phases % 2 == 0 && lanes > 1; lanes /= 2) {
        phases /= 2;
    }
    return phases;
}

AMPS_INLINE void flat_fill(const amps_gemm_strip *s, flat_phase *phases, size_t count, int kc)
{
    const size_t n = s->columns;
    vec b[FLAT_INTERIOR];
#pragma GCC unroll 5
    for (int k = 0; k < kc; k++) {
        b[k] = vec_load_lanes(s->b + (size_t)k * s->b_row, vec_first(n));
    }
    size_t column = 0, row = 0;
    for (size_t p = 0; p < count; p++) {
        vec_index rows, columns;
        vec_index_divide(column, n, &rows, &columns);
        phases[p].from = vec_index_times(rows, kc);
        phases[p].row = row;
#pragma GCC unroll 5
        for (int k = 0; k < kc; k++) {
            phases[p].b[k] = vec_pick(b[k], columns);
        }
        for (column += VEC; column >= n; column -= n) {
            row++;
        }
    }
}

/* One vector of C from the vector of A that begins with its first row. */
AMPS_INLINE vec flat_vector(const flat_phase *phase, vec a, int kc)
{
    vec sum = vec_zero();
#pragma GCC unroll 5
    for (int k = 0; k < kc; k++) {
        sum = vec_fma(vec_pick(a, vec_index_add(phase->from, k)), phase->b[k], sum);
    }
    return sum;
}

AMPS_INLINE void flat_run(const amps_gemm_strip *s, int kc)
{
    flat_phase phases[VEC];
    const size_t count = flat_phases(s->columns), step = count * VEC / s->columns * (size_t)kc;
    const float *a = s->a;
    float *c = s->c;
    size_t left = s->rows * (size_t)kc, to_write = s->rows * s->columns;
    flat_fill(s, phases, count, kc);
    for (; left >= step + VEC; left -= step, a += step, to_write -= count * VEC) {
        for (size_t p = 0; p < count; p++, c += VEC) {
            vec_store(c, flat_vector(&phases[p], vec_load(a + phases[p].row * (size_t)kc), kc));
        }
    }
    for (size_t p = 0; to_write > 0; c += VEC) {
        const size_t past = phases[p].row * (size_t)kc, write = to_write < VEC ? to_write : VEC;
        const vec x = vec_load_lanes(a + past, vec_first(left - past < VEC ? left - past : VEC));
        vec_store_lanes(c, vec_first(write), flat_vector(&phases[p], x, kc));
        to_write -= write;
        if (++p == count) {
            p = 0;
            a += step;
            left -= step;
        }
    }
}

/* A product whose A and C lie in one piece, with 1 ≤ interior ≤ FLAT_INTERIOR, alpha 1 and beta 0. */
static void flat(const amps_gemm_strip *s)
{
    switch (s->interior) {
    case 1: flat_run(s, 1); break;
    case 2: flat_run(s, 2); break;
    case 3: flat_run(s, 3); break;
    case 4: flat_run(s, 4); break;
    case 5: flat_run(s, 5); break;
    default: break;
    }
}

#endif /* AMPS_F32_GEMM_FLAT_H */
