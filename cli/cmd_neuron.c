/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_neuron.c: `anymps neuron SOURCE`. Called by cli.c; all but the options is in operator_verb.c.
 */
#include "cli.h"
#include "operator_verb.h"

int cmd_neuron(int argc, char **argv)
{
    static const size_t slots[] = {0};
    operator_request r = OPERATOR_REQUEST_INIT(JOB_NEURON);
    command_line line = {
        .verb = "neuron",
        .arguments = "SOURCE",
        .details = "result = f(alpha * source + bias)\n\n"
                   "f, of x with parameters a, b, c:\n"
                   "  none x                             relu x >= 0 ? x : a*x\n"
                   "  linear a*x + b                     sigmoid 1 / (1 + exp(-x))\n"
                   "  hard_sigmoid clamp(a*x + b, 0, 1)  tanh a*tanh(b*x)\n"
                   "  absolute |x|                       soft_plus a*ln(1 + exp(b*x))\n"
                   "  soft_sign x / (1 + |x|)            elu x >= 0 ? x : a*(exp(x) - 1)\n"
                   "  prelu relu with a per column       relun min(relu, b)\n"
                   "  power (a*x + b)^c                  exponential c^(a*x + b)\n"
                   "  logarithm log_c(a*x + b)           gelu x*(1 + erf(x/sqrt 2))/2\n"
                   "  gelu_tanh the tanh form of gelu    silu x / (1 + exp(-x))",
        .fewest = 1,
        .most = 1,
    };
    operator_verb_neuron_options(&line, &r);
    operator_verb_options(&line, &r);
    return operator_verb_main(&line, &r, slots, argc, argv);
}
