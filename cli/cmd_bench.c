/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_bench.c: `anymps bench [OPERATOR ...]`: measures the operators and says how near this machine's own
 * peaks they come. Called by cli.c; calls bench_case.c (times), peaks.c (roofs), roofline.c (chart).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_case.h"
#include "cli.h"
#include "json.h"
#include "options.h"
#include "peaks.h"
#include "progress.h"
#include "roofline.h"
#include "table.h"

/* ---- Cases ------------------------------------------------------------------------------------ */

typedef struct bench_shape {
    job_operator op;
    job_sizes sizes; /* m, n, k, r, batch */
} bench_shape;

/* Square and flat products; a layer; the adapters, rows and norms of transformer inference. */
static const bench_shape standard[] = {
    {JOB_MATMUL, {64, 64, 64, 0, 1}},
    {JOB_MATMUL, {128, 128, 128, 0, 1}},
    {JOB_MATMUL, {256, 256, 256, 0, 1}},
    {JOB_MATMUL, {512, 512, 512, 0, 1}},
    {JOB_MATMUL, {1024, 1024, 1024, 0, 1}},
    {JOB_MATMUL, {64, 8, 512, 0, 1}},
    {JOB_MATMUL, {64, 512, 8, 0, 1}},
    {JOB_MATMUL, {8, 1024, 1024, 0, 1}},
    {JOB_MATMUL, {1, 4096, 4096, 0, 1}},
    {JOB_MATRIX_VECTOR, {4096, 0, 4096, 0, 1}},
    {JOB_FULLY_CONNECTED, {64, 1536, 384, 0, 1}},
    {JOB_LORA, {64, 512, 512, 8, 1}},
    {JOB_LORA, {64, 1024, 1024, 8, 1}},
    {JOB_LORA, {64, 2048, 2048, 8, 1}},
    {JOB_SOFTMAX, {128, 1024, 0, 0, 1}},
    {JOB_SOFTMAX, {4096, 4096, 0, 0, 1}},
    {JOB_LOG_SOFTMAX, {128, 1024, 0, 0, 1}},
    {JOB_RMS_NORM, {128, 1024, 0, 0, 1}},
    {JOB_RMS_NORM, {4096, 4096, 0, 0, 1}},
    {JOB_LAYER_NORM, {128, 1024, 0, 0, 1}},
    {JOB_NEURON, {128, 1024, 0, 0, 1}},
};
enum { STANDARD = sizeof standard / sizeof standard[0], CASES_MOST = 64 };

typedef struct bench_request {
    const char *device_id, *isa, *shape, *svg;
    size_t threads;
    anymps_dtype dtype;
    double seconds;
    bool peers, json, explain, quiet, tune;
    bool chosen[JOB_OPERATORS]; /* none: all */
    bool any_chosen;
} bench_request;

typedef struct bench_run {
    const bench_request *request;
    anymps_device *device;
    anymps_device_properties properties;
    peaks roof;
    peers others;
    case_spec cases[CASES_MOST];
    size_t case_count;
    bench_result results[CASES_MOST];
    size_t result_count;
} bench_run;

/* A product of the given operand type: its first combination in the headers' list, whose result is as wide. */
static bool types_for(job_operator op, anymps_dtype dtype, case_types *types)
{
    for (size_t i = 0; i < case_types_count(op); i++) {
        *types = case_types_at(op, i);
        if (types->dtype[0] == dtype) {
            return true;
        }
    }
    return false;
}

static void add_case(bench_run *run, job_operator op, job_sizes sizes)
{
    case_spec spec = {.op = op, .sizes = sizes, .params = JOB_PARAMS_INIT, .seed = 1};
    if (!types_for(op, run->request->dtype, &spec.types) || run->case_count == CASES_MOST ||
        anymps_device_supports(run->device, job_operator_info(op)->name, spec.types.dtype, spec.types.count) !=
            ANYMPS_OK) {
        return;
    }
    if (op == JOB_NEURON || op == JOB_FULLY_CONNECTED) {
        spec.params.neuron = ANYMPS_NEURON_GELU;
    }
    spec.params.options = run->request->tune ? ANYMPS_MEASURE : 0;
    run->cases[run->case_count++] = spec;
}

