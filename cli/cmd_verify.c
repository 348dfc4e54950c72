/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_verify.c: `anymps verify`: every operator, type and device of this machine against double, on the CPU
 * with every instruction set that it allows. Called by cli.c; the numbers come from oracle.c.
 *
 * A row of the table is one operator with one combination of types; its cases differ in shape, padding,
 * transposes, factors and optional operands.
 */
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "cli.h"
#include "json.h"
#include "neurons.h"
#include "options.h"
#include "oracle.h"
#include "progress.h"
#include "table.h"

/* ---- Cases ------------------------------------------------------------------------------------ */

/* Sizes around the tiles of the kernels, primes, ones, and one that takes several blocks. The order is
   m, n, k, r, batch. */
static const job_sizes shapes[] = {
    {1, 1, 1, 1, 1},       {7, 5, 3, 2, 1},      {17, 33, 65, 8, 1},    {64, 64, 64, 8, 1},
    {13, 127, 129, 16, 3}, {96, 100, 257, 4, 1}, {128, 1024, 31, 8, 1},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0], NEURON_SHAPES = 4 };

/* The variants of one shape: plain, then with everything that the operator has. */
enum { VARIANTS = 4 };

static case_spec plain_case(job_operator op, case_types types, size_t shape)
{
    case_spec spec = {.op = op, .sizes = shapes[shape], .types = types, .params = JOB_PARAMS_INIT};
    spec.seed = shape + 1;
    if (op == JOB_MATRIX_VECTOR) {
        spec.sizes.batch = 1;
    }
    return spec;
}

static bool is_whole(const case_types *types)
{
    return types->dtype[types->count - 1] == ANYMPS_DTYPE_I32;
}

/* Variants 1 to 3 turn on transposes, factors, padding and optional operands in turn. */
static case_spec make_variant(job_operator op, case_types types, size_t shape, size_t variant)
{
    case_spec spec = plain_case(op, types, shape);
    const job_info *info = job_operator_info(op);
    for (size_t slot = 0; slot < info->slots; slot++) {
        bool turn = (variant + slot) % 2 == 1 && variant != 0;
        spec.params.transpose[slot] = info->slot[slot].transposable && turn;
    }
    spec.optional = variant >= 2;
    spec.pad_columns = variant == 3 ? 5 : 0;
    if (variant >= 2) {
        spec.params.alpha = is_whole(&types) ? 1 : 0.75;
        spec.params.beta = variant == 3 ? (is_whole(&types) ? 1 : -0.5) : 0;
        spec.params.scale = 0.5;
        spec.params.accumulate = variant == 3;
    }
    return spec;
}

/* Parameters for which every neuron function is finite on (-2, 2). */
static void set_neuron(case_spec *spec, size_t index)
{
    anymps_neuron_type neuron = neuron_at(index);
    bool power =
        neuron == ANYMPS_NEURON_POWER || neuron == ANYMPS_NEURON_LOGARITHM || neuron == ANYMPS_NEURON_EXPONENTIAL;
    spec->params.neuron = neuron;
    spec->params.a = 0.25;
    spec->params.b = power ? 1.5 : 0.625;
    spec->params.c = 2;
}

static size_t variant_count(job_operator op)
{
    return op == JOB_NEURON || op == JOB_FULLY_CONNECTED ? neuron_count() : VARIANTS;
}

/* Beyond the first shapes not every neuron function is run: the function does not see the shape. */
static size_t variants_of_shape(job_operator op, size_t shape)
{
    size_t all = variant_count(op);
    return shape < NEURON_SHAPES || all < VARIANTS ? all : VARIANTS;
}

/* With a neuron function, the variants go through all of them. The sums of a layer are larger than what
   logarithm and power are defined for: they are kept small through alpha. */
static case_spec make_case(job_operator op, case_types types, size_t shape, size_t variant)
{
    if (variant_count(op) == VARIANTS) {
        return make_variant(op, types, shape, variant);
    }
    case_spec spec = make_variant(op, types, shape, variant % VARIANTS);
    set_neuron(&spec, variant);
    if (op == JOB_FULLY_CONNECTED) {
        spec.params.alpha = 1.0 / (double)spec.sizes.k;
    }
    return spec;
}

