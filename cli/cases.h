/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cases.h: operators on random operands: what bench and verify run.
 */
#ifndef CASES_H
#define CASES_H

#include "job.h"

/* One combination of types that anymps/kernels.h lists, as anymps_device_supports takes it. */
typedef struct case_types {
    anymps_dtype dtype[3]; /* left, right, result; or one for all */
    size_t count;
} case_types;

size_t case_types_count(job_operator op);
case_types case_types_at(job_operator op, size_t index);

/* The types as text: "f16,f16->f32", "bf16". `text` holds CASE_TYPES_TEXT bytes and is returned. */
enum { CASE_TYPES_TEXT = 48 };
const char *case_types_text(const case_types *types, char *text);

typedef struct case_spec {
    job_operator op;
    job_sizes sizes; /* batch 0: 1 */
    case_types types;
    job_params params;
    bool optional;      /* give the operands that may be left out */
    size_t pad_columns; /* of every row, elements that take no part */
    uint64_t seed;
} case_spec;

/* Makes the operands with random contents. The job is to be freed also on failure, which is told. */
bool case_make(const case_spec *spec, anymps_device *device, job *j);

#endif /* CASES_H */
