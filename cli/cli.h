/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h: what every file of the tool shares: exit codes, the verbs and the error line.
 *
 * The tool stands on the public headers alone; whatever it can do, a user's program can do too.
 */
#ifndef CLI_H
#define CLI_H

#include <anymps/anymps.h>

/* Exit codes: docs/anymps.1, section EXIT STATUS. */
enum { CLI_OK = 0, CLI_FAILURE = 1, CLI_USAGE = 2 };

/* A verb gets what follows its own name and answers with an exit code. */
typedef int (*cli_verb_run)(int argc, char **argv);

typedef struct cli_verb {
    const char *name;
    const char *summary; /* one line for the list of verbs */
    cli_verb_run run;
} cli_verb;

/* Every verb, ended by a NULL name, in the order in which help lists them. */
extern const cli_verb cli_verbs[];

int cmd_devices(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_matmul(int argc, char **argv);
int cmd_fully_connected(int argc, char **argv);
int cmd_neuron(int argc, char **argv);
int cmd_softmax(int argc, char **argv);
int cmd_log_softmax(int argc, char **argv);
int cmd_rms_norm(int argc, char **argv);
int cmd_layer_norm(int argc, char **argv);
int cmd_lora(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Prints "anymps: " and the message as one line on stderr, after taking a progress bar away. */
void cli_error(const char *format, ...) ANYMPS_PRINTF(1, 2);

/* cli_error with the library's own message behind `context` ("matmul: left: A.npy"). */
void cli_library_error(const char *context);

/* The library's last message; its status name where there is no message. */
const char *cli_library_message(void);

/* Memory for the tool's own arrays; NULL, and the error line printed, where there is none. */
void *cli_allocate(size_t count, size_t element_bytes);

/* Opens a device, NULL id as the library does. NULL, and the error line printed, on failure. */
anymps_device *cli_open_device(const char *id, size_t threads, const char *isa);

#endif /* CLI_H */
