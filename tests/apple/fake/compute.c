/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compute.c: what the MPS kernels calculate, after the formulas of their headers, in float as a GPU would:
 * products are summed in blocks of 8 along the interior, several sums at a time, and rounded once at the end.
 *
 * Called by command.m's thread. Shares no code with the library under test; plain loops, not fast.
 */
#include "compute.h"

#include "fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t fake_element_bytes(uint32_t type)
{
    return (type & 0xffffu) / 8;
}

static float load(const unsigned char *at, uint32_t type)
{
    _Float16 half;
    float single;
    int16_t word;
    switch (type) {
    case FAKE_F32: memcpy(&single, at, sizeof single); return single;
    case FAKE_F16: memcpy(&half, at, sizeof half); return (float)half;
    case FAKE_I16: memcpy(&word, at, sizeof word); return (float)word;
    default: return (float)(signed char)*at;
    }
}

static void store(unsigned char *at, uint32_t type, float value)
{
    if (type == FAKE_F16) {
        const _Float16 half = (_Float16)value;
        memcpy(at, &half, sizeof half);
    } else {
        memcpy(at, &value, sizeof value);
    }
}

typedef struct operand {
    unsigned char *base;
    size_t row_bytes, element;
    uint32_t type;
} operand;

static operand operand_of(const fake_arithmetic *work, size_t view, unsigned char *const *bases, size_t b)
{
    const fake_view *v = &work->views[view];
    return (operand){.base = bases[view] + v->offset + b * v->matrix_bytes,
                     .row_bytes = v->row_bytes,
                     .element = fake_element_bytes(v->type),
                     .type = v->type};
}

static unsigned char *at(const operand *o, size_t i, size_t j)
{
    return o->base + i * o->row_bytes + j * o->element;
}

static float get(const operand *o, size_t i, size_t j)
{
    return load(at(o, i, j), o->type);
}

/* Keeps 10 bits of a float's fraction, as tensor units do. */
static float cut(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= 0xffffe000u;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* Rows of `o` (columns when `transposed`) as floats, interior fastest, into fresh memory. */
static float *gather(const operand *o, size_t rows, size_t columns, bool transposed, bool reduced)
{
    float *copy = malloc((rows * columns + 1) * sizeof *copy);
    if (!copy)
        abort();
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++)
            copy[i * columns + j] = transposed ? get(o, j, i) : get(o, i, j);
        for (size_t j = 0; reduced && j < columns; j++)
            copy[i * columns + j] = cut(copy[i * columns + j]);
    }
    return copy;
}

/* Eight sums side by side; a vector of the compiler, so that whole networks run in seconds. */
typedef float lanes __attribute__((vector_size(32)));

static float dot(const float *x, const float *y, size_t n)
{
    lanes block = {0};
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        lanes a, b;
        memcpy(&a, x + k, sizeof a);
        memcpy(&b, y + k, sizeof b);
        block += a * b;
    }
    float rest = 0;
    for (; k < n; k++)
        rest += x[k] * y[k];
    return ((block[0] + block[4]) + (block[1] + block[5])) + ((block[2] + block[6]) + (block[3] + block[7])) + rest;
}

static float activate(const fake_arithmetic *work, float slope, float x);

/* result = alpha * left * right, then either + beta * result or f(… + bias). */
static void product(const fake_arithmetic *work, unsigned char *const *bases, size_t b)
{
    const bool layer = work->kind == FAKE_LAYER;
    const size_t last = work->view_count - 1;
    const operand left = operand_of(work, 0, bases, b), right = operand_of(work, 1, bases, b);
    operand result = operand_of(work, last, bases, b);
    const bool reduced = (work->defects & FAKE_DEFECT_F32_REDUCED) && left.type == FAKE_F32;
    const bool reads = work->beta != 0 || (work->defects & FAKE_DEFECT_BETA_ZERO_READS);
    if (work->defects & FAKE_DEFECT_SLICED_RESULT)
        result.row_bytes = work->columns * result.element;
    const bool biased = layer && work->views[2].buffer != NULL;
    const operand bias = biased ? operand_of(work, 2, bases, b) : left;
    const float alpha = (float)work->alpha, beta = (float)work->beta;
    float *x = gather(&left, work->rows, work->interior, work->transpose_left, reduced);
    float *y = gather(&right, work->columns, work->interior, !work->transpose_right, reduced);
    for (size_t i = 0; i < work->rows; i++) {
        for (size_t j = 0; j < work->columns; j++) {
            const float sum = dot(x + i * work->interior, y + j * work->interior, work->interior);
            float value = alpha * sum;
            if (biased)
                value += get(&bias, 0, j);
            if (layer)
                value = activate(work, 0, value);
            else if (reads)
                value = fmaf(alpha, sum, beta * get(&result, i, j));
            store(at(&result, i, j), result.type, value);
        }
    }
    free(x);
    free(y);
}

