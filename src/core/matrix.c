/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix.c: descriptors, matrices and vectors. Behind matrix.h; every range is proven here, once, with
 * overflow-checked arithmetic, so that nothing below looks again.
 */
#include "core/core.h"

#include <string.h>

/* Rows start on a cache line (64 bytes on every CPU and GPU that this library knows). */
enum { ROW_ALIGNMENT_BYTES = 64 };

size_t anymps_matrix_row_bytes(size_t columns, anymps_dtype dtype)
{
    size_t bytes;
    const size_t element = anymps_dtype_bytes(dtype);
    if (element == 0 || !amps_mul(columns, element, &bytes) || !amps_round_up(bytes, ROW_ALIGNMENT_BYTES, &bytes)) {
        return 0;
    }
    return bytes;
}

/* (matrices-1)*matrix_bytes + (rows-1)*row_bytes + columns*element; 0 if there is no element. */
static bool needed(const anymps_matrix_desc *desc, size_t row, size_t *bytes)
{
    size_t last_matrix = 0, last_row = 0, sum = 0;
    if (desc->rows == 0 || desc->columns == 0) {
        *bytes = 0;
        return true;
    }
    return amps_mul(desc->matrices - 1, desc->matrix_bytes, &last_matrix) &&
           amps_mul(desc->rows - 1, desc->row_bytes, &last_row) && amps_add(last_matrix, last_row, &sum) &&
           amps_add(sum, row, bytes);
}

/* One after the other, or side by side within each row (matrix.h). */
static anymps_status check_matrix_stride(const anymps_matrix_desc *desc, size_t element, size_t row, const char *name)
{
    if (desc->matrices <= 1) {
        return ANYMPS_OK;
    }
    size_t stacked, width;
    if (amps_mul(desc->rows, desc->row_bytes, &stacked) && desc->matrix_bytes >= stacked &&
        (desc->row_bytes == 0 || desc->matrix_bytes % desc->row_bytes == 0)) {
        return ANYMPS_OK;
    }
    ANYMPS_FAIL_IF(desc->matrix_bytes % element != 0, ANYMPS_INVALID_ARGUMENT,
                   "%s: matrix_bytes is %zu, not a multiple of the element size %zu", name, desc->matrix_bytes,
                   element);
    const bool beside =
        desc->matrix_bytes >= row && amps_mul(desc->matrices, desc->matrix_bytes, &width) && width <= desc->row_bytes;
    ANYMPS_FAIL_IF(!beside, ANYMPS_INVALID_ARGUMENT,
                   "%s: matrix_bytes is %zu: neither a multiple of row_bytes %zu that holds %zu rows, nor %zu matrices "
                   "side by side in "
                   "a row",
                   name, desc->matrix_bytes, desc->row_bytes, desc->rows, desc->matrices);
    return ANYMPS_OK;
}

static anymps_status resolve(anymps_matrix_desc *desc, size_t *needed_bytes, const char *name)
{
    const size_t element = anymps_dtype_bytes(desc->dtype);
    ANYMPS_FAIL_IF(element == 0, ANYMPS_INVALID_ARGUMENT, "%s: 0x%08x is no data type", name, (unsigned)desc->dtype);
    ANYMPS_FAIL_IF((desc->flags & ~(uint32_t)ANYMPS_CONSTANT) != 0, ANYMPS_INVALID_ARGUMENT,
                   "%s: flags 0x%x has unknown bits", name, (unsigned)desc->flags);
    size_t row, stack;
    ANYMPS_FAIL_IF(!amps_mul(desc->columns, element, &row), ANYMPS_INVALID_ARGUMENT,
                   "%s: %zu columns of %zu bytes overflow", name, desc->columns, element);
    anymps_matrix_desc full = *desc;
    full.matrices = full.matrices == 0 ? 1 : full.matrices;
    full.row_bytes = full.row_bytes == 0 ? row : full.row_bytes;
    ANYMPS_FAIL_IF(full.row_bytes % element != 0, ANYMPS_INVALID_ARGUMENT,
                   "%s: row_bytes is %zu, not a multiple of the element size %zu", name, full.row_bytes, element);
    ANYMPS_FAIL_IF(full.row_bytes < row, ANYMPS_INVALID_ARGUMENT, "%s: row_bytes is %zu, %zu columns need %zu", name,
                   full.row_bytes, full.columns, row);
    ANYMPS_FAIL_IF(!amps_mul(full.rows, full.row_bytes, &stack), ANYMPS_INVALID_ARGUMENT,
                   "%s: %zu rows of %zu bytes overflow", name, full.rows, full.row_bytes);
    full.matrix_bytes = full.matrix_bytes == 0 ? stack : full.matrix_bytes;
    ANYMPS_TRY(check_matrix_stride(&full, element, row, name));
    size_t bytes;
    ANYMPS_FAIL_IF(!needed(&full, row, &bytes), ANYMPS_INVALID_ARGUMENT, "%s: %zu matrices of %zu bytes overflow", name,
                   full.matrices, full.matrix_bytes);
    *desc = full;
    if (needed_bytes != NULL) {
        *needed_bytes = bytes;
    }
    return ANYMPS_OK;
}

