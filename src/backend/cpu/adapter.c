/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter.c: see adapter.h. Called by ops/cpu_lora.c; calls the strips of the matmul microkernels, their packing and
 * the conversions of the row microkernels. Knows no operator.
 *
 * A task is a block of at most 32 rows of one matrix of the batch. A and B are first made ready by all threads, unless
 * they are f32 row by row: widened line by line, or, lying column by column, packed in the strips' order. With a rank
 * that leaves half a vector empty A is turned around instead, and X * A are dot products. Where X * A is given, a task
 * reads its rows of it, and scratch holds neither A, X nor X * A.
 *
 *     scratch:   | A: blocks of 128 of the inputs, or turned: rank lines | B |      for each matrix that differs
 *                | thread 0: 128 columns of X | X * A | a panel of C as f32 | thread 1: … |
 */
#include "backend/cpu/adapter.h"

#include "backend/cpu/gemm_job.h"
#include "backend/cpu/pack.h"
#include "base/checked.h"

#include <string.h>

enum {
    BLOCK_ROWS = 32,
    INPUT_BLOCK = 128,  /* 32 rows of it are half of a first cache */
    OUTPUT_BLOCK = 512, /* columns of a panel of C that is not f32 */
    PAD = 16,           /* floats between rows of scratch, so that they begin in different sets of the cache */
    ALIAS_BYTES = 4096, /* rows at a multiple of this lie in one set of a first cache of 32 KiB in 8 ways */
    FEWEST_ROWS = 4,    /* fewer rows are matrix-vector products */
    MOST_RANK = 256,    /* X * A of a block of rows: 32 KiB */
    NARROW_VECTORS = 4, /* up to so many vectors the rank is one strip */
    MOST_TURNED = 8     /* ranks up to this, and half a vector, are dot products */
};

/* How strips find an operand that runs along its rows. */
typedef enum layout {
    IN_PLACE, /* f32, its rows side by side */
    LINES,    /* the same, widened in scratch */
    PACKED,   /* strips of scratch */
    TURNED    /* A only: rank lines along the inputs, in scratch */
} layout;

/* An adapter and what follows from its sizes. */
typedef struct plan {
    const amps_adapter *of;
    const amps_gemm_ukr *ukr;
    layout a, b;
    bool copy_x;
    size_t turned_line;                           /* floats between lines of a turned A */
    size_t inner_vectors, outer_vectors;          /* of a strip */
    size_t inner_width, outer_width;              /* the same in columns */
    size_t inner_strips, outer_strips;            /* how many */
    size_t input_blocks, row_blocks;              /* blocks of a matrix */
    size_t a_matrices, b_matrices;                /* packed ones */
    size_t a_floats, b_floats;                    /* of one packed matrix */
    size_t x_floats, inner_floats, thread_floats; /* of one thread */
    size_t inner_row;                             /* floats between rows of X * A */
    float *packed_a, *packed_b, *rooms;
} plan;

static size_t divide_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static layout layout_of(const amps_adapter_operand *m)
{
    if (m->column_bytes != anymps_dtype_bytes(m->dtype)) {
        return PACKED;
    }
    return m->dtype == ANYMPS_DTYPE_F32 ? IN_PLACE : LINES;
}

