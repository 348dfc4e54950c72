/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_strip.h: the template of every f32 matmul tile. A microkernel file includes one vec_*.h, defines
 * GEMM_TILES(T), the list of its tiles T(rows, vectors), and GEMM_PACKING_TILES(T), those of them that can pack B
 * meanwhile, then includes this file.
 *
 * One tile, MR rows by NV vectors, keeps all its sums in registers while k runs:
 *
 *                     B: interior rows, NV vectors each
 *                     k ->  [ b0 ][ b1 ]            NV registers
 *     A: MR rows      ---------------------
 *     a(0,k) splat    [acc00][acc01]                MR * NV registers
 *     a(1,k) splat    [acc10][acc11]
 *       …                …
 *
 * A packed panel holds a(0,k) … a(MR-1,k) next to one another, one k after the other, so that a_row is 1. The last
 * vector of a strip is loaded and stored under a mask; where it has at most VEC_HALF columns it is a vector of half
 * the width, which costs half as much on processors with 256-bit multipliers.
 */
#ifndef AMPS_F32_GEMM_STRIP_H
#define AMPS_F32_GEMM_STRIP_H

#include "gemm_ukr.h"

#define AMPS_INLINE static inline __attribute__((always_inline))

/* Shorter sums end before C could arrive: then that of the next strip is fetched. */
enum {
    TILE_SUMS = 32,
    TILE_ROWS = 16,
    TILE_CHAINS = 4,
    CHAINED_SUMS = 3,
    FETCH_INTERIOR = 64,
    FETCHED_ROWS = 4, /* the processor foresees so few rows of A itself */
    KEPT_ROWS = 4, /* fewer rows keep B in registers by force */
    LINE = 16,
    A_AHEAD = 48,
    PACK_AHEAD = 32 /* rows of a B from memory: one arrives while so many are multiplied */
};

/* Where a tile stands: the first elements of A, B and C, and what it fetches of the next strip meanwhile. */
typedef struct tile_at {
    const float *a, *b;
    float *c;
    size_t last; /* columns of the last vector */
    const float *next;
    size_t next_lines;
} tile_at;

/* The sums of a tile: `full` vectors a row, and one of half the width if the tile has it. */
typedef struct tile_sums {
    vec full[TILE_SUMS];
    vec_half half[TILE_ROWS];
} tile_sums;

/* What becomes of the sums: C, alpha times them, or that plus beta times C. */
typedef enum tile_scale { TILE_STORES, TILE_SCALES, TILE_ADDS } tile_scale;

/* alpha * sum + beta * C of one row into C. Told apart once for a tile: a store might change what `s` holds. */
AMPS_INLINE void tile_store_row(const tile_sums *sums, int i, float *c, size_t last, int nv, bool with_half,
                                tile_scale scale, float alpha, float beta)
{
    const int whole = with_half ? nv - 1 : nv;
#pragma GCC unroll 8
    for (int v = 0; v < whole; v++) {
        vec x = sums->full[i * whole + v];
        float *to = c + v * VEC;
        if (scale == TILE_ADDS) {
            const vec old = v + 1 < nv ? vec_load(to) : vec_load_lanes(to, vec_first(last));
            x = vec_combine(x, vec_set1(alpha), old, vec_set1(beta));
        } else if (scale == TILE_SCALES) {
            x = vec_mul(vec_set1(alpha), x);
        }
        if (v + 1 < nv) {
            vec_store(to, x);
        } else {
            vec_store_lanes(to, vec_first(last), x);
        }
    }
    if (with_half) {
        vec_half x = sums->half[i];
        float *to = c + whole * VEC;
        const half_lanes lanes = half_first(last);
        if (scale == TILE_ADDS) {
            x = half_combine(x, half_set1(alpha), half_load_lanes(to, lanes), half_set1(beta));
        } else if (scale == TILE_SCALES) {
            x = half_mul(half_set1(alpha), x);
        }
        half_store_lanes(to, lanes, x);
    }
}

