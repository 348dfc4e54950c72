/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mac_probe.c: what a Mac's report needs beside `anymps verify` and `anymps bench`: which of the defects in errata.def
 * this machine shows when MPS is asked directly, and how long MPS takes called directly, through the library, and
 * against our own kernels. Run by tools/mac-report on a Mac and by a test through the stand-in.
 *
 *     mac_probe [--large] [--repeat N]      one JSON object on the standard output
 *
 * Uses the backend's senders to speak to MPS without the errata guard. --large asks for products of several GB.
 */
#include "backend/metal/objc.h"

#include <anymps/anymps.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static amps_id device, queue;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* ---- MPS, directly ---------------------------------------------------------------------------- */

/* One product C = A * B of f32 through MPS, without a word from the library. */
typedef struct direct {
    amps_id buffers[3], matrices[3], kernel;
    size_t m, n, k, batch;
} direct;

static amps_id new_matrix(amps_id buffer, size_t rows, size_t columns, size_t count)
{
    const amps_id descriptor = amps_send_matrix_descriptor(amps_class_named("MPSMatrixDescriptor"), rows, columns,
                                                           count, columns * 4, rows * columns * 4, MPSDataTypeFloat32);
    return amps_send_matrix_init(amps_send_alloc(amps_class_named("MPSMatrix")), buffer, 0, descriptor);
}

static void direct_close(direct *self)
{
    for (size_t i = 0; i < 3; i++) {
        amps_drop(self->matrices[i]);
        amps_drop(self->buffers[i]);
    }
    amps_drop(self->kernel);
}

static bool direct_open(direct *self, size_t m, size_t n, size_t k, size_t batch)
{
    *self = (direct){.m = m, .n = n, .k = k, .batch = batch};
    const size_t rows[3] = {m, k, m}, columns[3] = {k, n, n};
    const size_t most = (size_t)amps_send_max_buffer_length(device);
    for (size_t i = 0; i < 3; i++) {
        const size_t bytes = rows[i] * columns[i] * batch * 4;
        self->buffers[i] = bytes <= most ? amps_send_new_buffer(device, bytes, MTLResourceStorageModeShared) : NULL;
        if (self->buffers[i] == NULL) {
            direct_close(self);
            return false;
        }
        self->matrices[i] = new_matrix(self->buffers[i], rows[i], columns[i], batch);
    }
    self->kernel = amps_send_multiplication_init(amps_send_alloc(amps_class_named("MPSMatrixMultiplication")), device,
                                                 0, 0, m, n, k, 1.0, 0.0);
    amps_send_multiplication_set_batch(self->kernel, batch);
    return true;
}

static void direct_fill(const direct *self, float left, float right)
{
    float *const a = amps_send_contents(self->buffers[0]), *const b = amps_send_contents(self->buffers[1]);
    for (size_t i = 0; i < self->m * self->k * self->batch; i++) {
        a[i] = left;
    }
    for (size_t i = 0; i < self->k * self->n * self->batch; i++) {
        b[i] = right;
    }
}

/* Encode, commit, wait; the device's own time in µs, or −1 for a failure. */
static double direct_run(const direct *self)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const amps_id commands = amps_send_command_buffer(queue);
    amps_send_multiplication_encode(self->kernel, commands, self->matrices[0], self->matrices[1], self->matrices[2]);
    amps_send_commit(commands);
    amps_send_wait_completed(commands);
    const bool failed = amps_send_command_status(commands) == MTLCommandBufferStatusError;
    const double us = failed ? -1.0 : (amps_send_gpu_end(commands) - amps_send_gpu_start(commands)) * 1e6;
    amps_apple.objc_autoreleasePoolPop(pool);
    return us;
}

/* Elements of the result that are not `exact` within 1e-3 relative. */
static size_t wrong_elements(const direct *self, double exact)
{
    const float *const c = amps_send_contents(self->buffers[2]);
    size_t wrong = 0;
    for (size_t i = 0; i < self->m * self->n * self->batch; i++) {
        wrong += fabs((double)c[i] - exact) <= 1e-3 * fabs(exact) ? 0u : 1u;
    }
    return wrong;
}

