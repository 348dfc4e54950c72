/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_softmax.h: softmax and log_softmax of rows, a part of rows_template.h, which includes it after the exponential. A
 * row goes through three passes: its largest element; the terms and their sum; the results. Rows that follow one
 * another are worked on together, so that memory is read and written all the time while the exponential computes:
 *
 *     one loop:   | row i + 1: largest element | row i: terms | row i - 1: results |
 *
 * Nearly all rows are near 0, where an argument is reduced without subtracting the largest one first. The others take
 * their passes one by one, and subtract in two parts. docs/numerics.md derives both.
 */
#ifndef AMPS_ROWS_SOFTMAX_H
#define AMPS_ROWS_SOFTMAX_H

typedef enum softmax_kind { SOFTMAX, LOG_SOFTMAX } softmax_kind;

/* The scale as two floats. */
typedef struct scale_parts {
    float high, low;
} scale_parts;

V_INLINE VF v_further(VF a, VF b, int smallest)
{
    return smallest ? v_min(a, b) : v_max(a, b);
}

V_INLINE float fold_further(VF v, int smallest)
{
    return smallest ? -v_fold_max(v_sub(v_set(0.0f), v)) : v_fold_max(v);
}

/* The largest (or smallest) element, which gives the largest scale*x; NaN may be passed over, it shows in the sum. */
V_INLINE float row_extreme(const void *x, size_t n, amps_row_type type, int smallest)
{
    const float none = smallest ? __builtin_inff() : -__builtin_inff();
    VF m[4] = {v_set(none), v_set(none), v_set(none), v_set(none)};
    size_t j = 0;
    for (; j + 4 * VW <= n; j += 4 * VW) {
        for (size_t u = 0; u < 4; u++) {
            m[u] = v_further(e_load(x, j + u * VW, VW, type, none), m[u], smallest);
        }
    }
    for (; j + VW <= n; j += VW) {
        m[0] = v_further(e_load(x, j, VW, type, none), m[0], smallest);
    }
    if (j < n) {
        m[1] = v_further(e_load(x, j, n - j, type, none), m[1], smallest);
    }
    return fold_further(v_further(v_further(m[0], m[1], smallest), v_further(m[2], m[3], smallest), smallest), smallest);
}

/* The terms of softmax are kept times 2^24, so that the smallest (exp(-104) = 2^-150) is not yet subnormal
   and a result is rounded once, when the sum divides it. */
#define TERM_FACTOR 0x1p24f

/* ln 2 in two parts; n times the first is exact. */
#define LN2_HIGH 0.693359375f
#define LN2_LOW (-2.12194440e-4f)

/* ---- rows near 0 ---------------------------------------------------------------------------------- */

/* So far may the largest argument be from 0: n of its reduction times LN2_HIGH is exact, and times the error of LN2_LOW
   below u. */
#define NEAR 4096.0

/*
 * The terms of one near row: exp(t - shift), t = scale*x in two parts, shift a multiple of ln 2 (with tables of ln 2 / 32)
 * next to the largest t. Dividing by exp(shift) only moves the exponent: n of t = n * ln 2 + r comes from adding
 * `adding`, which is the number that leaves no fraction (or 32nds) less shift / ln 2. Below `limit` terms are 0.
 */
typedef struct near_terms {
    float scale, scale_low, adding, limit;
} near_terms;

static int is_near(double top)
{
    return top >= -NEAR && top <= NEAR;
}

static near_terms near_terms_of(double top, const scale_parts *scale)
{
    const double whole = 0x1.8p52;
    const double parts = V_PICKS ? 32 : 1;
    const double room = V_PICKS ? 0x1.8p18 : 0x1.8p23;
    const double n = (top * (parts / 0.69314718055994530942) + whole) - whole;
    return (near_terms){.scale = scale->high,
                        .scale_low = scale->low,
                        .adding = (float)(room - n / parts),
                        .limit = (float)(top - 104)};
}

/* exp(t + low - shift) * TERM_FACTOR for t >= limit; anything below. */
V_INLINE VF v_near_power(const near_terms *by, VF t, VF low, int unit)
{
    const VF place = v_fma(t, v_set(1.44269504f), v_set(by->adding));
    const VF n = v_sub(place, v_set(by->adding));
    VF r = v_fnma(n, v_set(LN2_LOW), v_fnma(n, v_set(LN2_HIGH), t));
    r = unit ? r : v_add(r, low);
#if V_PICKS
    /* |r| <= ln 2 / 64, so that degree 3 is enough (error 6e-10); the last bits of `place` are n's 32nds. */
    const VF p = v_fma(v_mul(r, r), v_fma(r, v_set(0.16666667f), v_set(0.5f)), r);
    const VF power = v_pick_power(power_table, place);
    return v_fma(power, p, power);
#else
    const VF p = v_exp_polynomial(r);
    return v_scale(v_fma(p, v_set(TERM_FACTOR), v_set(TERM_FACTOR)), v_sub(place, v_set(0x1.8p23f)));
#endif
}

