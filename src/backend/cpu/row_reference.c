/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_reference.c: the row microkernels as plain loops over libm, in double and rounded once at the end.
 * What a device without vector microkernels runs, and what the others are compared with. Reached through
 * amps_row_ukr_reference; knows no operand, no thread.
 */
#include "backend/cpu/convert.h"
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

static void f16_to_f32(const void *x, float *y, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        y[j] = amps_load_f32((const unsigned char *)x + 2 * j, ANYMPS_DTYPE_F16);
    }
}

static void bf16_to_f32(const void *x, float *y, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        y[j] = amps_load_f32((const unsigned char *)x + 2 * j, ANYMPS_DTYPE_BF16);
    }
}

static void f32_to_f16(const float *x, void *y, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        amps_store_f32((unsigned char *)y + 2 * j, ANYMPS_DTYPE_F16, x[j]);
    }
}

static void f32_to_bf16(const float *x, void *y, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        amps_store_f32((unsigned char *)y + 2 * j, ANYMPS_DTYPE_BF16, x[j]);
    }
}

static anymps_dtype dtype_of(amps_row_type type)
{
    return type == AMPS_ROW_F32 ? ANYMPS_DTYPE_F32 : type == AMPS_ROW_F16 ? ANYMPS_DTYPE_F16 : ANYMPS_DTYPE_BF16;
}

/* Element j of x, of any type. */
static double element(const amps_row *row, const void *x, size_t j)
{
    const anymps_dtype dtype = dtype_of(row->type);
    return (double)amps_load_f32((const unsigned char *)x + j * anymps_dtype_bytes(dtype), dtype);
}

static void put(const amps_row *row, size_t j, double value)
{
    const anymps_dtype dtype = dtype_of(row->type);
    amps_store_f32((unsigned char *)row->y + j * anymps_dtype_bytes(dtype), dtype, (float)value);
}

static void add(const amps_row *row, const void *z)
{
    for (size_t j = 0; j < row->n; j++) {
        put(row, j, (double)((float)element(row, row->x, j) + (float)element(row, z, j)));
    }
}

static void exponential(const float *x, float *y, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        y[j] = (float)exp((double)x[j]);
    }
}

/* The row's largest scale*x. A NaN in the row poisons the sum later, so it need not be seen here; a row
   of only -inf gives -inf and then NaN, as the formula does. */
static double row_maximum(const amps_row *row, double scale)
{
    double maximum = -(double)INFINITY;
    for (size_t j = 0; j < row->n; j++) {
        const double value = scale * element(row, row->x, j);
        maximum = value > maximum ? value : maximum;
    }
    return maximum;
}

static double exponential_sum(const amps_row *row, double scale, double maximum)
{
    double sum = 0;
    for (size_t j = 0; j < row->n; j++) {
        sum += exp(scale * element(row, row->x, j) - maximum);
    }
    return sum;
}

static void softmax_row(const amps_row *row, double scale)
{
    const double maximum = row_maximum(row, scale);
    const double sum = exponential_sum(row, scale, maximum);
    for (size_t j = 0; j < row->n; j++) {
        put(row, j, exp(scale * element(row, row->x, j) - maximum) / sum);
    }
}

static void log_softmax_row(const amps_row *row, double scale)
{
    const double maximum = row_maximum(row, scale);
    const double logarithm = log(exponential_sum(row, scale, maximum));
    for (size_t j = 0; j < row->n; j++) {
        put(row, j, scale * element(row, row->x, j) - maximum - logarithm);
    }
}

static void all_rows(const amps_row *first, double scale, void (*function)(const amps_row *row, double scale))
{
    amps_row row = *first;
    for (size_t i = 0; i <= first->more; i++) {
        function(&row, scale);
        row.x = (const unsigned char *)row.x + row.x_row_bytes;
        row.y = (unsigned char *)row.y + row.y_row_bytes;
    }
}

static void softmax(const amps_row *row, double scale)
{
    all_rows(row, scale, softmax_row);
}

static void log_softmax(const amps_row *row, double scale)
{
    all_rows(row, scale, log_softmax_row);
}

/* y = (x - mean) * factor * weight + bias */
static void normalise(const amps_row *row, const float *weight, const float *bias, double mean, double factor)
{
    for (size_t j = 0; j < row->n; j++) {
        const double normalized = (element(row, row->x, j) - mean) * factor;
        const double weighted = weight != NULL ? normalized * (double)weight[j] : normalized;
        put(row, j, bias != NULL ? weighted + (double)bias[j] : weighted);
    }
}

static double mean_square(const amps_row *row, double mean)
{
    double sum = 0;
    for (size_t j = 0; j < row->n; j++) {
        const double difference = element(row, row->x, j) - mean;
        sum += difference * difference;
    }
    return sum / (double)row->n;
}

static void rms_norm(const amps_row *row, const float *weight, const float *bias, double epsilon)
{
    normalise(row, weight, bias, 0, 1 / sqrt(mean_square(row, 0) + epsilon));
}

