/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensor.c: checks a DLPack tensor and says which matrix or vector lies in it. See tensor.h.
 *
 * Called by dlpack.c and dlpack_ops.c. Calls the public API only: anymps_matrix_desc_resolve decides
 * whether a layout is one. Never touches an element.
 */
#include "interop/tensor.h"

#include "base/checked.h"
#include "base/status.h"

#include <stdlib.h>
#include <string.h>

/* ---- Types ------------------------------------------------------------------------------------- */

static const struct {
    uint8_t code;
    uint8_t bits;
    anymps_dtype dtype;
} types[] = {
    {AMPS_DL_FLOAT, 16, ANYMPS_DTYPE_F16}, {AMPS_DL_FLOAT, 32, ANYMPS_DTYPE_F32},
    {AMPS_DL_FLOAT, 64, ANYMPS_DTYPE_F64}, {AMPS_DL_INT, 8, ANYMPS_DTYPE_I8},
    {AMPS_DL_INT, 16, ANYMPS_DTYPE_I16},   {AMPS_DL_INT, 32, ANYMPS_DTYPE_I32},
    {AMPS_DL_INT, 64, ANYMPS_DTYPE_I64},   {AMPS_DL_UINT, 8, ANYMPS_DTYPE_U8},
    {AMPS_DL_UINT, 16, ANYMPS_DTYPE_U16},  {AMPS_DL_UINT, 32, ANYMPS_DTYPE_U32},
    {AMPS_DL_UINT, 64, ANYMPS_DTYPE_U64},  {AMPS_DL_BFLOAT, 16, ANYMPS_DTYPE_BF16},
    {AMPS_DL_BOOL, 8, ANYMPS_DTYPE_BOOL},
};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

static anymps_status read_dtype(const char *operation, amps_dl_dtype given, anymps_dtype *dtype)
{
    ANYMPS_FAIL_IF(given.lanes != 1, ANYMPS_UNSUPPORTED, "%s: elements of %u lanes: view them as another dimension",
                   operation, (unsigned)given.lanes);
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].code == given.code && types[i].bits == given.bits) {
            *dtype = types[i].dtype;
            return ANYMPS_OK;
        }
    }
    return amps_fail(ANYMPS_UNSUPPORTED, "%s: type code %u of %u bits is not supported: convert the tensor to float32",
                     operation, (unsigned)given.code, (unsigned)given.bits);
}

amps_dl_dtype amps_tensor_dtype(anymps_dtype dtype)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (types[i].dtype == dtype) {
            return (amps_dl_dtype){.code = types[i].code, .bits = types[i].bits, .lanes = 1};
        }
    }
    return (amps_dl_dtype){0};
}

/* ---- Shape and strides ------------------------------------------------------------------------- */

/* Sizes and distances in elements; a dimension of size 1 (or a tensor without elements) has no distance
   that matters: the compact one is put in its place. */
typedef struct layout {
    size_t rank;
    size_t size[3];
    size_t stride[3];
    bool empty;
} layout;

static anymps_status read_sizes(const char *operation, const struct DLTensor *tensor, layout *l)
{
    ANYMPS_FAIL_IF(tensor->ndim < 0, ANYMPS_INVALID_ARGUMENT, "%s: the tensor has %d dimensions", operation,
                   (int)tensor->ndim);
    ANYMPS_FAIL_IF(tensor->ndim == 0 || tensor->ndim > 3, ANYMPS_SHAPE_MISMATCH,
                   "%s: the tensor has %d dimensions, 1 to 3 are possible: reshape it", operation, (int)tensor->ndim);
    ANYMPS_FAIL_IF(tensor->shape == NULL, ANYMPS_INVALID_ARGUMENT, "%s: the tensor's shape is NULL", operation);
    l->rank = (size_t)tensor->ndim;
    l->empty = false;
    for (size_t i = 0; i < l->rank; i++) {
        ANYMPS_FAIL_IF(tensor->shape[i] < 0, ANYMPS_INVALID_ARGUMENT, "%s: dimension %zu has %lld elements", operation,
                       i, (long long)tensor->shape[i]);
        l->size[i] = (size_t)tensor->shape[i];
        l->empty = l->empty || l->size[i] == 0;
    }
    return ANYMPS_OK;
}

