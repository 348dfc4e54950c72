/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cublaslt.c: opens libcublasLt, asks it for an algorithm once per problem and remembers the answer. See cublaslt.h.
 * The only file that knows the library; its few types and numbers are restated here (cublasLt.h, cublas_api.h), so
 * that a build needs no more than the driver's header.
 */
#include "backend/cuda/cublaslt.h"

#include "base/alloc.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef void *lt_object;
typedef struct lt_algorithm {
    uint64_t data[8];
} lt_algorithm;
typedef struct lt_candidate {
    lt_algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} lt_candidate;

enum {
    LT_TRANSPOSE_A = 3,
    LT_TRANSPOSE_B = 4,
    LT_END = 7,
    LT_BIAS = 8,
    LT_BIAS_STEP = 10,
    LT_BATCH = 5,
    LT_STEP = 6,
    LT_WORKSPACE = 1,
    LT_REDUCTIONS = 3,
    LT_ALIGNMENT_A = 5,
    LT_ALIGNMENT_D = 8
};
/* Split sums are added in the type of the arithmetic, in a fixed order: neither in place nor in the result's type. */
enum { LT_REDUCE_IN_COMPUTE_TYPE = 2 };
enum { LT_END_BIAS = 4 };

typedef struct lt_functions {
    size_t (*version)(void);
    int (*create)(lt_object *handle);
    int (*destroy)(lt_object handle);
    int (*desc_create)(lt_object *desc, int compute, int scale);
    int (*desc_destroy)(lt_object desc);
    int (*desc_set)(lt_object desc, int attribute, const void *value, size_t size);
    int (*layout_create)(lt_object *layout, int type, uint64_t rows, uint64_t columns, int64_t step);
    int (*layout_destroy)(lt_object layout);
    int (*layout_set)(lt_object layout, int attribute, const void *value, size_t size);
    int (*preference_create)(lt_object *preference);
    int (*preference_destroy)(lt_object preference);
    int (*preference_set)(lt_object preference, int attribute, const void *value, size_t size);
    int (*heuristic)(lt_object handle, lt_object desc, lt_object a, lt_object b, lt_object c, lt_object d,
                     lt_object preference, int wanted, lt_candidate *candidates, int *found);
    int (*config)(const lt_algorithm *algorithm, int attribute, void *value, size_t size, size_t *written);
    int (*matmul)(lt_object handle, lt_object desc, const void *alpha, CUdeviceptr a, lt_object layout_a, CUdeviceptr b,
                  lt_object layout_b, const void *beta, CUdeviceptr c, lt_object layout_c, CUdeviceptr d,
                  lt_object layout_d, const lt_algorithm *algorithm, CUdeviceptr workspace, size_t workspace_size,
                  CUstream stream);
} lt_functions;

/* What the library answered for one problem. */
typedef struct lt_entry {
    amps_lt_problem problem;
    bool possible;
    lt_object desc, a, b, c;
    unsigned count; /* of algorithms, best guess first */
    lt_algorithm algorithms[AMPS_LT_ALGORITHMS];
    amps_lt_config configs[AMPS_LT_ALGORITHMS]; /* all 0: the library does not say */
} lt_entry;

enum { ENTRIES = 128 };

struct amps_cublaslt {
    void *library;
    lt_functions call;
    lt_object handle;
    amps_cuda_device *device;
    pthread_mutex_t lock; /* the entries */
    size_t count, oldest;
    lt_entry entries[ENTRIES];
};

/* ---- Opening and closing ---------------------------------------------------------------------- */

