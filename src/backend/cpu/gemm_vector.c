/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_vector.c: the ways of low matrices: dot products where both operands lie along k, and one row times a
 * matrix stored row by row. Each reads the large operand once, front to back.
 *
 * Called by gemm.c with one task of a job; calls the dot and row microkernels and amps_gemm_finish.
 */
#include "backend/cpu/gemm_job.h"

#include "base/checked.h"

#include <string.h>

enum { DOT_LINES = 8, ROW_STEP = 8 };

/* A line-by-line operand: line x begins at base + x * line elements and lies along k with distance `along`. */
typedef struct lines {
    const unsigned char *base;
    size_t line, along;
    anymps_dtype dtype;
} lines;

/* `count` lines from x on as f32; where they lie, or widened into `to`. */
static const float *take(const amps_gemm_job *job, const lines *from, size_t x, size_t count, float *to, size_t *line)
{
    const size_t size = anymps_dtype_bytes(from->dtype);
    const unsigned char *base = from->base + x * from->line * size;
    if (from->dtype == ANYMPS_DTYPE_F32 && from->along == 1) {
        *line = from->line;
        return (const float *)(const void *)base;
    }
    *line = amps_gemm_line(job->args.k);
    if (from->dtype == ANYMPS_DTYPE_F32 && from->line == 1) {
        job->ukr->transpose((const float *)(const void *)base, from->along, to, *line, job->args.k, count);
        return to;
    }
    for (size_t i = 0; i < count; i++) {
        amps_pack_line(job->args.device->rows, from->dtype, base + i * from->line * size, from->along, to + i * *line,
                       job->args.k);
    }
    return to;
}

static bool is_half(anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F16 || dtype == ANYMPS_DTYPE_BF16 || dtype == ANYMPS_DTYPE_I16;
}

static amps_row_type half_type(anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F16 ? AMPS_ROW_F16 : dtype == ANYMPS_DTYPE_BF16 ? AMPS_ROW_BF16 : AMPS_ROW_I16;
}

/* The same dot products with `columns` lines of `higher` from x on, which are 16-bit and lie along k. */
static void dot_half(const amps_gemm_job *job, const lines *higher, size_t x, const amps_gemm_dot *dot)
{
    const amps_dot16 half = {.a = dot->a,
                             .a_row = dot->a_row,
                             .b = higher->base + x * higher->line * 2,
                             .b_line_bytes = higher->line * 2,
                             .type = half_type(higher->dtype),
                             .c = dot->c,
                             .c_row = dot->c_row,
                             .c_line = dot->c_column,
                             .rows = dot->rows,
                             .lines = dot->columns,
                             .interior = dot->interior};
    job->args.device->rows->dot16(&half);
}

/* Sums of type other than f32, or with an epilogue, go through scratch. `sums` is low × count, by rows of the
   lower operand. */
static void finish_dots(const amps_gemm_job *job, size_t b, bool by_rows, size_t low, size_t x, size_t count,
                        float *sums)
{
    for (size_t i = 0; i < (by_rows ? low : count); i++) {
        if (by_rows) {
            amps_gemm_finish(job, b, i, x, count, sums + i * count, false);
        } else {
            amps_gemm_finish(job, b, x + i, 0, low, sums + i * low, false);
        }
    }
}

/* The bytes of line x; where they lie, or collected in `to`. */
static const int8_t *take_bytes(const amps_gemm_job *job, const lines *from, size_t x, int8_t *to)
{
    const int8_t *at = (const int8_t *)(const void *)from->base + x * from->line;
    for (size_t k = 0; k < job->args.k && from->along != 1; k++) {
        to[k] = at[k * from->along];
    }
    return from->along == 1 ? at : to;
}

/* C from the sums of `count` lines of the higher operand from x on, one row of sums for each of the lower's `low` lines. */
static void finish_dots8(const amps_gemm_job *job, size_t b, bool by_rows, size_t low, size_t x, size_t count,
                         int32_t *sums)
{
    for (size_t r = 0; by_rows && r < low; r++) {
        amps_gemm_finish_i32(job, b, r, x, count, sums + r * AMPS_GEMM_DOT_LINES);
    }
    for (size_t i = 0; !by_rows && i < count; i++) {
        int32_t row[AMPS_GEMM_DOT8_LOW];
        for (size_t r = 0; r < low; r++) {
            row[r] = sums[r * AMPS_GEMM_DOT_LINES + i];
        }
        amps_gemm_finish_i32(job, b, x + i, 0, low, row);
    }
}

