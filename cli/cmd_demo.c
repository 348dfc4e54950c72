/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_demo.c: `anymps demo`: the library in one view. Operands are written as .npy files, read back without
 * a copy, run, and the result goes through a file as well before it is compared with double. Called by
 * cli.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "cli.h"
#include "clock.h"
#include "operands.h"
#include "options.h"
#include "oracle.h"
#include "plain.h"
#include "progress.h"
#include "table.h"

/* Low-rank adapters, softmax and RMSNorm at the shapes of an inference server, and one square product. */
static const struct {
    job_operator op;
    job_sizes sizes; /* m, n, k, r, batch */
} demo_cases[] = {
    {JOB_LORA, {64, 512, 512, 8, 1}},    {JOB_LORA, {64, 1024, 1024, 8, 1}},   {JOB_LORA, {64, 2048, 2048, 8, 1}},
    {JOB_SOFTMAX, {128, 1024, 0, 0, 1}}, {JOB_RMS_NORM, {128, 1024, 0, 0, 1}}, {JOB_MATMUL, {512, 512, 512, 0, 1}},
};
enum { DEMO_CASES = sizeof demo_cases / sizeof demo_cases[0], RUNS = 51, PLAIN_RUNS = 3 };

typedef struct demo_times {
    double encode, device, round_trip, plain; /* ns, medians */
} demo_times;

/* ---- Through files ---------------------------------------------------------------------------- */

static bool write_slot(const job_slot *slot, const char *path)
{
    anymps_status status =
        slot->matrix != NULL ? anymps_npy_write(path, slot->matrix) : anymps_npy_write_vector(path, slot->vector);
    if (status != ANYMPS_OK) {
        cli_error("demo: %s: %s", path, cli_library_message());
    }
    return status == ANYMPS_OK;
}

/* Writes the operand to a file, releases it, and puts what the file holds in its place. The file's name goes
   at once; its bytes stay as long as they are mapped. */
static bool through_file(job *j, size_t slot, const char *folder)
{
    char path[512];
    const job_info *info = job_operator_info(j->op);
    bool vector = j->slot[slot].vector != NULL, transposed = false;
    job_slot loaded = {0};
    operand_request request = {.operator_name = "demo",
                               .slot_name = info->slot[slot].name,
                               .spec = path,
                               .device = j->device,
                               .vector = vector};
    snprintf(path, sizeof path, "%s/%s.npy", folder, info->slot[slot].name);
    bool good = write_slot(&j->slot[slot], path) && operand_load(&request, &loaded, &transposed);
    unlink(path);
    if (good) {
        anymps_matrix_release(j->slot[slot].matrix);
        anymps_vector_release(j->slot[slot].vector);
        j->slot[slot] = loaded;
    }
    return good;
}

static bool operands_through_files(job *j, const char *folder)
{
    for (size_t slot = 0; slot < job_result_slot(j); slot++) {
        bool given = j->slot[slot].matrix != NULL || j->slot[slot].vector != NULL;
        if (given && !through_file(j, slot, folder)) {
            return false;
        }
    }
    return true;
}

/* ---- One case --------------------------------------------------------------------------------- */

static bool run_library(job *j, demo_times *times)
{
    double encode[RUNS] = {0}, device[RUNS] = {0}, round_trip[RUNS] = {0};
    bool good = job_move_to_device(j) == ANYMPS_OK && job_prepare(j) == ANYMPS_OK;
    for (size_t i = 0; good && i < RUNS; i++) {
        anymps_timings t = ANYMPS_TIMINGS_INIT;
        good = anymps_command_buffer_reset(j->command_buffer) == ANYMPS_OK && job_encode(j) == ANYMPS_OK &&
               job_run(j, &t) == ANYMPS_OK;
        encode[i] = (double)t.encode_ns;
        device[i] = (double)t.device_ns;
        round_trip[i] = (double)t.round_trip_ns;
    }
    if (!good) {
        cli_library_error("demo");
        return false;
    }
    times->encode = samples_quantile(encode, RUNS, 0.5);
    times->device = samples_quantile(device, RUNS, 0.5);
    times->round_trip = samples_quantile(round_trip, RUNS, 0.5);
    return true;
}

static bool run_plain(const job *j, demo_times *times)
{
    plain_job plain;
    double samples[PLAIN_RUNS] = {0};
    bool good = plain_make(j, &plain);
    for (size_t i = 0; good && i < PLAIN_RUNS; i++) {
        double start = clock_ns();
        plain_run(&plain);
        samples[i] = clock_ns() - start;
    }
    times->plain = good ? samples_quantile(samples, PLAIN_RUNS, 0.5) : 0;
    plain_free(&plain);
    return good;
}

