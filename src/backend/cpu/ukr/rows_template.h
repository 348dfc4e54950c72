/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_template.h: the row microkernels over a vector type that the including file defines. Each file
 * rows__<isa>.c defines VF, VW and the v_ functions below and includes this, which ends in its table; the
 * instruction sets differ in nothing else. docs/numerics.md derives the bounds.
 *
 *     VF                 a vector of VW floats
 *     v_set(x)  v_load(p)  v_store(p, v)
 *     v_load_part(p, n, fill)  v_store_part(p, v, n)     the first n < VW elements
 *     v_add v_sub v_mul v_div   v_fma(a, b, c) = a*b + c   v_fnma(a, b, c) = c - a*b
 *     v_max(a, b) = a > b ? a : b     v_min(a, b) = a < b ? a : b     (b if one is NaN)
 *     v_lt(a, b, yes, no) = a < b ? yes : no     v_abs     v_sign(magnitude, x): magnitude with x's sign
 *     v_scale(p, n) = p * 2^n in one rounding, n integral in [-151, 129]
 *     v_mul_error(a, b, p) = a*b - p, p = a*b rounded; 0 where p or a factor is near overflow
 *     f16_to_f32, f32_to_f16, ISA_NAME
 *
 * Every loop has whole vectors first and one partial vector last, so that an element's result depends on
 * the row alone. The file is longer than 600 lines because all of them share the vector and the exponential,
 * and the including file must see them at once.
 */
#ifndef AMPS_ROWS_TEMPLATE_H
#define AMPS_ROWS_TEMPLATE_H

#include "backend/cpu/ukr/half.h"
#include "backend/cpu/ukr/ukr.h"

/* Functions that take a constant function or flag and must be specialised for it. */
#define V_INLINE static inline __attribute__((always_inline))

/* ---- lanes -------------------------------------------------------------------------------------- */

/* The sum of the lanes: halves onto halves, a fixed order. */
V_INLINE float v_fold_add(VF v)
{
    float lane[VW];
    v_store(lane, v);
    for (size_t half = VW / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            lane[i] += lane[i + half];
        }
    }
    return lane[0];
}

V_INLINE float v_fold_max(VF v)
{
    float lane[VW];
    v_store(lane, v);
    for (size_t i = 1; i < VW; i++) {
        lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    }
    return lane[0];
}

/* ---- exp and ln --------------------------------------------------------------------------------- */

/* The reduction and polynomial that exp and expm1 share: exp(x) = 2^n * (1 + p). Adding 1.5 * 2^23 leaves no
   room for a fraction, so that the sum is rounded to an integer. ln 2 is split so that n * high is exact;
   |r| <= ln 2 / 2; the polynomial is a Chebyshev interpolation of degree 6, error 2e-9. */
V_INLINE VF v_exp_core(VF clipped, VF low, VF *n)
{
    const VF no_fraction = v_set(0x1.8p23f);
    *n = v_sub(v_fma(clipped, v_set(1.44269504f), no_fraction), no_fraction);
    VF r = v_fnma(*n, v_set(0.693359375f), clipped);
    r = v_add(v_fnma(*n, v_set(-2.12194440e-4f), r), low);
    VF q = v_fma(v_set(0.0013926927f), r, v_set(0.008363774f));
    q = v_fma(q, r, v_set(0.04166655f));
    q = v_fma(q, r, v_set(0.16666573f));
    q = v_fma(q, r, v_set(0.5f));
    return v_fma(v_mul(r, r), q, r);
}

/*
 * 2^lift * exp(x + low), |low| at most some units in the last place of x. Results below 2^-126 are rounded
 * once; exp below exp(-104) is 0, above exp(88.73) infinity. The error over all f32 is checked by
 * tests/unit/test_cpu_rows.c.
 */
V_INLINE VF v_exp_lifted(VF x, VF low, float lift)
{
    VF n;
    const VF clipped = v_min(v_set(89.0f), v_max(v_set(-104.0f), x));
    const VF p = v_exp_core(clipped, low, &n);
    return v_scale(v_add(p, v_set(1.0f)), lift == 0.0f ? n : v_add(n, v_set(lift)));
}

V_INLINE VF v_exp_sum(VF x, VF low)
{
    return v_exp_lifted(x, low, 0.0f);
}

V_INLINE VF v_exp(VF x)
{
    return v_exp_sum(x, v_set(0.0f));
}

