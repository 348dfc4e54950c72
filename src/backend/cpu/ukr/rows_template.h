/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_template.h: the row microkernels over a vector type that the including file defines. Each file
 * rows__<isa>.c defines VF, VW and the v_ functions below and includes this, which includes rows_softmax.h,
 * rows_norm.h, rows_neuron.h, rows_dot.h and rows_dot8.h and ends in the table; the instruction sets differ in nothing else.
 * docs/numerics.md derives the bounds.
 *
 *     VF, VH             a vector of VW floats; one of VW 16-bit elements
 *     v_set(x)  v_load(p)  v_store(p, v)  v_stream(p, v)     the last: past the caches, p a multiple of a vector
 *     v_load_part(p, n, fill)  v_store_part(p, v, n)     the first n < VW elements
 *     h_load(p)  h_store(p, h)  h_stream(p, h)  v_of_f16(h)  v_of_bf16(h)  v_of_i16(h)  v_to_f16(v)  v_to_bf16(v)
 *     v_add v_sub v_mul v_div   v_fma(a, b, c) = a*b + c   v_fnma(a, b, c) = c - a*b
 *     v_max(a, b) = a > b ? a : b     v_min(a, b) = a < b ? a : b     (b if one is NaN)
 *     v_fold_add(v), v_fold_max(v): over the lanes, the upper half onto the lower until one is left
 *     v_lt(a, b, yes, no) = a < b ? yes : no     v_abs     v_sign(magnitude, x): magnitude with x's sign
 *     v_scale(p, n) = p * 2^n in one rounding, n integral in [-151, 129]; anything where n is outside of it
 *     v_mul_error(a, b, p) = a*b - p, p = a*b rounded; 0 where p or a factor is near overflow
 *     V_UNFUSED 1: v_fma rounds twice
 *     V_PICKS 1: v_pick(table, place) = table[last five bits of place's]; v_pick_power(table, place): the number whose
 *             bits are those of table[the same] + place * 2^18
 *             0: that would be slow
 *     V_MASKS 1: h_load_part(p, n), zeros behind, h_store_part(p, h, n); v_first(v, n, fill): the first n lanes of v, others
 *             `fill`; b_load_part of rows_dot8.h
 *             0: that would be slow
 *     V_PAIRS 1: v_pair_of_bf16(p, pair), v_pair_to_bf16(p, pair): 2 * VW elements, the even and the odd ones in a vector each
 *     v_prefetch(p): to the second level of the caches     v_fence(): streamed stores are visible to others
 *     ISA_NAME, ROWS_TABLE, and what rows_dot8.h names
 *
 * Every loop has whole vectors first and one partial vector last (streamed ones a partial one first, up to a whole
 * address), and an element's result depends on the row alone.
 */
#ifndef AMPS_ROWS_TEMPLATE_H
#define AMPS_ROWS_TEMPLATE_H

#include "backend/cpu/ukr/half.h"
#include "backend/cpu/ukr/ukr.h"

#if V_PICKS
#include "backend/cpu/ukr/row_tables.h"
#endif

/* Functions that take a constant function or flag and must be specialised for it. */
#define V_INLINE static inline __attribute__((always_inline))

/* ---- elements of any type --------------------------------------------------------------------------- */

V_INLINE size_t type_bytes(amps_row_type type)
{
    return type == AMPS_ROW_F32 ? sizeof(float) : sizeof(uint16_t);
}

V_INLINE const unsigned char *element_at(const void *p, size_t j, amps_row_type type)
{
    return (const unsigned char *)p + j * type_bytes(type);
}

V_INLINE VF v_of_half(VH h, amps_row_type type)
{
    return type == AMPS_ROW_F16 ? v_of_f16(h) : type == AMPS_ROW_BF16 ? v_of_bf16(h) : v_of_i16(h);
}

/* Elements j … j + count - 1 of a row as f32, count <= VW; the other lanes are `fill`. */
V_INLINE VF e_load(const void *p, size_t j, size_t count, amps_row_type type, float fill)
{
    const unsigned char *const at = element_at(p, j, type);
    if (type == AMPS_ROW_F32) {
        const float *const f = (const float *)(const void *)at;
        return count == VW ? v_load(f) : v_load_part(f, count, fill);
    }
    if (count == VW) {
        return v_of_half(h_load(at), type);
    }
#if V_MASKS
    return v_first(v_of_half(h_load_part(at, count), type), count, fill);
#else
    uint16_t half[VW] = {0};
    float wide[VW];
    __builtin_memcpy(half, at, 2 * count);
    v_store(wide, v_of_half(h_load(half), type));
    return v_load_part(wide, count, fill);
#endif
}

V_INLINE void e_store(void *p, size_t j, VF v, size_t count, amps_row_type type, int stream)
{
    unsigned char *const at = (unsigned char *)p + j * type_bytes(type);
    if (type == AMPS_ROW_F32) {
        float *const f = (float *)(void *)at;
        if (count != VW) {
            v_store_part(f, v, count);
        } else if (stream) {
            v_stream(f, v);
        } else {
            v_store(f, v);
        }
        return;
    }
    const VH half = type == AMPS_ROW_F16 ? v_to_f16(v) : v_to_bf16(v);
    if (count != VW) {
#if V_MASKS
        h_store_part(at, half, count);
#else
        uint16_t lanes[VW];
        h_store(lanes, half);
        __builtin_memcpy(at, lanes, 2 * count);
#endif
    } else if (stream) {
        h_stream(at, half);
    } else {
        h_store(at, half);
    }
}

/* One element, for the plain loops that rare rows take. */
static double element(const void *p, size_t j, amps_row_type type)
{
    float value;
    uint16_t half;
    const unsigned char *const at = element_at(p, j, type);
    if (type == AMPS_ROW_F32) {
        __builtin_memcpy(&value, at, sizeof value);
        return (double)value;
    }
    __builtin_memcpy(&half, at, sizeof half);
    return (double)(type == AMPS_ROW_F16 ? amps_f32_of_f16(half) : amps_f32_of_bf16(half));
}

static void put_element(void *p, size_t j, amps_row_type type, float value)
{
    unsigned char *const at = (unsigned char *)p + j * type_bytes(type);
    if (type == AMPS_ROW_F32) {
        __builtin_memcpy(at, &value, sizeof value);
        return;
    }
    const uint16_t half = type == AMPS_ROW_F16 ? amps_f16_of_f32(value) : amps_bf16_of_f32(value);
    __builtin_memcpy(at, &half, sizeof half);
}

/* Elements j … j + count - 1 of a result; count <= VW. */
typedef VF (*row_former)(const amps_row *row, const void *by, size_t j, size_t count, amps_row_type type);

/* Elements before the first address of y that suits a streamed vector. */
V_INLINE size_t unaligned_head(const amps_row *row, amps_row_type type)
{
    const size_t vector = VW * type_bytes(type);
    const size_t head = (vector - (uintptr_t)row->y % vector) % vector / type_bytes(type);
    return head < row->n ? head : row->n;
}

/* Forms y. `given` is copied, and `by` is a local variable of the caller's: the compiler must see that no store
   changes what the loops read from them. */
V_INLINE void form_typed(const amps_row *given, row_former f, const void *by, amps_row_type type, int stream)
{
    const amps_row row = *given;
    size_t j = 0;
    if (stream) {
        j = unaligned_head(given, type);
        if (j > 0) {
            e_store(row.y, 0, f(&row, by, 0, j, type), j, type, 0);
        }
    }
    if (row.next != NULL) {
        for (; j + VW <= row.n; j += VW) {
            v_prefetch(element_at(row.next, j, type));
            e_store(row.y, j, f(&row, by, j, VW, type), VW, type, stream);
        }
    }
    for (; j + VW <= row.n; j += VW) {
        e_store(row.y, j, f(&row, by, j, VW, type), VW, type, stream);
    }
    if (j < row.n) {
        e_store(row.y, j, f(&row, by, j, row.n - j, type), row.n - j, type, 0);
    }
}

V_INLINE void form(const amps_row *row, row_former f, const void *by, amps_row_type type)
{
    if (row->stream) {
        form_typed(row, f, by, type, 1);
    } else {
        form_typed(row, f, by, type, 0);
    }
}

/* ---- exp and ln --------------------------------------------------------------------------------- */

/* x = n * ln 2 + r, |r| <= ln 2 / 2. Adding 1.5 * 2^23 leaves no room for a fraction, so that the sum is rounded to an
   integer. ln 2 is split so that n * high is exact. */
V_INLINE VF v_exp_reduce(VF x, VF *n)
{
    const VF no_fraction = v_set(0x1.8p23f);
    *n = v_sub(v_fma(x, v_set(1.44269504f), no_fraction), no_fraction);
    return v_fnma(*n, v_set(-2.12194440e-4f), v_fnma(*n, v_set(0.693359375f), x));
}

/* exp(r) - 1: a Chebyshev interpolation of degree 6, error 2e-9. */
V_INLINE VF v_exp_polynomial(VF r)
{
    VF q = v_fma(v_set(0.0013926927f), r, v_set(0.008363774f));
    q = v_fma(q, r, v_set(0.04166655f));
    q = v_fma(q, r, v_set(0.16666573f));
    q = v_fma(q, r, v_set(0.5f));
    return v_fma(v_mul(r, r), q, r);
}

/* exp(x) = 2^n * exp(r). Results below 2^-126 are rounded once; exp below exp(-104) is 0, above exp(88.73) infinity.
   The error over all f32 is checked by tests/unit/test_cpu_rows.c. */
V_INLINE VF v_exp_clipped(VF clipped)
{
    VF n;
    const VF p = v_exp_polynomial(v_exp_reduce(clipped, &n));
    return v_scale(v_add(p, v_set(1.0f)), n);
}

V_INLINE VF v_exp(VF x)
{
    return v_exp_clipped(v_min(v_set(89.0f), v_max(v_set(-104.0f), x)));
}

/* For x <= 0 or NaN. */
V_INLINE VF v_exp_negative(VF x)
{
    return v_exp_clipped(v_max(v_set(-104.0f), x));
}

/* exp(x) - 1 for x <= 0, without cancellation: 2^n * p + (2^n - 1). */
V_INLINE VF v_expm1_negative(VF x)
{
    VF n;
    const VF p = v_exp_polynomial(v_exp_reduce(v_min(v_set(0.0f), v_max(v_set(-104.0f), x)), &n));
    const VF power = v_scale(v_set(1.0f), n);
    return v_fma(power, p, v_sub(power, v_set(1.0f)));
}

/* ln(1 + u) for u in [0, 1]: 2*atanh(s) with s = u / (2 + u), an odd polynomial, error 4e-10. */
V_INLINE VF v_log1p(VF u)
{
    const VF s = v_div(u, v_add(v_set(2.0f), u));
    const VF z = v_mul(s, s);
    VF q = v_fma(v_set(0.116151534f), z, v_set(0.10852707f));
    q = v_fma(q, z, v_set(0.14296214f));
    q = v_fma(q, z, v_set(0.19999853f));
    q = v_fma(q, z, v_set(0.33333334f));
    const VF twice = v_add(s, s);
    return v_fma(v_mul(twice, z), q, twice);
}

/* ln(x) of one positive normal double or NaN: x = m * 2^e with m in [1/sqrt 2, sqrt 2), then
   2*atanh((m - 1)/(m + 1)) by its series, |s| <= 0.172, ten terms: error 1e-15. */
static double log_of(double x)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    if (!(x > 0)) {
        return x - x + x; /* NaN */
    }
    const uint64_t root_half = UINT64_C(0x3fe6a09e667f3bcd);
    const uint64_t fraction = (UINT64_C(1) << 52) - 1;
    const uint64_t above = bits - root_half;
    const int64_t e = (int64_t)above >> 52;
    bits = (above & fraction) + root_half;
    double m;
    __builtin_memcpy(&m, &bits, sizeof m);
    const double s = (m - 1) / (m + 1);
    const double z = s * s;
    double series = 0;
    for (int k = 19; k >= 1; k -= 2) {
        series = series * z + 1.0 / k;
    }
    return 2 * s * series + (double)e * 0.69314718055994530942;
}

