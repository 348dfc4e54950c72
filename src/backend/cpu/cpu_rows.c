/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_rows.c: rows over threads and rows of any floating type as f32 (cpu_rows.h). Called by the row operators in
 * ops/; calls the pool and the conversions of the row microkernels.
 */
#include "backend/cpu/cpu_rows.h"

#include "base/checked.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Elements of a task: about 5 µs of work, so that taking a task (some 20 ns) and waking a thread pay. */
enum { TASK_ELEMENTS = 16384 };

static bool piece_floats(size_t columns, size_t *floats)
{
    return amps_round_up(columns, AMPS_CACHE_LINE / sizeof(float), floats);
}

/* Can a row be worked on where it lies? */
static bool plain(const void *at, anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F32 && (uintptr_t)at % _Alignof(float) == 0;
}

static bool all_plain(const amps_record *record)
{
    for (size_t i = 0; i < record->operand_count; i++) {
        const amps_view *const view = &record->operands[i];
        if (view->memory != NULL && !plain(amps_view_host(view, 0), view->dtype)) {
            return false;
        }
    }
    return true;
}

bool amps_rows_scratch(const amps_cpu_device *device, const amps_record *record, size_t columns, size_t *bytes)
{
    size_t floats = 0;
    size_t pieces = 0;
    if (all_plain(record)) {
        *bytes = 0;
        return true;
    }
    return amps_mul(amps_pool_threads(device->pool), AMPS_ROW_BUFFERS, &pieces) &&
           amps_add(pieces, AMPS_ROW_VECTORS, &pieces) && piece_floats(columns, &floats) &&
           amps_mul(floats, pieces, &floats) && amps_mul(floats, sizeof(float), bytes);
}

const float *amps_row_read(const amps_row_ukr *ukr, const void *at, anymps_dtype dtype, float *room, size_t n)
{
    if (plain(at, dtype)) {
        return (const float *)at;
    }
    if (dtype == ANYMPS_DTYPE_F16) {
        ukr->f16_to_f32(at, room, n);
    } else if (dtype == ANYMPS_DTYPE_BF16) {
        ukr->bf16_to_f32(at, room, n);
    } else {
        assert(room != NULL);
        memcpy(room, at, n * sizeof(float));
    }
    return room;
}

float *amps_row_target(void *at, anymps_dtype dtype, float *room)
{
    return plain(at, dtype) ? (float *)at : room;
}

void amps_row_write(const amps_row_ukr *ukr, const float *row, void *at, anymps_dtype dtype, size_t n)
{
    if (dtype == ANYMPS_DTYPE_F16) {
        ukr->f32_to_f16(row, at, n);
    } else if (dtype == ANYMPS_DTYPE_BF16) {
        ukr->f32_to_bf16(row, at, n);
    } else if (row != (const float *)at) {
        memcpy(at, row, n * sizeof(float));
    }
}

static void run_chunk(void *context, size_t task, size_t thread)
{
    const amps_rows *const rows = context;
    const size_t chunks = (rows->row_count - 1) / rows->chunk + 1;
    const size_t b = rows->first_batch + task / chunks;
    const size_t first = task % chunks * rows->chunk;
    const size_t end = first + amps_min(rows->chunk, rows->row_count - first);
    float *const buffers =
        rows->buffers == NULL ? NULL : rows->buffers + thread * AMPS_ROW_BUFFERS * rows->piece_floats;
    for (size_t i = first; i < end; i++) {
        rows->function(rows, b, i, buffers);
    }
}

/* Makes rows->vectors those of matrix b. */
static void take_vectors(amps_rows *rows, const amps_view *const vectors[AMPS_ROW_VECTORS], size_t b)
{
    for (size_t i = 0; i < AMPS_ROW_VECTORS; i++) {
        if (vectors[i] != NULL && vectors[i]->memory != NULL) {
            float *const room = rows->vector_room == NULL ? NULL : rows->vector_room + i * rows->piece_floats;
            rows->vectors[i] = amps_row_read(rows->device->rows, amps_view_host(vectors[i], b), vectors[i]->dtype, room,
                                             rows->columns);
        }
    }
}

static bool differ_by_matrix(const amps_view *const vectors[AMPS_ROW_VECTORS])
{
    for (size_t i = 0; i < AMPS_ROW_VECTORS; i++) {
        if (vectors[i] != NULL && vectors[i]->memory != NULL && vectors[i]->matrix_bytes != 0) {
            return true;
        }
    }
    return false;
}

void amps_rows_run(const amps_cpu_device *device, const amps_record *record, const amps_view *result,
                   const amps_view *const vectors[AMPS_ROW_VECTORS], amps_row_function function, void *scratch)
{
    if (result->rows == 0 || result->columns == 0) {
        return;
    }
    amps_rows rows = {
        .device = device,
        .record = record,
        .row_count = result->rows,
        .columns = result->columns,
        .chunk = amps_max(1, TASK_ELEMENTS / result->columns),
        .function = function,
    };
    (void)piece_floats(result->columns, &rows.piece_floats); /* checked by amps_rows_scratch */
    if (!all_plain(record)) {
        rows.vector_room = scratch;
        rows.buffers = rows.vector_room + AMPS_ROW_VECTORS * rows.piece_floats;
    }
    const size_t step = differ_by_matrix(vectors) ? 1 : record->batch;
    const size_t chunks = (rows.row_count - 1) / rows.chunk + 1;
    for (rows.first_batch = 0; rows.first_batch < record->batch; rows.first_batch += step) {
        take_vectors(&rows, vectors, rows.first_batch);
        amps_pool_run(device->pool, step * chunks, run_chunk, &rows);
    }
}

const amps_row_ukr *amps_softmax_ukr(const amps_cpu_device *device, double scale)
{
    const double size = scale < 0 ? -scale : scale;
    const bool common = size >= 0x1p-60 && size <= 0x1p60;
    return common ? device->rows : &amps_row_ukr_reference;
}

anymps_status amps_rows_prepare(amps_cpu_kernel *kernel, anymps_algorithm algorithm)
{
    char what[AMPS_CPU_EXPLAIN_SIZE / 2];
    snprintf(what, sizeof what, "%s rows__%s", kernel->entry->name, amps_cpu_of(kernel)->rows->name);
    return amps_cpu_explain(kernel, algorithm, what);
}
