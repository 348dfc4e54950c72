/* SPDX-License-Identifier: Apache-2.0 */
/* shared_softmax.c: cases and oracle of softmax and log_softmax. Called by their test files. */
#include "shared_softmax.h"

#include "shared_rows.h"

#include <math.h>
#include <stdio.h>

typedef struct context {
    const softmax_kind *kind;
    size_t rows, columns;
    double scale;
} context;

/* scale * x[i][j]; the scale acts in f32. */
static double scaled(const test_case *self, const context *of, size_t b, size_t i, size_t j)
{
    return (double)(float)of->scale * operand_before(&self->operands[0], b, i, j);
}

/* The bound of kernels.h: terms/2 + 8 units for the argument, exp, the sum and the quotient together. */
static void check_row(test_case *self, const context *of, size_t b, size_t i)
{
    double greatest = (double)-INFINITY;
    bool any_nan = false;
    for (size_t j = 0; j < of->columns; j++) {
        const double x = scaled(self, of, b, i, j);
        any_nan = any_nan || isnan(x);
        greatest = x > greatest ? x : greatest;
    }
    double sum = any_nan ? (double)NAN : 0.0;
    for (size_t j = 0; j < of->columns; j++) {
        sum += exp(scaled(self, of, b, i, j) - greatest);
    }
    for (size_t j = 0; j < of->columns; j++) {
        const double shifted = scaled(self, of, b, i, j) - greatest;
        const double exact = of->kind->logarithm ? shifted - log(sum) : exp(shifted) / sum;
        const double size = of->kind->logarithm ? fmax(1.0, fabs(exact)) : exact;
        case_expect(self, row_result(self), b, i, j, exact, bound_of_row(of->columns) * size);
    }
}

static void check(test_case *self)
{
    const context *const of = self->context;
    for (size_t b = self->batch_start; b < self->batch_start + self->batch; b++) {
        for (size_t i = 0; i < of->rows; i++) {
            check_row(self, of, b, i);
        }
    }
}

static void poke_none(test_case *self)
{
    (void)self;
}

/* −inf at the start, in the middle and at the end; a row of nothing else in the last. */
static void poke_minus_infinity(test_case *self)
{
    operand *const x = &self->operands[0];
    operand_set(x, 0, 0, 0, (double)-INFINITY);
    operand_set(x, 0, 1, x->columns / 2, (double)-INFINITY);
    operand_set(x, 0, 1, x->columns - 1, (double)-INFINITY);
    for (size_t j = 0; j + 1 < x->columns; j++) {
        operand_set(x, 0, 2, j, (double)-INFINITY); /* all but the last */
    }
    for (size_t j = 0; j < x->columns; j++) {
        operand_set(x, 0, 3, j, (double)-INFINITY);
    }
}

static void poke_nan_and_infinity(test_case *self)
{
    operand *const x = &self->operands[0];
    operand_set(x, 0, 0, 0, (double)NAN);
    operand_set(x, 0, 1, x->columns - 1, (double)NAN);
    operand_set(x, 0, 2, x->columns / 2, (double)INFINITY);
    operand_set(x, 0, 3, 0, (double)-INFINITY);
    operand_set(x, 0, 3, x->columns - 1, (double)NAN);
}

/* Values whose exponentials would overflow, and whole rows of large equal values. */
static void poke_large(test_case *self)
{
    operand *const x = &self->operands[0];
    for (size_t j = 0; j < x->columns; j++) {
        operand_set(x, 0, 0, j, 1000.0 + (double)(j % 7));
        operand_set(x, 0, 1, j, -1000.0 - (double)(j % 5));
        operand_set(x, 0, 2, j, 20000.0);
        operand_set(x, 0, 3, j, j % 3 == 0 ? -30000.0 : 30000.0);
    }
}

/* Shares far below 1, down to where they vanish. */
static void poke_spread(test_case *self)
{
    operand *const x = &self->operands[0];
    for (size_t i = 0; i < x->rows; i++) {
        for (size_t j = 0; j < x->columns; j++) {
            operand_set(x, 0, i, j, -1.5 * (double)j - 0.37 * (double)i);
        }
    }
}

static void run_one(suite *run, const softmax_kind *kind, const row_recipe *shape, double scale, const char *tail,
                    void (*poke)(test_case *self))
{
    char name[CASE_NAME];
    char full_tail[48];
    test_case self;
    (void)snprintf(full_tail, sizeof full_tail, "_scale%g%s", scale, tail);
    row_name(shape, full_tail, name, sizeof name);
    if (!case_begin(run, &self, name)) {
        return;
    }
    const context of = {kind, shape->rows, shape->columns, scale};
    anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
    desc.algorithm = run->algorithm;
    desc.scale = scale;
    desc.dtype = shape->type->dtype;
    if (!shape->open) {
        desc.rows = shape->rows;
        desc.columns = shape->columns;
    }
    self.desc = &desc;
    self.context = &of;
    self.create = kind->create;
    self.encode = kind->encode;
    self.check = check;
    if (row_lay_out(&self, shape, 1, -4.0, 4.0)) {
        poke(&self);
    }
    case_end(run, &self);
}

static const softmax_kind *current; /* the operator of the run; the program has one thread */

static void each(suite *run, const row_recipe *shape, size_t turn)
{
    static const double scales[] = {1.0, 0.125, 1.0, 0.3, -2.0};
    run_one(run, current, shape, scales[turn % 5], "", poke_none);
}

void softmax_cases(suite *run, const softmax_kind *kind)
{
    static const size_t widths[] = {3, 17, 40, 64, 131, 32776 /* long rows may have kernels of their own */};
    current = kind;
    row_each(run, each);
    for (size_t t = 0; t < ROW_TYPES; t++) {
        for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
            const operand_layout layout = widths[w] > 1024 ? LAYOUT_EDGE : LAYOUT_PADDED;
            const row_recipe shape = {&all_row_types[t], 4, widths[w], layout, w % 2 == 1, false};
            run_one(run, kind, &shape, 1.0, "_minusinf", poke_minus_infinity);
            run_one(run, kind, &shape, 0.3, "_minusinf", poke_minus_infinity);
            run_one(run, kind, &shape, 1.0, "_naninf", poke_nan_and_infinity);
            run_one(run, kind, &shape, 1.0, "_large", poke_large);
            run_one(run, kind, &shape, 1.0, "_spread", poke_spread);
        }
    }
}
