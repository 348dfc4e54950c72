/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_mmla_neon.h: the inner loop of tiles on arm64's matrix products, which add 2 rows of A times 2 columns of B, 8
 * bytes along k each, to four sums: SMMLA for i8, BFMMLA for bf16. A microkernel file includes low_neon.h, defines
 * mmla(acc, a, b), then includes this file and low_tile.h.
 *
 * `zip_words`, which `seal` calls, lays the words of two k side by side, element by element, so that a vector is what
 * the instruction takes; of an odd number of words the last one stays as it is packed and is paired with zeros:
 *
 *     A: [ row 0: w, w+1 | row 1: w, w+1 ][ row 2 … | row 3 … ] …     B: [ column 0: w, w+1 | column 1: w, w+1 ] …
 *
 *                          B: column pairs 0 … 2*nv-1
 *     A: row pairs 0 …     each sum vector: (0,0) (0,1) (1,0) (1,1) of its pair of rows and pair of columns
 *
 * Register budget of 32: 4 * 6 sums, 4 of A, 1 to 4 of B. 24 products of 2 * 2 * 8 bytes for 10 loads.
 */
#ifndef AMPS_LOW_MMLA_NEON_H
#define AMPS_LOW_MMLA_NEON_H

#define LOW_OWN_WORDS

/* Pair i: of a word and the next one, or of the last word and zeros. */
AMPS_INLINE uint32x4_t load_pair(const uint32_t *p, int i, bool both)
{
    return both ? vld1q_u32(p + 4 * i) : vreinterpretq_u32_u64(vmovl_u32(vld1_u32(p + 2 * i)));
}

AMPS_INLINE void mmla_step(const uint32_t *a, const uint32_t *b, bool both, sums *acc, int pairs, int nv)
{
    uint32x4_t x[LOW_ROWS / 2];
#pragma GCC unroll 4
    for (int p = 0; p < pairs; p++) {
        x[p] = load_pair(a, p, both);
    }
#pragma GCC unroll 6
    for (int q = 0; q < 2 * nv; q++) {
        const uint32x4_t y = load_pair(b, q, both);
#pragma GCC unroll 4
        for (int p = 0; p < pairs; p++) {
            acc[p * 2 * nv + q] = mmla(acc[p * 2 * nv + q], x[p], y);
        }
    }
}

static inline sums lower_halves(sums x, sums y)
{
    return (sums)vzip1q_u64((uint64x2_t)x, (uint64x2_t)y);
}

static inline sums upper_halves(sums x, sums y)
{
    return (sums)vzip2q_u64((uint64x2_t)x, (uint64x2_t)y);
}

/* A pair of rows from sums by pairs of columns, where they lie. */
AMPS_INLINE void rows_of_pair(sums *acc, int nv)
{
    sums lower[LOW_WIDE], upper[LOW_WIDE];
#pragma GCC unroll 3
    for (int v = 0; v < nv; v++) {
        lower[v] = lower_halves(acc[2 * v], acc[2 * v + 1]);
        upper[v] = upper_halves(acc[2 * v], acc[2 * v + 1]);
    }
#pragma GCC unroll 3
    for (int v = 0; v < nv; v++) {
        acc[v] = lower[v];
        acc[nv + v] = upper[v];
    }
}

AMPS_INLINE void low_words(const amps_low_strip *s, const uint32_t *a, const uint32_t *b, sums *acc, int mr, int nv)
{
    const int pairs = (mr + 1) / 2;
#pragma GCC unroll 3
    for (int i = mr * nv; i < 2 * pairs * nv; i++) {
        acc[i] = low_first(NULL);
    }
    for (size_t w = s->words; w > 1; w -= 2, a += 2 * s->panel_rows, b += 2 * LOW_LANES * LOW_WIDE) {
        mmla_step(a, b, true, acc, pairs, nv);
    }
    if (s->words % 2 != 0) {
        mmla_step(a, b, false, acc, pairs, nv);
    }
#pragma GCC unroll 4
    for (int p = 0; p < pairs; p++) {
        rows_of_pair(acc + p * 2 * nv, nv);
    }
}

/* `vectors` whole vectors of words of two k. */
AMPS_INLINE void zip_vectors(uint32_t *x, size_t words, int vectors)
{
    for (; words > 1; words -= 2, x += 8 * vectors) {
        uint32x4_t first[LOW_WIDE], second[LOW_WIDE];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            first[v] = vld1q_u32(x + 4 * v);
            second[v] = vld1q_u32(x + 4 * (vectors + v));
        }
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            vst1q_u32(x + 8 * v, vzip1q_u32(first[v], second[v]));
            vst1q_u32(x + 8 * v + 4, vzip2q_u32(first[v], second[v]));
        }
    }
}

/* Words behind a panel's head, `width` wide: those of two k side by side. */
static void zip_words(uint32_t *x, size_t width, size_t words)
{
    switch (width) {
    case 4: zip_vectors(x, words, 1); return;
    case 8: zip_vectors(x, words, 2); return;
    case 12: zip_vectors(x, words, 3); return;
    default: break;
    }
    for (; words > 1; words -= 2, x += 2 * width) {
        uint32_t both[2 * LOW_ROWS];
        for (size_t i = 0; i < 2 * width; i++) {
            both[i] = x[i];
        }
        for (size_t i = 0; i < width; i++) {
            x[2 * i] = both[i];
            x[2 * i + 1] = both[width + i];
        }
    }
}

#endif /* AMPS_LOW_MMLA_NEON_H */
