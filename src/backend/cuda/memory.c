/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c: bytes on an NVIDIA GPU: the pool, the three storage modes, wrapping, blocking transfers.
 * Slots of the vtable in cuda.c; calls the driver.
 *
 *     private   device memory
 *     shared    pinned host memory, mapped into the device: both see the same bytes over the bus
 *     managed   device memory and a pinned host copy; publish and fetch move bytes between them
 *
 * CUDA's own managed memory is never used: it moves pages when it likes.
 */
#include "backend/cuda/cuda_device.h"
#include "base/alloc.h"
#include "base/checked.h"

#include <stdio.h>
#include <string.h>

/* Blocks are rounded to quarter steps between powers of two (at most 25 % lost), 512 bytes at least;
   larger ones than POOL_LARGEST go back to the driver at once. */
enum { POOL_SMALLEST = 512 };
#define POOL_LARGEST   ((size_t)64 << 20)
#define POOL_HUGE_STEP ((size_t)2 << 20)

static size_t pool_round(size_t bytes)
{
    if (bytes <= POOL_SMALLEST) {
        return POOL_SMALLEST;
    }
    size_t step = POOL_HUGE_STEP;
    if (bytes <= POOL_LARGEST) {
        size_t power = POOL_SMALLEST;
        while (power < bytes / 2 + bytes % 2) {
            power *= 2;
        }
        step = power / 4; /* power < bytes <= 2*power */
    }
    size_t rounded;
    return amps_round_up(bytes, step, &rounded) ? rounded : bytes;
}

static void *pool_find(amps_cuda_pool *pool, size_t bytes)
{
    for (size_t i = pool->count; i-- > 0;) {
        if (pool->slots[i].bytes == bytes) {
            void *const block = pool->slots[i].block;
            pool->slots[i] = pool->slots[--pool->count];
            return block;
        }
    }
    return NULL;
}

static void release_block(bool pinned, void *block)
{
    if (pinned) {
        (void)amps_cu.MemFreeHost(block);
    } else {
        (void)amps_cu.MemFree((CUdeviceptr)(uintptr_t)block);
    }
}

