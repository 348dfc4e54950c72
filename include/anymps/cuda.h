/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/cuda.h: the CUDA handles of anymps objects, typed. Needs no CUDA header: a context, a stream and a device
 * address travel as the driver defines them (CUcontext and CUstream are pointers, CUdeviceptr is an integer).
 *
 * A device is opened on its primary context, the one that the CUDA runtime, PyTorch and CuPy use, so that
 * addresses and streams go both ways. A queue over the caller's stream runs its command buffers in that
 * stream's order: work that the caller has put there before is seen, work put there after a commit sees the results.
 *
 *     anymps_queue *queue;                                      // in PyTorch's current stream
 *     anymps_cuda_queue_create(device, stream, &queue);
 *     anymps_cuda_buffer_wrap(device, address, bytes, NULL, NULL, &buffer);   // over a tensor's memory
 */
#ifndef ANYMPS_CUDA_H
#define ANYMPS_CUDA_H

#include <anymps/command.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUctx_st *anymps_cuda_context;   /* CUcontext */
typedef struct CUstream_st *anymps_cuda_stream; /* CUstream, cudaStream_t */
typedef unsigned long long anymps_cuda_address; /* CUdeviceptr */

/* The device's primary context, borrowed; NULL for another backend's device or NULL. Since: 0.1. */
static inline anymps_cuda_context anymps_cuda_device_context(const anymps_device *device)
{
    return (anymps_cuda_context)anymps_device_native(device);
}

/* The queue's stream, borrowed; it lives as long as the queue. NULL for NULL. Since: 0.1. */
static inline anymps_cuda_stream anymps_cuda_queue_stream(const anymps_queue *queue)
{
    return (anymps_cuda_stream)anymps_queue_native(queue);
}

/* Where the buffer's first byte lies for kernels, in every storage mode; 0 for NULL. Since: 0.1. */
static inline anymps_cuda_address anymps_cuda_buffer_address(const anymps_buffer *buffer)
{
    return (anymps_cuda_address)(size_t)anymps_buffer_native(buffer);
}

/*
 * Makes a queue that runs in the caller's own stream, borrowed until the queue goes. The stream must not be
 * the legacy default stream (NULL). Statuses as anymps_queue_create_native. Since: 0.1.
 */
ANYMPS_MUST_USE static inline anymps_status anymps_cuda_queue_create(anymps_device *device, anymps_cuda_stream stream,
                                                                     anymps_queue **queue)
{
    return anymps_queue_create_native(device, (void *)stream, queue);
}

/*
 * Makes a buffer over device memory (or pinned host memory) of this device, never a copy. `release` may be NULL;
 * else it is called once, with `context`, after the last use. Statuses as anymps_buffer_wrap_native. Since: 0.1.
 */
ANYMPS_MUST_USE static inline anymps_status anymps_cuda_buffer_wrap(anymps_device *device, anymps_cuda_address address,
                                                                    size_t length_bytes,
                                                                    anymps_release_callback release, void *context,
                                                                    anymps_buffer **buffer)
{
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = (void *)(size_t)address;
    desc.length_bytes = length_bytes;
    desc.forbid_copy = true;
    desc.release = release;
    desc.context = context;
    return anymps_buffer_wrap_native(device, &desc, buffer);
}

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_CUDA_H */
