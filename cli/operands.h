/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operands.h: operands from files: `file.npy`, `file.safetensors:name`.
 */
#ifndef OPERANDS_H
#define OPERANDS_H

#include "job.h"

/* What one operand must become. */
typedef struct operand_request {
    const char *operator_name; /* for messages: "matmul" */
    const char *slot_name;     /* "left" */
    const char *spec;          /* "A.npy", "model.safetensors:layer.0.weight" */
    anymps_device *device;
    bool vector;             /* a vector, not a matrix */
    bool transposable;       /* a column-major file may come back as its transpose */
    bool writable;           /* a copy of its own: the operator writes it */
    bool column;             /* a tensor of rank 1 is a column, not a row */
    bool narrow;             /* f64 may be read as f32 */
    anymps_dtype convert_to; /* INVALID: as stored */
} operand_request;

/* Loads it. `*transposed` (set for matrices): the slot holds the transpose of what the file means. False,
   with the error line printed, on failure. */
bool operand_load(const operand_request *request, job_slot *slot, bool *transposed);

/* Opens the file of a spec and finds its tensor. `context` begins error lines. The file is the caller's. */
bool operand_open(const char *context, const char *spec, anymps_file **file, size_t *index);

#endif /* OPERANDS_H */
