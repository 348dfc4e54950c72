/* SPDX-License-Identifier: Apache-2.0 */
/* shared_neuron.h: activation functions in double with what an f32 evaluation of them may be off. */
#ifndef TEST_SHARED_NEURON_H
#define TEST_SHARED_NEURON_H

#include "conformance.h"

/* A function with parameters that suit it, and arguments from [low, high) where it is defined. */
typedef struct neuron_case {
    anymps_neuron_type type;
    float a, b, c;
    double low, high;
} neuron_case;

enum { NEURON_CASES = 20 };
extern const neuron_case all_neurons[NEURON_CASES];

typedef struct bounded {
    double value;
    double error;
} bounded;

/* f(t), where t itself may be off by `argument_error`. `prelu` is the slope of this column. */
bounded neuron_value(const neuron_case *of, double prelu, double t, double argument_error);

#endif /* TEST_SHARED_NEURON_H */
