/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_gemm.h: products for matmul, matrix_vector and fully_connected: through MPS in the pieces that the
 * errata table allows, or through our own kernels. Adds steps to a plan; knows no descriptor.
 */
#ifndef AMPS_METAL_GEMM_H
#define AMPS_METAL_GEMM_H

#include "metal_room.h"

/* result = f(alpha*op(left)*op(right) + beta*result + bias). With `vector`, right and result are vectors (views
   of one row) and columns is 1. */
typedef struct amps_metal_gemm {
    const amps_view *left, *right, *result;
    const amps_view *bias, *prelu; /* own kernels only; NULL or not given: none */
    bool vector;
    bool transpose_left, transpose_right;
    size_t rows, columns, interior, batch;
    double alpha, beta;
    anymps_neuron_type neuron; /* own kernels only */
    float a, b, c;
} amps_metal_gemm;

/* What prepare asks: may MPS run the product, and in pieces? Sets `question->avoid` if not, or `*note` to the text
   of the line that cuts it into pieces. Runs the probes that a product depends on. */
void amps_metal_gemm_ask(amps_metal_device *device, const amps_metal_product *product, uint32_t options,
                         amps_metal_question *question, const char **note);
/* The product's sizes as the errata table wants them. */
amps_metal_product amps_metal_product_of(size_t rows, size_t columns, size_t interior, const anymps_dtype types[3]);

/* The MPS object of a plain product: +1. */
amps_id amps_metal_multiplication(const amps_metal_device *device, const amps_metal_variant *variant,
                                  bool transpose_left, bool transpose_right, double alpha, uint32_t options);

/* Adds the MPS steps; `*done` is false, with nothing added, if MPS must not take these operands. The kernel's
   `make` is asked for variants of AMPS_METAL_PRODUCT_CLASS. */
anymps_status amps_metal_gemm_mps(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_gemm *gemm,
                                  bool *done);
/* Adds one launch of our own kernel; types as in the views. */
anymps_status amps_metal_gemm_own(amps_metal_plan *plan, const amps_metal_gemm *gemm);

/* Makes one product of a batch of rows that lie one after the other and share the right operand (and bias). The
   views are copies that may change. */
void amps_metal_gemm_merge(amps_metal_gemm *gemm, amps_view *left, amps_view *result);

#endif /* AMPS_METAL_GEMM_H */
