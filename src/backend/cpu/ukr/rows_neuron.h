/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_neuron.h: the activation functions, a part of rows_template.h, which includes it after the exponential.
 * docs/numerics.md has their errors.
 */
#ifndef AMPS_ROWS_NEURON_H
#define AMPS_ROWS_NEURON_H

typedef VF (*neuron_function)(const amps_neuron_params *p, VF x, VF slope);

/* 1 / (1 + exp(-x)) by the exponential that cannot overflow. */
V_INLINE VF v_sigmoid(VF x)
{
    const VF one = v_set(1.0f);
    const VF e = v_exp_negative(v_sub(v_set(0.0f), v_abs(x)));
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
    const VF e = v_exp_negative(v_mul(v_set(-2.0f), size));
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
    const VF e = v_exp_negative(v_sub(v_set(0.0f), v_abs(z)));
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

#if V_PICKS
/*
 * The tail of GELU's weight, w(-|x|) with w the normal distribution or the sigmoid of the tanh form, by tables: a
 * polynomial of degree 5 around each of 32 points a quarter apart, 0 from 7.625 on, where the tail is below 2e-14. Adding
 * 1.5 * 2^21 leaves room for quarters only, so that the last five bits of the sum name the point. Errors of the
 * polynomials: 3e-9, near 0 that of the rounded coefficients, 2e-8.
 */
V_INLINE VF v_gelu_tail(const gelu_table *table, VF x)
{
    const VF quarters = v_set(0x1.8p21f);
    const VF size = v_min(v_abs(x), v_set(7.75f));
    const VF place = v_add(size, quarters);
    const VF r = v_sub(size, v_sub(place, quarters));
    VF q = v_pick(table->power[GELU_DEGREE], place);
#pragma GCC unroll 8
    for (int i = GELU_DEGREE - 1; i >= 0; i--) {
        q = v_fma(q, r, v_pick(table->power[i], place));
    }
    return q;
}

V_INLINE VF v_gelu_of_tail(VF x, VF tail)
{
    return v_mul(x, v_lt(x, v_set(0.0f), tail, v_sub(v_set(1.0f), tail)));
}

V_INLINE VF n_gelu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return v_gelu_of_tail(x, v_gelu_tail(&gelu_normal, x));
}

V_INLINE VF n_gelu_tanh(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return v_gelu_of_tail(x, v_gelu_tail(&gelu_sigmoid, x));
}
#else
/*
 * x * w(x), w the normal distribution: 0.5 + x * P(x^2) up to |x| = 5.25, P a least maximum polynomial of degree 14 in
 * s = x^2 / 13.78125 - 1 (error of w 2e-8), and 0 or 1 beyond.
 */
V_INLINE VF n_gelu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    const VF end = v_set(27.5625f);
    const VF square = v_mul(x, x);
    const VF s = v_fma(v_min(square, end), v_set(0.07256236f), v_set(-1.0f));
    VF q = v_fma(v_set(2.3994542e-04f), s, v_set(-6.5658195e-04f));
    q = v_fma(q, s, v_set(6.647477e-04f));
    q = v_fma(q, s, v_set(-1.0395403e-03f));
    q = v_fma(q, s, v_set(2.8923412e-03f));
    q = v_fma(q, s, v_set(-5.448513e-03f));
    q = v_fma(q, s, v_set(8.417884e-03f));
    q = v_fma(q, s, v_set(-1.27752535e-02f));
    q = v_fma(q, s, v_set(1.8538645e-02f));
    q = v_fma(q, s, v_set(-2.5041932e-02f));
    q = v_fma(q, s, v_set(3.203144e-02f));
    q = v_fma(q, s, v_set(-3.9763413e-02f));
    q = v_fma(q, s, v_set(4.9645785e-02f));
    q = v_fma(q, s, v_set(-6.712682e-02f));
    q = v_fma(q, s, v_set(1.3465935e-01f));
    const VF beyond = v_lt(x, v_set(0.0f), v_set(0.0f), v_set(1.0f));
    return v_mul(x, v_lt(square, end, v_fma(x, q, v_set(0.5f)), beyond));
}

