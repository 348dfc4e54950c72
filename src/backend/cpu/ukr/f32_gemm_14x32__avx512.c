/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_14x32__avx512.c: the f32 matmul microkernels of AVX-512. Called by gemm.c through gemm_ukr.h;
 * the arithmetic is in f32_gemm_strip.h, f32_gemm_outer.h, f32_gemm_flat.h and f32_gemm_other.h.
 *
 * Register budget, 32 registers: a tile of 14 × 2 vectors has 28 sums, 2 of B, 1 splat of A, 1 spare; one of 7 × 4, the
 * usual one, 28 sums and 4 of B, its splats come from memory. Tiles of five to eight vectors serve a few rows.
 */
#include "vec_avx512.h"

#define GEMM_TILES(T)                                                                                           \
    T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(7, 1) T(8, 1) T(9, 1) T(10, 1) T(11, 1) T(12, 1) T(13, 1) \
    T(14, 1) T(15, 1) T(16, 1)                                                                                  \
    T(1, 2) T(2, 2) T(3, 2) T(4, 2) T(5, 2) T(6, 2) T(7, 2) T(8, 2) T(9, 2) T(10, 2) T(11, 2) T(12, 2) T(13, 2) \
    T(14, 2)                                                                                                    \
    T(1, 3) T(2, 3) T(3, 3) T(4, 3) T(5, 3) T(6, 3) T(7, 3) T(8, 3) T(9, 3)                                     \
    T(1, 4) T(2, 4) T(3, 4) T(4, 4) T(5, 4) T(6, 4) T(7, 4)                                                     \
    T(1, 5) T(2, 5) T(3, 5) T(4, 5) T(1, 6) T(2, 6) T(3, 6) T(4, 6)                                                                             \
    T(1, 7) T(2, 7) T(3, 7) T(1, 8) T(2, 8) T(3, 8)
/* Strips of the usual width, panels of nearly the usual height. */
#define GEMM_PACKING_TILES(T) T(4, 4) T(5, 4) T(6, 4) T(7, 4)
#include "f32_gemm_strip.h"

#include "f32_gemm_outer.h"

#include "f32_gemm_flat.h"

#include "f32_gemm_other.h"

const amps_gemm_ukr amps_f32_gemm_14x32__avx512 = {
    .name = "f32_gemm_14x32__avx512",
    .lanes = VEC,
    .half = VEC_HALF,
    .vectors = 8,
    .rows = { 16, 14, 9, 7, 4, 4, 3, 3 },
    .wide = 4,
    .stores = 16,
    .strip = strip,
    .outer = outer,
    .flat_interior = FLAT_INTERIOR,
    .flat = flat,
    .outer_interior = OUTER_INTERIOR,
    .dot = dot,
    .row = row,
    .transpose = transpose,
    .copy = copy,
};
