/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neurons.c: names and double-precision values of the neuron functions.
 *
 * Called by options.c, oracle.c and cmd_neuron.c. The formulas are those of anymps/kernels.h, written
 * from the text there, so that a defect of the library's own code is not repeated here.
 */
#include "neurons.h"

#include <math.h>
#include <string.h>

static const anymps_neuron_type all_neurons[] = {
    ANYMPS_NEURON_NONE,         ANYMPS_NEURON_RELU,        ANYMPS_NEURON_LINEAR,    ANYMPS_NEURON_SIGMOID,
    ANYMPS_NEURON_HARD_SIGMOID, ANYMPS_NEURON_TANH,        ANYMPS_NEURON_ABSOLUTE,  ANYMPS_NEURON_SOFT_PLUS,
    ANYMPS_NEURON_SOFT_SIGN,    ANYMPS_NEURON_ELU,         ANYMPS_NEURON_PRELU,     ANYMPS_NEURON_RELUN,
    ANYMPS_NEURON_POWER,        ANYMPS_NEURON_EXPONENTIAL, ANYMPS_NEURON_LOGARITHM, ANYMPS_NEURON_GELU,
    ANYMPS_NEURON_GELU_TANH,    ANYMPS_NEURON_SILU,
};

size_t neuron_count(void)
{
    return sizeof all_neurons / sizeof all_neurons[0];
}

anymps_neuron_type neuron_at(size_t index)
{
    return all_neurons[index];
}

bool neuron_parse(const char *name, anymps_neuron_type *neuron)
{
    for (size_t i = 0; i < neuron_count(); i++) {
        if (strcmp(anymps_neuron_name(all_neurons[i]), name) == 0) {
            *neuron = all_neurons[i];
            return true;
        }
    }
    return false;
}

static double relu(double slope, double x)
{
    return x >= 0 ? x : slope * x;
}

/* NaN goes through: fmin and fmax would drop it. */
static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* ln(1 + exp(x)) without overflow. */
static double soft_plus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

double neuron_value(anymps_neuron_type neuron, double a, double b, double c, double x)
{
    const double root_2 = sqrt(2.0), root_2_over_pi = sqrt(2.0 / acos(-1.0));
    switch (neuron) {
    case ANYMPS_NEURON_NONE: return x;
    case ANYMPS_NEURON_RELU:
    case ANYMPS_NEURON_PRELU: return relu(a, x);
    case ANYMPS_NEURON_LINEAR: return a * x + b;
    case ANYMPS_NEURON_SIGMOID: return 1 / (1 + exp(-x));
    case ANYMPS_NEURON_HARD_SIGMOID: return clamp(a * x + b, 0, 1);
    case ANYMPS_NEURON_TANH: return a * tanh(b * x);
    case ANYMPS_NEURON_ABSOLUTE: return fabs(x);
    case ANYMPS_NEURON_SOFT_PLUS: return a * soft_plus(b * x);
    case ANYMPS_NEURON_SOFT_SIGN: return x / (1 + fabs(x));
    case ANYMPS_NEURON_ELU: return x >= 0 ? x : a * expm1(x);
    case ANYMPS_NEURON_RELUN: return relu(a, x) > b ? b : relu(a, x);
    case ANYMPS_NEURON_POWER: return pow(a * x + b, c);
    case ANYMPS_NEURON_EXPONENTIAL: return pow(c, a * x + b);
    case ANYMPS_NEURON_LOGARITHM: return log(a * x + b) / log(c);
    case ANYMPS_NEURON_GELU: return x * erfc(-x / root_2) / 2;
    case ANYMPS_NEURON_GELU_TANH: return x * (1 + tanh(root_2_over_pi * (x + 0.044715 * x * x * x))) / 2;
    case ANYMPS_NEURON_SILU: return x / (1 + exp(-x));
    case ANYMPS_NEURON_FORCE32: break;
    }
    return (double)NAN;
}
