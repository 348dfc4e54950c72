/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_onednn.c: the cases of row_case.h by oneDNN 3, opened at run time from the folder ANYMPS_PEERS (bench/peers-setup),
 * which has two: the current one on SYCL, and the last one that was packaged on OpenMP. Its C interface is declared here, as far as it is used: all its handles are pointers.
 * Called by bench/rows_peers.py; an adapter is two of its products.
 */
#include "row_case.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of oneDNN 3 (dnnl_types.h). */
enum {
    DNNL_CPU = 1,
    DNNL_IN_ORDER = 1,
    DNNL_F16 = 1,
    DNNL_BF16 = 2,
    DNNL_F32 = 3,
    TAG_A = 2,
    TAG_AB = 3,
    TAG_BA = 14,
    FORWARD_INFERENCE = 96,
    SOFTMAX_ACCURATE = 0x30000,
    SOFTMAX_LOG = 0x30001,
    USE_SCALE = 2,
    USE_SHIFT = 4,
    RMS_NORM = 0x20,
    ARG_SRC = 1,
    ARG_WEIGHTS = 33,
    ARG_DST = 17,
    ARG_SCALE = 51,
    ARG_SHIFT = 52,
    ARGS_MAX = 4,
    STEPS_MAX = 2,
    DIMS_MAX = 12
};

typedef struct dnnl_argument {
    int arg;
    void *memory;
} dnnl_argument;

typedef struct dnnl {
    int (*engine_create)(void **engine, int kind, size_t index);
    int (*stream_create)(void **stream, void *engine, unsigned flags);
    int (*stream_wait)(void *stream);
    int (*memory_desc)(void **desc, int dims, const int64_t *sizes, int dtype, int tag);
    int (*memory_create)(void **memory, const void *desc, void *engine, void *handle);
    int (*softmax)(void **out, void *engine, int kind, int algorithm, const void *source, const void *result, int axis,
                   const void *attr);
    int (*norm)(void **out, void *engine, int kind, const void *source, const void *result, const void *statistics,
                float epsilon, unsigned flags, const void *attr);
    int (*matmul)(void **out, void *engine, const void *source, const void *weights, const void *bias,
                  const void *result, const void *attr);
    int (*primitive_create)(void **primitive, const void *desc);
    int (*execute)(const void *primitive, void *stream, int count, const dnnl_argument *arguments);
} dnnl;

typedef struct step {
    void *primitive;
    dnnl_argument arguments[ARGS_MAX];
    int count;
} step;

/* Handles live until the process ends: the program is a benchmark of a few dozen cases. */
struct row_onednn {
    const dnnl *api;
    void *engine, *stream;
    step steps[STEPS_MAX];
    size_t count;
    void *inner; /* source times down */
    float *scale, *shift;
};

static bool take(void *library, const char *name, void *to)
{
    void *const symbol = dlsym(library, name);
    memcpy(to, &symbol, sizeof symbol);
    return symbol != NULL;
}

/* Opened once; NULL if this machine lacks it. */
static const dnnl *open_api(size_t which)
{
    static const char *const paths[ROW_ONEDNN_COUNT] = {"lib/libdnnl.so.3", "gomp/lib/libdnnl.so.3"};
    static dnnl known[ROW_ONEDNN_COUNT];
    dnnl *const api = &known[which];
    char path[1024];
    const char *const folder = getenv("ANYMPS_PEERS");
    if (folder == NULL || api->execute != NULL) {
        return folder == NULL ? NULL : api;
    }
    (void)snprintf(path, sizeof path, "%s/%s", folder, paths[which]);
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const bool whole = library != NULL && take(library, "dnnl_engine_create", &api->engine_create) &&
                       take(library, "dnnl_stream_create", &api->stream_create) &&
                       take(library, "dnnl_stream_wait", &api->stream_wait) &&
                       take(library, "dnnl_memory_desc_create_with_tag", &api->memory_desc) &&
                       take(library, "dnnl_memory_create", &api->memory_create) &&
                       take(library, "dnnl_softmax_forward_primitive_desc_create", &api->softmax) &&
                       take(library, "dnnl_layer_normalization_forward_primitive_desc_create", &api->norm) &&
                       take(library, "dnnl_matmul_primitive_desc_create", &api->matmul) &&
                       take(library, "dnnl_primitive_create", &api->primitive_create) &&
                       take(library, "dnnl_primitive_execute", &api->execute);
    return whole ? api : NULL;
}

static int dnnl_type(anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F16 ? DNNL_F16 : dtype == ANYMPS_DTYPE_BF16 ? DNNL_BF16 : DNNL_F32;
}

/* Adds operand `arg` to a step and returns its description; NULL if oneDNN refuses. columns 0: one dimension. */
static void *argument(row_onednn *p, step *s, int arg, size_t rows, size_t columns, int dtype, int tag, void *bytes)
{
    int64_t sizes[DIMS_MAX] = {(int64_t)rows, (int64_t)columns};
    void *desc = NULL;
    void *memory = NULL;
    if (p->api->memory_desc(&desc, columns == 0 ? 1 : 2, sizes, dtype, tag) != 0 ||
        p->api->memory_create(&memory, desc, p->engine, bytes) != 0) {
        return NULL;
    }
    s->arguments[s->count++] = (dnnl_argument){arg, memory};
    return desc;
}

