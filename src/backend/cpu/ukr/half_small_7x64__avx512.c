/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half_small_7x64__avx512.c: small products of f16, bf16, i16 and i8 with AVX-512, nothing packed. Called by
 * gemm_small.c through low_small.h. Register budget of 32: 7 * 4 sums and 4 of B; splats of A come from memory.
 *
 * B is widened by the loads of the tile and C narrowed by its stores: conversions run on other pipes than multiply-adds
 * and hide behind them. Where few vectors do not hide those of B, the tiles of the first panel keep what they widen for
 * the others. A panel of A is widened right before its tiles:
 *
 *     rows of A:     a(i,k) at room[i * amps_low_small_row + k]
 *     columns of A:  a(i,k) at room[k * 16 + i]
 *     B:             b(k,j) of a strip at wide[k * width + j]; strips follow one another
 */
#include <immintrin.h>

#include "halves_avx512.h"
#include "low_small.h"
#include "transpose_avx512.h"

#define AMPS_INLINE static inline __attribute__((always_inline))

enum { LANES = AMPS_SMALL_LANES, HALF = 8, HALF_VECTORS = 3, SUMS = 28, TURNED = 32 };

typedef enum small_type { SMALL_F16, SMALL_BF16, SMALL_I16, SMALL_I8 } small_type;

/* What `run` moves on from tile to tile. */
typedef struct tile_at {
    const unsigned char *b;
    unsigned char *c;
    float *room;
    float *wide;    /* the strip of B as f32, or room for it */
    bool b_is_wide; /* take it from there */
    bool keeps;     /* else put it there */
    size_t last;    /* columns of the last vector */
} tile_at;

AMPS_INLINE size_t size_of(small_type type)
{
    return type == SMALL_I8 ? 1 : 2;
}

AMPS_INLINE __mmask16 first_lanes(size_t n)
{
    return (__mmask16)((1u << n) - 1u);
}

AMPS_INLINE __m512 f32_of(__m256i x, small_type type)
{
    return type == SMALL_F16    ? _mm512_cvtph_ps(x)
           : type == SMALL_BF16 ? f32_of_bf16(x)
           : type == SMALL_I16  ? _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(x))
                                : _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(x)));
}

/* 16 elements as f32. */
AMPS_INLINE __m512 load(const unsigned char *p, small_type type)
{
    if (type == SMALL_I8) {
        return f32_of(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p)), type);
    }
    return f32_of(_mm256_loadu_si256((const __m256i *)(const void *)p), type);
}

AMPS_INLINE __m512 load_lanes(const unsigned char *p, __mmask16 lanes, small_type type)
{
    if (type == SMALL_I8) {
        return f32_of(_mm256_castsi128_si256(_mm_maskz_loadu_epi8(lanes, p)), type);
    }
    return f32_of(_mm256_maskz_loadu_epi16(lanes, p), type);
}

/* ---- A ---------------------------------------------------------------------------------------------- */

/* Widens a panel of `rows` rows at `a`. */
AMPS_INLINE void widen(const amps_low_small *s, const unsigned char *a, float *room, size_t rows, small_type type)
{
    const size_t lines = s->a_turned ? s->interior : rows, n = s->a_turned ? rows : s->interior;
    const size_t to_row = s->a_turned ? LANES : amps_low_small_row(s->interior);
    for (size_t l = 0; l < lines; l++, a += s->a_line_bytes, room += to_row) {
        size_t j = 0;
        for (; j + LANES <= n; j += LANES) {
            _mm512_storeu_ps(room + j, load(a + j * size_of(type), type));
        }
        if (j < n) {
            _mm512_storeu_ps(room + j, load_lanes(a + j * size_of(type), first_lanes(n - j), type));
        }
    }
}

/* ---- C ---------------------------------------------------------------------------------------------- */