static plan make_plan(const amps_adapter *of)
{
    const amps_gemm_ukr *const ukr = amps_gemm_choose(of->device);
    plan p = {.of = of, .ukr = ukr};
    const size_t all = divide_up(of->rank, ukr->lanes);
    const bool narrow = all <= NARROW_VECTORS && all <= ukr->vectors && ukr->rows[all - 1] != 0;
    p.inner_vectors = narrow ? all : ukr->wide;
    p.outer_vectors = ukr->wide;
    p.inner_width = p.inner_vectors * ukr->lanes;
    p.outer_width = p.outer_vectors * ukr->lanes;
    p.inner_strips = divide_up(of->rank, p.inner_width);
    p.outer_strips = divide_up(of->outputs, p.outer_width);
    p.input_blocks = divide_up(of->inputs, INPUT_BLOCK);
    p.row_blocks = divide_up(of->rows, BLOCK_ROWS);
    p.a = of->rank <= MOST_TURNED && 2 * of->rank <= ukr->lanes ? TURNED : layout_of(&of->a);
    p.b = layout_of(&of->b);
    p.copy_x = of->x.dtype != ANYMPS_DTYPE_F32 || of->x.row_bytes % ALIAS_BYTES == 0;
    p.turned_line = p.input_blocks * INPUT_BLOCK + PAD;
    p.a_matrices = p.a == IN_PLACE || of->given ? 0 : of->a.batch_bytes == 0 ? 1 : of->batch;
    p.b_matrices = p.b == IN_PLACE ? 0 : of->b.batch_bytes == 0 ? 1 : of->batch;
    p.inner_row = of->given ? of->rank : p.inner_strips * p.inner_width + PAD;
    p.x_floats = of->given ? 0 : BLOCK_ROWS * (INPUT_BLOCK + PAD);
    p.inner_floats = of->given ? 0 : BLOCK_ROWS * p.inner_row;
    p.thread_floats = p.x_floats + p.inner_floats + BLOCK_ROWS * (OUTPUT_BLOCK + PAD);
    return p;
}

bool amps_adapter_takes(size_t rows, size_t inputs, size_t rank)
{
    return rows >= FEWEST_ROWS && inputs > 0 && rank > 0 && rank <= MOST_RANK;
}

/* Sizes of the packed matrices; false if they exceed size_t. */
static bool size_packed(plan *p, size_t *floats)
{
    size_t a = 0;
    size_t b = 0;
    const size_t a_columns = p->inner_strips * p->inner_width; /* at least the rank, also of a turned A */
    return amps_mul(p->input_blocks * INPUT_BLOCK + PAD, a_columns, &p->a_floats) &&
           amps_mul(p->outer_strips * p->outer_width, p->of->rank, &p->b_floats) &&
           amps_mul(p->a_floats, p->a_matrices, &a) && amps_mul(p->b_floats, p->b_matrices, &b) &&
           amps_add(a, b, floats);
}

bool amps_adapter_scratch(const amps_adapter *self, size_t *bytes)
{
    plan p = make_plan(self);
    size_t packed = 0;
    size_t threads = 0;
    return size_packed(&p, &packed) && amps_mul(p.thread_floats, amps_pool_threads(self->device->pool), &threads) &&
           amps_add(packed, threads, bytes) && amps_mul(*bytes, sizeof(float), bytes);
}

/* ---- packing ------------------------------------------------------------------------------------ */

/* Columns of an operand side by side in strips, rows along. */
static amps_pack_source source_of(const amps_adapter_operand *m, size_t matrix)
{
    const size_t size = anymps_dtype_bytes(m->dtype);
    return (amps_pack_source){.base = m->at + matrix * m->batch_bytes,
                              .across = m->column_bytes / size,
                              .along = m->row_bytes / size,
                              .dtype = m->dtype};
}

/* n elements at `at` to f32. */
static void widen(const amps_adapter *of, const unsigned char *at, anymps_dtype dtype, float *to, size_t n)
{
    const amps_row_ukr *const ukr = of->device->rows;
    if (dtype == ANYMPS_DTYPE_F32) {
        memcpy(to, at, n * sizeof *to);
    } else {
        (dtype == ANYMPS_DTYPE_F16 ? ukr->f16_to_f32 : ukr->bf16_to_f32)(at, to, n);
    }
}

/* `rows` rows of `columns` elements, side by side in `to`; at once if they lie so. */
static void widen_lines(const amps_adapter *of, const amps_adapter_operand *m, const unsigned char *from, float *to,
                        size_t rows, size_t columns)
{
    if (m->row_bytes == columns * anymps_dtype_bytes(m->dtype)) {
        widen(of, from, m->dtype, to, rows * columns);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        widen(of, from + i * m->row_bytes, m->dtype, to + i * columns, columns);
    }
}

