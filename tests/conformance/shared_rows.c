/* SPDX-License-Identifier: Apache-2.0 */
/* shared_rows.c: see shared_rows.h. Called by the tests of operators that work row by row. */
#include "shared_rows.h"

#include <stdio.h>

const row_type all_row_types[ROW_TYPES] = {
    {"f32", ANYMPS_DTYPE_F32}, {"f16", ANYMPS_DTYPE_F16}, {"bf16", ANYMPS_DTYPE_BF16}};

const size_t all_row_shapes[ROW_SHAPES][2] = {
    {0, 5},   {5, 0},    {1, 1},    {1, 2},    {2, 3},    {3, 1},     {3, 4},     {2, 5},     {3, 7},      {1, 8},
    {2, 9},   {5, 15},   {4, 16},   {3, 17},   {2, 23},   {3, 24},    {1, 25},    {7, 31},    {2, 32},     {3, 33},
    {2, 47},  {3, 48},   {1, 49},   {3, 63},   {2, 64},   {3, 65},    {2, 127},   {3, 128},   {2, 129},    {2, 255},
    {3, 257}, {2, 1000}, {3, 1024}, {2, 2049}, {129, 67}, {2, 16384}, {1, 40000}, {1, 70001}, {1, 131080},
};

void row_name(const row_recipe *of, const char *tail, char *name, size_t size)
{
    (void)snprintf(name, size, "%s_%zux%zu_%s%s%s%s", of->type->name, of->rows, of->columns,
                   operand_layout_name(of->layout), of->in_place ? "_inplace" : "", of->open ? "_open" : "", tail);
}

bool row_lay_out(test_case *self, const row_recipe *of, size_t last, double low, double high)
{
    const bool batched = of->layout == LAYOUT_STACKED || of->layout == LAYOUT_SIDE;
    self->operand_count = last + 1;
    self->batch = batched ? ROW_BATCH : 1;
    self->whole = of->layout != LAYOUT_ORIGIN;
    if (batched && of->columns % 2 == 0) { /* a part of the batch */
        self->batch_start = 1;
        self->batch = 1 + of->rows % 2;
        self->whole = false;
    }
    if (!operand_init(&self->operands[0], of->type->dtype, of->rows, of->columns, ROW_BATCH, of->layout,
                      &self->random)) {
        return false;
    }
    operand_fill(&self->operands[0], low, high, &self->random);
    if (of->in_place) {
        self->in_place = 1;
        self->operands[0].is_result = true;
        return true;
    }
    operand *const result = &self->operands[last];
    const bool laid =
        operand_init(result, of->type->dtype, of->rows, of->columns, ROW_BATCH, of->layout, &self->random);
    result->is_result = true;
    return laid;
}

size_t row_result(const test_case *self)
{
    return self->in_place != 0 ? self->in_place - 1 : self->operand_count - 1;
}

void row_each(suite *run, void (*each)(suite *run, const row_recipe *of, size_t turn))
{
    size_t turn = 0;
    for (size_t t = 0; t < ROW_TYPES; t++) {
        for (size_t s = 0; s < ROW_SHAPES; s++) {
            for (size_t again = 0; again < 4; again++, turn++) {
                row_recipe of = {
                    .type = &all_row_types[t], .rows = all_row_shapes[s][0], .columns = all_row_shapes[s][1]};
                of.layout = (operand_layout)((turn * 5 + s + t) % LAYOUT_COUNT);
                of.in_place = again % 2 == 1;
                /* What the source's origin leaves is larger than the case where the source is larger. */
                of.open = again >= 2 && of.layout != LAYOUT_ORIGIN;
                each(run, &of, turn);
            }
        }
    }
}
