/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_neuron.c: neuron on Metal: MPSMatrixNeuron, or our own kernel (bf16, the functions MPS lacks or computes too
 * coarsely, PReLU, whose parameters MPS wants on the host, results in place). Called by metal_kernel.c,
 * metal_plan.c and metal_fully_connected.c. The launch parameters mirror shaders/neuron.metal.
 */
#include "ops/metal_neuron.h"

const char *amps_metal_neuron_avoid(amps_metal_device *device, anymps_neuron_type neuron)
{
    const bool delicate =
        neuron == ANYMPS_NEURON_TANH || neuron == ANYMPS_NEURON_SOFT_PLUS || neuron == ANYMPS_NEURON_ELU;
    if (delicate && amps_metal_probe(device, AMPS_METAL_ERRATUM_neuron_accuracy)) {
        return amps_metal_errata[AMPS_METAL_ERRATUM_neuron_accuracy].text;
    }
    if (neuron == ANYMPS_NEURON_GELU) {
        return amps_metal_errata[AMPS_METAL_ERRATUM_gelu_accuracy].text;
    }
    if (neuron == ANYMPS_NEURON_PRELU) {
        return "MPS takes the parameters of PReLU from the host only";
    }
    return (int)neuron > ANYMPS_NEURON_GELU ? "MPS lacks this function" : NULL;
}

static amps_id make(const amps_metal_kernel *kernel, const amps_metal_variant *variant)
{
    const anymps_neuron_desc *const desc = kernel->desc;
    const amps_id object = amps_send_neuron_init(amps_send_alloc(amps_class_named("MPSMatrixNeuron")),
                                                 amps_metal_device_of(kernel->base.device)->device);
    if (object != NULL) {
        amps_send_neuron_set_type(object, (int32_t)desc->neuron, desc->a, desc->b, desc->c);
        amps_send_neuron_set_alpha(object, desc->alpha);
        amps_send_neuron_set_rows(object, variant->rows);
        amps_send_neuron_set_columns(object, variant->columns);
    }
    return object;
}

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    const anymps_neuron_desc *const desc = kernel->desc;
    const amps_metal_question question = {.op = AMPS_OP_neuron,
                                          .types = {desc->dtype, desc->dtype, desc->dtype},
                                          .algorithm = desc->algorithm,
                                          .vendor_name = "MPSMatrixNeuron",
                                          .avoid = amps_metal_neuron_avoid(device, desc->neuron)};
    kernel->make = make;
    return amps_metal_choose(kernel, &question, NULL);
}

/* ---- Own kernel ------------------------------------------------------------------------------- */

typedef struct neuron_params {
    uint64_t source_row, source_matrix, result_row, result_matrix, bias_matrix, prelu_matrix; /* elements */
    uint32_t columns, neuron, has_bias;
    float alpha, a, b, c;
    uint32_t padding;
} neuron_params;
_Static_assert(sizeof(neuron_params) <= AMPS_METAL_MAX_PARAMS, "parameters must fit a step");

anymps_status amps_metal_neuron_own(amps_metal_plan *plan, const amps_metal_activation *activation,
                                    const amps_view *source, const amps_view *bias, const amps_view *prelu,
                                    const amps_view *result, size_t batch)
{
    const size_t element = amps_metal_element(source);
    const neuron_params params = {.source_row = source->row_bytes / element,
                                  .source_matrix = source->matrix_bytes / element,
                                  .result_row = result->row_bytes / element,
                                  .result_matrix = result->matrix_bytes / element,
                                  .bias_matrix = bias->matrix_bytes / element,
                                  .prelu_matrix = prelu->matrix_bytes / element,
                                  .columns = (uint32_t)source->columns,
                                  .neuron = (uint32_t)activation->neuron,
                                  .has_bias = bias->memory != NULL,
                                  .alpha = (float)activation->alpha,
                                  .a = activation->a,
                                  .b = activation->b,
                                  .c = activation->c};
    const amps_metal_function function = source->dtype == ANYMPS_DTYPE_F32   ? AMPS_METAL_neuron_f32
                                         : source->dtype == ANYMPS_DTYPE_F16 ? AMPS_METAL_neuron_f16
                                                                             : AMPS_METAL_neuron_bf16;
    amps_metal_launch_step *launch;
    ANYMPS_TRY(amps_metal_add_launch(plan, function,
                                     (amps_mtl_size){(source->columns + 255) / 256, source->rows, batch}, 256, &params,
                                     sizeof params, &launch));
    amps_metal_bind(launch, source, result);
    amps_metal_bind(launch, bias, result);
    amps_metal_bind(launch, prelu, result);
    amps_metal_bind(launch, result, result);
    return ANYMPS_OK;
}

/* ---- Plan ------------------------------------------------------------------------------------- */

static void encode(amps_id object, amps_id command_buffer, const amps_id *operands)
{
    amps_send_neuron_encode(object, command_buffer, operands[0], operands[1], operands[2]);
}

/* Matrices [first, first + count) through MPS; with a bias one at a time, since its batch rule is not told. */
static anymps_status add_mps(amps_metal_plan *plan, const amps_record *record, size_t first, size_t count)
{
    const amps_view *const source = &record->operands[0], *const bias = &record->operands[1],
                           *const result = &record->operands[3];
    const amps_metal_variant variant = {.rows = source->rows, .columns = source->columns};
    amps_metal_mps_step step = {.encode = encode, .set_batch = amps_send_unary_set_batch, .batch = count};
    ANYMPS_TRY(amps_metal_matrix(plan, source, first, count, &step.operands[0]));
    if (bias->memory != NULL) {
        ANYMPS_TRY(amps_metal_vector(plan, bias, first, 1, &step.operands[1]));
    }
    ANYMPS_TRY(amps_metal_matrix(plan, result, first, count, &step.operands[2]));
    return amps_metal_add_mps(plan, record->kernel, &variant, &step);
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    const anymps_neuron_desc *const desc = record->desc;
    const amps_metal_kernel *const kernel = (const amps_metal_kernel *)(const void *)record->kernel;
    const amps_view *const source = &record->operands[0], *const bias = &record->operands[1],
                           *const result = &record->operands[3];
    if (source->rows == 0 || source->columns == 0) {
        return ANYMPS_OK;
    }
    if (!kernel->vendor || !amps_metal_rows_allowed(plan->device, source, result)) {
        const amps_metal_activation activation = {desc->neuron, desc->a, desc->b, desc->c, desc->alpha};
        return amps_metal_neuron_own(plan, &activation, source, bias, &record->operands[2], result, record->batch);
    }
    const bool stacked =
        bias->memory == NULL && amps_metal_stacked(source, record->batch) && amps_metal_stacked(result, record->batch);
    const size_t most = stacked ? record->batch : 1;
    for (size_t first = 0; first < record->batch; first += most) {
        ANYMPS_TRY(add_mps(plan, record, first, most));
    }
    return ANYMPS_OK;
}

const amps_metal_op amps_metal_op_neuron = {.prepare = prepare, .plan = plan};