/* One block of the inputs of A, as lines along them. */
static void turn(const plan *p, size_t matrix, size_t first, size_t count, float *to)
{
    const amps_adapter *const of = p->of;
    const amps_adapter_operand *const a = &of->a;
    const unsigned char *const from = a->at + matrix * a->batch_bytes + first * a->row_bytes;
    const size_t size = anymps_dtype_bytes(a->dtype);
    float stage[MOST_TURNED * INPUT_BLOCK];
    if (a->column_bytes == size) {
        widen_lines(of, a, from, stage, count, of->rank);
        p->ukr->transpose(stage, of->rank, to + first, p->turned_line, count, of->rank);
        return;
    }
    for (size_t r = 0; r < of->rank; r++) {
        amps_pack_line(of->device->rows, a->dtype, from + r * a->column_bytes, a->row_bytes / size,
                       to + r * p->turned_line + first, count);
    }
}

static void prepare_a(const plan *p, size_t matrix, size_t first)
{
    const amps_adapter *const of = p->of;
    const size_t count = amps_min(INPUT_BLOCK, of->inputs - first);
    float *const to = p->packed_a + matrix * p->a_floats;
    if (p->a == TURNED) {
        turn(p, matrix, first, count, to);
    } else if (p->a == LINES) {
        widen_lines(of, &of->a, of->a.at + matrix * of->a.batch_bytes + first * of->a.row_bytes, to + first * of->rank,
                    count, of->rank);
    } else {
        const amps_pack_source source = source_of(&of->a, matrix);
        amps_pack(p->ukr, of->device->rows, &source, 0, of->rank, first, count, p->inner_width,
                  to + first * p->inner_strips * p->inner_width);
    }
}

/* Strip `strip` of a packed B, or row `strip` of its lines. */
static void prepare_b(const plan *p, size_t matrix, size_t strip)
{
    const amps_adapter *const of = p->of;
    float *const to = p->packed_b + matrix * p->b_floats;
    if (p->b == LINES) {
        widen(of, of->b.at + matrix * of->b.batch_bytes + strip * of->b.row_bytes, of->b.dtype,
              to + strip * p->outer_strips * p->outer_width, of->outputs);
        return;
    }
    const size_t first = strip * p->outer_width;
    const amps_pack_source source = source_of(&of->b, matrix);
    amps_pack(p->ukr, of->device->rows, &source, first, amps_min(p->outer_width, of->outputs - first), 0, of->rank,
              p->outer_width, to + strip * p->outer_width * of->rank);
}

static size_t b_tasks(const plan *p)
{
    return p->b == LINES ? p->of->rank : p->outer_strips;
}

/* Tasks: the input blocks of A, then the lines or strips of B. */
static void prepare_task(void *context, size_t task, size_t thread)
{
    const plan *const p = context;
    const size_t a_tasks = p->a_matrices * p->input_blocks;
    (void)thread;
    if (task < a_tasks) {
        prepare_a(p, task / p->input_blocks, task % p->input_blocks * INPUT_BLOCK);
    } else {
        prepare_b(p, (task - a_tasks) / b_tasks(p), (task - a_tasks) % b_tasks(p));
    }
}

/* ---- one block of rows -------------------------------------------------------------------------- */

static void put_panel_rows(amps_gemm_strip *strip, const plan *p)
{
    const size_t most = p->ukr->rows[strip->vectors - 1];
    strip->panel_rows = divide_up(strip->rows, divide_up(strip->rows, most));
    strip->a_panel = strip->panel_rows * strip->a_row;
}

