/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part_neon.h: the first n of a vector's four lanes, loaded and stored by instructions of their width: a call of memcpy
 * would cost a tile all its registers. For the files with a suffix __neon…; any address will do.
 */
#ifndef AMPS_PART_NEON_H
#define AMPS_PART_NEON_H

#include <arm_neon.h>
#include <stddef.h>

static inline uint32x4_t part_word(const void *p)
{
    uint32_t x;
    __builtin_memcpy(&x, p, sizeof x);
    return vsetq_lane_u32(x, vdupq_n_u32(0), 0);
}

/* n ≤ 4 words; lanes left out are zero. */
static inline uint32x4_t part_load(const void *p, size_t n)
{
    const uint8_t *const bytes = p;
    if (n >= 4) {
        return vreinterpretq_u32_u8(vld1q_u8(bytes));
    }
    if (n < 2) {
        return n == 0 ? vdupq_n_u32(0) : part_word(p);
    }
    const uint32x2_t low = vreinterpret_u32_u8(vld1_u8(bytes));
    return vcombine_u32(low, n == 2 ? vdup_n_u32(0) : vget_low_u32(part_word(bytes + 8)));
}

static inline void part_store(void *p, size_t n, uint32x4_t x)
{
    uint8_t *const bytes = p;
    if (n >= 4) {
        vst1q_u8(bytes, vreinterpretq_u8_u32(x));
        return;
    }
    if (n >= 2) {
        vst1_u8(bytes, vreinterpret_u8_u32(vget_low_u32(x)));
    }
    const uint32_t single = n == 3 ? vgetq_lane_u32(x, 2) : vgetq_lane_u32(x, 0);
    if (n % 2 != 0) {
        __builtin_memcpy(bytes + 4 * (n - 1), &single, sizeof single);
    }
}

/* n ≤ 4 halves. */
static inline uint16x4_t part_load_halves(const void *p, size_t n)
{
    const uint8_t *const bytes = p;
    if (n >= 4) {
        return vreinterpret_u16_u8(vld1_u8(bytes));
    }
    uint32_t pair = 0;
    uint16_t single = 0;
    if (n >= 2) {
        __builtin_memcpy(&pair, bytes, sizeof pair);
    }
    if (n % 2 != 0) {
        __builtin_memcpy(&single, bytes + 2 * (n - 1), sizeof single);
    }
    return vcreate_u16(n >= 2 ? (uint64_t)pair | (uint64_t)single << 32 : single);
}

static inline void part_store_halves(void *p, size_t n, uint16x4_t x)
{
    uint8_t *const bytes = p;
    if (n >= 4) {
        vst1_u8(bytes, vreinterpret_u8_u16(x));
        return;
    }
    if (n >= 2) {
        const uint32_t pair = vget_lane_u32(vreinterpret_u32_u16(x), 0);
        __builtin_memcpy(bytes, &pair, sizeof pair);
    }
    const uint16_t single = n == 3 ? vget_lane_u16(x, 2) : vget_lane_u16(x, 0);
    if (n % 2 != 0) {
        __builtin_memcpy(bytes + 2 * (n - 1), &single, sizeof single);
    }
}

#endif /* AMPS_PART_NEON_H */
