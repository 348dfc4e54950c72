/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values.c: elements as doubles and back. Called by operands.c, oracle.c, cases.c and cmd_demo.c.
 *
 * The conversions are written for every binary format alike, from its numbers of bits, and share nothing
 * with the library's own: they are part of the oracle.
 */
#include "values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ---- Formats ---------------------------------------------------------------------------------- */

/* A binary interchange format of at most 32 bits: 1 sign, exponent, fraction. */
typedef struct float_format {
    int fraction_bits;
    int exponent_bits;
} float_format;

static bool format_of(anymps_dtype dtype, float_format *format)
{
    switch (dtype) {
    case ANYMPS_DTYPE_F16: *format = (float_format){10, 5}; return true;
    case ANYMPS_DTYPE_BF16: *format = (float_format){7, 8}; return true;
    case ANYMPS_DTYPE_F32: *format = (float_format){23, 8}; return true;
    default: return false;
    }
}

static int bias_of(float_format format)
{
    return (1 << (format.exponent_bits - 1)) - 1;
}

/* 2^exponent for an exponent that double has; ldexp is several times slower. */
static double power_of_two(int exponent)
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* The distance between neighbours at `value`, as an exponent; of subnormals below the smallest normal. */
static int spacing_exponent(float_format format, double value)
{
    int lowest = 1 - bias_of(format);
    int exponent = value == 0 ? lowest : ilogb(value);
    return (exponent < lowest ? lowest : exponent) - format.fraction_bits;
}

static double spacing(float_format format, double value)
{
    return power_of_two(spacing_exponent(format, value));
}

static double largest_finite(float_format format)
{
    return (2.0 - power_of_two(-format.fraction_bits)) * power_of_two(bias_of(format));
}

static double round_to_format(float_format format, double value)
{
    if (value == 0 || !isfinite(value)) {
        return value;
    }
    int step = spacing_exponent(format, value);
    double rounded = nearbyint(value * power_of_two(-step)) * power_of_two(step);
    return fabs(rounded) > largest_finite(format) ? copysign((double)INFINITY, value) : rounded;
}

static uint32_t encode(float_format format, double value)
{
    uint32_t sign = signbit(value) ? 1u << (format.fraction_bits + format.exponent_bits) : 0u;
    uint32_t all_ones = ((1u << format.exponent_bits) - 1u) << format.fraction_bits;
    double rounded = fabs(round_to_format(format, value));
    if (isnan(value)) {
        return sign | all_ones | 1u << (format.fraction_bits - 1);
    }
    if (isinf(rounded)) {
        return sign | all_ones;
    }
    double fraction = rounded / spacing(format, rounded); /* whole */
    uint32_t bits = (uint32_t)fraction;
    if (bits >> format.fraction_bits != 0) { /* normal: the leading one becomes the exponent's */
        int exponent = ilogb(rounded) + bias_of(format);
        bits += (uint32_t)(exponent - 1) << format.fraction_bits;
    }
    return sign | bits;
}

static double decode(float_format format, uint32_t bits)
{
    uint32_t fraction = bits & ((1u << format.fraction_bits) - 1u);
    uint32_t all_ones = (1u << format.exponent_bits) - 1u;
    uint32_t exponent = bits >> format.fraction_bits & all_ones;
    bool negative = (bits >> (format.fraction_bits + format.exponent_bits) & 1u) != 0;
    double value;
    if (exponent == all_ones) {
        value = fraction != 0 ? (double)NAN : (double)INFINITY;
    } else if (exponent == 0) {
        value = (double)fraction * power_of_two(1 - bias_of(format) - format.fraction_bits);
    } else {
        value = (double)(fraction | 1u << format.fraction_bits) *
                power_of_two((int)exponent - bias_of(format) - format.fraction_bits);
    }
    return negative ? -value : value;
}

/* ---- Elements --------------------------------------------------------------------------------- */

/* A whole number of 1 to 8 bytes, two's complement, little-endian hosts as everywhere in the library. */
static double get_whole(anymps_dtype dtype, const void *element)
{
    size_t bits = anymps_dtype_bits(dtype);
    bool is_signed = ((uint32_t)dtype & 0x20000000u) != 0;
    uint64_t read = 0;
    memcpy(&read, element, bits / 8);
    if (is_signed && (read >> (bits - 1) & 1u) != 0) {
        return -(double)(~read + 1 + (bits < 64 ? (uint64_t)1 << bits : 0)); /* 2^bits - read */
    }
    return (double)read;
}