/* inner = X * A for `count` rows at `from`, as dot products with a turned A. */
static void dot_inner(const plan *p, size_t matrix, const unsigned char *from, size_t count, float *inner)
{
    const amps_adapter *const of = p->of;
    const float *const a = p->packed_a + (p->a_matrices == 1 ? 0 : matrix) * p->a_floats;
    if (of->x.dtype == ANYMPS_DTYPE_F32) {
        const amps_gemm_dot dot = {.a = a,
                                   .a_row = p->turned_line,
                                   .b = (const float *)(const void *)from,
                                   .b_row = of->x.row_bytes / sizeof(float),
                                   .c = inner,
                                   .c_row = 1,
                                   .c_column = p->inner_row,
                                   .rows = of->rank,
                                   .columns = count,
                                   .interior = of->inputs,
                                   .alpha = 1.0f};
        p->ukr->dot(&dot);
        return;
    }
    const amps_dot16 dot = {.a = a,
                            .a_row = p->turned_line,
                            .b = from,
                            .b_line_bytes = of->x.row_bytes,
                            .type = of->x.dtype == ANYMPS_DTYPE_F16 ? AMPS_ROW_F16 : AMPS_ROW_BF16,
                            .c = inner,
                            .c_row = 1,
                            .c_line = p->inner_row,
                            .rows = of->rank,
                            .lines = count,
                            .interior = of->inputs};
    of->device->rows->dot16(&dot);
}

/* Where a strip of interior block [k, …) finds A. */
static void put_a(const plan *p, size_t matrix, size_t k, amps_gemm_strip *strip)
{
    const amps_adapter *const of = p->of;
    const float *const own = p->packed_a + (p->a_matrices == 1 ? 0 : matrix) * p->a_floats;
    strip->b_strip = p->inner_width;
    if (p->a == IN_PLACE) {
        strip->b = (const float *)(const void *)(of->a.at + matrix * of->a.batch_bytes + k * of->a.row_bytes);
        strip->b_row = of->a.row_bytes / sizeof(float);
    } else if (p->a == LINES) {
        strip->b = own + k * of->rank;
        strip->b_row = of->rank;
    } else {
        strip->b = own + k * p->inner_strips * p->inner_width;
        strip->b_row = p->inner_width;
        strip->b_strip = p->inner_width * strip->interior;
    }
}

/* inner = X * A for `rows` rows at `from`. `x`: room for a block of X. */
static void multiply_inner(const plan *p, size_t matrix, const unsigned char *from, size_t rows, float *x, float *inner)
{
    const amps_adapter *const of = p->of;
    const size_t size = anymps_dtype_bytes(of->x.dtype);
    amps_gemm_strip strip = {.c = inner,
                             .rows = rows,
                             .columns = of->rank,
                             .a_row = p->copy_x ? INPUT_BLOCK + PAD : of->x.row_bytes / size,
                             .a_column = 1,
                             .c_row = p->inner_row,
                             .vectors = p->inner_vectors,
                             .alpha = 1.0f};
    put_panel_rows(&strip, p);
    for (size_t k = 0; k < of->inputs; k += INPUT_BLOCK) {
        strip.interior = amps_min(INPUT_BLOCK, of->inputs - k);
        for (size_t i = 0; p->copy_x && i < rows; i++) {
            widen(of, from + i * of->x.row_bytes + k * size, of->x.dtype, x + i * (INPUT_BLOCK + PAD), strip.interior);
        }
        strip.a = p->copy_x ? x : (const float *)(const void *)(from + k * size);
        put_a(p, matrix, k, &strip);
        p->ukr->strip(&strip);
        strip.beta = 1.0f;
    }
}

/* Columns [j, j + strip->columns) of C, of any type, by way of `room`. */
static void multiply_through(const plan *p, amps_gemm_strip *strip, unsigned char *c, float *room)
{
    const amps_adapter_operand *const to = &p->of->c;
    const amps_row_ukr *const ukr = p->of->device->rows;
    strip->c = room;
    strip->c_row = OUTPUT_BLOCK + PAD;
    for (size_t i = 0; strip->beta != 0.0f && i < strip->rows; i++) {
        widen(p->of, c + i * to->row_bytes, to->dtype, room + i * strip->c_row, strip->columns);
    }
    p->ukr->strip(strip);
    for (size_t i = 0; i < strip->rows; i++) {
        (to->dtype == ANYMPS_DTYPE_F16 ? ukr->f32_to_f16 : ukr->f32_to_bf16)(room + i * strip->c_row,
                                                                             c + i * to->row_bytes, strip->columns);
    }
}

