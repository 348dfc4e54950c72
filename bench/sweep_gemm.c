/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_gemm.c: f32 matmul of this library against others, shape by shape.
 *
 *     sweep_gemm [-t threads] [-p peer,peer] [-r first,count] [-d dtype] [-m milliseconds] [-c] [-s bytes] [-T] [-k]
 *                [MxNxK ...]
 *
 * Without shapes and -r: the table of docs/performance.md. -r: that part of a sweep of random shapes, each side
 * log-uniform in 1…4096, the same for everyone. All libraries take the same operands in one process, in turn;
 * what is printed is the median of the turns in microseconds and ours as a ratio to the fastest other. Ours is a
 * recorded command buffer of as many products as the others multiply in their loop; commit and wait are in its time.
 * A turn begins when all threads of the process sleep, and with a product that is not timed, which wakes the library's
 * threads; with -c there is none, and each turn is one product. Each result is checked: C·v against A·(B·v) in double
 * for a random v. Three options isolate what a product of ours waits for, and leave the others out: -s: rows of C lie
 * so many bytes apart; -T: the right operand is stored transposed; -k: it is constant, so that it is packed beforehand.
 */
#include "peers.h"
#include "stop.h"
#include "timing.h"

#include <anymps/anymps.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS_MAX = 41, SHAPES_MAX = 1024, SETTLE_MOST = 100, SETTLE_NS = 100000, SETTLED_SHARE = 5 };

typedef struct shape {
    size_t m, n, k;
} shape;

typedef struct bench {
    anymps_device *device;
    anymps_queue *queue;
    anymps_dtype dtype;
    peer peers[PEERS_MAX];
    size_t peer_count;
    double milliseconds;   /* to spend on one library at one shape */
    bool cold;             /* each turn is one product of threads that sleep */
    bool turned, constant; /* of the right operand */
    size_t result_bytes;   /* from one row of C to the next; 0: rows lie side by side */
    double log_sum;
    size_t shapes, ahead, behind;
} bench;

typedef struct operands {
    anymps_buffer *buffers[3];
    anymps_matrix *matrices[3];
    float *values[3]; /* the same in f32, for the peers: of f32 the very memory, so that caches favour nobody */
    anymps_command_buffer *one, *commands; /* one product, and `inner` products */
    anymps_kernel *kernel;
    size_t inner;
} operands;

/* Uniform in [0, 1); the generator of Knuth's MMIX. */
static double uniform(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*seed >> 11) * 0x1p-53;
}

static size_t random_side(uint64_t *seed)
{
    const size_t side = (size_t)exp(uniform(seed) * log(4097.0));
    return side < 1 ? 1 : side > 4096 ? 4096 : side;
}

static uint16_t narrow(const bench *self, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (self->dtype == ANYMPS_DTYPE_BF16) {
        return (uint16_t)(bits >> 16);
    }
    const uint32_t exponent = bits >> 23 & 255u; /* values are of modest size: no f16 subnormals or overflow */
    return (uint16_t)((bits >> 16 & 0x8000u) | (exponent < 113 ? 0 : (exponent - 112) << 10 | (bits >> 13 & 1023u)));
}

static void make_operand(const bench *self, operands *o, size_t which, size_t rows, size_t columns, uint64_t *seed)
{
    const size_t size = anymps_dtype_bytes(self->dtype);
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, self->dtype);
    if (which == 2 && self->result_bytes > desc.row_bytes) {
        desc.row_bytes = self->result_bytes;
    }
    desc.flags = which == 1 && self->constant ? ANYMPS_CONSTANT : 0;
    stop_unless(anymps_matrix_create_on(self->device, &desc, &o->matrices[which]));
    unsigned char *contents = anymps_matrix_contents(o->matrices[which]);
    o->values[which] = size == 4 ? (float *)(void *)contents : malloc((rows * columns + 16) * sizeof(float));
    if (o->values[which] == NULL) {
        exit(1);
    }
    for (size_t i = 0; i < rows * columns; i++) {
        /* Eight significant bits, so that every type holds the very same values. */
        const float x = which == 2 ? 0.0f : (float)(round((uniform(seed) - 0.5) * 256.0) / 256.0);
        o->values[which][i] = x;
        const uint16_t half = narrow(self, x);
        if (size != 4) {
            memcpy(contents + i * size, &half, size);
        }
    }
}

