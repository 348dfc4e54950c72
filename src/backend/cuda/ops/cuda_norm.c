/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_norm.c: RMS norm and layer norm on CUDA: the arguments of rows.cu and rows_held.cu. Called by plan.c. */
#include "backend/cuda/ops/cuda_ops.h"

#include <math.h>
#include <stdio.h>

static const amps_cuda_function kernels[3][AMPS_ROW_KERNELS] = {
    {AMPS_FN_norm_f32_v1_n4, AMPS_FN_norm_f32_v1_n32, AMPS_FN_norm_f32_v4_n1, AMPS_FN_norm_f32_v4_n2,
     AMPS_FN_norm_f32_v4_n4, AMPS_FN_norm_f32_v4_n8, AMPS_FN_norm_f32_long},
    {AMPS_FN_norm_f16_v1_n4, AMPS_FN_norm_f16_v1_n32, AMPS_FN_norm_f16_v8_n1, AMPS_FN_norm_f16_v8_n2,
     AMPS_FN_norm_f16_v8_n4, AMPS_CUDA_FUNCTIONS, AMPS_FN_norm_f16_long},
    {AMPS_FN_norm_bf16_v1_n4, AMPS_FN_norm_bf16_v1_n32, AMPS_FN_norm_bf16_v8_n1, AMPS_FN_norm_bf16_v8_n2,
     AMPS_FN_norm_bf16_v8_n4, AMPS_CUDA_FUNCTIONS, AMPS_FN_norm_bf16_long},
};

/* RMS norm without a residual, AMPS_ROW_N1 to N4. With eight packs of f32 it would spill: there the others are ahead. */
static const amps_cuda_function rms_kernels[3][3] = {
    {AMPS_FN_rms_f32_v4_n1, AMPS_FN_rms_f32_v4_n2, AMPS_FN_rms_f32_v4_n4},
    {AMPS_FN_rms_f16_v8_n1, AMPS_FN_rms_f16_v8_n2, AMPS_FN_rms_f16_v8_n4},
    {AMPS_FN_rms_bf16_v8_n1, AMPS_FN_rms_bf16_v8_n2, AMPS_FN_rms_bf16_v8_n4},
};

static const amps_cuda_function held_kernels[3] = {AMPS_FN_rms_f32_held, AMPS_FN_rms_f16_held, AMPS_FN_rms_bf16_held};

enum { SOURCE, RESIDUAL, WEIGHT, BIAS, RESULT, OPERANDS };

/* The power of two whose square is at most 1/columns: then the sum over the row of squares so scaled is at most
   their mean, and overflows only where the mean does. */
static float shrink_for(size_t columns)
{
    int exponent = 0;
    while (exponent < 62 && ((size_t)1 << exponent) < columns) {
        exponent++;
    }
    return ldexpf(1.0f, -(exponent + 1) / 2);
}

static bool all_aligned(const amps_record *record)
{
    bool aligned = record->operands[SOURCE].columns % (16 / anymps_dtype_bytes(record->operands[SOURCE].dtype)) == 0;
    for (int i = 0; i < OPERANDS; i++) {
        aligned = aligned && amps_view_is_aligned(&record->operands[i]);
    }
    return aligned;
}

static int32_t settled_of(const amps_cuda_emitter *out, const amps_record *record)
{
    const bool source = record->operands[RESIDUAL].memory == NULL && amps_cuda_is_settled(out, record, SOURCE);
    const bool vectors = amps_cuda_is_settled(out, record, WEIGHT) && amps_cuda_is_settled(out, record, BIAS);
    return vectors ? AMPS_SETTLED_WEIGHTS | (source ? AMPS_SETTLED_SOURCE : 0) : 0;
}

static anymps_status emit(amps_cuda_emitter *out, const amps_record *record)
{
    const anymps_norm_desc *const desc = record->desc;
    const amps_view *const at = record->operands;
    if (at[SOURCE].rows == 0 || at[SOURCE].columns == 0) {
        return ANYMPS_OK;
    }
    amps_norm_params p = {
        .source = amps_view_address(&at[SOURCE]),
        .residual = amps_view_address(&at[RESIDUAL]),
        .weight = amps_view_address(&at[WEIGHT]),
        .bias = amps_view_address(&at[BIAS]),
        .result = amps_view_address(&at[RESULT]),
        .source_row = amps_view_row(&at[SOURCE]),
        .source_matrix = amps_view_matrix(&at[SOURCE]),
        .residual_row = at[RESIDUAL].memory != NULL ? amps_view_row(&at[RESIDUAL]) : 0,
        .residual_matrix = amps_view_matrix(&at[RESIDUAL]),
        .weight_matrix = amps_view_matrix(&at[WEIGHT]),
        .bias_matrix = amps_view_matrix(&at[BIAS]),
        .result_row = amps_view_row(&at[RESULT]),
        .result_matrix = amps_view_matrix(&at[RESULT]),
        .rows = (int64_t)at[SOURCE].rows,
        .all_rows = (int64_t)(at[SOURCE].rows * record->batch),
        .columns = (int64_t)at[SOURCE].columns,
        .epsilon = (float)desc->epsilon,
        .shrink = shrink_for(at[SOURCE].columns),
        .layer = record->op == AMPS_OP_layer_norm,
        .epsilon_positive = desc->epsilon > 0.0,
        .settled = settled_of(out, record),
    };
    amps_cuda_shape shape;
    const bool aligned = all_aligned(record);
    const size_t element = anymps_dtype_bytes(desc->dtype);
    const int type = amps_cuda_float_index(desc->dtype);
    if (aligned && !p.layer && p.residual == 0) {
        p.slice_packs = amps_cuda_row_held(out->device, at[SOURCE].columns * element, (size_t)p.all_rows, &shape);
    }
    if (p.slice_packs > 0) {
        return amps_cuda_launch(out, held_kernels[type], &shape, &p);
    }
    const int kernel =
        amps_cuda_row_choice(out->device, element, aligned, false, at[SOURCE].columns, (size_t)p.all_rows, &shape);
    const bool lean = !p.layer && p.residual == 0 && kernel >= AMPS_ROW_N1 && kernel <= AMPS_ROW_N4;
    return amps_cuda_launch(out, lean ? rms_kernels[type][kernel - AMPS_ROW_N1] : kernels[type][kernel], &shape, &p);
}

static anymps_status prepare(amps_cuda_device *device, const void *desc, char *explain, size_t size)
{
    (void)device;
    const anymps_norm_desc *const norm = desc;
    (void)snprintf(explain, size, "own norm_%s, a row held in registers or shared memory of a warp, block or cluster",
                   anymps_dtype_name(norm->dtype));
    return ANYMPS_OK;
}

const amps_cuda_operator amps_cuda_rms_norm = {
    .supports = amps_cuda_supports_float, .prepare = prepare, .emit = emit, .writes = 1u << RESIDUAL};
const amps_cuda_operator amps_cuda_layer_norm = {
    .supports = amps_cuda_supports_float, .prepare = prepare, .emit = emit, .writes = 1u << RESIDUAL};