/* ---- Running ---------------------------------------------------------------------------------- */

typedef struct verify_row {
    size_t cases, failed;
    double largest_share;
    char problem[256]; /* of the first case that failed */
} verify_row;

typedef struct verify_run {
    table t;
    json_writer json;
    bool as_json;
    size_t rows, failed, unsupported;
} verify_run;

static bool run_case(job *j, oracle_comparison *c)
{
    oracle_inputs inputs;
    anymps_timings timings;
    if (!oracle_read(j, &inputs)) {
        return false;
    }
    bool good = job_prepare(j) == ANYMPS_OK && job_encode(j) == ANYMPS_OK && job_run(j, &timings) == ANYMPS_OK;
    if (!good) {
        cli_library_error("verify");
    }
    good = good && oracle_compare(j, &inputs, c);
    oracle_inputs_free(&inputs);
    return good;
}

static void run_one(const case_spec *spec, anymps_device *device, verify_row *row)
{
    job j;
    char text[JOB_TEXT];
    oracle_comparison c = {0};
    bool ran = case_make(spec, device, &j) && run_case(&j, &c);
    row->cases++;
    row->largest_share = c.largest_share > row->largest_share ? c.largest_share : row->largest_share;
    if (!ran || c.outside > 0) {
        if (row->failed == 0 && ran) {
            snprintf(row->problem, sizeof row->problem, "%s [%zu,%zu,%zu] is %.9g, exact %.9g", job_text(&j, text),
                     c.matrix, c.row, c.column, c.got, c.exact);
        }
        row->failed++;
    }
    job_free(&j);
}

static void report_row(verify_run *run, const char *device, const char *isa, job_operator op, const case_types *types,
                       const verify_row *row, const char *answer)
{
    char text[CASE_TYPES_TEXT];
    const char *name = job_operator_info(op)->name;
    case_types_text(types, text);
    if (run->as_json) {
        json_begin_object(&run->json, NULL);
        json_text(&run->json, "device", device);
        json_text(&run->json, "architecture", isa);
        json_text(&run->json, "operator", name);
        json_text(&run->json, "types", text);
        json_count(&run->json, "cases", row->cases);
        json_number(&run->json, "largest_share_of_bound", row->largest_share);
        json_text(&run->json, "answer", answer);
        json_end_object(&run->json);
        return;
    }
    table_cell(&run->t, "%s", device);
    table_cell(&run->t, "%s", isa);
    table_cell(&run->t, "%s", name);
    table_cell(&run->t, "%s", text);
    table_cell(&run->t, "%zu", row->cases);
    table_cell(&run->t, "%.3f", row->largest_share);
    table_cell(&run->t, "%s", answer);
}

static void verify_types(verify_run *run, anymps_device *device, const anymps_device_properties *p, job_operator op,
                         case_types types)
{
    verify_row row = {0};
    const char *name = job_operator_info(op)->name, *answer = "unsupported";
    if (anymps_device_supports(device, name, types.dtype, types.count) == ANYMPS_OK) {
        for (size_t shape = 0; shape < SHAPES; shape++) {
            for (size_t variant = 0; variant < variants_of_shape(op, shape); variant++) {
                case_spec spec = make_case(op, types, shape, variant);
                run_one(&spec, device, &row);
            }
        }
        answer = row.failed == 0 ? "ok" : "FAIL";
    } else {
        run->unsupported++;
    }
    run->rows++;
    run->failed += row.failed > 0;
    report_row(run, p->id, p->architecture, op, &types, &row, answer);
    if (row.failed > 0) {
        cli_error("verify: %s %s: %zu of %zu cases failed: %s", p->id, name, row.failed, row.cases, row.problem);
    }
    progress_advance();
}

static size_t rows_per_device(void)
{
    size_t rows = 0;
    for (size_t op = 0; op < JOB_OPERATORS; op++) {
        rows += case_types_count((job_operator)op);
    }
    return rows;
}