static bool find(void *library, const char *name, void *slot)
{
    void *const symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(void *library, lt_functions *call)
{
    return find(library, "cublasLtGetVersion", &call->version) && find(library, "cublasLtCreate", &call->create) &&
           find(library, "cublasLtDestroy", &call->destroy) &&
           find(library, "cublasLtMatmulDescCreate", &call->desc_create) &&
           find(library, "cublasLtMatmulDescDestroy", &call->desc_destroy) &&
           find(library, "cublasLtMatmulDescSetAttribute", &call->desc_set) &&
           find(library, "cublasLtMatrixLayoutCreate", &call->layout_create) &&
           find(library, "cublasLtMatrixLayoutDestroy", &call->layout_destroy) &&
           find(library, "cublasLtMatrixLayoutSetAttribute", &call->layout_set) &&
           find(library, "cublasLtMatmulPreferenceCreate", &call->preference_create) &&
           find(library, "cublasLtMatmulPreferenceDestroy", &call->preference_destroy) &&
           find(library, "cublasLtMatmulPreferenceSetAttribute", &call->preference_set) &&
           find(library, "cublasLtMatmulAlgoGetHeuristic", &call->heuristic) &&
           find(library, "cublasLtMatmulAlgoConfigGetAttribute", &call->config) &&
           find(library, "cublasLtMatmul", &call->matmul);
}

static void *open_library(void)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};
    const char *const wanted = getenv("ANYMPS_CUDA_CUBLASLT");
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof names / sizeof names[0] && (wanted == NULL || *wanted != '0');
         i++) {
        library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    }
    return library;
}

static amps_cublaslt *open_engine(amps_cuda_device *device)
{
    void *const library = open_library();
    if (library == NULL) {
        return NULL;
    }
    amps_cublaslt *const lt = amps_calloc(1, sizeof *lt);
    bool good = lt != NULL && find_all(library, &lt->call) && amps_cuda_enter(device) == CUDA_SUCCESS;
    if (good) {
        good = lt->call.create(&lt->handle) == 0;
        amps_cuda_leave();
    }
    if (!good) {
        amps_free(lt);
        return NULL; /* the library stays open: closing libraries of the CUDA runtime is not safe */
    }
    lt->library = library;
    lt->device = device;
    (void)pthread_mutex_init(&lt->lock, NULL);
    return lt;
}

amps_cublaslt *amps_cublaslt_get(amps_cuda_device *device)
{
    (void)pthread_mutex_lock(&device->lock);
    const bool first = !device->lt_tried;
    device->lt_tried = true;
    (void)pthread_mutex_unlock(&device->lock);
    if (first) {
        /* Outside of the lock: opening takes a third of a second. Meanwhile others do without. */
        const anymps_error before = *anymps_last_error();
        atomic_store(&device->lt, open_engine(device));
        (void)amps_fail_again(&before);
    }
    return atomic_load(&device->lt);
}

static void drop_entry(amps_cublaslt *lt, lt_entry *entry)
{
    if (entry->possible) {
        (void)lt->call.desc_destroy(entry->desc);
        (void)lt->call.layout_destroy(entry->a);
        (void)lt->call.layout_destroy(entry->b);
        (void)lt->call.layout_destroy(entry->c);
    }
    memset(entry, 0, sizeof *entry);
}

void amps_cublaslt_close(amps_cublaslt *lt)
{
    if (lt == NULL) {
        return;
    }
    for (size_t i = 0; i < lt->count; i++) {
        drop_entry(lt, &lt->entries[i]);
    }
    (void)lt->call.destroy(lt->handle);
    (void)pthread_mutex_destroy(&lt->lock);
    amps_free(lt);
}

uint64_t amps_cublaslt_version(const amps_cublaslt *lt)
{
    return lt->call.version();
}

/* ---- Asking ----------------------------------------------------------------------------------- */

static bool make_layout(amps_cublaslt *lt, lt_object *layout, int64_t type, int64_t rows, int64_t columns,
                        int64_t leading, int64_t matrices, int64_t step)
{
    const int32_t batch = (int32_t)matrices;
    return lt->call.layout_create(layout, (int)type, (uint64_t)rows, (uint64_t)columns, leading) == 0 &&
           lt->call.layout_set(*layout, LT_BATCH, &batch, sizeof batch) == 0 &&
           lt->call.layout_set(*layout, LT_STEP, &step, sizeof step) == 0;
}

