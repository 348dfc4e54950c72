/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h: command lines: a verb lists its options once, and parsing and help both read the list.
 *
 * Used by every cmd_<verb>.c. Long options take their value as `--name value` or `--name=value`,
 * single letters as `-o value`; `--` ends the options.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_COUNT,  /* size_t, decimal */
    OPTION_NUMBER, /* double */
    OPTION_TEXT,   /* const char *, borrowed from argv */
    OPTION_DTYPE,  /* anymps_dtype */
    OPTION_NEURON  /* anymps_neuron_type */
} option_kind;

typedef struct option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    option_kind kind;
    void *target;      /* what the kind says */
    const char *value; /* the word for the value in help, NULL for a flag */
    const char *help;
} option;

enum { OPTIONS_MOST = 40 };

typedef struct command_line {
    const char *verb;
    const char *arguments; /* as help shows them: "LEFT RIGHT" */
    const char *details;   /* what help says below the usage line */
    size_t fewest, most;   /* arguments that are no options */
    option options[OPTIONS_MOST];
    size_t option_count;
    const char *argument[8]; /* filled by parsing */
    size_t argument_count;
} command_line;

typedef enum parse_answer {
    PARSE_RUN,  /* go on */
    PARSE_HELP, /* help was printed: done */
    PARSE_WRONG /* the error line was printed: usage */
} parse_answer;

/* Adds an option; the lists are fixed, so one too many is a defect of the tool. */
void options_add(command_line *line, option added);

parse_answer options_parse(command_line *line, int argc, char **argv);

#endif /* OPTIONS_H */
