/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h: the front end of the two pairs of row functions that differ in their formula only: softmax and
 * log_softmax, rms_norm and layer_norm. Implemented in common_rows.c; called by the four operators' files.
 */
#ifndef AMPS_ROWS_H
#define AMPS_ROWS_H

#include "ops/ops.h"

anymps_status amps_softmax_create(amps_operator op, anymps_device *device, const anymps_softmax_desc *desc,
                                  anymps_kernel **kernel);
anymps_status amps_softmax_encode(amps_operator op, anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                                  anymps_matrix *source, anymps_matrix *result, const anymps_range *range);
anymps_status amps_softmax_run(amps_operator op, const anymps_softmax_desc *desc, anymps_matrix *source,
                               anymps_matrix *result);

anymps_status amps_norm_create(amps_operator op, anymps_device *device, const anymps_norm_desc *desc,
                               anymps_kernel **kernel);
anymps_status amps_norm_encode(amps_operator op, anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                               anymps_matrix *source, anymps_matrix *residual, anymps_vector *weight,
                               anymps_vector *bias, anymps_matrix *result, const anymps_range *range);
anymps_status amps_norm_run(amps_operator op, const anymps_norm_desc *desc, anymps_matrix *source,
                            anymps_matrix *residual, anymps_vector *weight, anymps_vector *bias, anymps_matrix *result);

#endif /* AMPS_ROWS_H */
