/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_matmul.c: cases and oracle of matmul. Small results are compared entry by entry; large ones by a
 * random vector in O(n²), as BLIS does, and in a sample of entries. Called by conformance.c.
 */
#include "shared_product.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Products up to which every entry has its own oracle; beyond, the random vector. */
enum { FULL_PRODUCTS = 6000000, LARGE_PRODUCTS = 300000, BATCH = 3 };

/* Which operand has one matrix for the whole batch, and which part of the batch runs. */
typedef enum batching { BATCH_ALL, BATCH_LEFT_ONE, BATCH_RIGHT_ONE, BATCH_WINDOW, BATCHINGS } batching;

typedef struct recipe {
    const product_types *types;
    size_t rows, columns, interior;
    bool transpose_left, transpose_right;
    const factors *by;
    operand_layout layout;
    batching batch;
    const char *special; /* "" or the name of a special case, whose values `poke` sets */
    void (*poke)(test_case *self);
} recipe;

void conformance_matmul(suite *run);

static anymps_status create(anymps_device *device, const void *desc, anymps_kernel **kernel)
{
    return anymps_matmul_create(device, desc, kernel);
}

static anymps_status encode(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range)
{
    return anymps_matmul_encode(kernel, commands, at[0].matrix, at[1].matrix, at[2].matrix, range);
}

/* One matrix of the batch as dense doubles: left rows × interior, right columns × interior. */
typedef struct dense_pair {
    double *left;
    double *right;
} dense_pair;

static void check_entry(test_case *self, const recipe *of, const dense_pair *dense, size_t b, size_t i, size_t j)
{
    const size_t terms = of->interior;
    const product p = product_of(dense->left + i * terms, dense->right + j * terms, terms);
    product_expect(self, 2, b, i, j, p, terms, of->by->alpha, of->by->beta);
}

/*
 * Compares result·x with (alpha·left)·(right·x) + beta·old·x for a random x of ±1: an error anywhere in a
 * row shows, unless it hides below the sum of that row's bounds. O(n²) products.
 */
static void check_by_vector(test_case *self, const recipe *of, const dense_pair *dense, size_t b)
{
    const size_t terms = of->interior;
    const double alpha = (double)(float)of->by->alpha;
    const double beta = (double)(float)of->by->beta;
    double *folded = calloc(2 * terms + 1, sizeof *folded); /* right·x, then |right|·1 */
    char *sign = malloc(of->columns + 1);
    for (size_t j = 0; folded != NULL && sign != NULL && j < of->columns; j++) {
        sign[j] = (char)(seeded_next(&self->random) & 1u);
        for (size_t k = 0; k < terms; k++) {
            const double value = dense->right[j * terms + k];
            folded[k] += sign[j] != 0 ? value : -value;
            folded[terms + k] += fabs(value);
        }
    }
    for (size_t i = 0; folded != NULL && sign != NULL && i < of->rows; i++) {
        const double *row = dense->left + i * terms;
        double exact = alpha * product_of(row, folded, terms).sum;
        double bound = 0.0;
        double got = 0.0;
        for (size_t k = 0; k < terms; k++) {
            bound += fabs(alpha * row[k]) * folded[terms + k];
        }
        bound = bound_of_sum(terms, bound);
        for (size_t j = 0; j < of->columns; j++) {
            const double one = operand_after(&self->operands[2], b, i, j);
            const double old = beta == 0.0 ? 0.0 : beta * operand_before(&self->operands[2], b, i, j);
            got += sign[j] != 0 ? one : -one;
            exact += sign[j] != 0 ? old : -old;
            bound += 2.0 * UNIT * fabs(old) + number_half_ulp(of->types->result, fabs(one)) +
                     1e-13 * fabs(one); /* of the double sums here */
        }
        if (!(fabs(got - exact) <= bound)) {
            case_fail(self, "matrix %zu, row %zu times a random vector is %.9g, exact %.9g, bound %.3g", b, i, got,
                      exact, bound);
        }
    }
    free(folded);
    free(sign);
}

static void check_matrix(test_case *self, const recipe *of, size_t b)
{
    const dense_pair dense = {dense_of(&self->operands[0], b, of->transpose_left),
                              dense_of(&self->operands[1], b, !of->transpose_right)};
    if (dense.left == NULL || dense.right == NULL) {
        case_fail(self, "no memory for the oracle");
    } else if (of->rows * of->columns * of->interior <= FULL_PRODUCTS || !number_is_float(of->types->operands)) {
        /* Integers also where they are large: their sums may be infinite as f16 and must be exact as i32. */
        for (size_t i = 0; i < of->rows; i++) {
            for (size_t j = 0; j < of->columns; j++) {
                check_entry(self, of, &dense, b, i, j);
            }
        }
    } else {
        check_by_vector(self, of, &dense, b);
        for (size_t sample = 0; sample < 500; sample++) {
            check_entry(self, of, &dense, b, seeded_below(&self->random, of->rows),
                        seeded_below(&self->random, of->columns));
        }
        check_entry(self, of, &dense, b, of->rows - 1, of->columns - 1);
    }
    free(dense.left);
    free(dense.right);
}