static anymps_status read_strides(const char *operation, const struct DLTensor *tensor, layout *l)
{
    size_t compact = 1;
    for (size_t i = l->rank; i-- > 0;) {
        l->stride[i] = compact;
        if (!l->empty && l->size[i] > 1 && tensor->strides != NULL) {
            ANYMPS_FAIL_IF(tensor->strides[i] <= 0, ANYMPS_SHAPE_MISMATCH,
                           "%s: dimension %zu has stride %lld: make the tensor contiguous", operation, i,
                           (long long)tensor->strides[i]);
            l->stride[i] = (size_t)tensor->strides[i];
        }
        ANYMPS_FAIL_IF(!amps_mul(l->stride[i], amps_max(l->size[i], 1), &compact), ANYMPS_INVALID_ARGUMENT,
                       "%s: the tensor's size overflows at dimension %zu", operation, i);
    }
    return ANYMPS_OK;
}

static anymps_status refuse_strides(const char *operation, const layout *l)
{
    static const char remedy[] = "make the tensor contiguous";
    if (l->rank == 1) {
        return amps_fail(ANYMPS_SHAPE_MISMATCH, "%s: stride %zu of %zu elements is no vector: %s", operation,
                         l->stride[0], l->size[0], remedy);
    }
    if (l->rank == 2) {
        return amps_fail(ANYMPS_SHAPE_MISMATCH, "%s: strides %zu, %zu of shape %zu, %zu are no matrix: %s", operation,
                         l->stride[0], l->stride[1], l->size[0], l->size[1], remedy);
    }
    return amps_fail(ANYMPS_SHAPE_MISMATCH, "%s: strides %zu, %zu, %zu of shape %zu, %zu, %zu are no matrices: %s",
                     operation, l->stride[0], l->stride[1], l->stride[2], l->size[0], l->size[1], l->size[2], remedy);
}

/* Distances of rows and matrices, in elements. */
typedef struct steps {
    size_t row;
    size_t matrix;
} steps;

static anymps_status place_vector(const char *operation, const layout *l, anymps_dlpack_info *info, steps *out)
{
    if (l->size[0] > 1 && l->stride[0] != 1) {
        return refuse_strides(operation, l);
    }
    info->is_vector = true;
    info->rows = 1;
    info->columns = l->size[0];
    *out = (steps){l->size[0], l->size[0]};
    return ANYMPS_OK;
}

/* A row-major matrix, or the transpose of one. A single row or column is both: row-major wins. */
static anymps_status place_matrix(const char *operation, const layout *l, anymps_dlpack_info *info, steps *out)
{
    const size_t r = l->size[0], c = l->size[1];
    const size_t row_step = l->stride[0], column_step = l->stride[1];
    const bool row_major = (c <= 1 || column_step == 1) && (r <= 1 || row_step >= c);
    const bool transposed = (r <= 1 || row_step == 1) && (c <= 1 || column_step >= r);
    if (l->empty || row_major) {
        *out = (steps){r > 1 && !l->empty ? row_step : c, 0};
        info->rows = r;
        info->columns = c;
        return ANYMPS_OK;
    }
    if (!transposed) {
        return refuse_strides(operation, l);
    }
    /* c > 1 here: a single column of any stride is row-major. */
    *out = (steps){column_step, 0};
    info->transposed = true;
    info->rows = c;
    info->columns = r;
    return ANYMPS_OK;
}

/* Row-major matrices, one after the other or side by side (matrix.h). */
static anymps_status place_batch(const char *operation, const layout *l, anymps_dlpack_info *info, steps *out)
{
    const size_t b = l->size[0], r = l->size[1], c = l->size[2];
    ANYMPS_FAIL_IF(b == 0, ANYMPS_SHAPE_MISMATCH, "%s: a batch of 0 matrices", operation);
    info->matrices = b;
    info->rows = r;
    info->columns = c;
    if (l->empty) {
        *out = (steps){c, 0};
        return ANYMPS_OK;
    }
    if (c > 1 && l->stride[2] != 1) {
        return refuse_strides(operation, l);
    }
    const size_t row = r > 1 ? l->stride[1] : b > 1 ? l->stride[0] : c; /* one row each: rows of one matrix */
    size_t stacked, beside;
    const bool rows_fit = row >= c;
    const bool one_after_other =
        b == 1 || (amps_mul(r, row, &stacked) && l->stride[0] >= stacked && l->stride[0] % row == 0);
    const bool side_by_side = b > 1 && l->stride[0] >= c && amps_mul(b, l->stride[0], &beside) && beside <= row;
    if (!rows_fit || !(one_after_other || side_by_side)) {
        return refuse_strides(operation, l);
    }
    *out = (steps){row, b > 1 ? l->stride[0] : 0};
    return ANYMPS_OK;
}

