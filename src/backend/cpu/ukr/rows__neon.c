/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows__neon.c: the row microkernels with 4 floats a vector, Advanced SIMD of arm64. Reached through its
 * table in ukr.def; the arithmetic is in rows_template.h.
 */
#include "backend/cpu/ukr/half_neon.h"
#include "backend/cpu/ukr/ukr.h"

#define VF float32x4_t
#define VH uint16x4_t
#define VW 4
#define V_PICKS 0
#define V_UNFUSED 0
#define V_MASKS 0
#define V_PAIRS 0
#define ISA_NAME "neon"
#define ROWS_TABLE amps_row_ukr_neon

static inline VF v_set(float x) { return vdupq_n_f32(x); }
static inline VF v_load(const float *p) { return vld1q_f32(p); }
static inline void v_store(float *p, VF v) { vst1q_f32(p, v); }
/* Stores past the caches have no intrinsic. */
static inline void v_stream(float *p, VF v) { vst1q_f32(p, v); }
static inline VF v_load_part(const float *p, size_t n, float fill)
{
    float lane[VW] = {fill, fill, fill, fill};
    __builtin_memcpy(lane, p, n * sizeof *lane);
    return v_load(lane);
}
static inline void v_store_part(float *p, VF v, size_t n)
{
    float lane[VW];
    v_store(lane, v);
    __builtin_memcpy(p, lane, n * sizeof *lane);
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

static inline float v_fold_add(VF v)
{
    const float32x2_t pair = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
}
static inline float v_fold_max(VF v)
{
    const float32x2_t pair = vmax_f32(vget_low_f32(v), vget_high_f32(v));
    const float a = vget_lane_f32(pair, 0);
    const float b = vget_lane_f32(pair, 1);
    return a > b ? a : b;
}
/* Always: GCC 12 takes a function that does nothing else for one without effect, and drops its calls. */
static inline __attribute__((always_inline)) void v_prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }
static inline void v_fence(void) {}

/* Through bytes, since 16-bit elements may lie anywhere. */
static inline VH h_load(const void *p) { return vreinterpret_u16_u8(vld1_u8((const uint8_t *)p)); }
static inline void h_store(void *p, VH h) { vst1_u8((uint8_t *)p, vreinterpret_u8_u16(h)); }
static inline void h_stream(void *p, VH h) { h_store(p, h); }
static inline VF v_of_i16(VH h) { return vcvtq_f32_s32(vmovl_s16(vreinterpret_s16_u16(h))); }
static inline VF v_of_f16(VH h) { return f32_of_f16(h); }
static inline VF v_of_bf16(VH h) { return f32_of_bf16(h); }
static inline VH v_to_f16(VF v) { return f16_of_f32(v); }
static inline VH v_to_bf16(VF v) { return bf16_of_f32(v); }

#define I_BYTES 8
#define VB int16x8_t
#define VI int32x4_t
static inline VB b_load(const void *p) { return vmovl_s8(vld1_s8((const int8_t *)p)); }
static inline VI i_zero(void) { return vdupq_n_s32(0); }
static inline VI i_load(const int32_t *p) { return vld1q_s32(p); }
static inline void i_store(int32_t *p, VI v) { vst1q_s32(p, v); }
static inline VI i_dot(VI s, VB a, VB b)
{
    return vmlal_s16(vmlal_s16(s, vget_low_s16(a), vget_low_s16(b)), vget_high_s16(a), vget_high_s16(b));
}
static inline int32_t i_fold(VI v) { return vaddvq_s32(v); }
static inline void i_pairs(VI s[2], VB r, VB q, int32_t pair)
{
    const int16_t first = (int16_t)(pair & 0xffff);
    const int16_t second = (int16_t)(pair >> 16);
    s[0] = vmlal_n_s16(vmlal_n_s16(s[0], vget_low_s16(r), first), vget_low_s16(q), second);
    s[1] = vmlal_n_s16(vmlal_n_s16(s[1], vget_high_s16(r), first), vget_high_s16(q), second);
}
static inline void i_columns(VI s[2]) { (void)s; }

#include "backend/cpu/ukr/rows_template.h"
