/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_strip.h: the template of every f32 matmul tile. A microkernel file includes one vec_*.h, then this
 * file, and dispatches to `strip_run` with constant tile shapes.
 *
 * One tile, MR rows by NV vectors, keeps all its sums in registers while k runs:
 *
 *                     B: interior rows, NV vectors each
 *                     k ->  [ b0 ][ b1 ]            NV registers
 *     A: MR rows      ---------------------
 *     a(0,k) splat    [acc00][acc01]                MR * NV registers
 *     a(1,k) splat    [acc10][acc11]
 *       …                …
 *
 * A packed panel holds a(0,k) … a(MR-1,k) next to one another, one k after the other, so that a_row is 1.
 */
#ifndef AMPS_F32_GEMM_STRIP_H
#define AMPS_F32_GEMM_STRIP_H

#include "gemm_ukr.h"

#define AMPS_INLINE static inline __attribute__((always_inline))

/* Shorter sums end before C could arrive. */
enum { STRIP_SUMS = 32, STRIP_VECTORS = 4, PREFETCH_INTERIOR = 64 };

/* The tile's sums into C. `row` is C's first element of the tile. */
AMPS_INLINE void tile_store(const amps_gemm_strip *s, const vec *acc, float *c, int mr, int nv, vec_lanes last)
{
    const vec alpha = vec_set1(s->alpha);
    const vec beta = vec_set1(s->beta);
    const bool plain = s->alpha == 1.0f && s->beta == 0.0f;
#pragma GCC unroll 32
    for (int i = 0; i < mr; i++, c += s->c_row) {
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            float *to = c + v * VEC;
            const bool whole = v + 1 < nv;
            vec x = acc[i * nv + v];
            if (!plain) {
                if (s->beta == 0.0f) {
                    x = vec_mul(alpha, x);
                } else {
                    const vec old = whole ? vec_load(to) : vec_load_lanes(to, last);
                    x = vec_combine(x, alpha, old, beta);
                }
            }
            if (whole) {
                vec_store(to, x);
            } else {
                vec_store_lanes(to, last, x);
            }
        }
    }
}

/* One tile. `unit`: a_row is 1, known when the code is made; `ahead`: B is prefetched `ahead` rows early. */
AMPS_INLINE void tile_run(const amps_gemm_strip *s, const float *a, float *c, int mr, int nv, bool unit, size_t ahead)
{
    const vec_lanes last = vec_first(s->columns - (size_t)(nv - 1) * VEC);
    const size_t a_row = unit ? 1 : s->a_row;
    const float *b = s->b;
    vec acc[STRIP_SUMS];
#pragma GCC unroll 32
    for (int i = 0; i < mr * nv; i++) {
        acc[i] = vec_zero();
    }
    if (s->interior >= PREFETCH_INTERIOR) {
#pragma GCC unroll 32
        for (int i = 0; i < mr; i++) {
            vec_prefetch(c + (size_t)i * s->c_row);
            vec_prefetch(c + (size_t)i * s->c_row + (nv - 1) * VEC);
        }
    }
    for (size_t k = s->interior; k > 0; k--) {
        vec row[STRIP_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            row[v] = v + 1 < nv ? vec_load(b + v * VEC) : vec_load_lanes(b + v * VEC, last);
            if (ahead > 0) {
                vec_prefetch(b + ahead * s->b_row + v * VEC);
            }
        }
#pragma GCC unroll 32
        for (int i = 0; i < mr; i++) {
            const vec x = vec_set1(a[(size_t)i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++) {
                acc[i * nv + v] = vec_fma(x, row[v], acc[i * nv + v]);
            }
        }
        a += s->a_column;
        b += s->b_row;
    }
    tile_store(s, acc, c, mr, nv, last);
}

AMPS_INLINE void panel_run(const amps_gemm_strip *s, const float *a, float *c, int mr, int nv)
{
    if (s->prefetch_b) {
        tile_run(s, a, c, mr, nv, false, 16);
    } else if (s->a_row == 1) {
        tile_run(s, a, c, mr, nv, true, 0);
    } else {
        tile_run(s, a, c, mr, nv, false, 0);
    }
}

#endif /* AMPS_F32_GEMM_STRIP_H */
