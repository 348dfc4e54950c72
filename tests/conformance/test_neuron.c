/* SPDX-License-Identifier: Apache-2.0 */
/* test_neuron.c: cases and oracle of neuron: every function, with and without bias. Called by conformance.c. */
#include "shared_neuron.h"
#include "shared_rows.h"

#include <math.h>
#include <stdio.h>

enum { SOURCE, BIAS, PRELU, RESULT };

typedef struct context {
    const neuron_case *neuron;
    size_t rows, columns;
    double alpha;
} context;

void conformance_neuron(suite *run);

static anymps_status create(anymps_device *device, const void *desc, anymps_kernel **kernel)
{
    return anymps_neuron_create(device, desc, kernel);
}

static anymps_status encode(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range)
{
    return anymps_neuron_encode(kernel, commands, at[SOURCE].matrix, at[BIAS].vector, at[PRELU].vector,
                                at[RESULT].matrix, range);
}

/* alpha * x is rounded, then the sum with the bias. */
static void check_element(test_case *self, const context *of, size_t b, size_t i, size_t j)
{
    const double alpha = (double)(float)of->alpha;
    const double product = alpha * operand_before(&self->operands[SOURCE], b, i, j);
    const double bias = self->operands[BIAS].used ? operand_before(&self->operands[BIAS], b, 0, j) : 0.0;
    const double slope = self->operands[PRELU].used ? operand_before(&self->operands[PRELU], b, 0, j) : 0.0;
    double error = alpha == 1.0 ? 0.0 : UNIT * fabs(product);
    error += self->operands[BIAS].used ? UNIT * fabs(product + bias) : 0.0;
    const bounded f = neuron_value(of->neuron, slope, product + bias, error);
    case_expect(self, row_result(self), b, i, j, f.value, f.error);
}

static void check(test_case *self)
{
    const context *const of = self->context;
    for (size_t b = self->batch_start; b < self->batch_start + self->batch; b++) {
        for (size_t i = 0; i < of->rows; i++) {
            for (size_t j = 0; j < of->columns; j++) {
                check_element(self, of, b, i, j);
            }
        }
    }
}

/* A vector beside the source; one vector serves every matrix unless the case is stacked. */
static bool add_vector(test_case *self, size_t at, const row_recipe *shape, double low, double high)
{
    operand *const one = &self->operands[at];
    const bool laid =
        operand_init_vector(one, shape->type->dtype, shape->columns, ROW_BATCH,
                            shape->layout == LAYOUT_ORIGIN ? LAYOUT_PADDED : shape->layout, &self->random);
    if (laid) {
        operand_fill(one, low, high, &self->random);
    }
    return laid;
}

static void run_one(suite *run, const row_recipe *shape, const neuron_case *neuron, double alpha, bool with_bias,
                    bool with_infinity)
{
    char name[CASE_NAME];
    char tail[64];
    test_case self;
    (void)snprintf(tail, sizeof tail, "_%s_a%g%s%s_alpha%g", anymps_neuron_name(neuron->type), (double)neuron->a,
                   with_bias ? "_bias" : "", with_infinity ? "_naninf" : "", alpha);
    row_name(shape, tail, name, sizeof name);
    if (!case_begin(run, &self, name)) {
        return;
    }
    const context of = {neuron, shape->rows, shape->columns, alpha};
    anymps_neuron_desc desc = ANYMPS_NEURON_DESC_INIT;
    desc.algorithm = run->algorithm;
    desc.neuron = neuron->type;
    desc.a = neuron->a;
    desc.b = neuron->b;
    desc.c = neuron->c;
    desc.alpha = alpha;
    desc.dtype = shape->type->dtype;
    if (!shape->open) {
        desc.rows = shape->rows;
        desc.columns = shape->columns;
    }
    self.desc = &desc;
    self.context = &of;
    self.create = create;
    self.encode = encode;
    self.check = check;
    const double margin = with_bias ? 0.25 : 0.0;
    bool laid = row_lay_out(&self, shape, RESULT, neuron->low / alpha + margin, neuron->high / alpha - margin);
    laid = laid && (!with_bias || add_vector(&self, BIAS, shape, -margin, margin));
    if (laid && (neuron->type != ANYMPS_NEURON_PRELU || add_vector(&self, PRELU, shape, 0.05, 0.5)) && with_infinity) {
        operand_set(&self.operands[SOURCE], 0, 0, 0, (double)NAN);
        operand_set(&self.operands[SOURCE], 0, 1, 2, (double)NAN);
    }
    case_end(run, &self);
}

static void each(suite *run, const row_recipe *shape, size_t turn)
{
    run_one(run, shape, &all_neurons[turn % NEURON_CASES], turn % 3 == 0 ? 0.5 : 1.0, turn % 2 == 0, false);
}

void conformance_neuron(suite *run)
{
    row_each(run, each);
    for (size_t t = 0; t < ROW_TYPES; t++) {
        for (size_t n = 0; n < NEURON_CASES; n++) {
            const row_recipe wide = {&all_row_types[t], 3, 200, LAYOUT_PADDED, n % 2 == 0, false};
            const row_recipe small = {&all_row_types[t], 2, 19, LAYOUT_ORIGIN, false, false};
            run_one(run, &wide, &all_neurons[n], 1.0, false, false);
            run_one(run, &wide, &all_neurons[n], 0.3, true, false);
            run_one(run, &small, &all_neurons[n], 1.0, true, true);
        }
    }
}
