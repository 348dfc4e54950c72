/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_fully_connected.c: fully_connected on Metal, in one of three ways:
 *   direct     MPSMatrixFullyConnected: weights as stored, a function that MPS computes;
 *   two steps  f32 only: MPSMatrixMultiplication, then our neuron kernel in place (transposed weights, GELU, …;
 *              a narrow type would be rounded twice);
 *   own        our product kernel with the neuron at its end.
 * Called by metal_kernel.c and metal_plan.c.
 */
#include "metal_gemm.h"
#include "ops/metal_neuron.h"

#include "base/checked.h"

enum { SOURCE, WEIGHTS, BIAS, PRELU, RESULT };

static amps_id make_direct(const amps_metal_kernel *kernel, const amps_metal_variant *variant)
{
    const anymps_fully_connected_desc *const desc = kernel->desc;
    const amps_id object = amps_send_fully_connected_init(amps_send_alloc(amps_class_named("MPSMatrixFullyConnected")),
                                                          amps_metal_device_of(kernel->base.device)->device);
    if (object != NULL) {
        amps_send_fully_connected_set_neuron(object, (int32_t)desc->neuron, desc->a, desc->b, desc->c);
        amps_send_fully_connected_set_alpha(object, desc->alpha);
        amps_send_fully_connected_set_rows(object, variant->rows);
        amps_send_fully_connected_set_inputs(object, variant->interior);
        amps_send_fully_connected_set_outputs(object, variant->columns);
    }
    return object;
}

static amps_id make(const amps_metal_kernel *kernel, const amps_metal_variant *variant)
{
    const anymps_fully_connected_desc *const desc = kernel->desc;
    if (variant->class == AMPS_METAL_MAIN_CLASS) {
        return make_direct(kernel, variant);
    }
    return amps_metal_multiplication(amps_metal_device_of(kernel->base.device), variant, false, desc->transpose_weights,
                                     desc->alpha, desc->options);
}

/* Why MPSMatrixFullyConnected cannot do it alone; NULL: it can. */
static const char *direct_avoid(amps_metal_device *device, const anymps_fully_connected_desc *desc)
{
    return desc->transpose_weights ? "MPS takes weights as inputs by outputs only"
                                   : amps_metal_neuron_avoid(device, desc->neuron);
}

static size_t known(size_t size)
{
    return size == ANYMPS_ALL ? 1 : size;
}

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    const anymps_fully_connected_desc *const desc = kernel->desc;
    const char *const avoid = direct_avoid(device, desc);
    amps_metal_question question = {.op = AMPS_OP_fully_connected,
                                    .types = {desc->dtype, desc->dtype, desc->dtype},
                                    .algorithm = desc->algorithm,
                                    .vendor_name = avoid == NULL ? "MPSMatrixFullyConnected"
                                                                 : "MPSMatrixMultiplication, own neuron"};
    const amps_metal_product product =
        amps_metal_product_of(known(desc->rows), known(desc->outputs), known(desc->inputs), question.types);
    const char *note;
    amps_metal_gemm_ask(device, &product, desc->options, &question, &note);
    if (avoid != NULL && desc->dtype != ANYMPS_DTYPE_F32) {
        question.avoid = avoid;
    }
    kernel->make = make;
    return amps_metal_choose(kernel, &question, note);
}

/* ---- Plan ------------------------------------------------------------------------------------- */

static void encode(amps_id object, amps_id command_buffer, const amps_id *operands)
{
    amps_send_fully_connected_encode(object, command_buffer, operands[0], operands[1], operands[2], operands[3]);
}