/* The same dot products of i8. Lines of the higher operand stay in the second cache for all of the lower's. */
static void dots8(const amps_gemm_job *job, size_t b, size_t first, size_t last, float *scratch)
{
    const amps_gemm_args *args = &job->args;
    const bool by_rows = args->m <= args->n;
    const size_t low = by_rows ? args->m : args->n;
    const lines a = {args->a + b * args->a_batch_bytes, job->a_row, job->a_column, args->a_dtype};
    const lines bt = {args->b + b * args->b_batch_bytes, job->b_column, job->b_row, args->b_dtype};
    const lines *lower = by_rows ? &a : &bt, *higher = by_rows ? &bt : &a;
    const size_t fit = amps_max(DOT_LINES, args->device->caches.l2_bytes / 2 / args->k);
    const size_t step = low == 1 ? AMPS_GEMM_DOT_LINES : amps_min(AMPS_GEMM_DOT_LINES, fit);
    int32_t *sums = (int32_t *)(void *)(scratch + job->a_floats);
    const int8_t *rows[AMPS_GEMM_DOT8_LOW];
    for (size_t r = 0; r < low; r++) {
        rows[r] = take_bytes(job, lower, r, (int8_t *)(void *)(scratch + r * amps_gemm_line(args->k)));
    }
    for (size_t x = first; x < last; x += step) {
        amps_dot8 dot = {.b = higher->base + x * higher->line,
                         .b_line_bytes = higher->line,
                         .lines = amps_min(step, last - x),
                         .interior = args->k};
        for (size_t r = 0; r < low; r++) {
            dot.a = rows[r];
            dot.c = sums + r * AMPS_GEMM_DOT_LINES;
            args->device->rows->dot8(&dot);
        }
        finish_dots8(job, b, by_rows, low, x, dot.lines, sums);
    }
}

static void dots(const amps_gemm_job *job, size_t b, size_t first, size_t last, float *scratch)
{
    const amps_gemm_args *args = &job->args;
    const bool by_rows = args->m <= args->n; /* A is the lower operand */
    const size_t low = by_rows ? args->m : args->n;
    const lines a = {args->a + b * args->a_batch_bytes, job->a_row, job->a_column, args->a_dtype};
    const lines bt = {args->b + b * args->b_batch_bytes, job->b_column, job->b_row, args->b_dtype};
    const lines *lower = by_rows ? &a : &bt;
    const lines *higher = by_rows ? &bt : &a;
    float *wide = scratch + low * amps_gemm_line(args->k);
    float *sums = wide + DOT_LINES * amps_gemm_line(args->k);
    amps_gemm_dot dot = {.rows = low, .interior = args->k, .alpha = 1.0f, .beta = 0.0f};
    dot.a = take(job, lower, 0, low, scratch, &dot.a_row);
    const bool half = is_half(higher->dtype) && higher->along == 1;
    const bool direct = args->c_dtype == ANYMPS_DTYPE_F32 && args->epilogue == NULL && !half;
    const bool whole = direct && higher->dtype == ANYMPS_DTYPE_F32 && higher->along == 1;
    const size_t step = whole ? last - first : half ? AMPS_GEMM_DOT_LINES : DOT_LINES;
    for (size_t x = first; x < last; x += step) {
        dot.columns = amps_min(step, last - x);
        dot.b = half ? NULL : take(job, higher, x, dot.columns, wide, &dot.b_row);
        dot.c = sums;
        dot.c_row = by_rows ? dot.columns : 1;
        dot.c_column = by_rows ? 1 : low;
        if (direct) {
            float *c = (float *)(void *)(args->c + b * args->c_batch_bytes);
            dot.c = c + x * (by_rows ? 1 : job->c_row);
            dot.c_row = by_rows ? job->c_row : 1;
            dot.c_column = by_rows ? 1 : job->c_row;
            dot.alpha = job->alpha;
            dot.beta = job->beta;
        }
        if (half) {
            dot_half(job, higher, x, &dot);
        } else {
            job->ukr->dot(&dot);
        }
        if (!direct) {
            finish_dots(job, b, by_rows, low, x, dot.columns, sums);
        }
    }
}

