/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amx_tile.h: the template of the AMX kernels. A microkernel file defines AMX_STEP (words of an operand's row or column
 * that a step takes), AMX_STORED (those that it takes packed), `sums` (a vector of sums), low_store, `exact` (may the
 * tiles multiply this panel and strip?), `careful` (the block without them), AMX_DOT (the instruction), AMX_PARTS (1,
 * or 2 or 3 where a step has so many parts, of which AMX_FIRST_LEFT is where the first of A to be multiplied lies),
 * AMX_ADDS (may the tiles start from what C holds?) and AMX_ROUNDS (are sums f32, none subnormal?), then includes this
 * file, which gives `strip` and `pack_rows`.
 *
 * Eight tiles of 16 rows by 64 bytes, always whole, since packed operands are filled up with zeros:
 *
 *                               B: 16 words high
 *                               [ 6: 16 columns ][ 7 ]
 *     A: [ 4: 16 rows, 16 words ][ 0: sums       ][ 1 ]
 *        [ 5                    ][ 2             ][ 3 ]
 *
 *     a panel of A:  head of 32 words; each step: 32 rows by 16 words, of each part
 *     a strip of B:  head of 32 words; each step: 16 words by 16 columns twice, of each part
 *
 * so that a tile is contiguous: from the second cache that is an eighth faster than rows of 32 columns. Packing leaves
 * the latter, `seal` turns them into the former.
 *
 * The tiles are configured and released within one strip: between calls a thread has none.
 */
#ifndef AMPS_AMX_TILE_H
#define AMPS_AMX_TILE_H

#include <immintrin.h>

#include "low_ukr.h"

#define AMPS_INLINE static inline __attribute__((always_inline))

enum { AMX_WIDTH = 32, AMX_TILE_WORDS = 256, AMX_A_BYTES = 64, AMX_B_BYTES = 64, AMX_SUM_BYTES = 128, AMX_LINE = 64 };

/* What ldtilecfg reads (Intel SDM volume 2, LDTILECFG). */
typedef struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_config;

static const amx_config whole_tiles = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

/* The intrinsics of GCC 12 do not say that they read and write memory. */
static inline void memory_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}

static inline size_t amx_steps(const amps_low_strip *s)
{
    return (s->words + AMX_STEP - 1) / AMX_STEP;
}

/* Rows of 32 sums to C with all that follows. */
static void store_rows(const amps_low_strip *s, const uint32_t *from, unsigned char *c, size_t rows)
{
    const size_t past = s->result == AMPS_LOW_SUMS ? 64 : 32;
    for (size_t i = 0; i < rows; i++, from += AMX_WIDTH, c += s->c_row_bytes) {
        sums first, second;
        memcpy(&first, from, sizeof first);
        memcpy(&second, from + 16, sizeof second);
        low_store(s, c, first, s->columns);
        if (s->columns > 16) {
            low_store(s, c + past, second, s->columns - 16);
        }
    }
}

/* Left operands of 32 rows, right ones of 32 columns. */
AMPS_INLINE void load_upper(const uint32_t *a)
{
    _tile_loadd(4, a, AMX_A_BYTES);
}

AMPS_INLINE void load_lower(const uint32_t *a, bool low)
{
    if (low) {
        _tile_loadd(5, a + AMX_TILE_WORDS, AMX_A_BYTES);
    }
}

AMPS_INLINE void load_first(const uint32_t *b)
{
    _tile_loadd(6, b, AMX_B_BYTES);
}

AMPS_INLINE void load_second(const uint32_t *b, bool right)
{
    if (right) {
        _tile_loadd(7, b + AMX_TILE_WORDS, AMX_B_BYTES);
    }
}

AMPS_INLINE void dot(bool upper, bool first, bool low, bool right)
{
    if (upper && first) {
        AMX_DOT(0, 4, 6);
    } else if (upper && right) {
        AMX_DOT(1, 4, 7);
    } else if (first && low) {
        AMX_DOT(2, 5, 6);
    } else if (low && right && !upper && !first) {
        AMX_DOT(3, 5, 7);
    }
}

/* Four products; then other left operands, each loaded as soon as its predecessor has been used, so that it is there
   when its turn comes. */
AMPS_INLINE void dots_then_left(const uint32_t *a, bool low, bool right)
{
    dot(true, true, low, right);
    dot(true, false, low, right);
    load_upper(a);
    dot(false, true, low, right);
    dot(false, false, low, right);
    load_lower(a, low);
}

/* The same with other right operands. */
AMPS_INLINE void dots_then_right(const uint32_t *b, bool low, bool right)
{
    dot(true, true, low, right);
    dot(false, true, low, right);
    load_first(b);
    dot(true, false, low, right);
    dot(false, false, low, right);
    load_second(b, right);
}

/* The same with both, if there are more. */
AMPS_INLINE void dots_then_both(const uint32_t *a, const uint32_t *b, bool more, bool low, bool right)
{
    dot(true, true, low, right);
    dot(true, false, low, right);
    if (more) {
        load_upper(a);
    }
    dot(false, true, low, right);
    if (more) {
        load_first(b);
    }
    dot(false, false, low, right);
    if (more) {
        load_lower(a, low);
        load_second(b, right);
    }
}

