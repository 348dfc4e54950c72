/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_small.h: small products of narrow types, which nothing packs (gemm_small.c), for gemm_plan.c and gemm.c. */
#ifndef AMPS_GEMM_SMALL_H
#define AMPS_GEMM_SMALL_H

#include "backend/cpu/gemm_job.h"

/* A call of the microkernel. */
typedef struct amps_gemm_small_call {
    const amps_low_small_ukr *ukr;
    amps_low_small call;
} amps_gemm_small_call;

/* Does a job whose strides are resolved run this way? Depends on shape, strides and types alone. */
bool amps_gemm_small_takes(const amps_gemm_job *job);

/* Tiles, before tasks are cut; then the scratch of one thread, false if it exceeds size_t. */
void amps_gemm_small_block(amps_gemm_job *job);
bool amps_gemm_small_scratch(amps_gemm_job *job);

void amps_gemm_small_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch);

/* If the job is one call: fills it. Then runs it; `scratch` as of a task. */
bool amps_gemm_small_single(const amps_gemm_job *job, amps_gemm_small_call *call);
void amps_gemm_small_run(const amps_gemm_small_call *call, float *scratch);

#endif /* AMPS_GEMM_SMALL_H */