static anymps_status place(const char *operation, const struct DLTensor *tensor, anymps_dlpack_info *info)
{
    layout l = {0};
    steps step = {0, 0};
    ANYMPS_TRY(read_sizes(operation, tensor, &l));
    ANYMPS_TRY(read_strides(operation, tensor, &l));
    info->matrices = 1;
    ANYMPS_TRY(l.rank == 1   ? place_vector(operation, &l, info, &step)
               : l.rank == 2 ? place_matrix(operation, &l, info, &step)
                             : place_batch(operation, &l, info, &step));
    anymps_matrix_desc desc = ANYMPS_MATRIX_DESC_INIT;
    const size_t element = anymps_dtype_bytes(info->dtype);
    desc.rows = info->rows;
    desc.columns = info->columns;
    desc.matrices = info->matrices;
    desc.dtype = info->dtype;
    ANYMPS_FAIL_IF(!amps_mul(step.row, element, &desc.row_bytes) || !amps_mul(step.matrix, element, &desc.matrix_bytes),
                   ANYMPS_INVALID_ARGUMENT, "%s: the tensor's strides overflow in bytes", operation);
    ANYMPS_TRY(anymps_matrix_desc_resolve(&desc, &info->needed_bytes));
    info->row_bytes = desc.row_bytes;
    info->matrix_bytes = desc.matrix_bytes;
    return ANYMPS_OK;
}

/* ---- Devices ----------------------------------------------------------------------------------- */

/* The number behind the colon of "cuda:1"; 0 without one. */
long amps_tensor_device_number(const char *id)
{
    const char *const colon = strchr(id, ':');
    return colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
}

static bool serves(anymps_backend backend, int32_t type)
{
    switch (backend) {
    case ANYMPS_BACKEND_CPU: return type == AMPS_DL_CPU || type == AMPS_DL_CUDA_HOST;
    case ANYMPS_BACKEND_CUDA: return type == AMPS_DL_CUDA || type == AMPS_DL_CUDA_HOST || type == AMPS_DL_CUDA_MANAGED;
    case ANYMPS_BACKEND_METAL: return type == AMPS_DL_METAL;
    default: return false;
    }
}

/* Is the memory this very device's? Pinned and managed memory belongs to all of its kind. */
static anymps_status check_device(const char *operation, const anymps_device *device, amps_dl_device given)
{
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    ANYMPS_TRY(anymps_device_get_properties(device, &p));
    const bool one_of_many = given.type == AMPS_DL_CUDA || given.type == AMPS_DL_METAL;
    const bool same = serves(p.backend, given.type) && (!one_of_many || given.id == amps_tensor_device_number(p.id));
    ANYMPS_FAIL_IF(!same, ANYMPS_UNSUPPORTED, "%s: the tensor is on DLPack device %d:%d: move it to %s", operation,
                   (int)given.type, (int)given.id, p.id);
    return ANYMPS_OK;
}

/* Where the memory begins and how it is wrapped. Metal knows memory by its object, so that the offset
   stays one; elsewhere the address moves. */
static anymps_status locate(const struct DLTensor *tensor, amps_tensor *out)
{
    const char *const operation = out->operation;
    const size_t element = anymps_dtype_bytes(out->info.dtype);
    size_t end, first;
    if (out->info.needed_bytes == 0) {
        out->wrap_bytes = 0;
        return ANYMPS_OK;
    }
    ANYMPS_FAIL_IF(tensor->data == NULL, ANYMPS_INVALID_ARGUMENT, "%s: the tensor's data is NULL", operation);
    ANYMPS_FAIL_IF(tensor->byte_offset > SIZE_MAX ||
                       !amps_add((size_t)tensor->byte_offset, out->info.needed_bytes, &end) ||
                       !amps_add((uintptr_t)tensor->data, end, &first),
                   ANYMPS_INVALID_ARGUMENT, "%s: byte_offset %llu passes the end of the address space", operation,
                   (unsigned long long)tensor->byte_offset);
    const size_t offset = (size_t)tensor->byte_offset;
    const bool metal = tensor->device.type == AMPS_DL_METAL;
    const size_t place_bytes = metal ? offset : (uintptr_t)tensor->data + offset;
    ANYMPS_FAIL_IF(place_bytes % element != 0, ANYMPS_UNSUPPORTED,
                   "%s: the first element is not aligned to its %zu bytes: copy the tensor", operation, element);
    out->native = tensor->device.type == AMPS_DL_CUDA || tensor->device.type == AMPS_DL_CUDA_MANAGED || metal;
    out->bytes = metal ? tensor->data : (unsigned char *)tensor->data + offset;
    out->offset_bytes = metal ? offset : 0;
    out->wrap_bytes = metal ? end : out->info.needed_bytes;
    return ANYMPS_OK;
}

