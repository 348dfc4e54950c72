/* SPDX-License-Identifier: Apache-2.0 */
/*
 * i8_gemm_14x32__avx512vnni.c: i8 matmul tiles on vpdpbusd. Called by gemm_low.c through low_ukr.h; the tile is in
 * low_tile.h. Register budget of 32: 14 * 2 sums, 2 of B, 1 splat of A, 1 spare.
 *
 * The instruction multiplies unsigned by signed bytes, four at a time, into i32 without saturation. A is stored
 * plus 128, and a strip's head holds -128 times the sum of each column of B, from which its sums start: exact modulo
 * 2^32 at every length.
 */
#include "low_i8_avx512.h"

typedef __m512i word;
typedef __m512i sums;
#define LOW_LANES 16
#define LOW_WIDE  2
#define LOW_ROWS  14

static inline word low_load(const uint32_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline word low_splat(uint32_t x)
{
    return _mm512_set1_epi32((int)x);
}
static inline sums low_first(const uint32_t *head)
{
    return _mm512_loadu_si512(head);
}
static inline sums low_dot(sums acc, word a, word b)
{
    return _mm512_dpbusd_epi32(acc, a, b);
}
typedef __mmask16 low_lanes;

static inline low_lanes low_first_lanes(size_t n)
{
    return (low_lanes)((1u << n) - 1u);
}
static inline bool low_is_plain(const amps_low_strip *s)
{
    return !s->add;
}
static inline void low_put(unsigned char *c, bool whole, low_lanes lanes, sums x)
{
    if (whole) {
        _mm512_storeu_si512(c, x);
    } else {
        _mm512_mask_storeu_epi32(c, lanes, x);
    }
}
#include "low_tile.h"

static void strip(const amps_low_strip *s)
{
    panels(s);
}

/* A: plus 128 in every byte. B: -128 times the column sums. */
static void seal(uint32_t *panel_words, size_t width, size_t words, bool left)
{
    uint32_t *x = panel_words + width;
    if (left) {
        const __m512i flip = _mm512_set1_epi32((int)0x80808080u);
        const size_t count = width * words;
        for (size_t i = 0; i < count; i += 16) {
            const __mmask16 lanes = (__mmask16)(count - i < 16 ? (1u << (count - i)) - 1u : 0xffffu);
            _mm512_mask_storeu_epi32(x + i, lanes, _mm512_xor_si512(_mm512_maskz_loadu_epi32(lanes, x + i), flip));
        }
        return;
    }
    const __m512i ones = _mm512_set1_epi8(1), zero = _mm512_setzero_si512();
    __m512i sum0 = zero, sum1 = zero;
    for (size_t w = 0; w < words; w++, x += LOW_STRIP) {
        sum0 = _mm512_dpbusd_epi32(sum0, ones, _mm512_loadu_si512(x));
        sum1 = _mm512_dpbusd_epi32(sum1, ones, _mm512_loadu_si512(x + LOW_LANES));
    }
    _mm512_storeu_si512(panel_words, _mm512_sub_epi32(zero, _mm512_slli_epi32(sum0, 7)));
    _mm512_storeu_si512(panel_words + LOW_LANES, _mm512_sub_epi32(zero, _mm512_slli_epi32(sum1, 7)));
}

const amps_low_ukr amps_i8_gemm_14x32__avx512vnni = {
    .name = "i8_gemm_14x32__avx512vnni",
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