static void check(test_case *self)
{
    for (size_t b = self->batch_start; b < self->batch_start + self->batch; b++) {
        check_matrix(self, self->context, b);
    }
}

static void name_of(const recipe *of, char *name, size_t size)
{
    static const char *const batchings[BATCHINGS] = {"", "_left1", "_right1", "_window"};
    (void)snprintf(name, size, "%s_%zux%zux%zu%s%s%s%s%s%s%s%s", of->types->name, of->rows, of->columns, of->interior,
                   of->transpose_left ? "_tA" : "", of->transpose_right ? "_tB" : "", of->by->name,
                   of->layout == LAYOUT_TIGHT ? "" : "_",
                   of->layout == LAYOUT_TIGHT ? "" : operand_layout_name(of->layout), batchings[of->batch],
                   of->special[0] != '\0' ? "_" : "", of->special);
}

static bool lay_out(test_case *self, const recipe *of)
{
    const bool batched = of->layout == LAYOUT_STACKED || of->layout == LAYOUT_SIDE;
    const operand_layout left = of->batch == BATCH_LEFT_ONE ? LAYOUT_PADDED : of->layout;
    const operand_layout right = of->batch == BATCH_RIGHT_ONE ? LAYOUT_ORIGIN : of->layout;
    operand *const o = self->operands;
    self->operand_count = 3;
    self->batch = batched ? BATCH : 1;
    if (batched && of->batch == BATCH_WINDOW) {
        self->batch_start = 1;
        self->batch = BATCH - 2;
    }
    return operand_init(&o[0], of->types->operands, of->transpose_left ? of->interior : of->rows,
                        of->transpose_left ? of->rows : of->interior, BATCH, left, &self->random) &&
           operand_init(&o[1], of->types->operands, of->transpose_right ? of->columns : of->interior,
                        of->transpose_right ? of->interior : of->columns, BATCH, right, &self->random) &&
           operand_init(&o[2], of->types->result, of->rows, of->columns, BATCH, of->layout, &self->random);
}

static void run_recipe(suite *run, const recipe *of)
{
    char name[CASE_NAME];
    test_case self;
    name_of(of, name, sizeof name);
    if (!case_begin(run, &self, name)) {
        return;
    }
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.algorithm = run->algorithm;
    desc.rows = of->rows;
    desc.columns = of->columns;
    desc.interior = of->interior;
    desc.transpose_left = of->transpose_left;
    desc.transpose_right = of->transpose_right;
    desc.alpha = of->by->alpha;
    desc.beta = of->by->beta;
    desc.left_dtype = desc.right_dtype = of->types->operands;
    desc.result_dtype = of->types->result;
    self.desc = &desc;
    self.context = of;
    self.create = create;
    self.encode = encode;
    self.check = check;
    self.has_secondary = true;
    if (lay_out(&self, of)) {
        /* Every other shape's right operand is constant: a device may keep it in an order of its own. */
        self.operands[1].desc.flags = (of->rows + of->columns + of->interior) % 2 == 1 ? ANYMPS_CONSTANT : 0;
        product_fill(&self.operands[0], &self.random);
        product_fill(&self.operands[1], &self.random);
        if (of->by->beta != 0.0) {
            product_fill(&self.operands[2], &self.random);
        }
        if (of->poke != NULL) {
            of->poke(&self);
        }
        self.whole = of->layout != LAYOUT_ORIGIN && of->batch != BATCH_WINDOW && of->batch != BATCH_RIGHT_ONE;
    }
    self.operands[2].is_result = true;
    case_end(run, &self);
}

