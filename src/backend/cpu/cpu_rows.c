/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_rows.c: rows over threads (cpu_rows.h). Called by the row operators in ops/; calls the pool and the conversions
 * of the row microkernels. Knows no operator.
 */
#include "backend/cpu/cpu_rows.h"

#include "base/checked.h"

#include <stdio.h>
#include <string.h>

enum {
    TASK_ELEMENTS = 16384, /* about 5 µs of work, so that taking a task (some 20 ns) and waking a thread pay */
    TASKS_PER_THREAD = 16, /* of large matrices: the first row of a task is not fetched ahead */
    STREAM_COLUMNS = 256   /* shorter rows begin and end with partial vectors too often */
};

static bool piece_floats(size_t columns, size_t *floats)
{
    return amps_round_up(columns, AMPS_CACHE_LINE / sizeof(float), floats);
}

bool amps_rows_scratch(const amps_cpu_device *device, size_t columns, size_t *bytes)
{
    size_t floats = 0;
    return piece_floats(columns, &floats) &&
           amps_mul(floats, amps_pool_threads(device->pool) + AMPS_ROW_VECTORS, &floats) &&
           amps_mul(floats, sizeof(float), bytes);
}

static amps_row_type type_of(anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F32 ? AMPS_ROW_F32 : dtype == ANYMPS_DTYPE_F16 ? AMPS_ROW_F16 : AMPS_ROW_BF16;
}

amps_row amps_row_of(const amps_rows *rows, const amps_view *source, const amps_view *to, size_t b, size_t i,
                     float *room)
{
    const size_t size = anymps_dtype_bytes(to->dtype);
    unsigned char *const y = amps_view_row(to, b, i);
    const unsigned char *const x = amps_view_row(source, b, i);
    const size_t left = amps_min(rows->chunk - i % rows->chunk, rows->row_count - i) - 1;
    return (amps_row){
        .x = x,
        .y = y,
        .n = rows->columns,
        .type = type_of(to->dtype),
        .stream = rows->stream && x != y && (uintptr_t)y % size == 0,
        .room = room,
        .next = left > 0 && rows->fetch ? x + source->row_bytes : NULL,
        .more = rows->together ? left : 0,
        .x_row_bytes = source->row_bytes,
        .y_row_bytes = to->row_bytes,
    };
}

static void run_chunk(void *context, size_t task, size_t thread)
{
    const amps_rows *const rows = context;
    const size_t chunks = (rows->row_count - 1) / rows->chunk + 1;
    const size_t b = rows->first_batch + task / chunks;
    const size_t first = task % chunks * rows->chunk;
    const size_t end = first + amps_min(rows->chunk, rows->row_count - first);
    for (size_t i = first; i < end; i += rows->together ? rows->chunk : 1) {
        rows->function(rows, b, i, rows->rooms + thread * rows->piece_floats);
    }
    if (rows->stream) {
        rows->device->rows->fence();
    }
}

/* n elements at `at` as f32: in place if they are that already, else converted into `room`. */
static const float *read_vector(const amps_row_ukr *ukr, const void *at, anymps_dtype dtype, float *room, size_t n)
{
    if (dtype == ANYMPS_DTYPE_F32 && (uintptr_t)at % _Alignof(float) == 0) {
        return (const float *)at;
    }
    if (dtype == ANYMPS_DTYPE_F16) {
        ukr->f16_to_f32(at, room, n);
    } else if (dtype == ANYMPS_DTYPE_BF16) {
        ukr->bf16_to_f32(at, room, n);
    } else {
        memcpy(room, at, n * sizeof(float));
    }
    return room;
}

/* Makes rows->vectors those of matrix b. */
static void take_vectors(amps_rows *rows, const amps_view *const vectors[AMPS_ROW_VECTORS], size_t b)
{
    for (size_t i = 0; i < AMPS_ROW_VECTORS; i++) {
        if (vectors[i] != NULL && vectors[i]->memory != NULL) {
            rows->vectors[i] = read_vector(rows->device->rows, amps_view_host(vectors[i], b), vectors[i]->dtype,
                                           rows->vector_room + i * rows->piece_floats, rows->columns);
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

/*
 * Chooses what depends on size: rows that do not fit the second level of the caches are fetched ahead; results that,
 * with their sources, do not fit the last are stored past the caches, since they would be gone before anyone
 * reads them, and reading them in order to write costs half as much traffic again.
 */
static void look_at_size(amps_rows *rows, size_t batch)
{
    const amps_cpu_caches *const caches = &rows->device->caches;
    const size_t last = caches->l3_bytes != 0 ? caches->l3_bytes : caches->l2_bytes;
    const double bytes = 2.0 * (double)batch * (double)rows->row_count * (double)rows->columns *
                         (double)anymps_dtype_bytes(rows->result->dtype);
    rows->fetch = bytes > (double)caches->l2_bytes;
    rows->stream = bytes > (double)last && rows->columns >= STREAM_COLUMNS;
    const size_t fair = rows->row_count / (amps_pool_threads(rows->device->pool) * TASKS_PER_THREAD);
    rows->chunk = amps_max(amps_max(1, TASK_ELEMENTS / rows->columns), rows->fetch ? fair : 0);
}

static void run_all(const amps_cpu_device *device, const amps_record *record, const amps_view *result,
                    const amps_view *const vectors[AMPS_ROW_VECTORS], amps_row_function function, bool together,
                    void *scratch)
{
    if (result->rows == 0 || result->columns == 0) {
        return;
    }
    amps_rows rows = {
        .device = device,
        .record = record,
        .result = result,
        .row_count = result->rows,
        .columns = result->columns,
        .vector_room = scratch,
        .function = function,
        .together = together,
    };
    (void)piece_floats(result->columns, &rows.piece_floats); /* checked by amps_rows_scratch */
    rows.rooms = rows.vector_room + AMPS_ROW_VECTORS * rows.piece_floats;
    look_at_size(&rows, record->batch);
    const size_t step = differ_by_matrix(vectors) ? 1 : record->batch;
    const size_t chunks = (rows.row_count - 1) / rows.chunk + 1;
    for (rows.first_batch = 0; rows.first_batch < record->batch; rows.first_batch += step) {
        take_vectors(&rows, vectors, rows.first_batch);
        amps_pool_run(device->pool, step * chunks, run_chunk, &rows);
    }
}

void amps_rows_run(const amps_cpu_device *device, const amps_record *record, const amps_view *result,
                   const amps_view *const vectors[AMPS_ROW_VECTORS], amps_row_function function, void *scratch)
{
    run_all(device, record, result, vectors, function, false, scratch);
}

void amps_rows_run_together(const amps_cpu_device *device, const amps_record *record, const amps_view *result,
                            amps_row_function function, void *scratch)
{
    const amps_view *const none[AMPS_ROW_VECTORS] = {NULL, NULL};
    run_all(device, record, result, none, function, true, scratch);
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
