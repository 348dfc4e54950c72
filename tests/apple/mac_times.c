/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mac_times.c: for a Mac's report, how long products and the other operators take: MPS called directly, the library
 * over MPS, our own kernels. Every row has the device's time, the commit call and the round trip; the library's rows
 * also the encode call. Called by mac_probe.c.
 */
#include "mac_direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

amps_id mac_device, mac_queue;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* ---- MPS, directly ---------------------------------------------------------------------------- */

amps_id mac_new_matrix(amps_id buffer, size_t rows, size_t columns, size_t count)
{
    const amps_id descriptor = amps_send_matrix_descriptor(amps_class_named("MPSMatrixDescriptor"), rows, columns,
                                                           count, columns * 4, rows * columns * 4, MPSDataTypeFloat32);
    return amps_send_matrix_init(amps_send_alloc(amps_class_named("MPSMatrix")), buffer, 0, descriptor);
}

void mac_direct_close(mac_direct *self)
{
    for (size_t i = 0; i < 3; i++) {
        amps_drop(self->matrices[i]);
        amps_drop(self->buffers[i]);
    }
    amps_drop(self->kernel);
}

bool mac_direct_open(mac_direct *self, size_t m, size_t n, size_t k, size_t batch)
{
    *self = (mac_direct){.m = m, .n = n, .k = k, .batch = batch};
    const size_t rows[3] = {m, k, m}, columns[3] = {k, n, n};
    const size_t most = (size_t)amps_send_max_buffer_length(mac_device);
    for (size_t i = 0; i < 3; i++) {
        const size_t bytes = rows[i] * columns[i] * batch * 4;
        self->buffers[i] = bytes <= most ? amps_send_new_buffer(mac_device, bytes, MTLResourceStorageModeShared) : NULL;
        if (self->buffers[i] == NULL) {
            mac_direct_close(self);
            return false;
        }
        self->matrices[i] = mac_new_matrix(self->buffers[i], rows[i], columns[i], batch);
    }
    self->kernel = amps_send_multiplication_init(amps_send_alloc(amps_class_named("MPSMatrixMultiplication")),
                                                 mac_device, 0, 0, m, n, k, 1.0, 0.0);
    amps_send_multiplication_set_batch(self->kernel, batch);
    return true;
}

void mac_direct_fill(const mac_direct *self, float left, float right)
{
    float *const a = amps_send_contents(self->buffers[0]), *const b = amps_send_contents(self->buffers[1]);
    for (size_t i = 0; i < self->m * self->k * self->batch; i++) {
        a[i] = left;
    }
    for (size_t i = 0; i < self->k * self->n * self->batch; i++) {
        b[i] = right;
    }
}

double mac_direct_run(const mac_direct *self)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const amps_id commands = amps_send_command_buffer(mac_queue);
    amps_send_multiplication_encode(self->kernel, commands, self->matrices[0], self->matrices[1], self->matrices[2]);
    amps_send_commit(commands);
    amps_send_wait_completed(commands);
    const bool failed = amps_send_command_status(commands) == MTLCommandBufferStatusError;
    const double us = failed ? -1.0 : (amps_send_gpu_end(commands) - amps_send_gpu_start(commands)) * 1e6;
    amps_apple.objc_autoreleasePoolPop(pool);
    return us;
}

/* ---- Times ------------------------------------------------------------------------------------ */

enum { MOST_REPEATS = 256, MANY = 64 };

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

static const char *separator(void)
{
    static bool later;
    const char *const text = later ? ",\n" : "";
    later = true;
    return text;
}

static void time_direct(size_t m, size_t n, size_t k, size_t repeat)
{
    mac_direct self;
    double gpu[MOST_REPEATS], wall[MOST_REPEATS];
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const bool opened = mac_direct_open(&self, m, n, k, 1);
    if (opened) {
        mac_direct_fill(&self, 0.5f, 0.25f);
        for (size_t i = 0; i < repeat; i++) {
            const double start = now_us();
            gpu[i] = mac_direct_run(&self);
            wall[i] = now_us() - start;
        }
        mac_direct_close(&self);
        printf("%s    {\"operator\": \"matmul\", \"shape\": [%zu, %zu, %zu], \"times\": 1, \"how\": \"mps directly\", "
               "\"gpu_us\": %.2f, \"round_trip_us\": %.2f}",
               separator(), m, n, k, median(gpu, repeat), median(wall, repeat));
    }
    amps_apple.objc_autoreleasePoolPop(pool);
}

