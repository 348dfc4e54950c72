/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_rows.h: what the operators that work row by row share: spreading rows over the threads, the row microkernel's
 * view of a row, vectors along the columns as f32.
 *
 * Scratch of a record, in pieces of one row of f32 that start on a cache line:
 *
 *     | vector 0 | vector 1 | thread 0 | thread 1 | …
 */
#ifndef AMPS_ROWS_H
#define AMPS_ROWS_H

#include "backend/cpu/cpu.h"

enum { AMPS_ROW_VECTORS = 2 };

struct amps_rows;

/* Works on row i of matrix b, or with `together` on all rows of the task from i on. */
typedef void (*amps_row_function)(const struct amps_rows *rows, size_t b, size_t i, float *room);

/* One record being run. */
typedef struct amps_rows {
    const amps_cpu_device *device;
    const amps_record *record;
    const amps_view *result;
    size_t row_count; /* of one matrix */
    size_t columns;
    bool fetch;                             /* rows come from beyond the second level of the caches */
    bool stream;                            /* source and result together exceed the caches */
    size_t piece_floats;                    /* columns, rounded up to a cache line */
    float *rooms;                           /* thread 0's piece */
    float *vector_room;                     /* AMPS_ROW_VECTORS pieces */
    const float *vectors[AMPS_ROW_VECTORS]; /* as f32; NULL: not given */
    size_t first_batch;                     /* matrices of the region that runs: from here on */
    size_t chunk;                           /* rows per task */
    bool together;                          /* `function` takes all rows of a task */
    amps_row_function function;
} amps_rows;

/* Scratch for a result of `columns` columns. */
bool amps_rows_scratch(const amps_cpu_device *device, size_t columns, size_t *bytes);

/*
 * Runs `function` over all rows and batches of `result`. `vectors` are views of vectors along the columns
 * (their memory NULL: not given), handed over as rows->vectors, per matrix where they differ by matrix.
 */
void amps_rows_run(const amps_cpu_device *device, const amps_record *record, const amps_view *result,
                   const amps_view *const vectors[AMPS_ROW_VECTORS], amps_row_function function, void *scratch);

/* The same for a function without vectors that takes all rows of a task. */
void amps_rows_run_together(const amps_cpu_device *device, const amps_record *record, const amps_view *result,
                            amps_row_function function, void *scratch);

/* Row i of matrix b (with `together` and those that follow it in the task), from `source` to `to`, which are of one
   type; `room` as the function got it. */
amps_row amps_row_of(const amps_rows *rows, const amps_view *source, const amps_view *to, size_t b, size_t i,
                     float *room);

/* The row microkernels for a scale of softmax: the reference's for those that vectors do not handle. */
const amps_row_ukr *amps_softmax_ukr(const amps_cpu_device *device, double scale);

/* For amps_cpu_op.prepare: "own <name> rows__<isa>". */
anymps_status amps_rows_prepare(amps_cpu_kernel *kernel, anymps_algorithm algorithm);

#endif /* AMPS_ROWS_H */
