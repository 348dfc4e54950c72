/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_4x8__baseline.c: the f32 matmul microkernels of any machine. Called by gemm.c through gemm_ukr.h;
 * the arithmetic is in f32_gemm_strip.h, f32_gemm_outer.h and f32_gemm_other.h.
 *
 * Register budget of the full tile, 16 registers of SSE2: 4 * 2 sums, 2 of B, 1 splat of A, 2 of products.
 */
#include "vec_baseline.h"

#define GEMM_TILES(T)                               \
    T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) \
    T(1, 2) T(2, 2) T(3, 2) T(4, 2)
/* Strips of the usual width, panels of nearly the usual height. */
#define GEMM_PACKING_TILES(T) T(3, 2) T(4, 2)
#include "f32_gemm_strip.h"

#include "f32_gemm_outer.h"

#include "f32_gemm_other.h"

const amps_gemm_ukr amps_f32_gemm_4x8__baseline = {
    .name = "f32_gemm_4x8__baseline",
    .lanes = VEC,
    .half = VEC_HALF,
    .vectors = 2,
    .rows = { 6, 4 },
    .wide = 2,
    .stores = AMPS_GEMM_SUMS,
    .strip = strip,
    .outer = outer,
    .outer_interior = OUTER_INTERIOR,
    .dot = dot,
    .row = row,
    .transpose = transpose,
    .copy = copy,
};
