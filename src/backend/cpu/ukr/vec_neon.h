/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec_neon.h: one f32 vector of arm64's Advanced SIMD (4 lanes, fused multiply-add) under the names that the
 * matmul templates use; see vec_avx512.h. Included by microkernel files with the suffix __neon only.
 */
#ifndef AMPS_VEC_NEON_H
#define AMPS_VEC_NEON_H

#include "part_neon.h"

#define VEC_REGISTERS_32 1
#define VEC_STEPS_APART  1

typedef float32x4_t vec;
typedef size_t vec_lanes; /* how many */
enum { VEC = 4, VEC_REGISTERS = 32 };

static inline vec_lanes vec_first(size_t n)
{
    return n;
}
static inline vec vec_set1(float x)
{
    return vdupq_n_f32(x);
}
static inline vec vec_zero(void)
{
    return vdupq_n_f32(0.0f);
}
static inline vec vec_load(const float *p)
{
    return vld1q_f32(p);
}
static inline vec vec_load_lanes(const float *p, vec_lanes lanes)
{
    return vreinterpretq_f32_u32(part_load(p, lanes));
}
/* The value is in a register from here on: the compiler may not read it from memory again for each use. */
static inline vec vec_keep(vec x)
{
    __asm__("" : "+w"(x));
    return x;
}
static inline void vec_store(float *p, vec x)
{
    vst1q_f32(p, x);
}
/* Past the caches where a processor can; not here. */
static inline void vec_stream(float *p, vec x)
{
    vst1q_f32(p, x);
}
/* What was streamed is visible to other threads before what is stored from here on. */
static inline void vec_stream_end(void)
{
}
static inline void vec_store_lanes(float *p, vec_lanes lanes, vec x)
{
    part_store(p, lanes, vreinterpretq_u32_f32(x));
}
static inline vec vec_mul(vec x, vec y)
{
    return vmulq_f32(x, y);
}
static inline vec vec_add(vec x, vec y)
{
    return vaddq_f32(x, y);
}
/* x*y + z, one rounding. */
static inline vec vec_fma(vec x, vec y, vec z)
{
    return vfmaq_f32(z, x, y);
}
static inline float vec_fma1(float x, float y, float z)
{
    return vgetq_lane_f32(vfmaq_f32(vdupq_n_f32(z), vdupq_n_f32(x), vdupq_n_f32(y)), 0);
}
/* x*alpha + y*beta; x*alpha and the sum are rounded once. */
static inline vec vec_combine(vec x, vec alpha, vec y, vec beta)
{
    return vec_fma(x, alpha, vec_mul(y, beta));
}
/* The sum of the lanes, always in the same order. */
static inline float vec_sum(vec x)
{
    const float32x2_t pair = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
}
/* The sums of the lanes of `count` vectors. */
static inline void vec_sums(const vec *x, int count, float *sums)
{
    for (int n = 0; n < count; n++) {
        sums[n] = vec_sum(x[n]);
    }
}
static inline void vec_prefetch(const float *p)
{
    __builtin_prefetch(p, 0, 3);
}
static inline void vec_prefetch_write(const float *p)
{
    __builtin_prefetch(p, 1, 3);
}
/* Into the second cache. */
static inline void vec_prefetch_far(const float *p)
{
    __builtin_prefetch(p, 0, 2);
}

/* Turns a block of at most 4 × 4 around: to[j * to_row + i] = from[i * from_row + j] for i < rows, j < columns. */
static inline void vec_transpose(const float *from, size_t from_row, float *to, size_t to_row, size_t rows,
                                 size_t columns)
{
    vec r[4];
    for (size_t i = 0; i < 4; i++) {
        r[i] = i < rows ? vec_load_lanes(from + i * from_row, columns) : vec_zero();
    }
    const float32x4x2_t low = vtrnq_f32(r[0], r[1]);
    const float32x4x2_t high = vtrnq_f32(r[2], r[3]);
    const vec t[4] = {
        vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0])),
        vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1])),
        vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0])),
        vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1])),
    };
    for (size_t j = 0; j < columns; j++) {
        vec_store_lanes(to + j * to_row, rows, t[j]);
    }
}

#include "vec_no_half.h"

#endif /* AMPS_VEC_NEON_H */