V_INLINE VF v_near_term(const near_terms *by, VF x, int unit)
{
    const VF scale = v_set(by->scale);
    const VF t = unit ? x : v_mul(scale, x);
    const VF low = unit ? x : v_fma(v_set(by->scale_low), x, v_mul_error(scale, x, t));
    return v_lt(t, v_set(by->limit), v_set(0.0f), v_near_power(by, t, low, unit));
}

/*
 * What makes results: softmax multiplies the terms by 1 / sum, log_softmax subtracts the logarithm of the sum of all
 * exp(scale*x) from scale*x. Both are in two parts, so that a row of one element gives exactly 1 or 0.
 */
typedef struct results {
    void *y; /* NULL: nothing to be done */
    const void *x;
    float high, low, scale, scale_low;
} results;

/* Of `from`: a term, or an element x. */
V_INLINE VF v_result(const results *of, VF from, softmax_kind kind, int unit)
{
    if (kind == SOFTMAX) {
        const VF high = v_set(of->high), rest = v_mul(from, v_set(of->low));
#if V_UNFUSED
        /* The error of the product counts where its own terms are no subnormals. */
        const VF p = v_mul(from, high);
        return v_add(p, v_add(v_lt(p, v_set(0x1p-90f), v_set(0.0f), v_mul_error(from, high, p)), rest));
#else
        return v_fma(from, high, rest);
#endif
    }
    const VF scale = v_set(of->scale);
    const VF t = unit ? from : v_mul(scale, from);
    const VF d = v_sub(t, v_set(of->high));
    if (unit) {
        return v_sub(d, v_set(of->low));
    }
    /* Where t is infinite its low part is no number. */
    const VF low = v_fma(v_set(of->scale_low), from, v_mul_error(scale, from, t));
    const VF counts = v_lt(v_abs(t), v_set(__builtin_inff()), low, v_set(0.0f));
    return v_add(d, v_sub(counts, v_set(of->low)));
}

V_INLINE VF load_from(const results *of, const float *terms, size_t j, size_t count, amps_row_type type,
                      softmax_kind kind)
{
    return kind == SOFTMAX ? e_load(terms, j, count, AMPS_ROW_F32, 0.0f) : e_load(of->x, j, count, type, 0.0f);
}

/* The three rows of one loop; `next` may be x, if its largest element does not matter. */
typedef struct near_rows {
    const void *x, *next, *after; /* `after` is fetched */
    size_t n;
    float *terms;
    near_terms by;
    results former;
} near_rows;

typedef struct near_sums {
    VF sum, extreme;
} near_sums;

/*
 * Elements j … j + count - 1 of all three. `none`, below which is no element, fills a partial vector: its terms are 0. All
 * loads come before all stores: rows often lie a multiple of 4 KiB apart, and a load waits for an earlier store whose
 * address has the same last 12 bits.
 */
V_INLINE void near_step(const near_rows *rows, near_sums *to, size_t j, size_t count, float none, amps_row_type type,
                        softmax_kind kind, int unit, int stream)
{
    const VF x = e_load(rows->x, j, count, type, none);
    const VF next = e_load(rows->next, j, count, type, none);
    if (rows->former.y != NULL) {
        const VF from = load_from(&rows->former, rows->terms, j, count, type, kind);
        e_store(rows->former.y, j, v_result(&rows->former, from, kind, unit), count, type, stream);
    }
    const VF e = v_near_term(&rows->by, x, unit);
    to->sum = v_add(to->sum, e);
    to->extreme = v_further(next, to->extreme, !unit && rows->by.scale < 0.0f);
    if (kind == SOFTMAX) {
        e_store(rows->terms, j, e, count, AMPS_ROW_F32, 0);
    }
}

/* Returns the sum of the terms; *extreme is the next row's. */
V_INLINE float near_loop(const near_rows *given, float *extreme, amps_row_type type, softmax_kind kind, int unit,
                         int stream)
{
    const near_rows rows = *given;
    const int smallest = !unit && rows.by.scale < 0.0f;
    const float none = smallest ? __builtin_inff() : -__builtin_inff();
    near_sums to = {v_set(0.0f), v_set(none)};
    size_t j = 0;
    for (; j + VW <= rows.n; j += VW) {
        v_prefetch(element_at(rows.after, j, type));
        near_step(&rows, &to, j, VW, none, type, kind, unit, stream);
    }
    if (j < rows.n) {
        near_step(&rows, &to, j, rows.n - j, none, type, kind, unit, 0);
    }
    *extreme = fold_further(to.extreme, smallest);
    return v_fold_add(to.sum);
}

