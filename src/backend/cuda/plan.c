/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c: turns the records of a command buffer into launches and remembers them as a CUDA graph.
 * Called by cuda_queue.c; calls the operators' `scratch` and `emit`. See plan.h.
 */
#include "backend/cuda/plan.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <string.h>

/* Longer lists are not compared with what ran before: their operators would all be asked twice. */
enum { RECENT_RECORDS = 4 };

static void forget(amps_cuda_plan *plan)
{
    if (plan->graph != NULL) {
        (void)amps_cu.GraphExecDestroy(plan->graph);
    }
    amps_cuda_pool_give(plan->device, false, plan->scratch, plan->scratch_bytes);
    plan->graph = NULL;
    plan->without_graph = false;
    plan->scratch = NULL;
    plan->scratch_bytes = 0;
    plan->commits = 0;
}

static void release_plan(void *opaque)
{
    amps_cuda_plan *const plan = opaque;
    if (amps_cuda_enter(plan->device) == CUDA_SUCCESS) {
        forget(plan);
        if (plan->started != NULL) {
            (void)amps_cu.EventDestroy(plan->started);
        }
        if (plan->ended != NULL) {
            (void)amps_cu.EventDestroy(plan->ended);
        }
        amps_cuda_leave();
    }
    amps_free(plan);
}

static size_t scratch_of(amps_cuda_device *device, const amps_submission *submission)
{
    size_t most = 0;
    for (size_t i = 0; i < submission->count; i++) {
        const amps_record *const record = &submission->records[i];
        const amps_cuda_operator *const op = amps_cuda_operators[record->op];
        if (op->scratch != NULL && record->batch > 0) {
            most = amps_max(most, op->scratch(device, record));
        }
    }
    return most;
}

anymps_status amps_cuda_plan_get(amps_cuda_device *device, amps_submission *submission, amps_cuda_plan **out)
{
    amps_cuda_plan *plan = submission->plan;
    if (plan == NULL) {
        plan = amps_calloc(1, sizeof *plan);
        if (plan == NULL) {
            return ANYMPS_OUT_OF_MEMORY;
        }
        plan->device = device;
        plan->generation = submission->generation;
        submission->release_plan = release_plan;
        submission->plan = plan;
    }
    if (plan->generation != submission->generation) {
        forget(plan);
        plan->generation = submission->generation;
    }
    if (plan->commits == 0 && plan->scratch == NULL) {
        size_t bytes = scratch_of(device, submission);
        if (bytes > 0) {
            ANYMPS_TRY(amps_cuda_pool_take(device, false, &bytes, &plan->scratch));
            plan->scratch_bytes = bytes;
        }
    }
    *out = plan;
    return ANYMPS_OK;
}

/* ---- What a run has written -------------------------------------------------------------------- */

/* The bytes of an operand with all matrices of the batch; encode has shown that they do not overflow. */
static amps_cuda_range range_of(const amps_record *record, size_t operand)
{
    const amps_view *const view = &record->operands[operand];
    if (view->memory == NULL || view->rows == 0 || view->columns == 0 || record->batch == 0) {
        return (amps_cuda_range){0, 0};
    }
    const uint64_t begin = (uint64_t)(uintptr_t)view->memory->native + view->offset_bytes;
    return (amps_cuda_range){begin, begin + (record->batch - 1) * view->matrix_bytes +
                                        (view->rows - 1) * view->row_bytes +
                                        view->columns * anymps_dtype_bytes(view->dtype)};
}

bool amps_cuda_is_settled(const amps_cuda_emitter *out, const amps_record *record, size_t operand)
{
    const amps_cuda_range range = range_of(record, operand);
    bool settled = out->ranges <= AMPS_CUDA_RANGES || range.begin == range.end;
    for (size_t i = 0; i < out->ranges && settled; i++) {
        settled = range.end <= out->written[i].begin || out->written[i].end <= range.begin;
    }
    return settled;
}

