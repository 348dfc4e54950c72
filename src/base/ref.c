/* SPDX-License-Identifier: Apache-2.0 */
/* ref.c: reference counts of public objects. See ref.h. */
#include "base/ref.h"

#include "base/alloc.h"

void amps_object_init(amps_object *object, amps_kind kind)
{
    object->kind = (uint32_t)kind;
    atomic_init(&object->references, 1);
    amps_count_object(+1);
}

bool amps_object_release(amps_object *object)
{
    /* Release orders this thread's uses before the count; acquire, in the last one, orders everybody's
       uses before the destruction. */
    if (atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel) != 1) {
        return false;
    }
    object->kind = (uint32_t)AMPS_KIND_DEAD;
    amps_count_object(-1);
    return true;
}