/* "512", "64x512x8": m, n, k (and the rank of lora); what is missing is as large as the first. */
static bool read_shape(const char *text, job_sizes *sizes)
{
    size_t *parts[] = {&sizes->m, &sizes->n, &sizes->k, &sizes->r};
    size_t count = 0;
    const char *at = text;
    *sizes = (job_sizes){.batch = 1};
    while (count < 4) {
        char *end = NULL;
        unsigned long long value = strtoull(at, &end, 10);
        if (end == at || *at == '-' || value == 0 || value > 1000000) {
            return false;
        }
        *parts[count++] = (size_t)value;
        at = end + 1;
        if (*end == '\0') {
            break;
        }
        if (*end != 'x') {
            return false;
        }
    }
    sizes->n = count < 2 ? sizes->m : sizes->n;
    sizes->k = count < 3 ? sizes->n : sizes->k;
    sizes->r = count < 4 ? 8 : sizes->r;
    return at[-1] == '\0';
}

static void choose_cases(bench_run *run, const job_sizes *shape)
{
    const bench_request *r = run->request;
    for (size_t op = 0; r->shape != NULL && op < JOB_OPERATORS; op++) {
        if (r->chosen[op] || (!r->any_chosen && op == JOB_MATMUL)) {
            add_case(run, (job_operator)op, *shape);
        }
    }
    for (size_t i = 0; r->shape == NULL && i < STANDARD; i++) {
        if (!r->any_chosen || r->chosen[standard[i].op]) {
            add_case(run, standard[i].op, standard[i].sizes);
        }
    }
}

/* ---- Report ----------------------------------------------------------------------------------- */

static double share_of_peak(bench_run *run, const bench_result *result)
{
    return peaks_floor_ns(&run->roof, result->flops, result->bytes) / result->p50;
}

static void add_row(bench_run *run, table *t, size_t index)
{
    const bench_result *r = &run->results[index];
    job_operator op = run->cases[index].op;
    bool flops = job_counts_flops(op);
    char rate[TEXT_SHORT];
    table_cell(t, "%s", job_operator_info(op)->name);
    table_cell(t, "%s", r->text);
    table_cell(t, "%.1f", r->p10 / 1e3);
    table_cell(t, "%.1f", r->p50 / 1e3);
    table_cell(t, "%.1f", r->p90 / 1e3);
    table_cell(t, "%.2f", r->encode / 1e3);
    table_cell(t, "%.1f", r->device / 1e3);
    table_cell(t, "%s %s", text_number(rate, (flops ? r->flops : r->bytes) / r->p50), flops ? "GFLOP/s" : "GB/s");
    table_cell(t, "%.0f%%", 100 * share_of_peak(run, r));
    for (size_t p = 0; p < run->others.count; p++) {
        if (r->peer[p] > 0) {
            table_cell(t, "%.2f", r->peer[p] / r->p50);
        } else {
            table_cell(t, "-");
        }
    }
    if (run->request->explain) {
        table_cell(t, "%s", r->explain);
    }
}

static void report_table(bench_run *run)
{
    char headings[512] = "operator|operands|>p10 us|>p50 us|>p90 us|>encode us|>device us|>rate|>of peak";
    for (size_t p = 0; p < run->others.count; p++) {
        size_t at = strlen(headings);
        snprintf(headings + at, sizeof headings - at, "|>x %s", peer_name(run->others.list[p]));
    }
    if (run->request->explain) {
        size_t at = strlen(headings);
        snprintf(headings + at, sizeof headings - at, "|kernel");
    }
    printf("%s (%s, %s", run->properties.id, run->properties.name, run->properties.architecture);
    if (run->properties.threads > 0) {
        printf(", %zu threads", run->properties.threads);
    }
    char gflops[TEXT_SHORT], copy[TEXT_SHORT];
    printf(")\npeaks: %s GFLOP/s (%s), copy %s GB/s out of cache\n\n", text_number(gflops, run->roof.gflops),
           run->roof.how, text_number(copy, run->roof.gb_per_s));
    table t = table_make(headings);
    for (size_t i = 0; i < run->result_count; i++) {
        add_row(run, &t, i);
    }
    table_print(&t, stdout);
    table_free(&t);
    printf("\nTimes are round trips: commit until the host knows. 'of peak' is the time that the measured\n"
           "peaks allow (operations, or bytes at the copy rate of that footprint) over p50.\n");
    if (run->request->peers && run->others.count == 0) {
        printf("\nNo peer was found: neither in ANYMPS_PEERS_DIR nor among the system's libraries.\n");
    }
    for (size_t p = 0; p < run->others.count; p++) {
        printf("%s'x %s' is its time over ours, above 1 we are faster: %s\n", p == 0 ? "\n" : "",
               peer_name(run->others.list[p]), peer_path(run->others.list[p]));
    }
}

