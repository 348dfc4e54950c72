/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_matmul.c: every way in which the CUDA backend can run a product, on one GPU: each result is compared with that of
 * the ordinary kernel, and its time with the others', all in turns. tools/gpu-run runs it; it looks inside the backend.
 *
 *     sweep_matmul check [TEXT [N [AGAIN]]]  the first N odd shapes in every layout, results only, of types that begin with
 *                                TEXT; each is run AGAIN times more (20), overlapping, and must give the same bits
 *     sweep_matmul time [TEXT [WAY]]    the shapes of docs/performance.md whose name has TEXT, products that may overlap; by
 *                                       the usual way and those whose name has WAY
 *     sweep_matmul chain [TEXT [WAY]]   the same, as if each left operand were the result before
 *     sweep_matmul fresh [TEXT [WAY]]   the same, and every right operand comes from memory: copies are taken in turns
 *     sweep_matmul energy [TEXT]        the usual way and three of cuBLASLt's: rate, clock, power, work a joule
 */
#include "sweep_energy.h"
#include "sweep_numbers.h"
#include "sweep_shapes.h"

#include "base/threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const amps_backend amps_backend_cuda;

enum { ROOM = 240, ROUNDS = 7 };
/* Several times the L2 cache of an H100. */
enum { FRESH_BYTES = 300 << 20, MOST_RIGHTS = 64 };

static amps_cuda_device *device;
static CUstream stream;
static void *scratch;
static size_t scratch_bytes = (size_t)1 << 30;
static int failures;
static bool chain, fresh, energy;
static int rights;           /* copies of the right operand that are taken in turns; 0: it is always the same */
static uint64_t right_bytes; /* from one to the next */
static int repetitions = 20;
static const char *only_way = "";

static void must(CUresult result, const char *what)
{
    if (result != CUDA_SUCCESS) {
        (void)fprintf(stderr, "sweep_matmul: %s answered %d\n", what, (int)result);
        exit(1);
    }
}

/* ---- Operands --------------------------------------------------------------------------------- */

typedef struct shape_case {
    const char *name;
    amps_gemm_kind kind;
    int64_t rows, columns, interior, batch;
    bool transpose_left, transpose_right;
    bool all;                  /* compare every choice, do not time */
    float alpha, beta;         /* 0 alpha: 1 */
    bool bias, reduced, dense; /* dense: rows without padding */
    bool left_settled, right_settled;
} shape_case;

static CUdeviceptr random_operand(amps_gemm_kind kind, int64_t count)
{
    const size_t bytes = (size_t)(count * operand_bytes(kind));
    const int64_t block = 1 << 21; /* elements that are really random; the rest repeats them */
    CUdeviceptr at = 0;
    unsigned char *const host = malloc((size_t)(block * operand_bytes(kind)));
    const int64_t made = count < block ? count : block;
    for (int64_t i = 0; i < made; i++) {
        put(host + i * operand_bytes(kind), kind, random_normal());
    }
    must(amps_cu.MemAlloc(&at, bytes), "cuMemAlloc");
    const size_t first = (size_t)(made * operand_bytes(kind));
    must(amps_cu.MemcpyAsync(at, (CUdeviceptr)(uintptr_t)host, first, stream), "cuMemcpyAsync");
    for (size_t done = first; done < bytes;) {
        const size_t more = bytes - done < done ? bytes - done : done;
        must(amps_cu.MemcpyAsync(at + done, at, more, stream), "cuMemcpyAsync");
        done += more;
    }
    must(amps_cu.StreamSynchronize(stream), "cuStreamSynchronize");
    free(host);
    return at;
}

/* ---- One way ---------------------------------------------------------------------------------- */

typedef struct way {
    amps_gemm_choice choice;
    CUgraphExec graph;
    double times[ROUNDS];
    double worst;
    bool good;
} way;

static bool run_once(const amps_gemm *gemm, const amps_gemm_choice *choice, int count)
{
    amps_cuda_emitter out = {
        .device = device, .stream = stream, .scratch = (CUdeviceptr)(uintptr_t)scratch, .scratch_bytes = scratch_bytes};
    if (amps_choice_scratch(gemm, choice) > scratch_bytes) {
        return false;
    }
    amps_gemm next = *gemm;
    for (int i = 0; i < count; i++) {
        next.params.right = rights > 0 ? gemm->params.right + (uint64_t)(i % rights) * right_bytes : gemm->params.right;
        if (amps_choice_run(&out, &next, choice) != ANYMPS_OK) {
            (void)printf("    %s\n", anymps_last_error()->message);
            return false;
        }
    }
    return true;
}

