/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_product.h: from operand views to gemm.h's arguments, for the operators that multiply matrices. */
#ifndef AMPS_PRODUCT_H
#define AMPS_PRODUCT_H

#include "backend/cpu/gemm.h"

/* Operand A, B or C from a view, transposed by exchanging its strides. C also gives m and n, A gives k. */
void amps_product_a(amps_gemm_args *args, const amps_view *view, bool transpose);
void amps_product_b(amps_gemm_args *args, const amps_view *view, bool transpose);
void amps_product_c(amps_gemm_args *args, const amps_view *view);

/* For `supports` of matmul and matrix_vector: left, right, result. */
anymps_status amps_product_supports(const char *name, const anymps_dtype *dtypes, size_t count);

/* For `prepare`: which microkernel multiplies these types. */
anymps_status amps_product_prepare(amps_cpu_kernel *kernel, anymps_algorithm algorithm, anymps_dtype a_dtype,
                                   anymps_dtype b_dtype, anymps_dtype c_dtype);

#endif /* AMPS_PRODUCT_H */