/* ---- For dlpack.c and dlpack_ops.c ------------------------------------------------------------- */

anymps_status amps_tensor_check(const char *operation, anymps_device *device, const struct DLTensor *tensor,
                                amps_tensor *out)
{
    ANYMPS_FAIL_IF(device == NULL || tensor == NULL, ANYMPS_INVALID_ARGUMENT, "%s: device and tensor must not be NULL",
                   operation);
    amps_tensor t = {.operation = operation, .info = ANYMPS_DLPACK_INFO_INIT};
    ANYMPS_TRY(read_dtype(operation, tensor->dtype, &t.info.dtype));
    ANYMPS_TRY(place(operation, tensor, &t.info));
    ANYMPS_TRY(check_device(operation, device, tensor->device));
    ANYMPS_TRY(locate(tensor, &t));
    *out = t;
    return ANYMPS_OK;
}

anymps_status amps_tensor_wrap(anymps_device *device, const amps_tensor *tensor, bool read_only, void *spare,
                               anymps_release_callback release, void *context, anymps_buffer **buffer)
{
    const bool empty = tensor->wrap_bytes == 0;
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = empty ? spare : tensor->bytes;
    desc.length_bytes = empty ? 1 : tensor->wrap_bytes;
    desc.read_only = read_only;
    desc.forbid_copy = !empty; /* nothing of a spare byte is ever looked for in the caller's memory */
    desc.release = release;
    desc.context = context;
    return tensor->native && !empty ? anymps_buffer_wrap_native(device, &desc, buffer)
                                    : anymps_buffer_wrap(device, &desc, buffer);
}

anymps_status amps_tensor_expect_matrix(const amps_tensor *tensor)
{
    ANYMPS_FAIL_IF(tensor->info.is_vector, ANYMPS_SHAPE_MISMATCH,
                   "%s: the tensor has 1 dimension, a matrix 2 or 3: reshape it to 1 x %zu", tensor->operation,
                   tensor->info.columns);
    return ANYMPS_OK;
}

anymps_status amps_tensor_expect_vector(const amps_tensor *tensor)
{
    const anymps_dlpack_info *const info = &tensor->info;
    ANYMPS_FAIL_IF(info->matrices > 1, ANYMPS_SHAPE_MISMATCH,
                   "%s: the tensor has 3 dimensions, a vector 1, several vectors 2: reshape it", tensor->operation);
    ANYMPS_FAIL_IF(info->transposed, ANYMPS_SHAPE_MISMATCH,
                   "%s: vectors must lie one after the other: make the tensor contiguous", tensor->operation);
    ANYMPS_FAIL_IF(!info->is_vector && info->rows == 0, ANYMPS_SHAPE_MISMATCH, "%s: 0 vectors", tensor->operation);
    return ANYMPS_OK;
}

anymps_status amps_tensor_matrix(const amps_tensor *tensor, anymps_buffer *buffer, anymps_matrix **matrix)
{
    anymps_matrix_desc desc = ANYMPS_MATRIX_DESC_INIT;
    desc.rows = tensor->info.rows;
    desc.columns = tensor->info.columns;
    desc.matrices = tensor->info.matrices;
    desc.row_bytes = tensor->info.row_bytes;
    desc.matrix_bytes = tensor->info.matrix_bytes;
    desc.dtype = tensor->info.dtype;
    return anymps_matrix_create(buffer, tensor->offset_bytes, &desc, matrix);
}

anymps_status amps_tensor_vector(const amps_tensor *tensor, anymps_buffer *buffer, anymps_vector **vector)
{
    anymps_vector_desc desc = ANYMPS_VECTOR_DESC_INIT;
    desc.length = tensor->info.columns;
    desc.vectors = tensor->info.rows;
    desc.vector_bytes = tensor->info.row_bytes;
    desc.dtype = tensor->info.dtype;
    return anymps_vector_create(buffer, tensor->offset_bytes, &desc, vector);
}