/* exp(x) - 1 for x <= 0, without cancellation: 2^n * p + (2^n - 1). */
V_INLINE VF v_expm1_negative(VF x)
{
    VF n;
    const VF p = v_exp_core(v_min(v_set(0.0f), v_max(v_set(-104.0f), x)), v_set(0.0f), &n);
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

/* ---- softmax ------------------------------------------------------------------------------------ */

/* The scale as two floats, and the element that gives the row's largest scale*x. */
typedef struct shift {
    float scale, scale_low, extreme;
} shift;

/* The largest (or smallest) element; NaN may be passed over, it shows in the sum. */
V_INLINE float row_extreme(const float *x, size_t n, float sign)
{
    const VF factor = v_set(sign);
    const float lowest = -__builtin_inff();
    VF m[4] = {v_set(lowest), v_set(lowest), v_set(lowest), v_set(lowest)};
    size_t j = 0;
    for (; j + 4 * VW <= n; j += 4 * VW) {
        for (size_t u = 0; u < 4; u++) {
            m[u] = v_max(v_mul(factor, v_load(x + j + u * VW)), m[u]);
        }
    }
    for (; j + VW <= n; j += VW) {
        m[0] = v_max(v_mul(factor, v_load(x + j)), m[0]);
    }
    if (j < n) {
        m[1] = v_max(v_mul(factor, v_load_part(x + j, n - j, sign * lowest)), m[1]);
    }
    return sign * v_fold_max(v_max(v_max(m[0], m[1]), v_max(m[2], m[3])));
}

static shift find_shift(const float *x, size_t n, double scale)
{
    const float high = (float)scale;
    return (shift){.scale = high,
                   .scale_low = (float)(scale - (double)high),
                   .extreme = row_extreme(x, n, scale < 0 ? -1.0f : 1.0f)};
}

/*
 * scale * (x - extreme) as t + *low, exact but for the rounding of *low: a rounded difference alone would
 * cost the exponential up to 64 units in the last place. The difference is split by Knuth's two-sum. *low
 * is NaN where t is infinite.
 */
V_INLINE VF v_shifted(VF x, const shift *by, int unit, VF *low)
{
    const VF m = v_set(by->extreme);
    const VF d = v_sub(x, m);
    const VF back = v_sub(d, x);
    const VF d_low = v_sub(v_sub(x, v_sub(d, back)), v_add(m, back));
    if (unit) {
        *low = d_low;
        return d;
    }
    const VF s = v_set(by->scale);
    const VF t = v_mul(s, d);
    *low = v_fma(v_set(by->scale_low), d, v_fma(s, d_low, v_mul_error(s, d, t)));
    return t;
}

/* The terms of softmax are kept times 2^24, so that the smallest (exp(-104) = 2^-150) is not yet subnormal
   and a result is rounded once, when the sum divides it. */
#define TERM_LIFT 24.0f
#define TERM_FACTOR 0x1p24

V_INLINE VF v_shifted_exp(VF x, const shift *by, int unit)
{
    VF low;
    const VF t = v_shifted(x, by, unit, &low);
    return v_lt(t, v_set(-104.0f), v_set(0.0f), v_exp_lifted(t, low, TERM_LIFT));
}

/* sum_k of the lifted terms exp(scale*(x[k] - extreme)); the terms go to y if `keep`. */
V_INLINE float exp_row(const float *x, float *y, size_t n, const shift *by, int unit, int keep)
{
    VF sum = v_set(0.0f);
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        const VF e = v_shifted_exp(v_load(x + j), by, unit);
        sum = v_add(sum, e);
        if (keep) {
            v_store(y + j, e);
        }
    }
    if (j < n) {
        float last[VW];
        v_store(last, v_shifted_exp(v_load_part(x + j, n - j, 0.0f), by, unit));
        const VF e = v_load_part(last, n - j, 0.0f);
        sum = v_add(sum, e);
        if (keep) {
            v_store_part(y + j, e, n - j);
        }
    }
    return v_fold_add(sum);
}

static void multiply_row(float *y, size_t n, float factor)
{
    const VF f = v_set(factor);
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        v_store(y + j, v_mul(v_load(y + j), f));
    }
    if (j < n) {
        v_store_part(y + j, v_mul(v_load_part(y + j, n - j, 0.0f), f), n - j);
    }
}

static void softmax(const float *x, float *y, size_t n, double scale)
{
    const shift by = find_shift(x, n, scale);
    const float sum = scale == 1.0 ? exp_row(x, y, n, &by, 1, 1) : exp_row(x, y, n, &by, 0, 1);
    multiply_row(y, n, 1.0f / sum);
}

