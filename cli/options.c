/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c: parses a command line against the list of its options, and prints the list as help.
 *
 * Called by every cmd_<verb>.c before anything else. It knows types of values, not their meaning.
 */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "neurons.h"

void options_add(command_line *line, option added)
{
    assert(line->option_count < OPTIONS_MOST);
    line->options[line->option_count++] = added;
}

static void print_option(const option *o)
{
    char left[64];
    const char *value = o->value != NULL ? o->value : "";
    const char *space = o->value != NULL ? " " : "";
    if (o->letter != 0) {
        snprintf(left, sizeof left, "-%c, --%s%s%s", o->letter, o->name, space, value);
    } else {
        snprintf(left, sizeof left, "    --%s%s%s", o->name, space, value);
    }
    printf("  %-28s %s\n", left, o->help);
}

static void print_help(const command_line *line)
{
    printf("usage: anymps %s [options]%s%s\n\n%s\n\noptions:\n", line->verb, line->arguments[0] != '\0' ? " " : "",
           line->arguments, line->details);
    for (size_t i = 0; i < line->option_count; i++) {
        print_option(&line->options[i]);
    }
    printf("  %-28s %s\n", "-h, --help", "this text");
}

static bool read_count(const char *text, size_t *count)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > SIZE_MAX) {
        return false;
    }
    *count = (size_t)value;
    return true;
}

static bool read_number(const char *text, double *number)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0') {
        return false;
    }
    *number = value;
    return true;
}

/* Stores the value of an option; false, with the error line printed, if it is none. */
static bool store(const command_line *line, const option *o, const char *text)
{
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)o->target = true; return true;
    case OPTION_TEXT: *(const char **)o->target = text; return true;
    case OPTION_COUNT:
        if (read_count(text, o->target)) {
            return true;
        }
        break;
    case OPTION_NUMBER:
        if (read_number(text, o->target)) {
            return true;
        }
        break;
    case OPTION_DTYPE:
        if (anymps_dtype_parse(text, o->target) == ANYMPS_OK) {
            return true;
        }
        cli_error("%s: --%s: '%s' is no data type; f32, f16, bf16, i8, i16, i32 are some", line->verb, o->name, text);
        return false;
    case OPTION_NEURON:
        if (neuron_parse(text, o->target)) {
            return true;
        }
        cli_error("%s: --%s: '%s' is no neuron function; 'anymps help neuron' lists them", line->verb, o->name, text);
        return false;
    }
    cli_error("%s: --%s: '%s' is no %s", line->verb, o->name, text, o->kind == OPTION_COUNT ? "count" : "number");
    return false;
}

/* The option that `word` names (up to an '='), or NULL. */
static const option *find_option(const command_line *line, const char *word)
{
    for (size_t i = 0; i < line->option_count; i++) {
        const option *o = &line->options[i];
        if (word[1] == '-') {
            size_t length = strcspn(word + 2, "=");
            if (strlen(o->name) == length && strncmp(o->name, word + 2, length) == 0) {
                return o;
            }
        } else if (o->letter != 0 && word[1] == o->letter && word[2] == '\0') {
            return o;
        }
    }
    return NULL;
}

/* Takes the option at argv[*at] and its value; moves *at to the last word taken. */
static bool take_option(command_line *line, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const option *o = find_option(line, word);
    const char *equals = strchr(word, '=');
    if (o == NULL) {
        cli_error("%s: unknown option '%s'; try 'anymps help %s'", line->verb, word, line->verb);
        return false;
    }
    if (o->kind == OPTION_FLAG) {
        if (equals != NULL) {
            cli_error("%s: --%s takes no value", line->verb, o->name);
            return false;
        }
        return store(line, o, NULL);
    }
    if (word[1] == '-' && equals != NULL) {
        return store(line, o, equals + 1);
    }
    if (*at + 1 >= argc) {
        cli_error("%s: --%s needs a value: %s", line->verb, o->name, o->value);
        return false;
    }
    *at += 1;
    return store(line, o, argv[*at]);
}

static bool check_arguments(const command_line *line, size_t given)
{
    if (given >= line->fewest && given <= line->most) {
        return true;
    }
    if (line->fewest == line->most) {
        cli_error("%s: needs %zu arguments (%s), got %zu", line->verb, line->fewest,
                  line->arguments[0] != '\0' ? line->arguments : "none", given);
    } else {
        cli_error("%s: needs %zu to %zu arguments (%s), got %zu", line->verb, line->fewest, line->most, line->arguments,
                  given);
    }
    return false;
}

parse_answer options_parse(command_line *line, int argc, char **argv)
{
    size_t given = 0;
    bool options_ended = false;
    for (int at = 0; at < argc; at++) {
        const char *word = argv[at];
        if (!options_ended && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_help(line);
            return PARSE_HELP;
        }
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && word[0] == '-' && word[1] != '\0') {
            if (!take_option(line, argc, argv, &at)) {
                return PARSE_WRONG;
            }
        } else {
            if (given < sizeof line->argument / sizeof line->argument[0]) {
                line->argument[given] = word;
            }
            given++;
        }
    }
    line->argument_count = given;
    return check_arguments(line, given) ? PARSE_RUN : PARSE_WRONG;
}