static void json_result(bench_run *run, json_writer *json, size_t index)
{
    const bench_result *r = &run->results[index];
    char types[CASE_TYPES_TEXT];
    json_begin_object(json, NULL);
    json_text(json, "operator", job_operator_info(run->cases[index].op)->name);
    json_text(json, "operands", r->text);
    json_text(json, "types", case_types_text(&run->cases[index].types, types));
    json_text(json, "kernel", r->explain);
    json_count(json, "samples", r->samples);
    json_number(json, "round_trip_p10_ns", r->p10);
    json_number(json, "round_trip_p50_ns", r->p50);
    json_number(json, "round_trip_p90_ns", r->p90);
    json_number(json, "encode_p50_ns", r->encode);
    json_number(json, "device_p50_ns", r->device);
    json_number(json, "gflop_per_s", r->flops / r->p50);
    json_number(json, "gb_per_s", r->bytes / r->p50);
    json_number(json, "share_of_peak", share_of_peak(run, r));
    json_begin_object(json, "peers_p50_ns");
    for (size_t p = 0; p < run->others.count; p++) {
        if (r->peer[p] > 0) {
            json_number(json, peer_name(run->others.list[p]), r->peer[p]);
        }
    }
    json_end_object(json);
    json_end_object(json);
}

static void report_json(bench_run *run)
{
    json_writer json = json_open(stdout);
    json_text(&json, "version", anymps_version());
    json_text(&json, "device", run->properties.id);
    json_text(&json, "device_name", run->properties.name);
    json_text(&json, "architecture", run->properties.architecture);
    json_count(&json, "threads", run->properties.threads);
    json_number(&json, "peak_gflop_per_s", run->roof.gflops);
    json_text(&json, "peak_measured_with", run->roof.how);
    json_number(&json, "peak_copy_gb_per_s", run->roof.gb_per_s);
    json_begin_object(&json, "peers");
    for (size_t p = 0; p < run->others.count; p++) {
        json_text(&json, peer_name(run->others.list[p]), peer_path(run->others.list[p]));
    }
    json_end_object(&json);
    json_begin_array(&json, "cases");
    for (size_t i = 0; i < run->result_count; i++) {
        json_result(run, &json, i);
    }
    json_end_array(&json);
    json_close(&json);
}

static void fill_point(const bench_run *run, size_t index, double time, size_t series, roofline_point *point)
{
    const bench_result *r = &run->results[index];
    snprintf(point->label, sizeof point->label, "%s %.44s", job_operator_info(run->cases[index].op)->name, r->text);
    point->intensity = r->flops / r->bytes;
    point->gflops = r->flops / time;
    point->series = series;
}

static bool draw(bench_run *run)
{
    char title[256];
    roofline chart = {.title = title,
                      .peak_gflops = run->roof.gflops,
                      .peak_gb_per_s = run->roof.gb_per_s,
                      .series = {"anymps"},
                      .series_count = 1};
    roofline_point *points = cli_allocate(run->result_count * (1 + PEERS_MOST), sizeof *points);
    if (points == NULL) {
        return false;
    }
    snprintf(title, sizeof title, "anymps %s on %s (%s)", anymps_version(), run->properties.id, run->properties.name);
    for (size_t p = 0; p < run->others.count && chart.series_count < 8; p++) {
        chart.series[chart.series_count++] = peer_name(run->others.list[p]);
    }
    for (size_t i = 0; i < run->result_count; i++) {
        chart.peak_cache_gb_per_s = fmax(chart.peak_cache_gb_per_s, peaks_copy(&run->roof, run->results[i].bytes));
        fill_point(run, i, run->results[i].p50, 0, &points[chart.point_count++]);
        for (size_t p = 0; p + 1 < chart.series_count; p++) {
            if (run->results[i].peer[p] > 0) {
                fill_point(run, i, run->results[i].peer[p], p + 1, &points[chart.point_count++]);
            }
        }
    }
    chart.points = points;
    bool good = roofline_write(run->request->svg, &chart);
    free(points);
    return good;
}

/* ---- Main ------------------------------------------------------------------------------------- */

static bool measure(bench_run *run)
{
    const bench_request *r = run->request;
    progress_start("measuring peaks", 0, r->quiet);
    bool good = peaks_measure(run->device, &run->roof);
    progress_start("bench", run->case_count, r->quiet);
    for (size_t i = 0; good && i < run->case_count; i++) {
        good = bench_case_run(&run->cases[i], run->device, &run->others, r->seconds, &run->results[i]);
        run->result_count += good;
        progress_advance();
    }
    progress_stop();
    return good;
}