static void record(const bench *self, operands *o, const shape *s)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = s->m;
    desc.columns = s->n;
    desc.interior = s->k;
    desc.transpose_right = self->turned;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = self->dtype;
    stop_unless(anymps_matmul_create(self->device, &desc, &o->kernel));
    stop_unless(anymps_command_buffer_create(self->queue, &o->one));
    stop_unless(anymps_command_buffer_create(self->queue, &o->commands));
    stop_unless(anymps_matmul_encode(o->kernel, o->one, o->matrices[0], o->matrices[1], o->matrices[2], NULL));
    for (size_t i = 0; i < o->inner; i++) {
        stop_unless(anymps_matmul_encode(o->kernel, o->commands, o->matrices[0], o->matrices[1], o->matrices[2], NULL));
    }
}

static void release(operands *o)
{
    anymps_command_buffer_release(o->one);
    anymps_command_buffer_release(o->commands);
    anymps_kernel_release(o->kernel);
    for (size_t i = 0; i < 3; i++) {
        if (o->values[i] != anymps_matrix_contents(o->matrices[i])) {
            free(o->values[i]);
        }
        anymps_matrix_release(o->matrices[i]);
    }
}

/* Largest |C·v - A·(B·v)| over the rows, as a share of the bound on it. */
static double error_of(const shape *s, const operands *o, const float *c)
{
    double *v = calloc(s->n + 2 * s->k, sizeof *v);
    if (v == NULL) {
        exit(1);
    }
    double *bv = v + s->n, *abs_bv = bv + s->k, worst = 0.0;
    uint64_t seed = 7;
    for (size_t j = 0; j < s->n; j++) {
        v[j] = uniform(&seed) - 0.5;
    }
    for (size_t k = 0; k < s->k; k++) {
        for (size_t j = 0; j < s->n; j++) {
            bv[k] += (double)o->values[1][k * s->n + j] * v[j];
            abs_bv[k] += fabs((double)o->values[1][k * s->n + j] * v[j]);
        }
    }
    for (size_t i = 0; i < s->m; i++) {
        double got = 0.0, exact = 0.0, size = 0.0;
        for (size_t j = 0; j < s->n; j++) {
            got += (double)c[i * s->n + j] * v[j];
        }
        for (size_t k = 0; k < s->k; k++) {
            exact += (double)o->values[0][i * s->k + k] * bv[k];
            size += fabs((double)o->values[0][i * s->k + k]) * abs_bv[k];
        }
        worst = fmax(worst, fabs(got - exact) / (2.0 * (double)s->k * 0x1p-24 * size + 1e-30));
    }
    free(v);
    return worst;
}

static void check(const bench *self, const shape *s, const operands *o, size_t library)
{
    if (library == 0 && (self->dtype != ANYMPS_DTYPE_F32 || self->turned || self->result_bytes != 0)) {
        return; /* rounded results and operands laid out otherwise: the conformance suite checks them */
    }
    const float *c = library == 0 ? anymps_matrix_contents(o->matrices[2]) : o->values[2];
    if (!(error_of(s, o, c) <= 1.0)) {
        (void)printf("wrong result: %s %zux%zux%zu\n", library == 0 ? "ours" : self->peers[library - 1].name, s->m,
                     s->n, s->k);
    }
}

/* `count` products by one library: one, or those of a turn. */
static void multiply(const bench *self, const shape *s, const operands *o, size_t library, size_t count)
{
    if (library == 0) {
        anymps_command_buffer *const commands = count == 1 ? o->one : o->commands;
        stop_unless(anymps_command_buffer_commit(commands));
        stop_unless(anymps_command_buffer_wait(commands));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        peer_multiply(&self->peers[library - 1], s->m, s->n, s->k, o->values[0], o->values[1], o->values[2]);
    }
}

