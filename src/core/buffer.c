/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer.c: bytes on a device. Behind buffer.h; checks ranges and calls the device's vtable.
 */
#include "core/core.h"

#include <string.h>

static anymps_status check_device(const anymps_device *device, const void *out, const char *name)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT, "%s: device is NULL or no device",
                   name);
    ANYMPS_FAIL_IF(out == NULL, ANYMPS_INVALID_ARGUMENT, "%s: the buffer's address is NULL", name);
    return ANYMPS_OK;
}

/* Allocates through the backend and makes the object around the memory. */
static anymps_status make(anymps_device *device, const amps_memory_request *request, anymps_buffer **buffer)
{
    anymps_buffer *made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    const anymps_status status = device->impl->backend->allocate(device->impl, request, &made->memory);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    made->device = anymps_device_retain(device);
    amps_object_init(&made->object, AMPS_KIND_BUFFER);
    if (request->kind == AMPS_MEMORY_NEW && device->impl->backend->kind != ANYMPS_BACKEND_CPU) {
        amps_count_device_bytes(request->length_bytes, true);
    }
    *buffer = made;
    return ANYMPS_OK;
}

anymps_status anymps_buffer_create(anymps_device *device, size_t length_bytes, anymps_storage storage,
                                   anymps_buffer **buffer)
{
    ANYMPS_TRY(check_device(device, buffer, "buffer_create"));
    ANYMPS_FAIL_IF(length_bytes == 0, ANYMPS_INVALID_ARGUMENT, "buffer_create: length is 0 bytes, must be at least 1");
    const size_t most = device->impl->properties.max_buffer_bytes;
    ANYMPS_FAIL_IF(length_bytes > most, ANYMPS_INVALID_ARGUMENT,
                   "buffer_create: length is %zu bytes, this device allows %zu", length_bytes, most);
    ANYMPS_FAIL_IF((unsigned)storage > ANYMPS_STORAGE_PRIVATE, ANYMPS_INVALID_ARGUMENT,
                   "buffer_create: storage %d is not 0, 1 or 2", (int)storage);
    const amps_memory_request request = {.kind = AMPS_MEMORY_NEW, .length_bytes = length_bytes, .storage = storage};
    return make(device, &request, buffer);
}

anymps_status anymps_buffer_create_with_bytes(anymps_device *device, const void *bytes, size_t length_bytes,
                                              anymps_storage storage, anymps_buffer **buffer)
{
    ANYMPS_TRY(check_device(device, buffer, "buffer_create_with_bytes"));
    ANYMPS_FAIL_IF(bytes == NULL, ANYMPS_INVALID_ARGUMENT, "buffer_create_with_bytes: bytes is NULL");
    anymps_buffer *made = NULL;
    ANYMPS_TRY(anymps_buffer_create(device, length_bytes, storage, &made));
    const anymps_status status = anymps_buffer_write(made, 0, bytes, length_bytes);
    if (status != ANYMPS_OK) {
        anymps_buffer_release(made);
        return status;
    }
    *buffer = made;
    return ANYMPS_OK;
}

static anymps_status check_wrap(const anymps_wrap_desc *desc, const char *name)
{
    ANYMPS_FAIL_IF(desc->bytes == NULL, ANYMPS_INVALID_ARGUMENT, "%s: bytes is NULL", name);
    ANYMPS_FAIL_IF(desc->length_bytes == 0, ANYMPS_INVALID_ARGUMENT, "%s: length is 0 bytes, must be at least 1", name);
    return ANYMPS_OK;
}

/* The release callback becomes ours; where the bytes were copied it is due at once. */
static void take_over(anymps_buffer *made, const anymps_wrap_desc *desc)
{
    made->read_only = desc->read_only;
    made->copy_reason = made->memory->copy_reason != NULL ? made->memory->copy_reason : desc->copy_reason;
    if (made->memory->copy_reason != NULL) {
        amps_log(ANYMPS_LOG_INFO, "buffer_wrap: copied %zu bytes: %s", desc->length_bytes, made->memory->copy_reason);
        if (desc->release != NULL) {
            desc->release(desc->context, desc->bytes);
        }
        return;
    }
    made->release = desc->release;
    made->release_context = desc->context;
    made->release_bytes = desc->bytes;
    made->wrapped = true;
    amps_count_wrapped(+1);
}

