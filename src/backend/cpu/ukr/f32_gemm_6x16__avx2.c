/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_6x16__avx2.c: the f32 matmul microkernels of AVX2 with FMA. Called by gemm.c through gemm_ukr.h;
 * the arithmetic is in f32_gemm_strip.h, f32_gemm_outer.h and f32_gemm_other.h.
 *
 * Register budget of the full tile, 16 registers: 6 * 2 sums, 2 of B, 1 splat of A, 1 spare. Tiles of three
 * vectors keep the same 12 sums with 4 rows: they serve low matrices.
 */
#include "vec_avx2.h"

#define GEMM_TILES(T)                                               \
    T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(7, 1) T(8, 1) \
    T(1, 2) T(2, 2) T(3, 2) T(4, 2) T(5, 2) T(6, 2)                 \
    T(1, 3) T(2, 3) T(3, 3) T(4, 3)
/* Strips of the usual width, panels of nearly the usual height. */
#define GEMM_PACKING_TILES(T) T(4, 2) T(5, 2) T(6, 2)
#include "f32_gemm_strip.h"

#include "f32_gemm_outer.h"

#include "f32_gemm_other.h"

const amps_gemm_ukr amps_f32_gemm_6x16__avx2 = {
    .name = "f32_gemm_6x16__avx2",
    .lanes = VEC,
    .half = VEC_HALF,
    .vectors = 3,
    .rows = { 8, 6, 4 },
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
