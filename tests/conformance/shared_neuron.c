/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_neuron.c: see shared_neuron.h.
 *
 * Each function is outer(inner(t)) with inner linear. Errors: inner rounds its product and its sum; the
 * outer function may be off by 4 units in the last place (8 of 2^-24) of its value, or, where it forms a
 * difference of larger numbers (1 + erf, exp - 1, ln(1 + e)), of those; and the 4 units of its argument
 * are turned into an error of the value by evaluating it there. Called by the tests of neuron and
 * fully_connected.
 */
#include "shared_neuron.h"

#include <math.h>

const neuron_case all_neurons[NEURON_CASES] = {
    {ANYMPS_NEURON_NONE, 0, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_RELU, 0.0f, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_RELU, 0.25f, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_LINEAR, 1.5f, -0.25f, 0, -8.0, 8.0},
    {ANYMPS_NEURON_SIGMOID, 0, 0, 0, -20.0, 20.0},
    {ANYMPS_NEURON_HARD_SIGMOID, 0.2f, 0.5f, 0, -6.0, 6.0},
    {ANYMPS_NEURON_TANH, 1.5f, 0.75f, 0, -12.0, 12.0},
    {ANYMPS_NEURON_ABSOLUTE, 0, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_SOFT_PLUS, 1.25f, 0.8f, 0, -30.0, 30.0},
    {ANYMPS_NEURON_SOFT_SIGN, 0, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_ELU, 1.25f, 0, 0, -12.0, 8.0},
    {ANYMPS_NEURON_PRELU, 0, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_RELUN, 0.25f, 6.0f, 0, -8.0, 12.0},
    {ANYMPS_NEURON_POWER, 1.0f, 0.5f, 2.5f, 0.0, 4.0},
    {ANYMPS_NEURON_POWER, 1.0f, 0.5f, 3.0f, -4.0, 4.0},
    {ANYMPS_NEURON_EXPONENTIAL, 1.0f, 0.5f, 2.5f, -6.0, 6.0},
    {ANYMPS_NEURON_LOGARITHM, 1.0f, 5.0f, 10.0f, -4.0, 4.0},
    {ANYMPS_NEURON_GELU, 0, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_GELU_TANH, 0, 0, 0, -8.0, 8.0},
    {ANYMPS_NEURON_SILU, 0, 0, 0, -20.0, 20.0},
};

/* The linear inner function: factor and addend. */
typedef struct linear {
    double factor, addend;
} linear;

static linear inner_of(const neuron_case *of)
{
    const double a = (double)of->a;
    const double b = (double)of->b;
    switch ((int)of->type) {
    case ANYMPS_NEURON_LINEAR:
    case ANYMPS_NEURON_HARD_SIGMOID:
    case ANYMPS_NEURON_POWER:
    case ANYMPS_NEURON_EXPONENTIAL:
    case ANYMPS_NEURON_LOGARITHM: return (linear){a, b};
    case ANYMPS_NEURON_TANH:
    case ANYMPS_NEURON_SOFT_PLUS: return (linear){b, 0.0};
    default: return (linear){1.0, 0.0};
    }
}

static double outer(const neuron_case *of, double prelu, double s)
{
    const double a = (double)of->a;
    const double b = (double)of->b;
    const double c = (double)of->c;
    switch ((int)of->type) {
    case ANYMPS_NEURON_RELU: return s >= 0.0 ? s : a * s;
    case ANYMPS_NEURON_SIGMOID: return 1.0 / (1.0 + exp(-s));
    case ANYMPS_NEURON_HARD_SIGMOID: return s < 0.0 ? 0.0 : s > 1.0 ? 1.0 : s;
    case ANYMPS_NEURON_TANH: return a * tanh(s);
    case ANYMPS_NEURON_ABSOLUTE: return fabs(s);
    case ANYMPS_NEURON_SOFT_PLUS: return a * (s > 40.0 ? s : log1p(exp(s)));
    case ANYMPS_NEURON_SOFT_SIGN: return s / (1.0 + fabs(s));
    case ANYMPS_NEURON_ELU: return s >= 0.0 ? s : a * expm1(s);
    case ANYMPS_NEURON_PRELU: return s >= 0.0 ? s : prelu * s;
    case ANYMPS_NEURON_RELUN: s = s >= 0.0 ? s : a * s; return s > b ? b : s; /* NaN stays */
    case ANYMPS_NEURON_POWER: return pow(s, c);
    case ANYMPS_NEURON_EXPONENTIAL: return pow(c, s);
    case ANYMPS_NEURON_LOGARITHM: return log(s) / log(c);
    case ANYMPS_NEURON_GELU: return s * (1.0 + erf(s * 0.70710678118654752440)) / 2.0;
    case ANYMPS_NEURON_GELU_TANH: return s * (1.0 + tanh(0.79788456080286535588 * (s + 0.044715 * s * s * s))) / 2.0;
    case ANYMPS_NEURON_SILU: return s / (1.0 + exp(-s));
    default: return s;
    }
}

/* The largest number that takes part in a difference on the way to the value. */
static double scale_of(const neuron_case *of, double s)
{
    switch ((int)of->type) {
    case ANYMPS_NEURON_ELU: return s >= 0.0 ? 0.0 : fabs((double)of->a);
    case ANYMPS_NEURON_SOFT_PLUS: return fabs((double)of->a);
    case ANYMPS_NEURON_LOGARITHM: return 1.0 / fabs(log((double)of->c));
    case ANYMPS_NEURON_GELU:
    case ANYMPS_NEURON_GELU_TANH: return fabs(s);
    default: return 0.0;
    }
}

bounded neuron_value(const neuron_case *of, double prelu, double t, double argument_error)
{
    const linear inner = inner_of(of);
    const double s = inner.factor * t + inner.addend;
    const double value = outer(of, prelu, s);
    const bool plain = of->type == ANYMPS_NEURON_NONE || of->type == ANYMPS_NEURON_ABSOLUTE;
    double off = fabs(inner.factor) * argument_error;
    if (inner.factor != 1.0 || inner.addend != 0.0) {
        off += UNIT * (2.0 * fabs(inner.factor * t) + fabs(inner.addend));
    }
    if (!plain) {
        off += 8.0 * UNIT * fabs(s);
    }
    const double above = fabs(outer(of, prelu, s + off) - value);
    const double below = fabs(outer(of, prelu, s - off) - value);
    const double moved = above > below ? above : below;
    return (bounded){value, moved + (plain ? 0.0 : 8.0 * UNIT * (fabs(value) + scale_of(of, s)))};
}