/* t - logarithm + low. Where t is infinite its low part counts for nothing, and perhaps only the difference
   overflowed: scale*x - scale*extreme may still be finite. */
V_INLINE VF v_log_result(VF x, const shift *by, int unit, VF logarithm)
{
    VF low;
    const VF infinite = v_set(__builtin_inff());
    VF t = v_shifted(x, by, unit, &low);
    const VF size = v_abs(t);
    const VF counts = v_lt(size, infinite, low, v_set(0.0f));
    if (!unit) {
        const VF scale = v_set(by->scale);
        t = v_lt(size, infinite, t, v_sub(v_mul(scale, x), v_mul(scale, v_set(by->extreme))));
    }
    return v_add(v_sub(t, logarithm), counts);
}

V_INLINE void log_softmax_row(const float *x, float *y, size_t n, const shift *by, int unit)
{
    const double sum = (double)exp_row(x, NULL, n, by, unit, 0) / TERM_FACTOR;
    const VF logarithm = v_set((float)log_of(sum));
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        v_store(y + j, v_log_result(v_load(x + j), by, unit, logarithm));
    }
    if (j < n) {
        v_store_part(y + j, v_log_result(v_load_part(x + j, n - j, 0.0f), by, unit, logarithm), n - j);
    }
}

static void log_softmax(const float *x, float *y, size_t n, double scale)
{
    const shift by = find_shift(x, n, scale);
    if (scale == 1.0) {
        log_softmax_row(x, y, n, &by, 1);
    } else {
        log_softmax_row(x, y, n, &by, 0);
    }
}

/* ---- norms -------------------------------------------------------------------------------------- */

/* Sums whose f32 form may have lost something: squares that overflow, or so small that they were rounded as
   subnormals (each off by up to 2^-150, so that 2^30 of them stay below 2^-30 of 2^-90). */
static int square_sum_is_safe(float sum, double epsilon)
{
    return sum < 0x1p126f && (sum > 0x1p-90f || epsilon > 0x1p-60);
}

/* The same in double, for rows that are not safe: plain loops. */
static void normalise_double(const float *x, const float *weight, const float *bias, float *y, size_t n,
                             double mean, double epsilon)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++) {
        const double d = (double)x[j] - mean;
        sum += d * d;
    }
    const double root = __builtin_sqrt(sum / (double)n + epsilon);
    for (size_t j = 0; j < n; j++) {
        const double normalized = ((double)x[j] - mean) / root;
        const double weighted = weight != NULL ? normalized * (double)weight[j] : normalized;
        y[j] = (float)(bias != NULL ? weighted + (double)bias[j] : weighted);
    }
}