/* What is done to a sum at its end. The library wants an address before it chooses; the product's own comes with each run. */
static bool set_end(amps_cublaslt *lt, lt_object desc, const amps_lt_problem *p)
{
    const int32_t end = LT_END_BIAS;
    const uint64_t somewhere = AMPS_LT_BIAS_ALIGNMENT;
    return p->bias == 0 || (lt->call.desc_set(desc, LT_END, &end, sizeof end) == 0 &&
                            lt->call.desc_set(desc, LT_BIAS, &somewhere, sizeof somewhere) == 0 &&
                            lt->call.desc_set(desc, LT_BIAS_STEP, &p->step_bias, sizeof p->step_bias) == 0);
}

static bool make_objects(amps_cublaslt *lt, lt_entry *entry)
{
    const amps_lt_problem *const p = &entry->problem;
    const int32_t transpose_a = (int32_t)p->transpose_a, transpose_b = (int32_t)p->transpose_b;
    return lt->call.desc_create(&entry->desc, (int)p->compute, (int)p->scale) == 0 &&
           lt->call.desc_set(entry->desc, LT_TRANSPOSE_A, &transpose_a, sizeof transpose_a) == 0 &&
           lt->call.desc_set(entry->desc, LT_TRANSPOSE_B, &transpose_b, sizeof transpose_b) == 0 &&
           set_end(lt, entry->desc, p) &&
           make_layout(lt, &entry->a, p->operand, p->transpose_a ? p->k : p->m, p->transpose_a ? p->m : p->k, p->lda,
                       p->batch, p->step_a) &&
           make_layout(lt, &entry->b, p->operand, p->transpose_b ? p->n : p->k, p->transpose_b ? p->k : p->n, p->ldb,
                       p->batch, p->step_b) &&
           make_layout(lt, &entry->c, p->result, p->m, p->n, p->ldc, p->batch, p->step_c);
}

/* The last two of the attributes have 16 bits, the others 32. Without an answer it stays 0 as a whole. */
static void read_config(const amps_cublaslt *lt, const lt_algorithm *algorithm, amps_lt_config *config)
{
    enum { ATTRIBUTES = sizeof *config / sizeof(int32_t), FIRST_NARROW = 7 };
    int32_t values[ATTRIBUTES];
    bool good = true;
    for (int i = 0; good && i < ATTRIBUTES; i++) {
        uint16_t narrow = 0;
        size_t written;
        values[i] = 0;
        good = i < FIRST_NARROW ? lt->call.config(algorithm, i, &values[i], sizeof values[i], &written) == 0
                                : lt->call.config(algorithm, i, &narrow, sizeof narrow, &written) == 0;
        values[i] += narrow;
    }
    if (good) {
        memcpy(config, values, sizeof *config);
    }
}

static bool ask(amps_cublaslt *lt, lt_entry *entry)
{
    lt_object preference = NULL;
    lt_candidate candidates[AMPS_LT_ALGORITHMS];
    memset(candidates, 0, sizeof candidates);
    const size_t workspace = AMPS_LT_WORKSPACE_BYTES;
    const uint32_t reductions = LT_REDUCE_IN_COMPUTE_TYPE;
    int found = 0;
    bool good = lt->call.preference_create(&preference) == 0 &&
                lt->call.preference_set(preference, LT_WORKSPACE, &workspace, sizeof workspace) == 0 &&
                lt->call.preference_set(preference, LT_REDUCTIONS, &reductions, sizeof reductions) == 0;
    for (int which = LT_ALIGNMENT_A; good && which <= LT_ALIGNMENT_D;
         which++) { /* A, B, C, D; it assumes 256 if not told */
        const uint32_t alignment = 16;
        good = lt->call.preference_set(preference, which, &alignment, sizeof alignment) == 0;
    }
    good = good && lt->call.heuristic(lt->handle, entry->desc, entry->a, entry->b, entry->c, entry->c, preference,
                                      AMPS_LT_ALGORITHMS, candidates, &found) == 0;
    if (preference != NULL) {
        (void)lt->call.preference_destroy(preference);
    }
    for (int i = 0; good && i < found && i < AMPS_LT_ALGORITHMS; i++) {
        if (candidates[i].state == 0) {
            read_config(lt, &candidates[i].algorithm, &entry->configs[entry->count]);
            entry->algorithms[entry->count++] = candidates[i].algorithm;
        }
    }
    return entry->count > 0;
}