double value_get(anymps_dtype dtype, const void *element)
{
    float_format format;
    float single;
    double value;
    uint16_t half;
    switch (dtype) {
    case ANYMPS_DTYPE_F32: memcpy(&single, element, sizeof single); return (double)single;
    case ANYMPS_DTYPE_F64: memcpy(&value, element, sizeof value); return value;
    case ANYMPS_DTYPE_F16:
    case ANYMPS_DTYPE_BF16:
        memcpy(&half, element, sizeof half);
        return format_of(dtype, &format) ? decode(format, half) : 0;
    case ANYMPS_DTYPE_INVALID:
    case ANYMPS_DTYPE_FORCE32: return 0;
    default: return get_whole(dtype, element);
    }
}

/* Whole numbers of up to 32 bits. */
static void put_whole(anymps_dtype dtype, void *element, double value)
{
    int bits = (int)anymps_dtype_bits(dtype);
    bool is_signed = ((uint32_t)dtype & 0x20000000u) != 0;
    double low = is_signed ? -ldexp(1.0, bits - 1) : 0;
    double high = ldexp(1.0, is_signed ? bits - 1 : bits) - 1;
    double whole = isnan(value) ? 0 : nearbyint(value);
    int64_t clamped = (int64_t)(whole < low ? low : whole > high ? high : whole);
    memcpy(element, &clamped, anymps_dtype_bytes(dtype));
}

void value_put(anymps_dtype dtype, void *element, double value)
{
    float_format format;
    if (dtype == ANYMPS_DTYPE_F64) {
        memcpy(element, &value, sizeof value);
    } else if (dtype == ANYMPS_DTYPE_F32) {
        float single = (float)value;
        memcpy(element, &single, sizeof single);
    } else if (format_of(dtype, &format)) {
        uint32_t bits = encode(format, value);
        memcpy(element, &bits, anymps_dtype_bytes(dtype));
    } else {
        put_whole(dtype, element, value);
    }
}

double value_round(anymps_dtype dtype, double value)
{
    float_format format;
    if (dtype == ANYMPS_DTYPE_F32) {
        return (double)(float)value;
    }
    return format_of(dtype, &format) ? round_to_format(format, value) : value;
}

double value_half_ulp(anymps_dtype dtype, double value)
{
    float_format format;
    return format_of(dtype, &format) && isfinite(value) ? spacing(format, value) / 2 : 0;
}

/* ---- Dense ------------------------------------------------------------------------------------ */

void dense_free(dense *d)
{
    free(d->values);
    d->values = NULL;
}

/* The bytes of a resolved view from its first element to its last, copied from the device. */
static unsigned char *read_bytes(const anymps_buffer *buffer, size_t offset, size_t needed)
{
    unsigned char *bytes = cli_allocate(needed, 1);
    if (bytes != NULL && anymps_buffer_read(buffer, offset, bytes, needed) != ANYMPS_OK) {
        cli_library_error("reading an operand");
        free(bytes);
        return NULL;
    }
    return bytes;
}

bool dense_read_matrix(const anymps_matrix *matrix, bool transpose, dense *out)
{
    anymps_matrix_desc desc = anymps_matrix_get_desc(matrix);
    size_t needed = 0, element = anymps_dtype_bytes(desc.dtype);
    if (anymps_matrix_desc_resolve(&desc, &needed) != ANYMPS_OK) {
        cli_library_error("reading an operand");
        return false;
    }
    dense d = {transpose ? desc.columns : desc.rows, transpose ? desc.rows : desc.columns, desc.matrices, NULL};
    unsigned char *bytes = read_bytes(anymps_matrix_buffer(matrix), anymps_matrix_offset_bytes(matrix), needed);
    d.values = bytes != NULL ? cli_allocate(d.matrices * d.rows * d.columns, sizeof(double)) : NULL;
    if (d.values == NULL) {
        free(bytes);
        return false;
    }
    double *to = d.values;
    for (size_t k = 0; k < d.matrices; k++) {
        for (size_t i = 0; i < d.rows; i++) {
            for (size_t j = 0; j < d.columns; j++) {
                size_t row = transpose ? j : i, column = transpose ? i : j;
                *to++ = value_get(desc.dtype, bytes + k * desc.matrix_bytes + row * desc.row_bytes + column * element);
            }
        }
    }
    free(bytes);
    *out = d;
    return true;
}

