/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common_rows.c: checks, encode and one-call form of softmax, log_softmax, rms_norm and layer_norm, which
 * differ in their formula only. Called by those four files; calls core; knows no backend.
 */
#include "ops/rows.h"

#include <string.h>

/* ---- softmax, log_softmax --------------------------------------------------------------------- */

static anymps_status complete_softmax(const char *name, const anymps_softmax_desc *given, anymps_softmax_desc *desc)
{
    ANYMPS_TRY(amps_check_float_dtype(name, given->dtype));
    ANYMPS_TRY(amps_check_finite(name, "scale", given->scale));
    ANYMPS_TRY(amps_check_options(name, given->options, given->algorithm));
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->rows = given->rows;
    desc->columns = given->columns;
    desc->scale = given->scale;
    desc->dtype = given->dtype;
    desc->options = given->options;
    desc->algorithm = given->algorithm;
    return ANYMPS_OK;
}

anymps_status amps_softmax_create(amps_operator op, anymps_device *device, const anymps_softmax_desc *desc,
                                  anymps_kernel **kernel)
{
    const char *const name = amps_operators[op].name;
    ANYMPS_TRY(amps_check_create(name, device, kernel));
    anymps_softmax_desc given = ANYMPS_SOFTMAX_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc(name, desc, &given, sizeof given, false));
    ANYMPS_TRY(complete_softmax(name, &given, &full));
    return amps_kernel_make(device, op, &full, true, kernel);
}

anymps_status amps_softmax_encode(amps_operator op, anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                                  anymps_matrix *source, anymps_matrix *result, const anymps_range *range)
{
    enum { SOURCE, RESULT };
    amps_call call;
    ANYMPS_TRY(amps_call_begin(&call, op, kernel, command_buffer, range));
    const anymps_softmax_desc *const desc = (const anymps_softmax_desc *)(const void *)kernel->desc;
    ANYMPS_TRY(amps_call_matrix(&call, "source", source, desc->dtype, call.range.primary, false));
    ANYMPS_TRY(amps_call_matrix(&call, "result", result, desc->dtype, call.range.result, false));
    ANYMPS_TRY(amps_call_batch(&call, RESULT));
    const size_t rows = amps_call_resolve(desc->rows, amps_call_rows(&call, SOURCE));
    const size_t columns = amps_call_resolve(desc->columns, amps_call_columns(&call, SOURCE));
    ANYMPS_TRY(amps_call_cut(&call, SOURCE, rows, columns, "the kernel"));
    ANYMPS_TRY(amps_call_cut(&call, RESULT, rows, columns, "source"));
    return amps_call_record(&call, RESULT, SIZE_MAX, 1u << SOURCE);
}

anymps_status amps_softmax_run(amps_operator op, const anymps_softmax_desc *desc, anymps_matrix *source,
                               anymps_matrix *result)
{
    const char *const name = amps_operators[op].name;
    ANYMPS_TRY(amps_need_matrix(name, "source", source));
    anymps_softmax_desc given = ANYMPS_SOFTMAX_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc(name, desc, &given, sizeof given, true));
    given.dtype = given.dtype == ANYMPS_DTYPE_INVALID ? source->operand.desc.dtype : given.dtype;
    ANYMPS_TRY(complete_softmax(name, &given, &full));
    anymps_device *const device = source->operand.buffer->device;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *command_buffer = NULL;
    ANYMPS_TRY(amps_oneshot_begin(device, op, &full, &kernel, &command_buffer));
    return amps_oneshot_end(device, kernel, command_buffer,
                            amps_softmax_encode(op, kernel, command_buffer, source, result, NULL));
}

/* ---- rms_norm, layer_norm --------------------------------------------------------------------- */

static anymps_status complete_norm(const char *name, const anymps_norm_desc *given, anymps_norm_desc *desc)
{
    ANYMPS_TRY(amps_check_float_dtype(name, given->dtype));
    ANYMPS_TRY(amps_check_finite(name, "epsilon", given->epsilon));
    ANYMPS_FAIL_IF(given->epsilon < 0, ANYMPS_INVALID_ARGUMENT, "%s: epsilon is %g, must be at least 0", name,
                   given->epsilon);
    ANYMPS_TRY(amps_check_options(name, given->options, given->algorithm));
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->rows = given->rows;
    desc->columns = given->columns;
    desc->epsilon = given->epsilon;
    desc->dtype = given->dtype;
    desc->options = given->options;
    desc->algorithm = given->algorithm;
    return ANYMPS_OK;
}

