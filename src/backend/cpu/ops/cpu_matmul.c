/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_matmul.c: matmul on the CPU: views to arguments. Run by cpu_queue.c; gemm.h multiplies.
 */
#include "backend/cpu/cpu_product.h"

static amps_gemm_args arguments(const amps_cpu_device *device, const amps_record *record)
{
    const anymps_matmul_desc *const desc = record->desc;
    amps_gemm_args args = {.device = device, .batch = record->batch, .alpha = desc->alpha, .beta = desc->beta};
    args.reduced = (desc->options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0;
    amps_product_a(&args, &record->operands[0], desc->transpose_left);
    amps_product_b(&args, &record->operands[1], desc->transpose_right);
    amps_product_c(&args, &record->operands[2]);
    return args;
}

static bool plan(const amps_cpu_device *device, const amps_record *record, amps_cpu_step *step, size_t *bytes)
{
    const amps_gemm_args args = arguments(device, record);
    return amps_gemm_step(&args, step, bytes);
}

static anymps_status prepare(amps_cpu_kernel *kernel)
{
    const anymps_matmul_desc *const desc = kernel->desc;
    kernel->plan = plan;
    const bool reduced = (desc->options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0;
    const bool tiles = (amps_cpu_of(kernel)->features & AMPS_CPU_AMX_BF16) != 0;
    if (reduced && tiles && desc->left_dtype == ANYMPS_DTYPE_F32) {
        return amps_cpu_explain(kernel, desc->algorithm,
                                "f32_reduced_gemm_32x32__amx if large, else f32_gemm_14x32__avx512");
    }
    return amps_product_prepare(kernel, desc->algorithm, desc->left_dtype, desc->right_dtype, desc->result_dtype);
}

const amps_cpu_op amps_cpu_matmul = {"matmul", amps_product_supports, prepare, NULL, NULL};
