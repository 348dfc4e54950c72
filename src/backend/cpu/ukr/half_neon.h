/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half_neon.h: four f16 or bf16 to f32 and back on arm64's Advanced SIMD, to nearest even, subnormals kept, NaN stays a
 * (quiet) NaN. For rows__neon.c and the narrow tiles; half.h is its scalar twin.
 */
#ifndef AMPS_HALF_NEON_H
#define AMPS_HALF_NEON_H

#include <arm_neon.h>

static inline float32x4_t f32_of_f16(uint16x4_t x)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(x));
}
static inline float32x4_t f32_of_bf16(uint16x4_t x)
{
    return vreinterpretq_f32_u32(vshll_n_u16(x, 16));
}
static inline uint16x4_t f16_of_f32(float32x4_t x)
{
    return vreinterpret_u16_f16(vcvt_f16_f32(x));
}
static inline uint16x4_t bf16_of_f32(float32x4_t x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t even = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), even);
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
}

#endif /* AMPS_HALF_NEON_H */
