/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack_low.h: copies of blocks of A and B in words of neighbours along k (ukr/low_ukr.h), for the microkernels of
 * narrow types. Called by gemm_low.c; calls the microkernel's own packing and the transposition of gemm_ukr.h. Knows
 * no threads.
 */
#ifndef AMPS_PACK_LOW_H
#define AMPS_PACK_LOW_H

#include "backend/cpu/pack.h"
#include "backend/cpu/ukr/low_ukr.h"

/* How an operand is cut: panels `width` wide, of A (`left`) or B; `interior` is the whole product's. */
typedef struct amps_low_layout {
    const amps_low_ukr *low;
    const amps_gemm_ukr *ukr;
    size_t width, interior;
    bool left;
} amps_low_layout;

/* Words of k that a panel holds, the last step filled up. */
static inline size_t amps_low_filled(const amps_low_ukr *low, size_t words)
{
    return low->step == 0 ? words : (words + low->step - 1) / low->step * low->step;
}

/* Words that they take in it for each of its elements. */
static inline size_t amps_low_room(const amps_low_ukr *low, size_t words)
{
    return low->step == 0 ? words : (words + low->step - 1) / low->step * low->stored;
}

/* Words that a panel of `words` words of k takes, its head included. */
static inline size_t amps_low_panel_words(const amps_low_ukr *low, size_t width, size_t words)
{
    return width * (amps_low_room(low, words) + 1);
}

/* Packs x in [x0, x0 + count), words [w0, w0 + words) of k as panels one after the other; the last one is filled up
   with zeros. */
void amps_low_pack(const amps_low_layout *layout, const amps_pack_source *source, size_t x0, size_t count, size_t w0,
                   size_t words, uint32_t *to);

#endif /* AMPS_PACK_LOW_H */
