/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elements.c: element types into one another with one rounding. See elements.h.
 *
 * Called by load.c (reading) and write.c (bf16 into .npy). An element becomes a `number`, exactly, and
 * then its bits in the other type. The pairs that whole models are converted with have loops of their
 * own. Knows nothing of files.
 */
#include "io/elements.h"

#include <math.h>
#include <string.h>

/* Exponent and mantissa bits of the types that C lacks. */
typedef struct narrow_format {
    unsigned exponent_bits;
    unsigned mantissa_bits;
} narrow_format;

static const narrow_format f16_format = {5, 10};
static const narrow_format bf16_format = {8, 7};

/* ---- Narrow floats ----------------------------------------------------------------------------- */

static uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double bits_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int format_bias(narrow_format f)
{
    return (1 << (f.exponent_bits - 1)) - 1;
}

/* Exact; a NaN keeps its payload. */
static double widen(uint16_t bits, narrow_format f)
{
    const uint64_t sign = (uint64_t)(bits >> 15) << 63;
    const uint64_t mantissa = bits & ((1u << f.mantissa_bits) - 1);
    const unsigned top = (1u << f.exponent_bits) - 1;
    const unsigned exponent = ((unsigned)bits >> f.mantissa_bits) & top;
    const uint64_t aligned = mantissa << (52 - f.mantissa_bits);
    if (exponent == top) {
        return bits_double(sign | 0x7ff0000000000000u | aligned);
    }
    if (exponent == 0) {
        /* Subnormal: mantissa units of the last place, which is a power of two and normal in double. */
        const double unit = ldexp(1.0, 1 - format_bias(f) - (int)f.mantissa_bits);
        return bits_double(sign | double_bits((double)mantissa * unit));
    }
    return bits_double(sign | (uint64_t)((int)exponent - format_bias(f) + 1023) << 52 | aligned);
}

/* Rounds to nearest even; a NaN stays one. */
static uint16_t narrow(double value, narrow_format f)
{
    const uint64_t bits = double_bits(value);
    const uint64_t magnitude = bits & 0x7fffffffffffffffu;
    const uint64_t sign = (bits >> 63) << 15;
    const uint64_t infinity = (uint64_t)((1u << f.exponent_bits) - 1) << f.mantissa_bits;
    if (magnitude > 0x7ff0000000000000u) {
        const uint64_t payload = magnitude >> (52 - f.mantissa_bits) & ((1u << f.mantissa_bits) - 1);
        return (uint16_t)(sign | infinity | 1u << (f.mantissa_bits - 1) | payload);
    }
    const int exponent = (int)(magnitude >> 52) - 1023;
    const int smallest = 1 - format_bias(f); /* exponent of the smallest normal number */
    const bool subnormal = exponent < smallest;
    const unsigned drop = 52 - f.mantissa_bits + (subnormal ? (unsigned)(smallest - exponent) : 0u);
    if (drop >= 54) {
        return (uint16_t)sign; /* below half of the smallest subnormal; double's own subnormals too */
    }
    const uint64_t significand = (magnitude & 0xfffffffffffffu) | 0x10000000000000u;
    const uint64_t rest = significand & (((uint64_t)1 << drop) - 1);
    const uint64_t half = (uint64_t)1 << (drop - 1);
    uint64_t quotient = significand >> drop;
    quotient += rest > half || (rest == half && (quotient & 1) != 0) ? 1 : 0;
    /* A normal quotient still has its leading one, which adds 1 to the exponent field; a carry out of
       the mantissa does the same. */
    const uint64_t field = subnormal ? 0 : (uint64_t)(exponent - smallest) << f.mantissa_bits;
    const uint64_t result = field + quotient;
    return (uint16_t)(sign | (result < infinity ? result : infinity));
}

/* ---- One element ------------------------------------------------------------------------------- */

/* An element's exact value. */
typedef struct number {
    bool integer;
    bool negative;      /* integer only */
    uint64_t magnitude; /* integer only */
    double real;
} number;

static number real_number(double value)
{
    return (number){.real = value};
}

static number signed_number(int64_t value)
{
    const bool negative = value < 0;
    return (number){
        .integer = true, .negative = negative, .magnitude = negative ? 0 - (uint64_t)value : (uint64_t)value};
}

static int64_t sign_extend(uint64_t raw, size_t bits)
{
    const uint64_t top = (uint64_t)1 << (bits - 1);
    return (int64_t)((raw ^ top) - top);
}

static number decode(anymps_dtype dtype, uint64_t raw)
{
    float f32;
    const uint32_t low = (uint32_t)raw;
    switch (dtype) {
    case ANYMPS_DTYPE_F16: return real_number(widen((uint16_t)raw, f16_format));
    case ANYMPS_DTYPE_BF16: return real_number(widen((uint16_t)raw, bf16_format));
    case ANYMPS_DTYPE_F32: memcpy(&f32, &low, sizeof f32); return real_number((double)f32);
    case ANYMPS_DTYPE_F64: return real_number(bits_double(raw));
    case ANYMPS_DTYPE_I8:
    case ANYMPS_DTYPE_I16:
    case ANYMPS_DTYPE_I32:
    case ANYMPS_DTYPE_I64: return signed_number(sign_extend(raw, anymps_dtype_bits(dtype)));
    case ANYMPS_DTYPE_BOOL: return (number){.integer = true, .magnitude = raw != 0 ? 1 : 0};
    default: return (number){.integer = true, .magnitude = raw};
    }
}