#include "backend/cpu/ukr/rows_softmax.h"

#include "backend/cpu/ukr/rows_norm.h"

#include "backend/cpu/ukr/rows_neuron.h"

#include "backend/cpu/ukr/rows_dot.h"

#include "backend/cpu/ukr/rows_dot8.h"

/* ---- elementwise -------------------------------------------------------------------------------- */

static void exponential(const float *x, float *y, size_t n)
{
    for (size_t j = 0; j < n; j += VW) {
        const size_t count = n - j < VW ? n - j : VW;
        e_store(y, j, v_exp(e_load(x, j, count, AMPS_ROW_F32, 0.0f)), count, AMPS_ROW_F32, 0);
    }
}

V_INLINE VF former_sum(const amps_row *row, const void *z, size_t j, size_t count, amps_row_type type)
{
    return v_add(e_load(row->x, j, count, type, 0.0f), e_load(z, j, count, type, 0.0f));
}

static void add(const amps_row *row, const void *z)
{
    switch (row->type) {
    case AMPS_ROW_F32: form(row, former_sum, z, AMPS_ROW_F32); break;
    case AMPS_ROW_F16: form(row, former_sum, z, AMPS_ROW_F16); break;
    case AMPS_ROW_BF16: form(row, former_sum, z, AMPS_ROW_BF16); break;
    case AMPS_ROW_I16: break;
    }
}

