/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c: a tensor of a file as a matrix or a vector.
 *
 * Called by users (anymps/io.h). Wraps the file's bytes where they can serve as they lie, else a
 * converted copy; either way through anymps_buffer_wrap, so that the buffer is read-only and holds the
 * file (or the copy) until its end. Knows no backend but one fact: Metal wants whole pages.
 */
#include "io/file.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "base/versioned.h"
#include "io/elements.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

/* Beginning of every copy: a cache line, and enough for every microkernel. */
enum { COPY_ALIGNMENT = 64 };

/* What is to be loaded, checked. */
typedef struct source {
    anymps_file *file;
    const anymps_file_tensor *tensor;
    anymps_device *device;
    const char *operation;
    anymps_dtype dtype; /* of the matrix or vector */
    bool forbid_copy;
    uint32_t flags;
} source;

/* ---- Buffers ----------------------------------------------------------------------------------- */

static void release_file(void *context, void *bytes)
{
    (void)bytes;
    anymps_file_release(context);
}

static void release_block(void *context, void *bytes)
{
    (void)context;
    amps_free(bytes);
}

/* Why the bytes cannot serve as they lie, or NULL. Lives for ever, as a buffer's copy reason must. */
static const char *why_copy(const source *s)
{
    const uintptr_t address = (uintptr_t)(s->file->bytes + s->tensor->offset_bytes);
    if (s->tensor->length_bytes == 0) {
        return NULL;
    }
    if (s->dtype != s->tensor->dtype) {
        return "the elements had to be converted";
    }
    if (s->tensor->swapped) {
        return "the file has the other byte order";
    }
    if (address % anymps_dtype_bytes(s->dtype) != 0) {
        return "the bytes in the file are not aligned to the element";
    }
    return NULL;
}

static anymps_status wrap_file(const source *s, size_t offset_bytes, size_t length_bytes, bool forbid_copy,
                               anymps_buffer **buffer)
{
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = (void *)(uintptr_t)(s->file->bytes + offset_bytes); /* read_only keeps it const */
    desc.length_bytes = length_bytes;
    desc.read_only = true;
    desc.forbid_copy = forbid_copy;
    desc.release = release_file;
    desc.context = anymps_file_retain(s->file);
    const anymps_status status = anymps_buffer_wrap(s->device, &desc, buffer);
    if (status != ANYMPS_OK) {
        anymps_file_release(s->file);
    }
    return status;
}

static bool wants_pages(const anymps_device *device)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    return anymps_device_get_properties(device, &properties) == ANYMPS_OK && properties.backend == ANYMPS_BACKEND_METAL;
}

/* Metal takes memory as it is only by whole pages: there the buffer is the whole mapping, whose last page
   is filled up with zeros by the system. A refusal is no failure: the caller then wraps the tensor by
   itself. */
static bool wrap_pages(const source *s, anymps_buffer **buffer)
{
    size_t length;
    if (!s->file->mapped || !wants_pages(s->device) ||
        !amps_round_up(s->file->length_bytes, (size_t)sysconf(_SC_PAGESIZE), &length)) {
        return false;
    }
    const anymps_error before = *anymps_last_error();
    if (wrap_file(s, 0, length, true, buffer) == ANYMPS_OK) {
        return true;
    }
    anymps_clear_error();
    if (before.status != ANYMPS_OK) {
        (void)amps_fail_again(&before);
    }
    return false;
}

