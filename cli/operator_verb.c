/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operator_verb.c: the body of every operator verb: load, fit, run, check, write, report, in this order,
 * so that nothing is written unless all of it is right. Called by cmd_<operator>.c; the report is in
 * operator_report.c.
 */
#include "operator_verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "operands.h"
#include "operator_report.h"
#include "oracle.h"
#include "progress.h"

/* ---- Options ---------------------------------------------------------------------------------- */

void operator_verb_options(command_line *line, operator_request *r)
{
    options_add(line, (option){"output", 'o', OPTION_TEXT, &r->output, "FILE.npy",
                               "write the result, whole or not at all; -: to standard output"});
    options_add(line,
                (option){"dtype", 0, OPTION_DTYPE, &r->dtype, "TYPE", "data type of the result: f32, f16, bf16, ..."});
    options_add(line, (option){"narrow", 0, OPTION_FLAG, &r->narrow, NULL, "read f64 operands as f32"});
    options_add(line, (option){"check", 0, OPTION_FLAG, &r->check, NULL,
                               "compute it in double too and give the largest error"});
    options_add(line, (option){"device", 'd', OPTION_TEXT, &r->device, "ID",
                               "cpu, cuda, cuda:1, metal (else ANYMPS_DEVICE, else the first)"});
    options_add(line, (option){"threads", 't', OPTION_COUNT, &r->threads, "N",
                               "threads of the CPU (else ANYMPS_NUM_THREADS, else all)"});
    options_add(line, (option){"isa", 0, OPTION_TEXT, &r->isa, "NAME",
                               "newest instruction set to use: baseline, avx2, avx512, amx, neon, neon-dotprod, "
                               "neon-i8mm"});
    options_add(line, (option){"repeat", 'r', OPTION_COUNT, &r->repeat, "N", "run N times and give the median time"});
    options_add(line, (option){"reduced-precision", 0, OPTION_FLAG, &r->reduced_precision, NULL,
                               "allow faster arithmetic with fewer bits"});
    options_add(line, (option){"explain", 0, OPTION_FLAG, &r->explain, NULL, "say which kernel ran"});
    options_add(line, (option){"json", 0, OPTION_FLAG, &r->json, NULL, "report as JSON"});
    options_add(line, (option){"quiet", 'q', OPTION_FLAG, &r->quiet, NULL, "report nothing"});
}

void operator_verb_neuron_options(command_line *line, operator_request *r)
{
    options_add(line, (option){"neuron", 'n', OPTION_NEURON, &r->params.neuron, "NAME",
                               "relu, gelu, gelu_tanh, silu, tanh, sigmoid, ... (default: none)"});
    options_add(line, (option){"a", 0, OPTION_NUMBER, &r->params.a, "X", "parameter a of it"});
    options_add(line, (option){"b", 0, OPTION_NUMBER, &r->params.b, "X", "parameter b of it"});
    options_add(line, (option){"c", 0, OPTION_NUMBER, &r->params.c, "X", "parameter c of it"});
    options_add(line, (option){"alpha", 0, OPTION_NUMBER, &r->params.alpha, "X", "factor before the bias (default 1)"});
    size_t slots = job_operator_info(r->op)->slots;
    options_add(line, (option){"bias", 0, OPTION_TEXT, &r->file[slots - 3], "FILE", "bias, one per column"});
    options_add(line,
                (option){"prelu", 0, OPTION_TEXT, &r->file[slots - 2], "FILE", "slopes of prelu, one per column"});
}

/* ---- Operands --------------------------------------------------------------------------------- */

static bool is_float(anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F32 || dtype == ANYMPS_DTYPE_F16 || dtype == ANYMPS_DTYPE_BF16;
}

static bool slot_is_vector(job_operator op, size_t slot)
{
    return strlen(job_operator_info(op)->slot[slot].shape) == 1;
}

/* The type to read an operand as. A matmul's result type says nothing of its operands, except that f64
   ones are narrowed to it. */
static void choose_type(const operator_request *r, operand_request *load, size_t slot)
{
    bool product = r->op == JOB_MATMUL;
    bool result = slot + 1 == job_operator_info(r->op)->slots;
    load->narrow = r->narrow;
    if (!product || result) {
        load->convert_to = r->dtype;
    } else {
        load->convert_to = r->operand_dtype;
        load->narrow = r->narrow || is_float(r->dtype);
    }
}

static bool load_slot(const operator_request *r, job *j, size_t slot)
{
    const job_info *info = job_operator_info(r->op);
    bool result = slot + 1 == info->slots, transposed = false;
    operand_request load = {
        .operator_name = info->name,
        .slot_name = result ? "initial result" : info->slot[slot].name,
        .spec = r->file[slot],
        .device = j->device,
        .vector = slot_is_vector(r->op, slot),
        .transposable = info->slot[slot].transposable,
        .writable = result || strcmp(info->slot[slot].name, "residual") == 0,
        .column = r->op == JOB_MATMUL && slot == 1,
    };
    choose_type(r, &load, slot);
    if (!operand_load(&load, &j->slot[slot], &transposed)) {
        return false;
    }
    j->params.transpose[slot] = r->params.transpose[slot] != transposed;
    return true;
}

