/* SPDX-License-Identifier: Apache-2.0 */
/* shared_product.h: sums of products in double, for the oracles of matmul, matrix_vector, fully_connected
   and lora. */
#ifndef TEST_SHARED_PRODUCT_H
#define TEST_SHARED_PRODUCT_H

#include "conformance.h"

/* Matrix `b` of an operand as it was before, or its transpose, as dense doubles, row by row. Freed by the
   caller; NULL if memory is short. */
double *dense_of(const operand *from, size_t b, bool transpose);

/* A sum of products and the sum of their absolute values. */
typedef struct product {
    double sum;
    double magnitude;
} product;

product product_of(const double *left, const double *right, size_t terms);

/* The combinations of element types that matmul and matrix_vector take. */
typedef struct product_types {
    const char *name;
    anymps_dtype operands;
    anymps_dtype result;
} product_types;

enum { PRODUCT_TYPES = 9 };
extern const product_types all_product_types[PRODUCT_TYPES];

/* alpha and beta with the words of the case names. */
typedef struct factors {
    const char *name;
    double alpha, beta;
} factors;

enum { PRODUCT_FACTORS = 7 };
extern const factors all_factors[PRODUCT_FACTORS];

/* Fills an operand with values that suit its type: floats in [-1, 1), integers over their whole range. */
void product_fill(operand *one, seeded *random);

/* Compares a result element: alpha * sum + beta * old, within the bound of matmul. */
void product_expect(test_case *self, size_t operand_index, size_t b, size_t i, size_t j, product p, size_t terms,
                    double alpha, double beta);

#endif /* TEST_SHARED_PRODUCT_H */
