/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.c: what a job's operands are and whether they fit; how much work it is. Called by operator_verb.c,
 * cases.c, cmd_bench.c, cmd_verify.c, cmd_demo.c. Running it is in job_run.c.
 *
 * It knows the shapes of the operators but not their arithmetic (oracle.c does).
 */
#include "job.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

/* Letters: m rows, n columns, k what is summed over, r rank. */
static const job_info operators[JOB_OPERATORS] = {
    [JOB_MATMUL] = {"matmul",
                    3,
                    {{"left", "mk", false, true}, {"right", "kn", false, true}, {"result", "mn", false, false}}},
    [JOB_MATRIX_VECTOR] = {"matrix_vector",
                           3,
                           {{"matrix", "mk", false, true},
                            {"vector", "k", false, false},
                            {"result", "m", false, false}}},
    [JOB_FULLY_CONNECTED] = {"fully_connected",
                             5,
                             {{"source", "mk", false, false},
                              {"weights", "kn", false, true},
                              {"bias", "n", true, false},
                              {"prelu", "n", true, false},
                              {"result", "mn", false, false}}},
    [JOB_NEURON] = {"neuron",
                    4,
                    {{"source", "mn", false, false},
                     {"bias", "n", true, false},
                     {"prelu", "n", true, false},
                     {"result", "mn", false, false}}},
    [JOB_SOFTMAX] = {"softmax", 2, {{"source", "mn", false, false}, {"result", "mn", false, false}}},
    [JOB_LOG_SOFTMAX] = {"log_softmax", 2, {{"source", "mn", false, false}, {"result", "mn", false, false}}},
    [JOB_RMS_NORM] = {"rms_norm",
                      5,
                      {{"source", "mn", false, false},
                       {"residual", "mn", true, false},
                       {"weight", "n", true, false},
                       {"bias", "n", true, false},
                       {"result", "mn", false, false}}},
    [JOB_LAYER_NORM] = {"layer_norm",
                        5,
                        {{"source", "mn", false, false},
                         {"residual", "mn", true, false},
                         {"weight", "n", true, false},
                         {"bias", "n", true, false},
                         {"result", "mn", false, false}}},
    [JOB_LORA] = {"lora",
                  5,
                  {{"source", "mk", false, false},
                   {"weights", "kn", true, true},
                   {"down", "kr", false, true},
                   {"up", "rn", false, true},
                   {"result", "mn", false, false}}},
};

const job_info *job_operator_info(job_operator op)
{
    return &operators[op];
}

size_t job_result_slot(const job *j)
{
    return operators[j->op].slots - 1;
}

anymps_dtype job_slot_dtype(const job *j, size_t slot)
{
    const job_slot *s = &j->slot[slot];
    if (s->matrix != NULL) {
        return anymps_matrix_get_desc(s->matrix).dtype;
    }
    return s->vector != NULL ? anymps_vector_get_desc(s->vector).dtype : ANYMPS_DTYPE_INVALID;
}

/* ---- Shapes ----------------------------------------------------------------------------------- */

/* What one slot says about one letter. */
typedef struct side {
    size_t slot;
    const char *noun; /* "rows", "columns", "elements", "matrices" */
    size_t size;
    bool known;
} side;

typedef struct bindings {
    const job *j;
    const job_names *names;
    side letter[5]; /* m, n, k, r, batch */
} bindings;

static const char letters[] = "mnkr*";

static void describe_side(const bindings *b, const side *s, char *text, size_t size)
{
    const char *name = operators[b->j->op].slot[s->slot].name;
    const char *file = b->names != NULL ? b->names->file[s->slot] : NULL;
    snprintf(text, size, "%s%s%s%s has %zu %s", name, file != NULL ? " " : "", file != NULL ? file : "",
             b->j->params.transpose[s->slot] ? " (transposed)" : "", s->size, s->noun);
}

/* Notes that `letter` has this size, or says who said otherwise. */
static bool bind(bindings *b, char letter, side now)
{
    side *before = &b->letter[strchr(letters, letter) - letters];
    bool broadcast = letter == '*' && (now.size == 1 || before->size == 1);
    if (!before->known || (broadcast && before->size == 1)) {
        *before = now;
        before->known = true;
        return true;
    }
    if (before->size == now.size || broadcast) {
        return true;
    }
    char first[400], second[400];
    describe_side(b, before, first, sizeof first);
    describe_side(b, &now, second, sizeof second);
    cli_error("%s: %s, %s", operators[b->j->op].name, first, second);
    return false;
}

static bool bind_slot(bindings *b, size_t slot)
{
    const job_slot *s = &b->j->slot[slot];
    const char *shape = operators[b->j->op].slot[slot].shape;
    if (s->vector != NULL) {
        anymps_vector_desc desc = anymps_vector_get_desc(s->vector);
        return bind(b, shape[0], (side){slot, "elements", desc.length, true}) &&
               bind(b, '*', (side){slot, "vectors", desc.vectors, true});
    }
    if (s->matrix != NULL) {
        anymps_matrix_desc desc = anymps_matrix_get_desc(s->matrix);
        bool turned = b->j->params.transpose[slot];
        return bind(b, shape[0], (side){slot, "rows", turned ? desc.columns : desc.rows, true}) &&
               bind(b, shape[1], (side){slot, "columns", turned ? desc.rows : desc.columns, true}) &&
               bind(b, '*', (side){slot, "matrices", desc.matrices, true});
    }
    return true;
}

