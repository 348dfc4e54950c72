/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_devices.c: `anymps devices`: what this machine has and, with --operators, what each device runs.
 * Called by cli.c.
 */
#include <stdio.h>

#include "cases.h"
#include "cli.h"
#include "json.h"
#include "options.h"
#include "table.h"

static const char *backend_name(anymps_backend backend)
{
    switch (backend) {
    case ANYMPS_BACKEND_CPU: return "cpu";
    case ANYMPS_BACKEND_METAL: return "metal";
    case ANYMPS_BACKEND_CUDA: return "cuda";
    case ANYMPS_BACKEND_FORCE32: break;
    }
    return "unknown";
}

/* Host memory has no largest buffer but the address space. */
static const char *text_limit(char *text, size_t bytes)
{
    if (bytes >= SIZE_MAX / 4) {
        snprintf(text, TEXT_SHORT, "no limit");
        return text;
    }
    return text_bytes(text, (double)bytes);
}

static void add_row(table *t, const anymps_device_properties *p)
{
    char buffer[TEXT_SHORT], set[TEXT_SHORT];
    table_cell(t, "%s", p->id);
    table_cell(t, "%s", p->name);
    table_cell(t, "%s", p->architecture);
    table_cell(t, "%s", p->unified_memory ? "unified" : "own");
    table_cell(t, "%s", text_limit(buffer, p->max_buffer_bytes));
    table_cell(t, "%s", text_bytes(set, (double)p->recommended_working_set_bytes));
    if (p->threads > 0) {
        table_cell(t, "%zu", p->threads);
    } else {
        table_cell(t, "-");
    }
}

static void add_json(json_writer *json, const anymps_device_properties *p)
{
    json_begin_object(json, NULL);
    json_text(json, "id", p->id);
    json_text(json, "backend", backend_name(p->backend));
    json_text(json, "name", p->name);
    json_text(json, "architecture", p->architecture);
    json_bool(json, "unified_memory", p->unified_memory);
    json_count(json, "max_buffer_bytes", p->max_buffer_bytes);
    json_count(json, "recommended_working_set_bytes", p->recommended_working_set_bytes);
    json_count(json, "threads", p->threads);
    json_end_object(json);
}

static int list_devices(bool as_json)
{
    table t = table_make("id|name|architecture|memory|>largest buffer|>working set|>threads");
    json_writer json = {0};
    bool good = true;
    if (as_json) {
        json = json_open(stdout);
        json_begin_array(&json, "devices");
    }
    for (size_t i = 0; good && i < anymps_device_count(); i++) {
        anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
        good = anymps_device_describe(i, &p) == ANYMPS_OK;
        if (!good) {
            cli_library_error("devices");
        } else if (as_json) {
            add_json(&json, &p);
        } else {
            add_row(&t, &p);
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

/* One row per operator, all type combinations that the headers know, for one device. */
static void add_support(table *t, anymps_device *device, const char *id)
{
    for (size_t op = 0; op < JOB_OPERATORS; op++) {
        const char *name = job_operator_info((job_operator)op)->name;
        for (size_t i = 0; i < case_types_count((job_operator)op); i++) {
            char text[CASE_TYPES_TEXT];
            case_types types = case_types_at((job_operator)op, i);
            bool runs = anymps_device_supports(device, name, types.dtype, types.count) == ANYMPS_OK;
            table_cell(t, "%s", id);
            table_cell(t, "%s", name);
            table_cell(t, "%s", case_types_text(&types, text));
            table_cell(t, "%s", runs ? "yes" : cli_library_message());
        }
    }
}

static int list_support(void)
{
    table t = table_make("device|operator|types|runs");
    int code = CLI_OK;
    for (size_t i = 0; i < anymps_device_count() && code == CLI_OK; i++) {
        anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
        anymps_device *device = NULL;
        if (anymps_device_describe(i, &p) == ANYMPS_OK) {
            device = cli_open_device(p.id, 0, NULL);
        }
        if (device == NULL) {
            code = CLI_FAILURE;
        } else {
            add_support(&t, device, p.id);
        }
        anymps_device_release(device);
    }
    if (code == CLI_OK) {
        table_print(&t, stdout);
    }
    table_free(&t);
    return code;
}

int cmd_devices(int argc, char **argv)
{
    bool json = false, operators = false;
    command_line line = {
        .verb = "devices",
        .arguments = "",
        .details = "Lists the devices of this machine, in order of preference.",
    };
    options_add(&line, (option){"operators", 0, OPTION_FLAG, &operators, NULL,
                                "list what each device runs, by operator and types"});
    options_add(&line, (option){"json", 0, OPTION_FLAG, &json, NULL, "as JSON"});
    switch (options_parse(&line, argc, argv)) {
    case PARSE_RUN: break;
    case PARSE_HELP: return CLI_OK;
    case PARSE_WRONG: return CLI_USAGE;
    }
    if (json && operators) {
        cli_error("devices: --json and --operators do not go together");
        return CLI_USAGE;
    }
    return operators ? list_support() : list_devices(json);
}
