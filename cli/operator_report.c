/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operator_report.c: the line and the JSON of an operator verb. Called by operator_verb.c; it computes
 * rates from the outcome and nothing else.
 */
#include "operator_report.h"

#include <stdio.h>

#include "json.h"
#include "table.h"

/* GFLOP/s or GB/s: operations or bytes per nanosecond. */
static double rate_of(const job *j, const operator_outcome *o, bool flops)
{
    double time = (double)o->timings.round_trip_ns;
    double work = flops ? job_flops(j, &o->sizes) : job_bytes(j);
    return time > 0 ? work / time : 0;
}

static anymps_device_properties properties_of(const job *j)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (anymps_device_get_properties(j->device, &properties) != ANYMPS_OK) {
        snprintf(properties.id, sizeof properties.id, "unknown");
    }
    return properties;
}

static void report_line(const operator_request *r, const job *j, const operator_outcome *o, FILE *to)
{
    char text[JOB_TEXT], time[TEXT_SHORT], rate[TEXT_SHORT];
    bool flops = job_counts_flops(j->op);
    anymps_device_properties properties = properties_of(j);
    fprintf(to, "%s %s on %s (%s): %s, %s %s", job_operator_info(j->op)->name, job_text(j, text), properties.id,
            properties.name, text_time(time, (double)o->timings.round_trip_ns), text_number(rate, rate_of(j, o, flops)),
            flops ? "GFLOP/s" : "GB/s");
    if (o->checked) {
        fprintf(to, ", largest error %.3g (%.3g of its bound)", o->comparison.largest_error,
                o->comparison.largest_share);
    }
    if (r->explain) {
        fprintf(to, ", kernel %s", anymps_kernel_explain(j->kernel));
    }
    fprintf(to, "\n");
}

static void json_operand(json_writer *json, const char *file, const job *j, size_t slot)
{
    const job_info *info = job_operator_info(j->op);
    json_begin_object(json, info->slot[slot].name);
    if (file != NULL) {
        json_text(json, "file", file);
    }
    json_text(json, "dtype", anymps_dtype_name(job_slot_dtype(j, slot)));
    if (j->slot[slot].vector != NULL) {
        json_count(json, "length", anymps_vector_get_desc(j->slot[slot].vector).length);
    } else {
        anymps_matrix_desc desc = anymps_matrix_get_desc(j->slot[slot].matrix);
        json_count(json, "rows", desc.rows);
        json_count(json, "columns", desc.columns);
        json_count(json, "matrices", desc.matrices);
        json_bool(json, "transposed", j->params.transpose[slot]);
    }
    json_end_object(json);
}

static void report_json(const operator_request *r, const job *j, const operator_outcome *o, FILE *to)
{
    const job_info *info = job_operator_info(j->op);
    anymps_device_properties properties = properties_of(j);
    json_writer json = json_open(to);
    json_text(&json, "operator", info->name);
    json_text(&json, "device", properties.id);
    json_text(&json, "device_name", properties.name);
    json_text(&json, "kernel", anymps_kernel_explain(j->kernel));
    json_begin_object(&json, "operands");
    for (size_t slot = 0; slot < info->slots; slot++) {
        bool result = slot + 1 == info->slots;
        if (j->slot[slot].matrix != NULL || j->slot[slot].vector != NULL) {
            json_operand(&json, result ? r->output : r->file[slot], j, slot);
        }
    }
    json_end_object(&json);
    json_count(&json, "repeat", r->repeat);
    json_number(&json, "encode_ns", (double)o->timings.encode_ns);
    json_number(&json, "device_ns", (double)o->timings.device_ns);
    json_number(&json, "round_trip_ns", (double)o->timings.round_trip_ns);
    json_number(&json, "gflop_per_s", rate_of(j, o, true));
    json_number(&json, "gb_per_s", rate_of(j, o, false));
    if (o->checked) {
        json_number(&json, "largest_error", o->comparison.largest_error);
        json_number(&json, "largest_share_of_bound", o->comparison.largest_share);
    }
    json_close(&json);
}

void operator_report(const operator_request *r, const job *j, const operator_outcome *o, FILE *to)
{
    if (r->json) {
        report_json(r, j, o, to);
    } else {
        report_line(r, j, o, to);
    }
}