AMPS_INLINE __m256i f16_of(__m512 x)
{
    /* The masked form: GCC 12's plain one is, without optimization, a macro that -Wconversion objects to. */
    return _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Two vectors of sums as 32 halves. */
AMPS_INLINE __m512i halves_of(__m512 x, __m512 y, amps_low_result result)
{
    if (result == AMPS_LOW_F16) {
        return _mm512_inserti64x4(_mm512_castsi256_si512(f16_of(x)), f16_of(y), 1);
    }
    const __m512i upper = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                                           25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_epi16(rounded_to_bf16(x), upper, rounded_to_bf16(y));
}

/* One. */
AMPS_INLINE __m256i half_of(__m512 x, amps_low_result result)
{
    return result == AMPS_LOW_F16 ? f16_of(x) : _mm512_castsi512_si256(halves_of(x, x, result));
}

/* nv vectors of sums into a row of C of 16 bits: two of them by one store. */
AMPS_INLINE void store_halves(unsigned char *c, const __m512 *x, __mmask16 lanes, int nv, amps_low_result result)
{
#pragma GCC unroll 2
    for (int v = 0; v + 1 < nv; v += 2) {
        const __m512i both = halves_of(x[v], x[v + 1], result);
        if (v + 2 < nv) {
            _mm512_storeu_si512(c + v * LANES * 2, both);
        } else {
            _mm512_mask_storeu_epi16(c + v * LANES * 2, 0xffffu | (uint32_t)lanes << 16, both);
        }
    }
    if (nv % 2 != 0) {
        _mm256_mask_storeu_epi16(c + (nv - 1) * LANES * 2, lanes, half_of(x[nv - 1], result));
    }
}

/* The same into f32 or i32. */
AMPS_INLINE void store_words(unsigned char *c, const __m512 *x, __mmask16 lanes, int nv, amps_low_result result)
{
#pragma GCC unroll 4
    for (int v = 0; v < nv; v++) {
        const __m512i words = result == AMPS_LOW_SUMS ? _mm512_castps_si512(x[v]) : _mm512_cvttps_epi32(x[v]);
        if (v + 1 < nv) {
            _mm512_storeu_si512(c + v * LANES * 4, words);
        } else {
            _mm512_mask_storeu_epi32(c + v * LANES * 4, lanes, words);
        }
    }
}

AMPS_INLINE void store_rows(const amps_low_small *s, unsigned char *c, const __m512 *acc, __mmask16 lanes, int mr,
                            int nv, small_type type)
{
    const amps_low_result result = s->result, halves = type == SMALL_BF16 ? AMPS_LOW_BF16 : AMPS_LOW_F16;
    const size_t c_row_bytes = s->c_row_bytes;
    if (result == AMPS_LOW_SUMS) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++, c += c_row_bytes) {
            store_words(c, acc + i * nv, lanes, nv, AMPS_LOW_SUMS);
        }
    } else if (type == SMALL_I8 && result == AMPS_LOW_I32) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++, c += c_row_bytes) {
            store_words(c, acc + i * nv, lanes, nv, AMPS_LOW_I32);
        }
    } else if (type != SMALL_I16) {
#pragma GCC unroll 8
        for (int i = 0; i < mr; i++, c += c_row_bytes) {
            store_halves(c, acc + i * nv, lanes, nv, halves);
        }
    }
}

/* With factors, which are rare: out of line, from memory. beta goes with f32 only. */
static __attribute__((noinline)) void store_scaled(const amps_low_small *s, unsigned char *c, const __m512 *x,
                                                   __mmask16 lanes, int mr, int nv)
{
    const __m512 alpha = _mm512_set1_ps(s->alpha), beta = _mm512_set1_ps(s->beta);
    const size_t size = s->result == AMPS_LOW_SUMS ? 4 : 2;
    for (int i = 0; i < mr; i++, c += s->c_row_bytes) {
        for (int v = 0; v < nv; v++, x++) {
            unsigned char *const to = c + (size_t)v * LANES * size;
            const __mmask16 here = v + 1 < nv ? 0xffff : lanes;
            __m512 sum = _mm512_mul_ps(alpha, *x);
            if (s->beta != 0.0f) {
                sum = _mm512_fmadd_ps(*x, alpha, _mm512_mul_ps(_mm512_maskz_loadu_ps(here, to), beta));
            }
            if (s->result == AMPS_LOW_SUMS) {
                store_words(to, &sum, here, 1, AMPS_LOW_SUMS);
            } else {
                _mm256_mask_storeu_epi16(to, here, half_of(sum, s->result));
            }
        }
    }
}

