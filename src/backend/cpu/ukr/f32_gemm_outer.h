/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_outer.h: the template of products with an interior of at most OUTER_INTERIOR: C is written row by row, since
 * its stores decide. A microkernel file includes one vec_*.h, f32_gemm_strip.h, then this file.
 *
 * Up to four rows of C at a time; their elements of A stay in registers while the rows of B pass:
 *
 *                        B: interior rows          ->  j
 *     A: rows × interior [ splats in registers ]   C: one vector of each row at a time
 */
#ifndef AMPS_F32_GEMM_OUTER_H
#define AMPS_F32_GEMM_OUTER_H

#include "f32_gemm_strip.h"

#include <stdint.h>

/* C_AHEAD: so many elements of a row of C, if that is not in the caches, are asked for before they are written.
   LINES_COLUMNS: where one product makes an element, stores across two lines cost more than to begin so long rows with a
   part of a vector; with two, the loads of B that then cross lines cost as much. A C that is not in the caches is then
   written so whatever its rows, one at a time, and not asked for. */
enum { OUTER_INTERIOR = VEC_REGISTERS / 4, OUTER_ROWS = 4, C_AHEAD = 256, LINES_COLUMNS = 256 };

/* One vector of mr rows, whole or its `lanes`. */
AMPS_INLINE void outer_vector(const vec *x, const float *b, size_t b_row, float *c, size_t c_row, int mr, int kc,
                              const vec_lanes *lanes, tile_scale scale, vec alpha, vec beta)
{
    vec y[OUTER_INTERIOR];
#pragma GCC unroll 8
    for (int k = 0; k < kc; k++) {
        const float *from = b + (size_t)k * b_row;
        y[k] = lanes == NULL ? vec_load(from) : vec_load_lanes(from, *lanes);
        y[k] = mr > 1 ? vec_keep(y[k]) : y[k];
    }
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++) {
        vec sum = vec_fma(x[i * kc], y[0], vec_zero());
#pragma GCC unroll 8
        for (int k = 1; k < kc; k++) {
            sum = vec_fma(x[i * kc + k], y[k], sum);
        }
        float *to = c + (size_t)i * c_row;
        if (scale == TILE_ADDS) {
            sum = vec_combine(sum, alpha, lanes == NULL ? vec_load(to) : vec_load_lanes(to, *lanes), beta);
        } else if (scale == TILE_SCALES) {
            sum = vec_mul(alpha, sum);
        }
        if (lanes == NULL) {
            vec_store(to, sum);
        } else {
            vec_store_lanes(to, *lanes, sum);
        }
    }
}

AMPS_INLINE void outer_rows(const amps_gemm_strip *s, const float *a, float *c, int mr, int kc, tile_scale scale)
{
    const size_t b_row = s->b_row, c_row = s->c_row, columns = s->columns;
    const bool fetch = s->fetch_c;
    const float *b = s->b;
    const vec alpha = vec_set1(s->alpha), beta = vec_set1(s->beta);
    vec x[OUTER_ROWS * OUTER_INTERIOR];
#pragma GCC unroll 4
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 8
        for (int k = 0; k < kc; k++) {
            x[i * kc + k] = vec_set1(a[(size_t)i * s->a_row + (size_t)k * s->a_column]);
        }
    }
    size_t j = 0;
    for (; j + VEC <= columns; j += VEC) {
        if (fetch) {
#pragma GCC unroll 4
            for (int i = 0; i < mr; i++) {
                vec_prefetch_write(c + (size_t)i * c_row + j + C_AHEAD);
            }
        }
        outer_vector(x, b + j, b_row, c + j, c_row, mr, kc, NULL, scale, alpha, beta);
    }
    if (j < columns) {
        const vec_lanes rest = vec_first(columns - j);
        outer_vector(x, b + j, b_row, c + j, c_row, mr, kc, &rest, scale, alpha, beta);
    }
}

