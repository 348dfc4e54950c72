/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_low.c: products of narrow types beside f32 of the same shape, oneDNN and MKL, in one process and in turns.
 *
 *     sweep_low [-t threads] [-m milliseconds] [-i isa] [-c] [-l] [-T] [-r] [-p] [MxNxK ...]
 *
 * Columns: ours in f32, bf16, f16, i8→i32 and i16→f32, oneDNN's matmul in bf16 and i8→i32, MKL's gemm_bf16bf16f32 and
 * gemm_s8u8s32, those that are found in the folder ANYMPS_PEERS (bench/peers-setup; oneDNN's build on OpenMP); medians in microseconds, 0 where
 * there is none. -c: our right operand is constant (ANYMPS_CONSTANT), -l: the left one; the peers' are given anew each time. -T: it is transposed (weights).
 * -r: our f32 has ANYMPS_ALLOW_REDUCED_PRECISION. -i: column f32 (-i) is strict f32 on a device that goes no further than
 * this instruction set ("avx512" beside AMX); 0 without it. -p: no peers, more turns. oneDNN's C interface is declared here as far as it is
 * used: its handles are pointers.
 */
#include "peers.h"
#include "stop.h"
#include "timing.h"

#include <anymps/anymps.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OURS = 6, LIMITED = 5, CONTESTANTS = 10, TURNS_MAX = 41, SHAPES_MAX = 64 };
/* Numbers of oneDNN 3 (dnnl_types.h) and of cblas. */
enum {
    DNNL_CPU = 1,
    DNNL_IN_ORDER = 1,
    DNNL_BF16 = 2,
    DNNL_S32 = 4,
    DNNL_S8 = 5,
    DNNL_AB = 3,
    DNNL_BA = 14,
    DIMS_MAX = 12
};
enum {
    ARG_SRC = 1,
    ARG_WEIGHTS = 33,
    ARG_DST = 17,
    ROW_MAJOR = 101,
    NOT_TRANSPOSED = 111,
    TRANSPOSED = 112,
    FIX_OFFSET = 173
};

static const char *const names[CONTESTANTS] = {"f32",      "bf16",        "f16",       "i8",       "i16",
                                               "f32 (-i)", "onednn bf16", "onednn i8", "mkl bf16", "mkl i8"};

typedef struct shape {
    size_t m, n, k;
} shape;

typedef struct dnnl_argument {
    int arg;
    void *memory;
} dnnl_argument;

typedef struct libraries {
    int (*engine_create)(void **engine, int kind, size_t index);
    int (*stream_create)(void **stream, void *engine, unsigned flags);
    int (*stream_wait)(void *stream);
    int (*memory_desc)(void **desc, int dims, const int64_t *sizes, int dtype, int tag);
    int (*memory_create)(void **memory, const void *desc, void *engine, void *handle);
    int (*matmul)(void **out, void *engine, const void *source, const void *weights, const void *bias,
                  const void *result, const void *attr);
    int (*primitive_create)(void **primitive, const void *desc);
    int (*execute)(const void *primitive, void *stream, int count, const dnnl_argument *arguments);
    void (*mkl_bf16)(int layout, int ta, int tb, int m, int n, int k, float alpha, const void *a, int lda,
                     const void *b, int ldb, float beta, float *c, int ldc);
    void (*mkl_i8)(int layout, int ta, int tb, int offset_c, int m, int n, int k, float alpha, const void *a, int lda,
                   int8_t oa, const void *b, int ldb, int8_t ob, float beta, int32_t *c, int ldc, const int32_t *oc);
    void *engine, *stream;
} libraries;

typedef struct ours {
    anymps_matrix *matrices[3];
    anymps_kernel *kernel;
    anymps_command_buffer *commands;
} ours;

typedef struct bench {
    anymps_device *device, *limited; /* or null */
    anymps_queue *queue, *limited_queue;
    libraries peers;
    bool constant, left_constant, transposed, reduced, alone;
    double milliseconds;
    size_t inner;
    ours own[OURS];
    void *primitives[2];
    dnnl_argument arguments[2][3];
    void *results[2]; /* of the peers: f32 or i32 */
} bench;

/* ---- peers ------------------------------------------------------------------------------------- */

static bool take(void *library, const char *name, void *to)
{
    void *const symbol = library != NULL ? dlsym(library, name) : NULL;
    memcpy(to, &symbol, sizeof symbol);
    return symbol != NULL;
}

static void open_peers(libraries *p)
{
    void *const dnnl = peer_library("gomp/lib/libdnnl.so.3"), *const mkl = peer_library("lib/libmkl_rt.so.[0-9]");
    const bool whole =
        take(dnnl, "dnnl_engine_create", &p->engine_create) && take(dnnl, "dnnl_stream_create", &p->stream_create) &&
        take(dnnl, "dnnl_stream_wait", &p->stream_wait) &&
        take(dnnl, "dnnl_memory_desc_create_with_tag", &p->memory_desc) &&
        take(dnnl, "dnnl_memory_create", &p->memory_create) &&
        take(dnnl, "dnnl_matmul_primitive_desc_create", &p->matmul) &&
        take(dnnl, "dnnl_primitive_create", &p->primitive_create) && take(dnnl, "dnnl_primitive_execute", &p->execute);
    if (!whole || p->engine_create(&p->engine, DNNL_CPU, 0) != 0 ||
        p->stream_create(&p->stream, p->engine, DNNL_IN_ORDER) != 0) {
        p->engine = NULL;
    }
    (void)take(mkl, "cblas_gemm_bf16bf16f32", &p->mkl_bf16);
    (void)take(mkl, "cblas_gemm_s8u8s32", &p->mkl_i8);
}

static bool dnnl_operand(const libraries *p, dnnl_argument *argument, int arg, size_t rows, size_t columns, int dtype,
                         int tag, void *bytes, void **desc)
{
    const int64_t sizes[DIMS_MAX] = {(int64_t)rows, (int64_t)columns};
    argument->arg = arg;
    return p->memory_desc(desc, 2, sizes, dtype, tag) == 0 &&
           p->memory_create(&argument->memory, *desc, p->engine, bytes) == 0;
}

/* which: 0 bf16, 1 i8. */
static void make_dnnl(bench *self, const shape *s, size_t which)
{
    const libraries *p = &self->peers;
    const ours *own = &self->own[which == 0 ? 1 : 3];
    const int dtype = which == 0 ? DNNL_BF16 : DNNL_S8, result = which == 0 ? DNNL_BF16 : DNNL_S32;
    void *a = NULL, *b = NULL, *c = NULL, *desc = NULL;
    dnnl_argument *x = self->arguments[which];
    self->primitives[which] = NULL;
    if (p->engine == NULL ||
        !dnnl_operand(p, &x[0], ARG_SRC, s->m, s->k, dtype, DNNL_AB, anymps_matrix_contents(own->matrices[0]), &a) ||
        !dnnl_operand(p, &x[1], ARG_WEIGHTS, s->k, s->n, dtype, self->transposed ? DNNL_BA : DNNL_AB,
                      anymps_matrix_contents(own->matrices[1]), &b) ||
        !dnnl_operand(p, &x[2], ARG_DST, s->m, s->n, result, DNNL_AB, self->results[which], &c) ||
        p->matmul(&desc, p->engine, a, b, NULL, c, NULL) != 0 ||
        p->primitive_create(&self->primitives[which], desc) != 0) {
        self->primitives[which] = NULL;
    }
}

/* ---- ours -------------------------------------------------------------------------------------- */

static void make_ours(bench *self, const shape *s, size_t which, anymps_dtype dtype, anymps_dtype result)
{
    ours *const own = &self->own[which];
    anymps_device *const device = which == LIMITED ? self->limited : self->device;
    anymps_queue *const queue = which == LIMITED ? self->limited_queue : self->queue;
    anymps_matrix_desc sides[3] = {anymps_matrix_desc_make(s->m, s->k, dtype),
                                   anymps_matrix_desc_make(s->k, s->n, dtype),
                                   anymps_matrix_desc_make(s->m, s->n, result)};
    if (self->transposed) {
        sides[1] = anymps_matrix_desc_make(s->n, s->k, dtype);
    }
    sides[0].flags = self->left_constant ? ANYMPS_CONSTANT : 0;
    sides[1].flags = self->constant ? ANYMPS_CONSTANT : 0;
    for (size_t i = 0; i < 3; i++) {
        stop_unless(anymps_matrix_create_on(device, &sides[i], &own->matrices[i]));
        unsigned char *bytes = anymps_matrix_contents(own->matrices[i]);
        for (size_t j = 0; i < 2 && j < sides[i].rows * sides[i].columns; j++) {
            const float x = (float)(int)((j * 2654435761u >> 7) % 61u) / 32.0f - 1.0f;
            const uint16_t half = (uint16_t)(0x3800u + (j * 2654435761u >> 9) % 900u); /* f16 and bf16 of modest size */
            const int16_t small = (int16_t)(j * 2654435761u >> 11);
            if (dtype == ANYMPS_DTYPE_I16) {
                memcpy(bytes + 2 * j, &small, sizeof small);
            } else if (dtype == ANYMPS_DTYPE_I8) {
                bytes[j] = (unsigned char)(j * 2654435761u >> 11);
            } else {
                memcpy(bytes + j * anymps_dtype_bytes(dtype), dtype == ANYMPS_DTYPE_F32 ? (const void *)&x : &half,
                       anymps_dtype_bytes(dtype));
            }
        }
    }
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = s->m;
    desc.columns = s->n;
    desc.interior = s->k;
    desc.transpose_right = self->transposed;
    desc.options = self->reduced && which != LIMITED ? ANYMPS_ALLOW_REDUCED_PRECISION : 0;
    desc.left_dtype = desc.right_dtype = dtype;
    desc.result_dtype = result;
    stop_unless(anymps_matmul_create(device, &desc, &own->kernel));
    stop_unless(anymps_command_buffer_create(queue, &own->commands));
    for (size_t i = 0; i < self->inner; i++) {
        stop_unless(anymps_matmul_encode(own->kernel, own->commands, own->matrices[0], own->matrices[1],
                                         own->matrices[2], NULL));
    }
}

static void release_ours(ours *own)
{
    anymps_command_buffer_release(own->commands);
    anymps_kernel_release(own->kernel);
    for (size_t i = 0; i < 3; i++) {
        anymps_matrix_release(own->matrices[i]);
    }
}

/* ---- turns ------------------------------------------------------------------------------------- */

/* One product by a peer; false if it is not here. */
static bool run_peer(bench *self, const shape *s, size_t which)
{
    const libraries *p = &self->peers;
    const int m = (int)s->m, n = (int)s->n, k = (int)s->k;
    const int tb = self->transposed ? TRANSPOSED : NOT_TRANSPOSED, ldb = self->transposed ? k : n;
    const int32_t none = 0;
    const ours *own = &self->own[which % 2 == 0 ? 1 : 3];
    const void *const a = anymps_matrix_contents(own->matrices[0]), *const b = anymps_matrix_contents(own->matrices[1]);
    if (which < 2) {
        return self->primitives[which] != NULL &&
               p->execute(self->primitives[which], p->stream, 3, self->arguments[which]) == 0 &&
               p->stream_wait(p->stream) == 0;
    }
    if (which == 2 && p->mkl_bf16 != NULL) {
        p->mkl_bf16(ROW_MAJOR, NOT_TRANSPOSED, tb, m, n, k, 1.0f, a, k, b, ldb, 0.0f, self->results[0], n);
    } else if (which == 3 && p->mkl_i8 != NULL) {
        p->mkl_i8(ROW_MAJOR, NOT_TRANSPOSED, tb, FIX_OFFSET, m, n, k, 1.0f, a, k, 0, b, ldb, 0, 0.0f, self->results[1],
                  n, &none);
    }
    return which == 2 ? p->mkl_bf16 != NULL : p->mkl_i8 != NULL;
}

static double turn(bench *self, const shape *s, size_t which)
{
    const double begin = now_us();
    bool here = which != LIMITED || self->limited != NULL;
    if (which < OURS && here) {
        stop_unless(anymps_command_buffer_commit(self->own[which].commands));
        stop_unless(anymps_command_buffer_wait(self->own[which].commands));
    } else if (here) {
        for (size_t i = 0; i < self->inner && here; i++) {
            here = run_peer(self, s, which - OURS);
        }
    }
    return here ? (now_us() - begin) / (double)self->inner : 0.0;
}

static void measure(bench *self, const shape *s)
{
    static const anymps_dtype dtypes[OURS][2] = {
        {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32}, {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16},
        {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16}, {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I32},
        {ANYMPS_DTYPE_I16, ANYMPS_DTYPE_F32}, {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32}};
    static double times[CONTESTANTS][TURNS_MAX];
    const double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    double first = 1.0;
    self->inner = flops < 1e7 ? (size_t)fmin(1000.0, 1e7 / flops) : 1;
    for (size_t i = 0; i < (self->limited != NULL ? OURS : LIMITED); i++) {
        make_ours(self, s, i, dtypes[i][0], dtypes[i][1]);
    }
    for (size_t i = 0; i < 2; i++) {
        self->results[i] = calloc(s->m * s->n, 4);
        if (!self->alone) {
            make_dnnl(self, s, i);
        }
    }
    const size_t contestants = self->alone ? OURS : CONTESTANTS;
    for (size_t i = 0; i < 2 * contestants; i++) {
        first = fmax(first, turn(self, s, i % contestants) * (double)self->inner);
    }
    const size_t turns = (size_t)fmax(5.0, fmin((double)TURNS_MAX, self->milliseconds * 1000.0 / first));
    for (size_t i = 0; i < turns * contestants; i++) {
        times[i % contestants][i / contestants] = turn(self, s, i % contestants);
    }
    (void)printf("%5zu x %4zu x %4zu", s->m, s->n, s->k);
    for (size_t i = 0; i < contestants; i++) {
        qsort(times[i], turns, sizeof times[i][0], compare_doubles);
        (void)printf(" %11.2f", times[i][turns / 2]);
    }
    (void)printf("\n");
    (void)fflush(stdout);
    for (size_t i = 0; i < (self->limited != NULL ? OURS : LIMITED); i++) {
        release_ours(&self->own[i]);
    }
    free(self->results[0]);
    free(self->results[1]);
}

/* Before any peer is opened. */
int main(int argc, char **argv)
{
    static shape shapes[SHAPES_MAX] = {{64, 64, 64},     {256, 256, 256}, {1024, 1024, 1024},
                                       {64, 4096, 4096}, {8, 4096, 4096}, {2, 4096, 4096},
                                       {4096, 8, 4096},  {16, 384, 1536}, {1024, 1536, 384}};
    bench self = {.milliseconds = 40.0};
    const char *isa = NULL;
    size_t count = 0;
    int threads = 1;
    for (int i = 1; i < argc; i++) {
        shape s;
        if (sscanf(argv[i], "%zux%zux%zu", &s.m, &s.n, &s.k) == 3 && count < SHAPES_MAX) {
            shapes[count++] = s;
        } else if (strcmp(argv[i], "-c") == 0) {
            self.constant = true;
        } else if (strcmp(argv[i], "-l") == 0) {
            self.left_constant = true;
        } else if (strcmp(argv[i], "-p") == 0) {
            self.alone = true;
        } else if (strcmp(argv[i], "-T") == 0) {
            self.transposed = true;
        } else if (strcmp(argv[i], "-r") == 0) {
            self.reduced = true;
        } else if (strcmp(argv[i], "-t") == 0 && i + 1 < argc) {
            threads = atoi(argv[++i]);
        } else if (strcmp(argv[i], "-i") == 0 && i + 1 < argc) {
            isa = argv[++i];
        } else if (strcmp(argv[i], "-m") == 0 && i + 1 < argc) {
            self.milliseconds = atof(argv[++i]);
        } else {
            (void)fprintf(stderr, "usage: sweep_low [-t threads] [-m milliseconds] [-i isa] [-c] [-l] [-T] [-r] [-p] "
                                  "[MxNxK ...]\n");
            return 2;
        }
    }
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    desc.threads = (size_t)threads;
    peers_set_threads(threads);
    if (!self.alone) {
        open_peers(&self.peers);
    }
    stop_unless(anymps_device_open(&desc, &self.device));
    stop_unless(anymps_queue_create(self.device, &self.queue));
    if (isa != NULL) {
        desc.isa = isa;
        stop_unless(anymps_device_open(&desc, &self.limited));
        stop_unless(anymps_queue_create(self.limited, &self.limited_queue));
    }
    (void)printf(" rows   cols   int.");
    for (size_t i = 0; i < (self.alone ? OURS : CONTESTANTS); i++) {
        (void)printf(" %11s", names[i]);
    }
    (void)printf("\n");
    for (size_t i = 0; i < (count > 0 ? count : 9); i++) {
        measure(&self, &shapes[i]);
    }
    anymps_queue_release(self.limited_queue);
    anymps_device_release(self.limited);
    anymps_queue_release(self.queue);
    anymps_device_release(self.device);
    return 0;
}
