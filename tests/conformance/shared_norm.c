/* SPDX-License-Identifier: Apache-2.0 */
/* shared_norm.c: cases and oracle of rms_norm and layer_norm. Called by their test files. */
#include "shared_norm.h"

#include "shared_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SOURCE, RESIDUAL, WEIGHT, BIAS, RESULT };

/* Which optional operands a case has, and where the result goes. */
typedef struct parts {
    bool residual, weight, bias;
    bool onto_residual; /* the result is the residual's view */
} parts;

typedef struct context {
    const norm_kind *kind;
    size_t rows, columns;
    double epsilon;
    parts with;
} context;

/* What the row holds after the residual was added: rounded to the type, so that it is taken from where it
   was written back and itself compared with the sum; where the result replaced it, the sum is rounded here. */
static double sum_at(test_case *self, const context *of, size_t b, size_t i, size_t j)
{
    const double x = operand_before(&self->operands[SOURCE], b, i, j);
    if (!of->with.residual) {
        return x;
    }
    const double sum = x + operand_before(&self->operands[RESIDUAL], b, i, j);
    if (of->with.onto_residual) {
        return number_round(self->operands[RESIDUAL].dtype, (double)(float)sum);
    }
    case_expect(self, RESIDUAL, b, i, j, sum, UNIT * fabs(sum));
    return operand_after(&self->operands[RESIDUAL], b, i, j);
}

static void check_row(test_case *self, const context *of, size_t b, size_t i, double *x)
{
    const double n = (double)of->columns;
    double mean = 0.0;
    double squares = 0.0;
    double greatest = 0.0;
    for (size_t j = 0; j < of->columns; j++) {
        x[j] = sum_at(self, of, b, i, j);
        mean += of->kind->centred ? x[j] / n : 0.0;
        greatest = fabs(x[j]) > greatest ? fabs(x[j]) : greatest;
    }
    for (size_t j = 0; j < of->columns; j++) {
        squares += (x[j] - mean) * (x[j] - mean) / n;
    }
    /* epsilon acts in f32. */
    const double sigma = sqrt(squares + (double)(float)of->epsilon);
    for (size_t j = 0; j < of->columns; j++) {
        const double weight = of->with.weight ? operand_before(&self->operands[WEIGHT], b, 0, j) : 1.0;
        const double bias = of->with.bias ? operand_before(&self->operands[BIAS], b, 0, j) : 0.0;
        const double normal = (x[j] - mean) / sigma * weight;
        double bound = bound_of_row(of->columns) * (fabs(normal) + fabs(bias));
        bound += of->kind->centred ? bound_of_row(of->columns) * greatest / sigma * fabs(weight) : 0.0;
        case_expect(self, of->with.onto_residual ? RESIDUAL : row_result(self), b, i, j, normal + bias, bound);
    }
}

static void check(test_case *self)
{
    const context *const of = self->context;
    double *const x = malloc((of->columns + 1) * sizeof *x);
    for (size_t b = self->batch_start; x != NULL && b < self->batch_start + self->batch; b++) {
        for (size_t i = 0; i < of->rows; i++) {
            check_row(self, of, b, i, x);
        }
    }
    free(x);
}

static bool add_vector(test_case *self, size_t at, const row_recipe *shape, double low, double high)
{
    operand *const one = &self->operands[at];
    const bool laid = operand_init_vector(one, shape->type->dtype, shape->columns, 1,
                                          shape->layout == LAYOUT_EDGE ? LAYOUT_EDGE : LAYOUT_PADDED, &self->random);
    if (laid) {
        operand_fill(one, low, high, &self->random);
    }
    return laid;
}

/* The residual shares the source's origin, so it is laid out as the source is, origin included. */
static bool add_residual(test_case *self, const row_recipe *shape, bool takes_result)
{
    operand *const one = &self->operands[RESIDUAL];
    const operand_layout layout = shape->layout == LAYOUT_ORIGIN ? LAYOUT_TIGHT : shape->layout;
    if (!operand_init(one, shape->type->dtype, shape->rows, shape->columns, ROW_BATCH, layout, &self->random)) {
        return false;
    }
    operand_fill(one, -2.0, 2.0, &self->random);
    one->is_result = true;
    if (takes_result) {
        operand_free(&self->operands[RESULT]);
        self->in_place = RESIDUAL + 1;
    }
    return true;
}

