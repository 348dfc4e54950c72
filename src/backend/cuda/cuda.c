/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda.c: the CUDA backend's vtable, and its devices: listing, opening, closing, losing.
 * Called by src/core through amps_backend_cuda; the other slots live in memory.c and cuda_queue.c. Each device is
 * opened on its primary context, the one that PyTorch, CuPy and the CUDA runtime use too.
 */
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/cublaslt.h"
#include "backend/cuda/ops/gemm_measured.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

extern const amps_backend amps_backend_cuda;

static int attribute(CUdevice handle, CUdevice_attribute which)
{
    int value = 0;
    return amps_cu.DeviceGetAttribute(&value, which, handle) == CUDA_SUCCESS ? value : 0;
}

static int capability_of(CUdevice handle)
{
    return 10 * attribute(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
           attribute(handle, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
}

enum { OLDEST_CAPABILITY = 80 }; /* bf16 and cp.async; the kernels are compiled for it */

/* False if the index is past the last device. Older chips are listed last, as not usable: they are left out. */
static bool usable(size_t index, CUdevice *handle)
{
    int count = 0;
    if (amps_cuda_driver_load(NULL) == NULL || amps_cu.DeviceGetCount(&count) != CUDA_SUCCESS) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (amps_cu.DeviceGet(handle, i) == CUDA_SUCCESS && capability_of(*handle) >= OLDEST_CAPABILITY &&
            index-- == 0) {
            return true;
        }
    }
    return false;
}

static void fill_properties(CUdevice handle, size_t index, anymps_device_properties *properties)
{
    size_t bytes = 0;
    memset(properties, 0, sizeof *properties);
    properties->struct_size = sizeof *properties;
    properties->backend = ANYMPS_BACKEND_CUDA;
    (void)snprintf(properties->id, sizeof properties->id, "cuda:%zu", index);
    (void)amps_cu.DeviceGetName(properties->name, (int)sizeof properties->name, handle);
    (void)snprintf(properties->architecture, sizeof properties->architecture, "sm_%d", capability_of(handle));
    (void)amps_cu.DeviceTotalMem(&bytes, handle);
    properties->unified_memory = attribute(handle, CU_DEVICE_ATTRIBUTE_INTEGRATED) != 0;
    properties->max_buffer_bytes = bytes;
    properties->recommended_working_set_bytes = bytes - bytes / 16;
}

static bool describe(size_t index, anymps_device_properties *properties)
{
    CUdevice handle;
    if (!usable(index, &handle)) {
        return false;
    }
    fill_properties(handle, index, properties);
    return true;
}

/* ---- Losing ----------------------------------------------------------------------------------- */

void amps_cuda_mark_lost(amps_cuda_device *device, const anymps_error *error)
{
    (void)pthread_mutex_lock(&device->lock);
    if (!atomic_load(&device->lost)) {
        device->lost_error = *error;
        atomic_store(&device->lost, true);
    }
    (void)pthread_mutex_unlock(&device->lock);
}

anymps_status amps_cuda_check_lost(amps_cuda_device *device)
{
    if (!atomic_load_explicit(&device->lost, memory_order_acquire)) {
        return ANYMPS_OK;
    }
    return amps_fail_again(&device->lost_error);
}

/* ---- Opening and closing ---------------------------------------------------------------------- */

static anymps_status open_context(amps_cuda_device *device)
{
    AMPS_CU_TRY(amps_cu.DevicePrimaryCtxRetain(&device->context, device->handle),
                "device_open: cuDevicePrimaryCtxRetain");
    device->base.native = device->context;
    AMPS_CU_TRY(amps_cuda_enter(device), "device_open: cuCtxPushCurrent");
    const CUresult result = amps_cu.StreamCreate(&device->io, CU_STREAM_NON_BLOCKING);
    amps_cuda_leave();
    AMPS_CU_TRY(result, "device_open: cuStreamCreate");
    return ANYMPS_OK;
}

void amps_cuda_device_release(amps_cuda_device *device)
{
    if (atomic_fetch_sub(&device->references, 1) != 1) {
        return;
    }
    if (device->context != NULL && amps_cuda_enter(device) == CUDA_SUCCESS) {
        amps_cuda_pool_empty(device);
        amps_cublaslt_close(atomic_load(&device->lt));
        amps_measured_close(device);
        amps_cuda_unload(device);
        if (device->io != NULL) {
            (void)amps_cu.StreamDestroy(device->io);
        }
        amps_cuda_leave();
    }
    if (device->context != NULL) {
        (void)amps_cu.DevicePrimaryCtxRelease(device->handle);
    }
    (void)pthread_mutex_destroy(&device->lock);
    amps_free(device);
}

static void close_device(amps_device *base)
{
    amps_cuda_device_release((amps_cuda_device *)base);
}

static anymps_status open_device(size_t index, const anymps_device_desc *desc, amps_device **out)
{
    (void)desc;
    CUdevice handle;
    ANYMPS_FAIL_IF(!usable(index, &handle), ANYMPS_INVALID_ARGUMENT, "device_open: there is no CUDA device %zu", index);
    amps_cuda_device *const device = amps_calloc(1, sizeof *device);
    if (device == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    (void)pthread_mutex_init(&device->lock, NULL);
    atomic_init(&device->references, 1);
    device->base.backend = &amps_backend_cuda;
    device->handle = handle;
    fill_properties(handle, index, &device->base.properties);
    device->multiprocessors = attribute(handle, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    device->shared_limit = attribute(handle, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    device->capability = capability_of(handle);
    device->has_sm90a = device->capability == 90;
    const anymps_status status = open_context(device);
    if (status != ANYMPS_OK) {
        close_device(&device->base);
        return status;
    }
    *out = &device->base;
    return ANYMPS_OK;
}

/* ---- Kernels ---------------------------------------------------------------------------------- */

static anymps_status supports(amps_device *base, amps_operator op, const anymps_dtype *dtypes, size_t count)
{
    (void)base;
    return amps_cuda_operators[op]->supports(dtypes, count);
}

static anymps_status prepare(amps_device *base, amps_operator op, const void *desc, amps_kernel **out)
{
    amps_cuda_device *const device = (amps_cuda_device *)base;
    ANYMPS_TRY(amps_cuda_check_lost(device));
    amps_cuda_kernel *const kernel = amps_calloc(1, sizeof *kernel);
    if (kernel == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    kernel->base.device = base;
    kernel->base.explain = kernel->explain;
    kernel->op = op;
    kernel->desc = desc;
    if (amps_cuda_operators[op]->prepare != NULL) {
        const anymps_status status =
            amps_cuda_operators[op]->prepare(device, desc, kernel->explain, sizeof kernel->explain);
        if (status != ANYMPS_OK) {
            amps_free(kernel);
            return status;
        }
    }
    *out = &kernel->base;
    return ANYMPS_OK;
}

static void discard(amps_kernel *kernel)
{
    amps_free(kernel);
}

const amps_backend amps_backend_cuda = {
    .kind = ANYMPS_BACKEND_CUDA,
    .name = "cuda",
    .describe = describe,
    .open = open_device,
    .close = close_device,
    .queue_open = amps_cuda_queue_open,
    .queue_close = amps_cuda_queue_close,
    .allocate = amps_cuda_allocate,
    .free = amps_cuda_free,
    .transfer = amps_cuda_transfer,
    .supports = supports,
    .prepare = prepare,
    .discard = discard,
    .submit = amps_cuda_submit,
    .wait = amps_cuda_wait,
};