static int bench(const bench_request *r, const job_sizes *shape)
{
    bench_run *run = cli_allocate(1, sizeof *run);
    if (run == NULL) {
        return CLI_FAILURE;
    }
    run->request = r;
    run->properties = (anymps_device_properties)ANYMPS_DEVICE_PROPERTIES_INIT;
    run->device = cli_open_device(r->device_id, r->threads, r->isa);
    bool good = run->device != NULL && anymps_device_get_properties(run->device, &run->properties) == ANYMPS_OK;
    if (good && r->peers) {
        run->others = peers_open(run->properties.threads > 0 ? run->properties.threads : 1);
    }
    if (good) {
        choose_cases(run, shape);
        good = measure(run) && (r->svg == NULL || draw(run));
    }
    if (good && r->json) {
        report_json(run);
    } else if (good && !r->quiet) {
        report_table(run);
    }
    peers_close(&run->others);
    anymps_device_release(run->device);
    free(run);
    return good ? CLI_OK : CLI_FAILURE;
}

/* Operators as verbs or as the library spells them: rms-norm, rms_norm. */
static bool choose_operator(bench_request *r, const char *word)
{
    for (size_t op = 0; op < JOB_OPERATORS; op++) {
        const char *name = job_operator_info((job_operator)op)->name;
        size_t i = 0;
        while (word[i] != '\0' && (word[i] == name[i] || (word[i] == '-' && name[i] == '_'))) {
            i++;
        }
        if (word[i] == '\0' && name[i] == '\0') {
            r->chosen[op] = r->any_chosen = true;
            return true;
        }
    }
    cli_error("bench: '%s' is no operator; matmul, softmax, rms-norm, lora are some", word);
    return false;
}

static void add_options(command_line *line, bench_request *r)
{
    options_add(line, (option){"shape", 's', OPTION_TEXT, &r->shape, "MxNxK[xR]",
                               "this shape only (rows, columns, interior, rank)"});
    options_add(line, (option){"dtype", 0, OPTION_DTYPE, &r->dtype, "TYPE", "type of the operands (default f32)"});
    options_add(line, (option){"seconds", 0, OPTION_NUMBER, &r->seconds, "X", "time for each case (default 0.3)"});
    options_add(line, (option){"device", 'd', OPTION_TEXT, &r->device_id, "ID", "device to measure"});
    options_add(line,
                (option){"threads", 't', OPTION_COUNT, &r->threads, "N", "threads of the CPU, ours and the peers'"});
    options_add(line, (option){"isa", 0, OPTION_TEXT, &r->isa, "NAME", "newest instruction set to use"});
    options_add(line, (option){"peers", 0, OPTION_FLAG, &r->peers, NULL,
                               "time OpenBLAS, BLIS, oneDNN and MKL too, where found"});
    options_add(line, (option){"svg", 0, OPTION_TEXT, &r->svg, "FILE", "draw a roofline chart"});
    options_add(line, (option){"explain", 0, OPTION_FLAG, &r->explain, NULL, "name the kernels"});
    options_add(line, (option){"tune", 0, OPTION_FLAG, &r->tune, NULL,
                               "time every way to run each product, keep the fastest in the cache directory"});
    options_add(line, (option){"json", 0, OPTION_FLAG, &r->json, NULL, "as JSON"});
    options_add(line, (option){"quiet", 'q', OPTION_FLAG, &r->quiet, NULL, "no table, no progress bar"});
}

int cmd_bench(int argc, char **argv)
{
    bench_request r = {.dtype = ANYMPS_DTYPE_F32, .seconds = 0.3};
    job_sizes shape = {0};
    command_line line = {
        .verb = "bench",
        .arguments = "[OPERATOR ...]",
        .details = "Measures operators (all, or those named) and compares with this machine's measured\n"
                   "peaks. Peers are looked for in the folder ANYMPS_PEERS_DIR (else ANYMPS_PEERS, else\n"
                   "~/.cache/anymps-peers) and in the system's libraries, and timed in turn with ours on\n"
                   "the same operands and threads.",
        .most = 8,
    };
    add_options(&line, &r);
    switch (options_parse(&line, argc, argv)) {
    case PARSE_RUN: break;
    case PARSE_HELP: return CLI_OK;
    case PARSE_WRONG: return CLI_USAGE;
    }
    for (size_t i = 0; i < line.argument_count; i++) {
        if (!choose_operator(&r, line.argument[i])) {
            return CLI_USAGE;
        }
    }
    if (r.shape != NULL && !read_shape(r.shape, &shape)) {
        cli_error("bench: --shape: '%s' is no shape such as 512 or 64x512x8", r.shape);
        return CLI_USAGE;
    }
    if (!(r.seconds > 0 && r.seconds <= 3600)) {
        cli_error("bench: --seconds is %g, above 0 and up to 3600 is possible", r.seconds);
        return CLI_USAGE;
    }
    return bench(&r, &shape);
}
