/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_8x12__neon.c: the f32 matmul microkernels of arm64. Called by gemm.c through gemm_ukr.h;
 * the arithmetic is in f32_gemm_strip.h, f32_gemm_outer.h and f32_gemm_other.h.
 *
 * Register budget of the full tile, 32 registers: 8 * 3 sums, 3 of B, 1 splat of A, 4 spare.
 */
#include "vec_neon.h"

#define GEMM_TILES(T)                                                                                           \
    T(1, 1) T(2, 1) T(3, 1) T(4, 1) T(5, 1) T(6, 1) T(7, 1) T(8, 1) T(9, 1) T(10, 1) T(11, 1) T(12, 1) T(13, 1) \
    T(14, 1) T(15, 1) T(16, 1)                                                                                  \
    T(1, 2) T(2, 2) T(3, 2) T(4, 2) T(5, 2) T(6, 2) T(7, 2) T(8, 2) T(9, 2) T(10, 2) T(11, 2) T(12, 2)          \
    T(1, 3) T(2, 3) T(3, 3) T(4, 3) T(5, 3) T(6, 3) T(7, 3) T(8, 3)
/* Strips of the usual width, panels of nearly the usual height. */
#define GEMM_PACKING_TILES(T) T(6, 3) T(7, 3) T(8, 3)
#include "f32_gemm_strip.h"

#include "f32_gemm_outer.h"

#include "f32_gemm_other.h"

const amps_gemm_ukr amps_f32_gemm_8x12__neon = {
    .name = "f32_gemm_8x12__neon",
    .lanes = VEC,
    .half = VEC_HALF,
    .vectors = 3,
    .rows = { 16, 12, 8 },
    .wide = 3,
    .stores = AMPS_GEMM_SUMS,
    .strip = strip,
    .outer = outer,
    .outer_interior = OUTER_INTERIOR,
    .dot = dot,
    .row = row,
    .transpose = transpose,
    .copy = copy,
};
