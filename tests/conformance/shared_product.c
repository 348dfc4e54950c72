/* SPDX-License-Identifier: Apache-2.0 */
/* shared_product.c: see shared_product.h. Called by test_matmul.c and the tests of its relatives. */
#include "shared_product.h"

#include <math.h>
#include <stdlib.h>

const product_types all_product_types[PRODUCT_TYPES] = {
    {"f32", ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32},       {"f16", ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16},
    {"f16_f32", ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32},   {"bf16", ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16},
    {"bf16_f32", ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F32}, {"i8_f32", ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F32},
    {"i8_f16", ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F16},     {"i8_i32", ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I32},
    {"i16_f32", ANYMPS_DTYPE_I16, ANYMPS_DTYPE_F32},
};

/* Only alpha 0.3 is not exact in f32, so that its conversion is tested too. */
const factors all_factors[PRODUCT_FACTORS] = {
    {"", 1.0, 0.0},
    {"_beta1", 1.0, 1.0},
    {"_alpha0.5", 0.5, 0.0},
    {"_alpha-1.25_beta0.75", -1.25, 0.75},
    {"_alpha0_beta2", 0.0, 2.0},
    {"_alpha0", 0.0, 0.0},
    {"_alpha0.3_beta-1", 0.3, -1.0},
};

double *dense_of(const operand *from, size_t b, bool transpose)
{
    const size_t rows = from->rows;
    const size_t columns = from->columns;
    double *dense = malloc((rows * columns + 1) * sizeof *dense);
    for (size_t i = 0; dense != NULL && i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            dense[transpose ? j * rows + i : i * columns + j] = operand_before(from, b, i, j);
        }
    }
    return dense;
}

product product_of(const double *left, const double *right, size_t terms)
{
    product p = {0.0, 0.0};
    for (size_t k = 0; k < terms; k++) {
        const double one = left[k] * right[k];
        p.sum += one;
        p.magnitude += fabs(one);
    }
    return p;
}

void product_fill(operand *one, seeded *random)
{
    switch ((int)one->dtype) {
    case ANYMPS_DTYPE_I8: operand_fill(one, -128.5, 127.5, random); break;
    case ANYMPS_DTYPE_I16: operand_fill(one, -32768.5, 32767.5, random); break;
    case ANYMPS_DTYPE_I32: operand_fill(one, -2000.0, 2000.0, random); break;
    default: operand_fill(one, -1.0, 1.0, random); break;
    }
}

/* i8 → i32: the sum modulo 2^32 for plain factors, else double, to nearest even, clamped. */
static double integer_result(double sum, double alpha, double beta, double old)
{
    if (alpha == 1.0 && (beta == 0.0 || beta == 1.0)) {
        const double whole = sum + beta * old; /* exact: far below 2^53 */
        const double wrapped = fmod(whole, 0x1p32);
        return wrapped >= 0x1p31 ? wrapped - 0x1p32 : wrapped < -0x1p31 ? wrapped + 0x1p32 : wrapped;
    }
    return number_round(ANYMPS_DTYPE_I32, alpha * sum + beta * old);
}

void product_expect(test_case *self, size_t operand_index, size_t b, size_t i, size_t j, product p, size_t terms,
                    double alpha, double beta)
{
    const operand *const result = &self->operands[operand_index];
    const double old = beta == 0.0 ? 0.0 : operand_before(result, b, i, j);
    if (result->dtype == ANYMPS_DTYPE_I32) {
        case_expect(self, operand_index, b, i, j, integer_result(p.sum, alpha, beta, old), 0.0);
        return;
    }
    /* alpha and beta act in f32. With beta its product and one more sum are rounded. */
    const double factor = (double)(float)alpha;
    const double rest = beta == 0.0 ? 0.0 : (double)(float)beta * old;
    const double magnitude = fabs(factor) * p.magnitude;
    const double last_sum = 2.0 * UNIT * fabs(rest);
    case_expect(self, operand_index, b, i, j, factor * p.sum + rest, bound_of_sum(terms, magnitude) + last_sum);
}
