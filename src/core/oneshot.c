/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oneshot.c: what the one-call forms reuse from call to call: a bounded cache of kernels and a few spare
 * command buffers on a queue of the device's own. One a device, behind one lock; called by src/ops.
 *
 * Nothing here holds the device (core.h): it all goes when the device goes. A caller's operands keep the
 * device alive while a one-call form runs.
 */
#include "core/core.h"

#include <string.h>

/* 256 kernels are more than a network has distinct shapes; 8 spares serve 8 threads without making one. */
enum { DEFAULT_CAPACITY = 256, FIRST_ENTRIES = 16, SPARE_COUNT = 8 };

typedef struct entry {
    uint64_t hash;
    uint64_t last_used;
    anymps_kernel *kernel;
} entry;

struct amps_oneshot {
    pthread_mutex_t lock;
    entry *entries;
    size_t count;
    size_t allocated;
    size_t capacity;
    uint64_t clock;
    uint64_t hits;
    uint64_t misses;
    anymps_queue *queue; /* made at first use */
    anymps_command_buffer *spare[SPARE_COUNT];
    size_t spare_count;
};

anymps_status amps_oneshot_create(anymps_device *device)
{
    struct amps_oneshot *made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        amps_free(made);
        return amps_fail(ANYMPS_OUT_OF_MEMORY, "device_open: the system has no more locks");
    }
    made->capacity = DEFAULT_CAPACITY;
    device->oneshot = made;
    return ANYMPS_OK;
}

void amps_oneshot_destroy(anymps_device *device)
{
    struct amps_oneshot *const own = device->oneshot;
    for (size_t i = 0; i < own->spare_count; i++) {
        anymps_command_buffer_release(own->spare[i]);
    }
    anymps_queue_release(own->queue);
    for (size_t i = 0; i < own->count; i++) {
        anymps_kernel_release(own->entries[i].kernel);
    }
    amps_free(own->entries);
    (void)pthread_mutex_destroy(&own->lock);
    amps_free(own);
}

/* ---- Kernels ---------------------------------------------------------------------------------- */

/* FNV-1a over the operator and the descriptor's bytes, 8 at a time (descriptors are multiples of 8). */
static uint64_t hash_of(amps_operator op, const void *desc, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)op;
    const unsigned char *at = desc;
    for (size_t i = 0; i + sizeof hash <= bytes; i += sizeof hash) {
        uint64_t word;
        memcpy(&word, at + i, sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash;
}

static entry *find(struct amps_oneshot *own, amps_operator op, const void *desc, size_t bytes, uint64_t hash)
{
    for (size_t i = 0; i < own->count; i++) {
        entry *const each = &own->entries[i];
        if (each->hash == hash && each->kernel->op == op && memcmp(each->kernel->desc, desc, bytes) == 0) {
            return each;
        }
    }
    return NULL;
}

/* Takes the entry unused for longest out; its kernel goes when its last use has ended. */
static void evict(struct amps_oneshot *own)
{
    size_t oldest = 0;
    for (size_t i = 1; i < own->count; i++) {
        if (own->entries[i].last_used < own->entries[oldest].last_used) {
            oldest = i;
        }
    }
    anymps_kernel_release(own->entries[oldest].kernel);
    own->entries[oldest] = own->entries[--own->count];
}

/* Keeps a kernel if there is room; a cache that cannot grow is just smaller. */
static void insert(struct amps_oneshot *own, uint64_t hash, anymps_kernel *kernel)
{
    if (own->capacity == 0) {
        return;
    }
    if (own->count == own->capacity) {
        evict(own);
    }
    if (own->count == own->allocated) {
        const size_t more = own->allocated == 0 ? FIRST_ENTRIES : own->allocated * 2;
        entry *const bigger = amps_calloc(more, sizeof *bigger);
        if (bigger == NULL) {
            return;
        }
        if (own->count != 0) {
            memcpy(bigger, own->entries, own->count * sizeof *bigger);
        }
        amps_free(own->entries);
        own->entries = bigger;
        own->allocated = more;
    }
    own->entries[own->count++] = (entry){hash, ++own->clock, anymps_kernel_retain(kernel)};
}

/* A hit: one reference to the caller. */
static anymps_kernel *take(struct amps_oneshot *own, amps_operator op, const void *desc, size_t bytes, uint64_t hash)
{
    entry *const found = find(own, op, desc, bytes, hash);
    if (found == NULL) {
        return NULL;
    }
    found->last_used = ++own->clock;
    return anymps_kernel_retain(found->kernel);
}

static anymps_status cached_kernel(anymps_device *device, amps_operator op, const void *desc, anymps_kernel **kernel)
{
    struct amps_oneshot *const own = device->oneshot;
    const size_t bytes = amps_operators[op].desc_bytes;
    const uint64_t hash = hash_of(op, desc, bytes);
    (void)pthread_mutex_lock(&own->lock);
    anymps_kernel *found = take(own, op, desc, bytes, hash);
    if (found != NULL) {
        own->hits++;
    } else {
        own->misses++;
    }
    (void)pthread_mutex_unlock(&own->lock);
    if (found != NULL) {
        *kernel = found;
        return ANYMPS_OK;
    }
    /* Preparing may be slow, so the lock is open meanwhile; two threads may make the same one. */
    anymps_kernel *made = NULL;
    ANYMPS_TRY(amps_kernel_make(device, op, desc, false, &made));
    (void)pthread_mutex_lock(&own->lock);
    found = take(own, op, desc, bytes, hash);
    if (found == NULL) {
        insert(own, hash, made);
    }
    (void)pthread_mutex_unlock(&own->lock);
    if (found != NULL) {
        anymps_kernel_release(made);
    }
    *kernel = found != NULL ? found : made;
    return ANYMPS_OK;
}

anymps_status anymps_device_kernel_cache_stats(const anymps_device *device, anymps_kernel_cache_stats *stats)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT,
                   "kernel_cache_stats: device is NULL or no device");
    ANYMPS_TRY(amps_struct_check("kernel_cache_stats", stats, sizeof *stats));
    struct amps_oneshot *const own = device->oneshot;
    (void)pthread_mutex_lock(&own->lock);
    const anymps_kernel_cache_stats now = {.struct_size = sizeof now,
                                           .entries = own->count,
                                           .capacity = own->capacity,
                                           .hits = own->hits,
                                           .misses = own->misses};
    (void)pthread_mutex_unlock(&own->lock);
    amps_struct_write(stats, &now, sizeof now);
    return ANYMPS_OK;
}

