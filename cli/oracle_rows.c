/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_rows.c: the operators in double, row by row, each with the error that anymps/kernels.h allows.
 * Called by oracle.c, on several threads; it reads the inputs and writes its own row only.
 *
 * Written from the formulas of the header, not from the library's code. UNIT is 2^-24, half the distance
 * of f32 neighbours at 1: the relative error of one rounding.
 */
#include "oracle_rows.h"

#include <math.h>
#include <string.h>

#include "neurons.h"

static const double UNIT = 0x1p-24;

/* Row `row` of the batch's matrix in slot `slot`; one matrix serves the whole batch. NULL if not given. */
static const double *row_of(const oracle_row *r, size_t slot, size_t row)
{
    const dense *d = &r->in->slot[slot];
    if (d->values == NULL) {
        return NULL;
    }
    size_t matrix = d->matrices == 1 ? 0 : r->matrix;
    return d->values + (matrix * d->rows + row) * d->columns;
}

/* sum[j] += x[k] * matrix[k][j] and size[j] += |x[k] * matrix[k][j]|, for the matrix in `slot`. */
static void add_product(const oracle_row *r, const double *x, size_t slot, double *sum, double *size)
{
    const dense *d = &r->in->slot[slot];
    for (size_t k = 0; k < d->rows; k++) {
        const double *right = row_of(r, slot, k);
        for (size_t j = 0; j < d->columns; j++) {
            double product = x[k] * right[j];
            sum[j] += product;
            size[j] += fabs(product);
        }
    }
}

static void clear(double *values, size_t count)
{
    memset(values, 0, count * sizeof *values);
}

/* ---- Products --------------------------------------------------------------------------------- */

/* i8 to i32 with alpha 1 and beta 0 or 1 is exact modulo 2^32. */
static double wrap_i32(double value)
{
    double wrapped = fmod(value, 0x1p32);
    return wrapped >= 0x1p31 ? wrapped - 0x1p32 : wrapped < -0x1p31 ? wrapped + 0x1p32 : wrapped;
}

static void matmul_row(const oracle_row *r)
{
    const job_params *p = &r->j->params;
    const double *old = row_of(r, 2, r->row);
    double interior = (double)r->in->slot[0].columns;
    bool whole = job_slot_dtype(r->j, 2) == ANYMPS_DTYPE_I32;
    clear(r->exact, r->columns);
    clear(r->bound, r->columns);
    add_product(r, row_of(r, 0, r->row), 1, r->exact, r->bound);
    for (size_t j = 0; j < r->columns; j++) {
        double kept = p->beta == 0 ? 0 : p->beta * old[j];
        r->exact[j] = p->alpha * r->exact[j] + kept;
        r->bound[j] = 2 * interior * UNIT * fabs(p->alpha) * r->bound[j] + 2 * UNIT * fabs(kept);
        if (whole) {
            bool exact = p->alpha == 1 && (p->beta == 0 || p->beta == 1);
            r->exact[j] = exact ? wrap_i32(r->exact[j]) : fmin(fmax(r->exact[j], -0x1p31), 0x1p31 - 1);
            r->bound[j] = exact ? 0 : 0.5 + fabs(r->exact[j]) * 0x1p-52;
        }
    }
}

/* The result of a matrix times a vector is a vector: one row, whose element j is row j of the matrix. */
static void matrix_vector_row(const oracle_row *r)
{
    const job_params *p = &r->j->params;
    const double *x = row_of(r, 1, 0), *old = row_of(r, 2, 0);
    double interior = (double)r->in->slot[0].columns;
    for (size_t j = 0; j < r->columns; j++) {
        const double *row = row_of(r, 0, j);
        double sum = 0, size = 0, kept = p->beta == 0 ? 0 : p->beta * old[j];
        for (size_t k = 0; k < r->in->slot[0].columns; k++) {
            sum += row[k] * x[k];
            size += fabs(row[k] * x[k]);
        }
        r->exact[j] = p->alpha * sum + kept;
        r->bound[j] = 2 * interior * UNIT * fabs(p->alpha) * size + 2 * UNIT * fabs(kept);
    }
}

/* Two bounds: of the base product over `inputs`, and of the adapter over inputs and rank. */
static void lora_row(const oracle_row *r)
{
    const job_params *p = &r->j->params;
    const double *x = row_of(r, 0, r->row), *old = row_of(r, 4, r->row);
    size_t rank = r->in->slot[2].columns;
    double inputs = (double)r->in->slot[0].columns;
    double *down = r->scratch, *down_size = down + rank, *sum = down_size + rank;
    double *size = sum + r->columns;
    clear(r->scratch, 2 * rank + 2 * r->columns);
    clear(r->exact, r->columns);
    clear(r->bound, r->columns);
    if (r->in->slot[1].values != NULL) {
        add_product(r, x, 1, r->exact, r->bound);
    }
    add_product(r, x, 2, down, down_size);
    for (size_t k = 0; k < rank; k++) {
        const double *up = row_of(r, 3, k);
        for (size_t j = 0; j < r->columns; j++) {
            sum[j] += down[k] * up[j];
            size[j] += down_size[k] * fabs(up[j]);
        }
    }
    for (size_t j = 0; j < r->columns; j++) {
        double kept = p->accumulate ? old[j] : 0;
        r->exact[j] += p->scale * sum[j] + kept;
        r->bound[j] = 2 * inputs * UNIT * r->bound[j] + 2 * UNIT * fabs(kept) +
                      2 * (inputs + (double)rank) * UNIT * fabs(p->scale) * size[j];
    }
}

/* ---- Neurons ---------------------------------------------------------------------------------- */