/*
 * An integer as a double that rounds to every type of at most 40 significant bits as the integer itself
 * would: beyond 53 bits the low 11 bits are cut off and their presence is kept in the last bit that stays
 * (rounding to odd), far below what those types see.
 */
static double sticky_double(number n)
{
    uint64_t magnitude = n.magnitude;
    if (magnitude >> 53 != 0 && (magnitude & 0x7ff) != 0) {
        magnitude = (magnitude & ~(uint64_t)0x7ff) | 0x800;
    }
    return n.negative ? -(double)magnitude : (double)magnitude;
}

static double as_f64(number n)
{
    if (!n.integer) {
        return n.real;
    }
    return n.negative ? -(double)n.magnitude : (double)n.magnitude;
}

static uint64_t as_f32_bits(number n)
{
    const float value = (float)(n.integer ? sticky_double(n) : n.real);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* To [-lowest, highest], magnitudes of a `bits`-bit integer type; two's complement. */
static uint64_t as_integer(number n, bool is_signed, size_t bits)
{
    const uint64_t all = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    const uint64_t highest = is_signed ? all >> 1 : all;
    const uint64_t lowest = is_signed ? highest + 1 : 0;
    if (!n.integer) {
        const double rounded = rint(n.real); /* to nearest even */
        n.negative = rounded < 0.0;
        const double magnitude = fabs(rounded);
        n.magnitude = isnan(magnitude) ? 0 : magnitude < 18446744073709551616.0 ? (uint64_t)magnitude : UINT64_MAX;
    }
    const uint64_t limit = n.negative ? lowest : highest;
    const uint64_t clamped = n.magnitude < limit ? n.magnitude : limit;
    return (n.negative ? 0 - clamped : clamped) & all;
}

static uint64_t encode(anymps_dtype dtype, number n)
{
    switch (dtype) {
    case ANYMPS_DTYPE_F16: return narrow(n.integer ? sticky_double(n) : n.real, f16_format);
    case ANYMPS_DTYPE_BF16: return narrow(n.integer ? sticky_double(n) : n.real, bf16_format);
    case ANYMPS_DTYPE_F32: return as_f32_bits(n);
    case ANYMPS_DTYPE_F64: return double_bits(as_f64(n));
    case ANYMPS_DTYPE_BOOL:
        return (n.integer ? n.magnitude != 0 : n.real < 0.0 || n.real > 0.0 || isnan(n.real)) ? 1 : 0;
    case ANYMPS_DTYPE_I8:
    case ANYMPS_DTYPE_I16:
    case ANYMPS_DTYPE_I32:
    case ANYMPS_DTYPE_I64: return as_integer(n, true, anymps_dtype_bits(dtype));
    default: return as_integer(n, false, anymps_dtype_bits(dtype));
    }
}

/* ---- Runs of elements -------------------------------------------------------------------------- */

static uint64_t load_raw(const unsigned char *at, size_t bytes, bool swapped)
{
    uint64_t raw = 0;
    for (size_t i = 0; i < bytes; i++) {
        raw |= (uint64_t)at[swapped ? bytes - 1 - i : i] << (8 * i);
    }
    return raw;
}

static void store_raw(unsigned char *at, size_t bytes, uint64_t raw)
{
    memcpy(at, &raw, bytes); /* the host is little-endian (file.h) */
}

static void f32_to_narrow(const unsigned char *source, unsigned char *result, size_t count, narrow_format f)
{
    for (size_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, source + i * sizeof value, sizeof value);
        const uint16_t bits = narrow((double)value, f);
        memcpy(result + i * sizeof bits, &bits, sizeof bits);
    }
}

static void bf16_to_f32(const unsigned char *source, unsigned char *result, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, source + i * sizeof bits, sizeof bits);
        const uint32_t quiet = (bits & 0x7fffu) > 0x7f80u ? 0x400000u : 0u; /* a signalling NaN, as IEEE 754 has it */
        const uint32_t wide = (uint32_t)bits << 16 | quiet;
        memcpy(result + i * sizeof wide, &wide, sizeof wide);
    }
}

void amps_convert(anymps_dtype from, bool swapped, const void *source, anymps_dtype to, void *result, size_t count)
{
    const unsigned char *const in = source;
    unsigned char *const out = result;
    const size_t from_bytes = anymps_dtype_bytes(from);
    const size_t to_bytes = anymps_dtype_bytes(to);
    if (from == to && !swapped) {
        memcpy(out, in, count * from_bytes);
    } else if (from == to) {
        for (size_t i = 0; i < count; i++) {
            store_raw(out + i * to_bytes, to_bytes, load_raw(in + i * from_bytes, from_bytes, true));
        }
    } else if (from == ANYMPS_DTYPE_F32 && !swapped && (to == ANYMPS_DTYPE_F16 || to == ANYMPS_DTYPE_BF16)) {
        f32_to_narrow(in, out, count, to == ANYMPS_DTYPE_F16 ? f16_format : bf16_format);
    } else if (from == ANYMPS_DTYPE_BF16 && !swapped && to == ANYMPS_DTYPE_F32) {
        bf16_to_f32(in, out, count);
    } else {
        for (size_t i = 0; i < count; i++) {
            const uint64_t raw = load_raw(in + i * from_bytes, from_bytes, swapped);
            store_raw(out + i * to_bytes, to_bytes, encode(to, decode(from, raw)));
        }
    }
}