V_INLINE void convert(const void *x, amps_row_type from, void *y, amps_row_type to, size_t n)
{
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        e_store(y, j, e_load(x, j, VW, from, 0.0f), VW, to, 0);
    }
    if (j < n) {
        e_store(y, j, e_load(x, j, n - j, from, 0.0f), n - j, to, 0);
    }
}

static void f16_to_f32(const void *x, float *y, size_t n)
{
    convert(x, AMPS_ROW_F16, y, AMPS_ROW_F32, n);
}

static void bf16_to_f32(const void *x, float *y, size_t n)
{
    convert(x, AMPS_ROW_BF16, y, AMPS_ROW_F32, n);
}

static void f32_to_f16(const float *x, void *y, size_t n)
{
    convert(x, AMPS_ROW_F32, y, AMPS_ROW_F16, n);
}

static void f32_to_bf16(const float *x, void *y, size_t n)
{
    convert(x, AMPS_ROW_F32, y, AMPS_ROW_BF16, n);
}

static void fence(void)
{
    v_fence();
}

const amps_row_ukr ROWS_TABLE = {
    .name = ISA_NAME,
    .f16_to_f32 = f16_to_f32,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .f32_to_bf16 = f32_to_bf16,
    .exponential = exponential,
    .add = add,
    .softmax = softmax,
    .log_softmax = log_softmax,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .neuron_row = neuron_row,
    .neuron = neuron,
    .dot16 = dot16,
    .row16 = row16,
    .dot8 = dot8,
    .row8 = row8,
    .fence = fence,
};

#endif /* AMPS_ROWS_TEMPLATE_H */
