/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c: ordered streams of work. Behind command.h; calls the device's vtable. */
#include "core/core.h"

anymps_status amps_queue_make(anymps_device *device, void *native, bool hold, anymps_queue **queue)
{
    anymps_queue *made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    const anymps_status status = device->impl->backend->queue_open(device->impl, native, &made->impl);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    made->device = hold ? anymps_device_retain(device) : device;
    made->holds_device = hold;
    amps_object_init(&made->object, AMPS_KIND_QUEUE);
    *queue = made;
    return ANYMPS_OK;
}

anymps_status anymps_queue_create(anymps_device *device, anymps_queue **queue)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT,
                   "queue_create: device is NULL or no device");
    ANYMPS_FAIL_IF(queue == NULL, ANYMPS_INVALID_ARGUMENT, "queue_create: the queue's address is NULL");
    return amps_queue_make(device, NULL, true, queue);
}

anymps_status anymps_queue_create_native(anymps_device *device, void *native, anymps_queue **queue)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT,
                   "queue_create_native: device is NULL or no device");
    ANYMPS_FAIL_IF(native == NULL, ANYMPS_INVALID_ARGUMENT, "queue_create_native: native is NULL");
    ANYMPS_FAIL_IF(queue == NULL, ANYMPS_INVALID_ARGUMENT, "queue_create_native: the queue's address is NULL");
    ANYMPS_FAIL_IF(device->impl->backend->kind == ANYMPS_BACKEND_CPU, ANYMPS_UNSUPPORTED,
                   "queue_create_native: the CPU has no queues of its own; use queue_create");
    return amps_queue_make(device, native, true, queue);
}

anymps_queue *anymps_queue_retain(anymps_queue *queue)
{
    if (queue != NULL) {
        amps_object_retain(&queue->object);
    }
    return queue;
}

void anymps_queue_release(anymps_queue *queue)
{
    if (queue == NULL || !amps_object_release(&queue->object)) {
        return;
    }
    queue->device->impl->backend->queue_close(queue->impl);
    if (queue->holds_device) {
        anymps_device_release(queue->device);
    }
    amps_free(queue);
}

anymps_device *anymps_queue_device(const anymps_queue *queue)
{
    return amps_is(queue, AMPS_KIND_QUEUE) ? queue->device : NULL;
}

void *anymps_queue_native(const anymps_queue *queue)
{
    return amps_is(queue, AMPS_KIND_QUEUE) ? queue->impl->native : NULL;
}