anymps_status amps_norm_create(amps_operator op, anymps_device *device, const anymps_norm_desc *desc,
                               anymps_kernel **kernel)
{
    const char *const name = amps_operators[op].name;
    ANYMPS_TRY(amps_check_create(name, device, kernel));
    anymps_norm_desc given = ANYMPS_NORM_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc(name, desc, &given, sizeof given, false));
    ANYMPS_TRY(complete_norm(name, &given, &full));
    return amps_kernel_make(device, op, &full, true, kernel);
}

anymps_status amps_norm_encode(amps_operator op, anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                               anymps_matrix *source, anymps_matrix *residual, anymps_vector *weight,
                               anymps_vector *bias, anymps_matrix *result, const anymps_range *range)
{
    enum { SOURCE, RESIDUAL, WEIGHT, BIAS, RESULT };
    const anymps_origin none = {0, 0};
    amps_call call;
    ANYMPS_TRY(amps_call_begin(&call, op, kernel, command_buffer, range));
    const anymps_norm_desc *const desc = (const anymps_norm_desc *)(const void *)kernel->desc;
    ANYMPS_TRY(amps_call_matrix(&call, "source", source, desc->dtype, call.range.primary, false));
    ANYMPS_TRY(
        amps_call_matrix(&call, "residual", residual, desc->dtype, residual != NULL ? call.range.primary : none, true));
    ANYMPS_TRY(amps_call_vector(&call, "weight", weight, desc->dtype, none, true));
    ANYMPS_TRY(amps_call_vector(&call, "bias", bias, desc->dtype, none, true));
    ANYMPS_TRY(amps_call_matrix(&call, "result", result, desc->dtype, call.range.result, false));
    ANYMPS_TRY(amps_call_batch(&call, RESULT));
    ANYMPS_FAIL_IF(call.batch > 1 && residual != NULL && residual->operand.desc.matrices == 1, ANYMPS_SHAPE_MISMATCH,
                   "%s: the batch has %zu matrices, residual, which is written, has 1", call.name, call.batch);
    const size_t rows = amps_call_resolve(desc->rows, amps_call_rows(&call, SOURCE));
    const size_t columns = amps_call_resolve(desc->columns, amps_call_columns(&call, SOURCE));
    ANYMPS_TRY(amps_call_cut(&call, SOURCE, rows, columns, "the kernel"));
    ANYMPS_TRY(amps_call_cut(&call, RESIDUAL, rows, columns, "source"));
    ANYMPS_TRY(amps_call_cut(&call, WEIGHT, 1, columns, "source"));
    ANYMPS_TRY(amps_call_cut(&call, BIAS, 1, columns, "source"));
    ANYMPS_TRY(amps_call_cut(&call, RESULT, rows, columns, "source"));
    return amps_call_record(&call, RESULT, RESIDUAL, 1u << SOURCE | 1u << RESIDUAL);
}

anymps_status amps_norm_run(amps_operator op, const anymps_norm_desc *desc, anymps_matrix *source,
                            anymps_matrix *residual, anymps_vector *weight, anymps_vector *bias, anymps_matrix *result)
{
    const char *const name = amps_operators[op].name;
    ANYMPS_TRY(amps_need_matrix(name, "source", source));
    anymps_norm_desc given = ANYMPS_NORM_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc(name, desc, &given, sizeof given, true));
    given.dtype = given.dtype == ANYMPS_DTYPE_INVALID ? source->operand.desc.dtype : given.dtype;
    ANYMPS_TRY(complete_norm(name, &given, &full));
    anymps_device *const device = source->operand.buffer->device;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *command_buffer = NULL;
    ANYMPS_TRY(amps_oneshot_begin(device, op, &full, &kernel, &command_buffer));
    return amps_oneshot_end(device, kernel, command_buffer,
                            amps_norm_encode(op, kernel, command_buffer, source, residual, weight, bias, result, NULL));
}