AMPS_INLINE void store_tile(const amps_low_small *s, unsigned char *c, const __m512 *acc, __mmask16 lanes, int mr,
                            int nv, small_type type)
{
    if (s->alpha == 1.0f && s->beta == 0.0f) {
        store_rows(s, c, acc, lanes, mr, nv, type);
        return;
    }
    __m512 kept[SUMS];
#pragma GCC unroll 28
    for (int i = 0; i < mr * nv; i++) {
        kept[i] = acc[i];
    }
    store_scaled(s, c, kept, lanes, mr, nv);
}

/* ---- tiles ------------------------------------------------------------------------------------------ */

/* The first and the fifth row of the panel at hand: two pointers reach all rows by the processor's address arithmetic,
   of which the compiler must not know how they hang together, or it keeps eight distances instead. */
typedef struct tile_a {
    const float *group[2];
    size_t row, column;
} tile_a;

AMPS_INLINE tile_a tile_a_of(const amps_low_small *s, const tile_at *at)
{
    tile_a a = {.row = s->a_turned ? 1 : amps_low_small_row(s->interior), .column = s->a_turned ? LANES : 1};
    a.group[0] = at->room;
    a.group[1] = at->room + 4 * a.row;
    __asm__("" : "+r"(a.group[1]));
    return a;
}

/* One k of a row of B in registers; of the last vector only half if there is no more. */
AMPS_INLINE void tile_multiply(__m512 *acc, tile_a *a, const __m512 *y, int mr, int nv, bool half)
{
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        const float *const at = &a->group[i / 4][(size_t)(i % 4) * a->row];
        /* A splat of half the width loads twice as fast. */
        const __m512 x = half && nv == 1 ? _mm512_castps256_ps512(_mm256_set1_ps(*at)) : _mm512_set1_ps(*at);
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            __m512 *const sum = acc + i * nv + v;
            if (half && v + 1 == nv) {
                *sum = _mm512_castps256_ps512(_mm256_fmadd_ps(_mm512_castps512_ps256(x), _mm512_castps512_ps256(y[v]),
                                                              _mm512_castps512_ps256(*sum)));
            } else {
                *sum = _mm512_fmadd_ps(x, y[v], *sum);
            }
        }
    }
    a->group[0] += a->column;
    a->group[1] += a->column;
}

/* B as it lies. */
AMPS_INLINE void narrow_steps(const amps_low_small *s, const tile_at *at, __m512 *acc, tile_a *a, int mr, int nv,
                              bool half, small_type type)
{
    const __mmask16 lanes = first_lanes(at->last);
    const size_t b_row_bytes = s->b_row_bytes, width = s->vectors * LANES;
    const unsigned char *b = at->b;
    float *wide = at->wide;
    for (size_t k = s->interior; k > 0; k--, b += b_row_bytes, wide += width) {
        __m512 y[AMPS_SMALL_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            const unsigned char *const from = b + (size_t)v * LANES * size_of(type);
            y[v] = v + 1 < nv ? load(from, type) : load_lanes(from, lanes, type);
        }
        if (at->keeps) {
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++) {
                _mm512_storeu_ps(wide + v * LANES, y[v]);
            }
        }
        tile_multiply(acc, a, y, mr, nv, half);
    }
}

/* B as f32. For a few rows GCC would read each vector once for every row: the barrier forbids it. */
AMPS_INLINE void wide_steps(const amps_low_small *s, const tile_at *at, __m512 *acc, tile_a *a, int mr, int nv,
                            bool half)
{
    const size_t width = s->vectors * LANES;
    const float *wide = at->wide;
    for (size_t k = s->interior; k > 0; k--, wide += width) {
        __m512 y[AMPS_SMALL_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            y[v] = _mm512_loadu_ps(wide + v * LANES);
            __asm__("" : "+v"(y[v]));
        }
        tile_multiply(acc, a, y, mr, nv, half);
    }
}