AMPS_INLINE void tile_store_all(const amps_gemm_strip *s, const tile_sums *sums, const tile_at *at, int mr, int nv,
                                bool with_half, tile_scale scale)
{
    const size_t c_row = s->c_row, last = at->last;
    const float alpha = s->alpha, beta = s->beta;
    float *c = at->c;
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++, c += c_row) {
        tile_store_row(sums, i, c, last, nv, with_half, scale, alpha, beta);
    }
}

AMPS_INLINE void tile_store(const amps_gemm_strip *s, const tile_sums *sums, const tile_at *at, int mr, int nv,
                            bool with_half)
{
    if (s->beta != 0.0f) {
        tile_store_all(s, sums, at, mr, nv, with_half, TILE_ADDS);
    } else if (s->alpha != 1.0f) {
        tile_store_all(s, sums, at, mr, nv, with_half, TILE_SCALES);
    } else {
        tile_store_all(s, sums, at, mr, nv, with_half, TILE_STORES);
    }
}

/*
 * Where a column of A begins, and every fourth row of it: four pointers reach all rows by the processor's address
 * arithmetic. The compiler must not know how they hang together, or it keeps sixteen distances instead.
 */
typedef struct tile_a {
    const float *group[TILE_ROWS / 4];
} tile_a;

AMPS_INLINE tile_a tile_a_of(const float *a, size_t a_row, int mr)
{
    tile_a at;
#pragma GCC unroll 4
    for (int g = 0; g * 4 < mr; g++) {
        at.group[g] = a + (size_t)g * 4 * a_row;
        __asm__("" : "+r"(at.group[g]));
    }
    return at;
}

/* One k: every element of A times every vector of B; A moves on. For a few rows GCC would fold the loads of B into the
   multiply-adds and so read each vector once for every row; vec_keep forbids it. */
AMPS_INLINE void tile_step(tile_sums *sums, tile_a *a, size_t a_row, size_t a_column, const float *b, size_t last,
                           int mr, int nv, bool with_half)
{
    const int whole = with_half ? nv - 1 : nv;
    vec y[AMPS_GEMM_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < whole; v++) {
        y[v] = v + 1 < nv ? vec_load(b + v * VEC) : vec_load_lanes(b + v * VEC, vec_first(last));
        y[v] = mr > 1 && mr < KEPT_ROWS ? vec_keep(y[v]) : y[v];
    }
    const vec_half z = with_half ? half_load_lanes(b + whole * VEC, half_first(last)) : half_zero();
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        const float *at = &a->group[i / 4][(size_t)(i % 4) * a_row];
        if (whole == 0) { /* a splat of half the width loads twice as fast */
            sums->half[i] = half_fma(half_set1(*at), z, sums->half[i]);
            continue;
        }
        const vec x = vec_set1(*at);
#pragma GCC unroll 8
        for (int v = 0; v < whole; v++) {
            sums->full[i * whole + v] = vec_fma(x, y[v], sums->full[i * whole + v]);
        }
        if (with_half) {
            sums->half[i] = half_fma(vec_to_half(x), z, sums->half[i]);
        }
    }
#pragma GCC unroll 4
    for (int g = 0; g * 4 < mr; g++) {
        a->group[g] += a_column;
    }
}

AMPS_INLINE void tile_clear(tile_sums *sums, int mr, int whole)
{
#pragma GCC unroll 32
    for (int i = 0; i < mr * whole; i++) {
        sums->full[i] = vec_zero();
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
        sums->half[i] = half_zero();
    }
}

AMPS_INLINE void tile_fetch_c(const float *c, size_t c_row, int mr, int nv)
{
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++) {
            vec_prefetch_write(c + (size_t)i * c_row + v * VEC);
        }
    }
}

/* Asks for `lines` cache lines of some rows of the B of the next strip; before its steps, a tile spends no register on it. */
AMPS_INLINE const float *tile_fetch_next(const float *next, size_t next_row, size_t lines, size_t rows)
{
    for (size_t u = 0; u < rows && lines > 0; u++, next += next_row) {
        for (size_t l = 0; l < lines; l++) {
            vec_prefetch_far(next + l * LINE);
        }
    }
    return next;
}

