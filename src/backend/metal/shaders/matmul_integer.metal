// SPDX-License-Identifier: Apache-2.0
// matmul_integer.metal: result = alpha * op(left) * op(right) + beta * result for i8 operands and an i32 result.
// The sum is exact modulo 2^32. Factors other than 1 act as the host's doubles do, which MSL lacks: each
// product and the sum of both are rounded to 53 bits, then to the nearest integer, ties to even, and clamped.
// 128 threads make a tile of 32 x 32. Launched by metal_gemm.c with the grid {columns / 32, rows / 32, batch}.

struct integer_params {
    ulong left_row, left_column, left_matrix; // elements between rows, columns, matrices of op(left)
    ulong right_row, right_column, right_matrix;
    ulong result_row, result_matrix;
    ulong alpha, beta; // the bits of the doubles
    uint rows, columns, interior;
    uint has_beta; // 0: the result is not read
    uint plain;    // 1: alpha is 1 and beta 0 or 1; everything modulo 2^32
};

// (-1)^negative * mantissa * 2^exponent; mantissa 0 or of exactly 53 bits. `special` 1: infinity, 2: NaN.
struct wide {
    ulong mantissa;
    int exponent;
    uint negative;
    uint special;
};

static inline int leading_zeros(ulong x)
{
    const uint high = uint(x >> 32);
    return high != 0 ? int(clz(high)) : 32 + int(clz(uint(x)));
}

// The 128-bit number high:low * 2^exponent rounded to 53 bits, ties to even.
static inline wide round_to_53(ulong high, ulong low, int exponent, uint negative)
{
    wide r;
    r.negative = negative;
    r.special = 0;
    if (high == 0 && low == 0) {
        r.mantissa = 0;
        r.exponent = 0;
        return r;
    }
    // Shift left until the highest bit is bit 127, then keep 53 bits of the upper word.
    int shift = high != 0 ? leading_zeros(high) : 64 + leading_zeros(low);
    if (shift >= 64) {
        high = low;
        low = 0;
        exponent -= 64;
        shift -= 64;
    }
    if (shift > 0) {
        high = (high << uint(shift)) | (low >> uint(64 - shift));
        low = low << uint(shift);
        exponent -= shift;
    }
    r.mantissa = high >> 11;
    r.exponent = exponent + 64 + 11;
    const ulong rest = high & 0x7fful;
    const bool up = rest > 0x400ul || (rest == 0x400ul && (low != 0 || (r.mantissa & 1ul) != 0));
    r.mantissa += up ? 1ul : 0ul;
    if ((r.mantissa >> 53) != 0) {
        r.mantissa >>= 1;
        r.exponent += 1;
    }
    return r;
}

// factor * value, the factor given by the bits of a double.
static inline wide times(ulong factor, int value)
{
    const uint field = uint(factor >> 52) & 0x7ffu;
    const ulong fraction = factor & 0xffffffffffffful;
    const uint negative = uint(factor >> 63) ^ (value < 0 ? 1u : 0u);
    wide r;
    if (field == 0x7ffu) {
        r.mantissa = 0;
        r.exponent = 0;
        r.negative = negative;
        r.special = fraction != 0 || value == 0 ? 2u : 1u;
        return r;
    }
    const ulong mantissa = field != 0 ? fraction | 0x10000000000000ul : fraction;
    const int exponent = int(field != 0 ? field : 1u) - 1075;
    const ulong size = value < 0 ? ulong(-long(value)) : ulong(value);
    const ulong lower = (mantissa & 0xfffffffful) * size;
    const ulong upper = (mantissa >> 32) * size;
    const ulong low = lower + (upper << 32);
    const ulong high = (upper >> 32) + (low < lower ? 1ul : 0ul);
    return round_to_53(high, low, exponent, negative);
}

