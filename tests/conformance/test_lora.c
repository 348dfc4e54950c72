/* SPDX-License-Identifier: Apache-2.0 */
/* test_lora.c: cases and oracle of lora. Called by conformance.c. */
#include "shared_product.h"
#include "shared_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE, WEIGHTS, DOWN, UP, RESULT };

typedef struct recipe {
    const row_type *type;
    size_t rows, inputs, rank, outputs;
    bool transpose_weights, transpose_down, transpose_up;
    bool with_weights, accumulate;
    bool infinite; /* one element of source; all others and the adapter are positive */
    double scale;
    operand_layout layout;
} recipe;

void conformance_lora(suite *run);

static anymps_status create(anymps_device *device, const void *desc, anymps_kernel **kernel)
{
    return anymps_lora_create(device, desc, kernel);
}

static anymps_status encode(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range)
{
    return anymps_lora_encode(kernel, commands, at[SOURCE].matrix, at[WEIGHTS].matrix, at[DOWN].matrix, at[UP].matrix,
                              at[RESULT].matrix, range);
}

/* One matrix of the batch: every row of these is one sum's factors. */
typedef struct dense {
    double *source;  /* rows × inputs */
    double *weights; /* outputs × inputs, NULL if there are none */
    double *down;    /* rank × inputs */
    double *up;      /* outputs × rank */
    double *middle;  /* rank: source·down of the current row, then its magnitudes */
} dense;

static void check_element(test_case *self, const recipe *of, const dense *d, size_t b, size_t i, size_t j)
{
    const double scale = (double)(float)of->scale;
    product base = {0.0, 0.0};
    if (d->weights != NULL) {
        base = product_of(d->source + i * of->inputs, d->weights + j * of->inputs, of->inputs);
    }
    const product low = product_of(d->middle, d->up + j * of->rank, of->rank);
    double magnitude = 0.0;
    for (size_t r = 0; r < of->rank; r++) {
        magnitude += d->middle[of->rank + r] * fabs(d->up[j * of->rank + r]);
    }
    magnitude *= fabs(scale);
    const double old = of->accumulate ? operand_before(&self->operands[RESULT], b, i, j) : 0.0;
    double bound = bound_of_sum(of->inputs, base.magnitude) + bound_of_sum(of->inputs + of->rank, magnitude);
    if (of->with_weights || of->accumulate) { /* the parts are summed: a unit of each */
        bound += UNIT * (base.magnitude + magnitude) + 2.0 * UNIT * fabs(old);
    }
    case_expect(self, RESULT, b, i, j, old + base.sum + scale * low.sum, bound);
}

static void check_matrix(test_case *self, const recipe *of, size_t b)
{
    const operand *const o = self->operands;
    dense d = {.source = dense_of(&o[SOURCE], b, false)};
    d.weights = of->with_weights ? dense_of(&o[WEIGHTS], b, !of->transpose_weights) : NULL;
    d.down = dense_of(&o[DOWN], b, !of->transpose_down);
    d.up = dense_of(&o[UP], b, !of->transpose_up);
    d.middle = calloc(2 * of->rank + 1, sizeof *d.middle);
    const bool complete = d.source != NULL && d.down != NULL && d.up != NULL && d.middle != NULL;
    for (size_t i = 0; complete && i < of->rows; i++) {
        for (size_t r = 0; r < of->rank; r++) {
            const product p = product_of(d.source + i * of->inputs, d.down + r * of->inputs, of->inputs);
            d.middle[r] = p.sum;
            d.middle[of->rank + r] = p.magnitude;
        }
        for (size_t j = 0; j < of->outputs; j++) {
            check_element(self, of, &d, b, i, j);
        }
    }
    free(d.source);
    free(d.weights);
    free(d.down);
    free(d.up);
    free(d.middle);
}

static void check(test_case *self)
{
    for (size_t b = self->batch_start; b < self->batch_start + self->batch; b++) {
        check_matrix(self, self->context, b);
    }
}

static bool lay_one(test_case *self, size_t at, const recipe *of, size_t rows, size_t columns, bool transpose)
{
    /* Only source, weights and result have origins; down and up serve all matrices of a batch. */
    const bool inner = at == DOWN || at == UP;
    const operand_layout layout = inner && of->layout != LAYOUT_EDGE ? LAYOUT_PADDED : of->layout;
    operand *const one = &self->operands[at];
    const bool laid = operand_init(one, of->type->dtype, transpose ? columns : rows, transpose ? rows : columns,
                                   ROW_BATCH, layout, &self->random);
    if (laid && (at != RESULT || of->accumulate)) {
        operand_fill(one, of->infinite ? 0.5 : -1.0, 1.0, &self->random);
    }
    if (laid && of->infinite && at == SOURCE) {
        operand_set(one, 0, of->rows / 2, 4, (double)INFINITY);
    }
    return laid;
}

/* An operand at an origin must end where the case ends: all sizes come from the operands. */
static void trim(operand *one)
{
    one->desc.rows = one->origin.row + one->rows;
    one->desc.columns = one->origin.column + one->columns;
}

