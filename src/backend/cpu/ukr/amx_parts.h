/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amx_parts.h: the template of f32 matmul on tdpbf16ps. A microkernel file defines AMX_PARTS (2 or 3 bf16 of which each
 * element is the sum) and SUM_LEAST, then includes this file, which includes amx_tile.h and amx_careful.h and gives
 * AMX_PARTS_UKR.
 *
 * Packing first puts the f32 themselves at the end of the panel's or strip's room, 32 k a step. `seal` looks at their
 * exponents and, where they allow it, turns each step into parts h, (m,) l of pairs along k, from the front; the room
 * that they take ends before the steps still to be read:
 *
 *     raw:    head | with three parts, 512 words a step unused | 1024 words a step: A 32 rows by 32 k,
 *                                                                B 32 k by 32 columns
 *     parts:  head | 512 words a step and part: A 32 rows by 16 pairs, B 16 pairs by 16 columns twice
 *
 *     head:   least exponent, greatest exponent (biased; of what is not 0), whether there are parts
 */
#ifndef AMPS_AMX_PARTS_H
#define AMPS_AMX_PARTS_H

#include <string.h>

#include "low_store_avx512.h"

typedef __m512 sums;
#define AMX_STEP                   32
#define AMX_STORED                 (16 * AMX_PARTS)
#define AMX_DEPTH                  32
#define AMX_ADDS                   false
#define AMX_ROUNDS                 true
#define AMX_FIRST_LEFT             (512 * (AMX_PARTS - 1)) /* words: l is the last part */
#define AMX_DOT(sums, left, right) _tile_dpbf16ps(sums, left, right)

enum { HEAD_LEAST, HEAD_GREATEST, HEAD_PARTS };
enum { PART = 512, RAW = 1024, STORED = AMX_PARTS * PART, SPARE = STORED - RAW }; /* words of a step */

/*
 * Biased exponents. l is a multiple of 2^(e - 23), no subnormal if e - 127 - 23 >= -126; SUM_LEAST sees to it that no
 * sum of products is one. h may be rounded up to the next power of two; 2^40 products, each with its parts below
 * 2^(e + f - 254 + 3), stay below 2^127.
 */
enum { PARTS_LEAST = 24, PARTS_GREATEST = 252, SUM_GREATEST = 337, NO_EXPONENT = 1000 };

static inline bool exact(const uint32_t *a, const uint32_t *b)
{
    return a[HEAD_PARTS] != 0 && b[HEAD_PARTS] != 0 && (int32_t)a[HEAD_LEAST] + (int32_t)b[HEAD_LEAST] >= SUM_LEAST &&
           (int32_t)a[HEAD_GREATEST] + (int32_t)b[HEAD_GREATEST] <= SUM_GREATEST;
}

static void careful(const amps_low_strip *s, const uint32_t *a, unsigned char *c, size_t rows);

#include "amx_tile.h"

/* The nearest bf16, ties away from zero; as f32, whose lower half is 0. */
static inline __m512i nearest(__m512 x)
{
    const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    return _mm512_and_si512(bits, _mm512_set1_epi32((int)0xffff0000u));
}

typedef struct parts {
    __m512i part[AMX_PARTS];
} parts;

AMPS_INLINE parts cut(__m512 x)
{
    parts p;
#pragma GCC unroll 3
    for (int i = 0; i < AMX_PARTS; i++) { /* of three, the last is exact */
        p.part[i] = nearest(x);
        x = _mm512_sub_ps(x, _mm512_castsi512_ps(p.part[i]));
    }
    return p;
}

/* 32 rows of 32 elements side by side along k: pairs are neighbours. */
static void cut_left(const float *from, uint32_t *to)
{
    const __m512i ascending = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i four = _mm512_slli_epi32(ascending, 2);
    const __m512i upper = _mm512_or_si512(_mm512_add_epi32(four, _mm512_set1_epi32(1)),
                                          _mm512_slli_epi32(_mm512_add_epi32(four, _mm512_set1_epi32(3)), 16));
    for (size_t i = 0; i < AMX_WIDTH; i++, from += AMX_DEPTH, to += 16) {
        const parts first = cut(_mm512_load_ps(from)), second = cut(_mm512_load_ps(from + 16));
#pragma GCC unroll 3
        for (int p = 0; p < AMX_PARTS; p++) {
            _mm512_storeu_si512(to + p * PART, _mm512_permutex2var_epi16(first.part[p], upper, second.part[p]));
        }
    }
}

/* 32 k of 32 columns: pairs lie one above the other. */
static void cut_right(const float *from, uint32_t *to)
{
    for (size_t w = 0; w < 16; w++, from += 2 * AMX_WIDTH, to += 16) {
        for (size_t j = 0; j < AMX_WIDTH; j += 16) {
            const parts even = cut(_mm512_load_ps(from + j)), odd = cut(_mm512_load_ps(from + AMX_WIDTH + j));
#pragma GCC unroll 3
            for (int p = 0; p < AMX_PARTS; p++) {
                _mm512_storeu_si512(to + p * PART + j / 16 * AMX_TILE_WORDS,
                                    _mm512_or_si512(odd.part[p], _mm512_srli_epi32(even.part[p], 16)));
            }
        }
    }
}

