/* SPDX-License-Identifier: Apache-2.0 */
/* test_fully_connected.c: cases and oracle of fully_connected. Called by conformance.c. */
#include "shared_neuron.h"
#include "shared_product.h"
#include "shared_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SOURCE, WEIGHTS, BIAS, PRELU, RESULT };

typedef struct recipe {
    const row_type *type;
    size_t rows, inputs, outputs;
    bool transpose, with_bias;
    double alpha;
    const neuron_case *neuron;
    operand_layout layout;
    bool open;
} recipe;

void conformance_fully_connected(suite *run);

static anymps_status create(anymps_device *device, const void *desc, anymps_kernel **kernel)
{
    return anymps_fully_connected_create(device, desc, kernel);
}

static anymps_status encode(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range)
{
    return anymps_fully_connected_encode(kernel, commands, at[SOURCE].matrix, at[WEIGHTS].matrix, at[BIAS].vector,
                                         at[PRELU].vector, at[RESULT].matrix, range);
}

static void check_element(test_case *self, const recipe *of, size_t b, size_t i, size_t j, product p)
{
    const double alpha = (double)(float)of->alpha;
    const double bias = of->with_bias ? operand_before(&self->operands[BIAS], b, 0, j) : 0.0;
    const double slope = self->operands[PRELU].used ? operand_before(&self->operands[PRELU], b, 0, j) : 0.0;
    const double magnitude = fabs(alpha) * p.magnitude;
    const double error =
        bound_of_sum(of->inputs, magnitude) + (of->with_bias ? UNIT * magnitude + 2.0 * UNIT * fabs(bias) : 0.0);
    const bounded f = neuron_value(of->neuron, slope, alpha * p.sum + bias, error);
    case_expect(self, RESULT, b, i, j, f.value, f.error);
}

static void check(test_case *self)
{
    const recipe *const of = self->context;
    for (size_t b = self->batch_start; b < self->batch_start + self->batch; b++) {
        double *const source = dense_of(&self->operands[SOURCE], b, false);
        double *const weights = dense_of(&self->operands[WEIGHTS], b, !of->transpose);
        for (size_t i = 0; i < of->rows && source != NULL && weights != NULL; i++) {
            for (size_t j = 0; j < of->outputs; j++) {
                check_element(self, of, b, i, j,
                              product_of(source + i * of->inputs, weights + j * of->inputs, of->inputs));
            }
        }
        free(source);
        free(weights);
    }
}

static bool lay_out(test_case *self, const recipe *of)
{
    const bool batched = of->layout == LAYOUT_STACKED || of->layout == LAYOUT_SIDE;
    const operand_layout shared = of->layout == LAYOUT_SIDE ? LAYOUT_TIGHT : of->layout; /* weights of all */
    operand *const o = self->operands;
    self->operand_count = 5;
    self->batch = batched ? ROW_BATCH : 1;
    bool laid = operand_init(&o[SOURCE], of->type->dtype, of->rows, of->inputs, ROW_BATCH, of->layout, &self->random) &&
                operand_init(&o[WEIGHTS], of->type->dtype, of->transpose ? of->outputs : of->inputs,
                             of->transpose ? of->inputs : of->outputs, ROW_BATCH, shared, &self->random) &&
                operand_init(&o[RESULT], of->type->dtype, of->rows, of->outputs, ROW_BATCH, of->layout, &self->random);
    const operand_layout beside = of->layout == LAYOUT_EDGE ? LAYOUT_EDGE : LAYOUT_PADDED;
    if (laid && of->with_bias) {
        laid = operand_init_vector(&o[BIAS], of->type->dtype, of->outputs, 1, beside, &self->random);
        operand_fill(&o[BIAS], -0.25, 0.25, &self->random);
    }
    if (laid && of->neuron->type == ANYMPS_NEURON_PRELU) {
        laid = operand_init_vector(&o[PRELU], of->type->dtype, of->outputs, 1, beside, &self->random);
        operand_fill(&o[PRELU], 0.05, 0.5, &self->random);
    }
    return laid;
}

