/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_strip.c: the blocked loops around the tile microkernel, and what follows the sums.
 *
 * Called by gemm.c with one task of a job; calls pack.c and the microkernels strip, outer and flat. Loops, outermost
 * first: columns in blocks of nc, the interior in blocks of kc, rows in blocks of mc, strips of B, panels of A (in the
 * microkernel). B is packed once for each kc, A once for each nc. Where C is not f32 its sums need scratch, so rows
 * in blocks of mc go outside the interior there.
 */
#include "backend/cpu/gemm_job.h"

#include "base/checked.h"

enum {
    FINISH = 256,      /* elements finished at a time */
    FETCHING_ROWS = 28 /* fewer rows of C lose more by asking for the next strip of B than they gain */
};

/* n elements of C's type as f32. */
static const float *as_f32(const amps_gemm_job *job, const void *values, size_t bytes, size_t j, float *to, size_t n)
{
    const anymps_dtype dtype = job->args.c_dtype;
    if (values == NULL) {
        return NULL;
    }
    const unsigned char *from = (const unsigned char *)values + bytes + j * anymps_dtype_bytes(dtype);
    if (dtype == ANYMPS_DTYPE_F32) {
        return (const float *)(const void *)from;
    }
    amps_pack_line(job->args.device->rows, dtype, from, 1, to, n);
    return to;
}

/* x = alpha*x + beta*old in one rounding: a product of two f32 is exact in double. */
static void scale(const amps_gemm_job *job, const unsigned char *c, float *x, size_t n)
{
    const double alpha = (double)job->alpha, beta = (double)job->beta;
    if (job->beta == 0.0f) {
        for (size_t i = 0; i < n && job->alpha != 1.0f; i++) {
            x[i] *= job->alpha;
        }
        return;
    }
    float old[FINISH];
    amps_pack_line(job->args.device->rows, job->args.c_dtype, c, 1, old, n);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(alpha * (double)x[i] + beta * (double)old[i]);
    }
}

/* C = sums [+ C] modulo 2^32; the sums are integers that f32 holds exactly. */
static void finish_i32(unsigned char *c, const float *sums, size_t n, bool add)
{
    uint32_t *to = (uint32_t *)(void *)c;
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint32_t)(int32_t)sums[i] + (add ? to[i] : 0u);
    }
}

static void finish_some(const amps_gemm_job *job, size_t b, size_t j, size_t n, unsigned char *c, float *x, bool scaled)
{
    const amps_row_ukr *rows = job->args.device->rows;
    const amps_gemm_epilogue *epilogue = job->args.epilogue;
    if (job->args.c_dtype == ANYMPS_DTYPE_I32) {
        finish_i32(c, x, n, scaled || job->beta != 0.0f);
        return;
    }
    if (!scaled) {
        scale(job, c, x, n);
    }
    if (epilogue != NULL) {
        static const amps_neuron_params none = {AMPS_UKR_NONE, 0.0f, 0.0f, 0.0f, 1.0f};
        const amps_neuron_params *neuron = epilogue->neuron == NULL ? &none : epilogue->neuron;
        float bias[FINISH], prelu[FINISH];
        rows->neuron(neuron, x, as_f32(job, epilogue->bias, b * epilogue->bias_batch_bytes, j, bias, n),
                     as_f32(job, epilogue->prelu, b * epilogue->prelu_batch_bytes, j, prelu, n), x, n);
    }
    if (job->args.c_dtype == ANYMPS_DTYPE_F16) {
        rows->f32_to_f16(x, (uint16_t *)(void *)c, n);
    } else if (job->args.c_dtype == ANYMPS_DTYPE_BF16) {
        rows->f32_to_bf16(x, (uint16_t *)(void *)c, n);
    } else if ((unsigned char *)x != c) {
        job->ukr->copy(x, 0, (float *)(void *)c, 0, 1, n);
    }
}

void amps_gemm_finish(const amps_gemm_job *job, size_t b, size_t i, size_t j, size_t n, float *sums, bool scaled)
{
    const amps_gemm_args *args = &job->args;
    const size_t size = anymps_dtype_bytes(args->c_dtype);
    unsigned char *c = args->c + b * args->c_batch_bytes + (i * job->c_row + j) * size;
    for (size_t done = 0; done < n; done += FINISH) {
        finish_some(job, b, j + done, amps_min(FINISH, n - done), c + done * size, sums + done, scaled);
    }
}

/* One block of C: rows [i, i + m), columns [j, j + n) of batch b. */
typedef struct strip_block {
    const amps_gemm_job *job;
    size_t b, i, j, m, n;
    size_t tail; /* columns behind the block that are dot products */
    float *a_pack, *b_pack, *b_tail;
    float *c; /* the block's first sum */
    size_t c_row;
} strip_block;

static float *strip_c(const strip_block *block, size_t *c_row)
{
    const amps_gemm_job *job = block->job;
    if (!job->f32) {
        *c_row = job->nc;
        return block->c;
    }
    *c_row = job->c_row;
    return (float *)(void *)(job->args.c + block->b * job->args.c_batch_bytes) + block->i * job->c_row + block->j;
}