/* Where strips from column j on find B; j is a multiple of a strip's width. */
static void put_b(const plan *p, size_t matrix, size_t j, amps_gemm_strip *strip)
{
    const amps_adapter *const of = p->of;
    const float *const own = p->packed_b + (p->b_matrices == 1 ? 0 : matrix) * p->b_floats;
    strip->b_strip = p->outer_width;
    if (p->b == IN_PLACE) {
        strip->b = (const float *)(const void *)(of->b.at + matrix * of->b.batch_bytes) + j;
        strip->b_row = of->b.row_bytes / sizeof(float);
    } else if (p->b == LINES) {
        strip->b = own + j;
        strip->b_row = p->outer_strips * p->outer_width;
    } else {
        strip->b = own + j * of->rank;
        strip->b_row = p->outer_width;
        strip->b_strip = p->outer_width * of->rank;
    }
}

/* One panel of C: written row by row, since a short interior leaves little else to do. */
static void multiply_outer(const plan *p, size_t matrix, size_t first, size_t rows, const float *inner, float *room)
{
    const amps_adapter *const of = p->of;
    const size_t size = anymps_dtype_bytes(of->c.dtype);
    const bool direct = of->c.dtype == ANYMPS_DTYPE_F32;
    unsigned char *const c = of->c.at + matrix * of->c.batch_bytes + first * of->c.row_bytes;
    amps_gemm_strip strip = {.a = inner,
                             .rows = rows,
                             .interior = of->rank,
                             .a_row = p->inner_row,
                             .a_column = 1,
                             .vectors = p->outer_vectors,
                             .alpha = of->alpha,
                             .beta = of->beta};
    put_panel_rows(&strip, p);
    const size_t step = direct ? of->outputs : OUTPUT_BLOCK / p->outer_width * p->outer_width;
    for (size_t j = 0; j < of->outputs; j += step) {
        strip.columns = amps_min(step, of->outputs - j);
        put_b(p, matrix, j, &strip);
        if (direct) {
            strip.c = (float *)(void *)c;
            strip.c_row = of->c.row_bytes / sizeof(float);
            p->ukr->strip(&strip);
        } else {
            multiply_through(p, &strip, c + j * size, room);
        }
    }
}

static void run_task(void *context, size_t task, size_t thread)
{
    const plan *const p = context;
    const size_t matrix = task / p->row_blocks;
    const size_t first = task % p->row_blocks * BLOCK_ROWS;
    const size_t rows = amps_min(BLOCK_ROWS, p->of->rows - first);
    float *const x = p->rooms + thread * p->thread_floats;
    float *const inner = x + p->x_floats;
    const unsigned char *const from = p->of->x.at + matrix * p->of->x.batch_bytes + first * p->of->x.row_bytes;
    const float *left = inner;
    if (p->of->given) {
        left = p->of->inner + (matrix * p->of->rows + first) * p->of->rank;
    } else if (p->a == TURNED) {
        dot_inner(p, matrix, from, rows, inner);
    } else {
        multiply_inner(p, matrix, from, rows, x, inner);
    }
    const size_t most = p->ukr->rows[p->outer_vectors - 1];
    const size_t panel = divide_up(rows, divide_up(rows, most));
    for (size_t i = 0; i < rows; i += panel) {
        multiply_outer(p, matrix, first + i, amps_min(panel, rows - i), left + i * p->inner_row,
                       inner + p->inner_floats);
    }
}

void amps_adapter_run(const amps_adapter *self, void *scratch)
{
    plan p = make_plan(self);
    size_t packed = 0;
    (void)size_packed(&p, &packed); /* checked by amps_adapter_scratch */
    p.packed_a = scratch;
    p.packed_b = p.packed_a + p.a_matrices * p.a_floats;
    p.rooms = p.packed_a + packed;
    amps_pool_run(self->device->pool, p.a_matrices * p.input_blocks + p.b_matrices * b_tasks(&p), prepare_task, &p);
    amps_pool_run(self->device->pool, self->batch * p.row_blocks, run_task, &p);
}
