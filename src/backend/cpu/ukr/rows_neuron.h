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
    const VF t = v_reciprocal(v_fma(v_set(0.3f), size, v_set(1.0f)));
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

V_INLINE void neuron_loop(const amps_neuron_params *given, const float *x, const float *bias, const float *prelu,
                          float *y, size_t n, neuron_function f)
{
    const amps_neuron_params own = *given; /* which no store changes */
    const amps_neuron_params *const p = &own;
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

/* Elements that are widened, worked on and narrowed at a time: 2 KiB stay in the first level of the caches. */
enum { NEURON_BLOCK = 512 };

static void neuron_block(const amps_neuron_params *params, const amps_row *part, const float *bias, const float *prelu)
{
    float wide[NEURON_BLOCK];
    const amps_row_type type = part->type;
    for (size_t j = 0; j < part->n; j += VW) {
        const size_t count = part->n - j < VW ? part->n - j : VW;
        const VF v = type == AMPS_ROW_F32   ? e_load(part->x, j, count, AMPS_ROW_F32, 0.0f)
                     : type == AMPS_ROW_F16 ? e_load(part->x, j, count, AMPS_ROW_F16, 0.0f)
                                            : e_load(part->x, j, count, AMPS_ROW_BF16, 0.0f);
        e_store(wide, j, v, count, AMPS_ROW_F32, 0);
    }
    neuron(params, wide, bias, prelu, wide, part->n);
    const quotient same = {wide, 1.0f};
    switch (type) {
    case AMPS_ROW_F32: form(part, former_quotient, &same, AMPS_ROW_F32); break;
    case AMPS_ROW_F16: form(part, former_quotient, &same, AMPS_ROW_F16); break;
    case AMPS_ROW_BF16: form(part, former_quotient, &same, AMPS_ROW_BF16); break;
    }
}

static void neuron_row(const amps_neuron_params *params, const amps_row *row, const float *bias, const float *prelu)
{
    if (row->type == AMPS_ROW_F32 && !row->stream) {
        neuron(params, (const float *)row->x, bias, prelu, (float *)row->y, row->n);
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