AMPS_INLINE void tile(const amps_low_small *s, const tile_at *at, int mr, int nv, bool half, small_type type)
{
    tile_a a = tile_a_of(s, at);
    __m512 acc[SUMS];
#pragma GCC unroll 28
    for (int i = 0; i < mr * nv; i++) {
        acc[i] = _mm512_setzero_ps();
    }
    if (at->b_is_wide) {
        wide_steps(s, at, acc, &a, mr, nv, half);
    } else {
        narrow_steps(s, at, acc, &a, mr, nv, half, type);
    }
    store_tile(s, at->c, acc, first_lanes(at->last), mr, nv, type);
}

/* Of each two: the last vector is whole, or (up to HALF_VECTORS, where it counts) half of one. */
#define SMALL_TILES(T, type)                                                                                           \
    T(type, 1, 1)                                                                                                      \
    T(type, 2, 1)                                                                                                      \
    T(type, 3, 1)                                                                                                      \
    T(type, 4, 1)                                                                                                      \
    T(type, 5, 1)                                                                                                      \
    T(type, 6, 1)                                                                                                      \
    T(type, 7, 1) T(type, 8, 1) T(type, 1, 2) T(type, 2, 2) T(type, 3, 2) T(type, 4, 2) T(type, 5, 2) T(type, 6, 2)    \
        T(type, 7, 2) T(type, 8, 2) T(type, 1, 3) T(type, 2, 3) T(type, 3, 3) T(type, 4, 3) T(type, 5, 3)              \
            T(type, 6, 3) T(type, 7, 3) T(type, 8, 3) T(type, 1, 4) T(type, 2, 4) T(type, 3, 4) T(type, 4, 4)          \
                T(type, 5, 4) T(type, 6, 4) T(type, 7, 4)
#define SMALL_FUNCTION(type, mr, nv)                                                                                   \
    static void tile_##type##_##mr##x##nv(const amps_low_small *s, const tile_at *at)                                  \
    {                                                                                                                  \
        tile(s, at, mr, nv, false, type);                                                                              \
    }                                                                                                                  \
    static void half_##type##_##mr##x##nv(const amps_low_small *s, const tile_at *at)                                  \
    {                                                                                                                  \
        tile(s, at, mr, nv, (nv) <= HALF_VECTORS, type);                                                               \
    }
#define SMALL_ENTRY(type, mr, nv)                                                                                      \
    [0][(nv)-1][(mr)-1] = tile_##type##_##mr##x##nv,                                                                   \
    [1][(nv)-1][(mr)-1] = (nv) <= HALF_VECTORS ? half_##type##_##mr##x##nv : tile_##type##_##mr##x##nv,

typedef void (*tile_function)(const amps_low_small *s, const tile_at *at);
typedef tile_function tile_table[2][AMPS_SMALL_VECTORS][AMPS_SMALL_ROWS];

/* Panels of nearly equal height, and in each all strips. */
AMPS_INLINE void run(const amps_low_small *s, float *room, const tile_table *tiles, small_type type)
{
    const size_t width = s->vectors * LANES, size = size_of(type);
    const size_t c_size = s->result == AMPS_LOW_SUMS || s->result == AMPS_LOW_I32 ? 4 : 2;
    const size_t a_row_bytes = s->a_turned ? size : s->a_line_bytes;
    tile_at at = {.room = room, .b_is_wide = s->b_is_wide};
    const unsigned char *a = s->a;
    unsigned char *c = s->c;
    at.keeps = s->keeps_b && s->rows > s->panel_rows;
    for (size_t left = s->rows, higher = s->higher; left > 0; higher -= higher > 0) {
        const size_t rows = s->panel_rows - (higher == 0);
        widen(s, a, room, rows, type);
        at.b = s->b;
        at.c = c;
        at.wide = room + amps_low_small_room(s->interior);
        for (size_t j = 0; j < s->columns; j += width) {
            const size_t columns = s->columns - j < width ? s->columns - j : width,
                         vectors = (columns + LANES - 1) / LANES;
            at.last = columns - (vectors - 1) * LANES;
            (*tiles)[at.last <= HALF][vectors - 1][rows - 1](s, &at);
            at.b += width * size;
            at.c += width * c_size;
            at.wide += width * s->interior;
        }
        at.b_is_wide = at.b_is_wide || at.keeps;
        left -= rows;
        a += rows * a_row_bytes;
        c += rows * s->c_row_bytes;
    }
}

