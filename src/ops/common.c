/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.c: checks shared by all operators. Called by src/ops/<operator>.c; calls core; knows no backend.
 * Every refusal names the operator, the operand and both numbers.
 */
#include "ops/ops.h"

#include <math.h>
#include <string.h>

anymps_status amps_take_desc(const char *name, const void *given, void *desc, size_t size, bool optional)
{
    if (given == NULL) {
        ANYMPS_FAIL_IF(!optional, ANYMPS_INVALID_ARGUMENT, "%s: desc is NULL", name);
        return ANYMPS_OK;
    }
    return amps_struct_read(name, given, desc, size);
}

anymps_status amps_check_create(const char *name, const anymps_device *device, const void *kernel)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT, "%s: device is NULL or no device",
                   name);
    ANYMPS_FAIL_IF(kernel == NULL, ANYMPS_INVALID_ARGUMENT, "%s: the kernel's address is NULL", name);
    return ANYMPS_OK;
}

anymps_status amps_check_options(const char *name, uint32_t options, anymps_algorithm algorithm)
{
    const uint32_t known = ANYMPS_ALLOW_REDUCED_PRECISION | ANYMPS_DETERMINISTIC | ANYMPS_MEASURE;
    ANYMPS_FAIL_IF((options & ~known) != 0, ANYMPS_INVALID_ARGUMENT, "%s: options 0x%x has bits beyond 0x%x", name,
                   (unsigned)options, (unsigned)known);
    ANYMPS_FAIL_IF((unsigned)algorithm > ANYMPS_ALGORITHM_OWN, ANYMPS_INVALID_ARGUMENT,
                   "%s: algorithm %d is not 0, 1 or 2", name, (int)algorithm);
    return ANYMPS_OK;
}

anymps_status amps_check_float_dtype(const char *name, anymps_dtype dtype)
{
    ANYMPS_FAIL_IF(anymps_dtype_bits(dtype) == 0, ANYMPS_INVALID_ARGUMENT, "%s: 0x%08x is no data type", name,
                   (unsigned)dtype);
    ANYMPS_FAIL_IF(dtype != ANYMPS_DTYPE_F32 && dtype != ANYMPS_DTYPE_F16 && dtype != ANYMPS_DTYPE_BF16,
                   ANYMPS_UNSUPPORTED, "%s: type %s; the types are f32, f16 and bf16", name, anymps_dtype_name(dtype));
    return ANYMPS_OK;
}

/* The types of a product, left,right to result (kernels.h). */
static const anymps_dtype combinations[][3] = {
    {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32},   {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16},
    {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32},   {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16},
    {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F32}, {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F32},
    {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F16},     {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I32},
    {ANYMPS_DTYPE_I16, ANYMPS_DTYPE_I16, ANYMPS_DTYPE_F32},
};

anymps_status amps_check_product_dtypes(const char *name, anymps_dtype left, anymps_dtype right, anymps_dtype result)
{
    const anymps_dtype given[3] = {left, right, result};
    for (size_t i = 0; i < 3; i++) {
        ANYMPS_FAIL_IF(anymps_dtype_bits(given[i]) == 0, ANYMPS_INVALID_ARGUMENT, "%s: 0x%08x is no data type", name,
                       (unsigned)given[i]);
    }
    for (size_t i = 0; i < sizeof combinations / sizeof combinations[0]; i++) {
        if (memcmp(combinations[i], given, sizeof given) == 0) {
            return ANYMPS_OK;
        }
    }
    return amps_fail(
        ANYMPS_UNSUPPORTED,
        "%s: no kernel for %s times %s to %s; there are f32 to f32, f16 to f16 or f32, bf16 to bf16 or f32, "
        "i8 to f32, f16 or i32, i16 to f32",
        name, anymps_dtype_name(left), anymps_dtype_name(right), anymps_dtype_name(result));
}

anymps_status amps_check_finite(const char *name, const char *parameter, double value)
{
    ANYMPS_FAIL_IF(!isfinite(value), ANYMPS_INVALID_ARGUMENT, "%s: %s is %g, must be finite", name, parameter, value);
    return ANYMPS_OK;
}