#if VEC_STEPS_APART
/* The steps of a tile whose last vector is whole, for instruction sets where all that a step does beside its
   multiplications costs as much as they: what is to be fetched is asked for before every LINE steps. */
AMPS_INLINE void tile_whole_steps(const amps_gemm_strip *s, const tile_at *at, tile_sums *sums, tile_a *a, int mr,
                                  int nv)
{
    const size_t a_row = s->a_row, a_column = s->a_column, b_row = s->b_row, lines = at->next_lines;
    const size_t soon_row = a_row == 1 ? LINE : a_row;
    const float *b = at->b, *next = at->next;
    for (size_t k = 0; k < s->interior; k += LINE) {
        const float *soon = at->a + (k + A_AHEAD) * a_column;
        const size_t steps = s->interior - k < LINE ? s->interior - k : LINE;
        for (int i = 0; i < mr; i++, soon += soon_row) {
            vec_prefetch(soon);
        }
        next = tile_fetch_next(next, s->next_row, lines, steps);
        for (size_t u = 0; u < steps; u++, b += b_row) {
            tile_step(sums, a, a_row, a_column, b, VEC, mr, nv, false);
        }
    }
}
#endif

/* One tile. */
AMPS_INLINE void tile_run(const amps_gemm_strip *s, const tile_at *at, int mr, int nv, bool with_half)
{
    const int whole = with_half ? nv - 1 : nv;
    const float *b = at->b, *next = at->next, *c = at->c;
    const size_t last = at->last, lines = at->next_lines, c_row = s->c_row, a_row = s->a_row, a_column = s->a_column,
                 b_row = s->b_row;
    tile_a a = tile_a_of(at->a, a_row, mr);
    tile_sums sums;
    tile_clear(&sums, mr, whole);
    if (s->fetch_c) {
        tile_fetch_c(c + (s->interior >= FETCH_INTERIOR ? 0 : (size_t)nv * VEC), c_row, mr, nv);
    }
#if VEC_STEPS_APART
    if (last == VEC) {
        tile_whole_steps(s, at, &sums, &a, mr, nv);
        tile_store(s, &sums, at, mr, nv, false);
        return;
    }
#endif
    for (size_t k = 0; k < s->interior; k += LINE) {
        const float *soon = at->a + (k + A_AHEAD) * a_column;
        const size_t steps = s->interior - k < LINE ? s->interior - k : LINE;
        next = tile_fetch_next(next, s->next_row, lines, steps);
        for (size_t u = 0; u < steps; u++, b += b_row, soon += a_row) {
            tile_step(&sums, &a, a_row, a_column, b, last, mr, nv, with_half);
            if (mr > FETCHED_ROWS) {
                vec_prefetch(soon);
            }
        }
    }
    tile_store(s, &sums, at, mr, nv, with_half);
}

/* nv vectors of B, the last one under its mask, into a packed strip. */
AMPS_INLINE void tile_pack_row(const float *b, float *to, size_t last, int nv)
{
#pragma GCC unroll 8
    for (int v = 0; v < nv; v++) {
        vec_store(to + v * VEC, v + 1 < nv ? vec_load(b + v * VEC) : vec_load_lanes(b + v * VEC, vec_first(last)));
    }
}

/*
 * The same for the first panel of a strip whose B is packed meanwhile: each row of B is copied to where the other
 * panels find it as it is multiplied. It is asked for PACK_AHEAD rows before, in the last of them those of the next
 * strip: rows of B lie too far apart for the processor to foresee them.
 */