bool job_measure(const job *j, const job_names *names, job_sizes *sizes)
{
    bindings b = {.j = j, .names = names};
    for (size_t slot = 0; slot < operators[j->op].slots; slot++) {
        if (!bind_slot(&b, slot)) {
            return false;
        }
    }
    *sizes = (job_sizes){b.letter[0].size, b.letter[1].size, b.letter[2].size, b.letter[3].size, b.letter[4].size};
    return true;
}

anymps_matrix_desc job_result_desc(const job_sizes *sizes, anymps_dtype dtype)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(sizes->m, sizes->n, dtype);
    desc.matrices = sizes->batch;
    return desc;
}

/* ---- Work ------------------------------------------------------------------------------------- */

/* A multiplication and an addition are two operations. For operators that move more than they compute
   the count is of passes over the elements and only places them on the roofline. */
double job_flops(const job *j, const job_sizes *s)
{
    double m = (double)s->m * (double)s->batch, n = (double)s->n, k = (double)s->k, r = (double)s->r;
    switch (j->op) {
    case JOB_MATMUL:
    case JOB_FULLY_CONNECTED: return 2 * m * n * k;
    case JOB_MATRIX_VECTOR: return 2 * m * k;
    case JOB_LORA: return 2 * m * r * (k + n) + (j->slot[1].matrix != NULL ? 2 * m * n * k : 0);
    case JOB_NEURON: return m * n;
    case JOB_SOFTMAX:
    case JOB_LOG_SOFTMAX: return 5 * m * n; /* maximum, subtract, exp, sum, scale */
    case JOB_RMS_NORM: return 4 * m * n;    /* square, sum, scale, weight */
    case JOB_LAYER_NORM: return 7 * m * n;
    case JOB_OPERATORS: break;
    }
    return 0;
}

static double slot_bytes(const job_slot *s)
{
    if (s->matrix != NULL) {
        anymps_matrix_desc d = anymps_matrix_get_desc(s->matrix);
        return (double)d.rows * (double)d.columns * (double)d.matrices * (double)anymps_dtype_bytes(d.dtype);
    }
    if (s->vector != NULL) {
        anymps_vector_desc d = anymps_vector_get_desc(s->vector);
        return (double)d.length * (double)d.vectors * (double)anymps_dtype_bytes(d.dtype);
    }
    return 0;
}

double job_bytes(const job *j)
{
    double bytes = 0;
    for (size_t slot = 0; slot < JOB_SLOTS; slot++) {
        bytes += slot_bytes(&j->slot[slot]);
    }
    bool reads_result = (j->op == JOB_MATMUL || j->op == JOB_MATRIX_VECTOR) ? j->params.beta != 0
                                                                            : j->op == JOB_LORA && j->params.accumulate;
    bool norm = j->op == JOB_RMS_NORM || j->op == JOB_LAYER_NORM;
    bytes += reads_result ? slot_bytes(&j->slot[job_result_slot(j)]) : 0;
    bytes += norm ? slot_bytes(&j->slot[1]) : 0; /* the residual is written back */
    return bytes;
}

bool job_counts_flops(job_operator op)
{
    return op == JOB_MATMUL || op == JOB_FULLY_CONNECTED || op == JOB_LORA;
}

/* ---- Text ------------------------------------------------------------------------------------- */

static int put_slot(char *text, size_t size, const job *j, size_t slot)
{
    const job_slot *s = &j->slot[slot];
    const char *turned = j->params.transpose[slot] ? "^T" : "";
    if (s->vector != NULL) {
        return snprintf(text, size, "%zu", anymps_vector_get_desc(s->vector).length);
    }
    anymps_matrix_desc d = anymps_matrix_get_desc(s->matrix);
    if (d.matrices > 1) {
        return snprintf(text, size, "%zux%zux%zu%s", d.matrices, d.rows, d.columns, turned);
    }
    return snprintf(text, size, "%zux%zu%s", d.rows, d.columns, turned);
}

static void append_types(const job *j, char *text)
{
    size_t at = strlen(text), result = job_result_slot(j);
    anymps_dtype from = job_slot_dtype(j, 0), to = job_slot_dtype(j, result);
    if (from == to) {
        snprintf(text + at, JOB_TEXT - at, " %s", anymps_dtype_name(to));
    } else {
        snprintf(text + at, JOB_TEXT - at, " %s to %s", anymps_dtype_name(from), anymps_dtype_name(to));
    }
}

const char *job_text(const job *j, char *text)
{
    size_t at = 0, result = job_result_slot(j);
    bool products = job_counts_flops(j->op) || j->op == JOB_MATRIX_VECTOR;
    for (size_t slot = 0; slot < result && at < JOB_TEXT; slot++) {
        bool shown =
            slot == 0 || (products && operators[j->op].slot[slot].shape[0] == 'k') || (j->op == JOB_LORA && slot >= 2);
        if (shown && (j->slot[slot].matrix != NULL || j->slot[slot].vector != NULL)) {
            at += (size_t)snprintf(text + at, JOB_TEXT - at, "%s", slot == 0 ? "" : " * ");
            at += (size_t)put_slot(text + at, JOB_TEXT - at, j, slot);
        }
    }
    if (at < JOB_TEXT && products) {
        at += (size_t)snprintf(text + at, JOB_TEXT - at, " -> ");
        put_slot(text + at, JOB_TEXT - at, j, result);
    }
    append_types(j, text);
    return text;
}
