/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packed.h: packed copies of constant operands (ANYMPS_CONSTANT), kept with the matrix they come from.
 *
 * Called by gemm_packed.c and gemm_low.c, which know the layouts; a device owns one store, which bounds the bytes of
 * all copies of its matrices. A copy lives until its matrix goes. One that finds no memory, or no room below the bound, is not
 * made: the caller then packs for the call alone, with the same bits. Knows no layout.
 */
#ifndef AMPS_PACKED_H
#define AMPS_PACKED_H

#include "contract/backend.h"

typedef struct amps_packed_store amps_packed_store;

/* A store for at most ANYMPS_PACKED_BYTES, by default a quarter of `physical_bytes`. INVALID_ARGUMENT: the variable is
   no number. */
anymps_status amps_packed_open(size_t physical_bytes, amps_packed_store **store);
/* Every copy is gone by then. */
void amps_packed_close(amps_packed_store *store);

/* Which elements a copy holds and how; all of it decides whether a copy serves. Element (x, k) is at base +
   (x * across + k * along) elements, x < count, k < interior. */
typedef struct amps_packed_key {
    const void *base;
    size_t across, along, count, interior;
    size_t width, block; /* of the layout */
    anymps_dtype dtype;
    int layout; /* the caller's number */
} amps_packed_key;

/* Writes the copy to `to`, aligned to a cache line. */
typedef void (*amps_packed_fill)(const void *context, void *to);

/*
 * The copy of `slot` under `key`, made with `fill` if nobody has yet; NULL if it cannot be kept or another thread is
 * making it. Lives as long as the matrix. Thread-safety: any thread. Leaves the error detail alone.
 */
const void *amps_packed_get(amps_packed_store *store, amps_constant *slot, const amps_packed_key *key, size_t bytes,
                            amps_packed_fill fill, const void *context);

#endif /* AMPS_PACKED_H */
