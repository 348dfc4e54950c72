/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values.h: elements of matrices and vectors as doubles on the host, and back.
 *
 * Used by operands.c, oracle.c, cases.c and the demo. Everything goes through anymps_buffer_read and
 * _write, so that it works on every device.
 */
#ifndef VALUES_H
#define VALUES_H

#include <anymps/anymps.h>

/* One element as a double, exactly; 0 for a type that is none. */
double value_get(anymps_dtype dtype, const void *element);

/* Rounds to nearest even and stores; beyond the type floats become infinity, integers are clamped. */
void value_put(anymps_dtype dtype, void *element, double value);

/* `value` rounded to the type, as a double. */
double value_round(anymps_dtype dtype, double value);

/* Half a unit in the last place of `dtype` at `value`: the error of one rounding. 0 for integers. */
double value_half_ulp(anymps_dtype dtype, double value);

/* Matrices in double, tight, row-major; a vector has 1 row. Element (i, j) of matrix k is at
   (k * rows + i) * columns + j. */
typedef struct dense {
    size_t rows, columns, matrices;
    double *values; /* owned; dense_free */
} dense;

/* Reads a matrix (its transpose if asked) or a vector. False, with the error line printed, on failure. */
bool dense_read_matrix(const anymps_matrix *matrix, bool transpose, dense *out);
bool dense_read_vector(const anymps_vector *vector, dense *out);
void dense_free(dense *d);

/* Stores the values, rounded to its type, in a matrix or vector of the very same shape. */
bool dense_write_matrix(const dense *d, anymps_matrix *matrix);
bool dense_write_vector(const dense *d, anymps_vector *vector);

/* A matrix or vector of random numbers in [low, high), the same for the same seed; whole numbers for
   integer types. NULL, with the error line printed, on failure. */
anymps_matrix *random_matrix(anymps_device *device, const anymps_matrix_desc *desc, uint64_t seed, double low,
                             double high);
anymps_vector *random_vector(anymps_device *device, size_t length, anymps_dtype dtype, uint64_t seed, double low,
                             double high);

#endif /* VALUES_H */