/* Lines of a cache that n floats fill. */
static size_t divide_line(size_t n)
{
    return (n + AMPS_CACHE_LINE / sizeof(float) - 1) / (AMPS_CACHE_LINE / sizeof(float));
}

/* B's strip from column j of the whole product on, for k in [k, k + kc): where it lies, or packed. An f32 B that lies
   in rows is packed by the microkernel, others here; each strip with the first block of rows that needs it. */
static void put_b(const strip_block *block, const amps_pack_source *b, size_t j, size_t k, bool fresh,
                  amps_gemm_strip *strip)
{
    const amps_gemm_job *job = block->job;
    const size_t width = job->vectors * job->ukr->lanes, kc = strip->interior, past = j - block->j;
    const float *lies = (const float *)(const void *)b->base + k * b->along + j;
    float *to = block->b_pack + (job->reuse_b ? past : 0) * kc;
    strip->b_row = job->pack_b ? width : b->along;
    strip->pack = NULL;
    if (job->kept_b != NULL) {
        strip->b = job->kept_b + k * job->kept_columns + j * kc;
    } else if (!job->pack_b) {
        strip->b = lies;
    } else if (job->b_lies && (fresh || !job->reuse_b)) {
        strip->b = lies;
        strip->b_row = b->along;
        strip->pack = to;
        strip->pack_next = past + width < block->n ? lies + width : NULL;
    } else {
        strip->b = to;
        if (fresh || !job->reuse_b) {
            amps_pack(job->ukr, job->args.device->rows, b, j, strip->columns, k, kc, width, to);
        }
    }
}

/* What the call that computes the strip at column j fetches for the next: nothing if B is in the caches, or was packed
   before. */
static void fetch_next(const strip_block *block, const amps_pack_source *b, size_t j, size_t k, amps_gemm_strip *strip)
{
    const amps_gemm_job *job = block->job;
    const amps_gemm_args *args = &job->args;
    strip->next_lines = 0;
    if (!job->fetch_b || (job->pack_b && strip->pack == NULL)) {
        return;
    }
    const float *from = (const float *)(const void *)b->base + k * b->along + j;
    const size_t next = j + strip->columns;
    if (args->m >= FETCHING_ROWS && next < block->j + block->n) {
        strip->next = from + strip->columns;
        strip->next_lines = divide_line(amps_min(strip->columns, block->j + block->n - next)) + 1;
    }
    strip->next_row = b->along;
}

/*
 * The last columns as dot products of A's rows, which the strips have just read, with columns of B:
 *
 *     b_tail:  b(k,n-2) b(k+1,n-2) …      one line for each column, amps_gemm_line(kc) apart
 *              b(k,n-1) b(k+1,n-1) …
 */
static void run_tail(const strip_block *block, const amps_pack_source *a, const amps_pack_source *b, size_t k,
                     size_t kc, bool fresh)
{
    const amps_gemm_job *job = block->job;
    const size_t j = job->args.n - block->tail;
    const float *from = (const float *)(const void *)b->base + k * b->along + j * b->across;
    amps_gemm_dot dot = {.a = from,
                         .a_row = b->across,
                         .b = (const float *)(const void *)a->base + block->i * a->across + k,
                         .b_row = a->across,
                         .c_row = 1,
                         .c_column = job->c_row,
                         .rows = block->tail,
                         .columns = block->m,
                         .interior = kc,
                         .alpha = job->alpha,
                         .beta = k > 0 ? 1.0f : job->beta};
    if (b->along != 1) {
        dot.a = block->b_tail;
        dot.a_row = amps_gemm_line(kc);
        if (fresh) {
            job->ukr->transpose(from, b->along, block->b_tail, dot.a_row, kc, block->tail);
        }
    }
    size_t c_row;
    dot.c = strip_c(block, &c_row) + (j - block->j);
    job->ukr->dot(&dot);
    for (size_t i = 0; k + kc == job->args.k && i < block->m && job->args.epilogue != NULL; i++) {
        amps_gemm_finish(job, block->b, block->i + i, j, block->tail, dot.c + i * c_row, true);
    }
}

/* Panels of nearly equal height for a strip that reads A where it lies. */
static void even_panels(amps_gemm_strip *strip)
{
    if (strip->rows <= strip->panel_rows) {
        strip->higher = 1;
        return;
    }
    const size_t panels = (strip->rows + strip->panel_rows - 1) / strip->panel_rows;
    strip->panel_rows = (strip->rows + panels - 1) / panels;
    strip->higher = strip->rows - panels * (strip->panel_rows - 1);
}

