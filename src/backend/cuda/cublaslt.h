/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cublaslt.h: NVIDIA's matmul library as one engine among others, opened at run time if it is installed.
 * Called by cuda.c (open, close) and ops/cuda_gemm.c.
 */
#ifndef AMPS_CUBLASLT_H
#define AMPS_CUBLASLT_H

#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels/params.h"

/* NULL where the library is missing or refuses; never an error. The context is entered by the callee. */
amps_cublaslt *amps_cublaslt_open(amps_cuda_device *device);
void amps_cublaslt_close(amps_cublaslt *lt);

#endif /* AMPS_CUBLASLT_H */
