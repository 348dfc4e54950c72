/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm.c: chooses who runs a matrix product (gemm.h). Called by the operators; calls the reference loops.
 */
#include "backend/cpu/gemm.h"

bool amps_gemm_scratch(const amps_gemm_args *args, size_t *bytes)
{
    (void)args;
    *bytes = 0;
    return true;
}

void amps_gemm(const amps_gemm_args *args, void *scratch)
{
    (void)scratch;
    amps_gemm_reference(args);
}

const char *amps_gemm_explain(const amps_cpu_device *device, anymps_dtype a_dtype, anymps_dtype b_dtype,
                              anymps_dtype c_dtype)
{
    (void)device;
    (void)a_dtype;
    (void)b_dtype;
    (void)c_dtype;
    return "gemm_reference";
}