/* The largest difference, in units of the bound: rounding of the result and of sums in any order. */
static double compare(const unsigned char *a, const unsigned char *b, size_t count, amps_gemm_kind kind,
                      int64_t interior)
{
    const double eps = kind == AMPS_GEMM_I8_I32  ? 0.0
                       : result_bytes(kind) == 4 ? 0x1p-23
                       : is_half(kind)           ? 0x1p-9
                                                 : 0x1p-6; /* two roundings: cuBLASLt's terms of beta */
    /* A narrow result is rounded twice by cuBLASLt where there is beta, each time from a value larger than the result. */
    const double sums =
        kind == AMPS_GEMM_I8_I32
            ? 0.4
            : 0x1p-20 *
                  (double)interior; /* |a|·|b| is about 0.6 interior: a third of what the bound of f32 allows at 8 */
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        const double x = value_of(a + i * (size_t)result_bytes(kind), kind),
                     y = value_of(b + i * (size_t)result_bytes(kind), kind);
        const double difference = fabs(x - y) / (sums + eps * (fabs(y) > 2.0              ? fabs(y)
                                                               : kind == AMPS_GEMM_I8_I32 ? 0.0
                                                                                          : 2.0));
        if (!(difference <= worst)) {
            worst = difference == difference ? difference : (double)INFINITY;
        }
    }
    return worst;
}

static void capture(const amps_gemm *gemm, way *w, int count)
{
    CUgraph graph = NULL;
    must(amps_cu.StreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED), "cuStreamBeginCapture");
    w->good = run_once(gemm, &w->choice, count);
    must(amps_cu.StreamEndCapture(stream, &graph), "cuStreamEndCapture");
    if (w->good && amps_cu.GraphInstantiate(&w->graph, graph, 0) != CUDA_SUCCESS) {
        w->good = false;
    }
    (void)amps_cu.GraphDestroy(graph);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double time_one(const way *w, bool again, CUevent begin, CUevent end)
{
    float ms = 0;
    if (again) { /* short ones find the chip awake */
        must(amps_cu.GraphLaunch(w->graph, stream), "cuGraphLaunch");
    }
    must(amps_cu.EventRecord(begin, stream), "cuEventRecord");
    must(amps_cu.GraphLaunch(w->graph, stream), "cuGraphLaunch");
    must(amps_cu.EventRecord(end, stream), "cuEventRecord");
    must(amps_cu.StreamSynchronize(stream), "cuStreamSynchronize");
    must(amps_cu.EventElapsedTime(&ms, begin, end), "cuEventElapsedTime");
    return (double)ms * 1e3;
}

/* After a first round those far behind are left out: they would only cool the chip. */
static void drop_slow(way *ways, size_t count)
{
    double best = 0;
    for (size_t i = 0; i < count; i++) {
        best = ways[i].good && (best == 0 || ways[i].times[0] < best) ? ways[i].times[0] : best;
    }
    for (size_t i = 0; i < count; i++) {
        ways[i].good = ways[i].good && ways[i].times[0] <= 1.5 * best;
    }
}

static void time_all(const amps_gemm *gemm, way *ways, size_t count, double flops)
{
    CUevent begin, end;
    must(amps_cu.EventCreate(&begin, CU_EVENT_DEFAULT), "cuEventCreate");
    must(amps_cu.EventCreate(&end, CU_EVENT_DEFAULT), "cuEventCreate");
    const double us = 2.0 + flops / 6e8;
    const int each = us < 20 ? 64 : us < 100 ? 16 : us < 400 ? 6 : 3;
    for (size_t i = 0; i < count; i++) {
        ways[i].good = ways[i].good && ways[i].choice.engine != AMPS_ENGINE_ANY;
        if (ways[i].good) {
            capture(gemm, &ways[i], each);
        }
    }
    for (int round = -1; round < ROUNDS; round++) {
        for (size_t n = 0; n < count; n++) {
            /* In another order each round: who follows a hot kernel finds a slower clock. */
            const size_t forth = (n + (size_t)(round + 1) * 5) % count, back = count - 1 - forth;
            way *const w = &ways[round % 2 == 0 ? forth : back];
            if (w->good) {
                w->times[round < 0 ? 0 : round] = time_one(w, us < 100, begin, end) / each;
            }
        }
        if (round < 0) {
            drop_slow(ways, count);
        }
    }
    for (size_t i = 0; i < count; i++) {
        qsort(ways[i].times, ROUNDS, sizeof ways[i].times[0], by_value);
        if (ways[i].graph != NULL) {
            (void)amps_cu.GraphExecDestroy(ways[i].graph);
        }
    }
    (void)amps_cu.EventDestroy(begin);
    (void)amps_cu.EventDestroy(end);
}

