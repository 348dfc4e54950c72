/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.c: plain loops. Called by cmd_demo.c. Untransposed f32 operands only; it knows nothing of how the
 * library does it. Compiled with the flags of every other file.
 */
#include "plain.h"

#include <math.h>
#include <stdlib.h>

#include "cli.h"
#include "values.h"

/* result = left * right, the order of the loops as in the textbook: a sum for each element. */
static void multiply(size_t rows, size_t columns, size_t interior, const float *left, const float *right, float scale,
                     float *result)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            float sum = 0;
            for (size_t k = 0; k < interior; k++) {
                sum += left[i * interior + k] * right[k * columns + j];
            }
            result[i * columns + j] = scale * sum;
        }
    }
}

static void softmax(size_t rows, size_t columns, const float *x, float *y)
{
    for (size_t i = 0; i < rows; i++, x += columns, y += columns) {
        float highest = x[0], sum = 0;
        for (size_t j = 1; j < columns; j++) {
            highest = x[j] > highest ? x[j] : highest;
        }
        for (size_t j = 0; j < columns; j++) {
            y[j] = expf(x[j] - highest);
            sum += y[j];
        }
        for (size_t j = 0; j < columns; j++) {
            y[j] /= sum;
        }
    }
}

static void rms_norm(const plain_job *p)
{
    size_t columns = p->sizes.n;
    for (size_t i = 0; i < p->sizes.m; i++) {
        const float *x = p->operand[0] + i * columns;
        float *y = p->result + i * columns, squares = 0;
        for (size_t j = 0; j < columns; j++) {
            squares += x[j] * x[j];
        }
        float factor = 1 / sqrtf(squares / (float)columns + (float)p->epsilon);
        for (size_t j = 0; j < columns; j++) {
            float weight = p->operand[2] != NULL ? p->operand[2][j] : 1;
            y[j] = x[j] * factor * weight;
        }
    }
}

static float *copy_operand(const job_slot *slot)
{
    dense values = {0};
    bool read = slot->matrix != NULL ? dense_read_matrix(slot->matrix, false, &values)
                                     : dense_read_vector(slot->vector, &values);
    size_t count = values.rows * values.columns;
    float *copy = read ? cli_allocate(count, sizeof *copy) : NULL;
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = (float)values.values[i];
    }
    dense_free(&values);
    return copy;
}

bool plain_make(const job *j, plain_job *plain)
{
    *plain = (plain_job){.op = j->op, .scale = j->params.scale, .epsilon = j->params.epsilon};
    bool good = job_measure(j, NULL, &plain->sizes);
    for (size_t slot = 0; good && slot < job_result_slot(j); slot++) {
        if (j->slot[slot].matrix != NULL || j->slot[slot].vector != NULL) {
            plain->operand[slot] = copy_operand(&j->slot[slot]);
            good = plain->operand[slot] != NULL;
        }
    }
    if (good) {
        plain->result = cli_allocate(plain->sizes.m * plain->sizes.n, sizeof(float));
        plain->scratch = cli_allocate(plain->sizes.m * plain->sizes.r + 1, sizeof(float));
    }
    return good && plain->result != NULL && plain->scratch != NULL;
}

void plain_run(plain_job *p)
{
    const job_sizes *s = &p->sizes;
    if (p->op == JOB_MATMUL) {
        multiply(s->m, s->n, s->k, p->operand[0], p->operand[1], 1, p->result);
    } else if (p->op == JOB_LORA) {
        multiply(s->m, s->r, s->k, p->operand[0], p->operand[2], 1, p->scratch);
        multiply(s->m, s->n, s->r, p->scratch, p->operand[3], (float)p->scale, p->result);
    } else if (p->op == JOB_SOFTMAX) {
        softmax(s->m, s->n, p->operand[0], p->result);
    } else if (p->op == JOB_RMS_NORM) {
        rms_norm(p);
    }
}

void plain_free(plain_job *p)
{
    for (size_t slot = 0; slot < JOB_SLOTS; slot++) {
        free(p->operand[slot]);
    }
    free(p->result);
    free(p->scratch);
}