/* Processor time of the other threads. */
static double others_us(void)
{
    struct timespec all, own;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &all);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
    return (double)(all.tv_sec - own.tv_sec) * 1e6 + (double)(all.tv_nsec - own.tv_nsec) * 1e-3;
}

/* Waits until the threads of the library before, which may look for work for a while, leave the processors alone. */
static void settle(void)
{
    const struct timespec moment = {.tv_nsec = SETTLE_NS};
    for (int i = 0; i < SETTLE_MOST; i++) {
        const double before = others_us(), begin = now_us();
        (void)nanosleep(&moment, NULL);
        if ((others_us() - before) * SETTLED_SHARE < now_us() - begin) {
            return;
        }
    }
}

static double turn(const bench *self, const shape *s, const operands *o, size_t library)
{
    settle();
    if (!self->cold) {
        multiply(self, s, o, library, 1);
    }
    const double begin = now_us();
    multiply(self, s, o, library, o->inner);
    return (now_us() - begin) / (double)o->inner;
}

static void report(bench *self, const shape *s, const double *medians)
{
    const double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    double best = (double)INFINITY;
    (void)printf("%5zu x %4zu x %4zu", s->m, s->n, s->k);
    for (size_t l = 0; l <= self->peer_count; l++) {
        (void)printf(" %11.3f", medians[l]);
        best = l > 0 ? fmin(best, medians[l]) : best;
    }
    const double ratio = best / medians[0];
    (void)printf("  %6.3f %8.1f\n", ratio, flops / medians[0] * 1e-3);
    (void)fflush(stdout);
    self->log_sum += log(ratio);
    self->shapes++;
    self->ahead += ratio >= 1.0;
    self->behind += ratio < 0.9;
}

static void measure(bench *self, const shape *s)
{
    const double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    uint64_t seed = 1;
    operands o = {.inner = flops < 1e7 && !self->cold ? (size_t)fmin(1000.0, 1e7 / flops) : 1};
    make_operand(self, &o, 0, s->m, s->k, &seed);
    make_operand(self, &o, 1, self->turned ? s->n : s->k, self->turned ? s->k : s->n, &seed);
    make_operand(self, &o, 2, s->m, s->n, &seed);
    record(self, &o, s);
    double times[PEERS_MAX + 1][TURNS_MAX], medians[PEERS_MAX + 1];
    double first = 0.0;
    for (size_t l = 0; l <= self->peer_count; l++) {
        (void)turn(self, s, &o, l);
        first = fmax(first, turn(self, s, &o, l) * (double)o.inner);
        check(self, s, &o, l);
    }
    const size_t turns = (size_t)fmax(5.0, fmin((double)TURNS_MAX, self->milliseconds * 1000.0 / first));
    for (size_t t = 0; t < turns; t++) {
        for (size_t l = 0; l <= self->peer_count; l++) {
            times[l][t] = turn(self, s, &o, l);
        }
    }
    for (size_t l = 0; l <= self->peer_count; l++) {
        qsort(times[l], turns, sizeof times[l][0], compare_doubles);
        medians[l] = times[l][turns / 2];
    }
    report(self, s, medians);
    release(&o);
}

static size_t table_shapes(shape *shapes)
{
    static const shape table[] = {
        {16, 16, 16},       {32, 32, 32},       {64, 64, 64},     {128, 128, 128},   {256, 256, 256}, {512, 512, 512},
        {1024, 1024, 1024}, {2048, 2048, 2048}, {64, 8, 512},     {64, 512, 8},      {64, 8, 2048},   {64, 2048, 8},
        {1, 4096, 4096},    {8, 4096, 4096},    {64, 4096, 4096}, {512, 4096, 4096},
    };
    memcpy(shapes, table, sizeof table);
    return sizeof table / sizeof table[0];
}

