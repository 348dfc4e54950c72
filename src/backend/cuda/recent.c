/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recent.c: runs that a queue has seen lately, and what a run would launch. See recent.h. Called by plan.c, cuda_queue.c and,
 * for each launch, modules.c.
 */
#include "backend/cuda/recent.h"

#include <string.h>

static void append(amps_cuda_trace *trace, const void *bytes, size_t count)
{
    if (trace->whole && count <= sizeof trace->data - trace->bytes) {
        memcpy(trace->data + trace->bytes, bytes, count);
        trace->bytes += count;
    } else {
        trace->whole = false;
    }
}

void amps_cuda_note_launch(amps_cuda_emitter *out, amps_cuda_function function, const amps_cuda_shape *shape,
                           const void *params, size_t params_bytes)
{
    /* Member by member: bytes between them may hold anything. */
    const size_t numbers[] = {(size_t)function, shape->grid_x,       shape->grid_y,
                              shape->grid_z,    shape->block_x,      (size_t)shape->block_y,
                              shape->cluster_x, shape->shared_bytes, params_bytes};
    append(out->trace, numbers, sizeof numbers);
    append(out->trace, params, params_bytes);
}

bool amps_cuda_launches_elsewhere(amps_cuda_emitter *out)
{
    if (out->trace != NULL) {
        out->trace->whole = false;
    }
    return out->trace != NULL;
}

static bool is_equal(const amps_cuda_recent_run *run, const amps_cuda_trace *trace)
{
    return run->times > 0 && run->trace.bytes == trace->bytes &&
           memcmp(run->trace.data, trace->data, trace->bytes) == 0;
}

static void drop(amps_cuda_recent_run *run)
{
    if (run->graph != NULL) {
        (void)amps_cu.GraphExecDestroy(run->graph);
    }
    memset(run, 0, sizeof *run);
}

amps_cuda_recent_run *amps_cuda_recent_find(amps_cuda_recent *recent, const amps_cuda_trace *trace)
{
    amps_cuda_recent_run *found = &recent->runs[0];
    if (!trace->whole || trace->bytes == 0) {
        return NULL;
    }
    for (size_t i = 0; i < AMPS_CUDA_RECENT_RUNS; i++) {
        amps_cuda_recent_run *const run = &recent->runs[i];
        if (is_equal(run, trace)) {
            found = run;
            break;
        }
        found = run->used < found->used ? run : found;
    }
    if (!is_equal(found, trace)) {
        drop(found);
        found->trace.whole = true;
        found->trace.bytes = trace->bytes;
        memcpy(found->trace.data, trace->data, trace->bytes);
    }
    found->times += found->times < AMPS_CUDA_GRAPH_FROM ? 1 : 0;
    found->used = ++recent->clock;
    return found;
}

void amps_cuda_recent_drop(amps_cuda_recent *recent)
{
    for (size_t i = 0; i < AMPS_CUDA_RECENT_RUNS; i++) {
        drop(&recent->runs[i]);
    }
}
