/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.h: the operators as anybody would first write them: plain f32 loops on one thread. The demo's
 * measure of speed-up.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include "job.h"

/* The job's f32 operands, copied to the host, and the loop's own result. */
typedef struct plain_job {
    job_operator op;
    job_sizes sizes;
    double scale, epsilon;
    float *operand[JOB_SLOTS]; /* owned, tight, row-major; NULL: not given */
    float *result;             /* owned */
    float *scratch;            /* owned: the rows x rank product of lora */
} plain_job;

/* Copies the operands; false, with the error line printed, on failure. To be freed in any case. */
bool plain_make(const job *j, plain_job *plain);
void plain_run(plain_job *plain);
void plain_free(plain_job *plain);

#endif /* PLAIN_H */