static anymps_status wrap_copy(const source *s, const char *reason, anymps_buffer **buffer)
{
    const size_t from_bytes = anymps_dtype_bytes(s->tensor->dtype);
    const size_t count = s->tensor->length_bytes / from_bytes;
    size_t length;
    ANYMPS_FAIL_IF(!amps_mul(count, anymps_dtype_bytes(s->dtype), &length), ANYMPS_OUT_OF_MEMORY,
                   "%s: %zu elements of %s do not fit the address space", s->operation, count,
                   anymps_dtype_name(s->dtype));
    void *const block = amps_malloc_aligned(length, COPY_ALIGNMENT, false);
    if (block == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    amps_convert(s->tensor->dtype, s->tensor->swapped, s->file->bytes + s->tensor->offset_bytes, s->dtype, block,
                 count);
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = block;
    desc.length_bytes = length;
    desc.read_only = true;
    desc.release = release_block;
    desc.copy_reason = reason;
    const anymps_status status = anymps_buffer_wrap(s->device, &desc, buffer);
    if (status != ANYMPS_OK) {
        amps_free(block);
    }
    return status;
}

static anymps_status make_buffer(const source *s, anymps_buffer **buffer, size_t *offset_bytes)
{
    const anymps_file_tensor *const t = s->tensor;
    *offset_bytes = 0;
    if (t->length_bytes == 0) {
        return wrap_file(s, 0, 1, s->forbid_copy, buffer); /* no element: any byte will do */
    }
    const char *const reason = why_copy(s);
    ANYMPS_FAIL_IF(reason != NULL && s->forbid_copy, ANYMPS_UNSUPPORTED,
                   "%s: tensor '%.80s': %s, and copying is forbidden", s->operation, t->name, reason);
    if (reason != NULL) {
        return wrap_copy(s, reason, buffer);
    }
    if (wrap_pages(s, buffer)) {
        *offset_bytes = t->offset_bytes;
        return ANYMPS_OK;
    }
    return wrap_file(s, t->offset_bytes, t->length_bytes, s->forbid_copy, buffer);
}

/* ---- Shapes ------------------------------------------------------------------------------------ */

static anymps_status matrix_shape(const source *s, anymps_matrix_desc *shape)
{
    const anymps_file_tensor *const t = s->tensor;
    assert(t != NULL);
    ANYMPS_FAIL_IF(t->rank > 3, ANYMPS_SHAPE_MISMATCH, "%s: tensor '%.80s' has %zu dimensions, a matrix at most 3",
                   s->operation, t->name, t->rank);
    ANYMPS_FAIL_IF(t->rank == 3 && t->column_major, ANYMPS_SHAPE_MISMATCH,
                   "%s: a batch in Fortran order: save it with numpy.ascontiguousarray", s->operation);
    ANYMPS_FAIL_IF(t->rank == 3 && t->shape[0] == 0, ANYMPS_SHAPE_MISMATCH,
                   "%s: tensor '%.80s' is a batch of 0 matrices", s->operation, t->name);
    const size_t first = t->rank == 3 ? 1 : 0;
    const size_t rows = t->rank >= 2 ? t->shape[first] : 1;
    const size_t columns = t->rank == 0 ? 1 : t->shape[t->rank - 1];
    shape->rows = t->column_major ? columns : rows;
    shape->columns = t->column_major ? rows : columns;
    shape->matrices = t->rank == 3 ? t->shape[0] : 1;
    shape->dtype = s->dtype;
    shape->flags = s->flags;
    return ANYMPS_OK;
}

static anymps_status vector_shape(const source *s, anymps_vector_desc *shape)
{
    const anymps_file_tensor *const t = s->tensor;
    assert(t != NULL);
    ANYMPS_FAIL_IF(t->rank != 1 && t->rank != 2, ANYMPS_SHAPE_MISMATCH,
                   "%s: tensor '%.80s' has %zu dimensions, a vector 1, several vectors 2", s->operation, t->name,
                   t->rank);
    ANYMPS_FAIL_IF(t->column_major, ANYMPS_SHAPE_MISMATCH,
                   "%s: vectors in Fortran order: save them with numpy.ascontiguousarray", s->operation);
    ANYMPS_FAIL_IF(t->rank == 2 && t->shape[0] == 0, ANYMPS_SHAPE_MISMATCH, "%s: tensor '%.80s' has 0 vectors",
                   s->operation, t->name);
    shape->length = t->shape[t->rank - 1];
    shape->vectors = t->rank == 2 ? t->shape[0] : 1;
    shape->dtype = s->dtype;
    shape->flags = s->flags;
    return ANYMPS_OK;
}

/* ---- Calls ------------------------------------------------------------------------------------- */

static anymps_status prepare(const char *operation, anymps_file *file, size_t index, anymps_device *device,
                             const anymps_load_desc *given, source *out)
{
    ANYMPS_FAIL_IF(!amps_is(file, AMPS_KIND_FILE), ANYMPS_INVALID_ARGUMENT, "%s: file must be a file", operation);
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT, "%s: device must be a device",
                   operation);
    ANYMPS_FAIL_IF(index >= file->count, ANYMPS_INVALID_ARGUMENT, "%s: index is %zu, the file has %zu tensors",
                   operation, index, file->count);
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    if (given != NULL) {
        ANYMPS_TRY(amps_struct_read(operation, given, &desc, sizeof desc));
    }
    const anymps_dtype convert_to = desc.convert_to;
    ANYMPS_FAIL_IF(convert_to != ANYMPS_DTYPE_INVALID && anymps_dtype_bytes(convert_to) == 0, ANYMPS_INVALID_ARGUMENT,
                   "%s: convert_to is %d, which is no type", operation, (int)convert_to);
    *out = (source){
        .file = file,
        .tensor = &file->tensors[index],
        .device = device,
        .operation = operation,
        .dtype = convert_to != ANYMPS_DTYPE_INVALID ? convert_to : file->tensors[index].dtype,
        .forbid_copy = desc.forbid_copy,
        .flags = desc.flags,
    };
    return ANYMPS_OK;
}

anymps_status anymps_file_load_matrix(anymps_file *file, size_t index, anymps_device *device,
                                      const anymps_load_desc *desc, anymps_matrix **matrix, bool *transposed)
{
    ANYMPS_FAIL_IF(matrix == NULL || transposed == NULL, ANYMPS_INVALID_ARGUMENT,
                   "file_load_matrix: matrix and transposed must not be NULL");
    source s = {0};
    anymps_matrix_desc shape = ANYMPS_MATRIX_DESC_INIT;
    anymps_buffer *buffer = NULL;
    size_t offset_bytes = 0;
    ANYMPS_TRY(prepare("file_load_matrix", file, index, device, desc, &s));
    ANYMPS_TRY(matrix_shape(&s, &shape));
    ANYMPS_TRY(make_buffer(&s, &buffer, &offset_bytes));
    const anymps_status status = anymps_matrix_create(buffer, offset_bytes, &shape, matrix);
    anymps_buffer_release(buffer);
    if (status == ANYMPS_OK) {
        *transposed = s.tensor->column_major;
    }
    return status;
}

anymps_status anymps_file_load_vector(anymps_file *file, size_t index, anymps_device *device,
                                      const anymps_load_desc *desc, anymps_vector **vector)
{
    ANYMPS_FAIL_IF(vector == NULL, ANYMPS_INVALID_ARGUMENT, "file_load_vector: vector must not be NULL");
    source s = {0};
    anymps_vector_desc shape = ANYMPS_VECTOR_DESC_INIT;
    anymps_buffer *buffer = NULL;
    size_t offset_bytes = 0;
    ANYMPS_TRY(prepare("file_load_vector", file, index, device, desc, &s));
    ANYMPS_TRY(vector_shape(&s, &shape));
    ANYMPS_TRY(make_buffer(&s, &buffer, &offset_bytes));
    const anymps_status status = anymps_vector_create(buffer, offset_bytes, &shape, vector);
    anymps_buffer_release(buffer);
    return status;
}