static void name_of(const amps_gemm *gemm, const amps_gemm_choice *choice, char *text, size_t size)
{
    if (choice->engine == AMPS_ENGINE_VENDOR) {
        amps_gemm_vendor_name(device, gemm, choice->variant, text, size);
    } else {
        amps_choice_name(choice, text, size);
    }
}

/* ---- Power ------------------------------------------------------------------------------------ */

enum { ENERGY_NS = 500000000, ENERGY_ROUNDS = 2 };

/* Repeats a graph for half a second, of which the first fifth only brings the clock to where it stays. */
static void measure_energy(const energy_meter *meter, const way *w, double flops, const char *name)
{
    unsigned long long from = 0, to = 0, bits = 0, all = 0;
    unsigned megahertz = 0, celsius = 0;
    double clocks = 0;
    long runs = 0, samples = 0;
    uint64_t begin = amps_now_ns(), now = begin;
    bool warm = false;
    while (now - begin < ENERGY_NS) {
        must(amps_cu.GraphLaunch(w->graph, stream), "cuGraphLaunch");
        must(amps_cu.StreamSynchronize(stream), "cuStreamSynchronize");
        runs++;
        if (runs % 16 == 0 && meter->clock(meter->device, 1, &megahertz) == 0 &&
            meter->reasons(meter->device, &bits) == 0) {
            clocks += megahertz, samples++, all |= bits;
        }
        now = amps_now_ns();
        if (!warm && now - begin > ENERGY_NS / 5) {
            warm = true, begin = now, runs = samples = 0, clocks = 0, all = 0;
            (void)meter->energy(meter->device, &from);
        }
    }
    (void)meter->energy(meter->device, &to);
    (void)meter->temperature(meter->device, 0, &celsius);
    const double seconds = (double)(now - begin) * 1e-9, joules = (double)(to - from) * 1e-3;
    const double work = flops * (double)runs;
    (void)printf("   %7.1f TFLOP/s  %5.0f W  %5.0f MHz  %6.3f TFLOP/J  %u C  held back by 0x%llx  %s\n",
                 work / seconds * 1e-12, joules / seconds, samples > 0 ? clocks / (double)samples : 0.0,
                 work / joules * 1e-12, celsius, all, name);
    (void)fflush(stdout);
}

static void energy_all(const amps_gemm *gemm, way *ways, size_t count, double flops)
{
    energy_meter meter;
    if (!energy_open(&meter)) {
        (void)printf("no NVML\n");
        return;
    }
    const int each = flops > 5e11 ? 2 : 12;
    for (size_t i = 0; i < count; i++) {
        ways[i].good =
            ways[i].good && (i == 0 || (ways[i].choice.engine == AMPS_ENGINE_VENDOR && ways[i].choice.variant < 3));
        if (ways[i].good) {
            capture(gemm, &ways[i], each);
        }
    }
    for (int round = 0; round < ENERGY_ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            char name[160];
            if (ways[i].good) {
                name_of(gemm, &ways[i].choice, name, sizeof name);
                measure_energy(&meter, &ways[i], flops * each, name);
            }
        }
    }
}

