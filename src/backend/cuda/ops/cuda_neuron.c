/* SPDX-License-Identifier: Apache-2.0 */
/* cuda_neuron.c: activation functions over matrices on CUDA: fills the arguments of elementwise.cu. */
#include "backend/cuda/ops/cuda_ops.h"

#include <stdio.h>

static const amps_cuda_function kernels[3][2] = {
    {AMPS_FN_map_f32_v1, AMPS_FN_map_f32_v4},
    {AMPS_FN_map_f16_v1, AMPS_FN_map_f16_v8},
    {AMPS_FN_map_bf16_v1, AMPS_FN_map_bf16_v8},
};

enum { SOURCE, BIAS, PRELU, RESULT, THREADS = 256 };

static anymps_status emit(amps_cuda_emitter *out, const amps_record *record)
{
    const anymps_neuron_desc *const desc = record->desc;
    const amps_view *const at = record->operands;
    const size_t rows = at[SOURCE].rows, columns = at[SOURCE].columns;
    if (rows == 0 || columns == 0) {
        return ANYMPS_OK;
    }
    const amps_map_params p = {
        .source = amps_view_address(&at[SOURCE]),
        .bias = amps_view_address(&at[BIAS]),
        .prelu = amps_view_address(&at[PRELU]),
        .result = amps_view_address(&at[RESULT]),
        .source_row = amps_view_row(&at[SOURCE]),
        .source_matrix = amps_view_matrix(&at[SOURCE]),
        .bias_matrix = amps_view_matrix(&at[BIAS]),
        .prelu_matrix = amps_view_matrix(&at[PRELU]),
        .result_row = amps_view_row(&at[RESULT]),
        .result_matrix = amps_view_matrix(&at[RESULT]),
        .rows = (int64_t)rows,
        .columns = (int64_t)columns,
        .batch = (int64_t)record->batch,
        .alpha = (float)desc->alpha,
        .neuron = {(int32_t)desc->neuron, desc->a, desc->b, desc->c},
    };
    const size_t pack = 16 / anymps_dtype_bytes(desc->dtype);
    const bool wide = columns % pack == 0 && amps_view_is_aligned(&at[SOURCE]) && amps_view_is_aligned(&at[RESULT]);
    const size_t block_columns = THREADS * (wide ? pack : 1);
    const amps_cuda_shape shape = {.grid_x = record->batch * rows * ((columns + block_columns - 1) / block_columns),
                                   .block_x = THREADS};
    return amps_cuda_launch(out, kernels[amps_cuda_float_index(desc->dtype)][wide ? 1 : 0], &shape, &p);
}

static anymps_status prepare(amps_cuda_device *device, const void *desc, char *explain, size_t size)
{
    (void)device;
    const anymps_neuron_desc *const neuron = desc;
    (void)snprintf(explain, size, "own map_%s (%s)", anymps_dtype_name(neuron->dtype),
                   anymps_neuron_name(neuron->neuron));
    return ANYMPS_OK;
}

const amps_cuda_operator amps_cuda_neuron = {.supports = amps_cuda_supports_float, .prepare = prepare, .emit = emit};
