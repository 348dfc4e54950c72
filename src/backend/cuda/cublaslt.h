/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cublaslt.h: NVIDIA's matmul library as one engine among others, opened at run time if it is installed.
 * Called by cuda.c (close) and ops/gemm_vendor.c. Knows sizes and strides, no operator.
 */
#ifndef AMPS_CUBLASLT_H
#define AMPS_CUBLASLT_H

#include "backend/cuda/cuda_device.h"

/* One product in the library's own terms: column-major matrices, so left and right have changed places. All members are
   of one width, so that two problems can be compared byte by byte. */
typedef struct amps_lt_problem {
    int64_t compute, scale, operand, result; /* its enumerators for arithmetic, factors and element types */
    int64_t transpose_a, transpose_b;        /* 0 or 1 */
    int64_t m, n, k;
    int64_t lda, ldb, ldc;
    int64_t batch;
    int64_t step_a, step_b, step_c; /* elements from a matrix to the next */
    int64_t bias, step_bias;        /* 1: a vector of m of c's type is added to every column; from one to the next */
} amps_lt_problem;

/* What it may use beside the operands. */
#define AMPS_LT_WORKSPACE_BYTES ((size_t)32 << 20)
/* What a bias must start on. */
enum { AMPS_LT_BIAS_ALIGNMENT = 16 };

/* The device's engine, opened at the first call; NULL where the library is missing, too old or switched off by
   ANYMPS_CUDA_CUBLASLT=0. Any thread; the context need not be entered. */
amps_cublaslt *amps_cublaslt_get(amps_cuda_device *device);
void amps_cublaslt_close(amps_cublaslt *lt);
uint64_t amps_cublaslt_version(const amps_cublaslt *lt);

/* How many algorithms it has for the problem, its best guess first, of those that it offers. Remembers them. */
enum { AMPS_LT_ALGORITHMS = 8 };
unsigned amps_cublaslt_has(amps_cublaslt *lt, const amps_lt_problem *problem);

/* What an algorithm is, in the library's own numbers (cublasLtMatmulAlgoConfigAttributes_t), in the order of its enumerators. */
typedef struct amps_lt_config {
    int32_t id, tile, splits, reduction, swizzle, custom, stages, inner, cluster;
} amps_lt_config;

/* Of algorithm `which`; false if the library has none of that number or does not say. */
bool amps_cublaslt_config(amps_cublaslt *lt, const amps_lt_problem *problem, unsigned which, amps_lt_config *config);

/* Runs it by algorithm `which`: c = alpha*a*b + beta*c + bias. The factors are of the problem's scale type. Context
   entered. */
anymps_status amps_cublaslt_run(amps_cublaslt *lt, const amps_lt_problem *problem, unsigned which, const void *alpha,
                                const void *beta, CUdeviceptr a, CUdeviceptr b, CUdeviceptr c, CUdeviceptr bias,
                                CUdeviceptr workspace, CUstream stream);

#endif /* AMPS_CUBLASLT_H */