const char *anymps_neuron_name(anymps_neuron_type neuron)
{
    static const char *const names[] = {"none",     "relu",        "linear",    "sigmoid", "hard_sigmoid", "tanh",
                                        "absolute", "soft_plus",   "soft_sign", "elu",     "prelu",        "relun",
                                        "power",    "exponential", "logarithm", "gelu"};
    if ((unsigned)neuron < sizeof names / sizeof names[0]) {
        return names[neuron];
    }
    return neuron == ANYMPS_NEURON_GELU_TANH ? "gelu_tanh" : neuron == ANYMPS_NEURON_SILU ? "silu" : "unknown";
}

anymps_status amps_check_neuron(const char *name, anymps_neuron_type neuron, float a, float b, float c)
{
    const bool known =
        (unsigned)neuron <= ANYMPS_NEURON_GELU || neuron == ANYMPS_NEURON_GELU_TANH || neuron == ANYMPS_NEURON_SILU;
    ANYMPS_FAIL_IF(!known, ANYMPS_INVALID_ARGUMENT, "%s: %d is no neuron type", name, (int)neuron);
    ANYMPS_TRY(amps_check_finite(name, "a", (double)a));
    ANYMPS_TRY(amps_check_finite(name, "b", (double)b));
    return amps_check_finite(name, "c", (double)c);
}

anymps_status amps_check_prelu(const char *name, anymps_neuron_type neuron, const anymps_vector *prelu)
{
    ANYMPS_FAIL_IF(neuron == ANYMPS_NEURON_PRELU && prelu == NULL, ANYMPS_INVALID_ARGUMENT,
                   "%s: the prelu neuron needs its vector", name);
    ANYMPS_FAIL_IF(neuron != ANYMPS_NEURON_PRELU && prelu != NULL, ANYMPS_INVALID_ARGUMENT,
                   "%s: the %s neuron takes no prelu vector", name, anymps_neuron_name(neuron));
    return ANYMPS_OK;
}

/* ---- One encode ------------------------------------------------------------------------------- */

anymps_status amps_call_begin(amps_call *call, amps_operator op, anymps_kernel *kernel,
                              anymps_command_buffer *command_buffer, const anymps_range *range)
{
    const char *const name = amps_operators[op].name;
    call->name = name;
    call->kernel = kernel;
    call->command_buffer = command_buffer;
    call->count = 0;
    call->batch = 0;
    call->range = (anymps_range)ANYMPS_RANGE_INIT;
    ANYMPS_FAIL_IF(!amps_is(kernel, AMPS_KIND_KERNEL), ANYMPS_INVALID_ARGUMENT, "%s: kernel is NULL or no kernel",
                   name);
    ANYMPS_FAIL_IF(kernel->op != op, ANYMPS_INVALID_ARGUMENT, "%s: the kernel is a %s kernel", name,
                   amps_operators[kernel->op].name);
    ANYMPS_TRY(amps_command_buffer_check(command_buffer, name));
    ANYMPS_FAIL_IF(amps_command_buffer_device(command_buffer) != kernel->device, ANYMPS_INVALID_ARGUMENT,
                   "%s: kernel and command buffer belong to different devices", name);
    ANYMPS_TRY(amps_take_desc(name, range, &call->range, sizeof call->range, true));
    call->started_ns = amps_command_buffer_clock(command_buffer);
    return ANYMPS_OK;
}

