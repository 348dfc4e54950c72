/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_fully_connected.c: fully_connected on the CPU: a product with bias and neuron in its last store. Run
 * by cpu_queue.c; gemm.h multiplies.
 */
#include "backend/cpu/cpu_neuron.h"
#include "backend/cpu/cpu_product.h"

static anymps_status prepare(amps_cpu_kernel *kernel)
{
    const anymps_fully_connected_desc *const desc = kernel->desc;
    return amps_product_prepare(kernel, desc->algorithm, desc->dtype, desc->dtype, desc->dtype);
}

/* What the arguments point to; lives on the stack of `run`. */
typedef struct job {
    amps_gemm_args args;
    amps_gemm_epilogue epilogue;
    amps_neuron_params neuron;
} job;

static void fill(job *self, const amps_cpu_device *device, const amps_record *record)
{
    const anymps_fully_connected_desc *const desc = record->desc;
    const amps_view *const bias = &record->operands[2];
    const amps_view *const prelu = &record->operands[3];
    *self = (job){.args = {.device = device, .batch = record->batch, .alpha = desc->alpha}};
    self->neuron = amps_neuron_params_of(desc->neuron, desc->a, desc->b, desc->c, 1);
    if (bias->memory != NULL) {
        self->epilogue.bias = amps_view_host(bias, 0);
        self->epilogue.bias_batch_bytes = bias->matrix_bytes;
    }
    if (prelu->memory != NULL) {
        self->epilogue.prelu = amps_view_host(prelu, 0);
        self->epilogue.prelu_batch_bytes = prelu->matrix_bytes;
    }
    self->epilogue.neuron = self->neuron.type == AMPS_UKR_NONE ? NULL : &self->neuron;
    const bool plain = self->epilogue.bias == NULL && self->epilogue.neuron == NULL;
    self->args.epilogue = plain ? NULL : &self->epilogue;
    amps_product_a(&self->args, &record->operands[0], false);
    amps_product_b(&self->args, &record->operands[1], desc->transpose_weights);
    amps_product_c(&self->args, &record->operands[4]);
}

static bool scratch(const amps_cpu_device *device, const amps_record *record, size_t *bytes)
{
    job self;
    fill(&self, device, record);
    return amps_gemm_scratch(&self.args, bytes);
}

static void run(const amps_cpu_device *device, const amps_record *record, void *room)
{
    job self;
    fill(&self, device, record);
    amps_gemm(&self.args, room);
}

const amps_cpu_op amps_cpu_fully_connected = {"fully_connected", amps_cpu_supports_floating, prepare, scratch, run};
