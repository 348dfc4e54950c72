/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/metal.h: the Metal handles of anymps objects, by name. Needs no Apple header: handles travel as void *,
 * which Objective-C takes with (__bridge id<MTLDevice>) and metal-cpp with a cast.
 *
 * All calls are thin forms of those of device.h, buffer.h and command.h, and so exist in every build; without a
 * Metal device they refuse.
 *
 *     anymps_metal_device_open((__bridge void *)device, &mine);
 *     anymps_metal_buffer_wrap(mine, (__bridge void *)buffer, length, &bytes);
 *     …
 *     anymps_metal_encode(command_buffer, (__bridge void *)theirs);   // then [theirs commit]
 */
#ifndef ANYMPS_METAL_H
#define ANYMPS_METAL_H

#include <anymps/command.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The `id<MTLDevice>`, borrowed: lives as long as the device. NULL for NULL. Since: 0.1. */
static inline void *anymps_metal_device(const anymps_device *device)
{
    return anymps_device_native(device);
}

/* The `id<MTLBuffer>`, borrowed: lives as long as the buffer. NULL for NULL. Since: 0.1. */
static inline void *anymps_metal_buffer(const anymps_buffer *buffer)
{
    return anymps_buffer_native(buffer);
}

/* The `id<MTLCommandQueue>`, borrowed: lives as long as the queue. NULL for NULL. Since: 0.1. */
static inline void *anymps_metal_queue(const anymps_queue *queue)
{
    return anymps_queue_native(queue);
}

/*
 * Opens the device that the caller knows as `mtl_device` (`id<MTLDevice>`, borrowed during the call). One
 * reference goes to `*device`.
 *
 * INVALID_ARGUMENT: null. UNSUPPORTED: it is no Metal device that MPS supports. Else as anymps_device_open.
 * Thread-safety: any thread. Since: 0.1.
 */
ANYMPS_MUST_USE static inline anymps_status anymps_metal_device_open(void *mtl_device, anymps_device **device)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (mtl_device == NULL || device == NULL) {
        return ANYMPS_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < anymps_device_count(); i++) {
        anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
        anymps_device *opened = NULL;
        anymps_status status = anymps_device_describe(i, &properties);
        if (status != ANYMPS_OK || properties.backend != ANYMPS_BACKEND_METAL) {
            continue;
        }
        desc.id = properties.id;
        status = anymps_device_open(&desc, &opened);
        if (status != ANYMPS_OK) {
            return status;
        }
        if (anymps_device_native(opened) == mtl_device) {
            *device = opened;
            return ANYMPS_OK;
        }
        anymps_device_release(opened);
    }
    return ANYMPS_UNSUPPORTED;
}

/*
 * Makes a queue over the caller's `id<MTLCommandQueue>`, which is retained until the queue goes.
 * INVALID_ARGUMENT: null, or a queue of another device. Else as anymps_queue_create_native. Since: 0.1.
 */
ANYMPS_MUST_USE static inline anymps_status anymps_metal_queue_create(anymps_device *device, void *mtl_queue,
                                                                      anymps_queue **queue)
{
    return anymps_queue_create_native(device, mtl_queue, queue);
}

/*
 * Makes a buffer over the first `length_bytes` of the caller's `id<MTLBuffer>`, which is retained until the buffer
 * goes; never a copy. Statuses as anymps_buffer_wrap_native. Since: 0.1.
 */
ANYMPS_MUST_USE static inline anymps_status anymps_metal_buffer_wrap(anymps_device *device, void *mtl_buffer,
                                                                     size_t length_bytes, anymps_buffer **buffer)
{
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = mtl_buffer;
    desc.length_bytes = length_bytes;
    return anymps_buffer_wrap_native(device, &desc, buffer);
}

/*
 * Encodes the records into the caller's own `id<MTLCommandBuffer>`, which the caller then commits, once; see
 * anymps_command_buffer_commit_native for what holds until it has completed. Since: 0.1.
 */
ANYMPS_MUST_USE static inline anymps_status anymps_metal_encode(anymps_command_buffer *command_buffer,
                                                                void *mtl_command_buffer)
{
    return anymps_command_buffer_commit_native(command_buffer, mtl_command_buffer);
}

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_METAL_H */
