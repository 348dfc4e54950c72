/* SPDX-License-Identifier: Apache-2.0 */
/* test_matrix_vector.c: cases and oracle of matrix_vector. Called by conformance.c. */
#include "shared_product.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 3, LARGE_PRODUCTS = 15000 };

typedef struct recipe {
    const product_types *types;
    size_t rows, columns; /* of op(matrix) */
    bool transpose;
    const factors *by;
    operand_layout layout;
    bool broadcast; /* one matrix for all vectors */
    const char *special;
    void (*poke)(test_case *self);
} recipe;

void conformance_matrix_vector(suite *run);

static anymps_status create(anymps_device *device, const void *desc, anymps_kernel **kernel)
{
    return anymps_matrix_vector_create(device, desc, kernel);
}

static anymps_status encode(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range)
{
    return anymps_matrix_vector_encode(kernel, commands, at[0].matrix, at[1].vector, at[2].vector, range);
}

static void check(test_case *self)
{
    const recipe *const of = self->context;
    for (size_t b = self->batch_start; b < self->batch_start + self->batch; b++) {
        double *const matrix = dense_of(&self->operands[0], b, of->transpose);
        double *const vector = dense_of(&self->operands[1], b, false);
        for (size_t i = 0; i < of->rows && matrix != NULL && vector != NULL; i++) {
            const product p = product_of(matrix + i * of->columns, vector, of->columns);
            product_expect(self, 2, b, 0, i, p, of->columns, of->by->alpha, of->by->beta);
        }
        free(matrix);
        free(vector);
    }
}

static bool lay_out(test_case *self, const recipe *of)
{
    const bool batched = of->layout == LAYOUT_STACKED || of->layout == LAYOUT_SIDE;
    operand *const o = self->operands;
    self->operand_count = 3;
    self->batch = batched ? BATCH : 1;
    return operand_init(&o[0], of->types->operands, of->transpose ? of->columns : of->rows,
                        of->transpose ? of->rows : of->columns, BATCH, of->broadcast ? LAYOUT_PADDED : of->layout,
                        &self->random) &&
           operand_init_vector(&o[1], of->types->operands, of->columns, BATCH, of->layout, &self->random) &&
           operand_init_vector(&o[2], of->types->result, of->rows, BATCH, of->layout, &self->random);
}

static void run_recipe(suite *run, const recipe *of)
{
    char name[CASE_NAME];
    test_case self;
    (void)snprintf(name, sizeof name, "%s_%zux%zu%s%s_%s%s%s", of->types->name, of->rows, of->columns,
                   of->transpose ? "_tA" : "", of->by->name, operand_layout_name(of->layout),
                   of->broadcast ? "_matrix1" : "", of->special);
    if (!case_begin(run, &self, name)) {
        return;
    }
    anymps_matrix_vector_desc desc = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    desc.algorithm = run->algorithm;
    desc.rows = of->rows;
    desc.columns = of->columns;
    desc.transpose = of->transpose;
    desc.alpha = of->by->alpha;
    desc.beta = of->by->beta;
    desc.matrix_dtype = desc.vector_dtype = of->types->operands;
    desc.result_dtype = of->types->result;
    self.desc = &desc;
    self.context = of;
    self.create = create;
    self.encode = encode;
    self.check = check;
    self.has_secondary = true;
    if (lay_out(&self, of)) {
        product_fill(&self.operands[0], &self.random);
        product_fill(&self.operands[1], &self.random);
        if (of->by->beta != 0.0) {
            product_fill(&self.operands[2], &self.random);
        }
        if (of->poke != NULL) {
            of->poke(&self);
        }
        self.whole = of->layout == LAYOUT_TIGHT || of->layout == LAYOUT_STACKED;
    }
    self.operands[2].is_result = true;
    case_end(run, &self);
}

static const size_t shapes[][2] = {
    {0, 5},     {5, 0},     {1, 1},   {1, 9},    {9, 1},    {2, 3},     {7, 11},    {16, 16},
    {17, 31},   {33, 63},   {64, 65}, {65, 127}, {129, 64}, {100, 257}, {1, 2100},  {2100, 1},
    {13, 1025}, {1025, 13}, {8, 512}, {512, 8},  {5, 2047}, {255, 256}, {300, 511}, {1500, 700},
};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void poke_nan(test_case *self)
{
    operand_set(&self->operands[1], 0, 0, 2, (double)NAN);
}

static void poke_infinity(test_case *self)
{
    operand_set(&self->operands[0], 0, 2, 4, (double)INFINITY);
    operand_set(&self->operands[1], 0, 0, 5, (double)-INFINITY);
    operand_set(&self->operands[0], 0, 1, 5, 0.0);
}

static void run_specials(suite *run, const product_types *types)
{
    for (size_t i = 0; i < 4; i++) {
        const recipe of = {.types = types,
                           .rows = 19,
                           .columns = 19,
                           .transpose = i % 2 == 1,
                           .by = &all_factors[i == 3 ? 5 : 0],
                           .layout = LAYOUT_PADDED,
                           .special = i < 2 ? "_nan" : "_inf",
                           .poke = i < 2 ? poke_nan : poke_infinity};
        run_recipe(run, &of);
    }
}

void conformance_matrix_vector(suite *run)
{
    for (size_t t = 0; t < PRODUCT_TYPES; t++) {
        size_t turn = t;
        for (size_t s = 0; s < COUNT(shapes); s++) {
            for (size_t transpose = 0; transpose < 2; transpose++) {
                /* The larger shapes once for each type, thrice for f32. */
                const bool large = shapes[s][0] * shapes[s][1] > LARGE_PRODUCTS && t > 0;
                for (size_t again = 0; again < (large ? 1u : 3u); again++, turn++) {
                    recipe of = {.types = &all_product_types[t],
                                 .rows = shapes[s][0],
                                 .columns = shapes[s][1],
                                 .transpose = transpose == 1,
                                 .special = ""};
                    of.by = &all_factors[(turn + s) % PRODUCT_FACTORS];
                    of.layout = (operand_layout)((turn * 5 + s) % LAYOUT_COUNT);
                    of.broadcast = of.layout == LAYOUT_STACKED && turn % 2 == 0;
                    run_recipe(run, &of);
                }
            }
        }
        if (number_is_float(all_product_types[t].operands)) {
            run_specials(run, &all_product_types[t]);
        }
    }
}
