/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows__neon.c: the row microkernels with 4 floats a vector, Advanced SIMD of arm64. Reached through its
 * table in ukr.def; the arithmetic is in rows_template.h.
 */
#include "backend/cpu/ukr/ukr.h"

#include <arm_neon.h>

#define VF float32x4_t
#define VW 4
#define ISA_NAME "neon"
#define ROWS_TABLE amps_row_ukr_neon

static inline VF v_set(float x) { return vdupq_n_f32(x); }
static inline VF v_load(const float *p) { return vld1q_f32(p); }
static inline void v_store(float *p, VF v) { vst1q_f32(p, v); }
static inline VF v_load_part(const float *p, size_t n, float fill)
{
    float lane[VW] = {fill, fill, fill, fill};
    for (size_t i = 0; i < n; i++) {
        lane[i] = p[i];
    }
    return v_load(lane);
}
static inline void v_store_part(float *p, VF v, size_t n)
{
    float lane[VW];
    v_store(lane, v);
    for (size_t i = 0; i < n; i++) {
        p[i] = lane[i];
    }
}
static inline VF v_add(VF a, VF b) { return vaddq_f32(a, b); }
static inline VF v_sub(VF a, VF b) { return vsubq_f32(a, b); }
static inline VF v_mul(VF a, VF b) { return vmulq_f32(a, b); }
static inline VF v_div(VF a, VF b) { return vdivq_f32(a, b); }
static inline VF v_fma(VF a, VF b, VF c) { return vfmaq_f32(c, a, b); }
static inline VF v_fnma(VF a, VF b, VF c) { return vfmsq_f32(c, a, b); }
/* The instructions of these names return NaN for either operand; the selection is what x86 does. */
static inline VF v_max(VF a, VF b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline VF v_min(VF a, VF b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline VF v_lt(VF a, VF b, VF yes, VF no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
static inline VF v_abs(VF a) { return vabsq_f32(a); }
static inline VF v_sign(VF magnitude, VF x) { return vbslq_f32(vdupq_n_u32(0x80000000u), x, magnitude); }
/* 2^k as a float, k in [-126, 127]. */
static inline VF power(int32x4_t k)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(k, vdupq_n_s32(127)), 23));
}
/* In two steps, the first exact, so that neither power of two leaves the normal range. */
static inline VF v_scale(VF p, VF n)
{
    const int32x4_t whole = vcvtnq_s32_f32(n);
    const int32x4_t half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(p, power(half)), power(vsubq_s32(whole, half)));
}
static inline VF v_mul_error(VF a, VF b, VF p) { return vfmaq_f32(vnegq_f32(p), a, b); }

static void f16_to_f32(const void *x, float *y, size_t n)
{
    const unsigned char *const from = x;
    for (size_t j = 0; j < n; j += 4) {
        const size_t count = n - j < 4 ? n - j : 4;
        uint16_t four[4] = {0};
        __builtin_memcpy(four, from + 2 * j, 2 * count);
        const VF v = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(four)));
        if (count == 4) {
            v_store(y + j, v);
        } else {
            v_store_part(y + j, v, count);
        }
    }
}

static void f32_to_f16(const float *x, void *y, size_t n)
{
    unsigned char *const to = y;
    for (size_t j = 0; j < n; j += 4) {
        const size_t count = n - j < 4 ? n - j : 4;
        uint16_t four[4];
        const VF v = count == 4 ? v_load(x + j) : v_load_part(x + j, count, 0.0f);
        vst1_u16(four, vreinterpret_u16_f16(vcvt_f16_f32(v)));
        __builtin_memcpy(to + 2 * j, four, 2 * count);
    }
}

#include "backend/cpu/ukr/rows_template.h"

#include "backend/cpu/ukr/rows_table.h"