/* A vector of n elements is a 1 × n matrix; vectors of a batch lie one after the other. */
static anymps_status take_vector_desc(const anymps_vector_desc *given, anymps_matrix_desc *desc, const char *name)
{
    anymps_vector_desc own = ANYMPS_VECTOR_DESC_INIT;
    ANYMPS_TRY(amps_struct_read(name, given, &own, sizeof own));
    *desc = (anymps_matrix_desc){.struct_size = sizeof *desc,
                                 .rows = 1,
                                 .columns = own.length,
                                 .matrices = own.vectors,
                                 .row_bytes = own.vector_bytes,
                                 .matrix_bytes = own.vector_bytes,
                                 .dtype = own.dtype,
                                 .flags = own.flags};
    return ANYMPS_OK;
}

anymps_status anymps_matrix_desc_resolve(anymps_matrix_desc *desc, size_t *needed_bytes)
{
    anymps_matrix_desc own = ANYMPS_MATRIX_DESC_INIT;
    ANYMPS_TRY(amps_struct_read("matrix_desc_resolve", desc, &own, sizeof own));
    ANYMPS_TRY(resolve(&own, needed_bytes, "matrix_desc_resolve"));
    amps_struct_write(desc, &own, sizeof own);
    return ANYMPS_OK;
}

anymps_status anymps_vector_desc_resolve(anymps_vector_desc *desc, size_t *needed_bytes)
{
    anymps_matrix_desc own = ANYMPS_MATRIX_DESC_INIT;
    ANYMPS_TRY(take_vector_desc(desc, &own, "vector_desc_resolve"));
    ANYMPS_TRY(resolve(&own, needed_bytes, "vector_desc_resolve"));
    desc->vectors = own.matrices;
    desc->vector_bytes = own.matrix_bytes;
    return ANYMPS_OK;
}

/* Makes the object once the descriptor is resolved: proves the range and retains the buffer. */
static anymps_status make(anymps_buffer *buffer, size_t offset, const anymps_matrix_desc *desc, size_t bytes,
                          amps_kind kind, const char *name, void **out)
{
    ANYMPS_FAIL_IF(!amps_is(buffer, AMPS_KIND_BUFFER), ANYMPS_INVALID_ARGUMENT, "%s: buffer is NULL or no buffer",
                   name);
    const size_t element = anymps_dtype_bytes(desc->dtype);
    ANYMPS_FAIL_IF(offset % element != 0, ANYMPS_INVALID_ARGUMENT,
                   "%s: offset is %zu bytes, not a multiple of the element size %zu", name, offset, element);
    const size_t length = buffer->memory->length_bytes;
    ANYMPS_FAIL_IF(!amps_in_range(offset, bytes, length), ANYMPS_SHAPE_MISMATCH,
                   "%s: needs %zu bytes from byte %zu on, the buffer has %zu", name, bytes, offset, length);
    amps_operand *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    made->buffer = anymps_buffer_retain(buffer);
    made->offset_bytes = offset;
    made->desc = *desc;
    amps_object_init(&made->object, kind);
    *out = made;
    return ANYMPS_OK;
}

/* The same with a buffer of its own, which also an empty matrix has. */
static anymps_status make_on(anymps_device *device, const anymps_matrix_desc *desc, size_t bytes, amps_kind kind,
                             const char *name, void **out)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT, "%s: device is NULL or no device",
                   name);
    anymps_buffer *buffer = NULL;
    ANYMPS_TRY(anymps_buffer_create(device, amps_max(bytes, 1), ANYMPS_STORAGE_SHARED, &buffer));
    const anymps_status status = make(buffer, 0, desc, bytes, kind, name, out);
    anymps_buffer_release(buffer);
    return status;
}

anymps_status anymps_matrix_create(anymps_buffer *buffer, size_t offset_bytes, const anymps_matrix_desc *desc,
                                   anymps_matrix **matrix)
{
    ANYMPS_FAIL_IF(matrix == NULL, ANYMPS_INVALID_ARGUMENT, "matrix_create: the matrix's address is NULL");
    anymps_matrix_desc own = ANYMPS_MATRIX_DESC_INIT;
    size_t bytes = 0;
    void *made = NULL;
    ANYMPS_TRY(amps_struct_read("matrix_create", desc, &own, sizeof own));
    ANYMPS_TRY(resolve(&own, &bytes, "matrix_create"));
    ANYMPS_TRY(make(buffer, offset_bytes, &own, bytes, AMPS_KIND_MATRIX, "matrix_create", &made));
    *matrix = made;
    return ANYMPS_OK;
}

anymps_status anymps_matrix_create_on(anymps_device *device, const anymps_matrix_desc *desc, anymps_matrix **matrix)
{
    ANYMPS_FAIL_IF(matrix == NULL, ANYMPS_INVALID_ARGUMENT, "matrix_create_on: the matrix's address is NULL");
    anymps_matrix_desc own = ANYMPS_MATRIX_DESC_INIT;
    size_t bytes = 0;
    void *made = NULL;
    ANYMPS_TRY(amps_struct_read("matrix_create_on", desc, &own, sizeof own));
    ANYMPS_TRY(resolve(&own, &bytes, "matrix_create_on"));
    ANYMPS_TRY(make_on(device, &own, bytes, AMPS_KIND_MATRIX, "matrix_create_on", &made));
    *matrix = made;
    return ANYMPS_OK;
}

