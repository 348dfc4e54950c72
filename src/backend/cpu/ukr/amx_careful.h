/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amx_careful.h: a block of an AMX kernel on fused multiply-adds in f32, for operands that the tiles would not multiply
 * by the rules (they take subnormals for zero). A microkernel file with AVX-512 defines AMX_STEP, AMX_DEPTH
 * (elements along k of a step), `unpack_left` and `unpack_right` (one of so many steps as f32, 32 rows by AMX_DEPTH
 * and AMX_DEPTH by 32 columns), then includes amx_tile.h and this file, which gives `careful`.
 */
#ifndef AMPS_AMX_CAREFUL_H
#define AMPS_AMX_CAREFUL_H

#include "amx_tile.h"

enum { CAREFUL_HEIGHT = 8 };

/* acc += a * b for eight rows of a step. */
AMPS_INLINE void careful_rows(const float *a, const float *b, float *acc)
{
    __m512 sum[2 * CAREFUL_HEIGHT];
#pragma GCC unroll 16
    for (int i = 0; i < 2 * CAREFUL_HEIGHT; i++) {
        sum[i] = _mm512_load_ps(acc + 16 * i);
    }
    for (int k = 0; k < AMX_DEPTH; k++, b += AMX_WIDTH) {
        const __m512 left = _mm512_load_ps(b), right = _mm512_load_ps(b + 16);
#pragma GCC unroll 8
        for (int i = 0; i < CAREFUL_HEIGHT; i++) {
            const __m512 x = _mm512_set1_ps(a[i * AMX_DEPTH + k]);
            sum[2 * i] = _mm512_fmadd_ps(x, left, sum[2 * i]);
            sum[2 * i + 1] = _mm512_fmadd_ps(x, right, sum[2 * i + 1]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 2 * CAREFUL_HEIGHT; i++) {
        _mm512_store_ps(acc + 16 * i, sum[i]);
    }
}

/* One panel; a and s->b point to the heads. */
static void careful(const amps_low_strip *s, const uint32_t *a, unsigned char *c, size_t rows)
{
    _Alignas(64) float left[AMX_WIDTH * AMX_DEPTH], right[AMX_DEPTH * AMX_WIDTH];
    _Alignas(64) float acc[AMX_WIDTH * AMX_WIDTH] = {0};
    _Alignas(64) uint32_t kept[AMX_WIDTH * AMX_WIDTH];
    for (size_t t = 0; t < amx_steps(s); t++) {
        unpack_left(a, amx_steps(s), t, left);
        unpack_right(s->b, amx_steps(s), t, right);
        for (size_t i = 0; i < rows; i += CAREFUL_HEIGHT) {
            careful_rows(left + i * AMX_DEPTH, right, acc + i * AMX_WIDTH);
        }
    }
    memcpy(kept, acc, sizeof kept);
    store_rows(s, kept, c, rows);
}

#endif /* AMPS_AMX_CAREFUL_H */