/* The tiles of sums from or to rows row_bytes apart. */
AMPS_INLINE void load_sums(const unsigned char *c, size_t row_bytes, bool low, bool right)
{
    _tile_loadd(0, c, row_bytes);
    if (right) {
        _tile_loadd(1, c + 64, row_bytes);
    }
    if (low) {
        _tile_loadd(2, c + 16 * row_bytes, row_bytes);
    }
    if (low && right) {
        _tile_loadd(3, c + 16 * row_bytes + 64, row_bytes);
    }
}

AMPS_INLINE void clear_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

AMPS_INLINE void store_sums(unsigned char *c, size_t row_bytes, bool low, bool right)
{
    _tile_stored(0, c, row_bytes);
    if (right) {
        _tile_stored(1, c + 64, row_bytes);
    }
    if (low) {
        _tile_stored(2, c + 16 * row_bytes, row_bytes);
    }
    if (low && right) {
        _tile_stored(3, c + 16 * row_bytes + 64, row_bytes);
    }
}

/*
 * What will be needed later, a few lines a step, so that it comes while the tiles multiply: rows of C into the first
 * cache, the strip after this one into the second (into the first it would drive out the operands at hand).
 */
typedef struct amx_ahead {
    const char *strip;
    size_t lines; /* of it with each step */
    const unsigned char *c;
    size_t c_row_bytes, c_rows, c_bytes;
    size_t c_each; /* rows of C with each step */
} amx_ahead;

AMPS_INLINE void fetch_ahead(amx_ahead *ahead)
{
    for (size_t i = 0; i < ahead->lines; i++, ahead->strip += AMX_LINE) {
        _mm_prefetch(ahead->strip, _MM_HINT_T1);
    }
    for (size_t i = ahead->c_each; i > 0 && ahead->c_rows > 0; i--, ahead->c_rows--) {
        for (size_t at = 0; at < ahead->c_bytes; at += AMX_LINE) {
            _mm_prefetch((const char *)ahead->c + at, _MM_HINT_T0);
        }
        ahead->c += ahead->c_row_bytes;
    }
}

/* The products of the step at a and b, whose first operands are loaded; then, if there are more, those of the next. */
AMPS_INLINE void add_step(const uint32_t *a, const uint32_t *b, bool more, bool low, bool right)
{
    const size_t next = AMX_WIDTH * AMX_STORED, part = AMX_WIDTH * 16;
#if AMX_PARTS == 2
    /* l*h, h*h, h*l: no order has the small terms first and changes one operand at a time. */
    dots_then_left(a, low, right);
    dots_then_right(b + part, low, right);
#elif AMX_PARTS == 3
    /* l*h, m*h, m*m, h*m, h*l, h*h: small terms first, as far as that costs no load. */
    dots_then_left(a + part, low, right);
    dots_then_right(b + part, low, right);
    dots_then_left(a, low, right);
    dots_then_right(b + 2 * part, low, right);
    dots_then_right(b, low, right);
#else
    (void)part;
#endif
    dots_then_both(a + next + AMX_FIRST_LEFT, b + next, more, low, right);
}

/* Sums that are only to be rounded to bf16, none subnormal: whole rows by the machine's own instruction, which takes
   subnormals for zero. */
AMPS_INLINE void store_bf16(const amps_low_strip *s, const uint32_t *from, unsigned char *c, size_t rows)
{
    for (size_t i = 0; i < rows; i++, from += AMX_WIDTH, c += s->c_row_bytes) {
        const __m512bh row = _mm512_cvtne2ps_pbh(_mm512_load_ps(from + 16), _mm512_load_ps(from));
        _mm512_storeu_si512(c, (__m512i)row);
    }
}

/* One panel; a and s->b point to the heads. `low`: more than 16 rows, `right`: more than 16 columns. */
AMPS_INLINE void tiles(const amps_low_strip *s, amx_ahead *later, const uint32_t *a, unsigned char *c, size_t rows,
                       bool low, bool right)
{
    const bool whole = rows == (low ? 32u : 16u) && s->columns == (right ? 32u : 16u);
    const bool straight = whole && s->result == AMPS_LOW_SUMS && s->alpha == 1.0f && (AMX_ADDS || !s->add);
    const uint32_t *b = s->b + AMX_WIDTH;
    a += AMX_WIDTH;
    amx_ahead ahead = *later; /* stays in registers */
    ahead.c = c;
    ahead.c_rows = rows;
    memory_barrier();
    if (straight && s->add) {
        load_sums(c, s->c_row_bytes, low, right);
    } else {
        clear_sums();
    }
    load_upper(a + AMX_FIRST_LEFT);
    load_first(b);
    load_lower(a + AMX_FIRST_LEFT, low);
    load_second(b, right);
    for (size_t t = amx_steps(s); t > 1; t--, a += AMX_WIDTH * AMX_STORED, b += AMX_WIDTH * AMX_STORED) {
        fetch_ahead(&ahead);
        add_step(a, b, true, low, right);
    }
    add_step(a, b, false, low, right);
    later->strip = ahead.strip;
    if (straight) {
        store_sums(c, s->c_row_bytes, low, right);
        memory_barrier();
        return;
    }
    _Alignas(64) uint32_t kept[AMX_WIDTH * AMX_WIDTH];
    store_sums((unsigned char *)kept, AMX_SUM_BYTES, low, right);
    memory_barrier();
    if (AMX_ROUNDS && s->result == AMPS_LOW_BF16 && s->alpha == 1.0f && !s->add && s->columns == AMX_WIDTH) {
        store_bf16(s, kept, c, rows);
    } else {
        store_rows(s, kept, c, rows);
    }
}

