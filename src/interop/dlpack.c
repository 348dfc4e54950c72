/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dlpack.c: DLPack tensors as matrices and vectors, and back. See anymps/dlpack.h.
 *
 * Called by users. tensor.c checks and describes; this file moves ownership: a tensor that comes in is
 * released by its buffer, one that goes out keeps a buffer. Calls the public API only.
 */
#include "base/alloc.h"
#include "base/ref.h"
#include "base/status.h"
#include "base/versioned.h"
#include "interop/tensor.h"

#include <string.h>

anymps_status anymps_dlpack_validate(anymps_device *device, const struct DLTensor *tensor, anymps_dlpack_info *info)
{
    amps_tensor checked;
    if (info != NULL) {
        ANYMPS_TRY(amps_struct_check("dlpack_validate", info, sizeof *info));
    }
    ANYMPS_TRY(amps_tensor_check("dlpack_validate", device, tensor, &checked));
    if (info != NULL) {
        amps_struct_write(info, &checked.info, sizeof *info);
    }
    return ANYMPS_OK;
}

/* ---- Import ------------------------------------------------------------------------------------ */

/* A tensor of either form that a buffer will own. */
typedef struct import {
    struct DLManagedTensor *plain; /* exactly one of the two is not NULL */
    struct DLManagedTensorVersioned *versioned;
    bool owned; /* false until nothing can fail any more: a failing import must not call the deleter */
    unsigned char spare[16];
} import;

static void release_import(void *context, void *bytes)
{
    (void)bytes;
    import *const i = context;
    if (i->owned && i->plain != NULL && i->plain->deleter != NULL) {
        i->plain->deleter(i->plain);
    }
    if (i->owned && i->versioned != NULL && i->versioned->deleter != NULL) {
        i->versioned->deleter(i->versioned);
    }
    amps_free(i);
}

static const struct DLTensor *import_tensor(const import *i)
{
    return i->plain != NULL ? &i->plain->dl_tensor : &i->versioned->dl_tensor;
}

static anymps_status check_version(const char *operation, const struct DLManagedTensorVersioned *tensor)
{
    ANYMPS_FAIL_IF(tensor->version.major != AMPS_DL_MAJOR, ANYMPS_UNSUPPORTED,
                   "%s: the tensor is of DLPack version %u, this library knows version %d", operation,
                   (unsigned)tensor->version.major, (int)AMPS_DL_MAJOR);
    return ANYMPS_OK;
}

/*
 * Wraps the tensor of `what` for the caller to make a matrix or vector of. On success `*out` belongs to
 * `*buffer`. The deleter is called by the buffer once the caller has set `owned`. Where the wrap of a
 * tensor without elements had to copy, the release callback has run already: `*out` is NULL then and the
 * deleter is still due.
 */
