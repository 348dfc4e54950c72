/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packed.c: see packed.h. A slot's copies form a list that only grows: it is read without a lock, a new copy is put
 * in front under the store's lock and marked ready when it has been filled, outside of the lock.
 */
#include "backend/cpu/packed.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* More views of one matrix than that are no weights: they are packed for each call. */
enum { COPIES_MAX = 8, ALIGNMENT = 64, PHYSICAL_SHARE = 4 };

struct amps_packed_store {
    pthread_mutex_t lock; /* held while a list grows */
    size_t limit_bytes;
    atomic_size_t used_bytes;
};

/* The elements follow at HEAD_BYTES. */
typedef struct copy {
    struct copy *next;
    amps_packed_store *store;
    size_t bytes; /* of the block */
    amps_packed_key key;
    atomic_bool ready;
} copy;

enum { HEAD_BYTES = (sizeof(copy) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT };

/* ANYMPS_PACKED_BYTES if it is set. */
static anymps_status read_limit(size_t *bytes)
{
    const char *text = getenv("ANYMPS_PACKED_BYTES");
    if (text == NULL || text[0] == '\0') {
        return ANYMPS_OK;
    }
    char *end = NULL;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    ANYMPS_FAIL_IF(text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0, ANYMPS_INVALID_ARGUMENT,
                   "device_open: ANYMPS_PACKED_BYTES is '%.32s', not a number", text);
    *bytes = value;
    return ANYMPS_OK;
}

anymps_status amps_packed_open(size_t physical_bytes, amps_packed_store **out)
{
    size_t limit = physical_bytes / PHYSICAL_SHARE;
    ANYMPS_TRY(read_limit(&limit));
    amps_packed_store *store = amps_calloc(1, sizeof *store);
    if (store == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    pthread_mutex_init(&store->lock, NULL);
    store->limit_bytes = limit;
    *out = store;
    return ANYMPS_OK;
}

void amps_packed_close(amps_packed_store *store)
{
    pthread_mutex_destroy(&store->lock);
    amps_free(store);
}

static bool same(const amps_packed_key *x, const amps_packed_key *y)
{
    return x->base == y->base && x->across == y->across && x->along == y->along && x->count == y->count &&
           x->interior == y->interior && x->width == y->width && x->block == y->block && x->dtype == y->dtype &&
           x->layout == y->layout;
}

/* The copy under `key`, ready or not; `length`: how many there are. */
static copy *find(amps_constant *slot, const amps_packed_key *key, size_t *length)
{
    *length = 0;
    for (copy *c = atomic_load_explicit(&slot->data, memory_order_acquire); c != NULL; c = c->next) {
        if (same(&c->key, key)) {
            return c;
        }
        ++*length;
    }
    return NULL;
}

/* amps_constant.release: all copies of one matrix. */
static void release_copies(void *data)
{
    for (copy *c = data; c != NULL;) {
        copy *next = c->next;
        atomic_fetch_sub_explicit(&c->store->used_bytes, c->bytes, memory_order_relaxed);
        amps_free(c);
        c = next;
    }
}

/* Memory for a copy; NULL, with the error detail as it was, if there is none or the bound is reached. */
static copy *allocate(amps_packed_store *store, size_t bytes)
{
    size_t block;
    if (!amps_add(bytes, HEAD_BYTES, &block)) {
        return NULL;
    }
    const size_t before = atomic_fetch_add_explicit(&store->used_bytes, block, memory_order_relaxed);
    copy *c = NULL;
    if (block <= store->limit_bytes && before <= store->limit_bytes - block) {
        const anymps_error kept = *anymps_last_error();
        c = amps_malloc_aligned(block, ALIGNMENT, false);
        if (c == NULL) {
            (void)amps_fail_again(&kept);
        }
    }
    if (c == NULL) {
        atomic_fetch_sub_explicit(&store->used_bytes, block, memory_order_relaxed);
        return NULL;
    }
    c->store = store;
    c->bytes = block;
    atomic_init(&c->ready, false);
    return c;
}

/* A new copy in front of the list, for the caller to fill. NULL: it exists by now, or there is no room. */
static copy *insert(amps_packed_store *store, amps_constant *slot, const amps_packed_key *key, size_t bytes)
{
    size_t length;
    copy *c = NULL;
    pthread_mutex_lock(&store->lock);
    if (find(slot, key, &length) == NULL && length < COPIES_MAX) {
        c = allocate(store, bytes);
    }
    if (c != NULL) {
        c->key = *key;
        c->next = atomic_load_explicit(&slot->data, memory_order_relaxed);
        slot->release = release_copies;
        atomic_store_explicit(&slot->data, c, memory_order_release);
    }
    pthread_mutex_unlock(&store->lock);
    return c;
}

const void *amps_packed_get(amps_packed_store *store, amps_constant *slot, const amps_packed_key *key, size_t bytes,
                            amps_packed_fill fill, const void *context)
{
    size_t length;
    copy *c = find(slot, key, &length);
    if (c == NULL) {
        c = length < COPIES_MAX ? insert(store, slot, key, bytes) : NULL;
        if (c == NULL) {
            return NULL;
        }
        fill(context, (unsigned char *)c + HEAD_BYTES);
        atomic_store_explicit(&c->ready, true, memory_order_release);
    }
    return atomic_load_explicit(&c->ready, memory_order_acquire) ? (unsigned char *)c + HEAD_BYTES : NULL;
}
