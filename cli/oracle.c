/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.c: compares a job's result with the same computed in double (oracle_rows.c). Called by
 * operator_verb.c, cmd_verify.c and cmd_demo.c. It knows no formula; rows are shared out over threads.
 */
#include "oracle.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "cli.h"
#include "oracle_rows.h"
#include "parallel.h"

static bool read_slot(const job *j, size_t slot, dense *out)
{
    const job_slot *s = &j->slot[slot];
    if (s->matrix != NULL) {
        return dense_read_matrix(s->matrix, j->params.transpose[slot], out);
    }
    return s->vector == NULL || dense_read_vector(s->vector, out);
}

bool oracle_read(const job *j, oracle_inputs *inputs)
{
    *inputs = (oracle_inputs){0};
    for (size_t slot = 0; slot < job_operator_info(j->op)->slots; slot++) {
        if (!read_slot(j, slot, &inputs->slot[slot])) {
            oracle_inputs_free(inputs);
            return false;
        }
    }
    return true;
}

void oracle_inputs_free(oracle_inputs *inputs)
{
    for (size_t slot = 0; slot < JOB_SLOTS; slot++) {
        dense_free(&inputs->slot[slot]);
    }
}

typedef struct comparing {
    const job *j;
    const oracle_inputs *inputs;
    const dense *got;
    anymps_dtype dtype;
    pthread_mutex_t lock; /* guards what follows */
    oracle_comparison total;
    bool out_of_memory;
} comparing;

/* NaN agrees with NaN, infinity with infinity, and infinity with what rounds to it. */
static double error_of(double got, double exact, anymps_dtype dtype)
{
    if ((isnan(got) && isnan(exact)) || got == exact || got == value_round(dtype, exact)) {
        return isfinite(got) && isfinite(exact) ? fabs(got - exact) : 0;
    }
    return isfinite(got) && isfinite(exact) ? fabs(got - exact) : (double)INFINITY;
}

/* The bound, the rounding to the result's type, and where f32 itself ends. */
static double allowed(anymps_dtype dtype, double bound, double exact)
{
    if (dtype == ANYMPS_DTYPE_F32) {
        return bound + 0x1p-149;
    }
    return bound + value_half_ulp(dtype, fabs(exact) + bound);
}

static void note(oracle_comparison *c, double error, double share, double got, double exact)
{
    c->elements++;
    c->outside += !(share <= 1);
    c->largest_error = error > c->largest_error ? error : c->largest_error;
    if (share > c->largest_share || c->elements == 1) {
        c->largest_share = share;
        c->got = got;
        c->exact = exact;
    }
}

static void compare_row(const comparing *c, const oracle_row *r, oracle_comparison *mine)
{
    const double *got = c->got->values + (r->matrix * c->got->rows + r->row) * r->columns;
    for (size_t j = 0; j < r->columns; j++) {
        double error = error_of(got[j], r->exact[j], c->dtype);
        double limit = allowed(c->dtype, r->bound[j], r->exact[j]);
        double before = mine->largest_share;
        double share = error == 0 ? 0 : error / limit; /* a bound that is NaN is no bound */
        note(mine, error, share, got[j], r->exact[j]);
        if (mine->largest_share > before) {
            mine->row = r->row;
            mine->column = j;
            mine->matrix = r->matrix;
        }
    }
}

static void merge(oracle_comparison *into, const oracle_comparison *from)
{
    bool larger = from->largest_share > into->largest_share || into->elements == 0;
    size_t elements = into->elements + from->elements, outside = into->outside + from->outside;
    double error = fmax(into->largest_error, from->largest_error);
    if (larger && from->elements > 0) {
        *into = *from;
    }
    into->elements = elements;
    into->outside = outside;
    into->largest_error = error;
}

/* Rows index, index + threads, … of all matrices. */
static void compare_part(void *context, size_t index, size_t threads)
{
    comparing *c = context;
    size_t columns = c->got->columns, scratch = oracle_scratch(c->j, c->inputs);
    double *memory = calloc(2 * columns + scratch + 1, sizeof *memory);
    oracle_comparison mine = {0};
    for (size_t at = index; memory != NULL && at < c->got->rows * c->got->matrices; at += threads) {
        oracle_row row = {c->j,    c->inputs, at / c->got->rows, at % c->got->rows,
                          columns, memory,    memory + columns,  memory + 2 * columns};
        oracle_compute_row(&row);
        compare_row(c, &row, &mine);
    }
    pthread_mutex_lock(&c->lock);
    c->out_of_memory = c->out_of_memory || memory == NULL;
    merge(&c->total, &mine);
    pthread_mutex_unlock(&c->lock);
    free(memory);
}

bool oracle_compare(const job *j, const oracle_inputs *inputs, oracle_comparison *comparison)
{
    dense got = {0};
    size_t slot = job_result_slot(j);
    comparing c = {
        .j = j, .inputs = inputs, .got = &got, .dtype = job_slot_dtype(j, slot), .lock = PTHREAD_MUTEX_INITIALIZER};
    if (!read_slot(j, slot, &got)) {
        return false;
    }
    parallel_run(parallel_processors(), compare_part, &c);
    dense_free(&got);
    if (c.out_of_memory) {
        cli_error("%s: out of memory while checking", job_operator_info(j->op)->name);
        return false;
    }
    *comparison = c.total;
    return true;
}
