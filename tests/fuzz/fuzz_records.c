/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_records.c: any program of matmuls, softmaxes and neurons on views of one buffer, encoded, committed, compared.
 * Sizes mostly follow from the views, so that most programs run; the rest asks for what does not fit.
 *
 * Views may be refused, encodes may be refused (then nothing changes); what was recorded is run on the
 * device and, in order, by plain loops on a copy of the bytes. Both must end within the bound, and bytes
 * outside the results equal. Public API only.
 */
#include <anymps/anymps.h>

#include "fuzz_input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CELLS = 1024, VIEWS = 8, STEPS = 12 };

typedef enum step_kind { MATMUL, SOFTMAX, NEURON, KINDS } step_kind;

/* What the plain loops need of one recorded step. */
typedef struct step {
    step_kind kind;
    size_t rows, columns, interior; /* of the result; interior of a matmul */
    anymps_matmul_desc matmul;
    anymps_neuron_desc neuron;
    anymps_range range;
    size_t left, right, result; /* of the views; but for matmul, left is the source */
} step;

typedef struct world {
    anymps_device *device;
    anymps_buffer *buffer;
    anymps_queue *queue;
    anymps_command_buffer *commands;
    anymps_matrix *views[VIEWS];
    size_t view_count;
    step steps[STEPS];
    size_t step_count;
    double cells[CELLS]; /* what the buffer holds by the loops */
    double error[CELLS]; /* how far the device may be off */
} world;

static void require(bool holds)
{
    if (!holds) {
        abort(); /* what a fuzzer takes for a find */
    }
}

static void open_world(world *w)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = FUZZ_DEVICE;
    desc.threads = 2;
    float start[CELLS];
    for (size_t i = 0; i < CELLS; i++) {
        start[i] = (float)(i * 37 % 64) / 64.0f - 0.5f;
        w->cells[i] = (double)start[i];
        w->error[i] = 0.0;
    }
    require(anymps_device_open(&desc, &w->device) == ANYMPS_OK);
    require(anymps_buffer_create_with_bytes(w->device, start, sizeof start, ANYMPS_STORAGE_SHARED, &w->buffer) ==
            ANYMPS_OK);
    require(anymps_queue_create(w->device, &w->queue) == ANYMPS_OK);
    require(anymps_command_buffer_create(w->queue, &w->commands) == ANYMPS_OK);
}

static void close_world(world *w)
{
    for (size_t i = 0; i < w->view_count; i++) {
        anymps_matrix_release(w->views[i]);
    }
    anymps_command_buffer_release(w->commands);
    anymps_queue_release(w->queue);
    anymps_buffer_release(w->buffer);
    anymps_device_release(w->device);
    require(anymps_live_counts().objects == 0 && anymps_live_counts().blocks == 0);
}

static void add_view(world *w, fuzz_input *in)
{
    anymps_matrix_desc desc = ANYMPS_MATRIX_DESC_INIT;
    desc.rows = fuzz_below(in, 12);
    desc.columns = fuzz_below(in, 12);
    desc.matrices = 1 + fuzz_below(in, 3);
    const unsigned rows = fuzz_byte(in), matrices = fuzz_byte(in);
    desc.row_bytes = rows < 64 ? 0 : rows < 224 ? (desc.columns + rows % 8) * sizeof(float) : rows % 40 * sizeof(float);
    desc.matrix_bytes = matrices < 64    ? 0
                        : matrices < 224 ? (desc.rows + matrices % 3) * desc.row_bytes
                                         : matrices % 100 * sizeof(float);
    const size_t offset = (fuzz_byte(in) * 4 + fuzz_below(in, 4)) * sizeof(float);
    if (w->view_count < VIEWS &&
        anymps_matrix_create(w->buffer, offset, &desc, &w->views[w->view_count]) == ANYMPS_OK) {
        w->view_count++;
    }
}