/* Sums over the row of d = x - mean and of d*d; four of each, so that additions do not wait. */
V_INLINE void difference_sums(const float *x, size_t n, float mean, int centred, float *sum, float *squares)
{
    const VF m = v_set(mean);
    VF s[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    VF q[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    size_t j = 0;
    for (; j + 4 * VW <= n; j += 4 * VW) {
        for (size_t u = 0; u < 4; u++) {
            const VF v = v_load(x + j + u * VW);
            const VF d = centred ? v_sub(v, m) : v;
            q[u] = v_fma(d, d, q[u]);
            s[u] = centred ? v_add(s[u], d) : s[u];
        }
    }
    for (size_t u = 0; j < n; j += VW, u++) {
        const VF v = n - j < VW ? v_load_part(x + j, n - j, mean) : v_load(x + j);
        const VF d = centred ? v_sub(v, m) : v;
        q[u] = v_fma(d, d, q[u]);
        s[u] = centred ? v_add(s[u], d) : s[u];
    }
    *sum = v_fold_add(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
    *squares = v_fold_add(v_add(v_add(q[0], q[1]), v_add(q[2], q[3])));
}

/* ((x - mean)*factor - offset) * weight + bias of one vector. */
typedef struct affine {
    float mean, factor, offset;
} affine;

V_INLINE VF v_affine(VF x, const affine *by, int centred)
{
    if (!centred) {
        return v_mul(x, v_set(by->factor));
    }
    return v_sub(v_mul(v_sub(x, v_set(by->mean)), v_set(by->factor)), v_set(by->offset));
}

V_INLINE void affine_row(const float *x, const float *weight, const float *bias, float *y, size_t n,
                         const affine *by, int centred)
{
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        VF v = v_affine(v_load(x + j), by, centred);
        v = weight != NULL ? v_mul(v, v_load(weight + j)) : v;
        v_store(y + j, bias != NULL ? v_add(v, v_load(bias + j)) : v);
    }
    if (j < n) {
        const size_t rest = n - j;
        VF v = v_affine(v_load_part(x + j, rest, 0.0f), by, centred);
        v = weight != NULL ? v_mul(v, v_load_part(weight + j, rest, 0.0f)) : v;
        v_store_part(y + j, bias != NULL ? v_add(v, v_load_part(bias + j, rest, 0.0f)) : v, rest);
    }
}

/* affine_row, specialised for what is given, so that the loops hold no question. */
V_INLINE void apply_affine(const float *x, const float *weight, const float *bias, float *y, size_t n,
                           const affine *by, int centred)
{
    if (weight != NULL && bias != NULL) {
        affine_row(x, weight, bias, y, n, by, centred);
    } else if (weight != NULL) {
        affine_row(x, weight, NULL, y, n, by, centred);
    } else if (bias != NULL) {
        affine_row(x, NULL, bias, y, n, by, centred);
    } else {
        affine_row(x, NULL, NULL, y, n, by, centred);
    }
}

static void rms_norm(const float *x, const float *weight, const float *bias, float *y, size_t n,
                     double epsilon)
{
    float sum;
    float squares;
    difference_sums(x, n, 0.0f, 0, &sum, &squares);
    if (!square_sum_is_safe(squares, epsilon)) {
        normalise_double(x, weight, bias, y, n, 0, epsilon);
        return;
    }
    const double mean_square = (double)squares / (double)n;
    const affine by = {.factor = (float)(1 / __builtin_sqrt(mean_square + epsilon))};
    apply_affine(x, weight, bias, y, n, &by, 0);
}

static float sum_row(const float *x, size_t n)
{
    VF s[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    size_t j = 0;
    for (; j + 4 * VW <= n; j += 4 * VW) {
        for (size_t u = 0; u < 4; u++) {
            s[u] = v_add(s[u], v_load(x + j + u * VW));
        }
    }
    for (size_t u = 0; j < n; j += VW, u++) {
        s[u] = v_add(s[u], n - j < VW ? v_load_part(x + j, n - j, 0.0f) : v_load(x + j));
    }
    return v_fold_add(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
}

static double mean_double(const float *x, size_t n)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++) {
        sum += (double)x[j];
    }
    return sum / (double)n;
}

/* The mean is taken in f32 and corrected by the mean of the differences from it, which are small. */
static void layer_norm(const float *x, const float *weight, const float *bias, float *y, size_t n,
                       double epsilon)
{
    const float mean = (float)((double)sum_row(x, n) / (double)n);
    float sum;
    float squares;
    difference_sums(x, n, mean, 1, &sum, &squares);
    if (!square_sum_is_safe(squares, epsilon)) {
        normalise_double(x, weight, bias, y, n, mean_double(x, n), epsilon);
        return;
    }
    const double offset = (double)sum / (double)n;
    const double variance = (double)squares / (double)n - offset * offset;
    const double factor = 1 / __builtin_sqrt((variance > 0 ? variance : 0) + epsilon);
    const affine by = {.mean = mean, .factor = (float)factor, .offset = (float)(offset * factor)};
    apply_affine(x, weight, bias, y, n, &by, 1);
}

/* ---- neurons ------------------------------------------------------------------------------------ */

typedef VF (*neuron_function)(const amps_neuron_params *p, VF x, VF slope);

/* 1 / (1 + exp(-x)) by the exponential that cannot overflow. */
V_INLINE VF v_sigmoid(VF x)
{
    const VF one = v_set(1.0f);
    const VF e = v_exp(v_sub(v_set(0.0f), v_abs(x)));
    return v_div(v_lt(x, v_set(0.0f), e, one), v_add(one, e));
}

V_INLINE VF n_none(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return x;
}

V_INLINE VF n_relu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)slope;
    return v_lt(x, v_set(0.0f), v_mul(v_set(p->a), x), x);
}

V_INLINE VF n_linear(const amps_neuron_params *p, VF x, VF slope)
{
    (void)slope;
    return v_fma(v_set(p->a), x, v_set(p->b));
}

V_INLINE VF n_sigmoid(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return v_sigmoid(x);
}

V_INLINE VF n_hard_sigmoid(const amps_neuron_params *p, VF x, VF slope)
{
    (void)slope;
    const VF line = v_fma(v_set(p->a), x, v_set(p->b));
    return v_min(v_set(1.0f), v_max(v_set(0.0f), line));
}

