/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency.c: what a tiny operation costs beside its arithmetic, on the CPU: encode, commit and wait, several command
 * buffers in flight, and how late a completion callback comes when nobody waits.
 *
 *     latency [-t threads]
 */
#include "stop.h"
#include "timing.h"

#include <anymps/anymps.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 4001, ENCODES = 100, FLIGHTS = 4, SIDE = 16, CALLBACKS = 401, PAUSE_NS = 3000000, MOMENT_NS = 20000 };

typedef struct bench {
    anymps_device *device;
    anymps_queue *queue;
    anymps_kernel *kernel;
    anymps_matrix *source, *result;
    anymps_command_buffer *commands[FLIGHTS];
} bench;

static void encode(const bench *self, size_t which)
{
    stop_unless(anymps_softmax_encode(self->kernel, self->commands[which], self->source, self->result, NULL));
}

static bench make(size_t threads)
{
    bench self = {0};
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    desc.threads = threads;
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    const anymps_matrix_desc square = anymps_matrix_desc_make(SIDE, SIDE, ANYMPS_DTYPE_F32);
    stop_unless(anymps_device_open(&desc, &self.device));
    stop_unless(anymps_queue_create(self.device, &self.queue));
    stop_unless(anymps_softmax_create(self.device, &softmax, &self.kernel));
    stop_unless(anymps_matrix_create_on(self.device, &square, &self.source));
    stop_unless(anymps_matrix_create_on(self.device, &square, &self.result));
    for (size_t i = 0; i < FLIGHTS; i++) {
        stop_unless(anymps_command_buffer_create(self.queue, &self.commands[i]));
        encode(&self, i);
    }
    return self;
}

static void report(const char *what, double *times, size_t count)
{
    qsort(times, count, sizeof *times, compare_doubles);
    (void)printf("%-58s %9.3f %9.3f %9.3f\n", what, times[count / 10], times[count / 2], times[count - 1 - count / 10]);
}

static void commit_and_wait(const bench *self, double *times)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        const double begin = now_us();
        stop_unless(anymps_command_buffer_commit(self->commands[0]));
        stop_unless(anymps_command_buffer_wait(self->commands[0]));
        times[i] = now_us() - begin;
    }
    report("commit and wait, softmax 16x16 f32", times, SAMPLES);
}

static void encodes(const bench *self, double *times)
{
    for (size_t i = 0; i < SAMPLES / 10; i++) {
        stop_unless(anymps_command_buffer_reset(self->commands[0]));
        const double begin = now_us();
        for (size_t j = 0; j < ENCODES; j++) {
            encode(self, 0);
        }
        times[i] = (now_us() - begin) / ENCODES;
    }
    report("encode", times, SAMPLES / 10);
    stop_unless(anymps_command_buffer_reset(self->commands[0]));
    encode(self, 0);
}

static void flights(const bench *self, double *times)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        const double begin = now_us();
        for (size_t j = 0; j < FLIGHTS; j++) {
            stop_unless(anymps_command_buffer_commit(self->commands[j]));
        }
        for (size_t j = 0; j < FLIGHTS; j++) {
            stop_unless(anymps_command_buffer_wait(self->commands[j]));
        }
        times[i] = (now_us() - begin) / FLIGHTS;
    }
    report("four in flight, then four waits: each", times, SAMPLES);
}

typedef struct call {
    atomic_bool ended;
    double at;
} call;

static void note(void *context, anymps_command_buffer *commands, anymps_status status)
{
    call *const c = context;
    (void)commands;
    (void)status;
    c->at = now_us();
    atomic_store(&c->ended, true);
}

/* Nobody waits: the library's own thread runs the work. `pause`: long enough that it sleeps before. */
static void callbacks(const bench *self, double *times, bool pause)
{
    for (size_t i = 0; i < CALLBACKS; i++) {
        call c = {.at = 0};
        const struct timespec moment = {.tv_sec = 0, .tv_nsec = MOMENT_NS};
        const struct timespec rest = {.tv_sec = 0, .tv_nsec = PAUSE_NS};
        if (pause) {
            (void)nanosleep(&rest, NULL);
        }
        stop_unless(anymps_command_buffer_on_completion(self->commands[1], note, &c));
        const double begin = now_us();
        stop_unless(anymps_command_buffer_commit(self->commands[1]));
        while (!atomic_load(&c.ended)) {
            (void)nanosleep(&moment, NULL);
        }
        times[i] = c.at - begin;
        stop_unless(anymps_command_buffer_wait(self->commands[1]));
        stop_unless(anymps_command_buffer_reset(self->commands[1]));
        encode(self, 1);
    }
    report(pause ? "callback without a wait, after 3 ms of rest" : "callback without a wait, one after the other",
           times, CALLBACKS);
}

int main(int argc, char **argv)
{
    static double times[SAMPLES];
    const size_t threads = argc == 3 && strcmp(argv[1], "-t") == 0 ? (size_t)atoi(argv[2]) : 1;
    const bench self = make(threads);
    (void)printf("%zu threads; microseconds:%32s %9s %9s %9s\n", threads, "", "p10", "p50", "p90");
    encodes(&self, times);
    commit_and_wait(&self, times);
    flights(&self, times);
    callbacks(&self, times, false);
    callbacks(&self, times, true);
    for (size_t i = 0; i < FLIGHTS; i++) {
        anymps_command_buffer_release(self.commands[i]);
    }
    anymps_kernel_release(self.kernel);
    anymps_matrix_release(self.source);
    anymps_matrix_release(self.result);
    anymps_queue_release(self.queue);
    anymps_device_release(self.device);
    return 0;
}