static anymps_dtype default_result_dtype(const job *j)
{
    anymps_dtype left = job_slot_dtype(j, 0);
    if (j->op != JOB_MATMUL) {
        return left;
    }
    return left == ANYMPS_DTYPE_I8 ? ANYMPS_DTYPE_I32 : left == ANYMPS_DTYPE_I16 ? ANYMPS_DTYPE_F32 : left;
}

/* All operands of one type, except in a matmul, whose types the library judges. */
static bool types_agree(const operator_request *r, const job *j)
{
    const job_info *info = job_operator_info(j->op);
    anymps_dtype first = job_slot_dtype(j, 0);
    for (size_t slot = 1; j->op != JOB_MATMUL && slot < info->slots; slot++) {
        anymps_dtype dtype = job_slot_dtype(j, slot);
        if (dtype != ANYMPS_DTYPE_INVALID && dtype != first) {
            cli_error("%s: %s %s is %s, %s %s is %s; --dtype makes them one", info->name, info->slot[0].name,
                      r->file[0], anymps_dtype_name(first), info->slot[slot].name, r->file[slot],
                      anymps_dtype_name(dtype));
            return false;
        }
    }
    return true;
}

static bool make_result(const operator_request *r, job *j, job_sizes *sizes)
{
    size_t slot = job_result_slot(j);
    job_names names = {{0}};
    memcpy(names.file, r->file, sizeof names.file);
    if (!job_measure(j, &names, sizes)) {
        return false;
    }
    if (j->slot[slot].matrix != NULL) {
        return true;
    }
    anymps_dtype dtype = r->dtype != ANYMPS_DTYPE_INVALID ? r->dtype : default_result_dtype(j);
    anymps_matrix_desc desc = job_result_desc(sizes, dtype);
    if (anymps_matrix_create_on(j->device, &desc, &j->slot[slot].matrix) != ANYMPS_OK) {
        cli_library_error(job_operator_info(j->op)->name);
        return false;
    }
    return true;
}

static bool load_all(const operator_request *r, job *j, job_sizes *sizes)
{
    for (size_t slot = 0; slot < job_operator_info(r->op)->slots; slot++) {
        if (r->file[slot] != NULL && !load_slot(r, j, slot)) {
            return false;
        }
    }
    return types_agree(r, j) && make_result(r, j, sizes);
}

/* ---- Running ---------------------------------------------------------------------------------- */

/* The operand that a run both reads and writes must be as it was before each run. */
typedef struct saved_operand {
    anymps_buffer *buffer; /* borrowed */
    anymps_buffer *copy;   /* owned */
} saved_operand;

static bool save_operand(const job *j, saved_operand *saved)
{
    bool norm = j->op == JOB_RMS_NORM || j->op == JOB_LAYER_NORM;
    bool reads = j->params.accumulate || (j->op == JOB_MATMUL && j->params.beta != 0);
    anymps_matrix *matrix = norm ? j->slot[1].matrix : reads ? j->slot[job_result_slot(j)].matrix : NULL;
    *saved = (saved_operand){anymps_matrix_buffer(matrix), NULL};
    if (matrix == NULL) {
        return true;
    }
    size_t length = anymps_buffer_length(saved->buffer);
    return anymps_buffer_create(j->device, length, ANYMPS_STORAGE_SHARED, &saved->copy) == ANYMPS_OK &&
           anymps_buffer_copy(saved->copy, 0, saved->buffer, 0, length) == ANYMPS_OK;
}

static bool restore_operand(const saved_operand *saved)
{
    return saved->copy == NULL ||
           anymps_buffer_copy(saved->buffer, 0, saved->copy, 0, anymps_buffer_length(saved->copy)) == ANYMPS_OK;
}

static int by_round_trip(const void *left, const void *right)
{
    uint64_t a = ((const anymps_timings *)left)->round_trip_ns;
    uint64_t b = ((const anymps_timings *)right)->round_trip_ns;
    return (a > b) - (a < b);
}

static bool run_repeatedly(const operator_request *r, job *j, anymps_timings *median)
{
    saved_operand saved;
    anymps_timings *times = cli_allocate(r->repeat, sizeof *times);
    bool good = times != NULL && save_operand(j, &saved) && job_encode(j) == ANYMPS_OK;
    progress_start(job_operator_info(j->op)->name, r->repeat > 1 ? r->repeat : 0, r->quiet);
    for (size_t i = 0; good && i < r->repeat; i++) {
        good = (i == 0 || restore_operand(&saved)) && job_run(j, &times[i]) == ANYMPS_OK;
        progress_advance();
    }
    progress_stop();
    if (good) {
        qsort(times, r->repeat, sizeof *times, by_round_trip);
        *median = times[r->repeat / 2];
    }
    if (times != NULL) {
        anymps_buffer_release(saved.copy);
    }
    free(times);
    return good;
}

