/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_measure.c: times every way to run a product, on operands of its own, in CUDA graphs as a command buffer that is
 * committed again would run it (gemm_measured.h). Called by cuda_gemm.c when a kernel is made with ANYMPS_MEASURE; calls
 * gemm_choice.c for the ways and cuda_gemm.c to run them.
 */
#include "backend/cuda/ops/gemm_measured.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 200, ROUNDS = 5, BLOCK_BYTES = 1 << 16 };
/* A graph should last this long, so that events (half a microsecond) and the graph's own start hardly count. */
static const double graph_us = 120.0, slow = 1.5;

typedef struct way {
    amps_gemm_choice choice;
    CUgraphExec graph; /* NULL: cannot run, or is far behind */
    double us[ROUNDS];
} way;

typedef struct measurement {
    amps_cuda_device *device;
    amps_gemm gemm;
    CUstream stream;
    CUevent begin, end;
    struct {
        void *block;
        size_t bytes;
    } memory[4]; /* left, right, result, scratch */
    size_t count;
    int repeats; /* of the product in a graph */
    way ways[WAYS];
} measurement;

/* ---- Operands --------------------------------------------------------------------------------- */

/* Bytes that are ordinary numbers of either sign in every type: a product of zeros draws less power and runs faster. */
static void fill_block(unsigned char *block, amps_gemm_kind kind)
{
    uint32_t seed = 12345;
    const bool f32 = kind == AMPS_GEMM_F32_F32, half = kind == AMPS_GEMM_F16_F16 || kind == AMPS_GEMM_F16_F32;
    const bool brain = kind == AMPS_GEMM_BF16_BF16 || kind == AMPS_GEMM_BF16_F32;
    for (size_t at = 0; at < BLOCK_BYTES; at += 4) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t word = seed ^ seed >> 15;
        if (f32) { /* 0.25 … 1 in size */
            word = (word & 0x80ffffffu) | 0x3e800000u;
        } else if (half) {
            word = (word & 0x87ff87ffu) | 0x34003400u;
        } else if (brain) {
            word = (word & 0x80ff80ffu) | 0x3e803e80u;
        }
        memcpy(block + at, &word, 4);
    }
}

static int64_t element_bytes(amps_gemm_kind kind)
{
    switch (kind) {
    case AMPS_GEMM_F32_F32: return 4;
    case AMPS_GEMM_I8_F32:
    case AMPS_GEMM_I8_F16:
    case AMPS_GEMM_I8_I32: return 1;
    default: return 2;
    }
}

static anymps_status fill(measurement *m, int which, const unsigned char *block)
{
    const CUdeviceptr to = (CUdeviceptr)(uintptr_t)m->memory[which].block;
    const size_t bytes = m->memory[which].bytes;
    const size_t first = amps_min(bytes, BLOCK_BYTES);
    AMPS_CU_TRY(amps_cu.MemcpyAsync(to, (CUdeviceptr)(uintptr_t)block, first, m->stream), "measure: cuMemcpyAsync");
    for (size_t done = first; done < bytes; done += amps_min(done, bytes - done)) {
        AMPS_CU_TRY(amps_cu.MemcpyAsync(to + done, to, amps_min(done, bytes - done), m->stream),
                    "measure: cuMemcpyAsync");
    }
    AMPS_CU_TRY(amps_cu.StreamSynchronize(m->stream), "measure: cuStreamSynchronize");
    return ANYMPS_OK;
}