/* Cell of element (i, j) of matrix b; a view with one matrix serves all. */
static size_t cell(const world *w, size_t view, anymps_origin origin, size_t b, size_t i, size_t j)
{
    const anymps_matrix_desc desc = anymps_matrix_get_desc(w->views[view]);
    const size_t matrix = desc.matrices == 1 ? 0 : b;
    const size_t byte = anymps_matrix_offset_bytes(w->views[view]) + matrix * desc.matrix_bytes +
                        (origin.row + i) * desc.row_bytes + (origin.column + j) * sizeof(float);
    require(byte / sizeof(float) < CELLS);
    return byte / sizeof(float);
}

static size_t batch_end(const world *w, const step *s)
{
    const size_t have = anymps_matrix_get_desc(w->views[s->result]).matrices;
    return s->range.batch_size == ANYMPS_ALL ? have : s->range.batch_start + s->range.batch_size;
}

/* One element of a product with the bound of matmul and what the operands' own errors become. */
static void run_entry(world *w, const step *s, const double *before, const double *off, size_t b, size_t i, size_t j)
{
    const anymps_matmul_desc *const d = &s->matmul;
    double sum = 0.0;
    double magnitude = 0.0;
    double carried = 0.0;
    for (size_t k = 0; k < d->interior; k++) {
        const size_t l = cell(w, s->left, s->range.primary, b, d->transpose_left ? k : i, d->transpose_left ? i : k);
        const size_t r =
            cell(w, s->right, s->range.secondary, b, d->transpose_right ? j : k, d->transpose_right ? k : j);
        sum += before[l] * before[r];
        magnitude += fabs(before[l] * before[r]);
        carried += fabs(before[l]) * off[r] + fabs(before[r]) * off[l] + off[l] * off[r];
    }
    const size_t at = cell(w, s->result, s->range.result, b, i, j);
    const double old = d->beta == 0.0 ? 0.0 : d->beta * before[at];
    w->cells[at] = d->alpha * sum + old;
    w->error[at] = fabs(d->alpha) * (carried + 2.0 * (double)(d->interior + 1) * 0x1p-24 * (magnitude + carried)) +
                   0x1p-22 * fabs(old) + fabs(d->beta) * off[at] * 1.001 + 0x1p-140;
}

/* A rectifier or an absolute value of alpha times the source: errors grow by no more than alpha. */
static void run_neuron(world *w, const step *s, const double *before, const double *off, size_t b, size_t i, size_t j)
{
    const size_t from = cell(w, s->left, s->range.primary, b, i, j), at = cell(w, s->result, s->range.result, b, i, j);
    const double x = s->neuron.alpha * before[from];
    w->cells[at] = s->neuron.neuron == ANYMPS_NEURON_ABSOLUTE ? fabs(x) : x >= 0.0 ? x : (double)s->neuron.a * x;
    w->error[at] = fabs(s->neuron.alpha) * off[from] + 8.0 * 0x1p-24 * fabs(x) + 0x1p-140;
}

/* One row of a softmax: shares are at most 1, errors of the arguments act relatively. */
static void run_row(world *w, const step *s, const double *before, const double *off, size_t b, size_t i)
{
    const size_t columns = s->columns;
    double greatest = -HUGE_VAL;
    double carried = 0.0;
    double magnitude = 0.0;
    double sum = 0.0;
    for (size_t j = 0; j < columns; j++) {
        const size_t at = cell(w, s->left, s->range.primary, b, i, j);
        greatest = fmax(greatest, before[at]);
        carried = fmax(carried, off[at]);
        magnitude = fmax(magnitude, fabs(before[at]));
    }
    for (size_t j = 0; j < columns; j++) {
        sum += exp(before[cell(w, s->left, s->range.primary, b, i, j)] - greatest);
    }
    for (size_t j = 0; j < columns; j++) {
        const double share = exp(before[cell(w, s->left, s->range.primary, b, i, j)] - greatest) / sum;
        const size_t at = cell(w, s->result, s->range.result, b, i, j);
        w->cells[at] = share;
        w->error[at] =
            share * (expm1(fmin(2.0 * carried, 50.0)) + ((double)columns / 2.0 + 8.0 + 4.0 * magnitude) * 0x1p-24) +
            0x1p-126;
    }
}

