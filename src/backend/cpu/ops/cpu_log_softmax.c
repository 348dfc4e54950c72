/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_log_softmax.c: the logarithm of softmax on the CPU, row by row. Run by cpu_queue.c; spreads rows with
 * cpu_rows.h and calls the row microkernel.
 */
#include "backend/cpu/cpu_rows.h"

static anymps_status prepare(amps_cpu_kernel *kernel)
{
    const anymps_softmax_desc *const desc = kernel->desc;
    return amps_rows_prepare(kernel, desc->algorithm);
}

static bool scratch(const amps_cpu_device *device, const amps_record *record, size_t *bytes)
{
    return amps_rows_scratch(device, record, record->operands[1].columns, bytes);
}

static void run_row(const amps_rows *rows, size_t b, size_t i, float *buffers)
{
    const anymps_softmax_desc *const desc = rows->record->desc;
    const amps_view *const source = &rows->record->operands[0];
    const amps_view *const result = &rows->record->operands[1];
    const amps_row_ukr *const ukr = rows->device->rows;
    void *const to = amps_view_row(result, b, i);
    const float *const x = amps_row_read(ukr, amps_view_row(source, b, i), source->dtype, buffers, rows->columns);
    float *const y = amps_row_target(to, result->dtype, buffers);
    amps_softmax_ukr(rows->device, desc->scale)->log_softmax(x, y, rows->columns, desc->scale);
    amps_row_write(ukr, y, to, result->dtype, rows->columns);
}

static void run(const amps_cpu_device *device, const amps_record *record, void *room)
{
    const amps_view *const none[AMPS_ROW_VECTORS] = {NULL, NULL};
    amps_rows_run(device, record, &record->operands[1], none, run_row, room);
}

const amps_cpu_op amps_cpu_log_softmax = {"log_softmax", amps_cpu_supports_floating, prepare, scratch, run};
