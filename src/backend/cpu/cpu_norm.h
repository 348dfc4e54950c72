/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_norm.h: what rms_norm and layer_norm share, which is all but the microkernel. */
#ifndef AMPS_NORM_H
#define AMPS_NORM_H

#include "backend/cpu/cpu_rows.h"

anymps_status amps_cpu_norm_prepare(amps_cpu_kernel *kernel);
bool amps_cpu_norm_scratch(const amps_cpu_device *device, const amps_record *record, size_t *bytes);

/* Runs the record; `function` calls amps_cpu_norm_row with its microkernel. */
void amps_cpu_norm_run(const amps_cpu_device *device, const amps_record *record, amps_row_function function,
                       void *scratch);

typedef void (*amps_cpu_norm_ukr)(const amps_row *row, const float *weight, const float *bias, double epsilon);

/* One row: adds the residual, writes the sum back, normalises. */
void amps_cpu_norm_row(const amps_rows *rows, size_t b, size_t i, float *room, amps_cpu_norm_ukr norm);

#endif /* AMPS_NORM_H */
