/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_14x32__avx512.c: the f32 matmul microkernels of AVX-512. Called by gemm.c through gemm_ukr.h;
 * the arithmetic is in f32_gemm_strip.h and f32_gemm_other.h.
 *
 * Register budget of the full tile, 32 registers: 14 * 2 sums, 2 of B, 1 splat of A, 1 spare. Tiles of three
 * and four vectors keep as many sums with fewer rows: they serve low matrices.
 * Longer than the house limit as a table: each case is one tile with constant sizes.
 */
#include "vec_avx512.h"

#include "f32_gemm_strip.h"

#include "f32_gemm_other.h"

static void panel_1(const amps_gemm_strip *s, const float *a, float *c, size_t rows)
{
    switch (rows) {
    case 1: panel_run(s, a, c, 1, 1); break;
    case 2: panel_run(s, a, c, 2, 1); break;
    case 3: panel_run(s, a, c, 3, 1); break;
    case 4: panel_run(s, a, c, 4, 1); break;
    case 5: panel_run(s, a, c, 5, 1); break;
    case 6: panel_run(s, a, c, 6, 1); break;
    case 7: panel_run(s, a, c, 7, 1); break;
    case 8: panel_run(s, a, c, 8, 1); break;
    case 9: panel_run(s, a, c, 9, 1); break;
    case 10: panel_run(s, a, c, 10, 1); break;
    case 11: panel_run(s, a, c, 11, 1); break;
    case 12: panel_run(s, a, c, 12, 1); break;
    case 13: panel_run(s, a, c, 13, 1); break;
    case 14: panel_run(s, a, c, 14, 1); break;
    case 15: panel_run(s, a, c, 15, 1); break;
    case 16: panel_run(s, a, c, 16, 1); break;
    default: break;
    }
}

static void panel_2(const amps_gemm_strip *s, const float *a, float *c, size_t rows)
{
    switch (rows) {
    case 1: panel_run(s, a, c, 1, 2); break;
    case 2: panel_run(s, a, c, 2, 2); break;
    case 3: panel_run(s, a, c, 3, 2); break;
    case 4: panel_run(s, a, c, 4, 2); break;
    case 5: panel_run(s, a, c, 5, 2); break;
    case 6: panel_run(s, a, c, 6, 2); break;
    case 7: panel_run(s, a, c, 7, 2); break;
    case 8: panel_run(s, a, c, 8, 2); break;
    case 9: panel_run(s, a, c, 9, 2); break;
    case 10: panel_run(s, a, c, 10, 2); break;
    case 11: panel_run(s, a, c, 11, 2); break;
    case 12: panel_run(s, a, c, 12, 2); break;
    case 13: panel_run(s, a, c, 13, 2); break;
    case 14: panel_run(s, a, c, 14, 2); break;
    default: break;
    }
}

static void panel_3(const amps_gemm_strip *s, const float *a, float *c, size_t rows)
{
    switch (rows) {
    case 1: panel_run(s, a, c, 1, 3); break;
    case 2: panel_run(s, a, c, 2, 3); break;
    case 3: panel_run(s, a, c, 3, 3); break;
    case 4: panel_run(s, a, c, 4, 3); break;
    case 5: panel_run(s, a, c, 5, 3); break;
    case 6: panel_run(s, a, c, 6, 3); break;
    case 7: panel_run(s, a, c, 7, 3); break;
    case 8: panel_run(s, a, c, 8, 3); break;
    case 9: panel_run(s, a, c, 9, 3); break;
    default: break;
    }
}

static void panel_4(const amps_gemm_strip *s, const float *a, float *c, size_t rows)
{
    switch (rows) {
    case 1: panel_run(s, a, c, 1, 4); break;
    case 2: panel_run(s, a, c, 2, 4); break;
    case 3: panel_run(s, a, c, 3, 4); break;
    case 4: panel_run(s, a, c, 4, 4); break;
    case 5: panel_run(s, a, c, 5, 4); break;
    case 6: panel_run(s, a, c, 6, 4); break;
    case 7: panel_run(s, a, c, 7, 4); break;
    default: break;
    }
}

static void strip(const amps_gemm_strip *s)
{
    const size_t vectors = (s->columns + VEC - 1) / VEC;
    const float *a = s->a;
    float *c = s->c;
    for (size_t left = s->rows; left > 0;) {
        const size_t rows = left < s->panel_rows ? left : s->panel_rows;
        switch (vectors) {
        case 1: panel_1(s, a, c, rows); break;
        case 2: panel_2(s, a, c, rows); break;
        case 3: panel_3(s, a, c, rows); break;
        case 4: panel_4(s, a, c, rows); break;
        default: break;
        }
        left -= rows;
        a += s->a_panel;
        c += rows * s->c_row;
    }
}

const amps_gemm_ukr amps_f32_gemm_14x32__avx512 = {
    .name = "f32_gemm_14x32__avx512",
    .lanes = VEC,
    .vectors = 4,
    .rows = { 16, 14, 9, 7 },
    .wide = 2,
    .strip = strip,
    .dot = dot,
    .row = row,
    .transpose = transpose,
    .copy = copy,
};