static bool verify_device(verify_run *run, anymps_device *device)
{
    char label[96];
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (anymps_device_get_properties(device, &p) != ANYMPS_OK) {
        cli_library_error("verify");
        return false;
    }
    snprintf(label, sizeof label, "verify %s %.32s", p.id, p.architecture);
    progress_start(label, rows_per_device(), false);
    for (size_t op = 0; op < JOB_OPERATORS; op++) {
        for (size_t i = 0; i < case_types_count((job_operator)op); i++) {
            verify_types(run, device, &p, (job_operator)op, case_types_at((job_operator)op, i));
        }
    }
    progress_stop();
    return true;
}

/* The CPU once for each instruction set that it takes, any other device as it is. */
static bool verify_id(verify_run *run, const char *id, const char *isa, size_t threads)
{
    static const char *const isas[] = {"baseline", "avx2", "avx512", "amx", "neon", "neon-dotprod", "neon-i8mm"};
    char before[64] = "";
    bool ran = false;
    for (size_t i = 0; isa == NULL && strcmp(id, "cpu") == 0 && i < sizeof isas / sizeof *isas; i++) {
        anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
        anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
        anymps_device *device = NULL;
        desc.id = id;
        desc.isa = isas[i];
        desc.threads = threads;
        if (anymps_device_open(&desc, &device) == ANYMPS_OK && anymps_device_get_properties(device, &p) == ANYMPS_OK &&
            strcmp(p.architecture, before) != 0) {
            snprintf(before, sizeof before, "%s", p.architecture);
            ran = verify_device(run, device) || ran;
        }
        anymps_device_release(device);
    }
    if (ran) {
        return true;
    }
    anymps_device *device = cli_open_device(id, threads, isa);
    bool good = device != NULL && verify_device(run, device);
    anymps_device_release(device);
    return good;
}

static bool verify_all(verify_run *run, const char *id, const char *isa, size_t threads)
{
    if (id != NULL) {
        return verify_id(run, id, isa, threads);
    }
    bool good = true;
    for (size_t i = 0; i < anymps_device_count(); i++) {
        anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
        bool described = anymps_device_describe(i, &p) == ANYMPS_OK;
        if (!described) {
            cli_library_error("verify");
        }
        good = described && verify_id(run, p.id, isa, threads) && good;
    }
    return good;
}

int cmd_verify(int argc, char **argv)
{
    const char *id = NULL, *isa = NULL;
    size_t threads = 0;
    bool json = false, quiet = false;
    command_line line = {
        .verb = "verify",
        .arguments = "",
        .details = "Runs every operator with every type on every device of this machine and compares\n"
                   "with double precision. 'of bound' is the largest error as a share of the bound\n"
                   "that the headers promise. On the CPU every instruction set is run in turn.",
    };
    options_add(&line, (option){"device", 'd', OPTION_TEXT, &id, "ID", "this device only"});
    options_add(&line, (option){"isa", 0, OPTION_TEXT, &isa, "NAME", "this instruction set only"});
    options_add(&line, (option){"threads", 't', OPTION_COUNT, &threads, "N", "threads of the CPU"});
    options_add(&line, (option){"json", 0, OPTION_FLAG, &json, NULL, "as JSON"});
    options_add(&line, (option){"quiet", 'q', OPTION_FLAG, &quiet, NULL, "only failures"});
    switch (options_parse(&line, argc, argv)) {
    case PARSE_RUN: break;
    case PARSE_HELP: return CLI_OK;
    case PARSE_WRONG: return CLI_USAGE;
    }
    verify_run run = {.t = table_make("device|architecture|operator|types|>cases|>of bound|answer"),
                      .as_json = json && !quiet};
    if (run.as_json) {
        run.json = json_open(stdout);
        json_begin_array(&run.json, "rows");
    }
    bool good = verify_all(&run, id, isa, threads) && run.failed == 0;
    if (run.as_json) {
        json_end_array(&run.json);
        json_count(&run.json, "failed", run.failed);
        json_close(&run.json);
    } else if (!quiet) {
        table_print(&run.t, stdout);
        printf("%zu rows: %zu ok, %zu unsupported, %zu failed\n", run.rows, run.rows - run.failed - run.unsupported,
               run.unsupported, run.failed);
    }
    table_free(&run.t);
    return good ? CLI_OK : CLI_FAILURE;
}