static void run_step(world *w, const step *s)
{
    static double before[CELLS], off[CELLS];
    memcpy(before, w->cells, sizeof before);
    memcpy(off, w->error, sizeof off);
    for (size_t b = s->range.batch_start; b < batch_end(w, s); b++) {
        for (size_t i = 0; i < s->rows; i++) {
            if (s->kind == SOFTMAX) {
                run_row(w, s, before, off, b, i);
            }
            for (size_t j = 0; s->kind == MATMUL && j < s->columns; j++) {
                run_entry(w, s, before, off, b, i, j);
            }
            for (size_t j = 0; s->kind == NEURON && j < s->columns; j++) {
                run_neuron(w, s, before, off, b, i, j);
            }
        }
    }
}

/* Most ranges are the whole of the views. */
static anymps_range any_range(fuzz_input *in)
{
    anymps_range range = ANYMPS_RANGE_INIT;
    if (fuzz_below(in, 3) == 0) {
        range.primary = (anymps_origin){fuzz_below(in, 4), fuzz_below(in, 4)};
        range.secondary = (anymps_origin){fuzz_below(in, 4), fuzz_below(in, 4)};
        range.result = (anymps_origin){fuzz_below(in, 4), fuzz_below(in, 4)};
    }
    if (fuzz_below(in, 4) == 0) {
        range.batch_start = fuzz_below(in, 2);
        range.batch_size = fuzz_below(in, 3);
    }
    return range;
}

/* What a view has from an origin on, its rows and columns exchanged if asked. */
typedef struct extent {
    size_t rows, columns;
} extent;