/* Sums that stay where the function is defined: positive factors for positive domains. */
static void fill(test_case *self, const recipe *of)
{
    const double middle = of->inputs == 0 ? 0.0 : 3.0 / sqrt((double)of->inputs);
    const bool positive = of->neuron->low >= -4.0 && of->neuron->type != ANYMPS_NEURON_NONE;
    const double most = positive && of->inputs != 0 ? 3.0 / (double)of->inputs : middle;
    operand_fill(&self->operands[SOURCE], positive ? 0.1 : -1.0, 1.0, &self->random);
    operand_fill(&self->operands[WEIGHTS], positive ? 0.1 * most : -most, most, &self->random);
}

static void run_recipe(suite *run, const recipe *of)
{
    char name[CASE_NAME];
    test_case self;
    (void)snprintf(name, sizeof name, "%s_%zux%zux%zu%s_%s_a%g%s_alpha%g_%s%s", of->type->name, of->rows, of->outputs,
                   of->inputs, of->transpose ? "_tW" : "", anymps_neuron_name(of->neuron->type), (double)of->neuron->a,
                   of->with_bias ? "_bias" : "", of->alpha, operand_layout_name(of->layout), of->open ? "_open" : "");
    if (!case_begin(run, &self, name)) {
        return;
    }
    anymps_fully_connected_desc desc = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    desc.algorithm = run->algorithm;
    if (!of->open) {
        desc.rows = of->rows;
        desc.inputs = of->inputs;
        desc.outputs = of->outputs;
    }
    desc.transpose_weights = of->transpose;
    desc.neuron = of->neuron->type;
    desc.a = of->neuron->a;
    desc.b = of->neuron->b;
    desc.c = of->neuron->c;
    desc.alpha = of->alpha;
    desc.dtype = of->type->dtype;
    self.desc = &desc;
    self.context = of;
    self.create = create;
    self.encode = encode;
    self.check = check;
    self.has_secondary = true;
    if (lay_out(&self, of)) {
        self.operands[WEIGHTS].desc.flags = of->with_bias ? ANYMPS_CONSTANT : 0;
        fill(&self, of);
        self.whole = of->layout != LAYOUT_ORIGIN;
    }
    self.operands[RESULT].is_result = true;
    case_end(run, &self);
}

/* Rows, outputs, inputs. */
static const size_t shapes[][3] = {
    {0, 5, 3},    {5, 0, 3},     {3, 4, 0},     {1, 1, 1},      {1, 17, 5},    {5, 7, 11},
    {6, 16, 8},   {7, 17, 9},    {13, 31, 29},  {14, 32, 64},   {15, 33, 65},  {31, 63, 33},
    {32, 64, 17}, {33, 65, 127}, {1, 384, 384}, {16, 100, 384}, {65, 129, 64}, {2, 3, 1500},
};

/* More rows than outputs: who turns such a product must not take the outputs' vectors along the rows. */
static void run_tall(suite *run, const row_type *type)
{
    static const size_t tall[][3] = {{64, 1, 256}, {40, 3, 256}};
    const neuron_case *prelu = &all_neurons[0];
    while (prelu->type != ANYMPS_NEURON_PRELU) {
        prelu++;
    }
    for (size_t s = 0; s < sizeof tall / sizeof tall[0]; s++) {
        for (unsigned way = 0; way < 4; way++) {
            const recipe of = {.type = type,
                               .neuron = prelu,
                               .rows = tall[s][0],
                               .outputs = tall[s][1],
                               .inputs = tall[s][2],
                               .transpose = way % 2 == 1,
                               .with_bias = way >= 2,
                               .alpha = 1.0};
            run_recipe(run, &of);
        }
    }
}

void conformance_fully_connected(suite *run)
{
    size_t turn = 0;
    for (size_t t = 0; t < ROW_TYPES; t++) {
        run_tall(run, &all_row_types[t]);
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            for (size_t again = 0; again < 8; again++, turn++) {
                recipe of = {.type = &all_row_types[t],
                             .rows = shapes[s][0],
                             .outputs = shapes[s][1],
                             .inputs = shapes[s][2],
                             .transpose = again % 2 == 1,
                             .with_bias = again % 4 < 2};
                of.alpha = turn % 3 == 0 ? 0.5 : 1.0;
                of.neuron = &all_neurons[turn * 7 % NEURON_CASES];
                of.layout = (operand_layout)((turn + s + t) % LAYOUT_COUNT);
                of.open = of.layout != LAYOUT_ORIGIN && again >= 4;
                run_recipe(run, &of);
            }
        }
    }
}