void amps_gemm_dot_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch)
{
    const bool by_rows = job->args.m <= job->args.n;
    for (size_t b = part->batch_first; b < part->batch_last; b++) {
        const size_t first = by_rows ? part->n_first : part->m_first, last = by_rows ? part->n_last : part->m_last;
        (job->i8 ? dots8 : dots)(job, b, first, last, scratch);
    }
}

bool amps_gemm_single_dot(const amps_gemm_job *job, amps_gemm_dot *dot)
{
    const amps_gemm_args *args = &job->args;
    const bool lie = job->a_column == 1 && job->b_row == 1;
    const bool one = args->batch == 1 && job->m_tasks * job->n_tasks == 1;
    if (job->way != AMPS_GEMM_DOT || !job->f32 || !lie || !one || args->epilogue != NULL) {
        return false;
    }
    const bool by_rows = args->m <= args->n;
    const float *a = (const float *)(const void *)args->a, *b = (const float *)(const void *)args->b;
    *dot = (amps_gemm_dot){
        .a = by_rows ? a : b,
        .a_row = by_rows ? job->a_row : job->b_column,
        .b = by_rows ? b : a,
        .b_row = by_rows ? job->b_column : job->a_row,
        .c = (float *)(void *)args->c,
        .c_row = by_rows ? job->c_row : 1,
        .c_column = by_rows ? 1 : job->c_row,
        .rows = by_rows ? args->m : args->n,
        .columns = by_rows ? args->n : args->m,
        .interior = args->k,
        .alpha = job->alpha,
        .beta = job->beta,
    };
    return true;
}

/* The product of all of A with columns of B in f32, into C itself or into sums. */
static amps_gemm_row row_of(const amps_gemm_job *job, const float *a, size_t a_row, size_t a_column)
{
    return (amps_gemm_row){.a = a,
                           .a_row = a_row,
                           .a_column = a_column,
                           .b_row = job->b_row,
                           .rows = job->args.m,
                           .interior = job->args.k};
}

/* C may hold the sums while they grow. */
static bool row_is_direct(const amps_gemm_job *job)
{
    const bool apart = job->args.m == 1 || job->c_row % 512 != 0;
    return job->f32 && job->args.epilogue == NULL && job->alpha == 1.0f && (job->beta == 0.0f || job->beta == 1.0f) &&
           apart;
}

/* Rows of A, in f32, with columns of a B of another type: widened in the registers, or (i8, whose sums i32 does not hold)
   ROW_STEP lines at a time; row->c_row and row->columns say where the sums go. */
static void row_widened(const amps_gemm_job *job, amps_gemm_row row, const unsigned char *b, float *wide, float *sums)
{
    const amps_gemm_args *args = &job->args;
    const size_t line_bytes = job->b_row * anymps_dtype_bytes(args->b_dtype), n = row.columns;
    const float *const a = row.a;
    if (is_half(args->b_dtype)) {
        const amps_row16 half = {.a = a,
                                 .a_row = row.a_row,
                                 .b = b,
                                 .b_line_bytes = line_bytes,
                                 .type = half_type(args->b_dtype),
                                 .c = sums,
                                 .c_row = row.c_row,
                                 .rows = args->m,
                                 .columns = n,
                                 .interior = args->k};
        memset(sums, 0, args->m * row.c_row * sizeof *sums);
        args->device->rows->row16(&half);
        return;
    }
    row.c = sums;
    row.b = wide;
    row.b_row = n;
    for (size_t k = 0; k < args->k; k += ROW_STEP) {
        row.a = a + k;
        row.interior = amps_min(ROW_STEP, args->k - k);
        row.adds = k > 0;
        for (size_t s = 0; s < row.interior; s++) {
            amps_pack_line(args->device->rows, args->b_dtype, b + (k + s) * line_bytes, 1, wide + s * n, n);
        }
        job->ukr->row(&row);
    }
}

