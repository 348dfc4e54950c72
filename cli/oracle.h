/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.h: what a job should give, in double, and how far from it the library may be.
 *
 * Used by --check, verify and demo. The bounds are those that anymps/kernels.h promises for each operator.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include "job.h"
#include "values.h"

/* The operands of a job as doubles, transposed as the job says; slots that are not given have no values.
   Take it before the job runs: results and residuals are read as they are then. */
typedef struct oracle_inputs {
    dense slot[JOB_SLOTS];
} oracle_inputs;

bool oracle_read(const job *j, oracle_inputs *inputs);
void oracle_inputs_free(oracle_inputs *inputs);

typedef struct oracle_comparison {
    size_t elements;
    size_t outside;       /* elements outside their bound */
    double largest_error; /* |got - exact| */
    double largest_share; /* of its bound; at most 1 is right */
    double got, exact;    /* of the element with the largest share */
    size_t row, column, matrix;
} oracle_comparison;

/* Compares the job's result as it is now. False, with the error line printed, if it cannot be read. */
bool oracle_compare(const job *j, const oracle_inputs *inputs, oracle_comparison *comparison);

#endif /* ORACLE_H */
