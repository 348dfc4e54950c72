/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_matmul.c: `anymps matmul LEFT RIGHT`. Called by cli.c; all but the options is in operator_verb.c.
 */
#include "cli.h"
#include "operator_verb.h"

int cmd_matmul(int argc, char **argv)
{
    static const size_t slots[] = {0, 1};
    operator_request r = OPERATOR_REQUEST_INIT(JOB_MATMUL);
    command_line line = {
        .verb = "matmul",
        .arguments = "LEFT RIGHT",
        .details = "result = alpha * op(left) * op(right) + beta * initial\n\n"
                   "Operands are FILE.npy or FILE.safetensors:NAME. Fortran-order files are read as they are,\n"
                   "through the transpose flag. Three-dimensional operands are batches; one matrix against a\n"
                   "batch serves all of it. A one-dimensional left is a row, a one-dimensional right a column.\n"
                   "Types: f32, f16, bf16 (result the same or f32), i8 (result i32, f32, f16), i16 (f32).",
        .fewest = 2,
        .most = 2,
    };
    options_add(&line, (option){"transpose-left", 0, OPTION_FLAG, &r.params.transpose[0], NULL,
                                "multiply by the transpose of left"});
    options_add(&line, (option){"transpose-right", 0, OPTION_FLAG, &r.params.transpose[1], NULL,
                                "multiply by the transpose of right"});
    options_add(&line, (option){"alpha", 0, OPTION_NUMBER, &r.params.alpha, "X", "factor of the product (default 1)"});
    options_add(&line, (option){"beta", 0, OPTION_NUMBER, &r.params.beta, "X",
                                "factor of the initial result (default 0: not read)"});
    options_add(&line,
                (option){"initial", 0, OPTION_TEXT, &r.file[2], "FILE", "the result's earlier values, for --beta"});
    options_add(&line, (option){"operand-dtype", 0, OPTION_DTYPE, &r.operand_dtype, "TYPE",
                                "convert left and right to this type when read"});
    operator_verb_options(&line, &r);
    return operator_verb_main(&line, &r, slots, argc, argv);
}
