/* SPDX-License-Identifier: Apache-2.0 */
/* number.c: see number.h. Calls the C library only. */
#include "number.h"

#include <math.h>
#include <string.h>

/* What a narrow floating type can hold: significand bits with the hidden one, and exponents e of
   1.xxx * 2^e. */
typedef struct format {
    int digits;
    int least; /* of normal numbers */
    int greatest;
} format;

static format format_of(anymps_dtype dtype)
{
    switch ((int)dtype) {
    case ANYMPS_DTYPE_F16: return (format){11, -14, 15};
    case ANYMPS_DTYPE_BF16: return (format){8, -126, 127};
    case ANYMPS_DTYPE_F32: return (format){24, -126, 127};
    default: return (format){53, -1022, 1023};
    }
}

bool number_is_float(anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F32 || dtype == ANYMPS_DTYPE_F16 || dtype == ANYMPS_DTYPE_BF16 ||
           dtype == ANYMPS_DTYPE_F64;
}

/* log2 of the distance between neighbours at a finite magnitude. */
static int spacing_exponent(format f, double magnitude)
{
    int exponent = f.least;
    if (magnitude > 0.0) {
        (void)frexp(magnitude, &exponent);
        exponent -= 1;
    }
    return (exponent < f.least ? f.least : exponent) - (f.digits - 1);
}

double number_half_ulp(anymps_dtype dtype, double magnitude)
{
    return number_is_float(dtype) ? ldexp(0.5, spacing_exponent(format_of(dtype), fabs(magnitude))) : 0.0;
}

static double largest(format f)
{
    return ldexp(2.0 - ldexp(1.0, 1 - f.digits), f.greatest);
}

static double round_float(format f, double value)
{
    if (isnan(value) || isinf(value)) {
        return value;
    }
    const int spacing = spacing_exponent(f, fabs(value));
    const double rounded = ldexp(nearbyint(ldexp(value, -spacing)), spacing);
    return fabs(rounded) > largest(f) ? copysign((double)INFINITY, value) : rounded;
}

static double clamp_integer(double value, double low, double high)
{
    if (isnan(value)) {
        return 0.0;
    }
    const double rounded = nearbyint(value);
    return rounded < low ? low : rounded > high ? high : rounded;
}

double number_round(anymps_dtype dtype, double value)
{
    switch ((int)dtype) {
    case ANYMPS_DTYPE_I8: return clamp_integer(value, -128.0, 127.0);
    case ANYMPS_DTYPE_I16: return clamp_integer(value, -32768.0, 32767.0);
    case ANYMPS_DTYPE_I32: return clamp_integer(value, -2147483648.0, 2147483647.0);
    case ANYMPS_DTYPE_U8: return clamp_integer(value, 0.0, 255.0);
    case ANYMPS_DTYPE_U32: return clamp_integer(value, 0.0, 4294967295.0);
    default: return round_float(format_of(dtype), value);
    }
}

/* The 16 bits of a value that the format holds exactly. */
static uint16_t pack16(format f, double value)
{
    const int stored = f.digits - 1;
    const unsigned sign = signbit(value) ? 0x8000u : 0u;
    const unsigned all_ones = ((1u << (15 - stored)) - 1u) << stored;
    if (isnan(value)) {
        return (uint16_t)(sign | all_ones | 1u << (stored - 1));
    }
    if (isinf(value)) {
        return (uint16_t)(sign | all_ones);
    }
    const double magnitude = fabs(value);
    const int spacing = spacing_exponent(f, magnitude);
    const unsigned whole = (unsigned)ldexp(magnitude, -spacing); /* with the hidden bit, if normal */
    const unsigned normal = whole >> stored;                     /* 1, or 0 for a subnormal */
    const unsigned exponent = normal == 0u ? 0u : (unsigned)(spacing + stored - f.least + 1);
    return (uint16_t)(sign | exponent << stored | (whole & ((1u << stored) - 1u)));
}