static void run_recipe(suite *run, const recipe *of)
{
    char name[CASE_NAME];
    test_case self;
    (void)snprintf(name, sizeof name, "%s_%zux%zux%zu_r%zu%s%s%s%s%s%s_scale%g_%s", of->type->name, of->rows,
                   of->outputs, of->inputs, of->rank, of->transpose_weights ? "_tW" : "",
                   of->transpose_down ? "_tD" : "", of->transpose_up ? "_tU" : "", of->with_weights ? "" : "_noweights",
                   of->accumulate ? "_accumulate" : "", of->infinite ? "_inf" : "", of->scale,
                   operand_layout_name(of->layout));
    if (!case_begin(run, &self, name)) {
        return;
    }
    anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    desc.algorithm = run->algorithm;
    desc.scale = of->scale;
    desc.accumulate = of->accumulate;
    desc.transpose_weights = of->transpose_weights;
    desc.transpose_down = of->transpose_down;
    desc.transpose_up = of->transpose_up;
    desc.dtype = of->type->dtype;
    self.desc = &desc;
    self.context = of;
    self.create = create;
    self.encode = encode;
    self.check = check;
    self.has_secondary = of->with_weights;
    self.operand_count = 5;
    self.batch = of->layout == LAYOUT_STACKED || of->layout == LAYOUT_SIDE ? ROW_BATCH : 1;
    if (lay_one(&self, SOURCE, of, of->rows, of->inputs, false) &&
        (!of->with_weights || lay_one(&self, WEIGHTS, of, of->inputs, of->outputs, of->transpose_weights)) &&
        lay_one(&self, DOWN, of, of->inputs, of->rank, of->transpose_down) &&
        lay_one(&self, UP, of, of->rank, of->outputs, of->transpose_up) &&
        lay_one(&self, RESULT, of, of->rows, of->outputs, false)) {
        trim(&self.operands[SOURCE]);
        trim(&self.operands[WEIGHTS]);
        trim(&self.operands[RESULT]);
        self.whole = of->layout != LAYOUT_ORIGIN;
    }
    self.operands[RESULT].is_result = true;
    case_end(run, &self);
}

/* Rows, outputs, inputs, rank. */
static const size_t shapes[][4] = {
    {0, 5, 3, 2},        {5, 0, 3, 2},         {3, 4, 0, 2},       {3, 4, 5, 0},      {1, 1, 1, 1},
    {1, 17, 5, 4},       {5, 7, 11, 3},        {7, 17, 9, 8},      {13, 31, 29, 5},   {15, 33, 65, 8},
    {32, 64, 64, 16},    {33, 65, 127, 7},     {64, 96, 512, 8},   {3, 5, 7, 257},    {2, 40, 300, 300},
    {17, 100, 1024, 8},  {35, 600, 300, 7},    {37, 530, 260, 70}, {33, 20, 129, 40}, {70, 136, 96, 40},
    {130, 140, 100, 72}, {128, 264, 128, 130},
};

/* An infinite element makes its row infinite and nothing NaN: no rank that only fills a tile may be summed. */
static void run_infinite(suite *run, const row_type *type)
{
    static const size_t ranks[] = {3, 12, 45};
    static const size_t rows[] = {3, 17};
    for (size_t i = 0; i < 12; i++) {
        const recipe of = {.type = type,
                           .rows = rows[i % 2],
                           .outputs = 35,
                           .inputs = 21,
                           .rank = ranks[i / 4],
                           .with_weights = i % 4 < 2,
                           .infinite = true,
                           .scale = 1.0,
                           .layout = LAYOUT_PADDED};
        run_recipe(run, &of);
    }
}

/* So many rows that CUDA makes source*down for all of them first, and rank 8 where operands are aligned: it has kernels of
   their own for both. Elsewhere they are rows like others, and would cost stand-ins minutes. */
static void run_many(suite *run, const row_type *type)
{
    static const size_t many[][4] = {{260, 1032, 64, 20}, {260, 1032, 64, 72}, {260, 2056, 64, 12}, {12673, 8, 64, 12},
                                     {4480, 72, 64, 12},  {600, 40, 2048, 8},  {40, 1032, 700, 8},  {70, 520, 300, 8}};
    for (size_t i = 0; i < 2 * (sizeof many / sizeof many[0]); i++) {
        const recipe of = {.type = type,
                           .rows = many[i / 2][0],
                           .outputs = many[i / 2][1],
                           .inputs = many[i / 2][2],
                           .rank = many[i / 2][3],
                           .transpose_up = i % 2 == 1,
                           .with_weights = i % 4 == 1,
                           .accumulate = i % 4 == 2,
                           .infinite = i == 2,
                           .scale = 0.3,
                           .layout = LAYOUT_EDGE};
        run_recipe(run, &of);
    }
}

void conformance_lora(suite *run)
{
    size_t turn = 0;
    for (size_t t = 0; t < ROW_TYPES; t++) {
        run_infinite(run, &all_row_types[t]);
        if (strncmp(run->machine->label, "cuda", 4) == 0) {
            run_many(run, &all_row_types[t]);
        }
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            for (size_t again = 0; again < 8; again++, turn++) {
                recipe of = {.type = &all_row_types[t],
                             .rows = shapes[s][0],
                             .outputs = shapes[s][1],
                             .inputs = shapes[s][2],
                             .rank = shapes[s][3]};
                of.transpose_weights = (again & 1u) != 0;
                of.transpose_down = (again & 2u) != 0;
                of.transpose_up = (again & 4u) != 0;
                of.with_weights = turn % 3 != 0;
                of.accumulate = turn % 4 == 1 || turn % 7 == 0;
                of.scale = turn % 5 == 0 ? 2.0 : turn % 5 == 1 ? 0.3 : 1.0;
                of.layout = (operand_layout)((turn + s + t) % LAYOUT_COUNT);
                run_recipe(run, &of);
            }
        }
    }
}
