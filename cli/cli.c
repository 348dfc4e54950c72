/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.c: main: finds the verb, runs it, and makes sure that what was printed has arrived.
 *
 * Called by the shell; calls cmd_<verb>.c. It knows no operator and no option but --help and --version.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

const cli_verb cli_verbs[] = {
    {"devices", "list the devices of this machine", cmd_devices},
    {"inspect", "list the tensors of a .npy or .safetensors file", cmd_inspect},
    {"matmul", "multiply two matrices", cmd_matmul},
    {"fully-connected", "one layer of a network: f(alpha X W + bias)", cmd_fully_connected},
    {"neuron", "an activation function on every element", cmd_neuron},
    {"softmax", "softmax of every row", cmd_softmax},
    {"log-softmax", "logarithm of the softmax of every row", cmd_log_softmax},
    {"rms-norm", "root mean square norm of every row", cmd_rms_norm},
    {"layer-norm", "layer norm of every row", cmd_layer_norm},
    {"lora", "low-rank adapter: X W + s (X A) B", cmd_lora},
    {"bench", "measure the operators on this machine", cmd_bench},
    {"verify", "check every operator, type and device against double", cmd_verify},
    {"demo", "the whole library in one view, on files, in seconds", cmd_demo},
    {"help", "this list, or all about one verb", cmd_help},
    {"version", "the version", cmd_version},
    {NULL, NULL, NULL},
};

void cli_error(const char *format, ...)
{
    va_list arguments;
    progress_stop();
    fflush(stdout);
    fputs("anymps: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

const char *cli_library_message(void)
{
    const anymps_error *error = anymps_last_error();
    return error->message[0] != '\0' ? error->message : anymps_status_name(error->status);
}

void cli_library_error(const char *context)
{
    cli_error("%s: %s", context, cli_library_message());
}

void *cli_allocate(size_t count, size_t element_bytes)
{
    void *block = calloc(count > 0 ? count : 1, element_bytes);
    if (block == NULL) {
        cli_error("out of memory: %zu elements of %zu bytes", count, element_bytes);
    }
    return block;
}

anymps_device *cli_open_device(const char *id, size_t threads, const char *isa)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *device = NULL;
    desc.id = id;
    desc.threads = threads;
    desc.isa = isa;
    if (anymps_device_open(&desc, &device) != ANYMPS_OK) {
        cli_error("%s", cli_library_message());
        return NULL;
    }
    return device;
}

/* A full disk or a closed terminal shows only when the buffer is flushed. */
static int flush_output(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cli_error("standard output: %s", strerror(errno));
        return code == CLI_OK ? CLI_FAILURE : code;
    }
    return code;
}

static const cli_verb *find_verb(const char *name)
{
    for (const cli_verb *verb = cli_verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, name) == 0) {
            return verb;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        cli_error("no verb; try 'anymps help'");
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    const cli_verb *verb = find_verb(name);
    if (verb == NULL) {
        cli_error("'%s' is no verb; try 'anymps help'", name);
        return CLI_USAGE;
    }
    return flush_output(verb->run(argc - 2, argv + 2));
}