static double unpack16(format f, uint16_t bits)
{
    const int stored = f.digits - 1;
    const unsigned fraction = bits & ((1u << stored) - 1u);
    const unsigned exponent = (bits & 0x7fffu) >> stored;
    const double sign = (bits & 0x8000u) != 0u ? -1.0 : 1.0;
    if (exponent == (1u << (15 - stored)) - 1u) {
        return fraction != 0u ? (double)NAN : copysign((double)INFINITY, sign);
    }
    if (exponent == 0u) {
        return sign * ldexp((double)fraction, f.least - stored);
    }
    return sign * ldexp((double)(fraction | 1u << stored), (int)exponent - 1 + f.least - stored);
}

/* The bytes of one element of any type. */
typedef union element {
    float f32;
    double f64;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    uint8_t u8;
    uint32_t u32;
    uint16_t bits16;
} element;

double number_get(anymps_dtype dtype, const void *at)
{
    element e = {.f64 = 0.0};
    memcpy(&e, at, anymps_dtype_bytes(dtype));
    switch ((int)dtype) {
    case ANYMPS_DTYPE_F32: return (double)e.f32;
    case ANYMPS_DTYPE_F64: return e.f64;
    case ANYMPS_DTYPE_I8: return e.i8;
    case ANYMPS_DTYPE_I16: return e.i16;
    case ANYMPS_DTYPE_I32: return e.i32;
    case ANYMPS_DTYPE_U8: return e.u8;
    case ANYMPS_DTYPE_U32: return e.u32;
    case ANYMPS_DTYPE_F16:
    case ANYMPS_DTYPE_BF16: return unpack16(format_of(dtype), e.bits16);
    default: return (double)NAN;
    }
}

void number_put(anymps_dtype dtype, void *at, double value)
{
    const double rounded = number_round(dtype, value);
    element e = {.f64 = 0.0};
    switch ((int)dtype) {
    case ANYMPS_DTYPE_F32: e.f32 = (float)rounded; break;
    case ANYMPS_DTYPE_F64: e.f64 = rounded; break;
    case ANYMPS_DTYPE_I8: e.i8 = (int8_t)rounded; break;
    case ANYMPS_DTYPE_I16: e.i16 = (int16_t)rounded; break;
    case ANYMPS_DTYPE_I32: e.i32 = (int32_t)rounded; break;
    case ANYMPS_DTYPE_U8: e.u8 = (uint8_t)rounded; break;
    case ANYMPS_DTYPE_U32: e.u32 = (uint32_t)rounded; break;
    case ANYMPS_DTYPE_F16:
    case ANYMPS_DTYPE_BF16: e.bits16 = pack16(format_of(dtype), rounded); break;
    default: return;
    }
    memcpy(at, &e, anymps_dtype_bytes(dtype));
}

/* The bound allows every value of [exact - slack, exact + slack]; may, or must, that be infinity? */
static bool near_infinity(format f, double exact, double slack, double got)
{
    const double limit = largest(f) + ldexp(1.0, f.greatest - f.digits); /* rounds to infinity from here */
    return signbit(got) == signbit(exact) && fabs(exact) + slack >= limit;
}

static bool near_float(anymps_dtype dtype, double got, double exact, double bound)
{
    const format f = format_of(dtype);
    if (isnan(exact) || isnan(got)) {
        return isnan(exact) && isnan(got);
    }
    if (isinf(exact)) {
        return isinf(got) && signbit(got) == signbit(exact);
    }
    if (isinf(got)) {
        return near_infinity(f, exact, bound, got);
    }
    /* An f32 bound includes the last rounding, except below the normal range. */
    const double rounding =
        dtype == ANYMPS_DTYPE_F32 ? number_half_ulp(dtype, 0.0) : number_half_ulp(dtype, fabs(exact) + bound);
    return fabs(got - exact) <= bound + rounding;
}

bool number_near(anymps_dtype dtype, const void *at, double exact, double bound)
{
    const double got = number_get(dtype, at);
    return number_is_float(dtype) ? near_float(dtype, got, exact, bound) : fabs(got - exact) <= bound;
}

void number_poison(void *at, size_t bytes, unsigned salt)
{
    /* 0x7fc1 … 0x7fff in the upper and lower half-word: a quiet NaN as f16, bf16 and f32. */
    unsigned char *const out = at;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned low = 0xc1u + (unsigned)((i / 2 + salt) % 61u);
        out[i] = (unsigned char)(i % 2 == 0 ? low : 0x7fu);
    }
}