/* Least and greatest exponent of what is not 0. */
static void range(const uint32_t *x, size_t count, uint32_t *head)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), one = _mm512_set1_epi32(1);
    __m512i least = _mm512_set1_epi32(-1), greatest = _mm512_setzero_si512();
    for (size_t i = 0; i < count; i += 16) {
        const __m512i size = _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude);
        least = _mm512_min_epu32(least, _mm512_sub_epi32(size, one));
        greatest = _mm512_max_epu32(greatest, size);
    }
    const uint32_t low = _mm512_reduce_min_epu32(least), high = _mm512_reduce_max_epu32(greatest);
    head[HEAD_LEAST] = low == UINT32_MAX ? NO_EXPONENT : (low + 1) >> 23;
    head[HEAD_GREATEST] = low == UINT32_MAX ? 0 : high >> 23;
}

static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    const size_t steps = (words + AMX_STEP - 1) / AMX_STEP;
    uint32_t *const to = panel_words + width;
    const uint32_t *const raw = to + steps * SPARE;
    range(raw, steps * RAW, panel_words);
    panel_words[HEAD_PARTS] = panel_words[HEAD_LEAST] >= PARTS_LEAST && panel_words[HEAD_GREATEST] <= PARTS_GREATEST;
    for (size_t t = 0; t < steps && panel_words[HEAD_PARTS] != 0; t++) {
        _Alignas(64) float step[RAW]; /* its parts may overlap it */
        memcpy(step, raw + t * RAW, sizeof step);
        (left ? cut_left : cut_right)(step, to + t * STORED);
    }
}

/* Step t of a panel as it was, or of its parts: 32 rows of 32 elements. */
static void unpack_left(const uint32_t *panel_words, size_t steps, size_t t, float *to)
{
    const uint32_t *const from = panel_words + AMX_WIDTH + t * STORED;
    if (panel_words[HEAD_PARTS] == 0) {
        memcpy(to, panel_words + AMX_WIDTH + steps * SPARE + t * RAW, RAW * sizeof *to);
        return;
    }
    for (size_t i = 0; i < PART; i += 8, to += 16) {
        __m512 sum = _mm512_setzero_ps();
        for (size_t p = AMX_PARTS; p > 0; p--) { /* from the smallest part on: each sum is exact */
            const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)(from + (p - 1) * PART + i));
            sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)));
        }
        _mm512_store_ps(to, sum);
    }
}

/* Step t of a strip likewise: 32 k of 32 columns. */
static void unpack_right(const uint32_t *strip_words, size_t steps, size_t t, float *to)
{
    const uint32_t *const from = strip_words + AMX_WIDTH + t * STORED;
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    if (strip_words[HEAD_PARTS] == 0) {
        memcpy(to, strip_words + AMX_WIDTH + steps * SPARE + t * RAW, RAW * sizeof *to);
        return;
    }
    for (size_t i = 0; i < PART; i += 16) {
        __m512 even = _mm512_setzero_ps(), odd = even;
        for (size_t p = AMX_PARTS; p > 0; p--) {
            const __m512i pair = _mm512_loadu_si512(from + (p - 1) * PART + i);
            even = _mm512_add_ps(even, _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16)));
            odd = _mm512_add_ps(odd, _mm512_castsi512_ps(_mm512_and_si512(pair, high)));
        }
        float *const row = to + i % AMX_TILE_WORDS / 16 * 2 * AMX_WIDTH + i / AMX_TILE_WORDS * 16;
        _mm512_store_ps(row, even);
        _mm512_store_ps(row + AMX_WIDTH, odd);
    }
}

#include "amx_careful.h"

/* Rows of f32 as they are. */
static void interleave(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to, size_t to_row,
                       size_t n)
{
    for (size_t k = 0; k < interior; k++, from += row_bytes, to += to_row) {
        for (size_t j = 0; j < n; j += 16) {
            const __mmask16 lanes = (__mmask16)(n - j < 16 ? (1u << (n - j)) - 1u : 0xffffu);
            _mm512_mask_storeu_epi32(to + j, lanes, _mm512_maskz_loadu_epi32(lanes, from + 4 * j));
        }
    }
}

/* The microkernel by that name. */
#define AMX_PARTS_UKR(text)                                                                                            \
    {                                                                                                                  \
        .name = (text), .group = 1, .element = 4, .lanes = 16, .wide = 2, .rows = AMX_WIDTH, .step = AMX_STEP,         \
        .stored = AMX_STORED, .strip = strip, .interleave = interleave, .pack_rows = pack_rows, .seal = seal,          \
    }

#endif /* AMPS_AMX_PARTS_H */