/* The library's message, and which files its operand names stand for. */
static void report_failure(const operator_request *r)
{
    const job_info *info = job_operator_info(r->op);
    char files[1024] = "";
    size_t at = 0;
    for (size_t slot = 0; slot < info->slots && at < sizeof files; slot++) {
        if (r->file[slot] != NULL) {
            at += (size_t)snprintf(files + at, sizeof files - at, "%s%s %s", at > 0 ? ", " : "", info->slot[slot].name,
                                   r->file[slot]);
        }
    }
    cli_error("%s (%s)", cli_library_message(), files);
}

static bool run_and_check(const operator_request *r, job *j, operator_outcome *outcome)
{
    oracle_inputs inputs = {0};
    if (r->check && !oracle_read(j, &inputs)) {
        return false;
    }
    bool good =
        job_move_to_device(j) == ANYMPS_OK && job_prepare(j) == ANYMPS_OK && run_repeatedly(r, j, &outcome->timings);
    if (!good) {
        report_failure(r);
    } else if (r->check) {
        progress_start("checking in double", 0, r->quiet);
        good = oracle_compare(j, &inputs, &outcome->comparison);
        progress_stop();
    }
    oracle_inputs_free(&inputs);
    if (good && outcome->comparison.outside > 0) {
        const oracle_comparison *c = &outcome->comparison;
        cli_error("%s: %zu of %zu elements are outside the error bound: row %zu, column %zu is %.9g, "
                  "exact is %.9g",
                  job_operator_info(j->op)->name, c->outside, c->elements, c->row, c->column, c->got, c->exact);
        return false;
    }
    return good;
}

static bool write_file(const operator_request *r, const char *path, const anymps_matrix *matrix)
{
    if (path == NULL || anymps_npy_write(path, matrix) == ANYMPS_OK) {
        return true;
    }
    cli_error("%s: result %s: %s", job_operator_info(r->op)->name, path, cli_library_message());
    return false;
}

/* "-" is standard output; true where the result goes there. */
static bool is_standard_output(const char **path)
{
    if (*path != NULL && strcmp(*path, "-") == 0) {
        *path = "/dev/stdout";
    }
    return *path != NULL && strcmp(*path, "/dev/stdout") == 0;
}

static bool run_job(const operator_request *r, job *j, FILE *report)
{
    operator_outcome outcome = {.checked = r->check};
    if (!load_all(r, j, &outcome.sizes) || !run_and_check(r, j, &outcome) ||
        !write_file(r, r->output, j->slot[job_result_slot(j)].matrix) ||
        !write_file(r, r->residual_output, j->slot[1].matrix)) {
        return false;
    }
    if (!r->quiet) {
        operator_report(r, j, &outcome, report);
    }
    return true;
}

/* ---- Main ------------------------------------------------------------------------------------- */

/* What an operator needs beyond its arguments. */
static bool options_fit(const operator_request *r)
{
    const job_info *info = job_operator_info(r->op);
    bool reads = r->params.beta != 0 || r->params.accumulate;
    const char *initial = r->file[info->slots - 1];
    bool prelu_given = r->op == JOB_NEURON            ? r->file[2] != NULL
                       : r->op == JOB_FULLY_CONNECTED ? r->file[3] != NULL
                                                      : false;
    if (r->repeat == 0) {
        cli_error("%s: --repeat is 0, at least 1 is needed", info->name);
    } else if (reads && initial == NULL) {
        cli_error("%s: %s needs the result's earlier values: --initial FILE", info->name,
                  r->params.accumulate ? "--accumulate" : "--beta");
    } else if (!reads && initial != NULL) {
        cli_error("%s: --initial %s is not read without %s", info->name, initial,
                  r->op == JOB_LORA ? "--accumulate" : "--beta");
    } else if (prelu_given != (r->params.neuron == ANYMPS_NEURON_PRELU)) {
        cli_error("%s: --prelu FILE and --neuron prelu go together", info->name);
    } else if (r->residual_output != NULL && r->file[1] == NULL) {
        cli_error("%s: --residual-output needs --residual", info->name);
    } else {
        return true;
    }
    return false;
}

int operator_verb_main(command_line *line, operator_request *r, const size_t *slots, int argc, char **argv)
{
    switch (options_parse(line, argc, argv)) {
    case PARSE_RUN: break;
    case PARSE_HELP: return CLI_OK;
    case PARSE_WRONG: return CLI_USAGE;
    }
    for (size_t i = 0; i < line->argument_count; i++) {
        r->file[slots[i]] = line->argument[i];
    }
    if (!options_fit(r)) {
        return CLI_USAGE;
    }
    const bool result_there = is_standard_output(&r->output), residual_there = is_standard_output(&r->residual_output);
    r->params.options = r->reduced_precision ? ANYMPS_ALLOW_REDUCED_PRECISION : 0;
    job j = {.op = r->op, .params = r->params};
    j.device = cli_open_device(r->device, r->threads, r->isa);
    if (j.device == NULL) {
        return CLI_FAILURE;
    }
    anymps_device *device = j.device;
    bool good = run_job(r, &j, result_there || residual_there ? stderr : stdout);
    job_free(&j);
    anymps_device_release(device);
    return good ? CLI_OK : CLI_FAILURE;
}