static CUresult fresh_block(bool pinned, size_t bytes, void **block)
{
    if (pinned) {
        return amps_cu.MemHostAlloc(block, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
    }
    CUdeviceptr address = 0;
    const CUresult result = amps_cu.MemAlloc(&address, bytes);
    *block = (void *)(uintptr_t)address;
    return result;
}

static void empty_pool(amps_cuda_pool *pool, bool pinned)
{
    while (pool->count > 0) {
        release_block(pinned, pool->slots[--pool->count].block);
    }
}

void amps_cuda_pool_empty(amps_cuda_device *device)
{
    (void)pthread_mutex_lock(&device->lock);
    empty_pool(&device->device_pool, false);
    empty_pool(&device->pinned_pool, true);
    (void)pthread_mutex_unlock(&device->lock);
}

anymps_status amps_cuda_pool_take(amps_cuda_device *device, bool pinned, size_t *bytes, void **block)
{
    const size_t rounded = pool_round(*bytes);
    (void)pthread_mutex_lock(&device->lock);
    *block = pool_find(pinned ? &device->pinned_pool : &device->device_pool, rounded);
    (void)pthread_mutex_unlock(&device->lock);
    if (*block == NULL) {
        CUresult result = fresh_block(pinned, rounded, block);
        if (result == CUDA_ERROR_OUT_OF_MEMORY) {
            amps_cuda_pool_empty(device);
            result = fresh_block(pinned, rounded, block);
        }
        AMPS_CU_TRY(result, pinned ? "buffer: cuMemHostAlloc" : "buffer: cuMemAlloc");
    }
    *bytes = rounded;
    return ANYMPS_OK;
}

void amps_cuda_pool_give(amps_cuda_device *device, bool pinned, void *block, size_t bytes)
{
    if (block == NULL) {
        return;
    }
    amps_cuda_pool *const pool = pinned ? &device->pinned_pool : &device->device_pool;
    bool kept = false;
    if (bytes <= POOL_LARGEST && !atomic_load_explicit(&device->lost, memory_order_relaxed)) {
        (void)pthread_mutex_lock(&device->lock);
        kept = pool->count < AMPS_POOL_SLOTS;
        if (kept) {
            pool->slots[pool->count].block = block;
            pool->slots[pool->count++].bytes = bytes;
        }
        (void)pthread_mutex_unlock(&device->lock);
    }
    if (!kept) {
        release_block(pinned, block);
    }
}

/* ---- Blocking transfers ----------------------------------------------------------------------- */

/* Any two addresses: device, pinned or plain. The stream makes it finish before this returns, which the
   blocking calls of the driver do not promise for plain memory. */
static anymps_status copy_now(amps_cuda_device *device, void *to, const void *from, size_t bytes)
{
    AMPS_CU_TRY(amps_cu.MemcpyAsync((CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from, bytes, device->io),
                "buffer: cuMemcpyAsync");
    AMPS_CU_TRY(amps_cu.StreamSynchronize(device->io), "buffer: cuStreamSynchronize");
    return ANYMPS_OK;
}

static anymps_status fill_now(amps_cuda_device *device, void *to, uint8_t value, size_t bytes)
{
    AMPS_CU_TRY(amps_cu.MemsetD8Async((CUdeviceptr)(uintptr_t)to, value, bytes, device->io), "buffer: cuMemsetD8Async");
    AMPS_CU_TRY(amps_cu.StreamSynchronize(device->io), "buffer: cuStreamSynchronize");
    return ANYMPS_OK;
}

static bool overlap(const unsigned char *a, const unsigned char *b, size_t bytes)
{
    return a < b ? (size_t)(b - a) < bytes : (size_t)(a - b) < bytes;
}

/* Ranges of one memory that overlap go through a block of their own. */
static anymps_status copy_between(amps_cuda_device *device, unsigned char *to, const unsigned char *from, size_t bytes)
{
    if (!overlap(to, from, bytes)) {
        return copy_now(device, to, from, bytes);
    }
    size_t held = bytes;
    void *between;
    ANYMPS_TRY(amps_cuda_pool_take(device, false, &held, &between));
    anymps_status status = copy_now(device, between, from, bytes);
    if (status == ANYMPS_OK) {
        status = copy_now(device, to, between, bytes);
    }
    amps_cuda_pool_give(device, false, between, held);
    return status;
}

/* Shared memory is the host's as much as the device's: plain memory functions serve it. */
static bool move_on_host(const amps_transfer *move)
{
    if (move->memory->storage != ANYMPS_STORAGE_SHARED || move->memory->host == NULL) {
        return false;
    }
    unsigned char *const own = (unsigned char *)move->memory->host + move->offset_bytes;
    switch (move->kind) {
    case AMPS_TRANSFER_READ: memcpy(move->host, own, move->length_bytes); return true;
    case AMPS_TRANSFER_WRITE: memcpy(own, move->host_bytes, move->length_bytes); return true;
    case AMPS_TRANSFER_FILL: memset(own, move->value, move->length_bytes); return true;
    case AMPS_TRANSFER_COPY:
        if (move->source->storage != ANYMPS_STORAGE_SHARED || move->source->host == NULL) {
            return false;
        }
        memmove(own, (const unsigned char *)move->source->host + move->source_offset_bytes, move->length_bytes);
        return true;
    case AMPS_TRANSFER_PUBLISH:
    case AMPS_TRANSFER_FETCH: return true;
    }
    return false;
}

/* The blocking calls that write leave both copies of managed memory alike in their range. */
static anymps_status refresh_copy(amps_cuda_device *device, const amps_transfer *move, const void *own, void *copy)
{
    const bool writes =
        move->kind == AMPS_TRANSFER_WRITE || move->kind == AMPS_TRANSFER_FILL || move->kind == AMPS_TRANSFER_COPY;
    return writes && copy != NULL ? copy_now(device, copy, own, move->length_bytes) : ANYMPS_OK;
}

static unsigned char *host_copy(const amps_transfer *move)
{
    return move->memory->host == NULL ? NULL : (unsigned char *)move->memory->host + move->offset_bytes;
}

static anymps_status move_on_device(amps_cuda_device *device, const amps_transfer *move)
{
    unsigned char *const own = (unsigned char *)move->memory->native + move->offset_bytes;
    unsigned char *const copy = host_copy(move);
    switch (move->kind) {
    case AMPS_TRANSFER_READ: return copy_now(device, move->host, own, move->length_bytes);
    case AMPS_TRANSFER_WRITE: return copy_now(device, own, move->host_bytes, move->length_bytes);
    case AMPS_TRANSFER_FILL: return fill_now(device, own, move->value, move->length_bytes);
    case AMPS_TRANSFER_COPY:
        return copy_between(device, own, (const unsigned char *)move->source->native + move->source_offset_bytes,
                            move->length_bytes);
    case AMPS_TRANSFER_PUBLISH: return copy == NULL ? ANYMPS_OK : copy_now(device, own, copy, move->length_bytes);
    case AMPS_TRANSFER_FETCH: return copy == NULL ? ANYMPS_OK : copy_now(device, copy, own, move->length_bytes);
    }
    return ANYMPS_OK;
}

anymps_status amps_cuda_transfer(amps_device *base, const amps_transfer *move)
{
    amps_cuda_device *const device = (amps_cuda_device *)base;
    ANYMPS_TRY(amps_cuda_check_lost(device));
    if (move->length_bytes == 0 || move_on_host(move)) {
        return ANYMPS_OK;
    }
    AMPS_CU_TRY(amps_cuda_enter(device), "buffer: cuCtxPushCurrent");
    anymps_status status = move_on_device(device, move);
    if (status == ANYMPS_OK && move->memory->storage == ANYMPS_STORAGE_MANAGED) {
        status =
            refresh_copy(device, move, (unsigned char *)move->memory->native + move->offset_bytes, host_copy(move));
    }
    amps_cuda_leave();
    if (status == ANYMPS_DEVICE_LOST) {
        amps_cuda_mark_lost(device, anymps_last_error());
    }
    return status;
}

/* ---- Allocation and wrapping ------------------------------------------------------------------ */

static anymps_status take_device(amps_cuda_device *device, amps_cuda_memory *memory, size_t length)
{
    memory->block_bytes = length;
    ANYMPS_TRY(amps_cuda_pool_take(device, false, &memory->block_bytes, &memory->block));
    memory->base.native = memory->block;
    return ANYMPS_OK;
}

static anymps_status take_pinned(amps_cuda_device *device, amps_cuda_memory *memory, size_t length)
{
    memory->pinned_bytes = length;
    ANYMPS_TRY(amps_cuda_pool_take(device, true, &memory->pinned_bytes, &memory->pinned));
    memory->base.host = memory->pinned;
    return ANYMPS_OK;
}

static anymps_status device_address_of(amps_cuda_memory *memory, void *host)
{
    CUdeviceptr address = 0;
    AMPS_CU_TRY(amps_cu.MemHostGetDevicePointer(&address, host, 0), "buffer: cuMemHostGetDevicePointer");
    memory->base.native = (void *)(uintptr_t)address;
    return ANYMPS_OK;
}

static anymps_status make_shared(amps_cuda_device *device, amps_cuda_memory *memory, size_t length)
{
    ANYMPS_TRY(take_pinned(device, memory, length));
    return device_address_of(memory, memory->pinned);
}

static anymps_status make_new(amps_cuda_device *device, amps_cuda_memory *memory, const amps_memory_request *ask)
{
    if (ask->storage == ANYMPS_STORAGE_SHARED) {
        ANYMPS_TRY(make_shared(device, memory, ask->length_bytes));
    } else {
        ANYMPS_TRY(take_device(device, memory, ask->length_bytes));
        ANYMPS_TRY(fill_now(device, memory->block, 0, ask->length_bytes));
        if (ask->storage == ANYMPS_STORAGE_MANAGED) {
            ANYMPS_TRY(take_pinned(device, memory, ask->length_bytes));
        }
    }
    if (memory->pinned != NULL) {
        memset(memory->pinned, 0, ask->length_bytes);
    }
    return ANYMPS_OK;
}

/* In place if the driver can pin the pages (or they are pinned already), else a pinned copy. */
static anymps_status wrap_host(amps_cuda_device *device, amps_cuda_memory *memory, const amps_memory_request *ask)
{
    const CUresult result = amps_cu.MemHostRegister(ask->bytes, ask->length_bytes,
                                                    CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
    if (result == CUDA_SUCCESS) {
        memory->registered = ask->bytes;
    }
    if (result == CUDA_SUCCESS && device_address_of(memory, ask->bytes) == ANYMPS_OK) {
        memory->base.host = ask->bytes;
        return ANYMPS_OK;
    }
    const char *text = "unknown error";
    (void)amps_cu.GetErrorString(result, &text);
    ANYMPS_FAIL_IF(!ask->may_copy, ANYMPS_UNSUPPORTED,
                   "buffer_wrap: the driver cannot pin these %zu bytes (%s); whole pages (4096-aligned start and "
                   "length) of ordinary memory that nothing else has pinned would do",
                   ask->length_bytes, text);
    (void)snprintf(memory->reason, sizeof memory->reason, "copied: the driver cannot pin the pages (%s)", text);
    memory->base.copy_reason = memory->reason;
    ANYMPS_TRY(make_shared(device, memory, ask->length_bytes));
    memcpy(memory->pinned, ask->bytes, ask->length_bytes);
    return ANYMPS_OK;
}

static anymps_status wrap_native(amps_cuda_device *device, amps_cuda_memory *memory, const amps_memory_request *ask)
{
    const CUdeviceptr address = (CUdeviceptr)(uintptr_t)ask->bytes;
    CUmemorytype type = CU_MEMORYTYPE_HOST;
    int ordinal = -1;
    CUresult result = amps_cu.PointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address);
    if (result == CUDA_SUCCESS) {
        result = amps_cu.PointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address);
    }
    ANYMPS_FAIL_IF(result != CUDA_SUCCESS, ANYMPS_INVALID_ARGUMENT,
                   "buffer_wrap_native: the driver does not know address %p", ask->bytes);
    ANYMPS_FAIL_IF(ordinal != (int)device->handle, ANYMPS_INVALID_ARGUMENT,
                   "buffer_wrap_native: the memory is of CUDA device %d, the buffer would be of device %d", ordinal,
                   (int)device->handle);
    memory->base.native = ask->bytes;
    if (type == CU_MEMORYTYPE_HOST) {
        memory->base.host = ask->bytes;
    }
    memory->base.storage = type == CU_MEMORYTYPE_HOST ? ANYMPS_STORAGE_SHARED : ANYMPS_STORAGE_PRIVATE;
    return ANYMPS_OK;
}

static void give_back(amps_cuda_device *device, amps_cuda_memory *memory)
{
    if (memory->registered != NULL) {
        (void)amps_cu.MemHostUnregister(memory->registered);
    }
    amps_cuda_pool_give(device, false, memory->block, memory->block_bytes);
    amps_cuda_pool_give(device, true, memory->pinned, memory->pinned_bytes);
}

static anymps_status fill_in(amps_cuda_device *device, amps_cuda_memory *memory, const amps_memory_request *ask)
{
    switch (ask->kind) {
    case AMPS_MEMORY_NEW: return make_new(device, memory, ask);
    case AMPS_MEMORY_WRAP_HOST: return wrap_host(device, memory, ask);
    case AMPS_MEMORY_WRAP_NATIVE: return wrap_native(device, memory, ask);
    }
    return amps_fail(ANYMPS_INTERNAL, "buffer: unknown kind of memory %d", (int)ask->kind);
}

anymps_status amps_cuda_allocate(amps_device *base, const amps_memory_request *ask, amps_memory **out)
{
    amps_cuda_device *const device = (amps_cuda_device *)base;
    ANYMPS_TRY(amps_cuda_check_lost(device));
    amps_cuda_memory *const memory = amps_calloc(1, sizeof *memory);
    if (memory == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    memory->base.device = base;
    memory->base.length_bytes = ask->length_bytes;
    memory->base.storage = ask->kind == AMPS_MEMORY_WRAP_HOST ? ANYMPS_STORAGE_SHARED : ask->storage;
    CUresult entered = amps_cuda_enter(device);
    anymps_status status =
        entered == CUDA_SUCCESS ? fill_in(device, memory, ask) : amps_cuda_fail(entered, "buffer: cuCtxPushCurrent");
    if (status != ANYMPS_OK) {
        if (entered == CUDA_SUCCESS) {
            give_back(device, memory);
            amps_cuda_leave();
        }
        if (status == ANYMPS_DEVICE_LOST) {
            amps_cuda_mark_lost(device, anymps_last_error());
        }
        amps_free(memory);
        return status;
    }
    amps_cuda_leave();
    *out = &memory->base;
    return ANYMPS_OK;
}

void amps_cuda_free(amps_memory *base)
{
    amps_cuda_memory *const memory = (amps_cuda_memory *)base;
    amps_cuda_device *const device = (amps_cuda_device *)base->device;
    if (amps_cuda_enter(device) == CUDA_SUCCESS) {
        give_back(device, memory);
        amps_cuda_leave();
    }
    amps_free(memory);
}