/* (1 + tanh z)/2 = sigmoid(2z), z = sqrt(2/pi) * (x + 0.044715 x^3). */
V_INLINE VF n_gelu_tanh(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    const VF cubic = v_fma(v_mul(x, x), v_set(0.044715f), v_set(1.0f));
    return v_mul(x, v_sigmoid(v_mul(v_mul(v_set(1.59576912f), x), cubic)));
}
#endif

V_INLINE VF n_silu(const amps_neuron_params *p, VF x, VF slope)
{
    (void)p;
    (void)slope;
    return v_mul(x, v_sigmoid(x));
}

/* n elements of the type at x to such at y. */
V_INLINE void neuron_loop(const amps_neuron_params *given, const void *x, const float *bias, const float *prelu,
                          void *y, size_t n, amps_row_type type, neuron_function f)
{
    const amps_neuron_params own = *given; /* which no store changes */
    const amps_neuron_params *const p = &own;
    const VF alpha = v_set(p->alpha);
    const VF zero = v_set(0.0f);
    size_t j = 0;
#if V_PAIRS
    for (; type == AMPS_ROW_BF16 && bias == NULL && prelu == NULL && j + 2 * VW <= n; j += 2 * VW) {
        VF pair[2];
        v_pair_of_bf16(element_at(x, j, type), pair);
        pair[0] = f(p, v_mul(alpha, pair[0]), zero);
        pair[1] = f(p, v_mul(alpha, pair[1]), zero);
        v_pair_to_bf16((unsigned char *)y + j * type_bytes(type), pair);
    }
#endif
    for (; j + VW <= n; j += VW) {
        const VF v = e_load(x, j, VW, type, 0.0f);
        const VF argument = bias != NULL ? v_fma(alpha, v, v_load(bias + j)) : v_mul(alpha, v);
        e_store(y, j, f(p, argument, prelu != NULL ? v_load(prelu + j) : zero), VW, type, 0);
    }
    if (j < n) {
        const size_t rest = n - j;
        const VF v = e_load(x, j, rest, type, 0.0f);
        const VF argument = bias != NULL ? v_fma(alpha, v, v_load_part(bias + j, rest, 0.0f)) : v_mul(alpha, v);
        const VF slope = prelu != NULL ? v_load_part(prelu + j, rest, 0.0f) : zero;
        e_store(y, j, f(p, argument, slope), rest, type, 0);
    }
}

/* Powers and logarithms to any base are rare and stay with libm: false. */
V_INLINE bool neuron_typed(const amps_neuron_params *p, const void *x, const float *bias, const float *prelu, void *y,
                           size_t n, amps_row_type type)
{
    switch (p->type) {
    case AMPS_UKR_RELU: neuron_loop(p, x, bias, prelu, y, n, type, n_relu); break;
    case AMPS_UKR_LINEAR: neuron_loop(p, x, bias, prelu, y, n, type, n_linear); break;
    case AMPS_UKR_SIGMOID: neuron_loop(p, x, bias, prelu, y, n, type, n_sigmoid); break;
    case AMPS_UKR_HARD_SIGMOID: neuron_loop(p, x, bias, prelu, y, n, type, n_hard_sigmoid); break;
    case AMPS_UKR_TANH: neuron_loop(p, x, bias, prelu, y, n, type, n_tanh); break;
    case AMPS_UKR_ABSOLUTE: neuron_loop(p, x, bias, prelu, y, n, type, n_absolute); break;
    case AMPS_UKR_SOFT_PLUS: neuron_loop(p, x, bias, prelu, y, n, type, n_soft_plus); break;
    case AMPS_UKR_SOFT_SIGN: neuron_loop(p, x, bias, prelu, y, n, type, n_soft_sign); break;
    case AMPS_UKR_ELU: neuron_loop(p, x, bias, prelu, y, n, type, n_elu); break;
    case AMPS_UKR_PRELU: neuron_loop(p, x, bias, prelu, y, n, type, n_prelu); break;
    case AMPS_UKR_RELUN: neuron_loop(p, x, bias, prelu, y, n, type, n_relun); break;
    case AMPS_UKR_GELU: neuron_loop(p, x, bias, prelu, y, n, type, n_gelu); break;
    case AMPS_UKR_GELU_TANH: neuron_loop(p, x, bias, prelu, y, n, type, n_gelu_tanh); break;
    case AMPS_UKR_SILU: neuron_loop(p, x, bias, prelu, y, n, type, n_silu); break;
    case AMPS_UKR_POWER:
    case AMPS_UKR_EXPONENTIAL:
    case AMPS_UKR_LOGARITHM: return false;
    case AMPS_UKR_NONE:
    case AMPS_UKR_NEURON_COUNT: neuron_loop(p, x, bias, prelu, y, n, type, n_none); break;
    }
    return true;
}