static anymps_status make_operands(measurement *m)
{
    amps_gemm_params *const p = &m->gemm.params;
    const int64_t element = element_bytes(m->gemm.kind);
    const size_t bytes[4] = {(size_t)(p->rows * p->interior * element), (size_t)(p->interior * p->columns * element),
                             (size_t)(p->rows * p->columns * 4), 0};
    size_t scratch = 0;
    for (size_t i = 0; i < m->count; i++) {
        scratch = amps_max(scratch, amps_choice_scratch(&m->gemm, &m->ways[i].choice));
    }
    for (int i = 0; i < 4; i++) {
        size_t wanted = i < 3 ? bytes[i] : scratch;
        if (wanted > 0) {
            ANYMPS_TRY(amps_cuda_pool_take(m->device, false, &wanted, &m->memory[i].block));
            m->memory[i].bytes = wanted;
        }
    }
    p->left = (uint64_t)(uintptr_t)m->memory[0].block;
    p->right = (uint64_t)(uintptr_t)m->memory[1].block;
    p->result = (uint64_t)(uintptr_t)m->memory[2].block;
    p->left_matrix = p->right_matrix = p->result_matrix = 0;
    unsigned char *const block = amps_malloc(BLOCK_BYTES);
    if (block == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    fill_block(block, m->gemm.kind);
    anymps_status status = fill(m, 0, block);
    if (status == ANYMPS_OK) {
        status = fill(m, 1, block);
    }
    amps_free(block);
    return status;
}

/* ---- Timing ----------------------------------------------------------------------------------- */

static anymps_status capture(measurement *m, way *w)
{
    amps_cuda_emitter out = {.device = m->device,
                             .stream = m->stream,
                             .scratch = (CUdeviceptr)(uintptr_t)m->memory[3].block,
                             .scratch_bytes = m->memory[3].bytes};
    CUgraph graph = NULL;
    anymps_status status = ANYMPS_OK;
    AMPS_CU_TRY(amps_cu.StreamBeginCapture(m->stream, CU_STREAM_CAPTURE_MODE_RELAXED), "measure: cuStreamBeginCapture");
    for (int i = 0; i < m->repeats && status == ANYMPS_OK; i++) {
        status = amps_choice_run(&out, &m->gemm, &w->choice);
    }
    const CUresult ended = amps_cu.StreamEndCapture(m->stream, &graph);
    const CUresult made =
        ended == CUDA_SUCCESS && status == ANYMPS_OK ? amps_cu.GraphInstantiate(&w->graph, graph, 0) : ended;
    if (graph != NULL) {
        (void)amps_cu.GraphDestroy(graph);
    }
    ANYMPS_TRY(status);
    AMPS_CU_TRY(made, "measure: cuGraphInstantiate");
    return ANYMPS_OK;
}

static anymps_status time_one(const measurement *m, const way *w, double *us)
{
    float ms = 0;
    AMPS_CU_TRY(amps_cu.EventRecord(m->begin, m->stream), "measure: cuEventRecord");
    AMPS_CU_TRY(amps_cu.GraphLaunch(w->graph, m->stream), "measure: cuGraphLaunch");
    AMPS_CU_TRY(amps_cu.EventRecord(m->end, m->stream), "measure: cuEventRecord");
    AMPS_CU_TRY(amps_cu.StreamSynchronize(m->stream), "measure: cuStreamSynchronize");
    AMPS_CU_TRY(amps_cu.EventElapsedTime(&ms, m->begin, m->end), "measure: cuEventElapsedTime");
    *us = (double)ms * 1e3 / m->repeats;
    return ANYMPS_OK;
}

static void drop_graph(way *w)
{
    if (w->graph != NULL) {
        (void)amps_cu.GraphExecDestroy(w->graph);
        w->graph = NULL;
    }
}

/* A first run of each (it loads modules, so the second counts) leaves out those far behind. */
static anymps_status first_round(measurement *m)
{
    double best = 0;
    for (size_t i = 0; i < m->count; i++) {
        way *const w = &m->ways[i];
        ANYMPS_TRY(capture(m, w));
        ANYMPS_TRY(time_one(m, w, &w->us[0]));
        ANYMPS_TRY(time_one(m, w, &w->us[0]));
        best = best == 0 || w->us[0] < best ? w->us[0] : best;
    }
    for (size_t i = 0; i < m->count; i++) {
        if (m->ways[i].us[0] > slow * best) {
            drop_graph(&m->ways[i]);
        }
    }
    return ANYMPS_OK;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* All in turns, back and forth: who follows a hot kernel finds a slower clock. The median decides. */
static anymps_status other_rounds(measurement *m, amps_measured_entry *entry)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t n = 0; n < m->count; n++) {
            way *const w = &m->ways[round % 2 == 0 ? n : m->count - 1 - n];
            if (w->graph != NULL) {
                ANYMPS_TRY(time_one(m, w, &w->us[round]));
            }
        }
    }
    double best = 0;
    for (size_t i = 0; i < m->count; i++) {
        way *const w = &m->ways[i];
        qsort(w->us, ROUNDS, sizeof w->us[0], by_value);
        if (w->graph != NULL && (best == 0 || w->us[ROUNDS / 2] < best)) {
            best = w->us[ROUNDS / 2];
            entry->choice = w->choice;
        }
    }
    entry->nanoseconds = (int64_t)(best * 1e3);
    return ANYMPS_OK;
}