AMPS_INLINE void tile_run_packing(const amps_gemm_strip *s, const tile_at *at, int mr, int nv)
{
    const size_t last = at->last, a_row = s->a_row, a_column = s->a_column, b_row = s->b_row, interior = s->interior;
    const float *b = at->b;
    float *to = s->pack;
    tile_a a = tile_a_of(at->a, a_row, mr);
    tile_sums sums;
    tile_clear(&sums, mr, nv);
    if (s->fetch_c) {
        tile_fetch_c(at->c + (interior >= FETCH_INTERIOR ? 0 : (size_t)nv * VEC), s->c_row, mr, nv);
    }
    for (size_t k = 0; k < interior; k += LINE) {
        const size_t steps = interior - k < LINE ? interior - k : LINE;
        const float *soon = at->a + (k + A_AHEAD) * a_column, *ahead = b + PACK_AHEAD * b_row;
        if (k + PACK_AHEAD >= interior) {
            ahead = s->pack_next == NULL ? b : s->pack_next + (k + PACK_AHEAD - interior) * b_row;
        }
        for (size_t u = 0; u < steps; u++, b += b_row, ahead += b_row, to += nv * VEC, soon += a_row) {
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++) {
                vec_prefetch(ahead + v * VEC);
            }
            vec_prefetch(ahead + nv * VEC - 1);
            vec_prefetch(soon);
            tile_pack_row(b, to, last, nv);
            tile_step(&sums, &a, a_row, a_column, b, last, mr, nv, false);
        }
    }
    tile_store(s, &sums, at, mr, nv, false);
}

/* The same in four chains; at most CHAINED_SUMS sums each. */
AMPS_INLINE void tile_run_chained(const amps_gemm_strip *s, const tile_at *at, int mr, int nv, bool with_half)
{
    const int whole = with_half ? nv - 1 : nv;
    const float *b = at->b;
    const size_t last = at->last, a_row = s->a_row, a_column = s->a_column;
    tile_a a = tile_a_of(at->a, a_row, mr);
    tile_sums sums[TILE_CHAINS];
#pragma GCC unroll 4
    for (int u = 0; u < TILE_CHAINS; u++) {
        tile_clear(&sums[u], mr, whole);
    }
    size_t k = s->interior;
    for (; k >= TILE_CHAINS; k -= TILE_CHAINS) {
#pragma GCC unroll 4
        for (int u = 0; u < TILE_CHAINS; u++, b += s->b_row) {
            tile_step(&sums[u], &a, a_row, a_column, b, last, mr, nv, with_half);
        }
    }
    for (; k > 0; k--, b += s->b_row) {
        tile_step(&sums[0], &a, a_row, a_column, b, last, mr, nv, with_half);
    }
#pragma GCC unroll 3
    for (int i = 0; i < mr * whole; i++) {
        sums[0].full[i] = vec_add(vec_add(sums[0].full[i], sums[1].full[i]), vec_add(sums[2].full[i], sums[3].full[i]));
    }
#pragma GCC unroll 3
    for (int i = 0; i < mr; i++) {
        sums[0].half[i] =
            half_add(half_add(sums[0].half[i], sums[1].half[i]), half_add(sums[2].half[i], sums[3].half[i]));
    }
    tile_store(s, &sums[0], at, mr, nv, with_half);
}

typedef void (*tile_function)(const amps_gemm_strip *s, const tile_at *at);

