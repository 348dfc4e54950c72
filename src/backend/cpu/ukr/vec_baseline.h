/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec_baseline.h: one f32 vector of 4 lanes in the vector extension of GCC and Clang, which becomes SSE2 or plain
 * NEON, under the names that the matmul templates use; see vec_avx512.h. For files without a suffix.
 * There is no fused multiply-add: vec_fma rounds the product too, which the error bound of a sum allows;
 * vec_fma1, which combines a sum with an old element, goes through double and rounds once.
 */
#ifndef AMPS_VEC_BASELINE_H
#define AMPS_VEC_BASELINE_H

#include <stddef.h>
#include <string.h>

#define VEC_REGISTERS_32 0
#define VEC_STEPS_APART  0

typedef float vec __attribute__((vector_size(16)));
typedef size_t vec_lanes; /* how many */
enum { VEC = 4, VEC_REGISTERS = 16 };

static inline vec_lanes vec_first(size_t n)
{
    return n;
}
static inline vec vec_set1(float x)
{
    return (vec){ x, x, x, x };
}
static inline vec vec_zero(void)
{
    return vec_set1(0.0f);
}
static inline vec vec_load(const float *p)
{
    vec x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline vec vec_load_lanes(const float *p, vec_lanes lanes)
{
    vec x = vec_zero();
    if (lanes == VEC) {
        return vec_load(p);
    }
    for (size_t i = 0; i < VEC; i++) {
        x[i] = i < lanes ? p[i] : 0.0f;
    }
    return x;
}
/* The value is in a register from here on: the compiler may not read it from memory again for each use. */
static inline vec vec_keep(vec x)
{
    return x;
}
static inline void vec_store(float *p, vec x)
{
    memcpy(p, &x, sizeof x);
}
/* Past the caches where a processor can; not here. */
static inline void vec_stream(float *p, vec x)
{
    vec_store(p, x);
}
/* What was streamed is visible to other threads before what is stored from here on. */
static inline void vec_stream_end(void)
{
}
static inline void vec_store_lanes(float *p, vec_lanes lanes, vec x)
{
    if (lanes == VEC) {
        vec_store(p, x);
        return;
    }
    for (size_t i = 0; i < lanes; i++) {
        p[i] = x[i];
    }
}
static inline vec vec_mul(vec x, vec y)
{
    return x * y;
}
static inline vec vec_add(vec x, vec y)
{
    return x + y;
}
/* x*y + z, two roundings. */
static inline vec vec_fma(vec x, vec y, vec z)
{
    return x * y + z;
}
/* x*y + z, one rounding: the product of two f32 is exact in double. */
static inline float vec_fma1(float x, float y, float z)
{
    return (float)((double)x * (double)y + (double)z);
}
/* x*alpha + y*beta, rounded once. */
static inline vec vec_combine(vec x, vec alpha, vec y, vec beta)
{
    for (size_t i = 0; i < VEC; i++) {
        x[i] = (float)((double)x[i] * (double)alpha[i] + (double)y[i] * (double)beta[i]);
    }
    return x;
}
/* The sum of the lanes, always in the same order. */
static inline float vec_sum(vec x)
{
    return (x[0] + x[2]) + (x[1] + x[3]);
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
    for (size_t j = 0; j < columns; j++) {
        for (size_t i = 0; i < rows; i++) {
            to[j * to_row + i] = from[i * from_row + j];
        }
    }
}

#include "vec_no_half.h"

#endif /* AMPS_VEC_BASELINE_H */
