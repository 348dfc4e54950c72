/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h: writes JSON as it goes: no tree, no memory. docs/dependencies.md says why not a library.
 *
 * Every call writes to the stream at once; commas and indentation are kept here. Keys are NULL in arrays.
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct json_writer {
    FILE *stream;
    int depth;
    bool filled[16]; /* per depth: something was written at it */
} json_writer;

json_writer json_open(FILE *stream); /* opens the outermost object */
void json_close(json_writer *json);  /* closes it and ends the line */

void json_begin_object(json_writer *json, const char *key);
void json_end_object(json_writer *json);
void json_begin_array(json_writer *json, const char *key);
void json_end_array(json_writer *json);

void json_text(json_writer *json, const char *key, const char *value); /* NULL: null */
void json_count(json_writer *json, const char *key, size_t value);
void json_number(json_writer *json, const char *key, double value); /* not finite: null */
void json_bool(json_writer *json, const char *key, bool value);

#endif /* JSON_H */
