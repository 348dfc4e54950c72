/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operator_report.h: what an operator verb says when it has run: one line, or JSON.
 */
#ifndef OPERATOR_REPORT_H
#define OPERATOR_REPORT_H

#include <stdio.h>

#include "operator_verb.h"
#include "oracle.h"

typedef struct operator_outcome {
    job_sizes sizes;
    anymps_timings timings; /* of the run with the median round trip */
    bool checked;
    oracle_comparison comparison; /* if checked */
} operator_outcome;

void operator_report(const operator_request *request, const job *j, const operator_outcome *outcome, FILE *to);

#endif /* OPERATOR_REPORT_H */
