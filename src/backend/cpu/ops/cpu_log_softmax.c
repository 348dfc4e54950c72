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
    return amps_rows_scratch(device, record->operands[1].columns, bytes);
}

static void run_rows(const amps_rows *rows, size_t b, size_t i, float *room)
{
    const anymps_softmax_desc *const desc = rows->record->desc;
    const amps_row row = amps_row_of(rows, &rows->record->operands[0], rows->result, b, i, room);
    amps_softmax_ukr(rows->device, desc->scale)->log_softmax(&row, desc->scale);
}

static void run(const amps_cpu_device *device, const amps_record *record, void *room)
{
    amps_rows_run_together(device, record, &record->operands[1], run_rows, room);
}

const amps_cpu_op amps_cpu_log_softmax = {"log_softmax", amps_cpu_supports_floating, prepare, scratch, run};
