/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_elements.c: src/io/elements.c rounds once and to nearest even.
 *
 * The narrow floats are checked against the definition: between every two neighbours of the type, the midpoint
 * (exact in double) goes to the even one and the doubles beside it to the nearer one.
 */
#include "expect.h"
#include "io/elements.h"

#include <math.h>
#include <string.h>

static double one(anymps_dtype from, uint64_t raw, anymps_dtype to)
{
    uint64_t out = 0;
    amps_convert(from, false, &raw, to, &out, 1);
    double value;
    amps_convert(to, false, &out, ANYMPS_DTYPE_F64, &value, 1);
    return value;
}

static uint64_t narrow_bits(double value, anymps_dtype to)
{
    uint64_t out = 0;
    amps_convert(ANYMPS_DTYPE_F64, false, &value, to, &out, 1);
    return out;
}

static double wide(uint32_t bits, anymps_dtype from)
{
    const uint16_t half = (uint16_t)bits;
    double value;
    amps_convert(from, false, &half, ANYMPS_DTYPE_F64, &value, 1);
    return value;
}

/* The value of a narrow float by the definition of the format, independent of the code under test. */
static double defined(uint32_t bits, int exponent_bits, int mantissa_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const int mantissa = (int)bits & ((1 << mantissa_bits) - 1);
    const double size = exponent == 0 ? ldexp(mantissa, 1 - bias - mantissa_bits)
                                      : ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    return (bits >> 15) != 0 ? -size : size;
}

static void check_narrow(anymps_dtype type, int exponent_bits, int mantissa_bits)
{
    const uint32_t infinity = ((1u << exponent_bits) - 1) << mantissa_bits;
    for (uint32_t bits = 0; bits < infinity; bits++) {
        const double low = wide(bits, type);
        const uint32_t up = bits + 1;
        /* The largest finite number's upper neighbour is where the next one would be. */
        const double high = defined(up, exponent_bits, mantissa_bits);
        const double middle = (low + high) / 2;
        const uint32_t even = (bits & 1) == 0 ? bits : up;
        bool right = low == defined(bits, exponent_bits, mantissa_bits);
        right = right && narrow_bits(low, type) == bits && narrow_bits(-low, type) == (bits | 0x8000);
        right = right && narrow_bits(middle, type) == even && narrow_bits(-middle, type) == (even | 0x8000);
        right = right && narrow_bits(nextafter(middle, low), type) == bits &&
                narrow_bits(nextafter(middle, high), type) == up;
        if (!right) {
            (void)expect_true(false, __FILE__, __LINE__, "%s: bits %04x round wrongly", anymps_dtype_name(type),
                              (unsigned)bits);
        }
    }
    EXPECT(narrow_bits((double)INFINITY, type) == infinity &&
           narrow_bits(-(double)INFINITY, type) == (infinity | 0x8000));
    EXPECT(narrow_bits(1e300, type) == infinity && narrow_bits(5e-324, type) == 0);
    for (uint32_t payload = 1; payload < 1u << mantissa_bits; payload++) {
        const uint64_t back = narrow_bits(wide(infinity | payload, type), type);
        if (!isnan(wide(infinity | payload, type)) || (back & 0x7fff) <= infinity) {
            (void)expect_true(false, __FILE__, __LINE__, "%s: NaN %04x is lost", anymps_dtype_name(type),
                              (unsigned)payload);
        }
    }
}

/* Doubles that lie so near the middle of two floats that a detour by f32 would round them twice. */
static void check_no_double_rounding(void)
{
    const double tie = 1.0 + 0x1p-11; /* middle of two f16 numbers */
    EXPECT(narrow_bits(tie + 0x1p-40, ANYMPS_DTYPE_F16) == 0x3c01);
    EXPECT(narrow_bits(tie - 0x1p-40, ANYMPS_DTYPE_F16) == 0x3c00);
    EXPECT(narrow_bits(1.0 + 0x1p-8 + 0x1p-40, ANYMPS_DTYPE_BF16) == 0x3f81);
    /* 2^60 + 2^36 is the middle of two f32 numbers; one more decides. */
    EXPECT(one(ANYMPS_DTYPE_I64, ((uint64_t)1 << 60) + ((uint64_t)1 << 36), ANYMPS_DTYPE_F32) == 0x1p60);
    EXPECT(one(ANYMPS_DTYPE_I64, ((uint64_t)1 << 60) + ((uint64_t)1 << 36) + 1, ANYMPS_DTYPE_F32) == 0x1p60 + 0x1p37);
    EXPECT(one(ANYMPS_DTYPE_U64, ((uint64_t)1 << 63) + ((uint64_t)1 << 55) + 1, ANYMPS_DTYPE_BF16) == 0x1p63 + 0x1p56);
    EXPECT(one(ANYMPS_DTYPE_U64, UINT64_MAX, ANYMPS_DTYPE_F32) == 0x1p64);
    EXPECT(one(ANYMPS_DTYPE_I64, (uint64_t)INT64_MIN, ANYMPS_DTYPE_F32) == -0x1p63);
}

