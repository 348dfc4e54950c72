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

/* d (16 × 8) += a (16 × 16) * b (16 × 8), spread over a warp as PTX's mma.m16n8k16 has it. */
__device__ inline void mma_16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, f16)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void mma_16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, bf16)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

} // namespace amps
