/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_memory.c: MTLBuffers: fresh ones, the caller's memory in place or copied, the caller's own MTLBuffer,
 * and blocking transfers.
 *
 * Called through the vtable (metal.c). Calls metal_submit.c to run copies, objc.h. Must not know kernels.
 *
 * Shared memory is read and written by the host directly. Managed memory is written to both copies and read
 * from the device's. Private memory goes through a staging buffer, in pieces. Blits want multiples of four;
 * what is not goes through the kernel copy_bytes.
 */
#include "metal_room.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Blits of 4 GiB and more do nothing (errata.def); staging pieces are small enough to be had. */
static const size_t blit_piece = (size_t)1 << 30;
enum { STAGING_BYTES = 16 << 20, REASON_SIZE = 160, SPARES = 4 };

typedef struct spare {
    amps_metal_shape shape;
    amps_id object; /* NULL: free */
} spare;

typedef struct metal_memory {
    amps_memory base;
    spare spares[SPARES]; /* guarded by the device's spare_lock */
    size_t next_spare;    /* the one to replace when all are taken */
    size_t counted_bytes; /* as memory of the device's own */
    char reason[REASON_SIZE];
} metal_memory;

/* ---- Allocation ------------------------------------------------------------------------------- */

static amps_nsuint options_of(anymps_storage storage)
{
    return storage == ANYMPS_STORAGE_PRIVATE   ? MTLResourceStorageModePrivate
           : storage == ANYMPS_STORAGE_MANAGED ? MTLResourceStorageModeManaged
                                               : MTLResourceStorageModeShared;
}

/* A buffer of at least `length`, rounded up to 16 so that a blit may take whole words at its end. */
static anymps_status new_buffer(amps_metal_device *device, size_t length, anymps_storage storage, amps_id *buffer)
{
    size_t rounded;
    ANYMPS_FAIL_IF(!amps_round_up(length, 16, &rounded), ANYMPS_OUT_OF_MEMORY, "buffer_create: %zu bytes are too many",
                   length);
    *buffer = amps_send_new_buffer(device->device, rounded, options_of(storage));
    ANYMPS_FAIL_IF(*buffer == NULL, ANYMPS_OUT_OF_MEMORY, "buffer_create: Metal has no %zu bytes", length);
    return ANYMPS_OK;
}

/* Why the memory cannot be used in place; NULL if it seems it can. Metal wants whole pages; a page holds
   nothing but the end of the caller's mapping, so only the start must fit. */
static const char *obstacle(const amps_metal_device *device, const amps_memory_request *request, char text[REASON_SIZE])
{
    const size_t past = (uintptr_t)request->bytes % device->page_bytes;
    if (past != 0) {
        (void)snprintf(text, REASON_SIZE,
                       "Metal uses memory in place from a page boundary on; this begins %zu bytes past one of %zu",
                       past, device->page_bytes);
        return text;
    }
    return NULL;
}

/* The buffer over the caller's memory, or NULL with the reason. */
static amps_id wrap_in_place(amps_metal_device *device, const amps_memory_request *request, char text[REASON_SIZE])
{
    size_t length;
    if (obstacle(device, request, text) != NULL) {
        return NULL;
    }
    amps_id buffer = NULL;
    if (amps_round_up(request->length_bytes, device->page_bytes, &length) &&
        length <= device->base.properties.max_buffer_bytes) {
        buffer =
            amps_send_new_buffer_no_copy(device->device, request->bytes, length, MTLResourceStorageModeShared, NULL);
    }
    if (buffer == NULL) {
        (void)snprintf(text, REASON_SIZE, "Metal refuses to use these %zu bytes in place", request->length_bytes);
    }
    return buffer;
}