/* Rows, columns, interior: empty, one, primes, tile ± 1, long and thin, beyond the cache blocks. */
static const size_t shapes[][3] = {
    {0, 5, 3},     {5, 0, 3},     {5, 3, 0},      {0, 0, 0},       {1, 1, 1},      {1, 1, 7},      {1, 17, 5},
    {17, 1, 5},    {2, 3, 4},     {5, 7, 11},     {13, 17, 19},    {16, 16, 16},   {31, 33, 29},   {32, 32, 32},
    {63, 65, 67},  {64, 64, 64},  {127, 129, 65}, {128, 128, 128}, {129, 127, 97}, {6, 16, 256},   {14, 32, 512},
    {7, 33, 2100}, {1, 1, 2100},  {1, 512, 300},  {512, 1, 300},   {3, 1000, 5},   {1000, 3, 5},   {97, 101, 103},
    {12, 48, 255}, {28, 64, 257}, {15, 31, 511},  {13, 31, 513},   {250, 260, 31}, {24, 96, 1030},
};

static const size_t tile_rows[] = {1, 2, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 24, 27, 28, 29};
static const size_t tile_columns[] = {1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65};
static const size_t tile_interiors[] = {1, 2, 3, 4, 5, 16, 17};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Every shape, with transposes, factors and layouts taken in turn, so that all pairs meet. */
static void run_shapes(suite *run, const product_types *types, size_t turn)
{
    for (size_t s = 0; s < COUNT(shapes); s++) {
        /* The larger shapes with one pair of transposes for each type, with all for f32. */
        const bool large = shapes[s][0] * shapes[s][1] * shapes[s][2] > LARGE_PRODUCTS && types != all_product_types;
        for (size_t transposes = 0; transposes < 4; transposes++, turn++) {
            recipe of = {
                .types = types, .rows = shapes[s][0], .columns = shapes[s][1], .interior = shapes[s][2], .special = ""};
            if (large && transposes != (s + (size_t)(types - all_product_types)) % 4) {
                continue;
            }
            of.transpose_left = (transposes & 1u) != 0;
            of.transpose_right = (transposes & 2u) != 0;
            of.by = &all_factors[(turn * 5 + s) % PRODUCT_FACTORS];
            of.layout = (operand_layout)((turn + s) % LAYOUT_COUNT);
            run_recipe(run, &of);
        }
    }
}

/* Rows and columns around every tile size; the interior in turn. */
static void run_tiles(suite *run, const product_types *types, size_t step)
{
    size_t turn = 0;
    for (size_t i = 0; i < COUNT(tile_rows); i++) {
        for (size_t j = 0; j < COUNT(tile_columns); j++, turn++) {
            if (turn % step != 0) {
                continue;
            }
            recipe of = {.types = types, .rows = tile_rows[i], .columns = tile_columns[j], .special = ""};
            of.interior = tile_interiors[turn / step % COUNT(tile_interiors)];
            of.by = &all_factors[turn / step % 2];
            of.layout = turn / step % 3 == 0 ? LAYOUT_EDGE : LAYOUT_PADDED;
            run_recipe(run, &of);
        }
    }
}

/* Every layout and kind of batch with every pair of transposes and all factors in turn. */
static void run_layouts(suite *run, const product_types *types)
{
    size_t turn = 0;
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        const bool batched = layout == LAYOUT_STACKED || layout == LAYOUT_SIDE;
        for (int batch = 0; batch < (batched ? BATCHINGS : 1); batch++) {
            for (size_t transposes = 0; transposes < 4; transposes++, turn++) {
                recipe of = {.types = types, .rows = 9, .columns = 35, .interior = 21, .special = ""};
                of.transpose_left = (transposes & 1u) != 0;
                of.transpose_right = (transposes & 2u) != 0;
                of.layout = (operand_layout)layout;
                of.batch = (batching)batch;
                of.by = &all_factors[turn % PRODUCT_FACTORS];
                run_recipe(run, &of);
            }
        }
    }
}

static void poke_nan_left(test_case *self)
{
    operand_set(&self->operands[0], 0, 3, 2, (double)NAN);
}

static void poke_nan_right(test_case *self)
{
    operand_set(&self->operands[1], 0, 1, 20, (double)NAN);
}

/* An infinity, and one that meets a zero. */
static void poke_infinity(test_case *self)
{
    operand_set(&self->operands[0], 0, 2, 4, (double)INFINITY);
    operand_set(&self->operands[0], 0, 5, 1, (double)-INFINITY);
    operand_set(&self->operands[1], 0, 4, 7, 0.0);
    operand_set(&self->operands[1], 0, 1, 9, 0.0);
}

/* Left of infinities of both signs: their sum is NaN. */
static void poke_opposite(test_case *self)
{
    operand_set(&self->operands[0], 0, 0, 0, (double)INFINITY);
    operand_set(&self->operands[0], 0, 0, 1, (double)INFINITY);
    operand_set(&self->operands[1], 0, 0, 0, 1.0);
    operand_set(&self->operands[1], 0, 1, 0, -1.0);
}