static void softmax(const fake_arithmetic *work, unsigned char *const *bases, size_t b)
{
    const operand source = operand_of(work, 0, bases, b), result = operand_of(work, 1, bases, b);
    for (size_t i = 0; i < work->rows; i++) {
        float *row = malloc(work->columns * sizeof *row);
        if (!row)
            abort();
        float largest = get(&source, i, 0), lanes[32] = {0};
        for (size_t j = 0; j < work->columns; j++) {
            row[j] = get(&source, i, j);
            largest = row[j] > largest ? row[j] : largest;
        }
        const bool defect = (work->defects & FAKE_DEFECT_SOFTMAX_INFINITY) && isinf(row[0]) && row[0] < 0;
        for (size_t j = 0; j < work->columns; j++)
            lanes[j % 32] += expf(row[j] - largest);
        float sum = defect ? NAN : 0;
        for (size_t lane = 0; lane < 32; lane++)
            sum += lanes[lane];
        for (size_t j = 0; j < work->columns; j++) {
            const float shifted = row[j] - largest, share = expf(shifted) / sum;
            const float logarithm = work->defects & FAKE_DEFECT_LOG_UNDERFLOW ? logf(share) : shifted - logf(sum);
            store(at(&result, i, j), result.type, work->kind == FAKE_SOFTMAX ? share : logarithm);
        }
        free(row);
    }
}

static float clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

/* MPSCNNNeuronType by number, after the formulas of its header. */
static float activate_exactly(const fake_arithmetic *work, float slope, float x)
{
    const float a = work->a, b = work->b, c = work->c;
    switch (work->neuron) {
    case 1: /* ReLU */ return x >= 0 || isnan(x) ? x : a * x;
    case 2: /* linear */ return a * x + b;
    case 3: /* sigmoid */ return 1.0f / (1.0f + expf(-x));
    case 4: /* hard sigmoid */ return isnan(x) ? x : clamp(a * x + b, 0, 1);
    case 5: /* tanh */ return a * tanhf(b * x);
    case 6: /* absolute */ return fabsf(x);
    case 7: /* soft plus, without overflow of the exponential */
        return a * (b * x > 30.0f ? b * x : log1pf(expf(b * x)));
    case 8: /* soft sign */ return x / (1.0f + fabsf(x));
    case 9: /* ELU */ return x >= 0 || isnan(x) ? x : a * expm1f(x);
    case 10: /* PReLU */ return x >= 0 || isnan(x) ? x : slope * x;
    case 11: /* ReLUN */ x = x >= 0 || isnan(x) ? x : a * x; return x > b ? b : x;
    case 12: /* power */ return powf(a * x + b, c);
    case 13: /* exponential */ return powf(c, a * x + b);
    case 14: /* logarithm */ return logf(a * x + b) / logf(c);
    case 15: /* GeLU */ return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    default: return x;
    }
}

static float activate(const fake_arithmetic *work, float slope, float x)
{
    const float value = activate_exactly(work, slope, x);
    const bool delicate = work->neuron == 5 || work->neuron == 7 || work->neuron == 9;
    if (!(work->defects & FAKE_DEFECT_COARSE_NEURONS) || !delicate)
        return value;
    return fabsf(x) < 1 ? value * 1.0003f : value;
}

static void neuron(const fake_arithmetic *work, unsigned char *const *bases, size_t b)
{
    const operand source = operand_of(work, 0, bases, b), result = operand_of(work, 2, bases, b);
    const bool biased = work->views[1].buffer != NULL;
    const operand bias = biased ? operand_of(work, 1, bases, b) : source;
    const float alpha = (float)work->alpha;
    for (size_t i = 0; i < work->rows; i++) {
        for (size_t j = 0; j < work->columns; j++) {
            const float x = alpha * get(&source, i, j) + (biased ? get(&bias, 0, j) : 0.0f);
            store(at(&result, i, j), result.type, activate(work, work->slopes ? work->slopes[j] : 0, x));
        }
    }
}

void fake_compute(const fake_arithmetic *work, unsigned char *const bases[FAKE_MAX_VIEWS])
{
    for (size_t b = 0; b < work->batch; b++) {
        switch (work->kind) {
        case FAKE_PRODUCT:
        case FAKE_LAYER: product(work, bases, b); break;
        case FAKE_SOFTMAX:
        case FAKE_LOG_SOFTMAX: softmax(work, bases, b); break;
        default: neuron(work, bases, b); break;
        }
    }
}
