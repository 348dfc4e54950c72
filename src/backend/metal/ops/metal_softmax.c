/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_softmax.c: softmax on Metal, and what log_softmax shares with it: MPSMatrixSoftMax and MPSMatrixLogSoftMax, or
 * our own kernel (bf16, a scale, results in place, what errata.def says). Called by metal_kernel.c and
 * metal_plan.c. The launch parameters mirror shaders/softmax.metal.
 */
#include "ops/metal_softmax.h"

static amps_id make_object(const amps_metal_kernel *kernel, const amps_metal_variant *variant, const char *class)
{
    const amps_id object = amps_send_softmax_init(amps_send_alloc(amps_class_named(class)),
                                                  amps_metal_device_of(kernel->base.device)->device);
    if (object != NULL) {
        amps_send_softmax_set_rows(object, variant->rows);
        amps_send_softmax_set_columns(object, variant->columns);
    }
    return object;
}

static amps_id make_softmax(const amps_metal_kernel *kernel, const amps_metal_variant *variant)
{
    return make_object(kernel, variant, "MPSMatrixSoftMax");
}

static amps_id make_log_softmax(const amps_metal_kernel *kernel, const amps_metal_variant *variant)
{
    return make_object(kernel, variant, "MPSMatrixLogSoftMax");
}

anymps_status amps_metal_softmax_prepare(amps_metal_device *device, amps_metal_kernel *kernel, bool logarithm)
{
    const anymps_softmax_desc *const desc = kernel->desc;
    const bool scaled = desc->scale < 1.0 || desc->scale > 1.0;
    amps_metal_question question = {.op = logarithm ? AMPS_OP_log_softmax : AMPS_OP_softmax,
                                    .types = {desc->dtype, desc->dtype, desc->dtype},
                                    .algorithm = desc->algorithm,
                                    .vendor_name = logarithm ? "MPSMatrixLogSoftMax" : "MPSMatrixSoftMax",
                                    .avoid = scaled ? "MPS has no scale" : NULL};
    const amps_metal_erratum erratum =
        logarithm ? AMPS_METAL_ERRATUM_log_softmax_underflow : AMPS_METAL_ERRATUM_softmax_infinity;
    if (question.avoid == NULL && amps_metal_probe(device, erratum)) {
        question.avoid = amps_metal_errata[erratum].text;
    }
    kernel->make = logarithm ? make_log_softmax : make_softmax;
    return amps_metal_choose(kernel, &question, NULL);
}

/* ---- Plan ------------------------------------------------------------------------------------- */

typedef struct softmax_params {
    uint64_t source_row, source_matrix, result_row, result_matrix; /* elements */
    uint32_t columns;
    float scale;
    uint32_t logarithm;
    uint32_t padding;
} softmax_params;
_Static_assert(sizeof(softmax_params) <= AMPS_METAL_MAX_PARAMS, "parameters must fit a step");

static anymps_status own(amps_metal_plan *plan, const amps_record *record, bool logarithm)
{
    const anymps_softmax_desc *const desc = record->desc;
    const amps_view *const source = &record->operands[0], *const result = &record->operands[1];
    const size_t element = amps_metal_element(source);
    const softmax_params params = {.source_row = source->row_bytes / element,
                                   .source_matrix = source->matrix_bytes / element,
                                   .result_row = result->row_bytes / element,
                                   .result_matrix = result->matrix_bytes / element,
                                   .columns = (uint32_t)source->columns,
                                   .scale = (float)desc->scale,
                                   .logarithm = logarithm};
    const amps_metal_function function = source->dtype == ANYMPS_DTYPE_F32   ? AMPS_METAL_softmax_f32
                                         : source->dtype == ANYMPS_DTYPE_F16 ? AMPS_METAL_softmax_f16
                                                                             : AMPS_METAL_softmax_bf16;
    amps_metal_launch_step *launch;
    ANYMPS_TRY(amps_metal_add_launch(plan, function, (amps_mtl_size){source->rows, record->batch, 1}, 256, &params,
                                     sizeof params, &launch));
    amps_metal_bind(launch, source, result);
    amps_metal_bind(launch, result, result);
    return ANYMPS_OK;
}

static void encode(amps_id object, amps_id command_buffer, const amps_id *operands)
{
    amps_send_softmax_encode(object, command_buffer, operands[0], operands[1]);
}

anymps_status amps_metal_softmax_plan(amps_metal_plan *plan, const amps_record *record, bool logarithm)
{
    const amps_metal_kernel *const kernel = (const amps_metal_kernel *)(const void *)record->kernel;
    const amps_view *const source = &record->operands[0], *const result = &record->operands[1];
    if (source->rows == 0 || source->columns == 0) {
        return ANYMPS_OK;
    }
    if (!kernel->vendor || !amps_metal_rows_allowed(plan->device, source, result)) {
        return own(plan, record, logarithm);
    }
    const bool stacked = amps_metal_stacked(source, record->batch) && amps_metal_stacked(result, record->batch);
    const size_t most = stacked ? record->batch : 1;
    const amps_metal_variant variant = {.rows = source->rows, .columns = source->columns};
    for (size_t first = 0; first < record->batch; first += most) {
        amps_metal_mps_step step = {.encode = encode, .set_batch = amps_send_unary_set_batch, .batch = most};
        ANYMPS_TRY(amps_metal_matrix(plan, source, first, most, &step.operands[0]));
        ANYMPS_TRY(amps_metal_matrix(plan, result, first, most, &step.operands[1]));
        ANYMPS_TRY(amps_metal_add_mps(plan, record->kernel, &variant, &step));
    }
    return ANYMPS_OK;
}

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    return amps_metal_softmax_prepare(device, kernel, false);
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    return amps_metal_softmax_plan(plan, record, false);
}

const amps_metal_op amps_metal_op_softmax = {.prepare = prepare, .plan = plan};