static void probe_product(const char *line, size_t m, size_t n, size_t k, size_t batch)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    direct self;
    printf("    {\"line\": \"%s\", \"shape\": [%zu, %zu, %zu, %zu], ", line, m, n, k, batch);
    if (!direct_open(&self, m, n, k, batch)) {
        printf("\"shown\": null, \"why\": \"no memory\"},\n");
    } else {
        direct_fill(&self, 0.5f, 0.25f);
        const double us = direct_run(&self);
        const size_t wrong = us < 0.0 ? m * n * batch : wrong_elements(&self, 0.125 * (double)k);
        printf("\"shown\": %s, \"wrong\": %zu, \"of\": %zu},\n", wrong != 0 ? "true" : "false", wrong, m * n * batch);
        direct_close(&self);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
}

/* The largest error of MPS's GELU over [-6, 6]. */
static void probe_gelu(void)
{
    enum { COUNT = 4096 };
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const amps_id buffers[2] = {amps_send_new_buffer(device, COUNT * 4, MTLResourceStorageModeShared),
                                amps_send_new_buffer(device, COUNT * 4, MTLResourceStorageModeShared)};
    float *const x = amps_send_contents(buffers[0]);
    const float *const y = amps_send_contents(buffers[1]);
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = (float)i * (12.0f / COUNT) - 6.0f;
    }
    const amps_id in = new_matrix(buffers[0], 1, COUNT, 1), out = new_matrix(buffers[1], 1, COUNT, 1);
    const amps_id kernel = amps_send_neuron_init(amps_send_alloc(amps_class_named("MPSMatrixNeuron")), device);
    amps_send_neuron_set_type(kernel, MPSCNNNeuronTypeGeLU, 0.0f, 0.0f, 0.0f);
    amps_send_neuron_set_rows(kernel, 1);
    amps_send_neuron_set_columns(kernel, COUNT);
    const amps_id commands = amps_send_command_buffer(queue);
    amps_send_neuron_encode(kernel, commands, in, NULL, out);
    amps_send_commit(commands);
    amps_send_wait_completed(commands);
    double worst = 0.0;
    for (size_t i = 0; i < COUNT; i++) {
        const double exact = (double)x[i] * 0.5 * erfc(-(double)x[i] / sqrt(2.0));
        worst = fmax(worst, fabs((double)y[i] - exact));
    }
    printf("    {\"line\": \"gelu_accuracy\", \"shown\": %s, \"worst\": %.3g}\n", worst > 2e-6 ? "true" : "false",
           worst);
    const amps_id all[] = {kernel, in, out, buffers[0], buffers[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        amps_drop(all[i]);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
}

static void probe_errata(bool large)
{
    printf("  \"errata\": [\n");
    probe_product("interior_32767", 16, 16, 32768, 1);
    probe_product("dimension_32768", 40000, 8, 8, 1);
    probe_product("dimension_32768", 8, 40000, 8, 1);
    probe_product("batch_65536", 4, 4, 4, 65600);
    if (large) {
        probe_product("product_31_bits", 13600, 13600, 13600, 1);
        probe_product("operand_31_bits", 1 << 20, 16, 2048, 1);
    }
    probe_gelu();
    printf("  ],\n");
}

/* ---- Times ------------------------------------------------------------------------------------ */

static int by_value(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

enum { MOST_REPEATS = 256 };

static void time_direct(size_t side, size_t repeat)
{
    direct self;
    double gpu[MOST_REPEATS], wall[MOST_REPEATS];
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const bool opened = direct_open(&self, side, side, side, 1);
    if (opened) {
        direct_fill(&self, 0.5f, 0.25f);
        for (size_t i = 0; i < repeat; i++) {
            const double start = now_us();
            gpu[i] = direct_run(&self);
            wall[i] = now_us() - start;
        }
        direct_close(&self);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
    if (!opened) {
        return;
    }
    printf("    {\"shape\": %zu, \"how\": \"mps directly\", \"gpu_us\": %.2f, \"round_trip_us\": %.2f},\n", side,
           median(gpu, repeat), median(wall, repeat));
}

/* The same product through the library with one algorithm. */
static void time_library(anymps_device *opened, size_t side, anymps_algorithm algorithm, size_t repeat)
{
    const anymps_matrix_desc shape = anymps_matrix_desc_make(side, side, ANYMPS_DTYPE_F32);
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = desc.columns = desc.interior = side;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    desc.algorithm = algorithm;
    anymps_matrix *a = NULL, *b = NULL, *c = NULL;
    anymps_kernel *kernel = NULL;
    anymps_queue *own = NULL;
    anymps_command_buffer *commands = NULL;
    double gpu[MOST_REPEATS], wall[MOST_REPEATS], commit[MOST_REPEATS];
    bool good = anymps_matrix_create_on(opened, &shape, &a) == ANYMPS_OK &&
                anymps_matrix_create_on(opened, &shape, &b) == ANYMPS_OK &&
                anymps_matrix_create_on(opened, &shape, &c) == ANYMPS_OK &&
                anymps_matmul_create(opened, &desc, &kernel) == ANYMPS_OK &&
                anymps_queue_create(opened, &own) == ANYMPS_OK &&
                anymps_command_buffer_create(own, &commands) == ANYMPS_OK &&
                anymps_command_buffer_enable_timings(commands, true) == ANYMPS_OK &&
                anymps_matmul_encode(kernel, commands, a, b, c, NULL) == ANYMPS_OK;
    for (size_t i = 0; i < repeat && good; i++) {
        anymps_timings times = ANYMPS_TIMINGS_INIT;
        good = anymps_command_buffer_commit(commands) == ANYMPS_OK &&
               anymps_command_buffer_wait(commands) == ANYMPS_OK &&
               anymps_command_buffer_get_timings(commands, &times) == ANYMPS_OK;
        gpu[i] = (double)times.device_ns * 1e-3;
        wall[i] = (double)times.round_trip_ns * 1e-3;
        commit[i] = (double)times.commit_ns * 1e-3;
    }
    if (good) {
        printf(
            "    {\"shape\": %zu, \"how\": \"%s\", \"gpu_us\": %.2f, \"round_trip_us\": %.2f, \"commit_us\": %.2f},\n",
            side, anymps_kernel_explain(kernel), median(gpu, repeat), median(wall, repeat), median(commit, repeat));
    }
    anymps_command_buffer_release(commands), anymps_queue_release(own), anymps_kernel_release(kernel);
    anymps_matrix_release(a), anymps_matrix_release(b), anymps_matrix_release(c);
}

static void time_products(anymps_device *opened, size_t largest, size_t repeat)
{
    printf("  \"products_f32\": [\n");
    for (size_t side = 16; side <= largest; side *= 2) {
        time_direct(side, repeat);
        time_library(opened, side, ANYMPS_ALGORITHM_VENDOR, repeat);
        time_library(opened, side, ANYMPS_ALGORITHM_OWN, repeat);
    }
    printf("    {\"shape\": 0}\n  ],\n");
}

/* ---- Report ----------------------------------------------------------------------------------- */

static void keep_log(void *context, anymps_log_level level, const char *message)
{
    (void)context;
    (void)level;
    fprintf(stderr, "log: %s\n", message);
}

int main(int count, char **words)
{
    bool large = false;
    size_t repeat = 31, largest = 2048;
    for (int i = 1; i < count; i++) {
        large = large || strcmp(words[i], "--large") == 0;
        if (i + 1 < count && strcmp(words[i], "--repeat") == 0) {
            repeat = (size_t)strtoul(words[i + 1], NULL, 10);
        }
        if (i + 1 < count && strcmp(words[i], "--largest") == 0) {
            largest = (size_t)strtoul(words[i + 1], NULL, 10);
        }
    }
    repeat = repeat == 0 || repeat > MOST_REPEATS ? MOST_REPEATS : repeat;
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* what was learnt stays if MPS ends the process */
    anymps_set_log(keep_log, NULL);
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    desc.id = "metal";
    anymps_device *opened = NULL;
    if (anymps_device_open(&desc, &opened) != ANYMPS_OK ||
        anymps_device_get_properties(opened, &properties) != ANYMPS_OK) {
        printf("{\"device\": null, \"why\": \"%s\"}\n", anymps_last_error()->message);
        return 1;
    }
    device = (amps_id)anymps_device_native(opened);
    queue = amps_send_new_queue(device, 16);
    printf("{\n  \"device\": \"%s\", \"architecture\": \"%s\", \"unified\": %s, \"encodings\": \"agree\",\n",
           properties.name, properties.architecture, properties.unified_memory ? "true" : "false");
    probe_errata(large);
    time_products(opened, largest, repeat);
    printf("  \"done\": true\n}\n");
    amps_drop(queue);
    anymps_device_release(opened);
    return 0;
}
