/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_fully_connected.c: `anymps fully-connected SOURCE WEIGHTS`. Called by cli.c; all but the options is
 * in operator_verb.c.
 */
#include "cli.h"
#include "operator_verb.h"

int cmd_fully_connected(int argc, char **argv)
{
    static const size_t slots[] = {0, 1};
    operator_request r = OPERATOR_REQUEST_INIT(JOB_FULLY_CONNECTED);
    command_line line = {
        .verb = "fully-connected",
        .arguments = "SOURCE WEIGHTS",
        .details = "result = f(alpha * source * op(weights) + bias)\n\n"
                   "One layer of a network. Weights are inputs x outputs; --transpose-weights takes them\n"
                   "as outputs x inputs, as PyTorch stores them. f is one of the neuron functions\n"
                   "('anymps help neuron').",
        .fewest = 2,
        .most = 2,
    };
    options_add(&line, (option){"transpose-weights", 0, OPTION_FLAG, &r.params.transpose[1], NULL,
                                "weights are outputs x inputs"});
    operator_verb_neuron_options(&line, &r);
    operator_verb_options(&line, &r);
    return operator_verb_main(&line, &r, slots, argc, argv);
}
