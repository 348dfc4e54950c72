/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_softmax.c: s*x - m - ln of the sum of exp(s*x - m). The promise stands in kernels.h; checks and record are
 * those that both softmaxes share (common_rows.c).
 */
#include "ops/rows.h"

anymps_status anymps_log_softmax_create(anymps_device *device, const anymps_softmax_desc *desc, anymps_kernel **kernel)
{
    return amps_softmax_create(AMPS_OP_log_softmax, device, desc, kernel);
}

anymps_status anymps_log_softmax_encode(anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                                        anymps_matrix *source, anymps_matrix *result, const anymps_range *range)
{
    return amps_softmax_encode(AMPS_OP_log_softmax, kernel, command_buffer, source, result, range);
}

anymps_status anymps_log_softmax(const anymps_softmax_desc *desc, anymps_matrix *source, anymps_matrix *result)
{
    return amps_softmax_run(AMPS_OP_log_softmax, desc, source, result);
}
