/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_norm.c: `anymps rms-norm SOURCE` and `anymps layer-norm SOURCE`. Called by cli.c; all but the
 * options is in operator_verb.c.
 */
#include "cli.h"
#include "operator_verb.h"

static int run(const char *verb, const char *details, job_operator op, int argc, char **argv)
{
    static const size_t slots[] = {0};
    operator_request r = OPERATOR_REQUEST_INIT(op);
    command_line line = {.verb = verb, .arguments = "SOURCE", .details = details, .fewest = 1, .most = 1};
    options_add(&line, (option){"weight", 0, OPTION_TEXT, &r.file[2], "FILE", "weight, one per column (default 1)"});
    options_add(&line, (option){"bias", 0, OPTION_TEXT, &r.file[3], "FILE", "bias, one per column (default 0)"});
    options_add(&line, (option){"residual", 0, OPTION_TEXT, &r.file[1], "FILE", "added to the source first"});
    options_add(&line, (option){"residual-output", 0, OPTION_TEXT, &r.residual_output, "FILE.npy",
                                "write the sum of source and residual"});
    options_add(&line,
                (option){"epsilon", 0, OPTION_NUMBER, &r.params.epsilon, "X", "added under the root (default 1e-5)"});
    operator_verb_options(&line, &r);
    return operator_verb_main(&line, &r, slots, argc, argv);
}

int cmd_rms_norm(int argc, char **argv)
{
    return run("rms-norm",
               "result[i][j] = x[i][j] / sqrt(mean_k x[i][k]^2 + epsilon) * weight[j] + bias[j]\n"
               "with x = source + residual",
               JOB_RMS_NORM, argc, argv);
}

int cmd_layer_norm(int argc, char **argv)
{
    return run("layer-norm",
               "result[i][j] = (x[i][j] - mean) / sqrt(variance + epsilon) * weight[j] + bias[j]\n"
               "with x = source + residual, mean and variance of row i",
               JOB_LAYER_NORM, argc, argv);
}