static anymps_status wrap_import(anymps_device *device, const amps_tensor *checked, const import *what, import **out,
                                 anymps_buffer **buffer)
{
    import *const made = amps_malloc(sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    *made = *what;
    const bool read_only = what->versioned != NULL && (what->versioned->flags & AMPS_DL_READ_ONLY) != 0;
    const anymps_status status =
        amps_tensor_wrap(device, checked, read_only, made->spare, release_import, made, buffer);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    *out = anymps_buffer_copy_reason(*buffer) == NULL ? made : NULL;
    return ANYMPS_OK;
}

/* Nothing can fail any more: the tensor is the buffer's, or done with. */
static void take_over(const import *what, import *made)
{
    if (made != NULL) {
        made->owned = true;
        return;
    }
    if (what->plain != NULL && what->plain->deleter != NULL) {
        what->plain->deleter(what->plain);
    } else if (what->versioned != NULL && what->versioned->deleter != NULL) {
        what->versioned->deleter(what->versioned);
    }
}

static anymps_status import_matrix(const char *operation, anymps_device *device, const import *what,
                                   anymps_matrix **matrix, bool *transposed)
{
    amps_tensor checked;
    import *made = NULL;
    anymps_buffer *buffer = NULL;
    ANYMPS_TRY(amps_tensor_check(operation, device, import_tensor(what), &checked));
    ANYMPS_TRY(amps_tensor_expect_matrix(&checked));
    ANYMPS_TRY(wrap_import(device, &checked, what, &made, &buffer));
    const anymps_status status = amps_tensor_matrix(&checked, buffer, matrix);
    if (status == ANYMPS_OK) {
        *transposed = checked.info.transposed;
        take_over(what, made);
    }
    anymps_buffer_release(buffer);
    return status;
}

static anymps_status import_vector(const char *operation, anymps_device *device, const import *what,
                                   anymps_vector **vector)
{
    amps_tensor checked;
    import *made = NULL;
    anymps_buffer *buffer = NULL;
    ANYMPS_TRY(amps_tensor_check(operation, device, import_tensor(what), &checked));
    ANYMPS_TRY(amps_tensor_expect_vector(&checked));
    ANYMPS_TRY(wrap_import(device, &checked, what, &made, &buffer));
    const anymps_status status = amps_tensor_vector(&checked, buffer, vector);
    if (status == ANYMPS_OK) {
        take_over(what, made);
    }
    anymps_buffer_release(buffer);
    return status;
}

anymps_status anymps_matrix_from_dlpack(anymps_device *device, struct DLManagedTensor *tensor, anymps_matrix **matrix,
                                        bool *transposed)
{
    ANYMPS_FAIL_IF(tensor == NULL || matrix == NULL || transposed == NULL, ANYMPS_INVALID_ARGUMENT,
                   "matrix_from_dlpack: tensor, matrix and transposed must not be NULL");
    const import what = {.plain = tensor};
    return import_matrix("matrix_from_dlpack", device, &what, matrix, transposed);
}

anymps_status anymps_matrix_from_dlpack_versioned(anymps_device *device, struct DLManagedTensorVersioned *tensor,
                                                  anymps_matrix **matrix, bool *transposed)
{
    ANYMPS_FAIL_IF(tensor == NULL || matrix == NULL || transposed == NULL, ANYMPS_INVALID_ARGUMENT,
                   "matrix_from_dlpack: tensor, matrix and transposed must not be NULL");
    ANYMPS_TRY(check_version("matrix_from_dlpack", tensor));
    const import what = {.versioned = tensor};
    return import_matrix("matrix_from_dlpack", device, &what, matrix, transposed);
}

anymps_status anymps_vector_from_dlpack(anymps_device *device, struct DLManagedTensor *tensor, anymps_vector **vector)
{
    ANYMPS_FAIL_IF(tensor == NULL || vector == NULL, ANYMPS_INVALID_ARGUMENT,
                   "vector_from_dlpack: tensor and vector must not be NULL");
    const import what = {.plain = tensor};
    return import_vector("vector_from_dlpack", device, &what, vector);
}

anymps_status anymps_vector_from_dlpack_versioned(anymps_device *device, struct DLManagedTensorVersioned *tensor,
                                                  anymps_vector **vector)
{
    ANYMPS_FAIL_IF(tensor == NULL || vector == NULL, ANYMPS_INVALID_ARGUMENT,
                   "vector_from_dlpack: tensor and vector must not be NULL");
    ANYMPS_TRY(check_version("vector_from_dlpack", tensor));
    const import what = {.versioned = tensor};
    return import_vector("vector_from_dlpack", device, &what, vector);
}

/* ---- Export ------------------------------------------------------------------------------------ */

/* What a tensor that goes out needs besides itself, in one block with it. */
typedef struct holder {
    anymps_buffer *buffer;
    int64_t shape[3];
    int64_t strides[3];
} holder;

typedef struct plain_export {
    struct DLManagedTensor tensor; /* first: the deleter is handed its address */
    holder holder;
} plain_export;

typedef struct versioned_export {
    struct DLManagedTensorVersioned tensor; /* first, as above */
    holder holder;
} versioned_export;

static void delete_plain(struct DLManagedTensor *self)
{
    plain_export *const made = self->manager_ctx;
    anymps_buffer_release(made->holder.buffer);
    amps_free(made);
}

static void delete_versioned(struct DLManagedTensorVersioned *self)
{
    versioned_export *const made = self->manager_ctx;
    anymps_buffer_release(made->holder.buffer);
    amps_free(made);
}

/* A matrix or vector to hand out. Sizes and distances in elements, slowest first. */
typedef struct export
{
    anymps_buffer *buffer;
    size_t offset_bytes;
    anymps_dtype dtype;
    int32_t rank;
    size_t shape[3];
    size_t strides[3];
}
export;

static export export_matrix(const anymps_matrix *matrix)
{
    const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
    const size_t element = anymps_dtype_bytes(d.dtype);
    export e = {
        .buffer = anymps_matrix_buffer(matrix),
        .offset_bytes = anymps_matrix_offset_bytes(matrix),
        .dtype = d.dtype,
        .rank = 2,
        .shape = {d.rows, d.columns},
        .strides = {d.row_bytes / element, 1},
    };
    if (d.matrices > 1) {
        e.rank = 3;
        memcpy(e.shape, (const size_t[3]){d.matrices, d.rows, d.columns}, sizeof e.shape);
        memcpy(e.strides, (const size_t[3]){d.matrix_bytes / element, d.row_bytes / element, 1}, sizeof e.strides);
    }
    return e;
}

static export export_vector(const anymps_vector *vector)
{
    const anymps_vector_desc d = anymps_vector_get_desc(vector);
    export e = {
        .buffer = anymps_vector_buffer(vector),
        .offset_bytes = anymps_vector_offset_bytes(vector),
        .dtype = d.dtype,
        .rank = 1,
        .shape = {d.length},
        .strides = {1},
    };
    if (d.vectors > 1) {
        e.rank = 2;
        memcpy(e.shape, (const size_t[3]){d.vectors, d.length}, sizeof e.shape);
        memcpy(e.strides, (const size_t[3]){d.vector_bytes / anymps_dtype_bytes(d.dtype), 1}, sizeof e.strides);
    }
    return e;
}

static amps_dl_device export_device(const anymps_buffer *buffer)
{
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (anymps_device_get_properties(anymps_buffer_device(buffer), &p) != ANYMPS_OK ||
        p.backend == ANYMPS_BACKEND_CPU) {
        return (amps_dl_device){AMPS_DL_CPU, 0};
    }
    return (amps_dl_device){p.backend == ANYMPS_BACKEND_CUDA ? AMPS_DL_CUDA : AMPS_DL_METAL,
                            (int32_t)amps_tensor_device_number(p.id)};
}

/* Sizes and distances fit: they lie in a buffer, or are those of an empty matrix, which may be larger. */
static anymps_status fill(const char *operation, const export *e, struct DLTensor *tensor, holder *keep)
{
    bool empty = false;
    for (int32_t i = 0; i < e->rank; i++) {
        ANYMPS_FAIL_IF(e->shape[i] > INT64_MAX || e->strides[i] > INT64_MAX, ANYMPS_INVALID_ARGUMENT,
                       "%s: %zu elements in dimension %d are more than a tensor can say", operation, e->shape[i],
                       (int)i);
        keep->shape[i] = (int64_t)e->shape[i];
        keep->strides[i] = (int64_t)e->strides[i];
        empty = empty || e->shape[i] == 0;
    }
    const amps_dl_device device = export_device(e->buffer);
    unsigned char *const native = anymps_buffer_native(e->buffer);
    const bool by_object = device.type == AMPS_DL_METAL; /* memory is an object there: the offset stays one */
    *tensor = (struct DLTensor){
        .data = empty       ? NULL
                : by_object ? native
                            : native + e->offset_bytes,
        .device = device,
        .ndim = e->rank,
        .dtype = amps_tensor_dtype(e->dtype),
        .shape = keep->shape,
        .strides = keep->strides,
        .byte_offset = by_object && !empty ? e->offset_bytes : 0,
    };
    keep->buffer = e->buffer;
    return ANYMPS_OK;
}

static anymps_status hand_out(const char *operation, const export *e, struct DLManagedTensor **tensor)
{
    ANYMPS_FAIL_IF(anymps_buffer_is_read_only(e->buffer), ANYMPS_INVALID_ARGUMENT,
                   "%s: the buffer is read-only, which only a versioned tensor can say", operation);
    plain_export *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    const anymps_status status = fill(operation, e, &made->tensor.dl_tensor, &made->holder);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    made->tensor.manager_ctx = made;
    made->tensor.deleter = delete_plain;
    (void)anymps_buffer_retain(e->buffer);
    *tensor = &made->tensor;
    return ANYMPS_OK;
}

static anymps_status hand_out_versioned(const char *operation, const export *e,
                                        struct DLManagedTensorVersioned **tensor)
{
    versioned_export *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    const anymps_status status = fill(operation, e, &made->tensor.dl_tensor, &made->holder);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    made->tensor.version.major = AMPS_DL_MAJOR;
    made->tensor.version.minor = AMPS_DL_MINOR;
    made->tensor.manager_ctx = made;
    made->tensor.deleter = delete_versioned;
    made->tensor.flags = anymps_buffer_is_read_only(e->buffer) ? AMPS_DL_READ_ONLY : 0;
    (void)anymps_buffer_retain(e->buffer);
    *tensor = &made->tensor;
    return ANYMPS_OK;
}

static anymps_status check_matrix(const anymps_matrix *matrix, const void *out)
{
    ANYMPS_FAIL_IF(!amps_is(matrix, AMPS_KIND_MATRIX) || out == NULL, ANYMPS_INVALID_ARGUMENT,
                   "matrix_to_dlpack: matrix must be a matrix and tensor not NULL");
    return ANYMPS_OK;
}

static anymps_status check_vector(const anymps_vector *vector, const void *out)
{
    ANYMPS_FAIL_IF(!amps_is(vector, AMPS_KIND_VECTOR) || out == NULL, ANYMPS_INVALID_ARGUMENT,
                   "vector_to_dlpack: vector must be a vector and tensor not NULL");
    return ANYMPS_OK;
}

anymps_status anymps_matrix_to_dlpack(anymps_matrix *matrix, struct DLManagedTensor **tensor)
{
    ANYMPS_TRY(check_matrix(matrix, tensor));
    const export e = export_matrix(matrix);
    return hand_out("matrix_to_dlpack", &e, tensor);
}

anymps_status anymps_matrix_to_dlpack_versioned(anymps_matrix *matrix, struct DLManagedTensorVersioned **tensor)
{
    ANYMPS_TRY(check_matrix(matrix, tensor));
    const export e = export_matrix(matrix);
    return hand_out_versioned("matrix_to_dlpack", &e, tensor);
}

anymps_status anymps_vector_to_dlpack(anymps_vector *vector, struct DLManagedTensor **tensor)
{
    ANYMPS_TRY(check_vector(vector, tensor));
    const export e = export_vector(vector);
    return hand_out("vector_to_dlpack", &e, tensor);
}

anymps_status anymps_vector_to_dlpack_versioned(anymps_vector *vector, struct DLManagedTensorVersioned **tensor)
{
    ANYMPS_TRY(check_vector(vector, tensor));
    const export e = export_vector(vector);
    return hand_out_versioned("vector_to_dlpack", &e, tensor);
}
