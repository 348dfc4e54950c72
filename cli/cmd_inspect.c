/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_inspect.c: `anymps inspect FILE`: the tensors of a file, without reading their elements. Called by
 * cli.c; calls anymps/io.h.
 */
#include <stdio.h>

#include "cli.h"
#include "json.h"
#include "options.h"
#include "table.h"

static void put_shape(char *text, size_t size, const anymps_file_tensor *tensor)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < tensor->rank && at < size; i++) {
        at += (size_t)snprintf(text + at, size - at, "%s%zu", i > 0 ? "x" : "", tensor->shape[i]);
    }
    if (tensor->rank == 0) {
        snprintf(text, size, "scalar");
    }
}

static const char *order_of(const anymps_file_tensor *tensor)
{
    if (tensor->swapped) {
        return tensor->column_major ? "column-major, bytes swapped" : "row-major, bytes swapped";
    }
    return tensor->column_major ? "column-major" : "row-major";
}

static void add_row(table *t, const anymps_file_tensor *tensor)
{
    char shape[TABLE_CELL], bytes[TEXT_SHORT];
    put_shape(shape, sizeof shape, tensor);
    table_cell(t, "%s", tensor->name[0] != '\0' ? tensor->name : "-");
    table_cell(t, "%s", anymps_dtype_name(tensor->dtype));
    table_cell(t, "%s", shape);
    table_cell(t, "%s", text_bytes(bytes, (double)tensor->length_bytes));
    table_cell(t, "%zu", tensor->offset_bytes);
    table_cell(t, "%s", order_of(tensor));
}

static void add_json(json_writer *json, const anymps_file_tensor *tensor)
{
    json_begin_object(json, NULL);
    json_text(json, "name", tensor->name);
    json_text(json, "dtype", anymps_dtype_name(tensor->dtype));
    json_begin_array(json, "shape");
    for (size_t i = 0; i < tensor->rank; i++) {
        json_count(json, NULL, tensor->shape[i]);
    }
    json_end_array(json);
    json_bool(json, "column_major", tensor->column_major);
    json_bool(json, "swapped", tensor->swapped);
    json_count(json, "offset_bytes", tensor->offset_bytes);
    json_count(json, "length_bytes", tensor->length_bytes);
    json_end_object(json);
}

static int print_file(const char *path, const anymps_file *file, bool as_json)
{
    table t = table_make("name|type|shape|>bytes|>offset|order");
    json_writer json = {0};
    bool good = true;
    if (as_json) {
        json = json_open(stdout);
        json_text(&json, "file", path);
        json_begin_array(&json, "tensors");
    }
    for (size_t i = 0; good && i < anymps_file_count(file); i++) {
        anymps_file_tensor tensor = ANYMPS_FILE_TENSOR_INIT;
        good = anymps_file_get_tensor(file, i, &tensor) == ANYMPS_OK;
        if (!good) {
            cli_error("inspect: %s: %s", path, cli_library_message());
        } else if (as_json) {
            add_json(&json, &tensor);
        } else {
            add_row(&t, &tensor);
        }
    }
    if (as_json) {
        json_end_array(&json);
        json_close(&json);
    } else if (good) {
        table_print(&t, stdout);
    }
    table_free(&t);
    return good ? CLI_OK : CLI_FAILURE;
}

int cmd_inspect(int argc, char **argv)
{
    bool json = false;
    command_line line = {
        .verb = "inspect",
        .arguments = "FILE",
        .details = "Lists the tensors of a .npy or .safetensors file: name, type, shape, place.",
        .fewest = 1,
        .most = 1,
    };
    options_add(&line, (option){"json", 0, OPTION_FLAG, &json, NULL, "as JSON"});
    switch (options_parse(&line, argc, argv)) {
    case PARSE_RUN: break;
    case PARSE_HELP: return CLI_OK;
    case PARSE_WRONG: return CLI_USAGE;
    }
    anymps_file *file = NULL;
    if (anymps_file_open(line.argument[0], &file) != ANYMPS_OK) {
        cli_error("inspect: %s: %s", line.argument[0], cli_library_message());
        return CLI_FAILURE;
    }
    int code = print_file(line.argument[0], file, json);
    anymps_file_release(file);
    return code;
}
