/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_matrix_vector.c: matrix_vector on the CPU: a product whose right side has one column. Run by
 * cpu_queue.c; gemm.h multiplies.
 */
#include "backend/cpu/cpu_product.h"

/* A vector's view is one row; as B and C it stands upright, so rows and columns change places. */
static amps_gemm_args arguments(const amps_cpu_device *device, const amps_record *record)
{
    const anymps_matrix_vector_desc *const desc = record->desc;
    amps_gemm_args args = {.device = device, .batch = record->batch, .alpha = desc->alpha, .beta = desc->beta};
    amps_product_a(&args, &record->operands[0], desc->transpose);
    amps_product_b(&args, &record->operands[1], true);
    amps_product_c(&args, &record->operands[2]);
    args.m = record->operands[2].columns;
    args.n = 1;
    args.c_row_bytes = args.c_column_bytes;
    return args;
}

static bool plan(const amps_cpu_device *device, const amps_record *record, amps_cpu_step *step, size_t *bytes)
{
    const amps_gemm_args args = arguments(device, record);
    return amps_gemm_step(&args, step, bytes);
}

static anymps_status prepare(amps_cpu_kernel *kernel)
{
    const anymps_matrix_vector_desc *const desc = kernel->desc;
    kernel->plan = plan;
    return amps_product_prepare(kernel, desc->algorithm, desc->matrix_dtype, desc->vector_dtype, desc->result_dtype);
}

const amps_cpu_op amps_cpu_matrix_vector = {"matrix_vector", amps_product_supports, prepare, NULL, NULL};