/* One operator with its operands: left, right, down, up of which some are absent. */
typedef struct subject {
    const char *name;
    bool weights;    /* of lora: with the product that it adds to */
    size_t shape[4]; /* rows, columns, interior, rank */
    anymps_matrix *left, *right, *down, *up, *result;
    anymps_kernel *kernel;
} subject;

static anymps_matrix *matrix(anymps_device *opened, size_t rows, size_t columns)
{
    const anymps_matrix_desc shape = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    anymps_matrix *made = NULL;
    return anymps_matrix_create_on(opened, &shape, &made) == ANYMPS_OK ? made : NULL;
}

static void subject_close(subject *s)
{
    anymps_kernel_release(s->kernel);
    anymps_matrix *const all[] = {s->left, s->right, s->down, s->up, s->result};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
}

static bool open_matmul(anymps_device *opened, anymps_algorithm algorithm, subject *s)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = s->shape[0];
    desc.columns = s->shape[1];
    desc.interior = s->shape[2];
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    desc.algorithm = algorithm;
    s->left = matrix(opened, s->shape[0], s->shape[2]);
    s->right = matrix(opened, s->shape[2], s->shape[1]);
    s->result = matrix(opened, s->shape[0], s->shape[1]);
    return anymps_matmul_create(opened, &desc, &s->kernel) == ANYMPS_OK;
}

static bool open_lora(anymps_device *opened, anymps_algorithm algorithm, subject *s)
{
    anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    desc.dtype = ANYMPS_DTYPE_F32;
    desc.algorithm = algorithm;
    s->left = matrix(opened, s->shape[0], s->shape[2]);
    s->right = s->weights ? matrix(opened, s->shape[2], s->shape[1]) : NULL;
    s->down = matrix(opened, s->shape[2], s->shape[3]);
    s->up = matrix(opened, s->shape[3], s->shape[1]);
    s->result = matrix(opened, s->shape[0], s->shape[1]);
    return anymps_lora_create(opened, &desc, &s->kernel) == ANYMPS_OK;
}

static bool open_softmax(anymps_device *opened, anymps_algorithm algorithm, subject *s)
{
    anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
    desc.dtype = ANYMPS_DTYPE_F32;
    desc.algorithm = algorithm;
    s->left = matrix(opened, s->shape[0], s->shape[1]);
    s->result = matrix(opened, s->shape[0], s->shape[1]);
    return anymps_softmax_create(opened, &desc, &s->kernel) == ANYMPS_OK;
}

static bool open_rms_norm(anymps_device *opened, anymps_algorithm algorithm, subject *s)
{
    anymps_norm_desc desc = ANYMPS_NORM_DESC_INIT;
    desc.dtype = ANYMPS_DTYPE_F32;
    desc.algorithm = algorithm;
    s->left = matrix(opened, s->shape[0], s->shape[1]);
    s->result = matrix(opened, s->shape[0], s->shape[1]);
    return anymps_rms_norm_create(opened, &desc, &s->kernel) == ANYMPS_OK;
}

static anymps_status encode(const subject *s, anymps_command_buffer *commands)
{
    switch (s->name[0]) {
    case 'm': return anymps_matmul_encode(s->kernel, commands, s->left, s->right, s->result, NULL);
    case 'l': return anymps_lora_encode(s->kernel, commands, s->left, s->right, s->down, s->up, s->result, NULL);
    case 's': return anymps_softmax_encode(s->kernel, commands, s->left, s->result, NULL);
    default: return anymps_rms_norm_encode(s->kernel, commands, s->left, NULL, NULL, NULL, s->result, NULL);
    }
}