V_INLINE float near_row(const near_rows *rows, float *extreme, amps_row_type type, softmax_kind kind, int stream)
{
    if (rows->by.scale == 1.0f && rows->by.scale_low == 0.0f) {
        return stream ? near_loop(rows, extreme, type, kind, 1, 1) : near_loop(rows, extreme, type, kind, 1, 0);
    }
    return stream ? near_loop(rows, extreme, type, kind, 0, 1) : near_loop(rows, extreme, type, kind, 0, 0);
}

/* The results of the last row, without others. */
V_INLINE void form_results(results *of, const float *terms, size_t n, amps_row_type type, softmax_kind kind)
{
    const results own = *of;
    const int unit = own.scale == 1.0f && own.scale_low == 0.0f;
    size_t j = 0;
    for (; own.y != NULL && j < n; j += VW) {
        const size_t count = n - j < VW ? n - j : VW;
        const VF from = load_from(&own, terms, j, count, type, kind);
        e_store(own.y, j, unit ? v_result(&own, from, kind, 1) : v_result(&own, from, kind, 0), count, type, 0);
    }
    of->y = NULL;
}

/* The sum holds the term of the extreme, whose logarithm is 0 then. Its argument is formed in two parts as v_result forms
   those of elements, so that its own result cancels exactly where the logarithm is 0. */
static results results_of(const near_terms *by, float sum, float extreme, softmax_kind kind)
{
    results of = {.scale = by->scale, .scale_low = by->scale_low};
    if (kind == LOG_SOFTMAX) {
        const int unit = by->scale == 1.0f && by->scale_low == 0.0f;
        const VF x = v_set(extreme), scale = v_set(by->scale), product = v_mul(scale, x);
        const VF rest = v_fma(v_set(by->scale_low), x, v_mul_error(scale, x, product));
        const double t = (double)v_fold_max(product), low = unit ? 0.0 : (double)v_fold_max(rest);
        const float first = v_fold_max(v_near_term(by, x, unit));
        const double logarithm = log_of((double)sum / (double)first);
        of.high = (float)(t + low + logarithm);
        of.low = (float)(t - (double)of.high + low + logarithm);
        return of;
    }
    const double whole = 1 / (double)sum;
    of.high = (float)whole;
    of.low = (float)(whole - (double)of.high);
    return of;
}

/* ---- rows far from 0 -------------------------------------------------------------------------------- */

/* The scale as two floats, and the element that gives the row's largest scale*x. */
typedef struct shift {
    float scale, scale_low, extreme;
} shift;

/*
 * scale * (x - extreme) as t + *low, exact but for the rounding of *low: a rounded difference alone would
 * cost the exponential up to 64 units in the last place. The difference is split by Knuth's two-sum. *low
 * is NaN where t is infinite.
 */
V_INLINE VF v_shifted(VF x, const shift *by, VF *low)
{
    const VF m = v_set(by->extreme);
    const VF d = v_sub(x, m);
    const VF back = v_sub(d, x);
    const VF d_low = v_sub(v_sub(x, v_sub(d, back)), v_add(m, back));
    const VF s = v_set(by->scale);
    const VF t = v_mul(s, d);
    *low = v_fma(v_set(by->scale_low), d, v_fma(s, d_low, v_mul_error(s, d, t)));
    return t;
}

V_INLINE VF v_far_term(VF x, const shift *by)
{
    VF n, low;
    const VF t = v_shifted(x, by, &low);
    const VF p = v_exp_polynomial(v_add(v_exp_reduce(t, &n), low));
    const VF term = v_scale(v_fma(p, v_set(TERM_FACTOR), v_set(TERM_FACTOR)), n);
    return v_lt(t, v_set(-104.0f), v_set(0.0f), term);
}

/* sum_k of the terms exp(scale*(x[k] - extreme)) * TERM_FACTOR; they go to `terms` as well. */
V_INLINE float far_terms(const void *x, size_t n, float *terms, const shift *by, amps_row_type type)
{
    VF sum = v_set(0.0f);
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        const VF e = v_far_term(e_load(x, j, VW, type, 0.0f), by);
        sum = v_add(sum, e);
        v_store(terms + j, e);
    }
    if (j < n) {
        v_store_part(terms + j, v_far_term(e_load(x, j, n - j, type, 0.0f), by), n - j);
        sum = v_add(sum, v_load_part(terms + j, n - j, 0.0f));
    }
    return v_fold_add(sum);
}

/* t - logarithm + low. Where t is infinite its low part counts for nothing, and perhaps only the difference
   overflowed: scale*x - scale*extreme may still be finite. */
