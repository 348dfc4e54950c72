/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peaks.c: the roofs of a device. Called by cmd_bench.c and cmd_demo.c. The multiply-add loop is in
 * peaks_fma.c; copies are here. The best of several attempts counts: a peak is what is possible.
 */
#include "peaks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "cli.h"
#include "clock.h"
#include "parallel.h"

enum {
    COPY_LARGE = 27, /* 2^27 bytes, source and destination together: beyond most caches */
    COPY_SMALL = 12, /* below this a call costs more than its bytes */
    COPY_ATTEMPTS = 5,
    DEVICE_MATMUL = 4096
};

/* ---- CPU -------------------------------------------------------------------------------------- */

typedef struct copy_run {
    char *from, *to;
    size_t bytes; /* of each */
    size_t repeat;
} copy_run;

static void copy_part(void *context, size_t index, size_t threads)
{
    copy_run *run = context;
    size_t begin = run->bytes * index / threads, end = run->bytes * (index + 1) / threads;
    for (size_t i = 0; i < run->repeat; i++) {
        memcpy(run->to + begin, run->from + begin, end - begin);
        run->from[begin] = (char)i; /* the copies must not be merged */
    }
}

/* Bytes read and written per nanosecond with `total` bytes in use. */
static double measure_copy(size_t threads, size_t total)
{
    copy_run run = {.bytes = total / 2};
    double best = 0;
    run.from = malloc(run.bytes);
    run.to = malloc(run.bytes);
    /* Long enough, about 16 ms, that starting the threads does not count. */
    run.repeat = 1 + ((size_t)1 << 27) / run.bytes;
    if (run.from != NULL && run.to != NULL) {
        memset(run.from, 1, run.bytes);
        memset(run.to, 2, run.bytes);
        for (int attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
            double start = clock_ns();
            parallel_run(threads, copy_part, &run);
            double rate = 2.0 * (double)run.bytes * (double)run.repeat / (clock_ns() - start);
            best = rate > best ? rate : best;
        }
    }
    free(run.from);
    free(run.to);
    return best;
}

double peaks_copy(peaks *p, double bytes)
{
    int exponent = bytes > 1 ? ilogb(bytes) : 0;
    if (!p->on_cpu || exponent >= COPY_LARGE) {
        return p->gb_per_s;
    }
    exponent = exponent < COPY_SMALL ? COPY_SMALL : exponent;
    if (p->copy[exponent] == 0) {
        p->copy[exponent] = measure_copy(p->threads, (size_t)1 << exponent);
    }
    return p->copy[exponent];
}

/* ---- Other devices ---------------------------------------------------------------------------- */

static bool measure_device_matmul(peaks *p)
{
    case_spec spec = {.op = JOB_MATMUL, .params = JOB_PARAMS_INIT};
    job j;
    anymps_timings timings;
    spec.sizes = (job_sizes){DEVICE_MATMUL, DEVICE_MATMUL, DEVICE_MATMUL, 0, 1};
    spec.types = case_types_at(JOB_MATMUL, 0);
    bool good = case_make(&spec, p->device, &j) && job_move_to_device(&j) == ANYMPS_OK &&
                job_prepare(&j) == ANYMPS_OK && job_encode(&j) == ANYMPS_OK;
    for (int attempt = 0; good && attempt < COPY_ATTEMPTS; attempt++) {
        good = job_run(&j, &timings) == ANYMPS_OK;
        double time = (double)(timings.device_ns > 0 ? timings.device_ns : timings.round_trip_ns);
        double rate = job_flops(&j, &spec.sizes) / time;
        p->gflops = good && rate > p->gflops ? rate : p->gflops;
    }
    job_free(&j);
    p->how = "f32 matmul 4096x4096x4096 on the device";
    return good;
}

static bool measure_device_copy(peaks *p)
{
    anymps_buffer *from = NULL, *to = NULL;
    size_t bytes = (size_t)1 << 28;
    bool good = anymps_buffer_create(p->device, bytes, ANYMPS_STORAGE_PRIVATE, &from) == ANYMPS_OK &&
                anymps_buffer_create(p->device, bytes, ANYMPS_STORAGE_PRIVATE, &to) == ANYMPS_OK;
    for (int attempt = 0; good && attempt < COPY_ATTEMPTS; attempt++) {
        double start = clock_ns();
        good = anymps_buffer_copy(to, 0, from, 0, bytes) == ANYMPS_OK;
        double rate = 2.0 * (double)bytes / (clock_ns() - start);
        p->gb_per_s = good && rate > p->gb_per_s ? rate : p->gb_per_s;
    }
    anymps_buffer_release(from);
    anymps_buffer_release(to);
    return good;
}

/* ---- Both ------------------------------------------------------------------------------------- */

bool peaks_measure(anymps_device *device, peaks *p)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    *p = (peaks){.device = device};
    if (anymps_device_get_properties(device, &properties) != ANYMPS_OK) {
        cli_library_error("peaks");
        return false;
    }
    p->on_cpu = properties.backend == ANYMPS_BACKEND_CPU;
    p->threads = properties.threads > 0 ? properties.threads : 1;
    if (p->on_cpu) {
        p->gflops = peaks_fma(p->threads, &p->how);
        p->gb_per_s = measure_copy(p->threads, (size_t)1 << COPY_LARGE);
        return true;
    }
    if (!measure_device_matmul(p) || !measure_device_copy(p)) {
        cli_library_error("peaks");
        return false;
    }
    return true;
}

double peaks_floor_ns(peaks *p, double flops, double bytes)
{
    double copy = peaks_copy(p, bytes);
    double compute = p->gflops > 0 ? flops / p->gflops : 0;
    double memory = copy > 0 ? bytes / copy : 0;
    return compute > memory ? compute : memory;
}
