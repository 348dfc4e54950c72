/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_tile.h: the template of the tiles of narrow types. A microkernel file defines `word` and `sums` (vectors of
 * words and of sums), LOW_LANES, LOW_WIDE (1 to 3), LOW_ROWS (at most 14), low_load, low_splat, low_first, low_dot
 * (or, with LOW_OWN_WORDS, the inner loop low_words itself), low_store (one vector of sums with all that follows),
 * low_is_plain (is that a mere store?), low_lanes with low_first_lanes, and low_put (that store, whole or of some
 * lanes), then includes this file, which gives `panel` and `panels`.
 *
 * One tile keeps MR rows by NV vectors of sums in registers while the words run; every word of B is loaded once,
 * every word of A spread over a vector:
 *
 *                      B: words, NV vectors each
 *                      w ->  [ b0 ][ b1 ]            NV registers
 *     A: MR rows       ---------------------
 *     a(0,w) splat     [acc00][acc01]                MR * NV registers
 *     a(1,w) splat     [acc10][acc11]
 *       …                 …
 */
#ifndef AMPS_LOW_TILE_H
#define AMPS_LOW_TILE_H

#include "low_ukr.h"

#ifndef AMPS_INLINE
#define AMPS_INLINE static inline __attribute__((always_inline))
#endif

enum { LOW_STRIP = LOW_LANES * LOW_WIDE, LOW_SUMS = 28 };

/* A 16-bit type that is widened to f32. */
typedef enum low_half { LOW_F16, LOW_BF16, LOW_I16 } low_half;

/* The tile's sums, `acc` by rows of nv vectors, into C with all that follows. Out of line: the tiles' own code stays
   short enough for the instruction cache. */
static __attribute__((noinline)) void finish_tile(const amps_low_strip *s, const sums *acc, unsigned char *c, int mr,
                                                  int nv)
{
    const size_t size = s->result == AMPS_LOW_SUMS ? 4 : 2;
    for (int i = 0; i < mr; i++, c += s->c_row_bytes) {
        for (int v = 0; v < nv; v++) {
            const size_t past = (size_t)v * LOW_LANES;
            low_store(s, c + past * size, acc[i * nv + v], v + 1 < nv ? LOW_LANES : s->columns - past);
        }
    }
}

AMPS_INLINE void tile_store(const amps_low_strip *s, const sums *acc, unsigned char *c, int mr, int nv)
{
    if (!low_is_plain(s)) {
        sums kept[LOW_SUMS];
#pragma GCC unroll 28
        for (int i = 0; i < mr * nv; i++) {
            kept[i] = acc[i];
        }
        finish_tile(s, kept, c, mr, nv);
        return;
    }
    const low_lanes last = low_first_lanes(s->columns - (size_t)(nv - 1) * LOW_LANES);
#pragma GCC unroll 14
    for (int i = 0; i < mr; i++, c += s->c_row_bytes) {
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            low_put(c + v * LOW_LANES * 4, v + 1 < nv, last, acc[i * nv + v]);
        }
    }
}

/* a, b: the words behind the heads. */
#ifndef LOW_OWN_WORDS
AMPS_INLINE void low_words(const amps_low_strip *s, const uint32_t *a, const uint32_t *b, sums *acc, int mr, int nv)
{
    for (size_t w = s->words; w > 0; w--) {
        word row[LOW_WIDE];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            row[v] = low_load(b + v * LOW_LANES);
        }
#pragma GCC unroll 14
        for (int i = 0; i < mr; i++) {
            const word x = low_splat(a[i]);
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++) {
                acc[i * nv + v] = low_dot(acc[i * nv + v], x, row[v]);
            }
        }
        a += s->panel_rows;
        b += LOW_STRIP;
    }
}
#endif

/* The same with `head`, B's. */
AMPS_INLINE void tile(const amps_low_strip *s, const uint32_t *a, const uint32_t *b, const uint32_t *head,
                      unsigned char *c, int mr, int nv)
{
    sums acc[LOW_SUMS];
#pragma GCC unroll 28
    for (int i = 0; i < mr * nv; i++) {
        acc[i] = low_first(head + i % nv * LOW_LANES);
    }
    low_words(s, a, b, acc, mr, nv);
    tile_store(s, acc, c, mr, nv);
}

AMPS_INLINE void panel_rows(const amps_low_strip *s, const uint32_t *a, const uint32_t *b, const uint32_t *head,
                            unsigned char *c, size_t rows, int nv)
{
    switch (rows) {
    case 1: tile(s, a, b, head, c, 1, nv); break;
    case 2: tile(s, a, b, head, c, 2, nv); break;
    case 3: tile(s, a, b, head, c, 3, nv); break;
    case 4: tile(s, a, b, head, c, 4, nv); break;
#if LOW_ROWS > 4
    case 5: tile(s, a, b, head, c, 5, nv); break;
    case 6: tile(s, a, b, head, c, 6, nv); break;
#endif
#if LOW_ROWS > 6
    case 7: tile(s, a, b, head, c, 7, nv); break;
    case 8: tile(s, a, b, head, c, 8, nv); break;
#endif
#if LOW_ROWS > 8
    case 9: tile(s, a, b, head, c, 9, nv); break;
    case 10: tile(s, a, b, head, c, 10, nv); break;
    case 11: tile(s, a, b, head, c, 11, nv); break;
    case 12: tile(s, a, b, head, c, 12, nv); break;
    case 13: tile(s, a, b, head, c, 13, nv); break;
    case 14: tile(s, a, b, head, c, 14, nv); break;
#endif
    default: break;
    }
}

/* One panel of `rows` rows; a and s->b point to the heads. */
static void panel(const amps_low_strip *s, const uint32_t *a, unsigned char *c, size_t rows)
{
    const uint32_t *words = a + s->panel_rows;
    if (s->columns > LOW_LANES * (LOW_WIDE - 1)) {
        panel_rows(s, words, s->b + LOW_STRIP, s->b, c, rows, LOW_WIDE);
#if LOW_WIDE == 3
    } else if (s->columns > LOW_LANES) {
        panel_rows(s, words, s->b + LOW_STRIP, s->b, c, rows, 2);
#endif
    } else {
        panel_rows(s, words, s->b + LOW_STRIP, s->b, c, rows, 1);
    }
}

/* All panels of a strip. */
AMPS_INLINE void panels(const amps_low_strip *s)
{
    const uint32_t *a = s->a;
    unsigned char *c = s->c;
    for (size_t left = s->rows; left > 0;) {
        const size_t rows = left < s->panel_rows ? left : s->panel_rows;
        panel(s, a, c, rows);
        left -= rows;
        a += s->panel_rows * (s->words + 1);
        c += rows * s->c_row_bytes;
    }
}

#endif /* AMPS_LOW_TILE_H */
