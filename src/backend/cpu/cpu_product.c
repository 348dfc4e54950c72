/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_product.c: from operand views to gemm.h's arguments (cpu_product.h). Called by the operators that multiply
 * matrices; knows views and types, no arithmetic.
 */
#include "backend/cpu/cpu_product.h"

#include "base/status.h"

void amps_product_a(amps_gemm_args *args, const amps_view *view, bool transpose)
{
    const size_t element = anymps_dtype_bytes(view->dtype);
    args->a = amps_view_host(view, 0);
    args->a_dtype = view->dtype;
    args->a_row_bytes = transpose ? element : view->row_bytes;
    args->a_column_bytes = transpose ? view->row_bytes : element;
    args->a_batch_bytes = view->matrix_bytes;
    args->a_constant = view->constant;
    args->k = transpose ? view->rows : view->columns;
}

void amps_product_b(amps_gemm_args *args, const amps_view *view, bool transpose)
{
    const size_t element = anymps_dtype_bytes(view->dtype);
    args->b = amps_view_host(view, 0);
    args->b_dtype = view->dtype;
    args->b_row_bytes = transpose ? element : view->row_bytes;
    args->b_column_bytes = transpose ? view->row_bytes : element;
    args->b_batch_bytes = view->matrix_bytes;
    args->b_constant = view->constant;
}

void amps_product_c(amps_gemm_args *args, const amps_view *view)
{
    args->c = amps_view_host(view, 0);
    args->c_dtype = view->dtype;
    args->c_row_bytes = view->row_bytes;
    args->c_column_bytes = anymps_dtype_bytes(view->dtype);
    args->c_batch_bytes = view->matrix_bytes;
    args->m = view->rows;
    args->n = view->columns;
}

/* The nine combinations of kernels.h, in its order. */
static const anymps_dtype combinations[][3] = {
    {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32},   {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16},
    {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32},   {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16},
    {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F32}, {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F32},
    {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F16},     {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I32},
    {ANYMPS_DTYPE_I16, ANYMPS_DTYPE_I16, ANYMPS_DTYPE_F32},
};

anymps_status amps_product_supports(const char *name, const anymps_dtype *dtypes, size_t count)
{
    (void)count; /* three, checked in front */
    for (size_t i = 0; i < sizeof combinations / sizeof combinations[0]; i++) {
        const anymps_dtype *const known = combinations[i];
        if (dtypes[0] == known[0] && dtypes[1] == known[1] && dtypes[2] == known[2]) {
            return ANYMPS_OK;
        }
    }
    return amps_fail(ANYMPS_UNSUPPORTED, "%s: the CPU has no %s,%s->%s", name, anymps_dtype_name(dtypes[0]),
                     anymps_dtype_name(dtypes[1]), anymps_dtype_name(dtypes[2]));
}

anymps_status amps_product_prepare(amps_cpu_kernel *kernel, anymps_algorithm algorithm, anymps_dtype a_dtype,
                                   anymps_dtype b_dtype, anymps_dtype c_dtype)
{
    return amps_cpu_explain(kernel, algorithm, amps_gemm_explain(amps_cpu_of(kernel), a_dtype, b_dtype, c_dtype));
}
