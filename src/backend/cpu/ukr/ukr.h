/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ukr.h: the types of the microkernels: arithmetic on one row or one tile, nothing else. A microkernel
 * allocates nothing, reports nothing and starts no thread. The suffix after __ in its file's name
 * selects its instruction set; nothing else may be compiled with those flags.
 */
#ifndef AMPS_UKR_H
#define AMPS_UKR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Activation functions, in the order of amps_row_ukr.neuron. cpu_neuron.c maps the public numbers. */
typedef enum amps_ukr_neuron {
    AMPS_UKR_NONE,
    AMPS_UKR_RELU,
    AMPS_UKR_LINEAR,
    AMPS_UKR_SIGMOID,
    AMPS_UKR_HARD_SIGMOID,
    AMPS_UKR_TANH,
    AMPS_UKR_ABSOLUTE,
    AMPS_UKR_SOFT_PLUS,
    AMPS_UKR_SOFT_SIGN,
    AMPS_UKR_ELU,
    AMPS_UKR_PRELU,
    AMPS_UKR_RELUN,
    AMPS_UKR_POWER,
    AMPS_UKR_EXPONENTIAL,
    AMPS_UKR_LOGARITHM,
    AMPS_UKR_GELU,
    AMPS_UKR_GELU_TANH,
    AMPS_UKR_SILU,
    AMPS_UKR_NEURON_COUNT
} amps_ukr_neuron;

typedef struct amps_neuron_params {
    amps_ukr_neuron type;
    float a, b, c;
    float alpha; /* the source's factor */
} amps_neuron_params;

/* AMPS_ROW_I16: of matrices in products only. */
typedef enum amps_row_type { AMPS_ROW_F32, AMPS_ROW_F16, AMPS_ROW_BF16, AMPS_ROW_I16 } amps_row_type;

/* One row of an operation, or several: n elements at x to n elements of the same type at y, at any addresses. */
typedef struct amps_row {
    const void *x;
    void *y; /* may be x */
    size_t n;
    amps_row_type type;
    bool stream;      /* y leaves the caches: it is not x and lies at a multiple of an element */
    float *room;      /* n floats, for softmax and log_softmax */
    const void *next; /* the x of the row that comes next, to be fetched meanwhile, or NULL */
    size_t more;      /* softmax and log_softmax: so many rows follow, each so many bytes after the one before */
    size_t x_row_bytes, y_row_bytes;
} amps_row;

/*
 * Products of few f32 rows with lines of a 16-bit matrix that lie along k:
 *
 *     c[i * c_row + j * c_line] = sum_k a[i * a_row + k] * B[j][k], element k of line j at b + j * b_line_bytes + 2*k
 */
typedef struct amps_dot16 {
    const float *a;
    size_t a_row;
    const unsigned char *b;
    size_t b_line_bytes;
    amps_row_type type; /* of B: F16, BF16 or I16 */
    float *c;
    size_t c_row, c_line;
    size_t rows, lines, interior;
} amps_dot16;

/* A few rows times a 16-bit matrix whose lines lie across: c[i * c_row + j] += sum_k a[i * a_row + k] * B[k][j]. */
typedef struct amps_row16 {
    const float *a;
    size_t a_row;
    const unsigned char *b;
    size_t b_line_bytes;
    amps_row_type type;
    float *c;
    size_t c_row;
    size_t rows, columns, interior;
} amps_row16;

/* One i8 row times lines of an i8 matrix that lie along k: c[j] = sum_k a[k] * B[j][k] modulo 2^32, element k of line j at
   b + j * b_line_bytes + k. */
typedef struct amps_dot8 {
    const int8_t *a;
    const unsigned char *b;
    size_t b_line_bytes;
    int32_t *c;
    size_t lines, interior;
} amps_dot8;

/* One i8 row times an i8 matrix whose lines lie across: c[j] = sum_k a[k] * B[k][j] modulo 2^32. c has room for columns up
   to the next multiple of 32. */
typedef struct amps_row8 {
    const int8_t *a;
    const unsigned char *b;
    size_t b_line_bytes;
    int32_t *c;
    size_t columns, interior;
} amps_row8;

/*
 * The row microkernels of one instruction set. Arrays of f32 lie at addresses that suit f32, those of 16-bit
 * types and the rows of an amps_row lie anywhere. Every one handles any n ≥ 0, and an element's result depends on
 * the row alone, not on where it lies, nor on `stream` and `next`.
 */
typedef struct amps_row_ukr {
    const char *name; /* "avx512": the suffix of its file */

    /* n elements between the 16-bit types and f32; to nearest even, subnormals kept. */
    void (*f16_to_f32)(const void *x, float *y, size_t n);
    void (*bf16_to_f32)(const void *x, float *y, size_t n);
    void (*f32_to_f16)(const float *x, void *y, size_t n);
    void (*f32_to_bf16)(const float *x, void *y, size_t n);

    /* y = exp(x): for the test of the exponential that softmax and the neurons share */
    void (*exponential)(const float *x, float *y, size_t n);

    /* y = x + z, rounded to the row's type */
    void (*add)(const amps_row *row, const void *z);

    /* |scale| in [2^-60, 2^60] (the reference: any); bounds in kernels.h. */
    void (*softmax)(const amps_row *row, double scale);
    void (*log_softmax)(const amps_row *row, double scale);

    /* weight and bias: n values or NULL. */
    void (*rms_norm)(const amps_row *row, const float *weight, const float *bias, double epsilon);
    void (*layer_norm)(const amps_row *row, const float *weight, const float *bias, double epsilon);

    /* y = f(alpha*x + bias); bias: n values or NULL; prelu: n values for PRELU, else NULL. */
    void (*neuron_row)(const amps_neuron_params *params, const amps_row *row, const float *bias, const float *prelu);

    /* The same of f32, for the last store of a product; y may be x. */
    void (*neuron)(const amps_neuron_params *params, const float *x, const float *bias, const float *prelu, float *y,
                   size_t n);

    void (*dot16)(const amps_dot16 *dot);
    void (*row16)(const amps_row16 *row);
    void (*dot8)(const amps_dot8 *dot);
    void (*row8)(const amps_row8 *row);

    /* After rows with `stream`, before another thread may look at them. */
    void (*fence)(void);
} amps_row_ukr;

/* Plain loops over libm in double (row_reference.c). */
extern const amps_row_ukr amps_row_ukr_reference;

#define AMPS_ROW_UKR(name, level) extern const amps_row_ukr amps_row_ukr_##name;
#include "backend/cpu/ukr/ukr.def"
#undef AMPS_ROW_UKR

#endif /* AMPS_UKR_H */
