/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.c: the library's only caller of the heap. See alloc.h.
 *
 * Every block is preceded by a header that holds what the allocator hook wants back:
 *
 *     | padding … | header (32 bytes) | block, aligned |
 *     ^ base                           ^ what callers see
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#endif
#include "base/alloc.h"

#include "base/checked.h"
#include "base/status.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef struct header {
    void *base;
    size_t size; /* of the whole block, from base */
    size_t alignment;
    size_t mapped; /* 1: from mmap, not from the allocator */
} header;

/* Zeroed blocks from here on come from mmap: a fresh page is already zero, and 1 MiB is where the page
   faults of a memset begin to cost more than the system call (measured: 30 µs against 5). */
enum { MAP_FROM_BYTES = 1 << 20 };

static void *default_allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    void *block = NULL;
    const size_t at_least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    return posix_memalign(&block, at_least, size) == 0 ? block : NULL;
}

static void default_release(void *context, void *block, size_t size, size_t alignment)
{
    (void)context;
    (void)size;
    (void)alignment;
    free(block);
}

/* Set at start-up only (base.h); listed in docs/threads.md. */
static anymps_allocator hook = {default_allocate, default_release, NULL};

static atomic_size_t live_objects, live_blocks, live_block_bytes, live_device_bytes, live_wrapped;

anymps_status anymps_set_allocator(const anymps_allocator *allocator)
{
    const size_t blocks = atomic_load(&live_blocks);
    ANYMPS_FAIL_IF(blocks != 0, ANYMPS_INVALID_STATE, "set_allocator: %zu blocks of the former allocator are live",
                   blocks);
    if (allocator == NULL) {
        hook = (anymps_allocator){default_allocate, default_release, NULL};
        return ANYMPS_OK;
    }
    ANYMPS_FAIL_IF(allocator->allocate == NULL || allocator->release == NULL, ANYMPS_INVALID_ARGUMENT,
                   "set_allocator: allocate and release must both be set");
    hook = *allocator;
    return ANYMPS_OK;
}

static void *map_pages(size_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

void *amps_malloc_aligned(size_t size, size_t alignment, bool zero)
{
    const size_t lead = alignment > sizeof(header) ? alignment : sizeof(header);
    size_t total;
    if (!amps_add(size, lead, &total)) {
        (void)amps_fail(ANYMPS_OUT_OF_MEMORY, "alloc: %zu bytes overflow the address space", size);
        return NULL;
    }
    const bool map = zero && size >= MAP_FROM_BYTES && hook.allocate == default_allocate;
    unsigned char *base = map ? map_pages(total) : hook.allocate(hook.context, total, alignment);
    if (base == NULL) {
        (void)amps_fail(ANYMPS_OUT_OF_MEMORY, "alloc: no memory for %zu bytes", size);
        return NULL;
    }
    unsigned char *block = base + lead;
    header *const head = (header *)(void *)(block - sizeof(header));
    *head = (header){base, total, alignment, map ? 1u : 0u};
    if (zero && !map) {
        memset(block, 0, size);
    }
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_block_bytes, total, memory_order_relaxed);
    return block;
}

void *amps_malloc(size_t size)
{
    return amps_malloc_aligned(size, 16, false);
}

void *amps_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (!amps_mul(count, size, &bytes)) {
        (void)amps_fail(ANYMPS_OUT_OF_MEMORY, "alloc: %zu times %zu bytes overflow", count, size);
        return NULL;
    }
    return amps_malloc_aligned(bytes, 16, true);
}

void amps_free(void *block)
{
    if (block == NULL) {
        return;
    }
    const header head = *(const header *)(const void *)((unsigned char *)block - sizeof(header));
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_block_bytes, head.size, memory_order_relaxed);
    if (head.mapped != 0) {
        (void)munmap(head.base, head.size);
    } else {
        hook.release(hook.context, head.base, head.size, head.alignment);
    }
}

char *amps_strndup(const char *text, size_t length)
{
    const char *end = memchr(text, '\0', length);
    const size_t used = end != NULL ? (size_t)(end - text) : length;
    char *copy = amps_malloc(used + 1);
    if (copy != NULL) {
        memcpy(copy, text, used);
        copy[used] = '\0';
    }
    return copy;
}

void amps_count_object(int delta)
{
    if (delta > 0) {
        atomic_fetch_add_explicit(&live_objects, 1, memory_order_relaxed);
    } else {
        atomic_fetch_sub_explicit(&live_objects, 1, memory_order_relaxed);
    }
}

void amps_count_device_bytes(size_t bytes, bool add)
{
    if (add) {
        atomic_fetch_add_explicit(&live_device_bytes, bytes, memory_order_relaxed);
    } else {
        atomic_fetch_sub_explicit(&live_device_bytes, bytes, memory_order_relaxed);
    }
}

void amps_count_wrapped(int delta)
{
    if (delta > 0) {
        atomic_fetch_add_explicit(&live_wrapped, 1, memory_order_relaxed);
    } else {
        atomic_fetch_sub_explicit(&live_wrapped, 1, memory_order_relaxed);
    }
}

anymps_live anymps_live_counts(void)
{
    return (anymps_live){
        .objects = atomic_load(&live_objects),
        .blocks = atomic_load(&live_blocks),
        .block_bytes = atomic_load(&live_block_bytes),
        .device_bytes = atomic_load(&live_device_bytes),
        .wrapped = atomic_load(&live_wrapped),
    };
}