anymps_status anymps_vector_create(anymps_buffer *buffer, size_t offset_bytes, const anymps_vector_desc *desc,
                                   anymps_vector **vector)
{
    ANYMPS_FAIL_IF(vector == NULL, ANYMPS_INVALID_ARGUMENT, "vector_create: the vector's address is NULL");
    anymps_matrix_desc own = ANYMPS_MATRIX_DESC_INIT;
    size_t bytes = 0;
    void *made = NULL;
    ANYMPS_TRY(take_vector_desc(desc, &own, "vector_create"));
    ANYMPS_TRY(resolve(&own, &bytes, "vector_create"));
    ANYMPS_TRY(make(buffer, offset_bytes, &own, bytes, AMPS_KIND_VECTOR, "vector_create", &made));
    *vector = made;
    return ANYMPS_OK;
}

anymps_status anymps_vector_create_on(anymps_device *device, const anymps_vector_desc *desc, anymps_vector **vector)
{
    ANYMPS_FAIL_IF(vector == NULL, ANYMPS_INVALID_ARGUMENT, "vector_create_on: the vector's address is NULL");
    anymps_matrix_desc own = ANYMPS_MATRIX_DESC_INIT;
    size_t bytes = 0;
    void *made = NULL;
    ANYMPS_TRY(take_vector_desc(desc, &own, "vector_create_on"));
    ANYMPS_TRY(resolve(&own, &bytes, "vector_create_on"));
    ANYMPS_TRY(make_on(device, &own, bytes, AMPS_KIND_VECTOR, "vector_create_on", &made));
    *vector = made;
    return ANYMPS_OK;
}

static void release(amps_operand *operand)
{
    if (operand == NULL || !amps_object_release(&operand->object)) {
        return;
    }
    void *const data = atomic_load(&operand->constant.data);
    if (data != NULL) {
        operand->constant.release(data);
    }
    anymps_buffer_release(operand->buffer);
    amps_free(operand);
}

static void *contents(const amps_operand *operand)
{
    unsigned char *const bytes = operand->buffer->memory->host;
    return bytes != NULL ? bytes + operand->offset_bytes : NULL;
}

anymps_matrix *anymps_matrix_retain(anymps_matrix *matrix)
{
    if (matrix != NULL) {
        amps_object_retain(&matrix->operand.object);
    }
    return matrix;
}

void anymps_matrix_release(anymps_matrix *matrix)
{
    release((amps_operand *)matrix);
}

anymps_matrix_desc anymps_matrix_get_desc(const anymps_matrix *matrix)
{
    return amps_is(matrix, AMPS_KIND_MATRIX) ? matrix->operand.desc : (anymps_matrix_desc){0};
}

anymps_buffer *anymps_matrix_buffer(const anymps_matrix *matrix)
{
    return amps_is(matrix, AMPS_KIND_MATRIX) ? matrix->operand.buffer : NULL;
}

size_t anymps_matrix_offset_bytes(const anymps_matrix *matrix)
{
    return amps_is(matrix, AMPS_KIND_MATRIX) ? matrix->operand.offset_bytes : 0;
}

void *anymps_matrix_contents(const anymps_matrix *matrix)
{
    return amps_is(matrix, AMPS_KIND_MATRIX) ? contents(&matrix->operand) : NULL;
}

anymps_vector *anymps_vector_retain(anymps_vector *vector)
{
    if (vector != NULL) {
        amps_object_retain(&vector->operand.object);
    }
    return vector;
}

void anymps_vector_release(anymps_vector *vector)
{
    release((amps_operand *)vector);
}

anymps_vector_desc anymps_vector_get_desc(const anymps_vector *vector)
{
    if (!amps_is(vector, AMPS_KIND_VECTOR)) {
        return (anymps_vector_desc){0};
    }
    const anymps_matrix_desc *const desc = &vector->operand.desc;
    return (anymps_vector_desc){.struct_size = sizeof(anymps_vector_desc),
                                .length = desc->columns,
                                .vectors = desc->matrices,
                                .vector_bytes = desc->matrix_bytes,
                                .dtype = desc->dtype,
                                .flags = desc->flags};
}

anymps_buffer *anymps_vector_buffer(const anymps_vector *vector)
{
    return amps_is(vector, AMPS_KIND_VECTOR) ? vector->operand.buffer : NULL;
}

size_t anymps_vector_offset_bytes(const anymps_vector *vector)
{
    return amps_is(vector, AMPS_KIND_VECTOR) ? vector->operand.offset_bytes : 0;
}

void *anymps_vector_contents(const anymps_vector *vector)
{
    return amps_is(vector, AMPS_KIND_VECTOR) ? contents(&vector->operand) : NULL;
}