static void panel(const amps_low_strip *s, amx_ahead *ahead, const uint32_t *a, unsigned char *c, size_t rows)
{
    if (rows > 16 && s->columns > 16) {
        tiles(s, ahead, a, c, rows, true, true);
    } else if (rows > 16) {
        tiles(s, ahead, a, c, rows, true, false);
    } else if (s->columns > 16) {
        tiles(s, ahead, a, c, rows, false, true);
    } else {
        tiles(s, ahead, a, c, rows, false, false);
    }
}

static amx_ahead ahead_of(const amps_low_strip *s)
{
    const size_t steps = amx_steps(s), panels = (s->rows + AMX_WIDTH - 1) / AMX_WIDTH;
    const size_t lines = AMX_WIDTH * (steps * AMX_STORED + 1) / (AMX_LINE / sizeof(uint32_t));
    return (amx_ahead){
        .strip = (const char *)s->next,
        .lines = s->next == NULL ? 0 : (lines + steps * panels - 1) / (steps * panels),
        .c_row_bytes = s->c_row_bytes,
        .c_each = AMX_WIDTH / steps + 1,
        .c_bytes = s->columns * (s->result == AMPS_LOW_SUMS ? sizeof(uint32_t) : sizeof(uint16_t)),
    };
}

static void strip(const amps_low_strip *s)
{
    const uint32_t *a = s->a;
    unsigned char *c = s->c;
    amx_ahead ahead = ahead_of(s);
    _tile_loadconfig(&whole_tiles);
    for (size_t left = s->rows; left > 0;) {
        const size_t rows = left < AMX_WIDTH ? left : AMX_WIDTH;
        if (exact(a, s->b)) {
            panel(s, &ahead, a, c, rows);
        } else {
            careful(s, a, c, rows);
        }
        left -= rows;
        a += AMX_WIDTH * (amx_steps(s) * AMX_STORED + 1);
        c += rows * s->c_row_bytes;
    }
    _tile_release();
}

/* 16 words of 32 columns into two tiles of 16 columns. */
AMPS_INLINE void part_columns(const uint32_t *from, uint32_t *to)
{
    for (size_t w = 0; w < 16; w++, from += AMX_WIDTH, to += 16) {
        _mm512_storeu_si512(to, _mm512_loadu_si512(from));
        _mm512_storeu_si512(to + AMX_TILE_WORDS, _mm512_loadu_si512(from + 16));
    }
}

/* The same for all steps of a strip of words that are not cut. */
static inline void part_strip(uint32_t *strip_words, size_t words)
{
    uint32_t *at = strip_words + AMX_WIDTH;
    for (size_t w = 0; w < words; w += 16, at += AMX_WIDTH * 16) {
        _Alignas(64) uint32_t step[AMX_WIDTH * 16];
        memcpy(step, at, sizeof step);
        part_columns(step, at);
    }
}

/* Up to 32 lines of `bytes` bytes into a panel's steps: 32 rows of AMX_STEP words, zeros where there is nothing. Four
   lines at a time, since steps lie 2 KiB apart (of f32 4 KiB), in few sets of the first cache: side by side their lines
   go on together. */
static void pack_rows(const unsigned char *from, size_t row_bytes, size_t rows, size_t bytes, uint32_t *to)
{
    enum { TOGETHER = 4 };
    for (size_t first = 0; first < AMX_WIDTH; first += TOGETHER, to += TOGETHER * AMX_STEP) {
        uint32_t *here = to;
        for (size_t done = 0; done < bytes; done += 4 * AMX_STEP, here += AMX_WIDTH * AMX_STEP) {
            for (size_t i = first; i < first + TOGETHER; i++) {
                const unsigned char *line = from + (i < rows ? i : 0) * row_bytes;
                for (size_t v = 0; v < AMX_STEP / 16; v++) {
                    const size_t at = done + 64 * v, left = i < rows && at < bytes ? bytes - at : 0;
                    const __mmask64 lanes = left < 64 ? ((__mmask64)1 << left) - 1u : ~(__mmask64)0;
                    _mm512_storeu_si512(here + (i - first) * AMX_STEP + 16 * v,
                                        _mm512_maskz_loadu_epi8(lanes, line + at));
                }
            }
        }
    }
}

#endif /* AMPS_AMX_TILE_H */