/* ---- B that lies along the interior ------------------------------------------------------------------- */

/*
 * A block of at most 16 lines by 32 elements: 16 × 16 words of two elements are turned around, then each word's two
 * elements are parted into two rows and widened.
 */
AMPS_INLINE void turn_block(const unsigned char *from, size_t line_bytes, size_t lines, size_t n, float *to,
                            size_t to_row, small_type type)
{
    const __mmask32 in = (__mmask32)(((uint64_t)1 << n) - 1u);
    const __m512i part = _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28, 26, 24, 22,
                                          20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512 r[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
        r[i] =
            i < lines ? _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(in, from + i * line_bytes)) : _mm512_setzero_ps();
    }
    transpose_words(r);
#pragma GCC unroll 16
    for (size_t w = 0; w < 16; w++) {
        if (2 * w < n) {
            const __m512i rows = _mm512_permutexvar_epi16(part, _mm512_castps_si512(r[w]));
            float *const at = to + 2 * w * to_row;
            _mm512_storeu_ps(at, f32_of(_mm512_castsi512_si256(rows), type));
            if (2 * w + 1 < n) {
                _mm512_storeu_ps(at + to_row, f32_of(_mm512_extracti64x4_epi64(rows, 1), type));
            }
        }
    }
}

/* All of B to strips of f32: rows of a strip one after the other, as the caches like it. */
AMPS_INLINE void turn(const amps_low_small *s, float *room, small_type type)
{
    const size_t width = s->vectors * LANES, interior = s->interior;
    float *wide = room + amps_low_small_room(interior);
    for (size_t j = 0; j < s->columns; j += width, wide += width * interior) {
        const size_t last = s->columns - j < width ? s->columns : j + width;
        for (size_t k = 0; k < interior; k += TURNED) {
            const size_t n = interior - k < TURNED ? interior - k : TURNED;
            for (size_t x = j; x < last; x += LANES) {
                turn_block(s->b + x * s->b_row_bytes + 2 * k, s->b_row_bytes, last - x, n, wide + k * width + (x - j),
                           width, type);
            }
        }
    }
}

/* ---- tables ----------------------------------------------------------------------------------------- */

#define SMALL_RUN(name, type)                                                                                          \
    SMALL_TILES(SMALL_FUNCTION, type)                                                                                  \
    static void run_##name(const amps_low_small *s, float *room)                                                       \
    {                                                                                                                  \
        static const tile_table tiles = {SMALL_TILES(SMALL_ENTRY, type)};                                              \
        run(s, room, &tiles, type);                                                                                    \
    }
#define SMALL_TURN(name, type)                                                                                         \
    static void turn_##name(const amps_low_small *s, float *room)                                                      \
    {                                                                                                                  \
        turn(s, room, type);                                                                                           \
    }

SMALL_RUN(f16, SMALL_F16)
SMALL_RUN(bf16, SMALL_BF16)
SMALL_RUN(i16, SMALL_I16)
SMALL_RUN(i8, SMALL_I8)
SMALL_TURN(f16, SMALL_F16)
SMALL_TURN(bf16, SMALL_BF16)
SMALL_TURN(i16, SMALL_I16)

const amps_low_small_ukr amps_f16_small_7x64__avx512 = {"f16_small_7x64__avx512", 2, {8, 8, 8, 7}, run_f16, turn_f16};
const amps_low_small_ukr amps_bf16_small_7x64__avx512 = {
    "bf16_small_7x64__avx512", 2, {8, 8, 8, 7}, run_bf16, turn_bf16};
const amps_low_small_ukr amps_i16_small_7x64__avx512 = {"i16_small_7x64__avx512", 2, {8, 8, 8, 7}, run_i16, turn_i16};
const amps_low_small_ukr amps_i8_small_7x64__avx512 = {"i8_small_7x64__avx512", 1, {8, 8, 8, 7}, run_i8, NULL};
