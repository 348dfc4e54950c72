// SPDX-License-Identifier: Apache-2.0
// common.metal: what every shader of this folder begins with: the element types, sums over a threadgroup and
// the neuron functions. The text that is compiled is this file followed by one <op>.metal; the language subset
// is written down in docs/apple.md.
#include <metal_stdlib>
using namespace metal;

// ---- Element types ---------------------------------------------------------------------------------------
// Element `i` of an array in bytes, read as float and written with one rounding to nearest even.

struct f32_io {
    static inline float load(device const uchar *bytes, ulong i) { return ((device const float *)bytes)[i]; }
    static inline void store(device uchar *bytes, ulong i, float value) { ((device float *)bytes)[i] = value; }
};

struct f16_io {
    static inline float load(device const uchar *bytes, ulong i) { return float(((device const half *)bytes)[i]); }
    static inline void store(device uchar *bytes, ulong i, float value) { ((device half *)bytes)[i] = half(value); }
};

struct i8_io {
    static inline float load(device const uchar *bytes, ulong i) { return float(((device const char *)bytes)[i]); }
};

struct i16_io {
    static inline float load(device const uchar *bytes, ulong i) { return float(((device const short *)bytes)[i]); }
};

// bfloat16 by hand, so that it runs on GPUs whose language has no such type: the upper half of a float.
struct bf16_io {
    static inline float load(device const uchar *bytes, ulong i)
    {
        return as_type<float>(uint(((device const ushort *)bytes)[i]) << 16);
    }
    static inline void store(device uchar *bytes, ulong i, float value)
    {
        const uint bits = as_type<uint>(value);
        const uint rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
        const uint quiet = (bits >> 16) | 0x40u; // a NaN must not round to infinity
        ((device ushort *)bytes)[i] = ushort((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
    }
};

// ---- Sums over a threadgroup -----------------------------------------------------------------------------
// Reached by all threads; `partial` has one float for each simdgroup. No simdgroup width is assumed, and the
// order of the additions depends on the sizes alone. The first barrier protects an earlier use of `partial`.

static inline float group_sum(float value, threadgroup float *partial, uint lane, uint simd, uint simds)
{
    const float part = simd_sum(value);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (lane == 0) {
        partial[simd] = part;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float sum = 0.0f;
    for (uint i = 0; i < simds; i++) {
        sum += partial[i];
    }
    return sum;
}

static inline float group_max(float value, threadgroup float *partial, uint lane, uint simd, uint simds)
{
    const float part = simd_max(value);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (lane == 0) {
        partial[simd] = part;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float most = partial[0];
    for (uint i = 1; i < simds; i++) {
        most = max(most, partial[i]);
    }
    return most;
}

// ---- Functions of one value ------------------------------------------------------------------------------

// exp(x) - 1 without cancellation (W. Kahan): the rounding of u = exp(x) cancels between u - 1 and log(u).
static inline float exp_minus_1(float x)
{
    const float u = precise::exp(x);
    if (abs(x) > 1.0f || isnan(x)) {
        return u - 1.0f;
    }
    return u == 1.0f ? x : (u - 1.0f) * x / precise::log(u);
}

// ln(1 + x) for x >= 0, by the same device.
static inline float log_1_plus(float x)
{
    const float u = 1.0f + x;
    return u == 1.0f || isinf(u) ? (isinf(u) ? u : x) : precise::log(u) * x / (u - 1.0f);
}

static inline float tanh_of(float x)
{
    const float e = exp_minus_1(-2.0f * abs(x)); // in (-1, 0]
    const float t = -e / (2.0f + e);
    return x < 0.0f ? -t : t;
}

// erf within 1.2e-7 absolutely. Below 1: odd polynomial; from 1 on: 1 - exp(-x*x) * polynomial in 1/x. The
// coefficients are Chebyshev fits in double (degree 6 in x*x on [0, 1], degree 7 in 1/x on [0.24, 1]).
static inline float erf_of(float x)
{
    if (isnan(x)) {
        return x;
    }
    const float a = min(abs(x), 4.0f);
    float r;
    if (a < 1.0f) {
        const float s = a * a;
        r = fma(7.8824974e-05f, s, -0.0008018855f);
        r = fma(r, s, 0.005189312f);
        r = fma(r, s, -0.026854329f);
        r = fma(r, s, 0.11283597f);
        r = fma(r, s, -0.37612626f);
        r = fma(r, s, 1.1283791f) * a;
    } else {
        const float t = 1.0f / a;
        r = fma(-0.01807244f, t, 0.121627614f);
        r = fma(r, t, -0.3557979f);
        r = fma(r, t, 0.5770869f);
        r = fma(r, t, -0.5064406f);
        r = fma(r, t, 0.05108689f);
        r = fma(r, t, 0.55774504f);
        r = fma(r, t, 0.0003480087f);
        r = 1.0f - r * precise::exp(-(a * a));
    }
    return x < 0.0f ? -r : r;
}

// The numbers are those of anymps_neuron_type.
static inline float neuron_of(uint type, float x, float a, float b, float c)
{
    switch (type) {
    case 1: // ReLU
    case 10: // PReLU; a is the column's
        return x >= 0.0f ? x : a * x;
    case 2: // linear
        return fma(a, x, b);
    case 3: // sigmoid
        return 1.0f / (1.0f + precise::exp(-x));
    case 4: { // hard sigmoid; written so that NaN passes
        const float y = fma(a, x, b);
        return y < 0.0f ? 0.0f : (y > 1.0f ? 1.0f : y);
    }
    case 5: // tanh
        return a * tanh_of(b * x);
    case 6: // absolute
        return abs(x);
    case 7: { // soft plus; ln(1 + e^y) = max(y, 0) + ln(1 + e^-|y|) does not overflow
        const float y = b * x;
        return isnan(y) ? y : a * (max(y, 0.0f) + log_1_plus(precise::exp(-abs(y))));
    }
    case 8: // soft sign
        return x / (1.0f + abs(x));
    case 9: // ELU
        return x >= 0.0f ? x : a * exp_minus_1(x);
    case 11: { // ReLUN
        const float y = x >= 0.0f ? x : a * x;
        return y > b ? b : y;
    }
    case 12: // power
        return precise::pow(fma(a, x, b), c);
    case 13: // exponential
        return precise::pow(c, fma(a, x, b));
    case 14: // logarithm
        return precise::log(fma(a, x, b)) / precise::log(c);
    case 15: // GELU
        return x * (1.0f + erf_of(x * 0.70710678f)) * 0.5f;
    case 1000: // GELU, tanh form
        return x * (1.0f + tanh_of(0.7978845608f * fma(0.044715f * x * x, x, x))) * 0.5f;
    case 1001: // SiLU
        return x / (1.0f + precise::exp(-x));
    default:
        return x;
    }
}
