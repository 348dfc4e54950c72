/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm.c: the entry of matrix products: plans a product, spreads its tasks over the pool, runs each the chosen way.
 *
 * Called by ops/cpu_{matmul,matrix_vector,fully_connected,lora}.c; calls gemm_plan.c, then gemm_strip.c, gemm_small.c or
 * gemm_vector.c, gemm_packed.c for constant operands and gemm_reference.c for what has no microkernel. Knows no operator.
 */
#include "backend/cpu/gemm_low.h"
#include "backend/cpu/gemm_small.h"

#include "base/checked.h"

#include <assert.h>

typedef struct gemm_run {
    const amps_gemm_job *job;
    unsigned char *scratch;
} gemm_run;

static void run_task(void *context, size_t task, size_t thread)
{
    const gemm_run *run = (const gemm_run *)context;
    const amps_gemm_job *job = run->job;
    float *scratch = (float *)(void *)(run->scratch + thread * job->thread_bytes);
    if (job->way == AMPS_GEMM_LOW) {
        amps_gemm_low_task(job, task, scratch);
        return;
    }
    const amps_gemm_part part = amps_gemm_part_of(job, task);
    if (job->way == AMPS_GEMM_STRIP) {
        amps_gemm_strip_task(job, &part, scratch);
    } else if (job->way == AMPS_GEMM_SMALL) {
        amps_gemm_small_task(job, &part, scratch);
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

/* Scratch of all threads; false if it exceeds size_t. */
static bool all_scratch(const amps_gemm_job *job, size_t *bytes)
{
    return amps_mul(job->thread_bytes, amps_pool_threads(job->args.device->pool), bytes) &&
           amps_add(*bytes, job->shared_bytes, bytes);
}

bool amps_gemm_scratch(const amps_gemm_args *args, size_t *bytes)
{
    amps_gemm_job job;
    *bytes = 0;
    return is_empty(args) || (amps_gemm_plan(args, &job) && all_scratch(&job, bytes));
}

static void run_job(const amps_gemm_job *job, void *scratch)
{
    amps_gemm_job kept;
    if (job->way == AMPS_GEMM_PLAIN) {
        amps_gemm_reference(&job->args);
        return;
    }
    if (job->keep_a || job->keep_b || job->shared_bytes != 0) {
        kept = *job;
        kept.kept_a = job->keep_a ? amps_gemm_low_packed_a(job) : NULL;
        kept.kept_b = job->keep_b ? amps_gemm_packed_b(job) : NULL;
        if (job->shared_bytes != 0) {
            amps_gemm_low_share(&kept, scratch);
        }
        job = &kept;
    }
    gemm_run run = {job, (unsigned char *)scratch + job->shared_bytes};
    amps_pool_run(job->args.device->pool, job->batch_tasks * job->m_tasks * job->n_tasks, run_task, &run);
}

void amps_gemm(const amps_gemm_args *args, void *scratch)
{
    amps_gemm_job job;
    if (is_empty(args)) {
        return;
    }
    if (!amps_gemm_plan(args, &job)) {
        amps_gemm_reference(args);
        return;
    }
    run_job(&job, scratch);
}

/* What a step keeps: the call of the microkernel if there is just one, else the job. */
typedef struct strip_step {
    void (*strip)(const amps_gemm_strip *strip);
    amps_gemm_strip call;
} strip_step;

typedef struct dot_step {
    void (*dot)(const amps_gemm_dot *dot);
    amps_gemm_dot call;
} dot_step;

typedef struct row_step {
    void (*row)(const amps_gemm_row *row);
    amps_gemm_row call;
} row_step;

static_assert(sizeof(amps_gemm_job) <= AMPS_CPU_STEP_ROOM && sizeof(strip_step) <= AMPS_CPU_STEP_ROOM,
              "a planned product fits into a step");

static void run_nothing(const amps_cpu_step *step, void *scratch)
{
    (void)step;
    (void)scratch;
}

static void run_strip(const amps_cpu_step *step, void *scratch)
{
    const strip_step *const single = (const void *)step->room;
    (void)scratch;
    single->strip(&single->call);
}

static void run_dot(const amps_cpu_step *step, void *scratch)
{
    const dot_step *const single = (const void *)step->room;
    (void)scratch;
    single->dot(&single->call);
}

static void run_row(const amps_cpu_step *step, void *scratch)
{
    const row_step *const single = (const void *)step->room;
    (void)scratch;
    single->row(&single->call);
}

static void run_small(const amps_cpu_step *step, void *scratch)
{
    amps_gemm_small_run((const void *)step->room, scratch);
}

static void run_planned(const amps_cpu_step *step, void *scratch)
{
    run_job((const void *)step->room, scratch);
}

bool amps_gemm_step(const amps_gemm_args *args, amps_cpu_step *step, size_t *bytes)
{
    *bytes = 0;
    if (is_empty(args)) {
        step->run = run_nothing;
        return true;
    }
    amps_gemm_job *const job = (void *)step->room;
    if (!amps_gemm_plan(args, job) || !all_scratch(job, bytes)) {
        return false;
    }
    strip_step strip = {.strip = job->flat ? job->ukr->flat : job->outer ? job->ukr->outer : job->ukr->strip};
    dot_step dot = {.dot = job->ukr->dot};
    row_step row = {.row = job->ukr->row};
    amps_gemm_small_call small;
    step->run = run_planned;
    if (amps_gemm_single_strip(job, &strip.call)) {
        *(strip_step *)(void *)step->room = strip;
        step->run = run_strip;
        *bytes = 0;
    } else if (amps_gemm_single_dot(job, &dot.call)) {
        *(dot_step *)(void *)step->room = dot;
        step->run = run_dot;
        *bytes = 0;
    } else if (amps_gemm_small_single(job, &small)) {
        *(amps_gemm_small_call *)(void *)step->room = small;
        step->run = run_small;
    } else if (amps_gemm_single_row(job, &row.call)) {
        *(row_step *)(void *)step->room = row;
        step->run = run_row;
        *bytes = 0;
    }
    return true;
}

const char *amps_gemm_explain(const amps_cpu_device *device, anymps_dtype a_dtype, anymps_dtype b_dtype,
                              anymps_dtype c_dtype)
{
    const amps_low_ukr *low = amps_gemm_low_choose(device, a_dtype, b_dtype);
    const bool f32 = a_dtype == ANYMPS_DTYPE_F32 && b_dtype == a_dtype && c_dtype == a_dtype;
    if (f32 && (device->features & AMPS_CPU_AMX_BF16) != 0) {
        return "f32_gemm_32x32__amx if large, else f32_gemm_14x32__avx512";
    }
    return low != NULL ? low->name : amps_gemm_choose(device)->name; /* all others are widened to f32 */
}
