/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bf16_gemm_32x32__amx.c: bf16 matmul on tdpbf16ps. Called by gemm_low.c through low_ukr.h; tiles, panels and strips
 * are in amx_tile.h.
 *
 * The instruction adds 32 products to each f32 sum: those of even and of odd k in two chains of fused multiply-adds
 * from zero, then both chains together, then to the sum, each step rounded to nearest; but it takes subnormals for
 * zero, in and out. The heads say where none can appear (low_bf16_avx512.h). C may hold one from elsewhere: it is added
 * outside.
 */
#include <string.h>

#include "low_bf16_avx512.h"
#include "low_store_avx512.h"

typedef __m512 sums;
#define AMX_STEP                   16
#define AMX_STORED                 16
#define AMX_DEPTH                  32
#define AMX_ADDS                   false
#define AMX_ROUNDS                 true
#define AMX_PARTS                  1
#define AMX_FIRST_LEFT             0
#define AMX_DOT(sums, left, right) _tile_dpbf16ps(sums, left, right)

static inline bool exact(const uint32_t *a, const uint32_t *b)
{
    return (int32_t)a[0] + (int32_t)b[0] >= LEAST_SUM;
}

static void careful(const amps_low_strip *s, const uint32_t *a, unsigned char *c, size_t rows);

#include "amx_tile.h"

/* Step t of a panel: 32 rows of 32 elements. */
static void unpack_left(const uint32_t *panel_words, size_t steps, size_t t, float *to)
{
    (void)steps;
    const uint32_t *from = panel_words + AMX_WIDTH * (1 + t * AMX_STEP);
    for (size_t i = 0; i < AMX_WIDTH * AMX_STEP; i += 8, to += 16) {
        const __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)(from + i));
        _mm512_store_si512(to, _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }
}

/* Step t of a strip: 32 rows of 32 columns. */
static void unpack_right(const uint32_t *strip_words, size_t steps, size_t t, float *to)
{
    (void)steps;
    const uint32_t *from = strip_words + AMX_WIDTH * (1 + t * AMX_STEP);
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    for (size_t w = 0; w < AMX_STEP; w++, from += 16, to += 2 * AMX_WIDTH) {
        for (size_t j = 0; j < AMX_WIDTH; j += 16) {
            const __m512i pair = _mm512_loadu_si512(from + j / 16 * AMX_TILE_WORDS);
            _mm512_store_si512(to + j, _mm512_slli_epi32(pair, 16));
            _mm512_store_si512(to + AMX_WIDTH + j, _mm512_and_si512(pair, high));
        }
    }
}

#include "amx_careful.h"

static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    if (!left) {
        part_strip(panel_words, words);
    }
    panel_words[0] =
        (uint32_t)least_exponent(panel_words + width, width * ((words + AMX_STEP - 1) / AMX_STEP * AMX_STEP));
}

const amps_low_ukr amps_bf16_gemm_32x32__amx = {
    .name = "bf16_gemm_32x32__amx",
    .group = 2,
    .element = 2,
    .lanes = 16,
    .wide = 2,
    .rows = AMX_WIDTH,
    .step = AMX_STEP,
    .stored = AMX_STORED,
    .strip = strip,
    .interleave = interleave,
    .pack_rows = pack_rows,
    .seal = seal,
};