static anymps_status run(measurement *m, amps_measured_entry *entry)
{
    const amps_gemm_params *const p = &m->gemm.params;
    AMPS_CU_TRY(amps_cu.StreamCreate(&m->stream, CU_STREAM_NON_BLOCKING), "measure: cuStreamCreate");
    AMPS_CU_TRY(amps_cu.EventCreate(&m->begin, CU_EVENT_DEFAULT), "measure: cuEventCreate");
    AMPS_CU_TRY(amps_cu.EventCreate(&m->end, CU_EVENT_DEFAULT), "measure: cuEventCreate");
    ANYMPS_TRY(make_operands(m));
    /* 5e8 operations a microsecond and 2.5e6 bytes: what the fastest ways reach, about. */
    const double us = 2.0 + 2.0 * (double)p->rows * (double)p->columns * (double)p->interior / 5e8 +
                      (double)(p->interior * p->columns * element_bytes(m->gemm.kind)) / 2.5e6;
    m->repeats = us > graph_us / 3 ? 3 : (int)(graph_us / us) + 1;
    ANYMPS_TRY(first_round(m));
    return other_rounds(m, entry);
}

static void give_back(measurement *m)
{
    if (m->stream != NULL) {
        (void)amps_cu.StreamSynchronize(m->stream);
        (void)amps_cu.StreamDestroy(m->stream);
    }
    for (size_t i = 0; i < m->count; i++) {
        drop_graph(&m->ways[i]);
    }
    if (m->begin != NULL) {
        (void)amps_cu.EventDestroy(m->begin);
    }
    if (m->end != NULL) {
        (void)amps_cu.EventDestroy(m->end);
    }
    for (int i = 0; i < 4; i++) {
        amps_cuda_pool_give(m->device, false, m->memory[i].block, m->memory[i].bytes);
    }
}

/* The ordinary kernel is left out where there is another: it is never the fastest of several, and slow on large products. */
static void list_ways(measurement *m)
{
    amps_gemm_choice list[WAYS];
    const size_t found = amps_choice_list(m->device, &m->gemm, list, WAYS);
    for (size_t i = 0; i < found; i++) {
        const bool again = i > 0 && memcmp(&list[i], &list[0], sizeof list[0]) == 0;
        if (!again && (list[i].engine != AMPS_ENGINE_ANY || found <= 2)) {
            m->ways[m->count++].choice = list[i];
        }
    }
}

anymps_status amps_gemm_measure(amps_cuda_device *device, const amps_gemm *gemm, amps_measured_entry *entry)
{
    measurement *const m = amps_calloc(1, sizeof *m);
    if (m == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    m->device = device;
    m->gemm = *gemm;
    m->gemm.params.beta = 0.0f; /* what is read of the result costs all ways the same */
    m->gemm.params.exact_beta = 0.0;
    list_ways(m);
    entry->key = amps_measured_key_of(gemm);
    const CUresult entered = amps_cuda_enter(device);
    anymps_status status =
        entered == CUDA_SUCCESS ? run(m, entry) : amps_cuda_fail(entered, "measure: cuCtxPushCurrent");
    if (entered == CUDA_SUCCESS) {
        give_back(m);
        amps_cuda_leave();
    }
    amps_free(m);
    return status;
}
