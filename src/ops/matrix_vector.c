/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix_vector.c: result = alpha*op(matrix)*vector + beta*result. The promise stands in kernels.h.
 * Checks descriptor and operands, fills one record. Calls core; knows no backend.
 */
#include "ops/ops.h"

#include <string.h>

enum { MATRIX, VECTOR, RESULT };

static anymps_status complete(const anymps_matrix_vector_desc *given, anymps_matrix_vector_desc *desc)
{
    ANYMPS_FAIL_IF(given->rows == ANYMPS_ALL || given->columns == ANYMPS_ALL, ANYMPS_INVALID_ARGUMENT,
                   "matrix_vector: rows and columns must be given to create a kernel");
    ANYMPS_TRY(
        amps_check_product_dtypes("matrix_vector", given->matrix_dtype, given->vector_dtype, given->result_dtype));
    ANYMPS_TRY(amps_check_finite("matrix_vector", "alpha", given->alpha));
    ANYMPS_TRY(amps_check_finite("matrix_vector", "beta", given->beta));
    ANYMPS_TRY(amps_check_options("matrix_vector", given->options, given->algorithm));
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->rows = given->rows;
    desc->columns = given->columns;
    desc->transpose = given->transpose;
    desc->alpha = given->alpha;
    desc->beta = given->beta;
    desc->matrix_dtype = given->matrix_dtype;
    desc->vector_dtype = given->vector_dtype;
    desc->result_dtype = given->result_dtype;
    desc->options = given->options;
    desc->algorithm = given->algorithm;
    return ANYMPS_OK;
}

anymps_status anymps_matrix_vector_create(anymps_device *device, const anymps_matrix_vector_desc *desc,
                                          anymps_kernel **kernel)
{
    ANYMPS_TRY(amps_check_create("matrix_vector", device, kernel));
    anymps_matrix_vector_desc given = ANYMPS_MATRIX_VECTOR_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("matrix_vector", desc, &given, sizeof given, false));
    ANYMPS_TRY(complete(&given, &full));
    return amps_kernel_make(device, AMPS_OP_matrix_vector, &full, true, kernel);
}

anymps_status anymps_matrix_vector_encode(anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                                          anymps_matrix *matrix, anymps_vector *vector, anymps_vector *result,
                                          const anymps_range *range)
{
    amps_call call;
    ANYMPS_TRY(amps_call_begin(&call, AMPS_OP_matrix_vector, kernel, command_buffer, range));
    const anymps_matrix_vector_desc *const desc = (const anymps_matrix_vector_desc *)(const void *)kernel->desc;
    ANYMPS_TRY(amps_call_matrix(&call, "matrix", matrix, desc->matrix_dtype, call.range.primary, false));
    ANYMPS_TRY(amps_call_vector(&call, "vector", vector, desc->vector_dtype, call.range.secondary, false));
    ANYMPS_TRY(amps_call_vector(&call, "result", result, desc->result_dtype, call.range.result, false));
    ANYMPS_TRY(amps_call_batch(&call, RESULT));
    const size_t rows = desc->transpose ? desc->columns : desc->rows,
                 columns = desc->transpose ? desc->rows : desc->columns;
    ANYMPS_TRY(amps_call_cut(&call, MATRIX, rows, columns, desc->transpose ? "the kernel (transposed)" : "the kernel"));
    ANYMPS_TRY(amps_call_cut(&call, VECTOR, 1, desc->columns, "the kernel"));
    ANYMPS_TRY(amps_call_cut(&call, RESULT, 1, desc->rows, "the kernel"));
    return amps_call_record(&call, RESULT, SIZE_MAX, 0);
}

/* Takes open sizes and types from the operands; refuses operands that do not fit one another exactly. */
static anymps_status fit(anymps_matrix_vector_desc *desc, const anymps_matrix *matrix, const anymps_vector *vector,
                         const anymps_vector *result)
{
    const anymps_matrix_desc a = anymps_matrix_get_desc(matrix);
    const anymps_vector_desc x = anymps_vector_get_desc(vector), y = anymps_vector_get_desc(result);
    const char *const role = desc->transpose ? "matrix transposed" : "matrix";
    const size_t rows = desc->transpose ? a.columns : a.rows, columns = desc->transpose ? a.rows : a.columns;
    if (desc->columns == ANYMPS_ALL) {
        ANYMPS_TRY(amps_check_equal("matrix_vector", role, columns, "columns", "vector", x.length, "elements"));
        desc->columns = columns;
    }
    if (desc->rows == ANYMPS_ALL) {
        ANYMPS_TRY(amps_check_equal("matrix_vector", role, rows, "rows", "result", y.length, "elements"));
        desc->rows = rows;
    }
    desc->matrix_dtype = desc->matrix_dtype == ANYMPS_DTYPE_INVALID ? a.dtype : desc->matrix_dtype;
    desc->vector_dtype = desc->vector_dtype == ANYMPS_DTYPE_INVALID ? x.dtype : desc->vector_dtype;
    desc->result_dtype = desc->result_dtype == ANYMPS_DTYPE_INVALID ? y.dtype : desc->result_dtype;
    return ANYMPS_OK;
}

anymps_status anymps_matrix_vector(const anymps_matrix_vector_desc *desc, anymps_matrix *matrix, anymps_vector *vector,
                                   anymps_vector *result)
{
    ANYMPS_TRY(amps_need_matrix("matrix_vector", "matrix", matrix));
    ANYMPS_TRY(amps_need_vector("matrix_vector", "vector", vector));
    ANYMPS_TRY(amps_need_vector("matrix_vector", "result", result));
    anymps_matrix_vector_desc given = ANYMPS_MATRIX_VECTOR_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("matrix_vector", desc, &given, sizeof given, true));
    ANYMPS_TRY(fit(&given, matrix, vector, result));
    ANYMPS_TRY(complete(&given, &full));
    anymps_device *const device = matrix->operand.buffer->device;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *command_buffer = NULL;
    ANYMPS_TRY(amps_oneshot_begin(device, AMPS_OP_matrix_vector, &full, &kernel, &command_buffer));
    const anymps_status status = anymps_matrix_vector_encode(kernel, command_buffer, matrix, vector, result, NULL);
    return amps_oneshot_end(device, kernel, command_buffer, status);
}