static void poke_old_nan(test_case *self)
{
    operand_set(&self->operands[2], 0, 4, 4, (double)NAN);
    operand_set(&self->operands[2], 0, 4, 5, (double)INFINITY);
}

/* Subnormal numbers of the type times small integers: kept, and exact. */
static void poke_subnormal(test_case *self)
{
    const double least = self->operands[0].dtype == ANYMPS_DTYPE_F16    ? 0x1p-24
                         : self->operands[0].dtype == ANYMPS_DTYPE_BF16 ? 0x1p-133
                                                                        : 0x1p-149;
    for (size_t i = 0; i < self->operands[0].rows; i++) {
        for (size_t k = 0; k < self->operands[0].columns; k++) {
            operand_set(&self->operands[0], 0, i, k, least * (double)(i + k));
        }
    }
    for (size_t k = 0; k < self->operands[1].rows; k++) {
        for (size_t j = 0; j < self->operands[1].columns; j++) {
            operand_set(&self->operands[1], 0, k, j, (double)((k + j) % 4));
        }
    }
}

typedef struct special {
    const char *name;
    size_t by; /* of all_factors */
    void (*poke)(test_case *self);
} special;

static void run_specials(suite *run, const product_types *types)
{
    static const special specials[] = {
        {"nanleft", 0, poke_nan_left},    {"nanright", 0, poke_nan_right}, {"nanalpha0", 5, poke_nan_left},
        {"infalpha0", 5, poke_infinity},  {"inf", 0, poke_infinity},       {"infbeta", 3, poke_infinity},
        {"opposite", 0, poke_opposite},   {"oldnan", 1, poke_old_nan},     {"oldnanalpha0", 4, poke_old_nan},
        {"subnormal", 0, poke_subnormal},
    };
    static const size_t sizes[][3] = {{7, 37, 9}, {33, 65, 40}, {6, 21, 6}};
    for (size_t i = 0; i < COUNT(specials); i++) {
        for (size_t s = 0; s < COUNT(sizes); s++) {
            const recipe of = {.types = types,
                               .rows = sizes[s][0],
                               .columns = sizes[s][1],
                               .interior = sizes[s][2],
                               .by = &all_factors[specials[i].by],
                               .special = specials[i].name,
                               .poke = specials[i].poke,
                               .layout = LAYOUT_PADDED};
            run_recipe(run, &of);
        }
    }
}

/* 128·128·140000 is beyond 2^31 and wraps in i32. For other factors the sum stays below it, times -1.25
   does not: that clamps. */
static void poke_wrap(test_case *self)
{
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < self->operands[0].columns; k++) {
            operand_set(&self->operands[0], 0, i, k, -128.0);
            operand_set(&self->operands[1], 0, k, 0, i == 0 ? -128.0 : 127.0);
        }
    }
    operand_set(&self->operands[1], 0, 0, 0, -128.0);
}

static void run_wrap(suite *run)
{
    for (size_t by = 0; by < 4; by++) {
        const recipe of = {.types = &all_product_types[7],
                           .rows = 2,
                           .columns = 3,
                           .interior = by < 2 ? 140000 : 120000,
                           .by = &all_factors[by],
                           .special = "wrap",
                           .poke = poke_wrap};
        run_recipe(run, &of);
    }
}

static void run_large(suite *run)
{
    static const size_t sizes[][3] = {
        {300, 300, 300}, {385, 257, 513}, {200, 50, 1031}, {65, 1100, 400}, {190, 190, 190}};
    for (size_t t = 0; t < PRODUCT_TYPES; t++) {
        for (size_t s = t == 0 ? 0 : 4; s < (t == 0 ? 4u : 5u); s++) {
            const recipe of = {.types = &all_product_types[t],
                               .rows = sizes[s][0],
                               .columns = sizes[s][1],
                               .interior = sizes[s][2],
                               .by = &all_factors[t % 2 == 0 ? 0 : 3],
                               .transpose_left = s % 2 == 1,
                               .transpose_right = (s + t) % 3 == 1,
                               .layout = LAYOUT_ORIGIN,
                               .special = ""};
            run_recipe(run, &of);
        }
    }
}

void conformance_matmul(suite *run)
{
    for (size_t t = 0; t < PRODUCT_TYPES; t++) {
        const product_types *const types = &all_product_types[t];
        run_shapes(run, types, t);
        run_tiles(run, types, t == 0 ? 1 : 3);
        run_layouts(run, types);
        if (number_is_float(types->operands)) {
            run_specials(run, types);
        }
    }
    run_wrap(run);
    run_large(run);
}
