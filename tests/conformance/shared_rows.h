/* SPDX-License-Identifier: Apache-2.0 */
/* shared_rows.h: shapes and types of the operators that work row by row (neuron, softmax, norms). */
#ifndef TEST_SHARED_ROWS_H
#define TEST_SHARED_ROWS_H

#include "conformance.h"

enum { ROW_TYPES = 3, ROW_SHAPES = 39 };

typedef struct row_type {
    const char *name;
    anymps_dtype dtype;
} row_type;

extern const row_type all_row_types[ROW_TYPES];
extern const size_t all_row_shapes[ROW_SHAPES][2]; /* rows, columns */

/* One case of such an operator. `in_place`: the result is the source's view. */
typedef struct row_recipe {
    const row_type *type;
    size_t rows, columns;
    operand_layout layout;
    bool in_place;
    bool open; /* the descriptor leaves rows and columns to the source */
} row_recipe;

enum { ROW_BATCH = 3 };

/* "f32_17x5_pad_inplace", followed by `tail`. */
void row_name(const row_recipe *of, const char *tail, char *name, size_t size);

/* Lays source (operand 0, filled with [low, high)) and result (operand `last`, unless in place) out and
   sets batch, in_place and whole. False if memory is short. */
bool row_lay_out(test_case *self, const row_recipe *of, size_t last, double low, double high);

/* The operand that holds the result. */
size_t row_result(const test_case *self);

/* Runs `each` over all types, shapes, layouts and in-place forms, the layouts in turn. */
void row_each(suite *run, void (*each)(suite *run, const row_recipe *of, size_t turn));

#endif /* TEST_SHARED_ROWS_H */