/* The tiles of a file, each with a whole or a half last vector; of the small ones also the chained. */
#define TILE_FUNCTIONS(mr, nv)                                                                                         \
    static void tile_##mr##x##nv(const amps_gemm_strip *s, const tile_at *at)                                          \
    {                                                                                                                  \
        if ((mr) * (nv) <= CHAINED_SUMS && s->chained) {                                                               \
            tile_run_chained(s, at, mr, nv, false);                                                                    \
        } else {                                                                                                       \
            tile_run(s, at, mr, nv, false);                                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    static void tile_half_##mr##x##nv(const amps_gemm_strip *s, const tile_at *at)                                     \
    {                                                                                                                  \
        if ((mr) * (nv) <= CHAINED_SUMS && s->chained) {                                                               \
            tile_run_chained(s, at, mr, nv, VEC_HALF > 0);                                                             \
        } else {                                                                                                       \
            tile_run(s, at, mr, nv, VEC_HALF > 0);                                                                     \
        }                                                                                                              \
    }
#define TILE_ENTRY(mr, nv) [0][(nv)-1][(mr)-1] = tile_##mr##x##nv, [1][(nv)-1][(mr)-1] = tile_half_##mr##x##nv,

GEMM_TILES(TILE_FUNCTIONS)

/* The panels of one strip, from B's element (0, first) on. */
static void strip_panels(const amps_gemm_strip *s, const float *b, size_t first, size_t columns)
{
    static const tile_function tiles[2][AMPS_GEMM_VECTORS][TILE_ROWS] = {GEMM_TILES(TILE_ENTRY)};
    const size_t vectors = (columns + VEC - 1) / VEC;
    tile_at at = {.a = s->a, .b = b, .c = s->c + first, .last = columns - (vectors - 1) * VEC, .next = s->next};
    const tile_function *of = tiles[at.last <= VEC_HALF][vectors - 1];
    size_t high = s->panel_rows, higher = s->higher, lines = s->next_lines, share = 0;
    if (lines > 0) {
        const size_t panels = (s->rows + high - 1) / high;
        share = (lines + panels - 1) / panels;
    }
    for (size_t left = s->rows; left > 0;) {
        const size_t rows = left < high ? left : high;
        at.next_lines = share < lines ? share : lines;
        of[rows - 1](s, &at);
        left -= rows;
        lines -= at.next_lines;
        at.next += at.next_lines * LINE;
        at.a += s->a_panel > 0 ? s->a_panel : rows * s->a_row;
        at.c += rows * s->c_row;
        high -= rows == high && --higher == 0;
    }
}

#define PACKING_FUNCTION(mr, nv)                                                                                       \
    static void tile_packing_##mr##x##nv(const amps_gemm_strip *s, const tile_at *at)                                  \
    {                                                                                                                  \
        tile_run_packing(s, at, mr, nv);                                                                               \
    }
#define PACKING_ENTRY(mr, nv) [(nv)-1][(mr)-1] = tile_packing_##mr##x##nv,

GEMM_PACKING_TILES(PACKING_FUNCTION)

/* A strip that no packing tile serves, packed beforehand. */
static void strip_pack(const amps_gemm_strip *s)
{
    const float *b = s->b;
    float *to = s->pack;
    for (size_t k = 0; k < s->interior; k++, b += s->b_row, to += s->vectors * VEC) {
        for (size_t j = 0; j < s->columns; j += VEC) {
            vec_prefetch(b + PACK_AHEAD * s->b_row + j);
            vec_store(to + j, vec_load_lanes(b + j, vec_first(s->columns - j < VEC ? s->columns - j : VEC)));
        }
    }
}

/* One strip that is packed: by its first panel, if there is a tile for it; the other panels read the copy. */
static void strip_packing(const amps_gemm_strip *s)
{
    static const tile_function tiles[AMPS_GEMM_VECTORS][TILE_ROWS] = {GEMM_PACKING_TILES(PACKING_ENTRY)};
    const size_t vectors = (s->columns + VEC - 1) / VEC, rows = s->rows < s->panel_rows ? s->rows : s->panel_rows;
    const tile_at at = {.a = s->a, .b = s->b, .c = s->c, .last = s->columns - (vectors - 1) * VEC};
    amps_gemm_strip rest = *s;
    rest.b = s->pack;
    rest.b_row = s->vectors * VEC;
    if (vectors < s->vectors || tiles[vectors - 1][rows - 1] == NULL) {
        strip_pack(s);
    } else {
        tiles[vectors - 1][rows - 1](s, &at);
        rest.rows -= rows;
        rest.a += s->a_panel > 0 ? s->a_panel : rows * s->a_row;
        rest.c += rows * s->c_row;
        rest.panel_rows -= --rest.higher == 0;
    }
    if (rest.rows > 0) {
        strip_panels(&rest, rest.b, 0, rest.columns);
    }
}

static void strip(const amps_gemm_strip *s)
{
    const size_t width = s->vectors * VEC;
    const float *b = s->b;
    if (s->pack != NULL) {
        strip_packing(s);
        return;
    }
    for (size_t j = 0; j < s->columns; j += width, b += s->b_strip) {
        strip_panels(s, b, j, s->columns - j < width ? s->columns - j : width);
    }
}

#endif /* AMPS_F32_GEMM_STRIP_H */