static size_t random_shapes(shape *shapes, size_t first, size_t count)
{
    uint64_t seed = 20261122;
    for (size_t i = 0; i < first + count && i < first + SHAPES_MAX; i++) {
        const shape s = {random_side(&seed), random_side(&seed), random_side(&seed)};
        shapes[i < first ? 0 : i - first] = s;
    }
    return count;
}

static void open_device(bench *self, int threads)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    desc.threads = (size_t)threads;
    stop_unless(anymps_device_open(&desc, &self->device));
    stop_unless(anymps_queue_create(self->device, &self->queue));
}

static void print_head(const bench *self, int threads)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    stop_unless(anymps_device_get_properties(self->device, &properties));
    (void)printf("%s, %s, %d threads, %s; microseconds, median\n", properties.name, properties.architecture, threads,
                 anymps_dtype_name(self->dtype));
    (void)printf("%5s   %4s   %4s %11s", "rows", "cols", "int.", "ours");
    for (size_t l = 0; l < self->peer_count; l++) {
        (void)printf(" %11.11s", self->peers[l].name);
    }
    (void)printf("  %6s %8s\n", "ratio", "GFLOP/s");
}

/* An option without a value. */
static bool is_flag(bench *self, const char *option)
{
    self->cold = self->cold || strcmp(option, "-c") == 0;
    self->turned = self->turned || strcmp(option, "-T") == 0;
    self->constant = self->constant || strcmp(option, "-k") == 0;
    return strcmp(option, "-c") == 0 || strcmp(option, "-T") == 0 || strcmp(option, "-k") == 0;
}

int main(int argc, char **argv)
{
    static shape shapes[SHAPES_MAX];
    bench self = {.dtype = ANYMPS_DTYPE_F32, .milliseconds = 60.0};
    const char *wanted = NULL;
    int threads = 1;
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        shape s;
        size_t first;
        if (sscanf(argv[i], "%zux%zux%zu", &s.m, &s.n, &s.k) == 3 && count < SHAPES_MAX) {
            shapes[count++] = s;
            continue;
        }
        if (is_flag(&self, argv[i])) {
            continue;
        }
        if (strcmp(argv[i], "-t") == 0) {
            threads = atoi(value);
        } else if (strcmp(argv[i], "-p") == 0) {
            wanted = value;
        } else if (strcmp(argv[i], "-s") == 0) {
            self.result_bytes = (size_t)atol(value);
        } else if (strcmp(argv[i], "-m") == 0) {
            self.milliseconds = atof(value);
        } else if (strcmp(argv[i], "-d") == 0) {
            stop_unless(anymps_dtype_parse(value, &self.dtype));
        } else if (strcmp(argv[i], "-r") == 0 && sscanf(value, "%zu,%zu", &first, &count) == 2 && count <= SHAPES_MAX) {
            count = random_shapes(shapes, first, count);
        } else {
            (void)fprintf(stderr, "usage: sweep_gemm [-t threads] [-p peer,peer] [-r first,count] [-d f32|f16|bf16] "
                                  "[-m milliseconds] [-c] [-s bytes] [-T] [-k] [MxNxK ...]\n");
            return 2;
        }
        i++;
    }
    count = count == 0 ? table_shapes(shapes) : count;
    wanted = self.turned || self.constant || self.result_bytes != 0 ? "none" : wanted;
    self.peer_count = peers_open(wanted, threads, self.peers);
    open_device(&self, threads);
    print_head(&self, threads);
    for (size_t i = 0; i < count; i++) {
        measure(&self, &shapes[i]);
    }
    (void)printf("%zu shapes: at least the best other at %zu, below 0.9 of it at %zu, geometric mean %.3f\n",
                 self.shapes, self.ahead, self.behind, exp(self.log_sum / (double)self.shapes));
    anymps_queue_release(self.queue);
    anymps_device_release(self.device);
    return 0;
}
