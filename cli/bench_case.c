/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_case.c: measures one case. Called by cmd_bench.c; calls job_run.c and peer_libraries.c. It knows no peak and
 * prints nothing.
 */
#include "bench_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "clock.h"

/* The first calls of every library start its threads and fill its caches: they are not kept. */
enum { SAMPLES_FEWEST = 5, SAMPLES_MOST = 2000, WARM_UP = 3 };

typedef struct samples {
    double *round_trip, *encode, *device; /* SAMPLES_MOST each */
    double *peer[PEERS_MOST];
    size_t count;
} samples;

static bool make_samples(samples *s, double **block)
{
    *block = cli_allocate((3 + PEERS_MOST) * SAMPLES_MOST, sizeof(double));
    if (*block == NULL) {
        return false;
    }
    s->round_trip = *block;
    s->encode = *block + SAMPLES_MOST;
    s->device = *block + 2 * SAMPLES_MOST;
    for (size_t i = 0; i < PEERS_MOST; i++) {
        s->peer[i] = *block + (3 + i) * SAMPLES_MOST;
    }
    s->count = 0;
    return true;
}

static bool run_ours(job *j, anymps_timings *timings)
{
    return anymps_command_buffer_reset(j->command_buffer) == ANYMPS_OK && job_encode(j) == ANYMPS_OK &&
           job_run(j, timings) == ANYMPS_OK;
}

/* The same product for the peers, on the same operands; their result has memory of its own. */
static bool make_product(const job *j, const job_sizes *sizes, peer_product *product)
{
    bool f32 = job_slot_dtype(j, 0) == ANYMPS_DTYPE_F32;
    if (j->op != JOB_MATMUL || !f32 || sizes->batch > 1 || anymps_matrix_contents(j->slot[0].matrix) == NULL) {
        return false;
    }
    *product = (peer_product){
        .m = sizes->m,
        .n = sizes->n,
        .k = sizes->k,
        .transpose_left = j->params.transpose[0],
        .transpose_right = j->params.transpose[1],
        .left = anymps_matrix_contents(j->slot[0].matrix),
        .right = anymps_matrix_contents(j->slot[1].matrix),
        .left_stride = anymps_matrix_get_desc(j->slot[0].matrix).row_bytes / sizeof(float),
        .right_stride = anymps_matrix_get_desc(j->slot[1].matrix).row_bytes / sizeof(float),
        .result_stride = sizes->n,
    };
    product->result = cli_allocate(sizes->m * sizes->n, sizeof(float));
    return product->result != NULL;
}

static bool sample_all(job *j, const peers *others, const peer_product *product, double seconds, samples *s)
{
    double start = clock_ns();
    size_t peer_count = product->result != NULL ? others->count : 0;
    for (size_t i = 0; i < WARM_UP + SAMPLES_MOST; i++) {
        bool enough = i >= WARM_UP + SAMPLES_FEWEST;
        if (enough && clock_ns() - start > seconds * 1e9) {
            break;
        }
        anymps_timings timings;
        if (!run_ours(j, &timings)) {
            cli_library_error("bench");
            return false;
        }
        size_t at = i < WARM_UP ? 0 : i - WARM_UP;
        s->round_trip[at] = (double)timings.round_trip_ns;
        s->encode[at] = (double)timings.encode_ns;
        s->device[at] = (double)timings.device_ns;
        for (size_t p = 0; p < peer_count; p++) {
            double began = clock_ns();
            bool ran = peer_run(others->list[p], product);
            s->peer[p][at] = ran ? clock_ns() - began : 0;
        }
        s->count = at + 1;
    }
    return true;
}

bool bench_case_run(const case_spec *spec, anymps_device *device, const peers *others, double seconds,
                    bench_result *result)
{
    job j;
    job_sizes sizes;
    samples s;
    double *block = NULL;
    peer_product product = {0};
    *result = (bench_result){0};
    bool good = case_make(spec, device, &j) && job_measure(&j, NULL, &sizes) && make_samples(&s, &block);
    if (good && (job_move_to_device(&j) != ANYMPS_OK || job_prepare(&j) != ANYMPS_OK)) {
        cli_library_error("bench");
        good = false;
    }
    if (good && others->count > 0) {
        (void)make_product(&j, &sizes, &product);
    }
    good = good && sample_all(&j, others, &product, seconds, &s);
    if (good) {
        job_text(&j, result->text);
        snprintf(result->explain, sizeof result->explain, "%s", anymps_kernel_explain(j.kernel));
        result->flops = job_flops(&j, &sizes);
        result->bytes = job_bytes(&j);
        result->samples = s.count;
        result->p10 = samples_quantile(s.round_trip, s.count, 0.1);
        result->p50 = samples_quantile(s.round_trip, s.count, 0.5);
        result->p90 = samples_quantile(s.round_trip, s.count, 0.9);
        result->encode = samples_quantile(s.encode, s.count, 0.5);
        result->device = samples_quantile(s.device, s.count, 0.5);
        for (size_t p = 0; product.result != NULL && p < others->count; p++) {
            result->peer[p] = samples_quantile(s.peer[p], s.count, 0.5);
        }
    }
    free(product.result);
    free(block);
    job_free(&j);
    return good;
}
