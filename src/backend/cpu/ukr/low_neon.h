/* SPDX-License-Identifier: Apache-2.0 */
/*
 * low_neon.h: what the tiles of narrow types have in common on arm64: which lanes are stored, parts of vectors, words
 * from rows, and how f32 or i32 sums are written. For microkernel files with a suffix __neon…, which define LOW_INTEGER
 * as 0 or 1 before they include this.
 *
 * Panels of A may be read up to AMPS_LOW_SLACK words past their end: whole vectors everywhere, lanes too many unused.
 */
#ifndef AMPS_LOW_NEON_H
#define AMPS_LOW_NEON_H

#include <arm_neon.h>

#include "half_neon.h"
#include "low_ukr.h"
#include "part_neon.h"

#define AMPS_INLINE static inline __attribute__((always_inline))

#define LOW_LANES 4
#define LOW_WIDE  3
#define LOW_ROWS  8

#if LOW_INTEGER
typedef int32x4_t sums;
#else
typedef float32x4_t sums;
#endif

/* ---- stores --------------------------------------------------------------------------------------- */

typedef size_t low_lanes; /* how many; 4 and more: all */

static inline low_lanes low_first_lanes(size_t n)
{
    return n;
}

#if LOW_INTEGER

static inline bool low_is_plain(const amps_low_strip *s)
{
    return !s->add;
}
static inline sums low_first(const uint32_t *head)
{
    (void)head;
    return vdupq_n_s32(0);
}
static inline void low_put(unsigned char *c, bool whole, low_lanes lanes, sums x)
{
    if (whole || lanes >= LOW_LANES) {
        vst1q_s32((int32_t *)(void *)c, x);
    } else {
        part_store(c, lanes, vreinterpretq_u32_s32(x));
    }
}
static inline void low_store(const amps_low_strip *s, unsigned char *c, sums x, size_t columns)
{
    if (s->add) {
        x = vaddq_s32(x, vreinterpretq_s32_u32(part_load(c, columns)));
    }
    low_put(c, false, columns, x);
}

/* n i32 sums to f32 where they lie. */
static void convert(uint32_t *values, size_t n)
{
    for (size_t i = 0; i < n; i += LOW_LANES) {
        const float32x4_t x = vcvtq_f32_s32(vreinterpretq_s32_u32(part_load(values + i, n - i)));
        part_store(values + i, n - i, vreinterpretq_u32_f32(x));
    }
}

#else

static inline bool low_is_plain(const amps_low_strip *s)
{
    return s->result == AMPS_LOW_SUMS && s->alpha == 1.0f && s->beta == 0.0f;
}
static inline sums low_first(const uint32_t *head)
{
    (void)head;
    return vdupq_n_f32(0.0f);
}
static inline void low_put(unsigned char *c, bool whole, low_lanes lanes, sums x)
{
    if (whole || lanes >= LOW_LANES) {
        vst1q_f32((float *)(void *)c, x);
    } else {
        part_store(c, lanes, vreinterpretq_u32_f32(x));
    }
}
static inline void low_store(const amps_low_strip *s, unsigned char *c, sums x, size_t columns)
{
    if (s->beta != 0.0f) {
        const sums old = vmulq_n_f32(vreinterpretq_f32_u32(part_load(c, columns)), s->beta);
        x = vfmaq_f32(old, x, vdupq_n_f32(s->alpha));
    } else if (s->alpha != 1.0f) {
        x = vmulq_n_f32(x, s->alpha);
    }
    if (s->result == AMPS_LOW_SUMS) {
        low_put(c, false, columns, x);
    } else {
        part_store_halves(c, columns, s->result == AMPS_LOW_F16 ? f16_of_f32(x) : bf16_of_f32(x));
    }
}

#endif

/* ---- 16-bit elements to words --------------------------------------------------------------------- */

/* Two rows of n elements to words of pairs; the second one is zeros if `both` is not set. */
static inline void pair_rows(const unsigned char *x, const unsigned char *y, bool both, uint32_t *to, size_t n)
{
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        const uint16x8_t upper = both ? vreinterpretq_u16_u8(vld1q_u8(y + 2 * j)) : vdupq_n_u16(0);
        const uint16x8x2_t pairs = {{vreinterpretq_u16_u8(vld1q_u8(x + 2 * j)), upper}};
        vst2q_u16((uint16_t *)(void *)(to + j), pairs);
    }
    for (; j + 4 <= n; j += 4) {
        const uint16x4_t upper = both ? vreinterpret_u16_u8(vld1_u8(y + 2 * j)) : vdup_n_u16(0);
        const uint16x4x2_t pairs = {{vreinterpret_u16_u8(vld1_u8(x + 2 * j)), upper}};
        vst2_u16((uint16_t *)(void *)(to + j), pairs);
    }
    for (; j < n; j++) {
        uint16_t lower, upper = 0;
        __builtin_memcpy(&lower, x + 2 * j, sizeof lower);
        if (both) {
            __builtin_memcpy(&upper, y + 2 * j, sizeof upper);
        }
        to[j] = (uint32_t)lower | (uint32_t)upper << 16;
    }
}

/* low_ukr.h's `interleave` for 16-bit elements in words of two. */
AMPS_INLINE void interleave_pairs(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to,
                                  size_t to_row, size_t n)
{
    for (size_t k = 0; k < interior; k += 2, from += 2 * row_bytes, to += to_row) {
        pair_rows(from, from + row_bytes, k + 1 < interior, to, n);
    }
}

/* ---- i8 to words ---------------------------------------------------------------------------------- */

/* Four rows of four columns: word j takes byte j of each. */
static inline uint32x4_t words_of_4x4(const unsigned char *const *row)
{
    static const uint8_t order[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    uint32_t each[4];
    for (size_t i = 0; i < 4; i++) {
        __builtin_memcpy(each + i, row[i], sizeof *each);
    }
    return vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(vld1q_u32(each)), vld1q_u8(order)));
}

/* low_ukr.h's `interleave` for bytes in words of four. */
AMPS_INLINE void interleave_bytes(const unsigned char *from, size_t row_bytes, size_t interior, uint32_t *to,
                                  size_t to_row, size_t n)
{
    static const unsigned char zeros[16] = {0};
    for (size_t k = 0; k < interior; k += 4, from += 4 * row_bytes, to += to_row) {
        size_t j = 0;
        for (; j < n;) {
            const unsigned char *row[4];
            for (size_t i = 0; i < 4; i++) {
                row[i] = k + i < interior ? from + i * row_bytes + j : zeros;
            }
            if (j + 8 <= n) {
                const uint8x8x4_t bytes = {{vld1_u8(row[0]), vld1_u8(row[1]), vld1_u8(row[2]), vld1_u8(row[3])}};
                vst4_u8((uint8_t *)(void *)(to + j), bytes);
                j += 8;
            } else if (j + 4 <= n) {
                vst1q_u32(to + j, words_of_4x4(row));
                j += 4;
            } else {
                to[j] = (uint32_t)row[0][0] | (uint32_t)row[1][0] << 8 | (uint32_t)row[2][0] << 16 |
                        (uint32_t)row[3][0] << 24;
                j++;
            }
        }
    }
}

#endif /* AMPS_LOW_NEON_H */
