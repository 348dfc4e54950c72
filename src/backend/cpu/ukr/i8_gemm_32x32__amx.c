/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8_gemm_32x32__amx.c: i8 matmul on tdpbssd: 64 products of signed bytes are added to each i32 sum, modulo 2^32.
 * Called by gemm_low.c through low_ukr.h; tiles, panels and strips are in amx_tile.h. Heads are not used.
 */
#include <string.h>

#include "low_i8_avx512.h"

typedef __m512i sums;
#define AMX_STEP                   16
#define AMX_STORED                 16
#define AMX_ADDS                   true
#define AMX_ROUNDS                 false
#define AMX_PARTS                  1
#define AMX_FIRST_LEFT             0
#define AMX_DOT(sums, left, right) _tile_dpbssd(sums, left, right)

static inline bool exact(const uint32_t *a, const uint32_t *b)
{
    (void)a;
    (void)b;
    return true;
}

static inline void careful(const amps_low_strip *s, const uint32_t *a, unsigned char *c, size_t rows)
{
    (void)s;
    (void)a;
    (void)c;
    (void)rows;
}

#include "amx_tile.h"

static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    (void)width;
    if (!left) {
        part_strip(panel_words, words);
    }
}

const amps_low_ukr amps_i8_gemm_32x32__amx = {
    .name = "i8_gemm_32x32__amx",
    .group = 4,
    .element = 1,
    .lanes = 16,
    .wide = 2,
    .rows = AMX_WIDTH,
    .step = AMX_STEP,
    .stored = AMX_STORED,
    .integer = true,
    .strip = strip,
    .interleave = interleave,
    .pack_rows = pack_rows,
    .convert = convert,
    .seal = seal,
};