/* tanh: an odd polynomial up to 0.625 (error 1e-9), beyond it (1 - e)/(1 + e) with e = exp(-2|z|). */
V_INLINE VF n_tanh(const amps_neuron_params *p, VF x, VF slope)
{
    (void)slope;
    const VF z = v_mul(v_set(p->b), x);
    const VF size = v_abs(z);
    const VF square = v_mul(z, z);
    VF q = v_fma(v_set(0.0022149002f), square, v_set(-0.008272454f));
    q = v_fma(q, square, v_set(0.021746187f));
    q = v_fma(q, square, v_set(-0.05395635f));
    q = v_fma(q, square, v_set(0.13333291f));
    q = v_fma(q, square, v_set(-0.33333334f));
    const VF small = v_fma(v_mul(z, square), q, z);
    const VF e = v_exp(v_mul(v_set(-2.0f), size));
    const VF large = v_div(v_sub(v_set(1.0f), e), v_add(v_set(1.0f), e));
    return v_mul(v_set(p->a), v_lt(size, v_set(0.625f), small, v_sign(large, z)));
}

V_INLINE VF n_absolute(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return v_abs(x);
}

V_INLINE VF n_soft_plus(const amps_neuron_params *p, VF x, VF slope)
{
    (void)slope;
    const VF z = v_mul(v_set(p->b), x);
    const VF e = v_exp(v_sub(v_set(0.0f), v_abs(z)));
    return v_mul(v_set(p->a), v_add(v_max(v_set(0.0f), z), v_log1p(e)));
}

V_INLINE VF n_soft_sign(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return v_div(x, v_add(v_set(1.0f), v_abs(x)));
}

V_INLINE VF n_elu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)slope;
    return v_lt(x, v_set(0.0f), v_mul(v_set(p->a), v_expm1_negative(x)), x);
}

V_INLINE VF n_prelu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    return v_lt(x, v_set(0.0f), v_mul(slope, x), x);
}

V_INLINE VF n_relun(const amps_neuron_params *p, VF x, VF slope)
{
    return v_min(v_set(p->b), n_relu(p, x, slope));
}

/*
 * x * phi(x), phi the normal distribution: its tail is exp(-x^2/2) * R(|x|) with R smooth, here t times a
 * polynomial in t = 1/(1 + 0.3|x|), error 5e-9. The square's low part goes into the exponential. From 15 on
 * the tail is 0 in f32.
 */
V_INLINE VF n_gelu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    const VF size = v_abs(x);
    const VF t = v_div(v_set(1.0f), v_fma(v_set(0.3f), size, v_set(1.0f)));
    VF q = v_fma(v_set(-0.02098467f), t, v_set(0.114402115f));
    q = v_fma(q, t, v_set(-0.23283549f));
    q = v_fma(q, t, v_set(0.19792165f));
    q = v_fma(q, t, v_set(-0.084481284f));
    q = v_fma(q, t, v_set(0.09883084f));
    q = v_fma(q, t, v_set(0.07748577f));
    q = v_fma(q, t, v_set(0.1104232f));
    q = v_fma(q, t, v_set(0.11955012f));
    q = v_fma(q, t, v_set(0.11968775f));
    const VF square = v_mul(x, x);
    const VF half = v_set(-0.5f);
    const VF e = v_exp_sum(v_mul(half, square), v_mul(half, v_mul_error(x, x, square)));
    const VF tail = v_lt(size, v_set(15.0f), v_mul(e, v_mul(q, t)), v_set(0.0f));
    return v_mul(x, v_lt(x, v_set(0.0f), tail, v_sub(v_set(1.0f), tail)));
}

/* (1 + tanh z)/2 = sigmoid(2z), z = sqrt(2/pi) * (x + 0.044715 x^3). */
V_INLINE VF n_gelu_tanh(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    const VF cubic = v_fma(v_mul(x, x), v_set(0.044715f), v_set(1.0f));
    return v_mul(x, v_sigmoid(v_mul(v_mul(v_set(1.59576912f), x), cubic)));
}

V_INLINE VF n_silu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return v_mul(x, v_sigmoid(x));
}

