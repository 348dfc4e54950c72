/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_softmax.c: `anymps softmax SOURCE` and `anymps log-softmax SOURCE`. Called by cli.c; all but the
 * options is in operator_verb.c.
 */
#include "cli.h"
#include "operator_verb.h"

static int run(const char *verb, const char *details, job_operator op, int argc, char **argv)
{
    static const size_t slots[] = {0};
    operator_request r = OPERATOR_REQUEST_INIT(op);
    command_line line = {.verb = verb, .arguments = "SOURCE", .details = details, .fewest = 1, .most = 1};
    options_add(&line, (option){"scale", 0, OPTION_NUMBER, &r.params.scale, "X", "factor of the source (default 1)"});
    operator_verb_options(&line, &r);
    return operator_verb_main(&line, &r, slots, argc, argv);
}

int cmd_softmax(int argc, char **argv)
{
    return run("softmax", "result[i][j] = exp(scale*x[i][j]) / sum_k exp(scale*x[i][k]), row by row", JOB_SOFTMAX, argc,
               argv);
}

int cmd_log_softmax(int argc, char **argv)
{
    return run("log-softmax", "result[i][j] = scale*x[i][j] - ln sum_k exp(scale*x[i][k]), row by row", JOB_LOG_SOFTMAX,
               argc, argv);
}
