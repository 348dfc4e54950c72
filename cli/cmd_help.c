/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_help.c: `anymps help [VERB]` and `anymps version`. Called by cli.c. The text of a verb is the verb's
 * own: it is asked with --help.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "options.h"

static void print_verbs(void)
{
    printf("anymps: matrix kernels on this machine's GPU or CPU, on .npy and .safetensors files\n\n"
           "usage: anymps VERB [options] [arguments]\n\n");
    for (const cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        printf("  %-16s %s\n", verb->name, verb->summary);
    }
    printf("\n'anymps help VERB' tells all about one verb.\n"
           "\n"
           "  anymps matmul A.npy B.npy -o C.npy\n"
           "  anymps matmul A.npy weights.safetensors:layer.weight --transpose-right --check\n"
           "\n"
           "Exit status: 0 done, 1 failed, 2 wrong usage. Environment: ANYMPS_DEVICE,\n"
           "ANYMPS_NUM_THREADS, ANYMPS_ISA, ANYMPS_PEERS_DIR.\n");
}

int cmd_help(int argc, char **argv)
{
    if (argc == 0 || argv[0][0] == '-') {
        print_verbs();
        return CLI_OK;
    }
    for (const cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, argv[0]) == 0 && verb->run != cmd_help) {
            char ask[] = "--help";
            char *only[] = {ask, NULL};
            return verb->run(1, only);
        }
    }
    if (strcmp(argv[0], "help") == 0) {
        print_verbs();
        return CLI_OK;
    }
    cli_error("'%s' is no verb; try 'anymps help'", argv[0]);
    return CLI_USAGE;
}

int cmd_version(int argc, char **argv)
{
    command_line line = {.verb = "version", .arguments = "", .details = "Prints the version."};
    switch (options_parse(&line, argc, argv)) {
    case PARSE_RUN: break;
    case PARSE_HELP: return CLI_OK;
    case PARSE_WRONG: return CLI_USAGE;
    }
    printf("anymps %s\n", anymps_version());
    return CLI_OK;
}
