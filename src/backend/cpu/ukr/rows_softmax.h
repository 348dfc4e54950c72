/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_softmax.h: softmax and log_softmax of one row, a part of rows_template.h, which includes it after the
 * exponential. Two readings of the row: its largest element, then the terms; softmax writes them to `room`
 * or y and multiplies them from there, log_softmax reads the row once more.
 */
#ifndef AMPS_ROWS_SOFTMAX_H
#define AMPS_ROWS_SOFTMAX_H

/* The scale as two floats, and the element that gives the row's largest scale*x. */
typedef struct shift {
    float scale, scale_low, extreme;
} shift;

V_INLINE VF v_further(VF a, VF b, int smallest)
{
    return smallest ? v_min(a, b) : v_max(a, b);
}

/* The largest (or smallest) element; NaN may be passed over, it shows in the sum. */
V_INLINE float row_extreme(const amps_row *row, amps_row_type type, int smallest)
{
    const float none = smallest ? __builtin_inff() : -__builtin_inff();
    VF m[4] = {v_set(none), v_set(none), v_set(none), v_set(none)};
    size_t j = 0;
    for (; j + 4 * VW <= row->n; j += 4 * VW) {
        for (size_t u = 0; u < 4; u++) {
            m[u] = v_further(e_load(row->x, j + u * VW, VW, type, none), m[u], smallest);
        }
    }
    for (; j + VW <= row->n; j += VW) {
        m[0] = v_further(e_load(row->x, j, VW, type, none), m[0], smallest);
    }
    if (j < row->n) {
        m[1] = v_further(e_load(row->x, j, row->n - j, type, none), m[1], smallest);
    }
    const VF last = v_further(v_further(m[0], m[1], smallest), v_further(m[2], m[3], smallest), smallest);
    return smallest ? -v_fold_max(v_sub(v_set(0.0f), last)) : v_fold_max(last);
}

