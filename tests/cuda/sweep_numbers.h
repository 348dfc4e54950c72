/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_numbers.h: the numbers of the types that sweep_matmul.c multiplies: random ones as bits, and bits as double.
 * Included by sweep_matmul.c alone; knows nothing of products.
 */
#ifndef SWEEP_NUMBERS_H
#define SWEEP_NUMBERS_H

#include "backend/cuda/ops/gemm_engines.h"

#include <math.h>
#include <string.h>

static inline int64_t operand_bytes(amps_gemm_kind kind)
{
    return kind == AMPS_GEMM_F32_F32 ? 4 : kind == AMPS_GEMM_I8_I32 ? 1 : 2;
}

static inline int64_t result_bytes(amps_gemm_kind kind)
{
    return kind == AMPS_GEMM_F16_F16 || kind == AMPS_GEMM_BF16_BF16 ? 2 : 4;
}

static inline bool is_half(amps_gemm_kind kind)
{
    return kind == AMPS_GEMM_F16_F16 || kind == AMPS_GEMM_F16_F32;
}

static uint32_t seed = 7;

static inline float random_normal(void)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        seed = seed * 1664525u + 1013904223u;
        sum += (float)(seed >> 8) / 16777216.0f - 0.5f;
    }
    return sum * 1.7320508f;
}

static inline uint16_t half_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = (int)(bits >> 23 & 255) - 127;
    return exponent < -14
               ? 0
               : (uint16_t)((bits >> 16 & 0x8000u) | (uint32_t)(exponent + 15) << 10 | (bits >> 13 & 0x3ffu));
}

static inline void put(unsigned char *at, amps_gemm_kind kind, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (kind == AMPS_GEMM_F32_F32) {
        memcpy(at, &bits, 4);
    } else if (kind == AMPS_GEMM_I8_I32) {
        *at = (unsigned char)(signed char)(x * 40.0f);
    } else {
        const uint16_t two = is_half(kind) ? half_of(x) : (uint16_t)(bits >> 16);
        memcpy(at, &two, 2);
    }
}

static inline double value_of(const unsigned char *at, amps_gemm_kind kind)
{
    if (result_bytes(kind) == 4) {
        float x;
        int32_t n;
        memcpy(&x, at, 4);
        memcpy(&n, at, 4);
        return kind == AMPS_GEMM_I8_I32 ? (double)n : (double)x;
    }
    uint16_t two;
    memcpy(&two, at, 2);
    if (is_half(kind)) {
        const int exponent = two >> 10 & 31, digits = two & 1023;
        const double size = exponent == 0    ? ldexp(digits, -24)
                            : exponent == 31 ? (double)NAN
                                             : ldexp(1024 + digits, exponent - 25);
        return (two & 0x8000) != 0 ? -size : size;
    }
    const uint32_t bits = (uint32_t)two << 16;
    float x;
    memcpy(&x, &bits, 4);
    return (double)x;
}

#endif /* SWEEP_NUMBERS_H */
