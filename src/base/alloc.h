/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.h: the only way to host memory inside the library. Counts blocks and bytes, goes through the
 * allocator hook (anymps_set_allocator), so that tests can make the Nth allocation fail.
 * A NULL answer has already recorded OUT_OF_MEMORY with the size.
 */
#ifndef AMPS_ALLOC_H
#define AMPS_ALLOC_H

#include <anymps/base.h>

/* `size` bytes, 16-aligned, uninitialised; size 0 gives a valid block. NULL: OUT_OF_MEMORY recorded. */
void *amps_malloc(size_t size);

/* `count * size` zero bytes, 16-aligned, overflow-checked. */
void *amps_calloc(size_t count, size_t size);

/* The strictest alignment of amps_malloc_aligned; big blocks and the products' scratch start on one. */
enum { AMPS_PAGE_BYTES = 4096 };

/* `size` bytes aligned to `alignment` (power of two ≤ AMPS_PAGE_BYTES), zeroed if `zero`; large zeroed blocks come
   from fresh pages and cost nothing until touched. */
void *amps_malloc_aligned(size_t size, size_t alignment, bool zero);

/* NULL is allowed. */
void amps_free(void *block);

/* A copy of a string of at most `length` bytes. */
char *amps_strndup(const char *text, size_t length);

/* Counters behind anymps_live_counts. */
void amps_count_object(int delta);
void amps_count_device_bytes(size_t bytes, bool add);
void amps_count_wrapped(int delta);

#endif /* AMPS_ALLOC_H */