static void note_written(amps_cuda_emitter *out, const amps_record *record)
{
    const unsigned writes = amps_cuda_operators[record->op]->writes | 1u << (record->operand_count - 1);
    for (size_t operand = 0; operand < record->operand_count && out->ranges <= AMPS_CUDA_RANGES; operand++) {
        const amps_cuda_range range = range_of(record, operand);
        bool known = (writes >> operand & 1u) == 0 || range.begin == range.end;
        for (size_t i = 0; i < out->ranges && !known; i++) {
            known = out->written[i].begin <= range.begin && range.end <= out->written[i].end;
        }
        if (!known && out->ranges < AMPS_CUDA_RANGES) {
            out->written[out->ranges] = range;
        }
        out->ranges += known ? 0 : 1;
    }
}

static anymps_status emit_all(amps_cuda_plan *plan, const amps_submission *submission, CUstream stream,
                              amps_cuda_trace *trace, size_t *launches)
{
    amps_cuda_emitter out = {.device = plan->device,
                             .stream = stream,
                             .trace = trace,
                             .scratch = (CUdeviceptr)(uintptr_t)plan->scratch,
                             .scratch_bytes = plan->scratch_bytes};
    anymps_status status = ANYMPS_OK;
    for (size_t i = 0; i < submission->count && status == ANYMPS_OK; i++) {
        const amps_record *const record = &submission->records[i];
        if (record->batch > 0) {
            status = amps_cuda_operators[record->op]->emit(&out, record);
            note_written(&out, record);
        }
    }
    *launches = out.launches;
    return status;
}

/* A graph of the run; NULL if the driver refuses: a capture that fails leaves nothing behind. */
static CUgraphExec build_graph(amps_cuda_plan *plan, const amps_submission *submission, CUstream capture)
{
    CUgraphExec made = NULL;
    if (amps_cu.StreamBeginCapture(capture, CU_STREAM_CAPTURE_MODE_RELAXED) != CUDA_SUCCESS) {
        return NULL;
    }
    size_t launches;
    const anymps_status status = emit_all(plan, submission, capture, NULL, &launches);
    CUgraph graph = NULL;
    const CUresult ended = amps_cu.StreamEndCapture(capture, &graph);
    if (ended != CUDA_SUCCESS || status != ANYMPS_OK || amps_cu.GraphInstantiate(&made, graph, 0) != CUDA_SUCCESS) {
        made = NULL;
    }
    if (graph != NULL) {
        (void)amps_cu.GraphDestroy(graph);
    }
    return made;
}

/* The first commit of these records: a graph of an equal run, if the queue has seen it often enough. */
static CUgraphExec recent_graph(amps_cuda_plan *plan, const amps_submission *submission, CUstream capture,
                                amps_cuda_recent *recent)
{
    amps_cuda_trace trace;
    size_t launches;
    trace.whole = true;
    trace.bytes = 0;
    if (submission->count > RECENT_RECORDS || emit_all(plan, submission, NULL, &trace, &launches) != ANYMPS_OK) {
        return NULL; /* what is wrong the launches will say */
    }
    amps_cuda_recent_run *const run = amps_cuda_recent_find(recent, &trace);
    if (run == NULL || run->times < AMPS_CUDA_GRAPH_FROM) {
        return NULL;
    }
    if (run->graph == NULL && !run->refused) {
        run->graph = build_graph(plan, submission, capture);
        run->refused = run->graph == NULL;
    }
    plan->launches = launches;
    return run->graph;
}

anymps_status amps_cuda_plan_run(amps_cuda_plan *plan, const amps_submission *submission, CUstream stream,
                                 CUstream capture, amps_cuda_recent *recent, bool *ran)
{
    *ran = false;
    const bool again = plan->commits++ > 0;
    if (again && plan->graph == NULL && !plan->without_graph && plan->launches > 0) {
        plan->graph = build_graph(plan, submission, capture);
        plan->without_graph = plan->graph == NULL; /* the records are then launched one by one for good */
    }
    const CUgraphExec graph = again ? plan->graph : recent_graph(plan, submission, capture, recent);
    if (graph != NULL) {
        AMPS_CU_TRY(amps_cu.GraphLaunch(graph, stream), "commit: cuGraphLaunch");
        *ran = true;
        return ANYMPS_OK;
    }
    const anymps_status status = emit_all(plan, submission, stream, NULL, &plan->launches);
    *ran = plan->launches > 0;
    return status;
}
