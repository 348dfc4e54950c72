/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_packed.c: the packed copy of a constant B (ANYMPS_CONSTANT), whole and in strips of the microkernel's width.
 *
 * Called by gemm.c before the tasks of a job; calls packed.c, which keeps the copy with its matrix, and pack.c. The
 * copy has the same order as what gemm_strip.c packs for one call, so that bits do not depend on whether it exists.
 *
 *     k in [0, kc):      strip 0 (kc rows of `width`), strip 1, …    kept_columns * kc elements
 *     k in [kc, 2·kc):   strip 0, strip 1, …
 */
#include "backend/cpu/gemm_low.h"

#include "base/checked.h"

enum { STRIPS_PER_TASK = 16 };

typedef struct filling {
    const amps_gemm_job *job;
    amps_pack_source source;
    size_t width, groups; /* of STRIPS_PER_TASK strips */
    float *to;
} filling;

static void fill_task(void *context, size_t task, size_t thread)
{
    (void)thread;
    const filling *f = context;
    const amps_gemm_job *job = f->job;
    const size_t k = task / f->groups * job->kc, kc = amps_min(job->kc, job->args.k - k);
    const size_t group = f->width * STRIPS_PER_TASK, j = task % f->groups * group;
    amps_pack(job->ukr, job->args.device->rows, &f->source, j, amps_min(group, job->args.n - j), k, kc, f->width,
              f->to + k * job->kept_columns + j * kc);
}

static void fill(const void *context, void *to)
{
    const amps_gemm_job *job = context;
    const amps_gemm_args *args = &job->args;
    filling f = {.job = job, .width = job->vectors * job->ukr->lanes, .to = to};
    f.source = (amps_pack_source){args->b, job->b_column, job->b_row, args->b_dtype};
    f.groups = (args->n + f.width * STRIPS_PER_TASK - 1) / (f.width * STRIPS_PER_TASK);
    amps_pool_run(args->device->pool, f.groups * ((args->k + job->kc - 1) / job->kc), fill_task, &f);
}

const float *amps_gemm_packed_b(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    if (job->way == AMPS_GEMM_LOW) {
        return amps_gemm_low_packed_b(job);
    }
    const amps_packed_key key = {.base = args->b,
                                 .across = job->b_column,
                                 .along = job->b_row,
                                 .count = args->n,
                                 .interior = args->k,
                                 .width = job->vectors * job->ukr->lanes,
                                 .block = job->kc,
                                 .dtype = args->b_dtype,
                                 .layout = AMPS_GEMM_LAYOUT_F32};
    size_t bytes;
    if (!amps_mul(job->kept_columns, args->k, &bytes) || !amps_mul(bytes, sizeof(float), &bytes)) {
        return NULL;
    }
    return amps_packed_get(args->device->packed, args->b_constant, &key, bytes, fill, job);
}