static anymps_status wrap_host(amps_metal_device *device, const amps_memory_request *request, metal_memory *memory,
                               amps_id *buffer)
{
    *buffer = wrap_in_place(device, request, memory->reason);
    if (*buffer != NULL) {
        return ANYMPS_OK;
    }
    ANYMPS_FAIL_IF(!request->may_copy, ANYMPS_UNSUPPORTED, "buffer_wrap: would have to copy: %s", memory->reason);
    ANYMPS_TRY(new_buffer(device, request->length_bytes, ANYMPS_STORAGE_SHARED, buffer));
    memcpy(amps_send_contents(*buffer), request->bytes, request->length_bytes);
    memory->base.copy_reason = memory->reason;
    amps_log(ANYMPS_LOG_INFO, "buffer_wrap: copied %zu bytes: %s", request->length_bytes, memory->reason);
    return ANYMPS_OK;
}

/* The caller's MTLBuffer, held while ours lives. */
static anymps_status wrap_native(amps_metal_device *device, const amps_memory_request *request, metal_memory *memory,
                                 amps_id *buffer)
{
    const amps_id native = (amps_id)request->bytes;
    ANYMPS_FAIL_IF(amps_send_registry_id(amps_send_resource_device(native)) != amps_send_registry_id(device->device),
                   ANYMPS_INVALID_ARGUMENT, "buffer_wrap_native: the MTLBuffer belongs to another device");
    const size_t length = (size_t)amps_send_buffer_length(native);
    ANYMPS_FAIL_IF(length < request->length_bytes, ANYMPS_INVALID_ARGUMENT,
                   "buffer_wrap_native: the MTLBuffer has %zu bytes, %zu are asked", length, request->length_bytes);
    const amps_nsuint mode = amps_send_storage_mode(native);
    ANYMPS_FAIL_IF(mode > MTLStorageModePrivate, ANYMPS_INVALID_ARGUMENT,
                   "buffer_wrap_native: storage mode %lu has no bytes to compute with", mode);
    memory->base.storage = (anymps_storage)mode;
    *buffer = amps_send_retain(native);
    return ANYMPS_OK;
}

static anymps_status take_buffer(amps_metal_device *device, const amps_memory_request *request, metal_memory *memory,
                                 amps_id *buffer)
{
    memory->base.storage = request->storage;
    switch (request->kind) {
    case AMPS_MEMORY_WRAP_HOST:
        memory->base.storage = ANYMPS_STORAGE_SHARED;
        return wrap_host(device, request, memory, buffer);
    case AMPS_MEMORY_WRAP_NATIVE: return wrap_native(device, request, memory, buffer);
    case AMPS_MEMORY_NEW:
    default: return new_buffer(device, request->length_bytes, request->storage, buffer);
    }
}