V_INLINE void neuron_loop(const amps_neuron_params *p, const float *x, const float *bias, const float *prelu,
                          float *y, size_t n, neuron_function f)
{
    const VF alpha = v_set(p->alpha);
    const VF zero = v_set(0.0f);
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        const VF v = v_load(x + j);
        const VF argument = bias != NULL ? v_fma(alpha, v, v_load(bias + j)) : v_mul(alpha, v);
        v_store(y + j, f(p, argument, prelu != NULL ? v_load(prelu + j) : zero));
    }
    if (j < n) {
        const size_t rest = n - j;
        const VF v = v_load_part(x + j, rest, 0.0f);
        const VF argument = bias != NULL ? v_fma(alpha, v, v_load_part(bias + j, rest, 0.0f)) : v_mul(alpha, v);
        const VF slope = prelu != NULL ? v_load_part(prelu + j, rest, 0.0f) : zero;
        v_store_part(y + j, f(p, argument, slope), rest);
    }
}

/* Powers and logarithms to any base are rare and stay with libm. */
static void neuron(const amps_neuron_params *p, const float *x, const float *bias, const float *prelu,
                   float *y, size_t n)
{
    switch (p->type) {
    case AMPS_UKR_RELU: neuron_loop(p, x, bias, prelu, y, n, n_relu); break;
    case AMPS_UKR_LINEAR: neuron_loop(p, x, bias, prelu, y, n, n_linear); break;
    case AMPS_UKR_SIGMOID: neuron_loop(p, x, bias, prelu, y, n, n_sigmoid); break;
    case AMPS_UKR_HARD_SIGMOID: neuron_loop(p, x, bias, prelu, y, n, n_hard_sigmoid); break;
    case AMPS_UKR_TANH: neuron_loop(p, x, bias, prelu, y, n, n_tanh); break;
    case AMPS_UKR_ABSOLUTE: neuron_loop(p, x, bias, prelu, y, n, n_absolute); break;
    case AMPS_UKR_SOFT_PLUS: neuron_loop(p, x, bias, prelu, y, n, n_soft_plus); break;
    case AMPS_UKR_SOFT_SIGN: neuron_loop(p, x, bias, prelu, y, n, n_soft_sign); break;
    case AMPS_UKR_ELU: neuron_loop(p, x, bias, prelu, y, n, n_elu); break;
    case AMPS_UKR_PRELU: neuron_loop(p, x, bias, prelu, y, n, n_prelu); break;
    case AMPS_UKR_RELUN: neuron_loop(p, x, bias, prelu, y, n, n_relun); break;
    case AMPS_UKR_GELU: neuron_loop(p, x, bias, prelu, y, n, n_gelu); break;
    case AMPS_UKR_GELU_TANH: neuron_loop(p, x, bias, prelu, y, n, n_gelu_tanh); break;
    case AMPS_UKR_SILU: neuron_loop(p, x, bias, prelu, y, n, n_silu); break;
    case AMPS_UKR_POWER:
    case AMPS_UKR_EXPONENTIAL:
    case AMPS_UKR_LOGARITHM: amps_row_ukr_reference.neuron(p, x, bias, prelu, y, n); break;
    case AMPS_UKR_NONE:
    case AMPS_UKR_NEURON_COUNT: neuron_loop(p, x, bias, prelu, y, n, n_none); break;
    }
}

/* ---- elementwise -------------------------------------------------------------------------------- */

static void exponential(const float *x, float *y, size_t n)
{
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        v_store(y + j, v_exp(v_load(x + j)));
    }
    if (j < n) {
        v_store_part(y + j, v_exp(v_load_part(x + j, n - j, 0.0f)), n - j);
    }
}

static void add(const float *x, const float *z, float *y, size_t n)
{
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        v_store(y + j, v_add(v_load(x + j), v_load(z + j)));
    }
    if (j < n) {
        v_store_part(y + j, v_add(v_load_part(x + j, n - j, 0.0f), v_load_part(z + j, n - j, 0.0f)), n - j);
    }
}

/* Shifts and additions on 32-bit lanes, which the compiler turns into vectors by itself. */
static void bf16_to_f32(const void *x, float *y, size_t n)
{
    const unsigned char *const from = x;
    for (size_t j = 0; j < n; j++) {
        uint16_t bits;
        __builtin_memcpy(&bits, from + 2 * j, sizeof bits);
        y[j] = amps_f32_of_bf16(bits);
    }
}

static void f32_to_bf16(const float *x, void *y, size_t n)
{
    unsigned char *const to = y;
    for (size_t j = 0; j < n; j++) {
        const uint16_t bits = amps_bf16_of_f32(x[j]);
        __builtin_memcpy(to + 2 * j, &bits, sizeof bits);
    }
}

#endif /* AMPS_ROWS_TEMPLATE_H */