/* Adds `operand`, whose handle was checked, or NULL. */
static anymps_status add(amps_call *call, const char *role, amps_operand *operand, anymps_dtype dtype,
                         anymps_origin origin)
{
    const size_t index = call->count++;
    call->roles[index] = role;
    call->operands[index] = operand;
    call->origins[index] = origin;
    if (operand == NULL) {
        call->views[index] = (amps_view){.dtype = dtype};
        return ANYMPS_OK;
    }
    const anymps_matrix_desc *const desc = &operand->desc;
    ANYMPS_FAIL_IF(operand->buffer->device != call->kernel->device, ANYMPS_INVALID_ARGUMENT,
                   "%s: %s belongs to another device than the kernel", call->name, role);
    ANYMPS_FAIL_IF(desc->dtype != dtype, ANYMPS_INVALID_ARGUMENT, "%s: %s is %s, the kernel was made for %s",
                   call->name, role, anymps_dtype_name(desc->dtype), anymps_dtype_name(dtype));
    ANYMPS_FAIL_IF(origin.row > desc->rows, ANYMPS_INVALID_ARGUMENT, "%s: the origin in %s is row %zu, it has %zu rows",
                   call->name, role, origin.row, desc->rows);
    ANYMPS_FAIL_IF(origin.column > desc->columns, ANYMPS_INVALID_ARGUMENT,
                   "%s: the origin in %s is column %zu, it has %zu columns", call->name, role, origin.column,
                   desc->columns);
    call->views[index] = (amps_view){.memory = operand->buffer->memory,
                                     .offset_bytes = operand->offset_bytes,
                                     .rows = desc->rows,
                                     .columns = desc->columns,
                                     .row_bytes = desc->row_bytes,
                                     .matrix_bytes = desc->matrix_bytes,
                                     .dtype = desc->dtype,
                                     .constant = (desc->flags & ANYMPS_CONSTANT) != 0 ? &operand->constant : NULL};
    return ANYMPS_OK;
}

anymps_status amps_need_matrix(const char *name, const char *role, const anymps_matrix *matrix)
{
    ANYMPS_FAIL_IF(!amps_is(matrix, AMPS_KIND_MATRIX), ANYMPS_INVALID_ARGUMENT, "%s: %s is NULL or no matrix", name,
                   role);
    return ANYMPS_OK;
}

anymps_status amps_need_vector(const char *name, const char *role, const anymps_vector *vector)
{
    ANYMPS_FAIL_IF(!amps_is(vector, AMPS_KIND_VECTOR), ANYMPS_INVALID_ARGUMENT, "%s: %s is NULL or no vector", name,
                   role);
    return ANYMPS_OK;
}

anymps_status amps_call_matrix(amps_call *call, const char *role, anymps_matrix *object, anymps_dtype dtype,
                               anymps_origin origin, bool optional)
{
    if (object != NULL || !optional) {
        ANYMPS_TRY(amps_need_matrix(call->name, role, object));
    }
    return add(call, role, object != NULL ? &object->operand : NULL, dtype, origin);
}

/* A vector's origin is an element: `row` of the origin becomes the column of the 1 × n matrix. */
anymps_status amps_call_vector(amps_call *call, const char *role, anymps_vector *object, anymps_dtype dtype,
                               anymps_origin origin, bool optional)
{
    if (object == NULL) {
        return optional ? add(call, role, NULL, dtype, origin) : amps_need_vector(call->name, role, object);
    }
    ANYMPS_TRY(amps_need_vector(call->name, role, object));
    ANYMPS_FAIL_IF(origin.column != 0, ANYMPS_INVALID_ARGUMENT, "%s: the origin in vector %s has column %zu, must be 0",
                   call->name, role, origin.column);
    ANYMPS_FAIL_IF(origin.row > object->operand.desc.columns, ANYMPS_INVALID_ARGUMENT,
                   "%s: the origin in %s is element %zu, it has %zu elements", call->name, role, origin.row,
                   object->operand.desc.columns);
    return add(call, role, &object->operand, dtype, (anymps_origin){.row = 0, .column = origin.row});
}

/* Advances an operand to the batch's first matrix, or makes it serve all of them. */
static anymps_status apply_batch(amps_call *call, size_t index, bool all)
{
    const amps_operand *const operand = call->operands[index];
    if (operand == NULL) {
        return ANYMPS_OK;
    }
    amps_view *const view = &call->views[index];
    const size_t have = operand->desc.matrices, start = call->range.batch_start;
    if (have == 1 && (start == 0 || !all)) {
        view->matrix_bytes = 0;
        return ANYMPS_OK;
    }
    ANYMPS_FAIL_IF(!amps_in_range(start, call->batch, have) || (all && have != start + call->batch),
                   ANYMPS_SHAPE_MISMATCH, "%s: the batch is matrices %zu to %zu, %s has %zu", call->name, start,
                   start + call->batch, call->roles[index], have);
    view->offset_bytes += start * view->matrix_bytes;
    return ANYMPS_OK;
}

