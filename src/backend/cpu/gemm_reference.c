/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_reference.c: the plain loops of gemm.h: every type, every stride, one element of C at a time. The
 * fallback for whatever has no microkernel, and what microkernels are compared with. One row of C is one
 * task of the pool.
 */
#include "backend/cpu/convert.h"
#include "backend/cpu/gemm.h"

#include <math.h>

/* sum over k of A[i][k]*B[k][j] in f32, in order of k. */
static float dot_float(const amps_gemm_args *args, const unsigned char *a, const unsigned char *b)
{
    float sum = 0;
    for (size_t k = 0; k < args->k; k++) {
        sum += amps_load_f32(a, args->a_dtype) * amps_load_f32(b, args->b_dtype);
        a += args->a_column_bytes;
        b += args->b_row_bytes;
    }
    return sum;
}

static int32_t load_integer(const unsigned char *at, anymps_dtype dtype)
{
    if (dtype == ANYMPS_DTYPE_I8) {
        return *(const int8_t *)at;
    }
    int16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The same of integers, exact: 2^33 products of two i16 fit. */
static int64_t dot_integer(const amps_gemm_args *args, const unsigned char *a, const unsigned char *b)
{
    int64_t sum = 0;
    for (size_t k = 0; k < args->k; k++) {
        sum += (int64_t)load_integer(a, args->a_dtype) * load_integer(b, args->b_dtype);
        a += args->a_column_bytes;
        b += args->b_row_bytes;
    }
    return sum;
}

/* To nearest even, clamped; NaN gives 0. */
static int32_t round_to_i32(double value)
{
    const double rounded = nearbyint(value);
    if (rounded >= 2147483647.0) {
        return INT32_MAX;
    }
    if (rounded <= -2147483648.0) {
        return INT32_MIN;
    }
    return rounded == rounded ? (int32_t)rounded : 0;
}

/* i8→i32: exact modulo 2^32 for alpha 1 and beta 0 or 1, else in double. */
static void element_i32(const amps_gemm_args *args, const unsigned char *a, const unsigned char *b, unsigned char *c)
{
    const uint32_t sum = (uint32_t)dot_integer(args, a, b);
    int32_t old = 0;
    if (args->beta != 0) {
        memcpy(&old, c, sizeof old);
    }
    int32_t result;
    if (args->alpha == 1 && (args->beta == 0 || args->beta == 1)) {
        result = (int32_t)(sum + (uint32_t)old);
    } else {
        result = round_to_i32(args->alpha * (double)(int32_t)sum + args->beta * (double)old);
    }
    memcpy(c, &result, sizeof result);
}

/* The value of element j of a row of the epilogue's vector, or 0. */
static float vector_element(const void *vector, size_t batch_bytes, const amps_gemm_args *args, size_t batch, size_t j)
{
    if (vector == NULL) {
        return 0;
    }
    const size_t at = batch * batch_bytes + j * anymps_dtype_bytes(args->c_dtype);
    return amps_load_f32((const unsigned char *)vector + at, args->c_dtype);
}

/* One element of a floating C. alpha and beta act in f32; the products are formed in double, where they
   are exact, so that alpha*sum + beta*C + bias is rounded once. */
static void element_float(const amps_gemm_args *args, const unsigned char *a, const unsigned char *b, unsigned char *c,
                          size_t batch, size_t j)
{
    const amps_gemm_epilogue *const after = args->epilogue;
    const bool floating = args->a_dtype != ANYMPS_DTYPE_I8 && args->a_dtype != ANYMPS_DTYPE_I16;
    const double sum = floating ? (double)dot_float(args, a, b) : (double)dot_integer(args, a, b);
    double value = (double)(float)args->alpha * sum;
    if (args->beta != 0) {
        value += (double)(float)args->beta * (double)amps_load_f32(c, args->c_dtype);
    }
    if (after != NULL && after->bias != NULL) {
        value += (double)vector_element(after->bias, after->bias_batch_bytes, args, batch, j);
    }
    float result = (float)value;
    if (after != NULL && after->neuron != NULL) {
        const float slope = vector_element(after->prelu, after->prelu_batch_bytes, args, batch, j);
        args->device->rows->neuron(after->neuron, &result, NULL, &slope, &result, 1);
    }
    amps_store_f32(c, args->c_dtype, result);
}

static void run_row(void *context, size_t task, size_t thread)
{
    (void)thread;
    const amps_gemm_args *const args = context;
    const size_t batch = task / args->m;
    const size_t i = task % args->m;
    const unsigned char *const a = args->a + batch * args->a_batch_bytes + i * args->a_row_bytes;
    const unsigned char *b = args->b + batch * args->b_batch_bytes;
    unsigned char *c = args->c + batch * args->c_batch_bytes + i * args->c_row_bytes;
    for (size_t j = 0; j < args->n; j++) {
        if (args->c_dtype == ANYMPS_DTYPE_I32) {
            element_i32(args, a, b, c);
        } else {
            element_float(args, a, b, c, batch, j);
        }
        b += args->b_column_bytes;
        c += args->c_column_bytes;
    }
}

void amps_gemm_reference(const amps_gemm_args *args)
{
    if (args->m == 0 || args->n == 0 || args->batch == 0) {
        return;
    }
    amps_gemm_args copy = *args;
    amps_pool_run(args->device->pool, args->m * args->batch, run_row, &copy);
}