/* The strips of one block for k in [k, k + kc). */
static void run_strips(const strip_block *block, const amps_pack_source *a, const amps_pack_source *b, size_t k,
                       size_t kc, bool fresh)
{
    const amps_gemm_job *job = block->job;
    const size_t width = job->vectors * job->ukr->lanes;
    const bool whole = job->args.c_dtype == ANYMPS_DTYPE_I32; /* added up in C itself, block by block */
    const bool last = whole || k + kc == job->args.k;
    amps_gemm_strip strip = {.rows = block->m,
                             .interior = kc,
                             .panel_rows = job->panel_rows,
                             .higher = SIZE_MAX,
                             .vectors = job->vectors,
                             .chained = job->chained,
                             .fetch_c = job->fetch_c,
                             .stream_c = job->stream_c};
    float *c = strip_c(block, &strip.c_row);
    strip.a = block->a_pack;
    strip.a_row = 1;
    strip.a_column = job->panel_rows;
    strip.a_panel = job->panel_rows * kc;
    if (!job->pack_a) {
        strip.a = (const float *)(const void *)a->base + block->i * a->across + k * a->along;
        strip.a_row = a->across;
        strip.a_column = a->along;
        strip.a_panel = 0;
        even_panels(&strip);
    }
    strip.alpha = job->f32 ? job->alpha : 1.0f;
    strip.beta = k > 0 && !whole ? 1.0f : job->f32 ? job->beta : 0.0f;
    for (size_t j = 0; j < block->n; j += width) {
        strip.columns = amps_min(width, block->n - j);
        put_b(block, b, block->j + j, k, fresh, &strip);
        strip.c = c + j;
        fetch_next(block, b, block->j + j, k, &strip);
        if (job->flat) {
            job->ukr->flat(&strip);
        } else if (job->outer) {
            job->ukr->outer(&strip);
        } else {
            job->ukr->strip(&strip);
        }
        for (size_t i = 0; last && i < block->m && (!job->f32 || job->args.epilogue != NULL); i++) {
            amps_gemm_finish(job, block->b, block->i + i, block->j + j, strip.columns, c + i * strip.c_row + j,
                             job->f32 || (whole && k > 0));
        }
    }
}

/* Rows [first, last), columns [block->j, block->j + block->n). */
static void run_block(strip_block *block, size_t first, size_t last)
{
    const amps_gemm_job *job = block->job;
    const amps_gemm_args *args = &job->args;
    const amps_pack_source a = {args->a + block->b * args->a_batch_bytes, job->a_row, job->a_column, args->a_dtype};
    const amps_pack_source b = {args->b + block->b * args->b_batch_bytes, job->b_column, job->b_row, args->b_dtype};
    for (size_t k = 0; k < args->k; k += job->kc) {
        const size_t kc = amps_min(job->kc, args->k - k);
        for (block->i = first; block->i < last; block->i += job->mc) {
            block->m = amps_min(job->mc, last - block->i);
            if (job->pack_a) {
                amps_pack(job->ukr, args->device->rows, &a, block->i, block->m, k, kc, job->panel_rows, block->a_pack);
            }
            run_strips(block, &a, &b, k, kc, block->i == first);
            if (block->tail > 0) {
                run_tail(block, &a, &b, k, kc, block->i == first);
            }
        }
    }
}

/* The next cache line. */
static float *aligned(float *p)
{
    const size_t past = (uintptr_t)p % AMPS_CACHE_LINE;
    return past == 0 ? p : p + (AMPS_CACHE_LINE - past) / sizeof *p;
}

void amps_gemm_strip_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch)
{
    strip_block block = {.job = job, .a_pack = scratch};
    block.b_pack = aligned(block.a_pack + job->a_floats);
    block.b_tail = aligned(block.b_pack + job->b_floats);
    block.c = aligned(block.b_tail + job->tail_floats);
    for (block.b = part->batch_first; block.b < part->batch_last; block.b++) {
        for (block.j = part->n_first; block.j < part->n_last; block.j += job->nc) {
            block.n = amps_min(job->nc, part->n_last - block.j);
            block.tail = block.j + block.n == job->args.n - job->tail ? job->tail : 0;
            const size_t step = job->f32 ? part->m_last - part->m_first : job->mc;
            for (size_t i = part->m_first; i < part->m_last; i += step) {
                run_block(&block, i, amps_min(part->m_last, i + step));
            }
        }
    }
}

bool amps_gemm_single_strip(const amps_gemm_job *job, amps_gemm_strip *strip)
{
    const amps_gemm_args *args = &job->args;
    const bool plain =
        job->way == AMPS_GEMM_STRIP && job->f32 && !job->pack_a && !job->pack_b && !job->fetch_b && job->tail == 0;
    const bool one = args->batch == 1 && job->m_tasks * job->n_tasks == 1 && job->kc == args->k && job->mc >= args->m;
    if (!plain || !one || args->epilogue != NULL) {
        return false;
    }
    *strip = (amps_gemm_strip){
        .a = (const float *)(const void *)args->a,
        .b = (const float *)(const void *)args->b,
        .c = (float *)(void *)args->c,
        .rows = args->m,
        .columns = args->n,
        .interior = args->k,
        .a_row = job->a_row,
        .a_column = job->a_column,
        .b_row = job->b_row,
        .b_strip = job->vectors * job->ukr->lanes,
        .c_row = job->c_row,
        .panel_rows = job->panel_rows,
        .vectors = job->vectors,
        .alpha = job->alpha,
        .beta = job->beta,
        .chained = job->chained,
        .fetch_c = job->fetch_c,
        .stream_c = job->stream_c,
    };
    even_panels(strip);
    return true;
}
