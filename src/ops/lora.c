/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lora.c: result = [result +] source*op(weights) + scale*(source*op(down))*op(up). The promise stands in
 * kernels.h. Checks descriptor and operands, fills one record. Calls core; knows no backend.
 */
#include "ops/ops.h"

#include <string.h>

enum { SOURCE, WEIGHTS, DOWN, UP, RESULT };

static anymps_status complete(const anymps_lora_desc *given, anymps_lora_desc *desc)
{
    ANYMPS_TRY(amps_check_float_dtype("lora", given->dtype));
    ANYMPS_TRY(amps_check_finite("lora", "scale", given->scale));
    ANYMPS_TRY(amps_check_options("lora", given->options, given->algorithm));
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->scale = given->scale;
    desc->accumulate = given->accumulate;
    desc->transpose_weights = given->transpose_weights;
    desc->transpose_down = given->transpose_down;
    desc->transpose_up = given->transpose_up;
    desc->dtype = given->dtype;
    desc->options = given->options;
    desc->algorithm = given->algorithm;
    return ANYMPS_OK;
}

anymps_status anymps_lora_create(anymps_device *device, const anymps_lora_desc *desc, anymps_kernel **kernel)
{
    ANYMPS_TRY(amps_check_create("lora", device, kernel));
    anymps_lora_desc given = ANYMPS_LORA_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("lora", desc, &given, sizeof given, false));
    ANYMPS_TRY(complete(&given, &full));
    return amps_kernel_make(device, AMPS_OP_lora, &full, true, kernel);
}

/* Rows and columns of op(operand), from its origin on. */
static void shape_of(const amps_call *call, size_t index, bool transposed, size_t *rows, size_t *columns)
{
    *rows = transposed ? amps_call_columns(call, index) : amps_call_rows(call, index);
    *columns = transposed ? amps_call_rows(call, index) : amps_call_columns(call, index);
}

/* All sizes come from the operands and must agree; then each operand is cut to its shape. */
static anymps_status fit(amps_call *call, const anymps_lora_desc *desc)
{
    size_t inputs, rank, up_rows, outputs, weight_rows, weight_columns;
    const size_t rows = amps_call_rows(call, SOURCE), source_columns = amps_call_columns(call, SOURCE);
    shape_of(call, DOWN, desc->transpose_down, &inputs, &rank);
    shape_of(call, UP, desc->transpose_up, &up_rows, &outputs);
    ANYMPS_TRY(amps_check_equal("lora", "source", source_columns, "columns", "down", inputs, "inputs"));
    ANYMPS_TRY(amps_check_equal("lora", "down", rank, "ranks", "up", up_rows, "ranks"));
    if (call->operands[WEIGHTS] != NULL) {
        shape_of(call, WEIGHTS, desc->transpose_weights, &weight_rows, &weight_columns);
        ANYMPS_TRY(amps_check_equal("lora", "source", source_columns, "columns", "weights", weight_rows, "inputs"));
        ANYMPS_TRY(amps_check_equal("lora", "up", outputs, "outputs", "weights", weight_columns, "outputs"));
        ANYMPS_TRY(
            amps_call_cut(call, WEIGHTS, amps_call_rows(call, WEIGHTS), amps_call_columns(call, WEIGHTS), "weights"));
    }
    ANYMPS_TRY(amps_check_equal("lora", "source", rows, "rows", "result", amps_call_rows(call, RESULT), "rows"));
    ANYMPS_TRY(
        amps_check_equal("lora", "up", outputs, "outputs", "result", amps_call_columns(call, RESULT), "columns"));
    ANYMPS_TRY(amps_call_cut(call, SOURCE, rows, source_columns, "source"));
    return amps_call_cut(call, RESULT, rows, outputs, "the product");
}

anymps_status anymps_lora_encode(anymps_kernel *kernel, anymps_command_buffer *command_buffer, anymps_matrix *source,
                                 anymps_matrix *weights, anymps_matrix *down, anymps_matrix *up, anymps_matrix *result,
                                 const anymps_range *range)
{
    const anymps_origin none = {0, 0};
    amps_call call;
    ANYMPS_TRY(amps_call_begin(&call, AMPS_OP_lora, kernel, command_buffer, range));
    const anymps_lora_desc *const desc = (const anymps_lora_desc *)(const void *)kernel->desc;
    ANYMPS_TRY(amps_call_matrix(&call, "source", source, desc->dtype, call.range.primary, false));
    ANYMPS_TRY(
        amps_call_matrix(&call, "weights", weights, desc->dtype, weights != NULL ? call.range.secondary : none, true));
    ANYMPS_TRY(amps_call_matrix(&call, "down", down, desc->dtype, none, false));
    ANYMPS_TRY(amps_call_matrix(&call, "up", up, desc->dtype, none, false));
    ANYMPS_TRY(amps_call_matrix(&call, "result", result, desc->dtype, call.range.result, false));
    ANYMPS_TRY(amps_call_batch(&call, RESULT));
    ANYMPS_TRY(fit(&call, desc));
    return amps_call_record(&call, RESULT, SIZE_MAX, 0);
}

anymps_status anymps_lora(const anymps_lora_desc *desc, anymps_matrix *source, anymps_matrix *weights,
                          anymps_matrix *down, anymps_matrix *up, anymps_matrix *result)
{
    ANYMPS_TRY(amps_need_matrix("lora", "source", source));
    anymps_lora_desc given = ANYMPS_LORA_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("lora", desc, &given, sizeof given, true));
    given.dtype = given.dtype == ANYMPS_DTYPE_INVALID ? source->operand.desc.dtype : given.dtype;
    ANYMPS_TRY(complete(&given, &full));
    anymps_device *const device = source->operand.buffer->device;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *command_buffer = NULL;
    ANYMPS_TRY(amps_oneshot_begin(device, AMPS_OP_lora, &full, &kernel, &command_buffer));
    return amps_oneshot_end(device, kernel, command_buffer,
                            anymps_lora_encode(kernel, command_buffer, source, weights, down, up, result, NULL));
}
