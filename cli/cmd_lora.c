/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_lora.c: `anymps lora SOURCE DOWN UP`. Called by cli.c; all but the options is in operator_verb.c.
 */
#include "cli.h"
#include "operator_verb.h"

int cmd_lora(int argc, char **argv)
{
    static const size_t slots[] = {0, 2, 3};
    operator_request r = OPERATOR_REQUEST_INIT(JOB_LORA);
    command_line line = {
        .verb = "lora",
        .arguments = "SOURCE DOWN UP",
        .details = "result = [initial +] source * op(weights) + scale * (source * op(down)) * op(up)\n\n"
                   "Down is inputs x rank (A of the paper), up is rank x outputs (B of the paper).",
        .fewest = 3,
        .most = 3,
    };
    options_add(&line, (option){"weights", 'w', OPTION_TEXT, &r.file[1], "FILE",
                                "weights of the base product (default: none)"});
    options_add(&line, (option){"scale", 0, OPTION_NUMBER, &r.params.scale, "X", "factor of the adapter (default 1)"});
    options_add(&line, (option){"accumulate", 0, OPTION_FLAG, &r.params.accumulate, NULL, "add to the initial result"});
    options_add(&line, (option){"initial", 0, OPTION_TEXT, &r.file[4], "FILE",
                                "the result's earlier values, for --accumulate"});
    options_add(&line, (option){"transpose-weights", 0, OPTION_FLAG, &r.params.transpose[1], NULL,
                                "weights are outputs x inputs"});
    options_add(&line,
                (option){"transpose-down", 0, OPTION_FLAG, &r.params.transpose[2], NULL, "down is rank x inputs"});
    options_add(&line, (option){"transpose-up", 0, OPTION_FLAG, &r.params.transpose[3], NULL, "up is outputs x rank"});
    operator_verb_options(&line, &r);
    return operator_verb_main(&line, &r, slots, argc, argv);
}
