/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_neuron.c: activation functions on the CPU, row by row, and the map from their public numbers, which
 * fully_connected uses too. Run by cpu_queue.c; calls the row microkernel.
 */
#include "backend/cpu/cpu_neuron.h"
#include "backend/cpu/cpu_rows.h"

static amps_ukr_neuron number_of(anymps_neuron_type type)
{
    switch (type) {
    case ANYMPS_NEURON_GELU_TANH: return AMPS_UKR_GELU_TANH;
    case ANYMPS_NEURON_SILU: return AMPS_UKR_SILU;
    default: return (amps_ukr_neuron)type; /* 0 to 15 are the same, checked below */
    }
}

_Static_assert((int)AMPS_UKR_NONE == (int)ANYMPS_NEURON_NONE && (int)AMPS_UKR_TANH == (int)ANYMPS_NEURON_TANH &&
                   (int)AMPS_UKR_PRELU == (int)ANYMPS_NEURON_PRELU && (int)AMPS_UKR_GELU == (int)ANYMPS_NEURON_GELU,
               "the microkernels number the neurons as MPS does, up to GELU");

amps_neuron_params amps_neuron_params_of(anymps_neuron_type type, float a, float b, float c, double alpha)
{
    return (amps_neuron_params){.type = number_of(type), .a = a, .b = b, .c = c, .alpha = (float)alpha};
}

static anymps_status prepare(amps_cpu_kernel *kernel)
{
    const anymps_neuron_desc *const desc = kernel->desc;
    return amps_rows_prepare(kernel, desc->algorithm);
}

static bool scratch(const amps_cpu_device *device, const amps_record *record, size_t *bytes)
{
    return amps_rows_scratch(device, record->operands[3].columns, bytes);
}

/* At most three operations an element: memory is what takes the time, and stores past the caches pay. Beside more
   arithmetic they are slower (measured), since the processor waits for them with nothing else at hand. */
static bool is_light(anymps_neuron_type type)
{
    switch (type) {
    case ANYMPS_NEURON_NONE:
    case ANYMPS_NEURON_RELU:
    case ANYMPS_NEURON_LINEAR:
    case ANYMPS_NEURON_HARD_SIGMOID:
    case ANYMPS_NEURON_ABSOLUTE:
    case ANYMPS_NEURON_PRELU:
    case ANYMPS_NEURON_RELUN: return true;
    default: return false;
    }
}

static void run_row(const amps_rows *rows, size_t b, size_t i, float *room)
{
    const anymps_neuron_desc *const desc = rows->record->desc;
    const amps_neuron_params params = amps_neuron_params_of(desc->neuron, desc->a, desc->b, desc->c, desc->alpha);
    amps_row row = amps_row_of(rows, &rows->record->operands[0], rows->result, b, i, room);
    row.stream = row.stream && is_light(desc->neuron);
    rows->device->rows->neuron_row(&params, &row, rows->vectors[0], rows->vectors[1]);
}

static void run(const amps_cpu_device *device, const amps_record *record, void *room)
{
    const amps_view *const vectors[AMPS_ROW_VECTORS] = {&record->operands[1], &record->operands[2]};
    amps_rows_run(device, record, &record->operands[3], vectors, run_row, room);
}

const amps_cpu_op amps_cpu_neuron = {"neuron", amps_cpu_supports_floating, prepare, scratch, run};
