/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_matmul.c: matmul on Metal: MPSMatrixMultiplication, in the pieces that errata.def allows, or our own
 * kernels (bf16, i8 to i32, interior 0, what MPS must not see). Called by metal_kernel.c and metal_plan.c.
 */
#include "metal_gemm.h"

static amps_id make(const amps_metal_kernel *kernel, const amps_metal_variant *variant)
{
    const anymps_matmul_desc *const desc = kernel->desc;
    return amps_metal_multiplication(amps_metal_device_of(kernel->base.device), variant, desc->transpose_left,
                                     desc->transpose_right, desc->alpha, desc->options);
}

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    const anymps_matmul_desc *const desc = kernel->desc;
    amps_metal_question question = {.op = AMPS_OP_matmul,
                                    .types = {desc->left_dtype, desc->right_dtype, desc->result_dtype},
                                    .algorithm = desc->algorithm,
                                    .vendor_name = "MPSMatrixMultiplication"};
    const amps_metal_product product = amps_metal_product_of(desc->rows, desc->columns, desc->interior, question.types);
    const char *note;
    amps_metal_gemm_ask(device, &product, desc->options, &question, &note);
    ANYMPS_TRY(amps_metal_choose(kernel, &question, note));
    kernel->make = make;
    amps_metal_limits limits;
    amps_metal_erratum hit;
    if (desc->rows != 0 && desc->columns != 0 && amps_metal_errata_product(&device->facts, &product, &limits, &hit) &&
        hit == AMPS_METAL_ERRATUM_COUNT) {
        kernel->first = (amps_metal_variant){.class = AMPS_METAL_PRODUCT_CLASS,
                                             .rows = desc->rows,
                                             .columns = desc->columns,
                                             .interior = desc->interior,
                                             .beta = desc->beta};
    }
    return ANYMPS_OK;
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    const anymps_matmul_desc *const desc = record->desc;
    const amps_metal_kernel *const kernel = (const amps_metal_kernel *)(const void *)record->kernel;
    amps_view left = record->operands[0], result = record->operands[2];
    amps_metal_gemm gemm = {.left = &left,
                            .right = &record->operands[1],
                            .result = &result,
                            .transpose_left = desc->transpose_left,
                            .transpose_right = desc->transpose_right,
                            .rows = desc->rows,
                            .columns = desc->columns,
                            .interior = desc->interior,
                            .batch = record->batch,
                            .alpha = desc->alpha,
                            .beta = desc->beta};
    if (gemm.rows == 0 || gemm.columns == 0) {
        return ANYMPS_OK;
    }
    amps_metal_gemm_merge(&gemm, &left, &result);
    bool done = false;
    if (kernel->vendor) {
        ANYMPS_TRY(amps_metal_gemm_mps(plan, record->kernel, &gemm, &done));
    }
    return done ? ANYMPS_OK : amps_metal_gemm_own(plan, &gemm);
}

const amps_metal_op amps_metal_op_matmul = {.prepare = prepare, .plan = plan};
