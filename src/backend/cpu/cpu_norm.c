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
    return amps_rows_scratch(device, record, record->operands[4].columns, bytes);
}

void amps_cpu_norm_run(const amps_cpu_device *device, const amps_record *record, amps_row_function function,
                       void *scratch)
{
    const amps_view *const vectors[AMPS_ROW_VECTORS] = {&record->operands[2], &record->operands[3]};
    amps_rows_run(device, record, &record->operands[4], vectors, function, scratch);
}

/* The row to normalise: the source's, or its sum with the residual's as it was rounded and written back. */
static const float *sum_row(const amps_rows *rows, size_t b, size_t i, float *buffers)
{
    const amps_view *const source = &rows->record->operands[0];
    const amps_view *const residual = &rows->record->operands[1];
    const amps_row_ukr *const ukr = rows->device->rows;
    const size_t n = rows->columns;
    const float *const x = amps_row_read(ukr, amps_view_row(source, b, i), source->dtype, buffers, n);
    if (residual->memory == NULL) {
        return x;
    }
    void *const at = amps_view_row(residual, b, i);
    float *const room = buffers == NULL ? NULL : buffers + rows->piece_floats;
    const float *const r = amps_row_read(ukr, at, residual->dtype, room, n);
    float *const sum = amps_row_target(at, residual->dtype, room);
    ukr->add(x, r, sum, n);
    amps_row_write(ukr, sum, at, residual->dtype, n);
    return amps_row_read(ukr, at, residual->dtype, room, n);
}

void amps_cpu_norm_row(const amps_rows *rows, size_t b, size_t i, float *buffers, amps_cpu_norm_ukr norm)
{
    const anymps_norm_desc *const desc = rows->record->desc;
    const amps_view *const result = &rows->record->operands[4];
    void *const to = amps_view_row(result, b, i);
    const float *const x = sum_row(rows, b, i, buffers);
    float *const room = buffers == NULL ? NULL : buffers + 2 * rows->piece_floats;
    float *const y = amps_row_target(to, result->dtype, room);
    norm(x, rows->vectors[0], rows->vectors[1], y, rows->columns, desc->epsilon);
    amps_row_write(rows->device->rows, y, to, result->dtype, rows->columns);
}