/*
 * f at an argument that is only known to within `error`, with 4 units in the last place (8 UNIT) of the
 * largest of argument and value on top, and as much again of the argument carried through f's slope.
 */
static void neuron_element(const oracle_row *r, size_t prelu_slot, size_t j, double argument, double error)
{
    const job_params *p = &r->j->params;
    const double *prelu = row_of(r, prelu_slot, 0);
    double a = prelu != NULL ? prelu[j] : (double)(float)p->a;
    double b = (double)(float)p->b, c = (double)(float)p->c;
    double value = neuron_value(p->neuron, a, b, c, argument);
    double reach = error + 8 * UNIT * fabs(argument);
    double up = neuron_value(p->neuron, a, b, c, argument + reach);
    double down = neuron_value(p->neuron, a, b, c, argument - reach);
    double spread = fmax(fabs(up - value), fabs(down - value));
    r->exact[j] = value;
    r->bound[j] = spread + 8 * UNIT * fmax(fabs(argument), fabs(value));
}

static void neuron_row(const oracle_row *r)
{
    const double *x = row_of(r, 0, r->row), *bias = row_of(r, 1, 0);
    for (size_t j = 0; j < r->columns; j++) {
        double product = r->j->params.alpha * x[j], added = bias != NULL ? bias[j] : 0;
        neuron_element(r, 2, j, product + added, 2 * UNIT * (fabs(product) + fabs(added)));
    }
}

static void fully_connected_row(const oracle_row *r)
{
    const double *bias = row_of(r, 2, 0);
    double alpha = r->j->params.alpha, inputs = (double)r->in->slot[0].columns;
    clear(r->exact, r->columns);
    clear(r->bound, r->columns);
    add_product(r, row_of(r, 0, r->row), 1, r->exact, r->bound);
    for (size_t j = 0; j < r->columns; j++) {
        double added = bias != NULL ? bias[j] : 0;
        double error = 2 * inputs * UNIT * fabs(alpha) * r->bound[j] + 2 * UNIT * fabs(added);
        double argument = alpha * r->exact[j] + added;
        if (r->j->params.neuron == ANYMPS_NEURON_NONE) {
            r->exact[j] = argument;
            r->bound[j] = error;
        } else {
            neuron_element(r, 3, j, argument, error);
        }
    }
}

/* ---- Rows ------------------------------------------------------------------------------------- */

static void softmax_row(const oracle_row *r)
{
    const double *x = row_of(r, 0, r->row);
    double scale = r->j->params.scale, highest = -(double)INFINITY, sum = 0;
    double share = ((double)r->columns / 2 + 8) * UNIT;
    for (size_t j = 0; j < r->columns; j++) {
        highest = scale * x[j] > highest ? scale * x[j] : highest;
    }
    for (size_t j = 0; j < r->columns; j++) {
        r->exact[j] = exp(scale * x[j] - highest);
        sum += r->exact[j];
    }
    for (size_t j = 0; j < r->columns; j++) {
        if (r->j->op == JOB_SOFTMAX) {
            r->exact[j] /= sum;
            r->bound[j] = share * r->exact[j];
        } else {
            r->exact[j] = scale * x[j] - highest - log(sum);
            r->bound[j] = share * fmax(1, fabs(r->exact[j]));
        }
    }
}

static void norm_row(const oracle_row *r)
{
    const double *source = row_of(r, 0, r->row), *residual = row_of(r, 1, r->row);
    const double *weight = row_of(r, 2, 0), *bias = row_of(r, 3, 0);
    anymps_dtype dtype = job_slot_dtype(r->j, 0);
    double count = (double)r->columns, share = (count / 2 + 8) * UNIT, mean = 0, squares = 0;
    double largest = 0, *x = r->scratch;
    bool centred = r->j->op == JOB_LAYER_NORM;
    for (size_t j = 0; j < r->columns; j++) {
        x[j] = residual != NULL ? value_round(dtype, source[j] + residual[j]) : source[j];
        mean += centred ? x[j] / count : 0;
        largest = fmax(largest, fabs(x[j]));
    }
    for (size_t j = 0; j < r->columns; j++) {
        squares += (x[j] - mean) * (x[j] - mean) / count;
    }
    double sigma = sqrt(squares + r->j->params.epsilon);
    for (size_t j = 0; j < r->columns; j++) {
        double w = weight != NULL ? weight[j] : 1, added = bias != NULL ? bias[j] : 0;
        double normalized = (x[j] - mean) / sigma * w;
        r->exact[j] = normalized + added;
        r->bound[j] = share * (fabs(normalized) + fabs(added)) + (centred ? share * largest / sigma * fabs(w) : 0);
    }
}

size_t oracle_scratch(const job *j, const oracle_inputs *in)
{
    if (j->op == JOB_LORA) {
        return 2 * in->slot[2].columns + 2 * in->slot[3].columns;
    }
    return in->slot[0].columns;
}

void oracle_compute_row(const oracle_row *r)
{
    switch (r->j->op) {
    case JOB_MATMUL: matmul_row(r); break;
    case JOB_MATRIX_VECTOR: matrix_vector_row(r); break;
    case JOB_FULLY_CONNECTED: fully_connected_row(r); break;
    case JOB_NEURON: neuron_row(r); break;
    case JOB_SOFTMAX:
    case JOB_LOG_SOFTMAX: softmax_row(r); break;
    case JOB_RMS_NORM:
    case JOB_LAYER_NORM: norm_row(r); break;
    case JOB_LORA: lora_row(r); break;
    case JOB_OPERATORS: break;
    }
}