static uint64_t to_integer(double value, anymps_dtype to)
{
    uint64_t out = 0;
    amps_convert(ANYMPS_DTYPE_F64, false, &value, to, &out, 1);
    return out;
}

static void check_integers(void)
{
    EXPECT(to_integer(2.5, ANYMPS_DTYPE_I8) == 2 && to_integer(3.5, ANYMPS_DTYPE_I8) == 4);
    EXPECT(to_integer(-2.5, ANYMPS_DTYPE_I8) == 0xfe && to_integer(-1e9, ANYMPS_DTYPE_I8) == 0x80);
    EXPECT(to_integer(1e9, ANYMPS_DTYPE_I8) == 0x7f && to_integer(-3.0, ANYMPS_DTYPE_U8) == 0);
    EXPECT(to_integer(300.0, ANYMPS_DTYPE_U8) == 255 && to_integer((double)NAN, ANYMPS_DTYPE_I32) == 0);
    EXPECT(to_integer((double)INFINITY, ANYMPS_DTYPE_I64) == INT64_MAX);
    EXPECT(to_integer(-(double)INFINITY, ANYMPS_DTYPE_I64) == (uint64_t)INT64_MIN);
    EXPECT(to_integer(0x1p64, ANYMPS_DTYPE_U64) == UINT64_MAX && to_integer(0x1p63, ANYMPS_DTYPE_U64) == (uint64_t)1
                                                                                                             << 63);
    EXPECT(to_integer(0.0, ANYMPS_DTYPE_BOOL) == 0 && to_integer(-0.5, ANYMPS_DTYPE_BOOL) == 1);
    EXPECT(to_integer((double)NAN, ANYMPS_DTYPE_BOOL) == 1);
    EXPECT(one(ANYMPS_DTYPE_I16, 0x8000, ANYMPS_DTYPE_I8) == -128 &&
           one(ANYMPS_DTYPE_I16, 0x8000, ANYMPS_DTYPE_U32) == 0);
    EXPECT(one(ANYMPS_DTYPE_U32, 0xffffffff, ANYMPS_DTYPE_I32) == 0x7fffffff);
    EXPECT(one(ANYMPS_DTYPE_BOOL, 7, ANYMPS_DTYPE_F32) == 1.0 && one(ANYMPS_DTYPE_I8, 0xff, ANYMPS_DTYPE_F16) == -1.0);
    EXPECT(one(ANYMPS_DTYPE_I32, 0x80000000, ANYMPS_DTYPE_F64) == -0x1p31);
}

/* The loops of whole models give what the general path gives, which is seen through swapped elements. */
static void check_same_as_general(void)
{
    static const anymps_dtype pairs[][2] = {
        {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F16},
        {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_BF16},
        {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F32},
    };
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
        const size_t bytes = anymps_dtype_bytes(pairs[p][0]);
        for (uint64_t i = 0; i < 200000; i++) {
            const uint64_t raw = (i * 0x9e3779b97f4a7c15u) >> (64 - 8 * bytes);
            uint64_t swapped = 0, plain = 0, general = 0;
            for (size_t b = 0; b < bytes; b++) {
                swapped |= (raw >> (8 * b) & 0xff) << (8 * (bytes - 1 - b));
            }
            amps_convert(pairs[p][0], false, &raw, pairs[p][1], &plain, 1);
            amps_convert(pairs[p][0], true, &swapped, pairs[p][1], &general, 1);
            if (plain != general) {
                (void)expect_true(false, __FILE__, __LINE__, "%s %llx to %s: %llx, not %llx",
                                  anymps_dtype_name(pairs[p][0]), (unsigned long long)raw,
                                  anymps_dtype_name(pairs[p][1]), (unsigned long long)plain,
                                  (unsigned long long)general);
                return;
            }
        }
    }
}

int main(void)
{
    check_narrow(ANYMPS_DTYPE_F16, 5, 10);
    check_narrow(ANYMPS_DTYPE_BF16, 8, 7);
    check_no_double_rounding();
    check_integers();
    check_same_as_general();
    return expect_result("elements");
}
