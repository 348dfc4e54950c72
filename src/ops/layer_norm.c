/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_norm.c: (x - mean) / sqrt(variance + epsilon) * weight + bias. The promise stands in kernels.h; checks and record
 * are those that both norms share (common_rows.c).
 */
#include "ops/rows.h"

anymps_status anymps_layer_norm_create(anymps_device *device, const anymps_norm_desc *desc, anymps_kernel **kernel)
{
    return amps_norm_create(AMPS_OP_layer_norm, device, desc, kernel);
}

anymps_status anymps_layer_norm_encode(anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                                       anymps_matrix *source, anymps_matrix *residual, anymps_vector *weight,
                                       anymps_vector *bias, anymps_matrix *result, const anymps_range *range)
{
    return amps_norm_encode(AMPS_OP_layer_norm, kernel, command_buffer, source, residual, weight, bias, result, range);
}

anymps_status anymps_layer_norm(const anymps_norm_desc *desc, anymps_matrix *source, anymps_matrix *residual,
                                anymps_vector *weight, anymps_vector *bias, anymps_matrix *result)
{
    return amps_norm_run(AMPS_OP_layer_norm, desc, source, residual, weight, bias, result);
}
