/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c: the JSON writer of --json. Called by cmd_<verb>.c and operator_verb.c; it knows nothing of
 * what it writes. Output is one indented document, the same bytes for the same values.
 */
#include "json.h"

#include <assert.h>
#include <math.h>

static void indent(const json_writer *json)
{
    for (int i = 0; i < json->depth; i++) {
        fputs("  ", json->stream);
    }
}

/* JSON strings are UTF-8: bytes from 0x80 on pass as they are. */
static void put_string(json_writer *json, const char *text)
{
    fputc('"', json->stream);
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
        if (*c == '"' || *c == '\\') {
            fprintf(json->stream, "\\%c", *c);
        } else if (*c < 0x20) {
            fprintf(json->stream, "\\u%04x", *c);
        } else {
            fputc(*c, json->stream);
        }
    }
    fputc('"', json->stream);
}

static void begin_value(json_writer *json, const char *key)
{
    fputs(json->filled[json->depth] ? ",\n" : "\n", json->stream);
    json->filled[json->depth] = true;
    indent(json);
    if (key != NULL) {
        put_string(json, key);
        fputs(": ", json->stream);
    }
}

static void begin_nest(json_writer *json, char bracket)
{
    assert(json->depth + 1 < (int)(sizeof json->filled / sizeof json->filled[0]));
    fputc(bracket, json->stream);
    json->filled[++json->depth] = false;
}

static void end_nest(json_writer *json, char bracket)
{
    bool filled = json->filled[json->depth--];
    if (filled) {
        fputc('\n', json->stream);
        indent(json);
    }
    fputc(bracket, json->stream);
}

json_writer json_open(FILE *stream)
{
    json_writer json = {.stream = stream};
    begin_nest(&json, '{');
    return json;
}

void json_close(json_writer *json)
{
    end_nest(json, '}');
    fputc('\n', json->stream);
}

void json_begin_object(json_writer *json, const char *key)
{
    begin_value(json, key);
    begin_nest(json, '{');
}

void json_end_object(json_writer *json)
{
    end_nest(json, '}');
}

void json_begin_array(json_writer *json, const char *key)
{
    begin_value(json, key);
    begin_nest(json, '[');
}

void json_end_array(json_writer *json)
{
    end_nest(json, ']');
}

void json_text(json_writer *json, const char *key, const char *value)
{
    begin_value(json, key);
    if (value != NULL) {
        put_string(json, value);
    } else {
        fputs("null", json->stream);
    }
}

void json_count(json_writer *json, const char *key, size_t value)
{
    begin_value(json, key);
    fprintf(json->stream, "%zu", value);
}

void json_number(json_writer *json, const char *key, double value)
{
    begin_value(json, key);
    if (isfinite(value)) {
        fprintf(json->stream, "%.9g", value);
    } else {
        fputs("null", json->stream);
    }
}

void json_bool(json_writer *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->stream);
}
