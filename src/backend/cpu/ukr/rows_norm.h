/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_norm.h: rms_norm and layer_norm of one row, a part of rows_template.h, which includes it. One reading for the sums
 * of the row, one for y, when a cache holds x.
 */
#ifndef AMPS_ROWS_NORM_H
#define AMPS_ROWS_NORM_H

/* Sums whose f32 form may have lost something: squares that overflow, or so small that they were rounded as
   subnormals (each off by up to 2^-150, so that 2^30 of them stay below 2^-30 of 2^-90). */
static int square_sum_is_safe(float sum, double epsilon)
{
    return sum < 0x1p126f && (sum > 0x1p-90f || epsilon > 0x1p-60);
}

/* The same in double, for rows that are not safe: plain loops. */
static void normalise_double(const amps_row *row, const float *weight, const float *bias, double mean, double epsilon)
{
    double sum = 0;
    for (size_t j = 0; j < row->n; j++) {
        const double d = element(row->x, j, row->type) - mean;
        sum += d * d;
    }
    const double root = __builtin_sqrt(sum / (double)row->n + epsilon);
    for (size_t j = 0; j < row->n; j++) {
        const double normalized = (element(row->x, j, row->type) - mean) / root;
        const double weighted = weight != NULL ? normalized * (double)weight[j] : normalized;
        put_element(row->y, j, row->type, (float)(bias != NULL ? weighted + (double)bias[j] : weighted));
    }
}

static double mean_double(const amps_row *row)
{
    double sum = 0;
    for (size_t j = 0; j < row->n; j++) {
        sum += element(row->x, j, row->type);
    }
    return sum / (double)row->n;
}

/* What one reading of the row adds up: the squares of x, or of d = x - mean the sum and the squares. */
typedef enum sums_kind { SQUARES_ONLY, SUM_AND_SQUARES } sums_kind;

typedef struct row_sums {
    float sum, squares;
} row_sums;

