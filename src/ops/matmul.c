/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matmul.c: result = alpha*op(left)*op(right) + beta*result. The promise stands in kernels.h.
 * Stop 2 of the story: checks descriptor and operands, fills one record. Calls core; knows no backend.
 */
#include "ops/ops.h"

#include <string.h>

enum { LEFT, RIGHT, RESULT };

/* A complete descriptor: every field checked, padding zero, so that it can be a cache key. */
static anymps_status complete(const anymps_matmul_desc *given, anymps_matmul_desc *desc)
{
    ANYMPS_FAIL_IF(given->rows == ANYMPS_ALL || given->columns == ANYMPS_ALL || given->interior == ANYMPS_ALL,
                   ANYMPS_INVALID_ARGUMENT, "matmul: rows, columns and interior must be given to create a kernel");
    ANYMPS_TRY(amps_check_product_dtypes("matmul", given->left_dtype, given->right_dtype, given->result_dtype));
    ANYMPS_TRY(amps_check_finite("matmul", "alpha", given->alpha));
    ANYMPS_TRY(amps_check_finite("matmul", "beta", given->beta));
    ANYMPS_TRY(amps_check_options("matmul", given->options, given->algorithm));
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->rows = given->rows;
    desc->columns = given->columns;
    desc->interior = given->interior;
    desc->transpose_left = given->transpose_left;
    desc->transpose_right = given->transpose_right;
    desc->alpha = given->alpha;
    desc->beta = given->beta;
    desc->left_dtype = given->left_dtype;
    desc->right_dtype = given->right_dtype;
    desc->result_dtype = given->result_dtype;
    desc->options = given->options;
    desc->algorithm = given->algorithm;
    return ANYMPS_OK;
}

anymps_status anymps_matmul_create(anymps_device *device, const anymps_matmul_desc *desc, anymps_kernel **kernel)
{
    ANYMPS_TRY(amps_check_create("matmul", device, kernel));
    anymps_matmul_desc given = ANYMPS_MATMUL_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("matmul", desc, &given, sizeof given, false));
    ANYMPS_TRY(complete(&given, &full));
    return amps_kernel_make(device, AMPS_OP_matmul, &full, true, kernel);
}

/* Rows × columns of op(stored). */
static anymps_status cut(amps_call *call, size_t index, bool transposed, size_t rows, size_t columns)
{
    return transposed ? amps_call_cut(call, index, columns, rows, "the kernel (transposed)")
                      : amps_call_cut(call, index, rows, columns, "the kernel");
}

anymps_status anymps_matmul_encode(anymps_kernel *kernel, anymps_command_buffer *command_buffer, anymps_matrix *left,
                                   anymps_matrix *right, anymps_matrix *result, const anymps_range *range)
{
    amps_call call;
    ANYMPS_TRY(amps_call_begin(&call, AMPS_OP_matmul, kernel, command_buffer, range));
    const anymps_matmul_desc *const desc = (const anymps_matmul_desc *)(const void *)kernel->desc;
    ANYMPS_TRY(amps_call_matrix(&call, "left", left, desc->left_dtype, call.range.primary, false));
    ANYMPS_TRY(amps_call_matrix(&call, "right", right, desc->right_dtype, call.range.secondary, false));
    ANYMPS_TRY(amps_call_matrix(&call, "result", result, desc->result_dtype, call.range.result, false));
    ANYMPS_TRY(amps_call_batch(&call, RESULT));
    ANYMPS_TRY(cut(&call, LEFT, desc->transpose_left, desc->rows, desc->interior));
    ANYMPS_TRY(cut(&call, RIGHT, desc->transpose_right, desc->interior, desc->columns));
    ANYMPS_TRY(amps_call_cut(&call, RESULT, desc->rows, desc->columns, "the kernel"));
    return amps_call_record(&call, RESULT, SIZE_MAX, 0);
}

/* ---- One-call form ---------------------------------------------------------------------------- */

/* Takes open sizes from the operands, and refuses operands that do not fit one another exactly. */
static anymps_status fit(anymps_matmul_desc *desc, const anymps_matrix *left, const anymps_matrix *right,
                         const anymps_matrix *result)
{
    const anymps_matrix_desc a = anymps_matrix_get_desc(left), b = anymps_matrix_get_desc(right),
                             c = anymps_matrix_get_desc(result);
    const size_t a_rows = desc->transpose_left ? a.columns : a.rows,
                 a_columns = desc->transpose_left ? a.rows : a.columns;
    const size_t b_rows = desc->transpose_right ? b.columns : b.rows,
                 b_columns = desc->transpose_right ? b.rows : b.columns;
    const char *const left_role = desc->transpose_left ? "left transposed" : "left";
    const char *const right_role = desc->transpose_right ? "right transposed" : "right";
    if (desc->interior == ANYMPS_ALL) {
        ANYMPS_TRY(amps_check_equal("matmul", left_role, a_columns, "columns", right_role, b_rows, "rows"));
        desc->interior = a_columns;
    }
    if (desc->rows == ANYMPS_ALL) {
        ANYMPS_TRY(amps_check_equal("matmul", left_role, a_rows, "rows", "result", c.rows, "rows"));
        desc->rows = a_rows;
    }
    if (desc->columns == ANYMPS_ALL) {
        ANYMPS_TRY(amps_check_equal("matmul", right_role, b_columns, "columns", "result", c.columns, "columns"));
        desc->columns = b_columns;
    }
    desc->left_dtype = desc->left_dtype == ANYMPS_DTYPE_INVALID ? a.dtype : desc->left_dtype;
    desc->right_dtype = desc->right_dtype == ANYMPS_DTYPE_INVALID ? b.dtype : desc->right_dtype;
    desc->result_dtype = desc->result_dtype == ANYMPS_DTYPE_INVALID ? c.dtype : desc->result_dtype;
    return ANYMPS_OK;
}

anymps_status anymps_matmul(const anymps_matmul_desc *desc, anymps_matrix *left, anymps_matrix *right,
                            anymps_matrix *result)
{
    ANYMPS_TRY(amps_need_matrix("matmul", "left", left));
    ANYMPS_TRY(amps_need_matrix("matmul", "right", right));
    ANYMPS_TRY(amps_need_matrix("matmul", "result", result));
    anymps_matmul_desc given = ANYMPS_MATMUL_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("matmul", desc, &given, sizeof given, true));
    ANYMPS_TRY(fit(&given, left, right, result));
    ANYMPS_TRY(complete(&given, &full));
    anymps_device *const device = left->operand.buffer->device;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *command_buffer = NULL;
    ANYMPS_TRY(amps_oneshot_begin(device, AMPS_OP_matmul, &full, &kernel, &command_buffer));
    const anymps_status status = anymps_matmul_encode(kernel, command_buffer, left, right, result, NULL);
    return amps_oneshot_end(device, kernel, command_buffer, status);
}
