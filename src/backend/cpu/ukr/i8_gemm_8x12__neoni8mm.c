/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8_gemm_8x12__neoni8mm.c: i8 matmul tiles on SMMLA (FEAT_I8MM), added modulo 2^32. Called by gemm_low.c through
 * low_ukr.h; the inner loop and its registers are in low_mmla_neon.h. The heads are not used.
 */
#define LOW_INTEGER 1
#include "low_neon.h"

AMPS_INLINE sums mmla(sums acc, uint32x4_t a, uint32x4_t b)
{
    return vmmlaq_s32(acc, vreinterpretq_s8_u32(a), vreinterpretq_s8_u32(b));
}

#include "low_mmla_neon.h"

#include "low_tile.h"

static void strip(const amps_low_strip *s)
{
    panels(s);
}

static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n)
{
    interleave_bytes(from, row_bytes, interior, to, to_row, n);
}

static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    (void)left;
    zip_words(panel_words + width, width, words);
}

const amps_low_ukr amps_i8_gemm_8x12__neoni8mm = {
    .name = "i8_gemm_8x12__neoni8mm",
    .group = 4,
    .element = 1,
    .lanes = LOW_LANES,
    .wide = LOW_WIDE,
    .rows = LOW_ROWS,
    .integer = true,
    .strip = strip,
    .interleave = interleave,
    .convert = convert,
    .seal = seal,
};
