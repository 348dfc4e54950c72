/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operator_verb.h: what matmul, softmax, lora … have in common: operands from files, one run, one line.
 *
 * A cmd_<verb>.c fills in a request through its options and calls operator_verb_main.
 */
#ifndef OPERATOR_VERB_H
#define OPERATOR_VERB_H

#include "job.h"
#include "options.h"

typedef struct operator_request {
    job_operator op;
    job_params params;
    const char *file[JOB_SLOTS]; /* by slot, NULL: not given; of the result: its initial values */
    const char *output;          /* -o; "-": standard output, and the report goes to standard error */
    const char *residual_output;
    anymps_dtype dtype;         /* of the result; of all operands where an operator has one type */
    anymps_dtype operand_dtype; /* matmul: of left and right */
    bool narrow, check, json, quiet, explain, reduced_precision;
    size_t repeat, threads;
    const char *device, *isa;
} operator_request;
#define OPERATOR_REQUEST_INIT(operator_)                                                                               \
    {                                                                                                                  \
        .op = (operator_), .params = JOB_PARAMS_INIT, .repeat = 1                                                      \
    }

/* The options that every operator has. */
void operator_verb_options(command_line *line, operator_request *request);

/* The options of the neuron function, for neuron and fully-connected. */
void operator_verb_neuron_options(command_line *line, operator_request *request);

/* Parses, takes the arguments as the files of the slots in `slots`, runs. Answers an exit code. */
int operator_verb_main(command_line *line, operator_request *request, const size_t *slots, int argc, char **argv);

#endif /* OPERATOR_VERB_H */