static void layer_norm(const amps_row *row, const float *weight, const float *bias, double epsilon)
{
    double sum = 0;
    for (size_t j = 0; j < row->n; j++) {
        sum += element(row, row->x, j);
    }
    const double mean = sum / (double)row->n;
    normalise(row, weight, bias, mean, 1 / sqrt(mean_square(row, mean) + epsilon));
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* x >= 0 ? x : slope*x; NaN stays NaN through either branch. */
static double leaky(double x, double slope)
{
    return x >= 0 ? x : slope * x;
}

/* ln(1 + exp(x)) without overflow. */
static double soft_plus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/* min and max that let NaN through. */
static double at_least(double x, double low)
{
    return x < low ? low : x;
}

static double at_most(double x, double high)
{
    return x > high ? high : x;
}

static double gelu_tanh(double x)
{
    const double root = 0.7978845608028653559; /* sqrt(2/pi) */
    return x * sigmoid(2 * root * (x + 0.044715 * x * x * x));
}

/* One value; `slope` is PRELU's of this column. Where the formula gives NaN at an infinity (0*inf), so does
   this. */
static double neuron_of(const amps_neuron_params *p, double x, double slope)
{
    const double a = (double)p->a;
    const double b = (double)p->b;
    const double c = (double)p->c;
    switch (p->type) {
    case AMPS_UKR_RELU: return leaky(x, a);
    case AMPS_UKR_LINEAR: return a * x + b;
    case AMPS_UKR_SIGMOID: return sigmoid(x);
    case AMPS_UKR_HARD_SIGMOID: return at_most(at_least(a * x + b, 0), 1);
    case AMPS_UKR_TANH: return a * tanh(b * x);
    case AMPS_UKR_ABSOLUTE: return fabs(x);
    case AMPS_UKR_SOFT_PLUS: return a * soft_plus(b * x);
    case AMPS_UKR_SOFT_SIGN: return x / (1 + fabs(x));
    case AMPS_UKR_ELU: return x >= 0 ? x : a * expm1(x);
    case AMPS_UKR_PRELU: return leaky(x, slope);
    case AMPS_UKR_RELUN: return at_most(leaky(x, a), b);
    case AMPS_UKR_POWER: return pow(a * x + b, c);
    case AMPS_UKR_EXPONENTIAL: return pow(c, a * x + b);
    case AMPS_UKR_LOGARITHM: return log(a * x + b) / log(c);
    case AMPS_UKR_GELU: return x * (erfc(-x * 0.70710678118654752440) / 2);
    case AMPS_UKR_GELU_TANH: return gelu_tanh(x);
    case AMPS_UKR_SILU: return x * sigmoid(x);
    case AMPS_UKR_NONE:
    case AMPS_UKR_NEURON_COUNT: break;
    }
    return x;
}

static double neuron_at(const amps_neuron_params *params, double x, const float *bias, const float *prelu, size_t j)
{
    const double scaled = (double)params->alpha * x;
    const double argument = bias != NULL ? scaled + (double)bias[j] : scaled;
    return neuron_of(params, argument, prelu != NULL ? (double)prelu[j] : 0);
}

static void neuron(const amps_neuron_params *params, const float *x, const float *bias, const float *prelu, float *y,
                   size_t n)
{
    for (size_t j = 0; j < n; j++) {
        y[j] = (float)neuron_at(params, (double)x[j], bias, prelu, j);
    }
}

static void neuron_row(const amps_neuron_params *params, const amps_row *row, const float *bias, const float *prelu)
{
    for (size_t j = 0; j < row->n; j++) {
        put(row, j, neuron_at(params, element(row, row->x, j), bias, prelu, j));
    }
}

static double half_at(const unsigned char *b, size_t j, amps_row_type type)
{
    int16_t whole;
    memcpy(&whole, b + 2 * j, sizeof whole);
    return type == AMPS_ROW_I16 ? (double)whole : (double)amps_load_f32(b + 2 * j, dtype_of(type));
}

static void dot16(const amps_dot16 *d)
{
    for (size_t i = 0; i < d->rows; i++) {
        for (size_t j = 0; j < d->lines; j++) {
            double sum = 0;
            for (size_t k = 0; k < d->interior; k++) {
                sum += (double)d->a[i * d->a_row + k] * half_at(d->b + j * d->b_line_bytes, k, d->type);
            }
            d->c[i * d->c_row + j * d->c_line] = (float)sum;
        }
    }
}

static uint32_t product8(int8_t a, unsigned char b)
{
    return (uint32_t)((int32_t)a * (int32_t)(int8_t)b);
}

static void dot8(const amps_dot8 *d)
{
    for (size_t j = 0; j < d->lines; j++) {
        uint32_t sum = 0;
        for (size_t k = 0; k < d->interior; k++) {
            sum += product8(d->a[k], d->b[j * d->b_line_bytes + k]);
        }
        d->c[j] = (int32_t)sum;
    }
}

static void row8(const amps_row8 *r)
{
    for (size_t j = 0; j < r->columns; j++) {
        uint32_t sum = 0;
        for (size_t k = 0; k < r->interior; k++) {
            sum += product8(r->a[k], r->b[k * r->b_line_bytes + j]);
        }
        r->c[j] = (int32_t)sum;
    }
}

static void row16(const amps_row16 *r)
{
    for (size_t i = 0; i < r->rows; i++) {
        float *const c = r->c + i * r->c_row;
        for (size_t k = 0; k < r->interior; k++) {
            for (size_t j = 0; j < r->columns; j++) {
                const double b = half_at(r->b + k * r->b_line_bytes, j, r->type);
                c[j] += (float)((double)r->a[i * r->a_row + k] * b);
            }
        }
    }
}

static void fence(void) {}

const amps_row_ukr amps_row_ukr_reference = {
    .name = "reference",
    .f16_to_f32 = f16_to_f32,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .f32_to_bf16 = f32_to_bf16,
    .exponential = exponential,
    .add = add,
    .softmax = softmax,
    .log_softmax = log_softmax,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .neuron_row = neuron_row,
    .neuron = neuron,
    .dot16 = dot16,
    .row16 = row16,
    .dot8 = dot8,
    .row8 = row8,
    .fence = fence,
};
