/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm.c: the entry of matrix products: plans a product, spreads its tasks over the pool, runs each the chosen way.
 *
 * Called by ops/cpu_{matmul,matrix_vector,fully_connected,lora}.c; calls gemm_plan.c, then gemm_strip.c or
 * gemm_vector.c, gemm_packed.c for constant operands and gemm_reference.c for what has no microkernel. Knows no operator.
 */
#include "backend/cpu/gemm_job.h"

#include "base/checked.h"

typedef struct gemm_run {
    const amps_gemm_job *job;
    unsigned char *scratch;
} gemm_run;

static void run_task(void *context, size_t task, size_t thread)
{
    const gemm_run *run = (const gemm_run *)context;
    const amps_gemm_job *job = run->job;
    const amps_gemm_part part = amps_gemm_part_of(job, task);
    float *scratch = (float *)(void *)(run->scratch + thread * job->thread_bytes);
    if (job->way == AMPS_GEMM_STRIP) {
        amps_gemm_strip_task(job, &part, scratch);
    } else if (job->way == AMPS_GEMM_DOT) {
        amps_gemm_dot_task(job, &part, scratch);
    } else {
        amps_gemm_row_task(job, &part, scratch);
    }
}

static bool is_empty(const amps_gemm_args *args)
{
    return args->m == 0 || args->n == 0 || args->batch == 0;
}

bool amps_gemm_scratch(const amps_gemm_args *args, size_t *bytes)
{
    amps_gemm_job job;
    *bytes = 0;
    return is_empty(args) ||
           (amps_gemm_plan(args, &job) && amps_mul(job.thread_bytes, amps_pool_threads(args->device->pool), bytes));
}

void amps_gemm(const amps_gemm_args *args, void *scratch)
{
    amps_gemm_job job;
    if (is_empty(args)) {
        return;
    }
    if (!amps_gemm_plan(args, &job) || job.way == AMPS_GEMM_PLAIN) {
        amps_gemm_reference(args);
        return;
    }
    if (job.keep_b) {
        job.kept_b = amps_gemm_packed_b(&job);
    }
    gemm_run run = {&job, (unsigned char *)scratch};
    amps_pool_run(args->device->pool, job.batch_tasks * job.m_tasks * job.n_tasks, run_task, &run);
}

const char *amps_gemm_explain(const amps_cpu_device *device, anymps_dtype a_dtype, anymps_dtype b_dtype,
                              anymps_dtype c_dtype)
{
    (void)a_dtype; /* all types are widened to f32 on the way into the tiles */
    (void)b_dtype;
    (void)c_dtype;
    return amps_gemm_choose(device)->name;
}