/* Columns [j, j + n) of all rows; n ≤ job->nc. */
static void row_chunk(const amps_gemm_job *job, size_t b, amps_gemm_row *row, size_t j, size_t n, float *sums)
{
    const amps_gemm_args *args = &job->args;
    const unsigned char *from = args->b + b * args->b_batch_bytes + j * anymps_dtype_bytes(args->b_dtype);
    row->columns = n;
    row->c_row = amps_gemm_line(n);
    if (args->b_dtype != ANYMPS_DTYPE_F32) {
        row_widened(job, *row, from, sums + job->c_floats, sums);
        for (size_t i = 0; i < args->m; i++) {
            amps_gemm_finish(job, b, i, j, n, sums + i * row->c_row, false);
        }
        return;
    }
    /* Pieces of a row that several threads read and write over and over slow each other down at their ends, where each
       fetches ahead what the other has just written; with beta 0 sums beside C are the same bits. */
    const bool direct = row_is_direct(job) && (job->n_tasks == 1 || job->beta != 0.0f);
    row->b = (const float *)(const void *)from;
    row->c = direct ? (float *)(void *)(args->c + b * args->c_batch_bytes) + j : sums;
    row->c_row = direct ? job->c_row : row->c_row;
    row->adds = direct && job->beta != 0.0f;
    job->ukr->row(row);
    for (size_t i = 0; i < args->m && !direct; i++) {
        amps_gemm_finish(job, b, i, j, n, sums + i * row->c_row, false);
    }
}

/* One row of i8. */
static void row8_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch)
{
    const amps_gemm_args *args = &job->args;
    for (size_t b = part->batch_first; b < part->batch_last; b++) {
        const lines a = {args->a + b * args->a_batch_bytes, job->a_row, job->a_column, args->a_dtype};
        amps_row8 row = {.a = take_bytes(job, &a, 0, (int8_t *)(void *)scratch),
                         .b_line_bytes = job->b_row,
                         .c = (int32_t *)(void *)(scratch + job->a_floats),
                         .interior = args->k};
        for (size_t j = part->n_first; j < part->n_last; j += job->nc) {
            row.b = args->b + b * args->b_batch_bytes + j;
            row.columns = amps_min(job->nc, part->n_last - j);
            args->device->rows->row8(&row);
            amps_gemm_finish_i32(job, b, 0, j, row.columns, row.c);
        }
    }
}

void amps_gemm_row_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch)
{
    const amps_gemm_args *args = &job->args;
    float *sums = scratch + job->a_floats;
    if (job->i8) {
        row8_task(job, part, scratch);
        return;
    }
    for (size_t b = part->batch_first; b < part->batch_last; b++) {
        const lines a = {args->a + b * args->a_batch_bytes, job->a_row, job->a_column, args->a_dtype};
        amps_gemm_row row = row_of(job, (const float *)(const void *)a.base, job->a_row, job->a_column);
        if (args->a_dtype != ANYMPS_DTYPE_F32) {
            row.a = take(job, &a, 0, args->m, scratch, &row.a_row);
            row.a_column = 1;
        } else if (args->b_dtype != ANYMPS_DTYPE_F32 && job->a_column != 1) {
            row.a = take(job, &a, 0, args->m, scratch, &row.a_row);
            row.a_column = 1;
        }
        for (size_t j = part->n_first; j < part->n_last; j += job->nc) {
            row_chunk(job, b, &row, j, amps_min(job->nc, part->n_last - j), sums);
        }
    }
}

bool amps_gemm_single_row(const amps_gemm_job *job, amps_gemm_row *row)
{
    const amps_gemm_args *args = &job->args;
    const bool one = args->batch == 1 && job->m_tasks * job->n_tasks == 1 && args->n <= job->nc;
    if (job->way != AMPS_GEMM_ROW || !one || !row_is_direct(job)) {
        return false;
    }
    *row = row_of(job, (const float *)(const void *)args->a, job->a_row, job->a_column);
    row->b = (const float *)(const void *)args->b;
    row->c = (float *)(void *)args->c;
    row->c_row = job->c_row;
    row->columns = args->n;
    row->adds = job->beta != 0.0f;
    return true;
}
