/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ref.h: what every public object begins with: its kind, so that a wrong handle is told apart, and its
 * count. Used by core and io; knows no object.
 */
#ifndef AMPS_REF_H
#define AMPS_REF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Odd values that plain memory is unlikely to hold; a released object's kind is AMPS_KIND_DEAD. */
typedef enum amps_kind {
    AMPS_KIND_DEAD = 0x0dead0b1,
    AMPS_KIND_DEVICE = 0x0a3b5d01,
    AMPS_KIND_BUFFER = 0x0a3b5d03,
    AMPS_KIND_MATRIX = 0x0a3b5d05,
    AMPS_KIND_VECTOR = 0x0a3b5d07,
    AMPS_KIND_QUEUE = 0x0a3b5d09,
    AMPS_KIND_COMMAND_BUFFER = 0x0a3b5d0b,
    AMPS_KIND_KERNEL = 0x0a3b5d0d,
    AMPS_KIND_FILE = 0x0a3b5d0f
} amps_kind;

typedef struct amps_object {
    uint32_t kind;
    atomic_uint references;
} amps_object;

/* One reference, counted as live. */
void amps_object_init(amps_object *object, amps_kind kind);

/* True if `object` is not NULL and of this kind. */
static inline bool amps_is(const void *object, amps_kind kind)
{
    return object != NULL && ((const amps_object *)object)->kind == (uint32_t)kind;
}

static inline void amps_object_retain(amps_object *object)
{
    atomic_fetch_add_explicit(&object->references, 1, memory_order_relaxed);
}

/* True if this was the last reference: the caller destroys the object. */
bool amps_object_release(amps_object *object);

#endif /* AMPS_REF_H */