anymps_status amps_call_batch(amps_call *call, size_t result)
{
    const size_t have = call->operands[result]->desc.matrices, start = call->range.batch_start;
    const bool all = call->range.batch_size == ANYMPS_ALL;
    ANYMPS_FAIL_IF(start > have || (!all && !amps_in_range(start, call->range.batch_size, have)),
                   ANYMPS_INVALID_ARGUMENT, "%s: the batch starts at %zu and takes %zu, %s has %zu matrices",
                   call->name, start, all ? 0 : call->range.batch_size, call->roles[result], have);
    call->batch = all ? have - start : call->range.batch_size;
    for (size_t i = 0; i < call->count; i++) {
        ANYMPS_TRY(apply_batch(call, i, all));
    }
    /* A result of one matrix is written once; a result that "serves all" would be written many times. */
    ANYMPS_FAIL_IF(call->batch > 1 && have == 1, ANYMPS_SHAPE_MISMATCH, "%s: the batch has %zu matrices, %s has 1",
                   call->name, call->batch, call->roles[result]);
    return ANYMPS_OK;
}

size_t amps_call_rows(const amps_call *call, size_t index)
{
    return call->operands[index]->desc.rows - call->origins[index].row;
}

size_t amps_call_columns(const amps_call *call, size_t index)
{
    return call->operands[index]->desc.columns - call->origins[index].column;
}

size_t amps_call_resolve(size_t wanted, size_t offered)
{
    return wanted == ANYMPS_ALL ? offered : wanted;
}

anymps_status amps_call_cut(amps_call *call, size_t index, size_t rows, size_t columns, const char *what)
{
    if (call->operands[index] == NULL) {
        return ANYMPS_OK;
    }
    const char *const role = call->roles[index];
    const size_t have_rows = amps_call_rows(call, index), have_columns = amps_call_columns(call, index);
    ANYMPS_FAIL_IF(have_rows < rows, ANYMPS_SHAPE_MISMATCH, "%s: %s has %zu rows from its origin on, %s needs %zu",
                   call->name, role, have_rows, what, rows);
    ANYMPS_FAIL_IF(have_columns < columns, ANYMPS_SHAPE_MISMATCH,
                   "%s: %s has %zu columns from its origin on, %s needs %zu", call->name, role, have_columns, what,
                   columns);
    amps_view *const view = &call->views[index];
    const anymps_origin origin = call->origins[index];
    /* An empty cut may begin one past the last row: keep its address inside the buffer. */
    if (rows != 0 && columns != 0) {
        view->offset_bytes += origin.row * view->row_bytes + origin.column * anymps_dtype_bytes(view->dtype);
    }
    view->rows = rows;
    view->columns = columns;
    return ANYMPS_OK;
}

anymps_status amps_check_equal(const char *name, const char *a_role, size_t a, const char *a_what, const char *b_role,
                               size_t b, const char *b_what)
{
    ANYMPS_FAIL_IF(a != b, ANYMPS_SHAPE_MISMATCH, "%s: %s has %zu %s, %s has %zu %s", name, a_role, a, a_what, b_role,
                   b, b_what);
    return ANYMPS_OK;
}

/* ---- Aliasing --------------------------------------------------------------------------------- */

/* Where a view lies, as a rectangle in rows of `row_bytes`: bytes [first, end) of rows [top, bottom). */
typedef struct area {
    uintptr_t begin; /* first and one past the last byte */
    uintptr_t end;
    size_t row_bytes;
    size_t width; /* bytes of a row in use, side-by-side matrices included */
} area;

/* The address that tells where a view lies. On Metal `native` is an object, not an address: shared memory has
   its host address, private memory only itself. */
static uintptr_t address_of(const amps_view *view)
{
    const amps_memory *const memory = view->memory;
    if (memory->device->backend->kind == ANYMPS_BACKEND_METAL && memory->host != NULL) {
        return (uintptr_t)memory->host;
    }
    return (uintptr_t)memory->native;
}

