/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle_rows.h: one row of a result in double with its bound, for every operator (oracle.c calls it).
 */
#ifndef ORACLE_ROWS_H
#define ORACLE_ROWS_H

#include "oracle.h"

/* One row of one matrix of the result. */
typedef struct oracle_row {
    const job *j;
    const oracle_inputs *in;
    size_t matrix, row;
    size_t columns;  /* of the result */
    double *exact;   /* columns */
    double *bound;   /* columns; the final rounding to the result's type is added by the caller */
    double *scratch; /* oracle_scratch() elements */
} oracle_row;

/* Elements of scratch that a row of this job needs. */
size_t oracle_scratch(const job *j, const oracle_inputs *in);

void oracle_compute_row(const oracle_row *r);

#endif /* ORACLE_ROWS_H */