/* One matrix of the batch at a time: what MPS does with the bias of a batch is not told. */
static anymps_status add_direct(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_gemm *gemm)
{
    const amps_metal_variant variant = {.rows = gemm->rows, .columns = gemm->columns, .interior = gemm->interior};
    for (size_t i = 0; i < gemm->batch; i++) {
        amps_metal_mps_step step = {.encode = encode, .set_batch = amps_send_binary_set_batch, .batch = 1};
        ANYMPS_TRY(amps_metal_matrix(plan, gemm->left, i, 1, &step.operands[0]));
        ANYMPS_TRY(amps_metal_matrix(plan, gemm->right, i, 1, &step.operands[1]));
        if (gemm->bias->memory != NULL) {
            ANYMPS_TRY(amps_metal_vector(plan, gemm->bias, i, 1, &step.operands[2]));
        }
        ANYMPS_TRY(amps_metal_matrix(plan, gemm->result, i, 1, &step.operands[3]));
        ANYMPS_TRY(amps_metal_add_mps(plan, kernel, &variant, &step));
    }
    return ANYMPS_OK;
}

/* The product by MPS, then f(1*product + bias) in place. */
static anymps_status add_two_steps(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_gemm *gemm,
                                   bool *done)
{
    ANYMPS_TRY(amps_metal_gemm_mps(plan, kernel, gemm, done));
    if (!*done || (gemm->neuron == ANYMPS_NEURON_NONE && gemm->bias->memory == NULL)) {
        return ANYMPS_OK;
    }
    const amps_metal_activation activation = {gemm->neuron, gemm->a, gemm->b, gemm->c, 1.0};
    return amps_metal_neuron_own(plan, &activation, gemm->result, gemm->bias, gemm->prelu, gemm->result, gemm->batch);
}

/* Whole, without a word from the errata table. */
static bool direct_allowed(const amps_metal_device *device, const amps_metal_gemm *gemm)
{
    const anymps_dtype types[3] = {gemm->left->dtype, gemm->right->dtype, gemm->result->dtype};
    const amps_metal_product product = amps_metal_product_of(gemm->rows, gemm->columns, gemm->interior, types);
    amps_metal_limits limits;
    amps_metal_erratum hit;
    return amps_metal_errata_product(&device->facts, &product, &limits, &hit) && hit == AMPS_METAL_ERRATUM_COUNT &&
           amps_metal_rows_allowed(device, gemm->left, gemm->result) &&
           amps_metal_rows_allowed(device, gemm->right, gemm->result);
}

static anymps_status add_steps(amps_metal_plan *plan, const amps_metal_kernel *kernel, const amps_metal_gemm *gemm)
{
    if (kernel->vendor && direct_avoid(plan->device, kernel->desc) == NULL && direct_allowed(plan->device, gemm)) {
        return add_direct(plan, &kernel->base, gemm);
    }
    bool done = false;
    if (kernel->vendor && gemm->result->dtype == ANYMPS_DTYPE_F32) {
        ANYMPS_TRY(add_two_steps(plan, &kernel->base, gemm, &done));
    }
    return done ? ANYMPS_OK : amps_metal_gemm_own(plan, gemm);
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    const anymps_fully_connected_desc *const desc = record->desc;
    amps_view source = record->operands[SOURCE], result = record->operands[RESULT];
    amps_metal_gemm gemm = {.left = &source,
                            .right = &record->operands[WEIGHTS],
                            .bias = &record->operands[BIAS],
                            .prelu = &record->operands[PRELU],
                            .result = &result,
                            .transpose_right = desc->transpose_weights,
                            .rows = result.rows,
                            .columns = result.columns,
                            .interior = source.columns,
                            .batch = record->batch,
                            .alpha = desc->alpha,
                            .neuron = desc->neuron,
                            .a = desc->a,
                            .b = desc->b,
                            .c = desc->c};
    if (gemm.rows == 0 || gemm.columns == 0) {
        return ANYMPS_OK;
    }
    amps_metal_gemm_merge(&gemm, &source, &result);
    return add_steps(plan, (const amps_metal_kernel *)(const void *)record->kernel, &gemm);
}

const amps_metal_op amps_metal_op_fully_connected = {.prepare = prepare, .plan = plan};
