/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_in_place.h: the template of tiles that widen B's 16-bit rows as they read them, for products so low or small that
 * packing would take longer. A microkernel file includes low_tile.h, defines place_load, then includes this file, which
 * gives `place_panels`. A comes as rows of words; the rest is as in low_tile.h.
 */
#ifndef AMPS_LOW_IN_PLACE_H
#define AMPS_LOW_IN_PLACE_H

#include "low_tile.h"

AMPS_INLINE void place_tile(const amps_low_strip *s, const uint32_t *a, unsigned char *c, int mr, int nv, low_half half)
{
    const unsigned char *b = s->b_rows;
    const size_t last = s->columns - (size_t)(nv - 1) * LOW_LANES;
    sums acc[LOW_SUMS];
#pragma GCC unroll 28
    for (int i = 0; i < mr * nv; i++) {
        acc[i] = low_first(NULL);
    }
    for (size_t w = s->words; w > 0; w--, a++, b += s->b_row_bytes) {
        word row[LOW_WIDE];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            row[v] = place_load(b + v * LOW_LANES * 2, v + 1 < nv ? LOW_LANES : last, half);
        }
        __builtin_prefetch(b + LOW_STRIP * 2); /* the next strip's: rows are too many streams for the machine */
#pragma GCC unroll 14
        for (int i = 0; i < mr; i++) {
            const word x = low_splat(a[(size_t)i * s->a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++) {
                acc[i * nv + v] = low_dot(acc[i * nv + v], x, row[v]);
            }
        }
    }
    tile_store(s, acc, c, mr, nv);
}

AMPS_INLINE void place_rows(const amps_low_strip *s, const uint32_t *a, unsigned char *c, size_t rows, int nv,
                            low_half half)
{
    switch (rows) {
    case 1: place_tile(s, a, c, 1, nv, half); break;
    case 2: place_tile(s, a, c, 2, nv, half); break;
    case 3: place_tile(s, a, c, 3, nv, half); break;
    case 4: place_tile(s, a, c, 4, nv, half); break;
    case 5: place_tile(s, a, c, 5, nv, half); break;
    case 6: place_tile(s, a, c, 6, nv, half); break;
#if LOW_ROWS > 6
    case 7: place_tile(s, a, c, 7, nv, half); break;
    case 8: place_tile(s, a, c, 8, nv, half); break;
#endif
#if LOW_ROWS > 8
    case 9: place_tile(s, a, c, 9, nv, half); break;
    case 10: place_tile(s, a, c, 10, nv, half); break;
    case 11: place_tile(s, a, c, 11, nv, half); break;
    case 12: place_tile(s, a, c, 12, nv, half); break;
    case 13: place_tile(s, a, c, 13, nv, half); break;
    case 14: place_tile(s, a, c, 14, nv, half); break;
#endif
    default: break;
    }
}

AMPS_INLINE void place_panels(const amps_low_strip *s, low_half half)
{
    const uint32_t *a = s->a;
    unsigned char *c = s->c;
    for (size_t left = s->rows; left > 0;) {
        const size_t rows = left < s->panel_rows ? left : s->panel_rows;
        if (s->columns > LOW_LANES * (LOW_WIDE - 1)) {
            place_rows(s, a, c, rows, LOW_WIDE, half);
#if LOW_WIDE == 3
        } else if (s->columns > LOW_LANES) {
            place_rows(s, a, c, rows, 2, half);
#endif
        } else {
            place_rows(s, a, c, rows, 1, half);
        }
        left -= rows;
        a += rows * s->a_row;
        c += rows * s->c_row_bytes;
    }
}

#endif /* AMPS_LOW_IN_PLACE_H */
