/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fully_connected.c: result = f(alpha*source*op(weights) + bias). The promise stands in kernels.h.
 * Checks descriptor and operands, fills one record. Calls core; knows no backend.
 */
#include "ops/ops.h"

#include <string.h>

enum { SOURCE, WEIGHTS, BIAS, PRELU, RESULT };

static anymps_status complete(const anymps_fully_connected_desc *given, anymps_fully_connected_desc *desc)
{
    ANYMPS_TRY(amps_check_float_dtype("fully_connected", given->dtype));
    ANYMPS_TRY(amps_check_neuron("fully_connected", given->neuron, given->a, given->b, given->c));
    ANYMPS_TRY(amps_check_finite("fully_connected", "alpha", given->alpha));
    ANYMPS_TRY(amps_check_options("fully_connected", given->options, given->algorithm));
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->rows = given->rows;
    desc->inputs = given->inputs;
    desc->outputs = given->outputs;
    desc->transpose_weights = given->transpose_weights;
    desc->neuron = given->neuron;
    desc->a = given->a;
    desc->b = given->b;
    desc->c = given->c;
    desc->alpha = given->alpha;
    desc->dtype = given->dtype;
    desc->options = given->options;
    desc->algorithm = given->algorithm;
    return ANYMPS_OK;
}

anymps_status anymps_fully_connected_create(anymps_device *device, const anymps_fully_connected_desc *desc,
                                            anymps_kernel **kernel)
{
    ANYMPS_TRY(amps_check_create("fully_connected", device, kernel));
    anymps_fully_connected_desc given = ANYMPS_FULLY_CONNECTED_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("fully_connected", desc, &given, sizeof given, false));
    ANYMPS_TRY(complete(&given, &full));
    return amps_kernel_make(device, AMPS_OP_fully_connected, &full, true, kernel);
}

/* Source and weights share `inputs`; where the kernel leaves it open they must agree on it. */
static anymps_status cut_operands(amps_call *call, const anymps_fully_connected_desc *desc)
{
    const bool t = desc->transpose_weights;
    const size_t weight_inputs = t ? amps_call_columns(call, WEIGHTS) : amps_call_rows(call, WEIGHTS);
    const size_t weight_outputs = t ? amps_call_rows(call, WEIGHTS) : amps_call_columns(call, WEIGHTS);
    if (desc->inputs == ANYMPS_ALL) {
        ANYMPS_TRY(amps_check_equal("fully_connected", "source", amps_call_columns(call, SOURCE), "columns",
                                    t ? "weights transposed" : "weights", weight_inputs, "rows"));
    }
    const size_t rows = amps_call_resolve(desc->rows, amps_call_rows(call, SOURCE));
    const size_t inputs = amps_call_resolve(desc->inputs, weight_inputs);
    const size_t outputs = amps_call_resolve(desc->outputs, weight_outputs);
    ANYMPS_TRY(amps_call_cut(call, SOURCE, rows, inputs, "the kernel"));
    ANYMPS_TRY(amps_call_cut(call, WEIGHTS, t ? outputs : inputs, t ? inputs : outputs,
                             t ? "the kernel (transposed)" : "the kernel"));
    ANYMPS_TRY(amps_call_cut(call, BIAS, 1, outputs, "weights"));
    ANYMPS_TRY(amps_call_cut(call, PRELU, 1, outputs, "weights"));
    return amps_call_cut(call, RESULT, rows, outputs, "the product");
}

anymps_status anymps_fully_connected_encode(anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                                            anymps_matrix *source, anymps_matrix *weights, anymps_vector *bias,
                                            anymps_vector *prelu, anymps_matrix *result, const anymps_range *range)
{
    amps_call call;
    ANYMPS_TRY(amps_call_begin(&call, AMPS_OP_fully_connected, kernel, command_buffer, range));
    const anymps_fully_connected_desc *const desc = (const anymps_fully_connected_desc *)(const void *)kernel->desc;
    ANYMPS_TRY(amps_call_matrix(&call, "source", source, desc->dtype, call.range.primary, false));
    ANYMPS_TRY(amps_call_matrix(&call, "weights", weights, desc->dtype, call.range.secondary, false));
    ANYMPS_TRY(amps_call_vector(&call, "bias", bias, desc->dtype, (anymps_origin){0, 0}, true));
    ANYMPS_TRY(amps_check_prelu("fully_connected", desc->neuron, prelu));
    ANYMPS_TRY(amps_call_vector(&call, "prelu", prelu, desc->dtype, (anymps_origin){0, 0}, true));
    ANYMPS_TRY(amps_call_matrix(&call, "result", result, desc->dtype, call.range.result, false));
    ANYMPS_TRY(amps_call_batch(&call, RESULT));
    ANYMPS_TRY(cut_operands(&call, desc));
    return amps_call_record(&call, RESULT, SIZE_MAX, 0);
}

anymps_status anymps_fully_connected(const anymps_fully_connected_desc *desc, anymps_matrix *source,
                                     anymps_matrix *weights, anymps_vector *bias, anymps_vector *prelu,
                                     anymps_matrix *result)
{
    ANYMPS_TRY(amps_need_matrix("fully_connected", "source", source));
    anymps_fully_connected_desc given = ANYMPS_FULLY_CONNECTED_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("fully_connected", desc, &given, sizeof given, true));
    given.dtype = given.dtype == ANYMPS_DTYPE_INVALID ? source->operand.desc.dtype : given.dtype;
    ANYMPS_TRY(complete(&given, &full));
    anymps_device *const device = source->operand.buffer->device;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *command_buffer = NULL;
    ANYMPS_TRY(amps_oneshot_begin(device, AMPS_OP_fully_connected, &full, &kernel, &command_buffer));
    const anymps_status status =
        anymps_fully_connected_encode(kernel, command_buffer, source, weights, bias, prelu, result, NULL);
    return amps_oneshot_end(device, kernel, command_buffer, status);
}
