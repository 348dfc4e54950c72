/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_end.cuh: what matmul kernels share: the tensor core's instruction, and the last step: alpha, beta, bias and
 * activation applied to one finished sum, and its store. T is the operands' type (bias and slopes have it too), R
 * the result's.
 */
#pragma once
#include "common.cuh"

namespace amps {

/* What one finished sum becomes, before its rounding to the result's type. `old` is read only if beta is not 0. */
template <typename T, typename R>
__device__ inline float gemm_value(const amps_gemm_params &p, int64_t matrix, int64_t j, const R *old, float sum)
{
    /* One rounding of each term and one of the result: the bound leaves no room for more where the interior is 1. */
    float rest = p.bias != 0 ? to_f32(((const T *)p.bias)[matrix * p.bias_matrix + j]) : 0.0f;
    if (p.beta != 0.0f) {
        rest = fmaf(p.beta, to_f32(*old), rest);
    }
    float y = fmaf(p.alpha, sum, rest);
    if (p.neuron.type != 0) {
        y = neuron(p.neuron, y, p.prelu != 0 ? to_f32(((const T *)p.prelu)[matrix * p.prelu_matrix + j]) : 0.0f);
    }
    return y;
}

template <typename T, typename R>
__device__ inline void gemm_end(const amps_gemm_params &p, int64_t matrix, int64_t i, int64_t j, float sum)
{
    R *to = (R *)p.result + matrix * p.result_matrix + i * p.result_row + j * p.result_column;
    *to = from_f32<R>(gemm_value<T, R>(p, matrix, j, to, sum));
}

/* Integers: exact modulo 2^32 where the factors allow it, else in double, rounded to even and clamped. */
template <typename T, typename R>
__device__ inline void gemm_end(const amps_gemm_params &p, int64_t matrix, int64_t i, int64_t j, unsigned sum)
{
    int32_t *to = (int32_t *)p.result + matrix * p.result_matrix + i * p.result_row + j * p.result_column;
    if (p.exact_alpha == 1.0 && (p.exact_beta == 0.0 || p.exact_beta == 1.0)) {
        *to = (int32_t)(sum + (p.exact_beta == 1.0 ? (unsigned)*to : 0u));
        return;
    }
    double y = p.exact_alpha * (double)(int32_t)sum;
    if (p.exact_beta != 0.0) {
        y += p.exact_beta * (double)*to;
    }
    *to = __double2int_rn(y); /* saturates */
}

} // namespace amps
