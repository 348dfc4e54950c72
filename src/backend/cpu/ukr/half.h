/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half.h: f16 and bf16 to f32 and back in integer arithmetic, to nearest even, subnormals kept, NaN stays a
 * (quiet) NaN. For instruction sets without conversions of their own, for reference loops and for edges.
 */
#ifndef AMPS_HALF_H
#define AMPS_HALF_H

#include <stdint.h>

static inline float amps_f32_of_bits(uint32_t bits)
{
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t amps_bits_of_f32(float value)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float amps_f32_of_bf16(uint16_t x)
{
    return amps_f32_of_bits((uint32_t)x << 16);
}

static inline uint16_t amps_bf16_of_f32(float value)
{
    const uint32_t bits = amps_bits_of_f32(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float amps_f32_of_f16(uint16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16;
    const uint32_t magnitude = x & 0x7fffu;
    if (magnitude >= 0x7c00u) { /* infinity, NaN (made quiet, as the hardware does) */
        const uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0u;
        return amps_f32_of_bits(sign | 0x7f800000u | quiet | (magnitude & 0x3ffu) << 13);
    }
    if (magnitude < 0x400u) { /* zero and subnormals: magnitude * 2^-24 is exact */
        const float value = (float)magnitude * 0x1p-24f;
        return amps_f32_of_bits(sign | amps_bits_of_f32(value));
    }
    return amps_f32_of_bits(sign | ((magnitude << 13) + 0x38000000u)); /* rebias by 127 - 15 */
}

static inline uint16_t amps_f16_of_f32(float value)
{
    const uint32_t bits = amps_bits_of_f32(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    }
    if (magnitude >= 0x477ff000u) { /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    }
    if (magnitude < 0x38800000u) { /* below 2^-14: the sum's last bit is 2^-24, so the FPU rounds */
        const float shifted = amps_f32_of_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (amps_bits_of_f32(shifted) - 0x3f000000u));
    }
    const uint32_t even = magnitude >> 13 & 1u;
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + even) >> 13));
}

#endif /* AMPS_HALF_H */