V_INLINE VF v_far_logarithm(VF x, const shift *by, float logarithm)
{
    VF low;
    const VF infinite = v_set(__builtin_inff());
    VF t = v_shifted(x, by, &low);
    const VF size = v_abs(t);
    const VF counts = v_lt(size, infinite, low, v_set(0.0f));
    const VF scale = v_set(by->scale);
    t = v_lt(size, infinite, t, v_sub(v_mul(scale, x), v_mul(scale, v_set(by->extreme))));
    return v_add(v_sub(t, v_set(logarithm)), counts);
}

V_INLINE void far_row(const void *x, void *y, size_t n, float *terms, const shift *by, amps_row_type type,
                      softmax_kind kind)
{
    const float sum = far_terms(x, n, terms, by, type);
    const double whole = 1 / (double)sum;
    const results quotient = {.high = (float)whole, .low = (float)(whole - (double)(float)whole)};
    const float logarithm = (float)log_of((double)sum / (double)TERM_FACTOR);
    for (size_t j = 0; j < n; j += VW) {
        const size_t count = n - j < VW ? n - j : VW;
        const VF v = kind == SOFTMAX
                         ? v_result(&quotient, e_load(terms, j, count, AMPS_ROW_F32, 0.0f), SOFTMAX, 1)
                         : v_far_logarithm(e_load(x, j, count, type, 0.0f), by, logarithm);
        e_store(y, j, v, count, type, 0);
    }
}

/* ---- all rows of a call ----------------------------------------------------------------------------- */

/* Can vectors be stored past the caches from the first element of each row on? An element's place in a vector must not
   depend on its address. */
V_INLINE int streams(const amps_row *row, amps_row_type type)
{
    const size_t vector = VW * type_bytes(type);
    return row->stream && (uintptr_t)row->y % vector == 0 && (row->more == 0 || row->y_row_bytes % vector == 0);
}

V_INLINE void softmax_typed(const amps_row *given, double scale, amps_row_type type, softmax_kind kind)
{
    const amps_row row = *given;
    const int stream = streams(&row, type);
    const scale_parts parts = {(float)scale, (float)(scale - (double)(float)scale)};
    const int smallest = scale < 0;
    const unsigned char *x = (const unsigned char *)row.x;
    results former = {.y = NULL};
    float extreme = smallest ? row_extreme(x, row.n, type, 1) : row_extreme(x, row.n, type, 0);
    for (size_t i = 0; i <= row.more; i++, x += row.x_row_bytes) {
        unsigned char *const y = (unsigned char *)row.y + i * row.y_row_bytes;
        const unsigned char *const next = i < row.more ? x + row.x_row_bytes : x;
        const unsigned char *const after = i + 1 < row.more && row.next != NULL ? next + row.x_row_bytes : next;
        const double top = scale * (double)extreme;
        if (!is_near(top)) {
            const shift by = {parts.high, parts.low, extreme};
            form_results(&former, row.room, row.n, type, kind);
            if (i < row.more) {
                extreme = smallest ? row_extreme(next, row.n, type, 1) : row_extreme(next, row.n, type, 0);
            }
            far_row(x, y, row.n, row.room, &by, type, kind);
            continue;
        }
        const near_rows rows = {x, next, after, row.n, row.room, near_terms_of(top, &parts), former};
        const float found = extreme;
        const float sum = near_row(&rows, &extreme, type, kind, stream);
        former = results_of(&rows.by, sum, found, kind);
        former.x = x;
        former.y = y;
    }
    form_results(&former, row.room, row.n, type, kind);
}

static void softmax(const amps_row *row, double scale)
{
    switch (row->type) {
    case AMPS_ROW_F32: softmax_typed(row, scale, AMPS_ROW_F32, SOFTMAX); break;
    case AMPS_ROW_F16: softmax_typed(row, scale, AMPS_ROW_F16, SOFTMAX); break;
    case AMPS_ROW_BF16: softmax_typed(row, scale, AMPS_ROW_BF16, SOFTMAX); break;
    case AMPS_ROW_I16: break;
    }
}

static void log_softmax(const amps_row *row, double scale)
{
    switch (row->type) {
    case AMPS_ROW_F32: softmax_typed(row, scale, AMPS_ROW_F32, LOG_SOFTMAX); break;
    case AMPS_ROW_F16: softmax_typed(row, scale, AMPS_ROW_F16, LOG_SOFTMAX); break;
    case AMPS_ROW_BF16: softmax_typed(row, scale, AMPS_ROW_BF16, LOG_SOFTMAX); break;
    case AMPS_ROW_I16: break;
    }
}

#endif /* AMPS_ROWS_SOFTMAX_H */
