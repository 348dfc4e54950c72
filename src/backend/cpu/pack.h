/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h: copies of blocks of A and B in the order in which a matmul strip reads them, widened to f32.
 *
 * Called by gemm_strip.c; calls the copies of gemm_ukr.h and the conversions of ukr.h. Knows no threads.
 *
 *     A, panels of h rows:       B, strips of w columns:
 *       k ->                       j ->
 *     a(0,0) a(1,0) … a(h-1,0)   b(0,0) b(0,1) … b(0,w-1)
 *     a(0,1) a(1,1) … a(h-1,1)   b(1,0) b(1,1) … b(1,w-1)
 *       …                          …
 *     next panel                 next strip
 */
#ifndef AMPS_PACK_H
#define AMPS_PACK_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/ukr/gemm_ukr.h"

/* One operand as packing sees it: element (x, k) is at base + (x * across + k * along) elements, where x runs
   over A's rows or B's columns and k over the interior. */
typedef struct amps_pack_source {
    const unsigned char *base;
    size_t across, along;
    anymps_dtype dtype;
} amps_pack_source;

/*
 * Packs x in [x0, x0 + count), k in [k0, k0 + interior) as panels `width` wide, the last one narrower but stored
 * at the same width; what lies beyond the count is not written. Panels are width * interior elements apart.
 */
void amps_pack(const amps_gemm_ukr *ukr, const amps_row_ukr *rows, const amps_pack_source *source, size_t x0,
               size_t count, size_t k0, size_t interior, size_t width, float *to);

/* n elements, `step` elements apart, of type `dtype` as f32. */
void amps_pack_line(const amps_row_ukr *rows, anymps_dtype dtype, const unsigned char *from, size_t step, float *to,
                    size_t n);

#endif /* AMPS_PACK_H */