static inline wide plus(wide x, wide y)
{
    if (x.special != 0 || y.special != 0) {
        wide r = x.special != 0 ? x : y;
        r.special = x.special + y.special > 2 || (x.special == 1 && y.special == 1 && x.negative != y.negative) ? 2u
                                                                                                            : r.special;
        return r;
    }
    if (x.mantissa == 0 || y.mantissa == 0) {
        return x.mantissa == 0 ? y : x;
    }
    if (x.exponent < y.exponent || (x.exponent == y.exponent && x.mantissa < y.mantissa)) {
        const wide other = x;
        x = y;
        y = other;
    }
    // x << 73 and y << (73 - distance) in 128 bits; what of y falls off below is one sticky bit.
    const int distance = x.exponent - y.exponent;
    const ulong x_high = x.mantissa << 9;
    ulong y_high = 0, y_low = 1;
    if (distance <= 9) {
        y_high = y.mantissa << uint(9 - distance);
        y_low = 0;
    } else if (distance <= 73) {
        const uint up = uint(73 - distance); // 0 to 63
        y_high = up != 0 ? y.mantissa >> (64 - up) : 0;
        y_low = y.mantissa << up;
    }
    if (x.negative == y.negative) {
        return round_to_53(x_high + y_high, y_low, x.exponent - 73, x.negative);
    }
    const ulong low = 0ul - y_low;
    return round_to_53(x_high - y_high - (y_low != 0 ? 1ul : 0ul), low, x.exponent - 73, x.negative);
}

static inline int to_integer(wide x)
{
    if (x.special == 2 || (x.special == 0 && x.mantissa == 0)) {
        return 0;
    }
    const ulong limit = x.negative != 0 ? 0x80000000ul : 0x7ffffffful;
    ulong size = limit;
    if (x.special == 0 && x.exponent < -20) { // else 2^32 or more
        const uint down = uint(-x.exponent);
        if (down > 53) {
            size = 0;
        } else {
            const ulong half_unit = 1ul << (down - 1);
            const ulong rest = x.mantissa & ((half_unit << 1) - 1);
            size = x.mantissa >> down;
            size += rest > half_unit || (rest == half_unit && (size & 1ul) != 0) ? 1ul : 0ul;
        }
        size = size < limit ? size : limit;
    }
    return int(x.negative != 0 ? uint(0) - uint(size) : uint(size));
}

static inline void finish(device uchar *result, constant integer_params &p, uint3 group, uint i, uint j, uint sum)
{
    const uint row = group.y * 32 + i;
    const uint column = group.x * 32 + j;
    if (row >= p.rows || column >= p.columns) {
        return;
    }
    device int *at = (device int *)result + (ulong(group.z) * p.result_matrix + ulong(row) * p.result_row + column);
    const int before = p.has_beta != 0 ? *at : 0;
    if (p.plain != 0) {
        *at = int(sum + uint(before));
        return;
    }
    wide y = times(p.alpha, int(sum));
    if (p.has_beta != 0) {
        y = plus(y, times(p.beta, before));
    }
    *at = to_integer(y);
}

kernel void matmul_i8_i32(device const uchar *left [[buffer(0)]],
                          device const uchar *right [[buffer(1)]],
                          device uchar *result [[buffer(2)]],
                          constant integer_params &p [[buffer(3)]],
                          uint3 group [[threadgroup_position_in_grid]],
                          uint index [[thread_index_in_threadgroup]])
{
    threadgroup int left_tile[512];
    threadgroup int right_tile[512];
    device const char *l = (device const char *)left + ulong(group.z) * p.left_matrix;
    device const char *r = (device const char *)right + ulong(group.z) * p.right_matrix;
    const uint j = index % 32;
    const uint top = index / 32 * 8;
    uint sum[8];
    for (uint i = 0; i < 8; i++) {
        sum[i] = 0;
    }
    for (uint first = 0; first < p.interior; first += 16) {
        for (uint at = index; at < 512; at += 128) {
            const uint row = group.y * 32 + at / 16;
            const uint k = first + at % 16;
            const bool inside = row < p.rows && k < p.interior;
            left_tile[at] = inside ? int(l[ulong(row) * p.left_row + ulong(k) * p.left_column]) : 0;
        }
        for (uint at = index; at < 512; at += 128) {
            const uint k = first + at / 32;
            const uint column = group.x * 32 + at % 32;
            const bool inside = column < p.columns && k < p.interior;
            right_tile[at] = inside ? int(r[ulong(k) * p.right_row + ulong(column) * p.right_column]) : 0;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint k = 0; k < 16; k++) {
            for (uint i = 0; i < 8; i++) {
                sum[i] += uint(left_tile[(top + i) * 16 + k] * right_tile[k * 32 + j]);
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    for (uint i = 0; i < 8; i++) {
        finish(result, p, group, top + i, j, sum[i]);
    }
}