anymps_status anymps_device_set_kernel_cache_capacity(anymps_device *device, size_t capacity)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT,
                   "set_kernel_cache_capacity: device is NULL or no device");
    struct amps_oneshot *const own = device->oneshot;
    (void)pthread_mutex_lock(&own->lock);
    own->capacity = capacity;
    while (own->count > capacity) {
        evict(own);
    }
    (void)pthread_mutex_unlock(&own->lock);
    return ANYMPS_OK;
}

/* ---- Command buffers -------------------------------------------------------------------------- */

/* The device's own queue; two threads may make one at once, and the second is dropped. */
static anymps_status own_queue(anymps_device *device, anymps_queue **queue)
{
    struct amps_oneshot *const own = device->oneshot;
    (void)pthread_mutex_lock(&own->lock);
    *queue = own->queue;
    (void)pthread_mutex_unlock(&own->lock);
    if (*queue != NULL) {
        return ANYMPS_OK;
    }
    anymps_queue *made = NULL;
    ANYMPS_TRY(amps_queue_make(device, NULL, false, &made));
    (void)pthread_mutex_lock(&own->lock);
    if (own->queue == NULL) {
        own->queue = made;
        made = NULL;
    }
    *queue = own->queue;
    (void)pthread_mutex_unlock(&own->lock);
    anymps_queue_release(made);
    return ANYMPS_OK;
}

static anymps_status spare_command_buffer(anymps_device *device, anymps_command_buffer **command_buffer)
{
    struct amps_oneshot *const own = device->oneshot;
    (void)pthread_mutex_lock(&own->lock);
    anymps_command_buffer *spare = own->spare_count > 0 ? own->spare[--own->spare_count] : NULL;
    (void)pthread_mutex_unlock(&own->lock);
    if (spare == NULL) {
        anymps_queue *queue;
        ANYMPS_TRY(own_queue(device, &queue));
        ANYMPS_TRY(anymps_command_buffer_create(queue, &spare));
    }
    *command_buffer = spare;
    return ANYMPS_OK;
}

anymps_status amps_oneshot_begin(anymps_device *device, amps_operator op, const void *desc, anymps_kernel **kernel,
                                 anymps_command_buffer **command_buffer)
{
    anymps_kernel *found = NULL;
    ANYMPS_TRY(cached_kernel(device, op, desc, &found));
    const anymps_status status = spare_command_buffer(device, command_buffer);
    if (status != ANYMPS_OK) {
        anymps_kernel_release(found);
        return status;
    }
    *kernel = found;
    return ANYMPS_OK;
}

/* Gives a command buffer back for the next call; those beyond SPARE_COUNT go. */
static void keep_spare(struct amps_oneshot *own, anymps_command_buffer *command_buffer)
{
    const bool empty = anymps_command_buffer_reset(command_buffer) == ANYMPS_OK;
    (void)pthread_mutex_lock(&own->lock);
    const bool kept = empty && own->spare_count < SPARE_COUNT;
    if (kept) {
        own->spare[own->spare_count++] = command_buffer;
    }
    (void)pthread_mutex_unlock(&own->lock);
    if (!kept) {
        anymps_command_buffer_release(command_buffer);
    }
}

anymps_status amps_oneshot_end(anymps_device *device, anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                               anymps_status encoded)
{
    anymps_status status = encoded;
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_commit(command_buffer);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_wait(command_buffer);
    }
    keep_spare(device->oneshot, command_buffer);
    anymps_kernel_release(kernel);
    return status;
}
