/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_matrix_vector.c: matrix_vector on Metal: MPSMatrixVectorMultiplication, or our own kernels (matvec.metal; i8 to
 * i32: product tiles with one column). Called by metal_kernel.c and metal_plan.c.
 */
#include "metal_gemm.h"

static amps_id make(const amps_metal_kernel *kernel, const amps_metal_variant *variant)
{
    const anymps_matrix_vector_desc *const desc = kernel->desc;
    const amps_id object =
        amps_send_vector_multiplication_init(amps_send_alloc(amps_class_named("MPSMatrixVectorMultiplication")),
                                             amps_metal_device_of(kernel->base.device)->device, desc->transpose ? 1 : 0,
                                             variant->rows, variant->interior, desc->alpha, variant->beta);
    if (object != NULL && (desc->options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0) {
        amps_send_set_options(object, MPSKernelOptionsAllowReducedPrecision);
    }
    return object;
}

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    const anymps_matrix_vector_desc *const desc = kernel->desc;
    amps_metal_question question = {.op = AMPS_OP_matrix_vector,
                                    .types = {desc->matrix_dtype, desc->vector_dtype, desc->result_dtype},
                                    .algorithm = desc->algorithm,
                                    .vendor_name = "MPSMatrixVectorMultiplication"};
    const amps_metal_product product = amps_metal_product_of(desc->rows, 1, desc->columns, question.types);
    const char *note;
    amps_metal_gemm_ask(device, &product, desc->options, &question, &note);
    kernel->make = make;
    return amps_metal_choose(kernel, &question, note);
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    const anymps_matrix_vector_desc *const desc = record->desc;
    const amps_metal_kernel *const kernel = (const amps_metal_kernel *)(const void *)record->kernel;
    const amps_metal_gemm gemm = {.left = &record->operands[0],
                                  .right = &record->operands[1],
                                  .result = &record->operands[2],
                                  .vector = true,
                                  .transpose_left = desc->transpose,
                                  .rows = desc->rows,
                                  .columns = 1,
                                  .interior = desc->columns,
                                  .batch = record->batch,
                                  .alpha = desc->alpha,
                                  .beta = desc->beta};
    if (gemm.rows == 0) {
        return ANYMPS_OK;
    }
    bool done = false;
    if (kernel->vendor) {
        ANYMPS_TRY(amps_metal_gemm_mps(plan, record->kernel, &gemm, &done));
    }
    return done ? ANYMPS_OK : amps_metal_gemm_own(plan, &gemm);
}

const amps_metal_op amps_metal_op_matrix_vector = {.prepare = prepare, .plan = plan};