V_INLINE shift find_shift(const amps_row *row, double scale, amps_row_type type)
{
    const float high = (float)scale;
    return (shift){.scale = high,
                   .scale_low = (float)(scale - (double)high),
                   .extreme = scale < 0 ? row_extreme(row, type, 1) : row_extreme(row, type, 0)};
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
#define TERM_FACTOR 0x1p24f

#if V_PICKS
/*
 * exp(t + low) * TERM_FACTOR by a table: t = (n/32) * ln 2 + r with |r| <= ln 2 / 64, so that degree 3 is enough (error
 * 6e-10). Adding 1.5 * 2^18 leaves room for 32nds; the sum's last bits are n. ln 2 is split as in v_exp_reduce. For
 * t >= -104; anything below.
 */
V_INLINE VF v_term(VF t, VF low)
{
    const VF parts = v_set(0x1.8p18f);
    const VF place = v_fma(t, v_set(1.44269504f), parts);
    const VF n = v_sub(place, parts);
    const VF r = v_add(v_fnma(n, v_set(-2.12194440e-4f), v_fnma(n, v_set(0.693359375f), t)), low);
    const VF p = v_fma(v_mul(r, r), v_fma(r, v_set(0.16666667f), v_set(0.5f)), r);
    const VF power = v_pick_power(power_table, place);
    return v_fma(power, p, power);
}
#else
V_INLINE VF v_term(VF t, VF low)
{
    VF n;
    const VF p = v_exp_polynomial(v_add(v_exp_reduce(t, &n), low));
    return v_scale(v_fma(p, v_set(TERM_FACTOR), v_set(TERM_FACTOR)), n);
}
#endif

V_INLINE VF v_shifted_exp(VF x, const shift *by, int unit)
{
    VF low;
    const VF t = v_shifted(x, by, unit, &low);
    return v_lt(t, v_set(-104.0f), v_set(0.0f), v_term(t, low));
}

/* sum_k of the lifted terms exp(scale*(x[k] - extreme)); they go to `to` if it is given. */
V_INLINE float exp_row(const amps_row *row, float *to, const shift *by, amps_row_type type, int unit)
{
    VF sum = v_set(0.0f);
    size_t j = 0;
    for (; j + VW <= row->n; j += VW) {
        if (row->next != NULL) {
            v_prefetch(element_at(row->next, j, type));
        }
        const VF e = v_shifted_exp(e_load(row->x, j, VW, type, 0.0f), by, unit);
        sum = v_add(sum, e);
        if (to != NULL) {
            v_store(to + j, e);
        }
    }
    if (j < row->n) {
        float last[VW];
        v_store(last, v_shifted_exp(e_load(row->x, j, row->n - j, type, 0.0f), by, unit));
        const VF e = v_load_part(last, row->n - j, 0.0f);
        sum = v_add(sum, e);
        if (to != NULL) {
            v_store_part(to + j, e, row->n - j);
        }
    }
    return v_fold_add(sum);
}

typedef struct quotient {
    const float *terms;
    float factor;
} quotient;

V_INLINE VF former_quotient(const amps_row *row, const void *context, size_t j, size_t count, amps_row_type type)
{
    const quotient *const by = (const quotient *)context;
    (void)row;
    (void)type;
    return v_mul(e_load(by->terms, j, count, AMPS_ROW_F32, 0.0f), v_set(by->factor));
}

V_INLINE void softmax_typed(const amps_row *given, double scale, amps_row_type type)
{
    const amps_row row = *given;
    const shift by = find_shift(&row, scale, type);
    float *const terms = type == AMPS_ROW_F32 && !row.stream ? (float *)row.y : row.room;
    const float sum = scale == 1.0 ? exp_row(&row, terms, &by, type, 1) : exp_row(&row, terms, &by, type, 0);
    const quotient all = {terms, 1.0f / sum};
    amps_row second = row;
    second.next = NULL; /* is there by now */
    form(&second, former_quotient, &all, type);
}

static void softmax(const amps_row *row, double scale)
{
    switch (row->type) {
    case AMPS_ROW_F32: softmax_typed(row, scale, AMPS_ROW_F32); break;
    case AMPS_ROW_F16: softmax_typed(row, scale, AMPS_ROW_F16); break;
    case AMPS_ROW_BF16: softmax_typed(row, scale, AMPS_ROW_BF16); break;
    }
}

typedef struct logarithms {
    shift by;
    float logarithm; /* of the sum of the terms */
} logarithms;

/* t - logarithm + low. Where t is infinite its low part counts for nothing, and perhaps only the difference
   overflowed: scale*x - scale*extreme may still be finite. */
V_INLINE VF v_log_result(VF x, const logarithms *all, int unit)
{
    VF low;
    const shift *const by = &all->by;
    const VF infinite = v_set(__builtin_inff());
    VF t = v_shifted(x, by, unit, &low);
    const VF size = v_abs(t);
    const VF counts = v_lt(size, infinite, low, v_set(0.0f));
    if (!unit) {
        const VF scale = v_set(by->scale);
        t = v_lt(size, infinite, t, v_sub(v_mul(scale, x), v_mul(scale, v_set(by->extreme))));
    }
    return v_add(v_sub(t, v_set(all->logarithm)), counts);
}

V_INLINE VF former_log(const amps_row *row, const void *by, size_t j, size_t count, amps_row_type type)
{
    return v_log_result(e_load(row->x, j, count, type, 0.0f), (const logarithms *)by, 0);
}

V_INLINE VF former_log_unit(const amps_row *row, const void *by, size_t j, size_t count, amps_row_type type)
{
    return v_log_result(e_load(row->x, j, count, type, 0.0f), (const logarithms *)by, 1);
}

V_INLINE void log_softmax_typed(const amps_row *given, double scale, amps_row_type type)
{
    const amps_row row = *given;
    const shift by = find_shift(&row, scale, type);
    const float sum = scale == 1.0 ? exp_row(&row, NULL, &by, type, 1) : exp_row(&row, NULL, &by, type, 0);
    const logarithms all = {by, (float)log_of((double)sum / (double)TERM_FACTOR)};
    amps_row second = row;
    second.next = NULL;
    if (scale == 1.0) {
        form(&second, former_log_unit, &all, type);
    } else {
        form(&second, former_log, &all, type);
    }
}

static void log_softmax(const amps_row *row, double scale)
{
    switch (row->type) {
    case AMPS_ROW_F32: log_softmax_typed(row, scale, AMPS_ROW_F32); break;
    case AMPS_ROW_F16: log_softmax_typed(row, scale, AMPS_ROW_F16); break;
    case AMPS_ROW_BF16: log_softmax_typed(row, scale, AMPS_ROW_BF16); break;
    }
}

#endif /* AMPS_ROWS_SOFTMAX_H */