/* Two private Metal buffers are apart whatever their objects' addresses are. */
static bool apart(const amps_view *a, const amps_view *b)
{
    return a->memory->device->backend->kind == ANYMPS_BACKEND_METAL && a->memory->native != b->memory->native &&
           (a->memory->host == NULL || b->memory->host == NULL);
}

static area area_of(const amps_view *view, size_t batch)
{
    const size_t row = view->columns * anymps_dtype_bytes(view->dtype);
    const size_t stack = (view->rows - 1) * view->row_bytes;
    const uintptr_t begin = address_of(view) + view->offset_bytes;
    const bool beside = view->matrix_bytes < view->rows * view->row_bytes;
    return (area){.begin = begin,
                  .end = begin + (batch - 1) * view->matrix_bytes + stack + row,
                  .row_bytes = view->row_bytes,
                  .width = beside ? (batch - 1) * view->matrix_bytes + row : row};
}

bool amps_views_overlap(const amps_view *a, size_t a_batch, const amps_view *b, size_t b_batch)
{
    if (a->rows == 0 || a->columns == 0 || b->rows == 0 || b->columns == 0 || a_batch == 0 || b_batch == 0 ||
        apart(a, b)) {
        return false;
    }
    const area x = area_of(a, a_batch), y = area_of(b, b_batch);
    if (x.end <= y.begin || y.end <= x.begin) {
        return false;
    }
    /* Rows of equal length, and the byte ranges cross: columns decide. With the lower start as origin, the
       other's first byte falls at `shift` within a row of that grid. */
    if (x.row_bytes == y.row_bytes && x.row_bytes != 0) {
        const area low = x.begin <= y.begin ? x : y, high = x.begin <= y.begin ? y : x;
        const size_t shift = (size_t)(high.begin - low.begin) % low.row_bytes;
        return shift < low.width || shift + high.width > low.row_bytes;
    }
    return true;
}

/* The same bytes in the same shape. */
static bool same_view(const amps_view *a, const amps_view *b)
{
    return a->memory->native == b->memory->native && a->offset_bytes == b->offset_bytes &&
           a->row_bytes == b->row_bytes && a->matrix_bytes == b->matrix_bytes && a->rows == b->rows &&
           a->columns == b->columns && a->dtype == b->dtype;
}

static anymps_status check_written(const amps_call *call, size_t written, size_t result, uint32_t same_view_mask)
{
    const amps_operand *const operand = call->operands[written];
    ANYMPS_FAIL_IF(operand->buffer->read_only, ANYMPS_INVALID_ARGUMENT,
                   "%s: %s lies in a buffer that was wrapped read-only", call->name, call->roles[written]);
    for (size_t i = 0; i < call->count; i++) {
        const amps_view *const a = &call->views[written], *const b = &call->views[i];
        if (i == written || call->operands[i] == NULL) {
            continue;
        }
        const bool may =
            i == result ? (same_view_mask >> written & 1u) != 0 : written == result && (same_view_mask >> i & 1u) != 0;
        if (may && same_view(a, b)) {
            continue;
        }
        const size_t b_batch = b->matrix_bytes == 0 ? amps_min(call->batch, 1) : call->batch;
        /* Buffers that wrap the same memory overlap too, and there the bytes alone would not say how. */
        const bool apart = a->memory->native != b->memory->native;
        ANYMPS_FAIL_IF(amps_views_overlap(a, call->batch, b, b_batch), ANYMPS_INVALID_ARGUMENT,
                       "%s: %s at byte %zu overlaps %s at byte %zu%s%s", call->name, call->roles[written],
                       a->offset_bytes, call->roles[i], b->offset_bytes,
                       apart ? " of a buffer over the same memory" : "", may ? " and is not the very same view" : "");
    }
    return ANYMPS_OK;
}

anymps_status amps_call_record(amps_call *call, size_t result, size_t second_result, uint32_t same_view_mask)
{
    ANYMPS_TRY(check_written(call, result, result, same_view_mask));
    if (second_result != SIZE_MAX && call->operands[second_result] != NULL) {
        ANYMPS_TRY(check_written(call, second_result, result, same_view_mask));
    }
    return amps_command_buffer_append(call->command_buffer, call->kernel, call->batch, call->views, call->operands,
                                      call->count, call->started_ns);
}