/* Under the lock. The entry for the problem, new if need be; the oldest goes when the table is full. */
static lt_entry *entry_for(amps_cublaslt *lt, const amps_lt_problem *problem)
{
    for (size_t i = 0; i < lt->count; i++) {
        if (memcmp(&lt->entries[i].problem, problem, sizeof *problem) == 0) {
            return &lt->entries[i];
        }
    }
    lt_entry *entry;
    if (lt->count < ENTRIES) {
        entry = &lt->entries[lt->count++];
    } else {
        entry = &lt->entries[lt->oldest];
        lt->oldest = (lt->oldest + 1) % ENTRIES;
        drop_entry(lt, entry);
    }
    memcpy(&entry->problem, problem, sizeof *problem);
    const bool made = make_objects(lt, entry);
    entry->possible = true; /* so that drop_entry gives back what was made */
    if (!made || !ask(lt, entry)) {
        drop_entry(lt, entry);
        memcpy(&entry->problem, problem, sizeof *problem);
    }
    return entry;
}

unsigned amps_cublaslt_has(amps_cublaslt *lt, const amps_lt_problem *problem)
{
    (void)pthread_mutex_lock(&lt->lock);
    unsigned count = 0;
    if (amps_cuda_enter(lt->device) == CUDA_SUCCESS) {
        count = entry_for(lt, problem)->count;
        amps_cuda_leave();
    }
    (void)pthread_mutex_unlock(&lt->lock);
    return count;
}

bool amps_cublaslt_config(amps_cublaslt *lt, const amps_lt_problem *problem, unsigned which, amps_lt_config *config)
{
    (void)pthread_mutex_lock(&lt->lock);
    bool good = false;
    if (amps_cuda_enter(lt->device) == CUDA_SUCCESS) {
        const lt_entry *const entry = entry_for(lt, problem);
        if (which < entry->count) {
            *config = entry->configs[which];
            good = config->tile != 0 || config->id != 0;
        }
        amps_cuda_leave();
    }
    (void)pthread_mutex_unlock(&lt->lock);
    return good;
}

anymps_status amps_cublaslt_run(amps_cublaslt *lt, const amps_lt_problem *problem, unsigned which, const void *alpha,
                                const void *beta, CUdeviceptr a, CUdeviceptr b, CUdeviceptr c, CUdeviceptr bias,
                                CUdeviceptr workspace, CUstream stream)
{
    (void)pthread_mutex_lock(&lt->lock);
    const lt_entry *const entry = entry_for(lt, problem);
    int result = -1;
    const uint64_t vector = (uint64_t)bias;
    if (which < entry->count &&
        (problem->bias == 0 || lt->call.desc_set(entry->desc, LT_BIAS, &vector, sizeof vector) == 0)) {
        result = lt->call.matmul(lt->handle, entry->desc, alpha, a, entry->a, b, entry->b, beta, c, entry->c, c,
                                 entry->c, &entry->algorithms[which], workspace, AMPS_LT_WORKSPACE_BYTES, stream);
    }
    (void)pthread_mutex_unlock(&lt->lock);
    ANYMPS_FAIL_IF(result != 0, ANYMPS_EXECUTION_FAILED, "matmul: cublasLtMatmul answered %d", result);
    return ANYMPS_OK;
}
