/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm.h: C = alpha*A*B + beta*C, then bias and neuron, for every operator that multiplies matrices.
 *
 * Called by ops/cpu_{matmul,matrix_vector,fully_connected,lora}.c. A, B and C have general byte strides,
 * so that a transpose is an exchange of two strides. Element (i, k) of A of batch b is at
 * a + b*a_batch_bytes + i*a_row_bytes + k*a_column_bytes, and so for B (k, j) and C (i, j).
 *
 * Types: any of f32, f16, bf16 for A and for B independently, with C f32, f16 or bf16; i8 with i8 to
 * i32, f32 or f16; i16 with i16 to f32. Bounds and edge cases: include/anymps/kernels.h, matmul. With
 * an error bound of 2·k·2^-24, k = 1 leaves room for one rounding of the product and one of the result:
 * alpha*sum + beta*C + bias is formed in one rounding (fma, or double). Addresses need no alignment:
 * wrapped memory may lie anywhere.
 */
#ifndef AMPS_GEMM_H
#define AMPS_GEMM_H

#include "backend/cpu/cpu.h"

/* What follows alpha*A*B + beta*C in f32, before the one rounding to C's type. */
typedef struct amps_gemm_epilogue {
    const void *bias;                 /* n elements of C's type, side by side, or NULL */
    const void *prelu;                /* n elements of C's type, or NULL; goes with the neuron PRELU only */
    const amps_neuron_params *neuron; /* NULL: none. Its alpha is 1. */
    size_t bias_batch_bytes;          /* from the bias of batch b to that of b + 1; 0: one for all */
    size_t prelu_batch_bytes;
} amps_gemm_epilogue;

typedef struct amps_gemm_args {
    const amps_cpu_device *device;
    size_t m, n, k;
    size_t batch;
    anymps_dtype a_dtype, b_dtype, c_dtype;
    const unsigned char *a;
    size_t a_row_bytes, a_column_bytes, a_batch_bytes;
    const unsigned char *b;
    size_t b_row_bytes, b_column_bytes, b_batch_bytes;
    unsigned char *c;
    size_t c_row_bytes, c_column_bytes, c_batch_bytes;
    double alpha, beta;                     /* act in f32 for floating C; beta 0: C is not read */
    bool reduced;                           /* ANYMPS_ALLOW_REDUCED_PRECISION: f32 may lose digits */
    const amps_gemm_epilogue *epilogue;     /* NULL: none; floating C only */
    amps_constant *a_constant, *b_constant; /* NULL: the bytes may change; else room for a packed copy */
} amps_gemm_args;

/* Bytes of scratch that amps_gemm needs; false if they exceed size_t. Looks at everything but the
   addresses, so that it can be asked before operands exist. */
bool amps_gemm_scratch(const amps_gemm_args *args, size_t *bytes);

/* Runs over the whole batch on the device's pool. `scratch` is aligned to a page. Cannot fail. */
void amps_gemm(const amps_gemm_args *args, void *scratch);

/* For `plan` of a kernel whose arguments live as long as the record (no epilogue): plans once what amps_gemm plans for
   each call. False if the scratch exceeds size_t. */
bool amps_gemm_step(const amps_gemm_args *args, amps_cpu_step *step, size_t *bytes);

/* What amps_gemm would choose for these types on this device, for explain: "f32_gemm_14x32__avx512". */
const char *amps_gemm_explain(const amps_cpu_device *device, anymps_dtype a_dtype, anymps_dtype b_dtype,
                              anymps_dtype c_dtype);

/* The plain loops (gemm_reference.c): the fallback for everything without a microkernel. No scratch. */
void amps_gemm_reference(const amps_gemm_args *args);

#endif /* AMPS_GEMM_H */
