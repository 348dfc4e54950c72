/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_rows.h: what the operators that work row by row share: spreading rows over the threads, reading and
 * writing a row of any floating type as f32, vectors along the columns.
 *
 * Scratch of a record, in pieces that start on a cache line:
 *
 *     | vector 0 | vector 1 | thread 0: row 0 … row AMPS_ROW_BUFFERS-1 | thread 1: … |
 *
 * Each piece holds one row as f32. Nothing of it is needed when all operands are f32 at addresses that
 * suit f32.
 */
#ifndef AMPS_ROWS_H
#define AMPS_ROWS_H

#include "backend/cpu/cpu.h"

enum { AMPS_ROW_VECTORS = 2, AMPS_ROW_BUFFERS = 3 };

struct amps_rows;

/* Works on row i of matrix b. `buffers`: AMPS_ROW_BUFFERS pieces of `piece_floats`, this thread's own. */
typedef void (*amps_row_function)(const struct amps_rows *rows, size_t b, size_t i, float *buffers);

/* One record being run. */
typedef struct amps_rows {
    const amps_cpu_device *device;
    const amps_record *record;
    size_t row_count; /* of one matrix */
    size_t columns;
    size_t piece_floats;                    /* columns, rounded up to a cache line */
    float *buffers;                         /* thread 0's */
    float *vector_room;                     /* AMPS_ROW_VECTORS pieces */
    const float *vectors[AMPS_ROW_VECTORS]; /* as f32; NULL: not given */
    size_t first_batch;                     /* matrices of the region that runs: from here on */
    size_t chunk;                           /* rows per task */
    amps_row_function function;
} amps_rows;

/* Scratch for a record whose result has `columns` columns. */
bool amps_rows_scratch(const amps_cpu_device *device, const amps_record *record, size_t columns, size_t *bytes);

/*
 * Runs `function` over all rows and batches of `result`. `vectors` are views of vectors along the columns
 * (their memory NULL: not given), handed over as rows->vectors, per matrix where they differ by matrix.
 */
void amps_rows_run(const amps_cpu_device *device, const amps_record *record, const amps_view *result,
                   const amps_view *const vectors[AMPS_ROW_VECTORS], amps_row_function function, void *scratch);

/* n elements at `at` as f32: in place if they are that already, else converted into `room`. */
const float *amps_row_read(const amps_row_ukr *ukr, const void *at, anymps_dtype dtype, float *room, size_t n);

/* Where to form a row that belongs at `at`: there, or in `room`; amps_row_write then moves it. */
float *amps_row_target(void *at, anymps_dtype dtype, float *room);
void amps_row_write(const amps_row_ukr *ukr, const float *row, void *at, anymps_dtype dtype, size_t n);

/* The row microkernels for a scale of softmax: the reference's for those that vectors do not handle. */
const amps_row_ukr *amps_softmax_ukr(const amps_cpu_device *device, double scale);

/* For amps_cpu_op.prepare: "own <name> rows__<isa>". */
anymps_status amps_rows_prepare(amps_cpu_kernel *kernel, anymps_algorithm algorithm);

#endif /* AMPS_ROWS_H */