/* ---- One product ------------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
    const way *const x = a, *const y = b;
    if (x->good != y->good) {
        return x->good ? -1 : 1;
    }
    return x->times[ROUNDS / 2] < y->times[ROUNDS / 2] ? -1 : x->times[ROUNDS / 2] > y->times[ROUNDS / 2];
}

static void report(const shape_case *c, const amps_gemm *gemm, way *ways, size_t count, const amps_gemm_choice *usual)
{
    double vendor = 0, first = 0;
    for (size_t i = 0; i < count; i++) {
        if (ways[i].good && ways[i].choice.engine == AMPS_ENGINE_VENDOR) {
            if (vendor == 0 || ways[i].times[ROUNDS / 2] < vendor) {
                vendor = ways[i].times[ROUNDS / 2];
            }
            if (ways[i].choice.variant == 0) {
                first = ways[i].times[ROUNDS / 2];
            }
        }
    }
    char name[160];
    name_of(gemm, usual, name, sizeof name);
    (void)printf("%s: cuBLASLt first %.2f best %.2f us; usual: %s\n", c->name, first, vendor, name);
    qsort(ways, count, sizeof *ways, by_time);
    const double flops = 2.0 * (double)c->rows * (double)c->columns * (double)c->interior * (double)c->batch;
    for (size_t i = 0; i < count && ways[i].good; i++) {
        const bool is_usual = memcmp(&ways[i].choice, usual, sizeof *usual) == 0;
        if (i > 40 && ways[i].choice.engine == AMPS_ENGINE_WGMMA && !is_usual) {
            continue;
        }
        name_of(gemm, &ways[i].choice, name, sizeof name);
        const double t = ways[i].times[ROUNDS / 2];
        (void)printf("   %9.3f us (%.3f-%.3f) %7.1f TFLOP/s %6.3f TB/s  x%.3f  err %.2f  %s%s\n", t, ways[i].times[0],
                     ways[i].times[ROUNDS - 1], flops / t * 1e-6,
                     (double)(c->columns * c->interior * operand_bytes(c->kind)) / t * 1e-6, vendor / t, ways[i].worst,
                     name, is_usual ? "  <- usual" : "");
    }
    (void)fflush(stdout);
}

/* A product and its operands on the device. */
typedef struct product {
    const shape_case *c;
    amps_gemm gemm;
    CUdeviceptr memory[4]; /* left, right, result, bias */
    size_t bytes;          /* of the result */
    int64_t pad, pitch;    /* elements behind each row; of the result */
    unsigned char *wanted, *got;
} product;

static void set_sizes(product *self)
{
    const shape_case *const c = self->c;
    amps_gemm_params *const p = &self->gemm.params;
    self->pad = c->dense ? 0 : 16;
    const int64_t left_pitch = (c->transpose_left ? c->rows : c->interior) + self->pad;
    const int64_t right_pitch = (c->transpose_right ? c->interior : c->columns) + self->pad;
    self->pitch = c->columns + self->pad;
    p->rows = c->rows, p->columns = c->columns, p->interior = c->interior, p->batch = c->batch;
    p->left_row = c->transpose_left ? 1 : left_pitch;
    p->left_column = c->transpose_left ? left_pitch : 1;
    p->right_row = c->transpose_right ? 1 : right_pitch;
    p->right_column = c->transpose_right ? right_pitch : 1;
    p->result_row = self->pitch;
    p->result_column = 1;
    p->left_matrix = (c->transpose_left ? c->interior : c->rows) * left_pitch;
    p->right_matrix = (c->transpose_right ? c->columns : c->interior) * right_pitch;
    p->result_matrix = c->rows * self->pitch;
    p->alpha = c->alpha == 0.0f ? 1.0f : c->alpha;
    p->beta = c->beta;
    p->exact_alpha = (double)p->alpha;
    p->exact_beta = (double)p->beta;
}

static void make_product(product *self, const shape_case *c)
{
    *self = (product){.c = c,
                      .gemm = {.kind = c->kind,
                               .options = c->reduced ? ANYMPS_ALLOW_REDUCED_PRECISION : 0u,
                               .left_settled = c->left_settled,
                               .right_settled = c->right_settled}};
    amps_gemm_params *const p = &self->gemm.params;
    set_sizes(self);
    p->left = self->memory[0] = random_operand(c->kind, p->left_matrix * c->batch);
    right_bytes = (uint64_t)(p->right_matrix * operand_bytes(c->kind));
    rights = fresh ? (int)((FRESH_BYTES + right_bytes - 1) / right_bytes) : 0;
    rights = rights > MOST_RIGHTS ? MOST_RIGHTS : rights;
    p->right = self->memory[1] = random_operand(c->kind, p->right_matrix * (rights > 0 ? rights : c->batch));
    self->bytes = (size_t)(p->result_matrix * c->batch * result_bytes(c->kind));
    must(amps_cu.MemAlloc(&self->memory[2], self->bytes), "cuMemAlloc");
    p->result = self->memory[2];
    if (c->bias) {
        p->bias = self->memory[3] = random_operand(c->kind, c->columns);
    }
    if (c->batch == 1) {
        p->left_matrix = p->right_matrix = 0;
    }
    self->wanted = malloc(self->bytes);
    self->got = malloc(self->bytes);
}

static void drop_product(product *self)
{
    free(self->wanted);
    free(self->got);
    for (int i = 0; i < 4; i++) {
        if (self->memory[i] != 0) {
            (void)amps_cu.MemFree(self->memory[i]);
        }
    }
}