static anymps_status wrap(anymps_device *device, const anymps_wrap_desc *given, amps_memory_kind kind, const char *name,
                          anymps_buffer **buffer)
{
    ANYMPS_TRY(check_device(device, buffer, name));
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    ANYMPS_TRY(amps_struct_read(name, given, &desc, sizeof desc));
    ANYMPS_TRY(check_wrap(&desc, name));
    const size_t most = device->impl->properties.max_buffer_bytes;
    ANYMPS_FAIL_IF(desc.length_bytes > most, ANYMPS_INVALID_ARGUMENT, "%s: length is %zu bytes, this device allows %zu",
                   name, desc.length_bytes, most);
    const amps_memory_request request = {.kind = kind,
                                         .length_bytes = desc.length_bytes,
                                         .storage = ANYMPS_STORAGE_SHARED,
                                         .bytes = desc.bytes,
                                         .may_copy = kind == AMPS_MEMORY_WRAP_HOST && !desc.forbid_copy};
    anymps_buffer *made = NULL;
    ANYMPS_TRY(make(device, &request, &made));
    take_over(made, &desc);
    *buffer = made;
    return ANYMPS_OK;
}

anymps_status anymps_buffer_wrap(anymps_device *device, const anymps_wrap_desc *desc, anymps_buffer **buffer)
{
    return wrap(device, desc, AMPS_MEMORY_WRAP_HOST, "buffer_wrap", buffer);
}

anymps_status anymps_buffer_wrap_native(anymps_device *device, const anymps_wrap_desc *desc, anymps_buffer **buffer)
{
    return wrap(device, desc, AMPS_MEMORY_WRAP_NATIVE, "buffer_wrap_native", buffer);
}

anymps_buffer *anymps_buffer_retain(anymps_buffer *buffer)
{
    if (buffer != NULL) {
        amps_object_retain(&buffer->object);
    }
    return buffer;
}

void anymps_buffer_release(anymps_buffer *buffer)
{
    if (buffer == NULL || !amps_object_release(&buffer->object)) {
        return;
    }
    const amps_backend *const backend = buffer->device->impl->backend;
    if (!buffer->wrapped && buffer->memory->copy_reason == NULL && backend->kind != ANYMPS_BACKEND_CPU) {
        amps_count_device_bytes(buffer->memory->length_bytes, false);
    }
    backend->free(buffer->memory);
    if (buffer->wrapped) {
        amps_count_wrapped(-1);
    }
    if (buffer->release != NULL) {
        buffer->release(buffer->release_context, buffer->release_bytes);
    }
    anymps_device_release(buffer->device);
    amps_free(buffer);
}

void *anymps_buffer_contents(const anymps_buffer *buffer)
{
    return amps_is(buffer, AMPS_KIND_BUFFER) ? buffer->memory->host : NULL;
}

size_t anymps_buffer_length(const anymps_buffer *buffer)
{
    return amps_is(buffer, AMPS_KIND_BUFFER) ? buffer->memory->length_bytes : 0;
}

anymps_storage anymps_buffer_storage(const anymps_buffer *buffer)
{
    return amps_is(buffer, AMPS_KIND_BUFFER) ? buffer->memory->storage : ANYMPS_STORAGE_SHARED;
}

anymps_device *anymps_buffer_device(const anymps_buffer *buffer)
{
    return amps_is(buffer, AMPS_KIND_BUFFER) ? buffer->device : NULL;
}

const char *anymps_buffer_copy_reason(const anymps_buffer *buffer)
{
    return amps_is(buffer, AMPS_KIND_BUFFER) ? buffer->copy_reason : NULL;
}

bool anymps_buffer_is_read_only(const anymps_buffer *buffer)
{
    return amps_is(buffer, AMPS_KIND_BUFFER) && buffer->read_only;
}

void *anymps_buffer_native(const anymps_buffer *buffer)
{
    return amps_is(buffer, AMPS_KIND_BUFFER) ? buffer->memory->native : NULL;
}

static anymps_status check_range(const anymps_buffer *buffer, size_t offset, size_t length, const char *name)
{
    ANYMPS_FAIL_IF(!amps_is(buffer, AMPS_KIND_BUFFER), ANYMPS_INVALID_ARGUMENT, "%s: buffer is NULL or no buffer",
                   name);
    ANYMPS_FAIL_IF(!amps_in_range(offset, length, buffer->memory->length_bytes), ANYMPS_INVALID_ARGUMENT,
                   "%s: %zu bytes from byte %zu on pass the end of the buffer of %zu bytes", name, length, offset,
                   buffer->memory->length_bytes);
    return ANYMPS_OK;
}

static anymps_status check_writable(const anymps_buffer *buffer, const char *name)
{
    ANYMPS_FAIL_IF(buffer->read_only, ANYMPS_INVALID_ARGUMENT, "%s: the buffer was wrapped read-only", name);
    return ANYMPS_OK;
}

static anymps_status send(const anymps_buffer *buffer, const amps_transfer *transfer)
{
    if (transfer->length_bytes == 0) {
        return ANYMPS_OK;
    }
    return buffer->device->impl->backend->transfer(buffer->device->impl, transfer);
}