static void add_row(table *t, const job *j, const oracle_comparison *c, const demo_times *times)
{
    char text[JOB_TEXT], encode[TEXT_SHORT], device[TEXT_SHORT], trip[TEXT_SHORT], plain[TEXT_SHORT];
    table_cell(t, "%s", job_operator_info(j->op)->name);
    table_cell(t, "%s", job_text(j, text));
    table_cell(t, "%.2g", c->largest_error);
    table_cell(t, "%.3f", c->largest_share);
    table_cell(t, "%s", text_time(encode, times->encode));
    table_cell(t, "%s", text_time(device, times->device));
    table_cell(t, "%s", text_time(trip, times->round_trip));
    table_cell(t, "%s", text_time(plain, times->plain));
    table_cell(t, "%.1fx", times->plain / times->round_trip);
    table_cell(t, "%s", c->outside == 0 ? "ok" : "FAIL");
}

static bool run_job(job *j, const char *folder, table *t)
{
    demo_times times = {0};
    oracle_inputs inputs = {0};
    oracle_comparison c = {0};
    bool good = operands_through_files(j, folder) && oracle_read(j, &inputs) && run_library(j, &times) &&
                run_plain(j, &times) && through_file(j, job_result_slot(j), folder) && oracle_compare(j, &inputs, &c);
    oracle_inputs_free(&inputs);
    if (good) {
        add_row(t, j, &c, &times);
    }
    return good && c.outside == 0;
}

static bool run_cases(anymps_device *device, const char *folder, table *t)
{
    bool good = true;
    progress_start("demo", DEMO_CASES, false);
    for (size_t i = 0; i < DEMO_CASES; i++) {
        case_spec spec = {
            .op = demo_cases[i].op, .sizes = demo_cases[i].sizes, .params = JOB_PARAMS_INIT, .seed = i + 1};
        job j;
        spec.types = case_types_at(spec.op, 0);
        good = case_make(&spec, device, &j) && run_job(&j, folder, t) && good;
        job_free(&j);
        progress_advance();
    }
    progress_stop();
    return good;
}

/* ---- The whole -------------------------------------------------------------------------------- */

static void print_devices(void)
{
    printf("anymps %s\n\ndevices\n", anymps_version());
    for (size_t i = 0; i < anymps_device_count(); i++) {
        anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
        if (anymps_device_describe(i, &p) == ANYMPS_OK) {
            printf("  %-8s %s, %s\n", p.id, p.name, p.architecture);
        }
    }
}

static bool demo_on(anymps_device *device)
{
    char folder[256];
    const char *temporary = getenv("TMPDIR");
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    snprintf(folder, sizeof folder, "%s/anymps-demo-XXXXXX",
             temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp");
    if (mkdtemp(folder) == NULL) {
        cli_error("demo: %s: %s", folder, strerror(errno));
        return false;
    }
    table t = table_make("operator|operands|>error|>of bound|>encode|>device|>round trip|>plain loop|"
                         ">speed-up|answer");
    bool good = run_cases(device, folder, &t);
    rmdir(folder);
    if (anymps_device_get_properties(device, &p) == ANYMPS_OK) {
        printf("\non %s (%s), every operand and result through a .npy file\n\n", p.id, p.name);
    }
    table_print(&t, stdout);
    table_free(&t);
    printf("\nerror: largest difference from the same in double, and as a share of the documented bound\n"
           "times: medians; round trip is commit until the host knows; plain loop is C, one thread\n");
    return good;
}

int cmd_demo(int argc, char **argv)
{
    const char *id = NULL;
    size_t threads = 0;
    command_line line = {
        .verb = "demo",
        .arguments = "",
        .details = "Low-rank adapters, softmax, RMSNorm and a product, each through .npy files: error\n"
                   "against double, times, and the speed-up over a plain loop. Takes seconds.",
    };
    options_add(&line, (option){"device", 'd', OPTION_TEXT, &id, "ID", "device to run on"});
    options_add(&line, (option){"threads", 't', OPTION_COUNT, &threads, "N", "threads of the CPU"});
    switch (options_parse(&line, argc, argv)) {
    case PARSE_RUN: break;
    case PARSE_HELP: return CLI_OK;
    case PARSE_WRONG: return CLI_USAGE;
    }
    print_devices();
    anymps_device *device = cli_open_device(id, threads, NULL);
    bool good = device != NULL && demo_on(device);
    anymps_device_release(device);
    anymps_live live = anymps_live_counts();
    printf("\nlive at the end: %zu objects, %zu blocks of %zu bytes, %zu device bytes, %zu wrapped\n", live.objects,
           live.blocks, live.block_bytes, live.device_bytes, live.wrapped);
    good = good && live.objects == 0 && live.blocks == 0 && live.device_bytes == 0 && live.wrapped == 0;
    return good ? CLI_OK : CLI_FAILURE;
}
