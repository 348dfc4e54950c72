/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_rms_norm.c: rms_norm on Metal, and what layer_norm shares with it. MPS has neither: always our own kernel.
 * Called by metal_kernel.c and metal_plan.c. The launch parameters mirror shaders/norm.metal.
 */
#include "ops/metal_norm.h"

enum { SOURCE, RESIDUAL, WEIGHT, BIAS, RESULT };

anymps_status amps_metal_norm_prepare(amps_metal_kernel *kernel, amps_operator op)
{
    const anymps_norm_desc *const desc = kernel->desc;
    const amps_metal_question question = {
        .op = op, .types = {desc->dtype, desc->dtype, desc->dtype}, .algorithm = desc->algorithm};
    return amps_metal_choose(kernel, &question, NULL);
}

typedef struct norm_params {
    uint64_t source_row, source_matrix, residual_row, residual_matrix, result_row, result_matrix; /* elements */
    uint64_t weight_matrix, bias_matrix;
    uint32_t columns;
    float epsilon;
    uint32_t centred, has_residual, has_weight, has_bias;
} norm_params;
_Static_assert(sizeof(norm_params) <= AMPS_METAL_MAX_PARAMS, "parameters must fit a step");

anymps_status amps_metal_norm_plan(amps_metal_plan *plan, const amps_record *record, bool centred)
{
    const anymps_norm_desc *const desc = record->desc;
    const amps_view *const views = record->operands;
    const size_t element = amps_metal_element(&views[SOURCE]);
    if (views[SOURCE].rows == 0 || views[SOURCE].columns == 0) {
        return ANYMPS_OK;
    }
    const norm_params params = {.source_row = views[SOURCE].row_bytes / element,
                                .source_matrix = views[SOURCE].matrix_bytes / element,
                                .residual_row = views[RESIDUAL].row_bytes / element,
                                .residual_matrix = views[RESIDUAL].matrix_bytes / element,
                                .result_row = views[RESULT].row_bytes / element,
                                .result_matrix = views[RESULT].matrix_bytes / element,
                                .weight_matrix = views[WEIGHT].matrix_bytes / element,
                                .bias_matrix = views[BIAS].matrix_bytes / element,
                                .columns = (uint32_t)views[SOURCE].columns,
                                .epsilon = (float)desc->epsilon,
                                .centred = centred,
                                .has_residual = views[RESIDUAL].memory != NULL,
                                .has_weight = views[WEIGHT].memory != NULL,
                                .has_bias = views[BIAS].memory != NULL};
    const amps_metal_function function = desc->dtype == ANYMPS_DTYPE_F32   ? AMPS_METAL_norm_f32
                                         : desc->dtype == ANYMPS_DTYPE_F16 ? AMPS_METAL_norm_f16
                                                                           : AMPS_METAL_norm_bf16;
    amps_metal_launch_step *launch;
    ANYMPS_TRY(amps_metal_add_launch(plan, function, (amps_mtl_size){views[SOURCE].rows, record->batch, 1}, 256,
                                     &params, sizeof params, &launch));
    for (size_t i = 0; i < record->operand_count; i++) {
        amps_metal_bind(launch, &views[i], &views[RESULT]);
    }
    return ANYMPS_OK;
}

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    (void)device;
    return amps_metal_norm_prepare(kernel, AMPS_OP_rms_norm);
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    return amps_metal_norm_plan(plan, record, false);
}

const amps_metal_op amps_metal_op_rms_norm = {.prepare = prepare, .plan = plan};