bool dense_read_vector(const anymps_vector *vector, dense *out)
{
    anymps_vector_desc desc = anymps_vector_get_desc(vector);
    size_t needed = 0, element = anymps_dtype_bytes(desc.dtype);
    if (anymps_vector_desc_resolve(&desc, &needed) != ANYMPS_OK) {
        cli_library_error("reading an operand");
        return false;
    }
    dense d = {1, desc.length, desc.vectors, NULL};
    unsigned char *bytes = read_bytes(anymps_vector_buffer(vector), anymps_vector_offset_bytes(vector), needed);
    d.values = bytes != NULL ? cli_allocate(d.matrices * d.columns, sizeof(double)) : NULL;
    if (d.values == NULL) {
        free(bytes);
        return false;
    }
    for (size_t k = 0; k < d.matrices; k++) {
        for (size_t j = 0; j < d.columns; j++) {
            d.values[k * d.columns + j] = value_get(desc.dtype, bytes + k * desc.vector_bytes + j * element);
        }
    }
    free(bytes);
    *out = d;
    return true;
}

static bool write_bytes(anymps_buffer *buffer, size_t offset, unsigned char *bytes, size_t length)
{
    anymps_status status = anymps_buffer_write(buffer, offset, bytes, length);
    if (status != ANYMPS_OK) {
        cli_library_error("writing an operand");
    }
    return status == ANYMPS_OK;
}

/* Row by row, so that padding keeps its bytes. */
bool dense_write_matrix(const dense *d, anymps_matrix *matrix)
{
    anymps_matrix_desc desc = anymps_matrix_get_desc(matrix);
    size_t element = anymps_dtype_bytes(desc.dtype), offset = anymps_matrix_offset_bytes(matrix);
    unsigned char *row = cli_allocate(d->columns, element);
    bool good = row != NULL;
    for (size_t at = 0; good && at < d->matrices * d->rows; at++) {
        for (size_t j = 0; j < d->columns; j++) {
            value_put(desc.dtype, row + j * element, d->values[at * d->columns + j]);
        }
        good = write_bytes(anymps_matrix_buffer(matrix),
                           offset + at / d->rows * desc.matrix_bytes + at % d->rows * desc.row_bytes, row,
                           d->columns * element);
    }
    free(row);
    return good;
}

bool dense_write_vector(const dense *d, anymps_vector *vector)
{
    anymps_vector_desc desc = anymps_vector_get_desc(vector);
    size_t element = anymps_dtype_bytes(desc.dtype), offset = anymps_vector_offset_bytes(vector);
    unsigned char *bytes = cli_allocate(d->columns, element);
    bool good = bytes != NULL;
    for (size_t k = 0; good && k < d->matrices; k++) {
        for (size_t j = 0; j < d->columns; j++) {
            value_put(desc.dtype, bytes + j * element, d->values[k * d->columns + j]);
        }
        good = write_bytes(anymps_vector_buffer(vector), offset + k * desc.vector_bytes, bytes, d->columns * element);
    }
    free(bytes);
    return good;
}

/* ---- Random ----------------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014): every seed is good and the state is one number. */
static double next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

static bool random_dense(dense *d, size_t rows, size_t columns, size_t matrices, uint64_t seed, double low, double high)
{
    size_t count = rows * columns * matrices;
    *d = (dense){rows, columns, matrices, cli_allocate(count, sizeof(double))};
    for (size_t i = 0; d->values != NULL && i < count; i++) {
        d->values[i] = low + (high - low) * next_random(&seed);
    }
    return d->values != NULL;
}

anymps_matrix *random_matrix(anymps_device *device, const anymps_matrix_desc *desc, uint64_t seed, double low,
                             double high)
{
    anymps_matrix *matrix = NULL;
    dense d = {0};
    if (anymps_matrix_create_on(device, desc, &matrix) != ANYMPS_OK) {
        cli_library_error("making an operand");
        return NULL;
    }
    size_t matrices = desc->matrices == 0 ? 1 : desc->matrices;
    if (!random_dense(&d, desc->rows, desc->columns, matrices, seed, low, high) || !dense_write_matrix(&d, matrix)) {
        anymps_matrix_release(matrix);
        matrix = NULL;
    }
    dense_free(&d);
    return matrix;
}

anymps_vector *random_vector(anymps_device *device, size_t length, anymps_dtype dtype, uint64_t seed, double low,
                             double high)
{
    anymps_vector_desc desc = anymps_vector_desc_make(length, dtype);
    anymps_vector *vector = NULL;
    dense d = {0};
    if (anymps_vector_create_on(device, &desc, &vector) != ANYMPS_OK) {
        cli_library_error("making an operand");
        return NULL;
    }
    if (!random_dense(&d, 1, length, 1, seed, low, high) || !dense_write_vector(&d, vector)) {
        anymps_vector_release(vector);
        vector = NULL;
    }
    dense_free(&d);
    return vector;
}