anymps_status amps_metal_allocate(amps_device *device, const amps_memory_request *request, amps_memory **memory)
{
    amps_metal_device *const self = amps_metal_device_of(device);
    metal_memory *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    amps_id buffer = NULL;
    const anymps_status status = take_buffer(self, request, made, &buffer);
    if (status == ANYMPS_OK) {
        made->base.device = device;
        made->base.length_bytes = request->length_bytes;
        made->base.native = buffer;
        made->base.host = made->base.storage == ANYMPS_STORAGE_PRIVATE ? NULL : amps_send_contents(buffer);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    if (!self->unified && request->kind == AMPS_MEMORY_NEW) {
        made->counted_bytes = request->length_bytes;
        amps_count_device_bytes(made->counted_bytes, true);
    }
    *memory = &made->base;
    return ANYMPS_OK;
}

void amps_metal_free(amps_memory *memory)
{
    metal_memory *const self = (metal_memory *)(void *)memory;
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    for (size_t i = 0; i < SPARES; i++) {
        amps_drop(self->spares[i].object);
    }
    amps_drop(amps_metal_buffer(memory));
    amps_apple.objc_autoreleasePoolPop(pool);
    if (self->counted_bytes != 0) {
        amps_count_device_bytes(self->counted_bytes, false);
    }
    amps_free(self);
}

/* ---- Spare matrices --------------------------------------------------------------------------- */

static bool same_shape(const amps_metal_shape *a, const amps_metal_shape *b)
{
    return a->vector == b->vector && a->dtype == b->dtype && a->offset_bytes == b->offset_bytes && a->rows == b->rows &&
           a->columns == b->columns && a->row_bytes == b->row_bytes && a->matrix_bytes == b->matrix_bytes &&
           a->count == b->count;
}

amps_id amps_metal_spare_take(amps_memory *memory, const amps_metal_shape *shape)
{
    metal_memory *const self = (metal_memory *)(void *)memory;
    amps_metal_device *const device = amps_metal_device_of(memory->device);
    amps_id object = NULL;
    (void)pthread_mutex_lock(&device->spare_lock);
    for (size_t i = 0; i < SPARES && object == NULL; i++) {
        if (self->spares[i].object != NULL && same_shape(&self->spares[i].shape, shape)) {
            object = self->spares[i].object;
            self->spares[i].object = NULL;
        }
    }
    (void)pthread_mutex_unlock(&device->spare_lock);
    return object;
}

void amps_metal_spare_give(amps_memory *memory, const amps_metal_shape *shape, amps_id object)
{
    metal_memory *const self = (metal_memory *)(void *)memory;
    amps_metal_device *const device = amps_metal_device_of(memory->device);
    (void)pthread_mutex_lock(&device->spare_lock);
    size_t at = 0;
    while (at < SPARES && self->spares[at].object != NULL) {
        at++;
    }
    if (at == SPARES) {
        at = self->next_spare++ % SPARES;
    }
    const amps_id replaced = self->spares[at].object;
    self->spares[at] = (spare){*shape, object};
    (void)pthread_mutex_unlock(&device->spare_lock);
    amps_drop(replaced);
}

/* ---- Copies on the device --------------------------------------------------------------------- */

typedef struct device_copy {
    amps_id source, destination;
    size_t source_offset, destination_offset, length;
    amps_id pipeline; /* copy_bytes, or NULL for a blit */
} device_copy;

typedef struct bytes_params {
    uint64_t source_offset, destination_offset, length; /* as in bytes.metal */
} bytes_params;

static bool encode_bytes(amps_id command_buffer, const device_copy *copy)
{
    const bytes_params params = {copy->source_offset, copy->destination_offset, copy->length};
    const amps_id encoder = amps_send_compute_encoder(command_buffer);
    if (encoder == NULL) {
        return false;
    }
    amps_send_set_pipeline(encoder, copy->pipeline);
    amps_send_set_buffer(encoder, copy->source, 0, 0);
    amps_send_set_buffer(encoder, copy->destination, 0, 1);
    amps_send_set_bytes(encoder, &params, sizeof params, 2);
    amps_send_dispatch(encoder, (amps_mtl_size){(copy->length + 255) / 256, 1, 1}, (amps_mtl_size){256, 1, 1});
    amps_send_end_encoding(encoder);
    return true;
}

static bool encode_copy(amps_id command_buffer, void *context)
{
    const device_copy *const copy = context;
    if (copy->pipeline != NULL) {
        return encode_bytes(command_buffer, copy);
    }
    const amps_id encoder = amps_send_blit_encoder(command_buffer);
    if (encoder == NULL) {
        return false;
    }
    for (size_t at = 0; at < copy->length; at += blit_piece) {
        amps_send_blit_copy(encoder, copy->source, copy->source_offset + at, copy->destination,
                            copy->destination_offset + at, amps_min(blit_piece, copy->length - at));
    }
    amps_send_end_encoding(encoder);
    return true;
}

/* Ranges of one buffer do not overlap. Pieces of the kernel's stay far below the limit of a grid. */
static anymps_status run_copy(amps_metal_device *device, device_copy *copy)
{
    if ((copy->source_offset | copy->destination_offset | copy->length) % 4 == 0) {
        return amps_metal_run(device, "buffer_copy", encode_copy, copy);
    }
    ANYMPS_TRY(amps_metal_pipeline(device, AMPS_METAL_copy_bytes, &copy->pipeline));
    device_copy piece = *copy;
    for (size_t done = 0; done < copy->length; done += piece.length) {
        piece.source_offset = copy->source_offset + done;
        piece.destination_offset = copy->destination_offset + done;
        piece.length = amps_min(blit_piece, copy->length - done);
        ANYMPS_TRY(amps_metal_run(device, "buffer_copy", encode_copy, &piece));
    }
    return ANYMPS_OK;
}

static bool encode_synchronize(amps_id command_buffer, void *context)
{
    const amps_id encoder = amps_send_blit_encoder(command_buffer);
    if (encoder == NULL) {
        return false;
    }
    amps_send_synchronize(encoder, (amps_id)context);
    amps_send_end_encoding(encoder);
    return true;
}

/* ---- Host and device -------------------------------------------------------------------------- */

static bool shared(const amps_memory *memory)
{
    return memory->storage == ANYMPS_STORAGE_SHARED;
}

/* One piece between the host and a buffer that the host cannot reach; `staging` has room for it. */
static anymps_status staged_piece(amps_metal_device *device, amps_memory *memory, size_t offset, void *out,
                                  const void *in, size_t length, amps_id staging)
{
    unsigned char *const bytes = amps_send_contents(staging);
    device_copy copy = {.length = length};
    if (in != NULL) {
        memcpy(bytes, in, length);
        copy.source = staging;
        copy.destination = amps_metal_buffer(memory);
        copy.destination_offset = offset;
        return run_copy(device, &copy);
    }
    copy.source = amps_metal_buffer(memory);
    copy.source_offset = offset;
    copy.destination = staging;
    ANYMPS_TRY(run_copy(device, &copy));
    assert(out != NULL);
    memcpy(out, bytes, length);
    return ANYMPS_OK;
}

/* Exactly one of `out` and `in` is given. */
static anymps_status staged(amps_metal_device *device, amps_memory *memory, size_t offset, void *out, const void *in,
                            size_t length)
{
    amps_id staging = NULL;
    ANYMPS_TRY(new_buffer(device, amps_min(length, STAGING_BYTES), ANYMPS_STORAGE_SHARED, &staging));
    anymps_status status = ANYMPS_OK;
    for (size_t done = 0; done < length && status == ANYMPS_OK; done += STAGING_BYTES) {
        status = staged_piece(device, memory, offset + done, out != NULL ? (unsigned char *)out + done : NULL,
                              in != NULL ? (const unsigned char *)in + done : NULL,
                              amps_min(STAGING_BYTES, length - done), staging);
    }
    amps_drop(staging);
    return status;
}

static anymps_status read_bytes(amps_metal_device *device, amps_memory *memory, size_t offset, void *out, size_t length)
{
    if (shared(memory)) {
        memcpy(out, (const unsigned char *)memory->host + offset, length);
        return ANYMPS_OK;
    }
    return staged(device, memory, offset, out, NULL, length);
}

static anymps_status write_bytes(amps_metal_device *device, amps_memory *memory, size_t offset, const void *in,
                                 size_t length)
{
    if (memory->host == NULL) {
        return staged(device, memory, offset, NULL, in, length);
    }
    memcpy((unsigned char *)memory->host + offset, in, length);
    if (!shared(memory)) {
        amps_send_did_modify(amps_metal_buffer(memory), (amps_nsrange){offset, length});
    }
    return ANYMPS_OK;
}

static anymps_status fill(amps_metal_device *device, const amps_transfer *transfer)
{
    amps_memory *const memory = transfer->memory;
    if (memory->host != NULL) {
        memset((unsigned char *)memory->host + transfer->offset_bytes, transfer->value, transfer->length_bytes);
        if (!shared(memory)) {
            amps_send_did_modify(amps_metal_buffer(memory),
                                 (amps_nsrange){transfer->offset_bytes, transfer->length_bytes});
        }
        return ANYMPS_OK;
    }
    const size_t piece = amps_min(transfer->length_bytes, STAGING_BYTES);
    unsigned char *const bytes = amps_malloc(piece);
    if (bytes == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    memset(bytes, transfer->value, piece);
    anymps_status status = ANYMPS_OK;
    for (size_t done = 0; done < transfer->length_bytes && status == ANYMPS_OK; done += piece) {
        status = write_bytes(device, memory, transfer->offset_bytes + done, bytes,
                             amps_min(piece, transfer->length_bytes - done));
    }
    amps_free(bytes);
    return status;
}

/* Between buffers that the host reaches, or of one device without an overlap, directly. */
static anymps_status copy_direct(amps_metal_device *device, const amps_transfer *transfer, bool *done)
{
    amps_memory *const to = transfer->memory, *const from = transfer->source;
    *done = true;
    if (shared(to) && shared(from)) {
        memmove((unsigned char *)to->host + transfer->offset_bytes,
                (const unsigned char *)from->host + transfer->source_offset_bytes, transfer->length_bytes);
        return ANYMPS_OK;
    }
    const bool apart = to->native != from->native ||
                       transfer->offset_bytes >= transfer->source_offset_bytes + transfer->length_bytes ||
                       transfer->source_offset_bytes >= transfer->offset_bytes + transfer->length_bytes;
    if (apart && to->device == from->device && to->storage != ANYMPS_STORAGE_MANAGED) {
        device_copy copy = {.source = amps_metal_buffer(from),
                            .destination = amps_metal_buffer(to),
                            .source_offset = transfer->source_offset_bytes,
                            .destination_offset = transfer->offset_bytes,
                            .length = transfer->length_bytes};
        return run_copy(device, &copy);
    }
    *done = false;
    return ANYMPS_OK;
}

/* Through host memory: pieces from the far end on where the destination lies behind an overlapping source. */
static anymps_status copy(amps_metal_device *device, const amps_transfer *transfer)
{
    bool done;
    const anymps_status direct = copy_direct(device, transfer, &done);
    if (done) {
        return direct;
    }
    amps_metal_device *const other = amps_metal_device_of(transfer->source->device);
    const size_t length = transfer->length_bytes, piece = amps_min(length, STAGING_BYTES);
    const bool backwards = transfer->offset_bytes > transfer->source_offset_bytes;
    void *const bytes = amps_malloc(piece);
    if (bytes == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    anymps_status status = ANYMPS_OK;
    for (size_t moved = 0; moved < length && status == ANYMPS_OK;) {
        const size_t now = amps_min(piece, length - moved);
        const size_t at = backwards ? length - moved - now : moved;
        status = read_bytes(other, transfer->source, transfer->source_offset_bytes + at, bytes, now);
        if (status == ANYMPS_OK) {
            status = write_bytes(device, transfer->memory, transfer->offset_bytes + at, bytes, now);
        }
        moved += now;
    }
    amps_free(bytes);
    return status;
}

static anymps_status transfer_in_pool(amps_metal_device *device, const amps_transfer *transfer)
{
    amps_memory *const memory = transfer->memory;
    switch (transfer->kind) {
    case AMPS_TRANSFER_READ:
        return read_bytes(device, memory, transfer->offset_bytes, transfer->host, transfer->length_bytes);
    case AMPS_TRANSFER_WRITE:
        return write_bytes(device, memory, transfer->offset_bytes, transfer->host_bytes, transfer->length_bytes);
    case AMPS_TRANSFER_COPY: return copy(device, transfer);
    case AMPS_TRANSFER_FILL: return fill(device, transfer);
    case AMPS_TRANSFER_PUBLISH:
        if (memory->storage == ANYMPS_STORAGE_MANAGED) {
            amps_send_did_modify(amps_metal_buffer(memory),
                                 (amps_nsrange){transfer->offset_bytes, transfer->length_bytes});
        }
        return ANYMPS_OK;
    case AMPS_TRANSFER_FETCH:
        return memory->storage == ANYMPS_STORAGE_MANAGED
                   ? amps_metal_run(device, "buffer_synchronize", encode_synchronize, memory->native)
                   : ANYMPS_OK;
    default: return amps_fail(ANYMPS_INTERNAL, "buffer_copy: %d is no transfer", (int)transfer->kind);
    }
}

anymps_status amps_metal_transfer(amps_device *device, const amps_transfer *transfer)
{
    if (transfer->length_bytes == 0) {
        return ANYMPS_OK;
    }
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const anymps_status status = transfer_in_pool(amps_metal_device_of(device), transfer);
    amps_apple.objc_autoreleasePoolPop(pool);
    return status;
}