/* One row of C in whole lines and two ends; with `past_caches` its lines are stored past them. */
AMPS_INLINE void outer_lines(const amps_gemm_strip *s, const float *a, float *c, int kc, tile_scale scale,
                             bool past_caches)
{
    const size_t columns = s->columns, past = (uintptr_t)c / sizeof *c % VEC;
    const float *b = s->b;
    const vec alpha = vec_set1(s->alpha);
    vec x[OUTER_INTERIOR];
#pragma GCC unroll 8
    for (int k = 0; k < kc; k++) {
        x[k] = vec_set1(a[(size_t)k * s->a_column]);
    }
    size_t j = past == 0 ? 0 : VEC - past < columns ? VEC - past : columns;
    if (j > 0) {
        const vec_lanes first = vec_first(j);
        outer_vector(x, b, s->b_row, c, 0, 1, kc, &first, scale, alpha, alpha);
    }
    for (; j + VEC <= columns; j += VEC) {
        vec sum = vec_fma(x[0], vec_load(b + j), vec_zero());
#pragma GCC unroll 8
        for (int k = 1; k < kc; k++) {
            sum = vec_fma(x[k], vec_load(b + (size_t)k * s->b_row + j), sum);
        }
        sum = scale == TILE_SCALES ? vec_mul(alpha, sum) : sum;
        if (past_caches) {
            vec_stream(c + j, sum);
        } else {
            vec_store(c + j, sum);
        }
    }
    if (j < columns) {
        const vec_lanes rest = vec_first(columns - j);
        outer_vector(x, b + j, s->b_row, c + j, 0, 1, kc, &rest, scale, alpha, alpha);
    }
}

/* All rows, as many at a time as the registers hold. */
AMPS_INLINE void outer_run(const amps_gemm_strip *s, int kc, tile_scale scale)
{
    const int room = (VEC_REGISTERS - 4 - kc) / kc;
    const int step = room < OUTER_ROWS ? room : OUTER_ROWS;
    const float *a = s->a;
    float *c = s->c;
    size_t left = s->rows;
    if (s->stream_c && scale != TILE_ADDS && (uintptr_t)c % sizeof *c == 0) {
        for (; left > 0; left--, a += s->a_row, c += s->c_row) {
            outer_lines(s, a, c, kc, scale, true);
        }
        vec_stream_end();
        return;
    }
    const bool cross = s->c_row % VEC != 0 || (uintptr_t)c % (VEC * sizeof *c) != 0;
    const bool lines = s->fetch_c || (cross && s->columns >= LINES_COLUMNS);
    if (kc == 1 && lines && scale != TILE_ADDS && (uintptr_t)c % sizeof *c == 0) {
        for (; left > 0; left--, a += s->a_row, c += s->c_row) {
            outer_lines(s, a, c, kc, scale, false);
        }
        return;
    }
    for (; left >= (size_t)step; left -= (size_t)step, a += (size_t)step * s->a_row, c += (size_t)step * s->c_row) {
        outer_rows(s, a, c, step, kc, scale);
    }
    switch (left) {
    case 1: outer_rows(s, a, c, 1, kc, scale); break;
    case 2: outer_rows(s, a, c, 2, kc, scale); break;
    case 3: outer_rows(s, a, c, 3, kc, scale); break;
    default: break;
    }
}

#define OUTER_FUNCTION(kc)                                                                                             \
    static void outer_##kc(const amps_gemm_strip *s)                                                                   \
    {                                                                                                                  \
        if (s->beta != 0.0f) {                                                                                         \
            outer_run(s, kc, TILE_ADDS);                                                                               \
        } else if (s->alpha != 1.0f) {                                                                                 \
            outer_run(s, kc, TILE_SCALES);                                                                             \
        } else {                                                                                                       \
            outer_run(s, kc, TILE_STORES);                                                                             \
        }                                                                                                              \
    }

OUTER_FUNCTION(1)
OUTER_FUNCTION(2)
OUTER_FUNCTION(3)
OUTER_FUNCTION(4)
#if VEC_REGISTERS_32
OUTER_FUNCTION(5)
OUTER_FUNCTION(6)
OUTER_FUNCTION(7)
OUTER_FUNCTION(8)
#endif

/* A product with 1 ≤ interior ≤ OUTER_INTERIOR, neither operand packed. */
static void outer(const amps_gemm_strip *s)
{
    static void (*const of[])(const amps_gemm_strip *) = {
        outer_1,
        outer_2,
        outer_3,
        outer_4,
#if VEC_REGISTERS_32
        outer_5,
        outer_6,
        outer_7,
        outer_8,
#endif
    };
    of[s->interior - 1](s);
}

#endif /* AMPS_F32_GEMM_OUTER_H */