/* Medians of `repeat` commits of `times` encodes, each for one operation but the commit and the round trip. */
static bool time_encoded(anymps_device *opened, const subject *s, size_t times, size_t repeat)
{
    anymps_queue *own = NULL;
    anymps_command_buffer *commands = NULL;
    double encodes[MOST_REPEATS], gpu[MOST_REPEATS], wall[MOST_REPEATS], commit[MOST_REPEATS];
    bool good = anymps_queue_create(opened, &own) == ANYMPS_OK &&
                anymps_command_buffer_create(own, &commands) == ANYMPS_OK &&
                anymps_command_buffer_enable_timings(commands, true) == ANYMPS_OK;
    for (size_t i = 0; i < repeat && good; i++) {
        anymps_timings first = ANYMPS_TIMINGS_INIT, again = ANYMPS_TIMINGS_INIT;
        good = anymps_command_buffer_reset(commands) == ANYMPS_OK;
        for (size_t k = 0; k < times && good; k++) {
            good = encode(s, commands) == ANYMPS_OK;
        }
        /* The first commit plans, the second only encodes, as a caller's loop would. */
        good = good && anymps_command_buffer_commit(commands) == ANYMPS_OK &&
               anymps_command_buffer_wait(commands) == ANYMPS_OK &&
               anymps_command_buffer_get_timings(commands, &first) == ANYMPS_OK &&
               anymps_command_buffer_commit(commands) == ANYMPS_OK &&
               anymps_command_buffer_wait(commands) == ANYMPS_OK &&
               anymps_command_buffer_get_timings(commands, &again) == ANYMPS_OK;
        encodes[i] = (double)first.encode_ns * 1e-3 / (double)times;
        gpu[i] = (double)again.device_ns * 1e-3 / (double)times;
        wall[i] = (double)again.round_trip_ns * 1e-3;
        commit[i] = (double)again.commit_ns * 1e-3;
    }
    if (good) {
        printf("%s    {\"operator\": \"%s\", \"shape\": [%zu, %zu, %zu, %zu], \"times\": %zu, \"how\": \"%s\", "
               "\"encode_us\": %.2f, \"gpu_us\": %.2f, \"commit_us\": %.2f, \"round_trip_us\": %.2f}",
               separator(), s->name, s->shape[0], s->shape[1], s->shape[2], s->shape[3], times,
               anymps_kernel_explain(s->kernel), median(encodes, repeat), median(gpu, repeat), median(commit, repeat),
               median(wall, repeat));
    }
    anymps_command_buffer_release(commands);
    anymps_queue_release(own);
    return good;
}

/* One blocking call's worth, and MANY in one command buffer (two where few repeats are asked for). */
static void time_subject(anymps_device *opened, subject s, anymps_algorithm algorithm, size_t repeat)
{
    const bool made = s.name[0] == 'm'   ? open_matmul(opened, algorithm, &s)
                      : s.name[0] == 'l' ? open_lora(opened, algorithm, &s)
                      : s.name[0] == 's' ? open_softmax(opened, algorithm, &s)
                                         : open_rms_norm(opened, algorithm, &s);
    if (!made || !time_encoded(opened, &s, 1, repeat) ||
        !time_encoded(opened, &s, repeat < 8 ? 2 : MANY, 1 + repeat / 4)) {
        fprintf(stderr, "log: no times of %s: %s\n", s.name, anymps_last_error()->message);
    }
    subject_close(&s);
}

void mac_times(anymps_device *opened, size_t largest, size_t repeat)
{
    const size_t times = repeat == 0 || repeat > MOST_REPEATS ? MOST_REPEATS : repeat;
    printf("  \"times_f32\": [\n");
    for (size_t side = 16; side <= largest; side *= 2) {
        const subject square = {.name = "matmul", .shape = {side, side, side, 0}};
        time_direct(side, side, side, times);
        time_subject(opened, square, ANYMPS_ALGORITHM_VENDOR, times);
        time_subject(opened, square, ANYMPS_ALGORITHM_OWN, times);
    }
    /* The shapes that others have published: adapters, rows, a thin product. Then adapters with their product: below
       and from the number of rows at which the kernel changes, and beside MPS's product of the same size. */
    static const subject others[] = {
        {.name = "matmul", .shape = {512, 512, 64, 0}},
        {.name = "lora", .shape = {64, 512, 512, 8}},
        {.name = "lora", .shape = {64, 1024, 1024, 8}},
        {.name = "lora", .shape = {64, 2048, 2048, 8}},
        {.name = "softmax", .shape = {128, 1024, 0, 0}},
        {.name = "rms_norm", .shape = {128, 1024, 0, 0}},
        {.name = "lora with weights", .weights = true, .shape = {7, 2048, 2048, 8}},
        {.name = "lora with weights", .weights = true, .shape = {8, 2048, 2048, 8}},
        {.name = "lora with weights", .weights = true, .shape = {64, 512, 512, 16}},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const size_t *const shape = others[i].shape;
        if (shape[1] > 16 * largest) {
            continue; /* a short run leaves the large ones out */
        }
        if (others[i].name[0] == 'm' || others[i].weights) {
            time_direct(shape[0], shape[1], shape[2], times);
        }
        time_subject(opened, others[i], ANYMPS_ALGORITHM_AUTO, times);
        time_subject(opened, others[i], ANYMPS_ALGORITHM_OWN, times);
    }
    printf("\n  ],\n");
}