static extent extent_of(const world *w, size_t view, anymps_origin origin, bool transposed)
{
    const anymps_matrix_desc desc = anymps_matrix_get_desc(w->views[view]);
    const size_t rows = desc.rows > origin.row ? desc.rows - origin.row : 0;
    const size_t columns = desc.columns > origin.column ? desc.columns - origin.column : 0;
    return transposed ? (extent){columns, rows} : (extent){rows, columns};
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Seven times of eight a size that fits, at times one less; else any. */
static size_t size_near(fuzz_input *in, size_t fitting)
{
    const unsigned choice = fuzz_byte(in);
    return choice >= 224u ? choice % 12u : fitting - (choice % 4u == 3u && fitting > 0 ? 1u : 0u);
}

static anymps_status encode_matmul(world *w, fuzz_input *in, step *s)
{
    static const double factors[] = {1.0, 0.5, -1.0, 0.0, 2.0};
    anymps_matmul_desc *const d = &s->matmul;
    *d = (anymps_matmul_desc)ANYMPS_MATMUL_DESC_INIT;
    d->transpose_left = fuzz_below(in, 2) == 1;
    d->transpose_right = fuzz_below(in, 2) == 1;
    const extent left = extent_of(w, s->left, s->range.primary, d->transpose_left);
    const extent right = extent_of(w, s->right, s->range.secondary, d->transpose_right);
    const extent result = extent_of(w, s->result, s->range.result, false);
    d->rows = s->rows = size_near(in, smaller(left.rows, result.rows));
    d->columns = s->columns = size_near(in, smaller(right.columns, result.columns));
    d->interior = s->interior = size_near(in, smaller(left.columns, right.rows));
    d->alpha = factors[fuzz_below(in, 5)];
    d->beta = factors[fuzz_below(in, 5)];
    d->left_dtype = d->right_dtype = d->result_dtype = ANYMPS_DTYPE_F32;
    anymps_kernel *kernel = NULL;
    require(anymps_matmul_create(w->device, d, &kernel) == ANYMPS_OK);
    const anymps_status status = anymps_matmul_encode(kernel, w->commands, w->views[s->left], w->views[s->right],
                                                      w->views[s->result], &s->range);
    anymps_kernel_release(kernel);
    return status;
}

/* Rows and columns of an operator with one source and one result. */
static void size_rows(const world *w, fuzz_input *in, step *s)
{
    const extent source = extent_of(w, s->left, s->range.primary, false);
    const extent result = extent_of(w, s->result, s->range.result, false);
    s->rows = size_near(in, smaller(source.rows, result.rows));
    s->columns = size_near(in, smaller(source.columns, result.columns));
}

static anymps_status encode_softmax(world *w, fuzz_input *in, step *s)
{
    anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
    size_rows(w, in, s);
    desc.rows = s->rows;
    desc.columns = s->columns;
    desc.dtype = ANYMPS_DTYPE_F32;
    anymps_kernel *kernel = NULL;
    require(anymps_softmax_create(w->device, &desc, &kernel) == ANYMPS_OK);
    const anymps_status status =
        anymps_softmax_encode(kernel, w->commands, w->views[s->left], w->views[s->result], &s->range);
    anymps_kernel_release(kernel);
    return status;
}

static anymps_status encode_neuron(world *w, fuzz_input *in, step *s)
{
    s->neuron = (anymps_neuron_desc)ANYMPS_NEURON_DESC_INIT;
    size_rows(w, in, s);
    s->neuron.rows = s->rows;
    s->neuron.columns = s->columns;
    s->neuron.dtype = ANYMPS_DTYPE_F32;
    s->neuron.neuron = fuzz_below(in, 2) == 0 ? ANYMPS_NEURON_RELU : ANYMPS_NEURON_ABSOLUTE;
    s->neuron.alpha = fuzz_below(in, 2) == 0 ? 1.0 : -0.5;
    s->neuron.a = fuzz_below(in, 2) == 0 ? 0.0f : 0.25f;
    anymps_kernel *kernel = NULL;
    require(anymps_neuron_create(w->device, &s->neuron, &kernel) == ANYMPS_OK);
    const anymps_status status =
        anymps_neuron_encode(kernel, w->commands, w->views[s->left], NULL, NULL, w->views[s->result], &s->range);
    anymps_kernel_release(kernel);
    return status;
}

static void add_step(world *w, fuzz_input *in)
{
    static anymps_status (*const encode[KINDS])(world *, fuzz_input *, step *) = {
        [MATMUL] = encode_matmul, [SOFTMAX] = encode_softmax, [NEURON] = encode_neuron};
    static const step_kind kinds[] = {MATMUL, MATMUL, SOFTMAX, NEURON};
    if (w->view_count == 0 || w->step_count == STEPS) {
        return;
    }
    step *const s = &w->steps[w->step_count];
    *s = (step){.left = fuzz_below(in, w->view_count),
                .right = fuzz_below(in, w->view_count),
                .result = fuzz_below(in, w->view_count),
                .range = any_range(in)};
    const size_t before = anymps_command_buffer_count(w->commands);
    s->kind = kinds[fuzz_below(in, 4)];
    const anymps_status status = encode[s->kind](w, in, s);
    require(anymps_command_buffer_count(w->commands) == before + (status == ANYMPS_OK ? 1u : 0u));
    require(status == ANYMPS_OK || status == ANYMPS_INVALID_ARGUMENT || status == ANYMPS_SHAPE_MISMATCH);
    w->step_count += status == ANYMPS_OK ? 1 : 0;
}

/* Errors that have grown beyond reason say nothing any more. */
static void compare(const world *w)
{
    float cells[CELLS];
    require(anymps_buffer_read(w->buffer, 0, cells, sizeof cells) == ANYMPS_OK);
    for (size_t i = 0; i < CELLS; i++) {
        const double off = fabs((double)cells[i] - w->cells[i]);
        const bool sane = w->error[i] < 1e30 && fabs(w->cells[i]) < 1e30;
        require(!sane || off <= w->error[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size, 0};
    static world w;
    memset(&w, 0, sizeof w);
    open_world(&w);
    while (fuzz_more(&in)) {
        if (fuzz_below(&in, 5) < 2) {
            add_view(&w, &in);
        } else {
            add_step(&w, &in);
        }
    }
    require(anymps_command_buffer_commit(w.commands) == ANYMPS_OK);
    require(anymps_command_buffer_wait(w.commands) == ANYMPS_OK);
    for (size_t i = 0; i < w.step_count; i++) {
        run_step(&w, &w.steps[i]);
    }
    compare(&w);
    close_world(&w);
    return 0;
}