anymps_status anymps_buffer_read(const anymps_buffer *buffer, size_t offset_bytes, void *destination,
                                 size_t length_bytes)
{
    ANYMPS_TRY(check_range(buffer, offset_bytes, length_bytes, "buffer_read"));
    ANYMPS_FAIL_IF(destination == NULL && length_bytes != 0, ANYMPS_INVALID_ARGUMENT,
                   "buffer_read: destination is NULL");
    return send(buffer, &(amps_transfer){.kind = AMPS_TRANSFER_READ,
                                         .memory = buffer->memory,
                                         .offset_bytes = offset_bytes,
                                         .length_bytes = length_bytes,
                                         .host = destination});
}

anymps_status anymps_buffer_write(anymps_buffer *buffer, size_t offset_bytes, const void *source, size_t length_bytes)
{
    ANYMPS_TRY(check_range(buffer, offset_bytes, length_bytes, "buffer_write"));
    ANYMPS_FAIL_IF(source == NULL && length_bytes != 0, ANYMPS_INVALID_ARGUMENT, "buffer_write: source is NULL");
    ANYMPS_TRY(check_writable(buffer, "buffer_write"));
    return send(buffer, &(amps_transfer){.kind = AMPS_TRANSFER_WRITE,
                                         .memory = buffer->memory,
                                         .offset_bytes = offset_bytes,
                                         .length_bytes = length_bytes,
                                         .host_bytes = source});
}

anymps_status anymps_buffer_fill(anymps_buffer *buffer, size_t offset_bytes, size_t length_bytes, uint8_t value)
{
    ANYMPS_TRY(check_range(buffer, offset_bytes, length_bytes, "buffer_fill"));
    ANYMPS_TRY(check_writable(buffer, "buffer_fill"));
    return send(buffer, &(amps_transfer){.kind = AMPS_TRANSFER_FILL,
                                         .memory = buffer->memory,
                                         .offset_bytes = offset_bytes,
                                         .length_bytes = length_bytes,
                                         .value = value});
}

/* Between two backends the bytes go through a host block of at most this size. */
enum { BOUNCE_BYTES = 1 << 20 };

static anymps_status copy_through_host(anymps_buffer *to, size_t to_offset, const anymps_buffer *from,
                                       size_t from_offset, size_t length)
{
    void *const bounce = amps_malloc(amps_min(length, BOUNCE_BYTES));
    if (bounce == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    anymps_status status = ANYMPS_OK;
    for (size_t done = 0; done < length && status == ANYMPS_OK; done += BOUNCE_BYTES) {
        const size_t piece = amps_min(length - done, BOUNCE_BYTES);
        status = anymps_buffer_read(from, from_offset + done, bounce, piece);
        if (status == ANYMPS_OK) {
            status = anymps_buffer_write(to, to_offset + done, bounce, piece);
        }
    }
    amps_free(bounce);
    return status;
}

anymps_status anymps_buffer_copy(anymps_buffer *destination, size_t destination_offset_bytes,
                                 const anymps_buffer *source, size_t source_offset_bytes, size_t length_bytes)
{
    ANYMPS_TRY(check_range(destination, destination_offset_bytes, length_bytes, "buffer_copy"));
    ANYMPS_TRY(check_range(source, source_offset_bytes, length_bytes, "buffer_copy"));
    ANYMPS_TRY(check_writable(destination, "buffer_copy"));
    if (destination->device->impl->backend != source->device->impl->backend) {
        return copy_through_host(destination, destination_offset_bytes, source, source_offset_bytes, length_bytes);
    }
    return send(destination, &(amps_transfer){.kind = AMPS_TRANSFER_COPY,
                                              .memory = destination->memory,
                                              .offset_bytes = destination_offset_bytes,
                                              .length_bytes = length_bytes,
                                              .source = source->memory,
                                              .source_offset_bytes = source_offset_bytes});
}

static anymps_status managed(anymps_buffer *buffer, size_t offset, size_t length, amps_transfer_kind kind,
                             const char *name)
{
    ANYMPS_TRY(check_range(buffer, offset, length, name));
    if (buffer->memory->storage != ANYMPS_STORAGE_MANAGED) {
        return ANYMPS_OK;
    }
    return send(buffer, &(amps_transfer){
                            .kind = kind, .memory = buffer->memory, .offset_bytes = offset, .length_bytes = length});
}

anymps_status anymps_buffer_did_modify(anymps_buffer *buffer, size_t offset_bytes, size_t length_bytes)
{
    return managed(buffer, offset_bytes, length_bytes, AMPS_TRANSFER_PUBLISH, "buffer_did_modify");
}

anymps_status anymps_buffer_synchronize(anymps_buffer *buffer, size_t offset_bytes, size_t length_bytes)
{
    return managed(buffer, offset_bytes, length_bytes, AMPS_TRANSFER_FETCH, "buffer_synchronize");
}
