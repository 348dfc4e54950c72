/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_norm.c: what rms_norm and layer_norm share: operands source, residual, weight, bias, result; the residual
 * is added first and the sum, rounded to the type, written back. Called by ops/cpu_{rms,layer}_norm.c.
 */
#include "backend/cpu/cpu_norm.h"

anymps_status amps_cpu_norm_prepare(amps_cpu_kernel *kernel)
{
    const anymps_norm_desc *const desc = kernel->desc;
    return amps_rows_prepare(kernel, desc->algorithm);
}

bool amps_cpu_norm_scratch(const amps_cpu_device *device, const amps_record *record, size_t *bytes)
{
    return amps_rows_scratch(device, record->operands[4].columns, bytes);
}

void amps_cpu_norm_run(const amps_cpu_device *device, const amps_record *record, amps_row_function function,
                       void *scratch)
{
    const amps_view *const vectors[AMPS_ROW_VECTORS] = {&record->operands[2], &record->operands[3]};
    amps_rows_run(device, record, &record->operands[4], vectors, function, scratch);
}

/* The residual's row becomes its sum with the source's, rounded; what is normalised then. */
static const amps_view *add_residual(const amps_rows *rows, size_t b, size_t i, float *room)
{
    const amps_view *const source = &rows->record->operands[0];
    const amps_view *const residual = &rows->record->operands[1];
    if (residual->memory == NULL) {
        return source;
    }
    amps_row sum = amps_row_of(rows, source, residual, b, i, room);
    sum.stream = false; /* it is read at once */
    rows->device->rows->add(&sum, sum.y);
    return residual;
}

void amps_cpu_norm_row(const amps_rows *rows, size_t b, size_t i, float *room, amps_cpu_norm_ukr norm)
{
    const anymps_norm_desc *const desc = rows->record->desc;
    const amps_view *const from = add_residual(rows, b, i, room);
    const amps_row row = amps_row_of(rows, from, rows->result, b, i, room);
    norm(&row, rows->vectors[0], rows->vectors[1], desc->epsilon);
}