/* Runs it once over a result that is known before, into `to` on the host. */
static bool fetch(const product *self, const amps_gemm_choice *choice, unsigned char *to)
{
    const unsigned char before = self->c->beta != 0.0f ? 0x3c : 0xff; /* NaN, where it is not read */
    must(amps_cu.MemsetD8Async(self->memory[2], before, self->bytes, stream), "cuMemsetD8Async");
    const bool ran = run_once(&self->gemm, choice, 1);
    must(amps_cu.MemcpyAsync((CUdeviceptr)(uintptr_t)to, self->memory[2], self->bytes, stream), "cuMemcpyAsync");
    must(amps_cu.StreamSynchronize(stream), "cuStreamSynchronize");
    return ran;
}

/* The largest difference of any row, in bounds; infinite if what lies between the rows has changed. */
static double worst_of(const product *self)
{
    const shape_case *const c = self->c;
    const int64_t element = result_bytes(c->kind), every = c->all || c->rows < 1000 ? 1 : 7;
    double worst = 0;
    for (int64_t n = 0; n < c->batch * c->rows; n += every) {
        const unsigned char *const a = self->got + n * self->pitch * element, *const b = self->wanted + (a - self->got);
        const double here = compare(a, b, (size_t)c->columns, c->kind, c->interior);
        worst = here > worst ? here : worst;
        if (memcmp(a + c->columns * element, b + c->columns * element, (size_t)(self->pad * element)) != 0) {
            worst = (double)INFINITY;
        }
    }
    return worst;
}

/* Many runs that overlap give the bits of the one that was fetched. */
static bool repeats(const product *self, const way *w)
{
    unsigned char *const bytes = malloc(self->bytes);
    must(amps_cu.MemsetD8Async(self->memory[2], 0xff, self->bytes, stream), "cuMemsetD8Async");
    const bool ran = run_once(&self->gemm, &w->choice, repetitions);
    must(amps_cu.MemcpyAsync((CUdeviceptr)(uintptr_t)bytes, self->memory[2], self->bytes, stream), "cuMemcpyAsync");
    must(amps_cu.StreamSynchronize(stream), "cuStreamSynchronize");
    const bool same = ran && memcmp(bytes, self->got, self->bytes) == 0;
    free(bytes);
    return same;
}

static void judge(const product *self, way *w)
{
    char name[128];
    w->good = fetch(self, &w->choice, self->got);
    w->worst = w->good ? worst_of(self) : (double)INFINITY;
    if (w->good && self->c->all && repetitions > 0 && self->c->beta == 0.0f && !repeats(self, w)) {
        w->worst = (double)INFINITY;
    }
    if (!(w->worst <= (self->c->reduced ? 4000.0 : 1.0))) { /* TF32 keeps 13 bits less */
        failures++;
        w->good = false;
        amps_choice_name(&w->choice, name, sizeof name);
        (void)printf("%s: %s: WRONG by %.3g bounds\n", self->c->name, name, w->worst);
    }
}

static void one(const shape_case *c)
{
    static way ways[ROOM];
    static amps_gemm_choice choices[ROOM];
    const amps_gemm_choice reference = {.engine = AMPS_ENGINE_ANY};
    product self;
    double worst = 0;
    size_t count = 0;
    memset(ways, 0, sizeof ways);
    make_product(&self, c);
    (void)fetch(&self, &reference, self.wanted);
    const size_t found = amps_choice_list(device, &self.gemm, choices, ROOM);
    const amps_gemm_choice usual = choices[0];
    for (size_t i = 0; i < found; i++) {
        char name[160];
        name_of(&self.gemm, &choices[i], name, sizeof name);
        if (i > 0 && (memcmp(&choices[i], &usual, sizeof usual) == 0 || strstr(name, only_way) == NULL)) {
            continue; /* the usual one again, or not wanted */
        }
        ways[count].choice = choices[i];
        judge(&self, &ways[count]);
        worst = ways[count].worst > worst ? ways[count].worst : worst;
        count++;
    }
    const double flops = 2.0 * (double)c->rows * (double)c->columns * (double)c->interior * (double)c->batch;
    if (c->all) {
        (void)printf("%s %lldx%lldx%lld*%lld: %zu ways, worst %.2f bounds\n", c->name, (long long)c->rows,
                     (long long)c->columns, (long long)c->interior, (long long)c->batch, count, worst);
    } else if (energy) {
        (void)printf("%s\n", c->name);
        energy_all(&self.gemm, ways, count, flops);
    } else {
        time_all(&self.gemm, ways, count, flops);
        report(c, &self.gemm, ways, count, &usual);
    }
    drop_product(&self);
}

