/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_softmax.c: softmax and log-softmax on CUDA: the arguments of rows.cu and rows_held.cu. Called by plan.c. */
#include "backend/cuda/ops/cuda_ops.h"

#include <math.h>
#include <stdio.h>

static const amps_cuda_function kernels[3][AMPS_ROW_KERNELS] = {
    {AMPS_FN_softmax_f32_v1_n4, AMPS_FN_softmax_f32_v1_n32, AMPS_FN_softmax_f32_v4_n1, AMPS_FN_softmax_f32_v4_n2,
     AMPS_FN_softmax_f32_v4_n4, AMPS_FN_softmax_f32_v4_n8, AMPS_FN_softmax_f32_long},
    {AMPS_FN_softmax_f16_v1_n4, AMPS_FN_softmax_f16_v1_n32, AMPS_FN_softmax_f16_v8_n1, AMPS_FN_softmax_f16_v8_n2,
     AMPS_FN_softmax_f16_v8_n4, AMPS_CUDA_FUNCTIONS, AMPS_FN_softmax_f16_long},
    {AMPS_FN_softmax_bf16_v1_n4, AMPS_FN_softmax_bf16_v1_n32, AMPS_FN_softmax_bf16_v8_n1, AMPS_FN_softmax_bf16_v8_n2,
     AMPS_FN_softmax_bf16_v8_n4, AMPS_CUDA_FUNCTIONS, AMPS_FN_softmax_bf16_long},
};

static const amps_cuda_function held_kernels[3] = {AMPS_FN_softmax_f32_held, AMPS_FN_softmax_f16_held,
                                                   AMPS_FN_softmax_bf16_held};

enum { QUICK_FROM = 1024 }; /* as in rows.cu, which says why */

static anymps_status emit(amps_cuda_emitter *out, const amps_record *record)
{
    enum { SOURCE, RESULT };
    const anymps_softmax_desc *const desc = record->desc;
    const amps_view *const source = &record->operands[SOURCE], *const result = &record->operands[RESULT];
    if (source->rows == 0 || source->columns == 0) {
        return ANYMPS_OK;
    }
    amps_softmax_params p = {
        .source = amps_view_address(source),
        .result = amps_view_address(result),
        .source_row = amps_view_row(source),
        .source_matrix = amps_view_matrix(source),
        .result_row = amps_view_row(result),
        .result_matrix = amps_view_matrix(result),
        .rows = (int64_t)source->rows,
        .all_rows = (int64_t)(source->rows * record->batch),
        .columns = (int64_t)source->columns,
        .scale = (float)desc->scale,
        .log = record->op == AMPS_OP_log_softmax,
    };
    p.scale_rest = (float)(desc->scale - (double)p.scale);
    p.settled = amps_cuda_is_settled(out, record, SOURCE) ? AMPS_SETTLED_SOURCE : 0;
    const int type = amps_cuda_float_index(desc->dtype);
    const size_t element = anymps_dtype_bytes(desc->dtype);
    amps_cuda_shape shape;
    const bool aligned =
        source->columns % (16 / element) == 0 && amps_view_is_aligned(source) && amps_view_is_aligned(result);
    const float size = fabsf(p.scale);
    const bool short_rows = source->columns < QUICK_FROM, odd_scale = !(size > 1e-30f && size < 1e30f);
    if (aligned && !short_rows && !odd_scale && p.scale > 0.0f) {
        p.slice_packs = amps_cuda_row_held(out->device, source->columns * element, (size_t)p.all_rows, &shape);
    }
    if (p.slice_packs > 0) {
        return amps_cuda_launch(out, held_kernels[type], &shape, &p);
    }
    const int kernel = odd_scale && !short_rows ? amps_cuda_row_long(out->device, (size_t)p.all_rows, &shape)
                                                : amps_cuda_row_choice(out->device, element, aligned, short_rows,
                                                                       source->columns, (size_t)p.all_rows, &shape);
    return amps_cuda_launch(out, kernels[type][kernel], &shape, &p);
}

static anymps_status prepare(amps_cuda_device *device, const void *desc, char *explain, size_t size)
{
    (void)device;
    const anymps_softmax_desc *const softmax = desc;
    (void)snprintf(explain, size,
                   "own softmax_%s, a row held in registers or shared memory of a warp, block or cluster",
                   anymps_dtype_name(softmax->dtype));
    return ANYMPS_OK;
}

const amps_cuda_operator amps_cuda_softmax = {.supports = amps_cuda_supports_float, .prepare = prepare, .emit = emit};
const amps_cuda_operator amps_cuda_log_softmax = {
    .supports = amps_cuda_supports_float, .prepare = prepare, .emit = emit};
