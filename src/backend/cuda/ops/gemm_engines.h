/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_engines.h: the engines behind cuda_gemm.c. Each looks at a problem and either declines or says what it would
 * launch. Files gemm_<engine>.c, kernels <engine>.cu.
 */
#ifndef AMPS_GEMM_ENGINES_H
#define AMPS_GEMM_ENGINES_H

#include "backend/cuda/ops/cuda_ops.h"

typedef struct amps_gemm_launch {
    amps_cuda_function function;
    amps_cuda_shape shape;
    amps_gemm_params params;
    const char *name; /* for explanations; lives for ever */
} amps_gemm_launch;

/* Up to 16 rows (or columns) and a large matrix: read once, at memory speed. */
bool amps_gemm_skinny(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_launch *launch);

/* f16 and bf16 of every aligned layout, on the tensor cores. */
bool amps_gemm_tensor(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_launch *launch);

/* cuBLASLt; scratch of AMPS_LT_WORKSPACE_BYTES. */
bool amps_gemm_vendor_can(amps_cuda_device *device, const amps_gemm *gemm);
anymps_status amps_gemm_vendor_emit(amps_cuda_emitter *out, const amps_gemm *gemm);

/* Large f32 products in bf16 parts on the tensor cores, inside f32's bound; `ordinary` launches the kernel for
   values that cannot be cut. */
bool amps_gemm_parts_can(const amps_cuda_device *device, const amps_gemm *gemm);
size_t amps_gemm_parts_scratch(const amps_gemm *gemm);
anymps_status amps_gemm_parts_emit(amps_cuda_emitter *out, const amps_gemm *gemm,
                                   anymps_status (*ordinary)(amps_cuda_emitter *, const amps_gemm *));

#endif /* AMPS_GEMM_ENGINES_H */
