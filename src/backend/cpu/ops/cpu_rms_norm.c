/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_rms_norm.c: rms_norm on the CPU. Run by cpu_queue.c; everything but the microkernel is shared with
 * its sibling (cpu_norm.h).
 */
#include "backend/cpu/cpu_norm.h"

static void run_row(const amps_rows *rows, size_t b, size_t i, float *room)
{
    amps_cpu_norm_row(rows, b, i, room, rows->device->rows->rms_norm);
}

static void run(const amps_cpu_device *device, const amps_record *record, void *room)
{
    amps_cpu_norm_run(device, record, run_row, room);
}

const amps_cpu_op amps_cpu_rms_norm = {"rms_norm", amps_cpu_supports_floating, amps_cpu_norm_prepare,
                                       amps_cpu_norm_scratch, run};