/* Four of each, so that additions do not wait. */
V_INLINE row_sums add_up(const amps_row *row, float mean, sums_kind kind, amps_row_type type)
{
    const VF m = v_set(mean);
    VF s[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    VF q[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    size_t j = 0;
    for (; j + 4 * VW <= row->n; j += 4 * VW) {
        for (size_t u = 0; u < 4; u++) {
            const VF v = e_load(row->x, j + u * VW, VW, type, mean);
            const VF d = kind == SUM_AND_SQUARES ? v_sub(v, m) : v;
            q[u] = v_fma(d, d, q[u]);
            s[u] = kind == SQUARES_ONLY ? s[u] : v_add(s[u], d);
        }
    }
    for (size_t u = 0; j < row->n; j += VW, u++) {
        const size_t rest = row->n - j;
        const VF v = rest < VW ? e_load(row->x, j, rest, type, mean) : e_load(row->x, j, VW, type, mean);
        const VF d = kind == SUM_AND_SQUARES ? v_sub(v, m) : v;
        q[u] = v_fma(d, d, q[u]);
        s[u] = kind == SQUARES_ONLY ? s[u] : v_add(s[u], d);
    }
    return (row_sums){v_fold_add(v_add(v_add(s[0], s[1]), v_add(s[2], s[3]))),
                      v_fold_add(v_add(v_add(q[0], q[1]), v_add(q[2], q[3])))};
}

/* ((x - mean)*factor + rest) * weight + bias; weight and bias are given as the former's name says. */
typedef struct affine {
    float mean, factor, rest;
    int centred;
    const float *weight, *bias;
} affine;

V_INLINE VF v_affine(const amps_row *row, const affine *by, size_t j, size_t count, amps_row_type type, int weighted,
                     int biased)
{
    VF v = e_load(row->x, j, count, type, 0.0f);
    if (by->centred) {
        v = v_fma(v_sub(v, v_set(by->mean)), v_set(by->factor), v_set(by->rest));
    } else {
        v = v_mul(v, v_set(by->factor));
    }
    const VF weight = weighted ? e_load(by->weight, j, count, AMPS_ROW_F32, 0.0f) : v;
    if (biased) {
        const VF bias = e_load(by->bias, j, count, AMPS_ROW_F32, 0.0f);
        return weighted ? v_fma(v, weight, bias) : v_add(v, bias);
    }
    return weighted ? v_mul(v, weight) : v;
}

V_INLINE VF former_plain(const amps_row *row, const void *by, size_t j, size_t count, amps_row_type type)
{
    return v_affine(row, (const affine *)by, j, count, type, 0, 0);
}

V_INLINE VF former_weighted(const amps_row *row, const void *by, size_t j, size_t count, amps_row_type type)
{
    return v_affine(row, (const affine *)by, j, count, type, 1, 0);
}

V_INLINE VF former_biased(const amps_row *row, const void *by, size_t j, size_t count, amps_row_type type)
{
    return v_affine(row, (const affine *)by, j, count, type, 0, 1);
}

V_INLINE VF former_both(const amps_row *row, const void *by, size_t j, size_t count, amps_row_type type)
{
    return v_affine(row, (const affine *)by, j, count, type, 1, 1);
}

/* Specialised for what is given, so that the loops hold no question. */
V_INLINE void form_affine(const amps_row *row, const affine *by, amps_row_type type)
{
    if (by->weight != NULL && by->bias != NULL) {
        form(row, former_both, by, type);
    } else if (by->weight != NULL) {
        form(row, former_weighted, by, type);
    } else if (by->bias != NULL) {
        form(row, former_biased, by, type);
    } else {
        form(row, former_plain, by, type);
    }
}

V_INLINE void rms_norm_typed(const amps_row *row, const float *weight, const float *bias, double epsilon,
                             amps_row_type type)
{
    const float squares = add_up(row, 0.0f, SQUARES_ONLY, type).squares;
    if (!square_sum_is_safe(squares, epsilon)) {
        normalise_double(row, weight, bias, 0, epsilon);
        return;
    }
    const double mean_square = (double)squares * (1 / (double)row->n);
    const affine by = {.factor = (float)(1 / __builtin_sqrt(mean_square + epsilon)), .weight = weight, .bias = bias};
    form_affine(row, &by, type);
}

static void rms_norm(const amps_row *row, const float *weight, const float *bias, double epsilon)
{
    switch (row->type) {
    case AMPS_ROW_F32: rms_norm_typed(row, weight, bias, epsilon, AMPS_ROW_F32); break;
    case AMPS_ROW_F16: rms_norm_typed(row, weight, bias, epsilon, AMPS_ROW_F16); break;
    case AMPS_ROW_BF16: rms_norm_typed(row, weight, bias, epsilon, AMPS_ROW_BF16); break;
    case AMPS_ROW_I16: break;
    }
}

/* Something near the row's mean: that of its first elements. */
V_INLINE float near_mean(const amps_row *row, amps_row_type type)
{
    const size_t count = row->n < VW ? row->n : VW;
    const VF first = count < VW ? e_load(row->x, 0, count, type, 0.0f) : e_load(row->x, 0, VW, type, 0.0f);
    return v_fold_add(first) / (float)count;
}

/* One reading adds up the differences from a value near the mean and their squares. If that value is further from the mean
   than the standard deviation, so that the subtraction of its square could cancel, there is a second reading with the
   mean that the first has found. */
V_INLINE void layer_norm_typed(const amps_row *row, const float *weight, const float *bias, double epsilon,
                               amps_row_type type)
{
    const double share = 1 / (double)row->n;
    float mean = near_mean(row, type);
    row_sums sums = add_up(row, mean, SUM_AND_SQUARES, type);
    double offset = (double)sums.sum * share;
    double variance = (double)sums.squares * share - offset * offset;
    if (!(offset * offset <= variance)) {
        mean = (float)((double)mean + offset);
        sums = add_up(row, mean, SUM_AND_SQUARES, type);
        offset = (double)sums.sum * share;
        variance = (double)sums.squares * share - offset * offset;
    }
    if (!square_sum_is_safe(sums.squares, epsilon)) {
        normalise_double(row, weight, bias, mean_double(row), epsilon);
        return;
    }
    const double factor = 1 / __builtin_sqrt((variance > 0 ? variance : 0) + epsilon);
    const affine by = {mean, (float)factor, (float)(-offset * factor), 1, weight, bias};
    form_affine(row, &by, type);
}

static void layer_norm(const amps_row *row, const float *weight, const float *bias, double epsilon)
{
    switch (row->type) {
    case AMPS_ROW_F32: layer_norm_typed(row, weight, bias, epsilon, AMPS_ROW_F32); break;
    case AMPS_ROW_F16: layer_norm_typed(row, weight, bias, epsilon, AMPS_ROW_F16); break;
    case AMPS_ROW_BF16: layer_norm_typed(row, weight, bias, epsilon, AMPS_ROW_BF16); break;
    case AMPS_ROW_I16: break;
    }
}

#endif /* AMPS_ROWS_NORM_H */
