/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neuron.c: result = f(alpha*source + bias). The promise stands in kernels.h.
 * Checks descriptor and operands, fills one record. Calls core; knows no backend.
 */
#include "ops/ops.h"

#include <string.h>

enum { SOURCE, BIAS, PRELU, RESULT };

static anymps_status complete(const anymps_neuron_desc *given, anymps_neuron_desc *desc)
{
    ANYMPS_TRY(amps_check_float_dtype("neuron", given->dtype));
    ANYMPS_TRY(amps_check_neuron("neuron", given->neuron, given->a, given->b, given->c));
    ANYMPS_TRY(amps_check_finite("neuron", "alpha", given->alpha));
    ANYMPS_TRY(amps_check_options("neuron", given->options, given->algorithm));
    memset(desc, 0, sizeof *desc);
    desc->struct_size = sizeof *desc;
    desc->rows = given->rows;
    desc->columns = given->columns;
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

anymps_status anymps_neuron_create(anymps_device *device, const anymps_neuron_desc *desc, anymps_kernel **kernel)
{
    ANYMPS_TRY(amps_check_create("neuron", device, kernel));
    anymps_neuron_desc given = ANYMPS_NEURON_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("neuron", desc, &given, sizeof given, false));
    ANYMPS_TRY(complete(&given, &full));
    return amps_kernel_make(device, AMPS_OP_neuron, &full, true, kernel);
}

anymps_status anymps_neuron_encode(anymps_kernel *kernel, anymps_command_buffer *command_buffer, anymps_matrix *source,
                                   anymps_vector *bias, anymps_vector *prelu, anymps_matrix *result,
                                   const anymps_range *range)
{
    amps_call call;
    ANYMPS_TRY(amps_call_begin(&call, AMPS_OP_neuron, kernel, command_buffer, range));
    const anymps_neuron_desc *const desc = (const anymps_neuron_desc *)(const void *)kernel->desc;
    ANYMPS_TRY(amps_call_matrix(&call, "source", source, desc->dtype, call.range.primary, false));
    ANYMPS_TRY(amps_call_vector(&call, "bias", bias, desc->dtype, (anymps_origin){0, 0}, true));
    ANYMPS_TRY(amps_check_prelu("neuron", desc->neuron, prelu));
    ANYMPS_TRY(amps_call_vector(&call, "prelu", prelu, desc->dtype, (anymps_origin){0, 0}, true));
    ANYMPS_TRY(amps_call_matrix(&call, "result", result, desc->dtype, call.range.result, false));
    ANYMPS_TRY(amps_call_batch(&call, RESULT));
    const size_t rows = amps_call_resolve(desc->rows, amps_call_rows(&call, SOURCE));
    const size_t columns = amps_call_resolve(desc->columns, amps_call_columns(&call, SOURCE));
    ANYMPS_TRY(amps_call_cut(&call, SOURCE, rows, columns, "the kernel"));
    ANYMPS_TRY(amps_call_cut(&call, BIAS, 1, columns, "source"));
    ANYMPS_TRY(amps_call_cut(&call, PRELU, 1, columns, "source"));
    ANYMPS_TRY(amps_call_cut(&call, RESULT, rows, columns, "source"));
    return amps_call_record(&call, RESULT, SIZE_MAX, 1u << SOURCE);
}

anymps_status anymps_neuron(const anymps_neuron_desc *desc, anymps_matrix *source, anymps_vector *bias,
                            anymps_vector *prelu, anymps_matrix *result)
{
    ANYMPS_TRY(amps_need_matrix("neuron", "source", source));
    anymps_neuron_desc given = ANYMPS_NEURON_DESC_INIT, full;
    ANYMPS_TRY(amps_take_desc("neuron", desc, &given, sizeof given, true));
    given.dtype = given.dtype == ANYMPS_DTYPE_INVALID ? source->operand.desc.dtype : given.dtype;
    ANYMPS_TRY(complete(&given, &full));
    anymps_device *const device = source->operand.buffer->device;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *command_buffer = NULL;
    ANYMPS_TRY(amps_oneshot_begin(device, AMPS_OP_neuron, &full, &kernel, &command_buffer));
    const anymps_status status = anymps_neuron_encode(kernel, command_buffer, source, bias, prelu, result, NULL);
    return amps_oneshot_end(device, kernel, command_buffer, status);
}