/* A product of a step of its own: rows × inner times inner × columns. `turned`: the left side lies column by column. */
static int product(row_onednn *p, int dtype, const size_t sizes[3], bool turned, void *left, void *right, void *result)
{
    step *const s = &p->steps[p->count++];
    const void *const a = argument(p, s, ARG_SRC, sizes[0], sizes[1], dtype, turned ? TAG_BA : TAG_AB, left);
    const void *const b = argument(p, s, ARG_WEIGHTS, sizes[1], sizes[2], dtype, TAG_AB, right);
    const void *const c = argument(p, s, ARG_DST, sizes[0], sizes[2], dtype, TAG_AB, result);
    void *desc = NULL;
    return a == NULL || b == NULL || c == NULL || p->api->matmul(&desc, p->engine, a, b, NULL, c, NULL) != 0 ||
           p->api->primitive_create(&s->primitive, desc) != 0;
}

static int products(row_case *self, row_onednn *p)
{
    const int dtype = dnnl_type(self->dtype);
    void *const source = row_case_operand(self, 0);
    void *const first = row_case_operand(self, 1);
    if (strcmp(self->op, "lora") != 0) {
        const bool turned = strcmp(self->op, "matvec_t") == 0;
        const size_t sizes[3] = {turned ? self->columns : self->rows, turned ? self->rows : self->columns, 1};
        return product(p, dtype, sizes, turned, source, first, row_case_operand(self, 3));
    }
    const size_t down[3] = {self->rows, self->columns, self->rank};
    const size_t up[3] = {self->rows, self->rank, self->columns};
    p->inner = calloc(self->rows * self->rank, sizeof(float));
    return p->inner == NULL || product(p, dtype, down, false, source, first, p->inner) != 0 ||
           product(p, dtype, up, false, p->inner, row_case_operand(self, 2), row_case_operand(self, 3)) != 0;
}

static int rows_of(row_case *self, row_onednn *p)
{
    const int dtype = dnnl_type(self->dtype);
    const size_t n = self->columns;
    step *const s = &p->steps[p->count++];
    const void *const x = argument(p, s, ARG_SRC, self->rows, n, dtype, TAG_AB, row_case_operand(self, 0));
    const void *const y = argument(p, s, ARG_DST, self->rows, n, dtype, TAG_AB, row_case_operand(self, 3));
    void *desc = NULL;
    int refused = x == NULL || y == NULL;
    if (strstr(self->op, "softmax") != NULL) {
        const int algorithm = strcmp(self->op, "softmax") == 0 ? SOFTMAX_ACCURATE : SOFTMAX_LOG;
        refused = refused || p->api->softmax(&desc, p->engine, FORWARD_INFERENCE, algorithm, x, y, 1, NULL) != 0;
    } else if (strstr(self->op, "norm") != NULL) {
        const bool centred = strcmp(self->op, "layer_norm") == 0;
        p->scale = calloc(n, sizeof(float));
        p->shift = calloc(n, sizeof(float));
        refused = refused || p->scale == NULL || p->shift == NULL ||
                  argument(p, s, ARG_SCALE, n, 0, DNNL_F32, TAG_A, p->scale) == NULL ||
                  (centred && argument(p, s, ARG_SHIFT, n, 0, DNNL_F32, TAG_A, p->shift) == NULL) ||
                  p->api->norm(&desc, p->engine, FORWARD_INFERENCE, x, y, NULL, 1e-5f,
                               USE_SCALE | (centred ? USE_SHIFT : RMS_NORM), NULL) != 0;
    } else {
        return 1;
    }
    return refused || p->api->primitive_create(&s->primitive, desc) != 0;
}

int row_onednn_open(row_case *self, size_t which)
{
    const dnnl *const api = open_api(which);
    row_onednn *const p = api == NULL ? NULL : calloc(1, sizeof *p);
    if (p == NULL) {
        return 1;
    }
    p->api = api;
    if (api->engine_create(&p->engine, DNNL_CPU, 0) != 0 ||
        api->stream_create(&p->stream, p->engine, DNNL_IN_ORDER) != 0) {
        free(p);
        return 1;
    }
    const bool multiplies = strcmp(self->op, "lora") == 0 || strncmp(self->op, "matvec", 6) == 0;
    if ((multiplies ? products(self, p) : rows_of(self, p)) != 0) {
        row_onednn_close(p);
        return 1;
    }
    self->peers[which] = p;
    return 0;
}

int row_onednn_run(const row_case *self, size_t which)
{
    const row_onednn *const p = self->peers[which];
    for (size_t i = 0; i < self->inner; i++) {
        for (size_t s = 0; s < p->count; s++) {
            if (p->api->execute(p->steps[s].primitive, p->stream, p->steps[s].count, p->steps[s].arguments) != 0) {
                return 1;
            }
        }
    }
    return p->api->stream_wait(p->stream);
}

void row_onednn_close(row_onednn *peer)
{
    if (peer != NULL) {
        free(peer->inner);
        free(peer->scale);
        free(peer->shift);
        free(peer);
    }
}