static void neuron(const amps_neuron_params *p, const float *x, const float *bias, const float *prelu, float *y,
                   size_t n)
{
    if (!neuron_typed(p, x, bias, prelu, y, n, AMPS_ROW_F32)) {
        amps_row_ukr_reference.neuron(p, x, bias, prelu, y, n);
    }
}

/* Rows that are streamed, or need libm: elements that are widened, worked on and narrowed at a time; 2 KiB stay in the first
   level of the caches. */
enum { NEURON_BLOCK = 512 };

V_INLINE VF former_wide(const amps_row *row, const void *wide, size_t j, size_t count, amps_row_type type)
{
    (void)row;
    (void)type;
    return e_load(wide, j, count, AMPS_ROW_F32, 0.0f);
}

static void neuron_block(const amps_neuron_params *params, const amps_row *part, const float *bias, const float *prelu)
{
    float wide[NEURON_BLOCK];
    wide[0] = 0.0f; /* GCC 12 does not see that there is an element */
    const amps_row_type type = part->type;
    for (size_t j = 0; j < part->n; j += VW) {
        const size_t count = part->n - j < VW ? part->n - j : VW;
        const VF v = type == AMPS_ROW_F32   ? e_load(part->x, j, count, AMPS_ROW_F32, 0.0f)
                     : type == AMPS_ROW_F16 ? e_load(part->x, j, count, AMPS_ROW_F16, 0.0f)
                                            : e_load(part->x, j, count, AMPS_ROW_BF16, 0.0f);
        e_store(wide, j, v, count, AMPS_ROW_F32, 0);
    }
    neuron(params, wide, bias, prelu, wide, part->n);
    switch (type) {
    case AMPS_ROW_F32: form(part, former_wide, wide, AMPS_ROW_F32); break;
    case AMPS_ROW_F16: form(part, former_wide, wide, AMPS_ROW_F16); break;
    case AMPS_ROW_BF16: form(part, former_wide, wide, AMPS_ROW_BF16); break;
    case AMPS_ROW_I16: break;
    }
}

/* A row that is not streamed, in one pass; false: it needs libm. */
static bool neuron_whole(const amps_neuron_params *params, const amps_row *row, const float *bias, const float *prelu)
{
    switch (row->type) {
    case AMPS_ROW_F16: return neuron_typed(params, row->x, bias, prelu, row->y, row->n, AMPS_ROW_F16);
    case AMPS_ROW_BF16: return neuron_typed(params, row->x, bias, prelu, row->y, row->n, AMPS_ROW_BF16);
    case AMPS_ROW_F32: neuron(params, (const float *)row->x, bias, prelu, (float *)row->y, row->n); return true;
    case AMPS_ROW_I16: break;
    }
    return false;
}

static void neuron_row(const amps_neuron_params *params, const amps_row *row, const float *bias, const float *prelu)
{
    if (!row->stream && neuron_whole(params, row, bias, prelu)) {
        return;
    }
    for (size_t j = 0; j < row->n; j += NEURON_BLOCK) {
        amps_row part = *row;
        part.x = element_at(row->x, j, row->type);
        part.y = (unsigned char *)row->y + j * type_bytes(row->type);
        part.n = row->n - j < NEURON_BLOCK ? row->n - j : NEURON_BLOCK;
        part.next = NULL;
        neuron_block(params, &part, bias == NULL ? NULL : bias + j, prelu == NULL ? NULL : prelu + j);
    }
}

#endif /* AMPS_ROWS_NEURON_H */