static bool lay_out(test_case *self, const row_recipe *shape, parts with)
{
    return row_lay_out(self, shape, RESULT, -3.0, 3.0) &&
           (!with.residual || add_residual(self, shape, with.onto_residual)) &&
           (!with.weight || add_vector(self, WEIGHT, shape, -1.5, 1.5)) &&
           (!with.bias || add_vector(self, BIAS, shape, -1.0, 1.0));
}

static void run_one(suite *run, const norm_kind *kind, const row_recipe *shape, parts with, double epsilon,
                    const char *tail, void (*poke)(test_case *self))
{
    char name[CASE_NAME];
    char full_tail[64];
    test_case self;
    (void)snprintf(full_tail, sizeof full_tail, "%s%s%s%s%s", with.residual ? "_residual" : "",
                   with.onto_residual ? "result" : "", with.weight ? "_weight" : "", with.bias ? "_bias" : "", tail);
    row_name(shape, full_tail, name, sizeof name);
    if (!case_begin(run, &self, name)) {
        return;
    }
    const context of = {kind, shape->rows, shape->columns, epsilon, with};
    anymps_norm_desc desc = ANYMPS_NORM_DESC_INIT;
    desc.algorithm = run->algorithm;
    desc.epsilon = epsilon;
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
    if (lay_out(&self, shape, with) && poke != NULL) {
        poke(&self);
    }
    case_end(run, &self);
}

static void fill_rows(test_case *self, double first, double factor)
{
    operand *const x = &self->operands[SOURCE];
    for (size_t i = 0; i < x->rows; i++) {
        for (size_t j = 0; j < x->columns; j++) {
            operand_set(x, 0, i, j, first + factor * (double)((j * 7 + i) % 5));
        }
    }
}

static void poke_zeros(test_case *self)
{
    fill_rows(self, 0.0, 0.0);
}

/* The sum of the squares is beyond f32, their mean is not. */
static void poke_huge(test_case *self)
{
    fill_rows(self, 2e18, 4e18);
}

/* The squares vanish in f32, epsilon stays. */
static void poke_tiny(test_case *self)
{
    fill_rows(self, 1e-25, 1e-25);
}

/* A large mean, small differences: the case for two passes. */
static void poke_offset(test_case *self)
{
    fill_rows(self, 1000.0, 1.0);
}

static void poke_nan(test_case *self)
{
    operand_set(&self->operands[SOURCE], 0, 0, 0, (double)NAN);
    operand_set(&self->operands[SOURCE], 0, 1, self->operands[SOURCE].columns - 1, (double)INFINITY);
}

static const norm_kind *current; /* the operator of the run; the program has one thread */

static void each(suite *run, const row_recipe *shape, size_t turn)
{
    parts with = {.residual = turn % 3 == 0, .weight = turn % 2 == 0, .bias = turn % 5 < 2};
    row_recipe of = *shape;
    if (with.residual && !of.in_place && turn % 4 == 2 && of.layout != LAYOUT_ORIGIN) {
        with.onto_residual = true;
    }
    if (with.residual && of.layout == LAYOUT_ORIGIN) {
        of.layout = LAYOUT_PADDED; /* its origin would have to fit both */
    }
    run_one(run, current, &of, with, 1e-5, "", NULL);
}

void norm_cases(suite *run, const norm_kind *kind)
{
    static const size_t widths[] = {4, 33, 64, 257, 1024, 32776 /* long rows may have kernels of their own */};
    current = kind;
    row_each(run, each);
    for (size_t t = 0; t < ROW_TYPES; t++) {
        for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
            const operand_layout layout = widths[w] > 1024 ? LAYOUT_EDGE : LAYOUT_PADDED;
            const row_recipe shape = {&all_row_types[t], 3, widths[w], layout, false, false};
            const parts all = {.weight = true, .bias = true};
            run_one(run, kind, &shape, all, 1e-5, "_zeros", poke_zeros);
            run_one(run, kind, &shape, all, 1e-5, "_offset", poke_offset);
            run_one(run, kind, &shape, all, 1e-5, "_naninf", poke_nan);
            if (all_row_types[t].dtype != ANYMPS_DTYPE_F16) {
                run_one(run, kind, &shape, all, 1e-5, "_tiny", poke_tiny);
                run_one(run, kind, &shape, (parts){.weight = true}, 1e-5, "_huge", poke_huge);
            }
            run_one(run, kind, &shape, (parts){.weight = true}, 0.0, "_zeroseps0", poke_zeros);
        }
    }
}
