/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec_no_half.h: the names of half vectors for instruction sets where they gain nothing: they stand for whole vectors,
 * and VEC_HALF 0 says that no tile has one. Included by vec_avx2.h, vec_neon.h and vec_baseline.h at their end.
 */
#ifndef AMPS_VEC_NO_HALF_H
#define AMPS_VEC_NO_HALF_H

typedef vec vec_half;
typedef vec_lanes half_lanes;
enum { VEC_HALF = 0 };

static inline half_lanes half_first(size_t n)
{
    return vec_first(n);
}
static inline vec_half half_zero(void)
{
    return vec_zero();
}
static inline vec_half half_set1(float x)
{
    return vec_set1(x);
}
static inline vec_half vec_to_half(vec x)
{
    return x;
}
static inline vec_half half_load_lanes(const float *p, half_lanes lanes)
{
    return vec_load_lanes(p, lanes);
}
static inline void half_store_lanes(float *p, half_lanes lanes, vec_half x)
{
    vec_store_lanes(p, lanes, x);
}
static inline vec_half half_mul(vec_half x, vec_half y)
{
    return vec_mul(x, y);
}
static inline vec_half half_add(vec_half x, vec_half y)
{
    return vec_add(x, y);
}
static inline vec_half half_fma(vec_half x, vec_half y, vec_half z)
{
    return vec_fma(x, y, z);
}
static inline vec_half half_combine(vec_half x, vec_half alpha, vec_half y, vec_half beta)
{
    return vec_combine(x, alpha, y, beta);
}

#endif /* AMPS_VEC_NO_HALF_H */