/* ---- Lists ------------------------------------------------------------------------------------ */

static void check_all(const char *only, size_t most)
{
    static const amps_gemm_kind kinds[] = {AMPS_GEMM_BF16_BF16, AMPS_GEMM_F16_F16, AMPS_GEMM_BF16_F32,
                                           AMPS_GEMM_F16_F32, AMPS_GEMM_I8_I32};
    static const char *const names[] = {"bf16", "f16", "bf16-f32", "f16-f32", "i8"};
    for (int k = 0; k < 5; k++) {
        for (size_t s = 0; s < SWEEP_ODD && s < most; s++) {
            for (int layout = 0; layout < 4; layout++) {
                char name[64];
                (void)snprintf(name, sizeof name, "%s %s%s", names[k], (layout & 1) != 0 ? "T" : "N",
                               (layout & 2) != 0 ? "T" : "N");
                shape_case c = {.name = name,
                                .kind = kinds[k],
                                .rows = sweep_odd[s][0],
                                .columns = sweep_odd[s][1],
                                .interior = sweep_odd[s][2],
                                .batch = s % 3 == 2 ? 3 : 1,
                                .transpose_left = (layout & 1) != 0,
                                .transpose_right = (layout & 2) != 0,
                                .all = true,
                                .left_settled = s % 3 != 0,
                                .right_settled = s % 2 == 0,
                                .alpha = s % 2 == 1 && kinds[k] != AMPS_GEMM_I8_I32 ? 1.5f : 1.0f,
                                .beta = s % 4 == 3 ? 1.0f : 0.0f,
                                .bias = s == 4 && kinds[k] != AMPS_GEMM_I8_I32};
                if (strstr(name, only) != name) {
                    continue;
                }
                if (c.transpose_left && c.rows > 1 && s != 11) { /* one case is aligned nowhere: it is copied first */
                    c.rows += 8 - c.rows % 8;
                }
                one(&c);
            }
        }
    }
}

static void time_list(const char *only)
{
    for (size_t i = 0; i < SWEEP_SHAPES; i++) {
        const sweep_shape *const shape = &sweep_shapes[i];
        char name[96];
        (void)snprintf(name, sizeof name, "%s %lldx%lldx%lld%s", shape->name, (long long)shape->rows,
                       (long long)shape->columns, (long long)shape->interior, shape->transposed ? " T" : "");
        const shape_case c = {.name = name,
                              .kind = shape->kind,
                              .rows = shape->rows,
                              .columns = shape->columns,
                              .interior = shape->interior,
                              .batch = 1,
                              .transpose_right = shape->transposed,
                              .reduced = shape->reduced,
                              .dense = true,
                              .left_settled = !chain,
                              .right_settled = true};
        if (strstr(name, only) != NULL) {
            one(&c);
        }
    }
}

int main(int count, char **words)
{
    const anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    amps_device *opened = NULL;
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (count < 2 || !amps_backend_cuda.describe(0, &properties) ||
        amps_backend_cuda.open(0, &desc, &opened) != ANYMPS_OK) {
        (void)fprintf(stderr, "sweep_matmul check|time|chain|fresh|energy [TEXT], on a machine with an NVIDIA GPU\n");
        return 77;
    }
    device = (amps_cuda_device *)opened;
    must(amps_cuda_enter(device), "cuCtxPushCurrent");
    must(amps_cu.StreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    if (amps_cuda_pool_take(device, false, &scratch_bytes, &scratch) != ANYMPS_OK) {
        return 1;
    }
    if (strcmp(words[1], "check") == 0) {
        repetitions = count > 4 ? atoi(words[4]) : repetitions;
        check_all(count > 2 ? words[2] : "", count > 3 ? (size_t)atoi(words[3]) : SIZE_MAX);
    } else {
        fresh = strcmp(words[1], "fresh") == 0;
        chain = fresh || strcmp(words[1], "chain") == 0;
        energy = strcmp(words[1], "energy") == 0;
        only_way = count > 3 ? words[3] : "";
        time_list(count > 2 ? words[2] : "");
    }
    amps_cuda_pool_give(device, false, scratch, scratch_bytes);
    (void)amps_cu.StreamDestroy(stream);
    amps_cuda_leave();
    amps_backend_cuda.close(opened);
    (void)printf("%d wrong\n", failures);
    return failures == 0 ? 0 : 1;
}
