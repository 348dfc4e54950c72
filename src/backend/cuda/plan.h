/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: what is kept of a command buffer between two commits: scratch memory and, from the second
 * commit on, a CUDA graph of its launches. Made and used by cuda_queue.c, implemented in plan.c.
 */
#ifndef AMPS_CUDA_PLAN_H
#define AMPS_CUDA_PLAN_H

#include "backend/cuda/recent.h"

typedef struct amps_cuda_plan {
    amps_cuda_device *device;
    uint64_t generation; /* of the records that it was made from */
    uint64_t commits;    /* of these records */
    CUgraphExec graph;   /* NULL: none yet */
    bool without_graph;  /* the driver refused to capture, or there is nothing to gain */
    size_t launches;     /* of the last direct run */
    void *scratch;
    size_t scratch_bytes; /* as the pool wants them back */

    /* One commit in flight; written by cuda_queue.c. */
    uint32_t sequence;
    bool timed;
    CUevent started, ended; /* made when timings are first asked for */
    anymps_error failure;   /* status OK: none */
} amps_cuda_plan;

/* The submission's plan, fresh or brought up to date with its records. The context is entered. */
anymps_status amps_cuda_plan_get(amps_cuda_device *device, amps_submission *submission, amps_cuda_plan **plan);

/* Sends the records to `stream`, by the graph if there is one (built in `capture`), or by that of an equal run in `recent`.
   `*ran` says whether anything may have been launched when it fails. The context is entered. */
anymps_status amps_cuda_plan_run(amps_cuda_plan *plan, const amps_submission *submission, CUstream stream,
                                 CUstream capture, amps_cuda_recent *recent, bool *ran);

#endif /* AMPS_CUDA_PLAN_H */
