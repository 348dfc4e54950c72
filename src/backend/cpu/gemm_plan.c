/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_plan.c: decides how one matmul runs: the way, what is packed, block sizes, tasks, scratch.
 *
 * Called by gemm.c for every record, so it is arithmetic only. The table of microkernels is here too. The numbers
 * and how they were measured are in docs/performance.md, "CPU matmul".
 */
#include "backend/cpu/gemm_low.h"
#include "backend/cpu/gemm_small.h"

#include "base/checked.h"

#include <assert.h>

enum {
    WORK_PER_TASK = 1 << 17, /* multiply-adds; waking a thread costs as much as half of them */
    TASKS_PER_THREAD = 4,    /* of a batch, so that threads of unequal speed end together, */
    EQUAL_THREADS = 4,       /* and of tiles for more than so many threads, */
    LEAST_PIECE = 1 << 20,   /* each of at least so many multiply-adds */
    DOT_LOW = 16,            /* a dot product's lower operand has at most these rows */
    DOT_COPIED = 8,          /* and at most these if it must be turned around first, */
    DOT_COPIED_FEW = 6,      /* fewer if the other one has not */
    DOT_COPIED_ROWS = 48,    /* so many rows that pay for it: tiles of half a vector serve eight columns as well */
    I8_EXACT = 1024,         /* so many products of two i8 add up exactly in f32: 2^14 * 2^10 = 2^24 */
    DOT_LONG = 64,           /* shorter sums cost more to add up than they save */
    INTERIOR_BLOCK = 512,    /* longer strips of B leave the second cache, shorter ones add to C more often */
    ROWS_PART = 4,           /* of the second cache for the block of A: strips of B and C pass beside it */
    PANEL_APART = 8,         /* so many rows of A that share lines of the first cache do not stay there together */
    COLUMN_BLOCK = 2048,
    SHORT_INTERIOR = 63,      /* sums end before C could arrive; */
    FAR_PANELS = 32,          /* if it is beyond the second cache, so many panels write all their columns first */
    OUTER_VECTORS = 2,        /* so long rows pay for being written one by one */
    FLAT_PHASES = 80,         /* rows that pay for what flat products prepare for each column that a vector begins in */
    FMA_CYCLES = 4,           /* until the sum of a multiply-add can be added to */
    FEW_ROWS = 4,             /* fewer rows than these wait for B */
    LOAD_QUARTERS = 11,       /* so many quarters of a cycle for each vector, half of which lie across two lines */
    TILE_ENDS = 12,           /* cycles of a tile beside its steps */
    STORE_WAIT = 5,           /* and for each vector that waits to be stored */
    WIDE_ROWS = 28,           /* so many rows take the widest tile */
    PACKED_ROWS = 80,         /* and so many pay for packing a B */
    PACKED_HALVES = 6,        /* of more than so many halves of the second cache, */
    PACKED_HALVES_BLOCKS = 3, /* or so many */
    APART_L2 = 16,            /* rows that collide, so many second caches of them, pay for it from WIDE_ROWS on */
    PACKED_COLUMNS = 256,     /* wider products pay for packing an A whose rows collide */
    TAIL_LANES = 4,           /* so small a part of a vector's lanes is not worth the vector, */
    TAIL_INTERIOR = 32,       /* if the dot products instead of it are this long */
    TAIL_WORK = 4096,         /* and there are rows enough */
    TAIL_COLUMNS = 128,       /* so few columns pass over A so soon that it had better stay in the second cache */
    CHAINED_VECTORS = 3,      /* so few vectors of sums wait for one another */
    CHAINED_INTERIOR = 16,
    PAGE_FLOATS = 512,   /* rows this far apart share few lines of a cache: half a page */
    ROW_MOST = 24,       /* so few rows do not pay for packing a B from memory */
    ROW_MOST_APART = 27, /* nor so few if its rows share lines of the caches */
    ROW_MOST_HALF = 16,  /* nor so few of 16-bit types */
    ROW_L2 = 6,          /* one of more than six times the second cache */
    ROW_COLUMNS = 128,   /* with one row: fewer columns stay in registers */
    ROW_SUMS = 32768     /* sums that stay in the second cache while B streams past, in long pieces */
};

/* In order of preference; the first whose set the device's cap includes is taken. */
static const struct {
    amps_cpu_isa isa;
    const amps_gemm_ukr *ukr;
} table[] = {
#if defined(__x86_64__)
    {AMPS_CPU_ISA_AVX512, &amps_f32_gemm_14x32__avx512},
    {AMPS_CPU_ISA_AVX2, &amps_f32_gemm_6x16__avx2},
#elif defined(__aarch64__)
    {AMPS_CPU_ISA_NEON, &amps_f32_gemm_8x12__neon},
#endif
    {AMPS_CPU_ISA_BASELINE, &amps_f32_gemm_4x8__baseline},
};

const amps_gemm_ukr *amps_gemm_choose(const amps_cpu_device *device)
{
    size_t i = 0;
    while (table[i].isa > device->isa) {
        i++;
    }
    return table[i].ukr;
}

/* Small products spend as long on planning as on arithmetic, and a division takes tens of cycles. */
static size_t divide_up(size_t a, size_t b)
{
    if (a <= b) {
        return a != 0;
    }
    assert(b != 0);
    return a / b + (a % b != 0);
}

/* i32 is added up in blocks that f32 holds exactly, so its factors must be none. */
static bool has_tiles(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const bool factors = args->alpha != 1.0 || (args->beta != 0.0 && args->beta != 1.0);
    return args->k > 0 && job->c_column == 1 && !(args->c_dtype == ANYMPS_DTYPE_I32 && factors);
}

/* C' = B' A': makes C's row contiguous where only its columns are. */
static void exchange(amps_gemm_args *args)
{
    const amps_gemm_args old = *args;
    args->m = old.n;
    args->n = old.m;
    args->a_dtype = old.b_dtype;
    args->a = old.b;
    args->a_row_bytes = old.b_column_bytes;
    args->a_column_bytes = old.b_row_bytes;
    args->a_batch_bytes = old.b_batch_bytes;
    args->b_dtype = old.a_dtype;
    args->b = old.a;
    args->b_row_bytes = old.a_column_bytes;
    args->b_column_bytes = old.a_row_bytes;
    args->b_batch_bytes = old.a_batch_bytes;
    args->c_row_bytes = old.c_column_bytes;
    args->c_column_bytes = old.c_row_bytes;
    args->a_constant = old.b_constant;
    args->b_constant = old.a_constant;
}

static void resolve_strides(amps_gemm_job *job)
{
    amps_gemm_args *args = &job->args;
    const size_t c_size = anymps_dtype_bytes(args->c_dtype);
    const bool contiguous = args->n == 1 ? args->c_row_bytes != c_size : args->c_column_bytes == c_size;
    if (!contiguous && args->c_row_bytes == c_size && args->epilogue == NULL) {
        exchange(args);
    }
    const size_t a_size = anymps_dtype_bytes(args->a_dtype);
    const size_t b_size = anymps_dtype_bytes(args->b_dtype);
    job->a_row = args->a_row_bytes / a_size;
    job->a_column = args->a_column_bytes / a_size;
    job->b_row = args->b_row_bytes / b_size;
    job->b_column = args->n == 1 ? 1 : args->b_column_bytes / b_size;
    job->c_row = args->c_row_bytes / c_size;
    job->c_column = args->n == 1 ? 1 : args->c_column_bytes / c_size;
}

/* Rows of B so far apart fall onto the same lines of the caches. */
static bool collide(size_t row, size_t rows)
{
    return row % PAGE_FLOATS == 0 && rows >= 32;
}

/* A constant B is read in the order of its packed copy; one row of C reads it only once, wherever it lies. */
static bool keeps_b(const amps_gemm_args *args)
{
    return args->b_constant != NULL && args->m > 1 && args->n > 1 && (args->batch == 1 || args->b_batch_bytes == 0);
}

/* One row passes over B in long pieces, faster than tiles do; few rows do if B comes from memory, where the processor
   foresees nothing but long pieces. */
static bool takes_rows(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t l2_floats = args->device->caches.l2_bytes / sizeof(float), b_floats = args->k * args->n;
    const size_t narrow = anymps_dtype_bytes(args->b_dtype) == 2 ? ROW_MOST_HALF : 1;
    const size_t most = !job->f32 ? narrow : collide(job->b_row, args->k) ? ROW_MOST_APART : ROW_MOST;
    if (job->b_column != 1 || args->m > most) {
        return false;
    }
    if (!job->f32) {
        return args->m == 1 || b_floats / 2 > ROW_L2 * l2_floats;
    }
    return (args->m == 1 && args->n >= ROW_COLUMNS) || b_floats > (args->m == 1 ? 1 : ROW_L2) * l2_floats;
}

static amps_gemm_way choose_way(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    if (amps_gemm_small_takes(job)) {
        return AMPS_GEMM_SMALL;
    }
    const bool narrow = amps_gemm_low_takes(job);
    const bool a_along = job->a_column == 1;
    const bool b_along = job->b_row == 1 && !(args->k == 1 && job->b_column == 1);
    const size_t low = amps_min(args->m, args->n);
    const bool low_along = args->m <= args->n ? a_along : b_along;
    const bool high_along = args->m <= args->n ? b_along : a_along;
    if (amps_gemm_low_takes_vector(job) && (high_along || (args->m == 1 && job->b_column == 1))) {
        return high_along ? AMPS_GEMM_DOT : AMPS_GEMM_ROW;
    }
    if (narrow && args->a_dtype == ANYMPS_DTYPE_I8) {
        return AMPS_GEMM_LOW;
    }
    if (!has_tiles(job)) {
        return AMPS_GEMM_PLAIN;
    }
    if (args->c_dtype == ANYMPS_DTYPE_I32 && args->k > I8_EXACT) {
        return AMPS_GEMM_STRIP;
    }
    if (keeps_b(args)) {
        return narrow ? AMPS_GEMM_LOW : AMPS_GEMM_STRIP;
    }
    if (low == 1 && high_along) {
        return AMPS_GEMM_DOT;
    }
    if (takes_rows(job)) {
        return AMPS_GEMM_ROW;
    }
    const bool few = amps_max(args->m, args->n) < DOT_COPIED_ROWS && !collide(job->a_row, args->m);
    const size_t most = low_along ? DOT_LOW : few && job->f32 ? DOT_COPIED_FEW : DOT_COPIED;
    if (high_along && args->k >= (low <= 2 ? DOT_LONG / 2 : DOT_LONG) && low <= most) {
        return AMPS_GEMM_DOT;
    }
    return narrow ? AMPS_GEMM_LOW : AMPS_GEMM_STRIP;
}

/* Columns in tiles. */
static size_t tiled(const amps_gemm_job *job)
{
    return job->args.n - job->tail;
}

/* The last columns, if they fill but a small part of a vector: their dot products cost that part only. */
static size_t tail_columns(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t lanes = job->ukr->lanes, tail = args->n % lanes;
    const bool lie = job->a_column == 1 && (job->b_column == 1 || job->b_row == 1);
    const bool many = args->k >= TAIL_INTERIOR && args->m >= TAIL_WORK / args->k;
    return job->f32 && lie && many && !job->keep_b && args->n > lanes && tail <= lanes / TAIL_LANES ? tail : 0;
}

/* How many tasks of at least `least` multiply-adds there are, up to `most`. */
static size_t useful_tasks(const amps_gemm_job *job, size_t most, size_t least)
{
    const double work = (double)job->args.m * (double)job->args.n * (double)job->args.k * (double)job->args.batch;
    const double tasks = work / (double)least;
    return tasks >= (double)most ? most : tasks < 1.0 ? 1 : (size_t)tasks;
}

/* Cuts C into m_tasks × n_tasks: the cut whose largest task, with the packing and fetching that it repeats, is the
   smallest. */
static void cut_tiles(amps_gemm_job *job, size_t tasks)
{
    const size_t width = job->vectors * job->ukr->lanes;
    double best = 0.0;
    for (size_t m_tasks = 1; m_tasks <= tasks && m_tasks <= job->args.m; m_tasks++) {
        const size_t n_tasks = amps_min(tasks / m_tasks, divide_up(tiled(job), width));
        const double m = (double)divide_up(job->args.m, m_tasks);
        const double n = (double)amps_min(divide_up(divide_up(tiled(job), width), n_tasks) * width, tiled(job));
        const double cost = m * n + (job->pack_b || job->fetch_b ? 2.0 * n : 0.0) + (job->pack_a ? 4.0 * m : 0.0);
        if (m_tasks == 1 || cost < best) {
            best = cost;
            job->m_tasks = m_tasks;
            job->n_tasks = n_tasks;
        }
    }
}

static void cut(amps_gemm_job *job)
{
    const size_t threads = amps_pool_threads(job->args.device->pool);
    const size_t useful = useful_tasks(job, threads, WORK_PER_TASK);
    const size_t batch = job->args.batch;
    job->batch_tasks = batch >= useful ? amps_min(batch, useful == 1 ? 1 : useful * TASKS_PER_THREAD) : batch;
    const size_t tasks = divide_up(useful, job->batch_tasks);
    job->m_tasks = 1;
    job->n_tasks = 1;
    if (tasks == 1) {
        return;
    }
    if (job->way == AMPS_GEMM_STRIP || job->way == AMPS_GEMM_LOW || job->way == AMPS_GEMM_SMALL) {
        const bool equal = threads <= EQUAL_THREADS || batch > 1;
        cut_tiles(job, equal ? tasks : amps_max(tasks, useful_tasks(job, threads * TASKS_PER_THREAD, LEAST_PIECE)));
    } else if (job->way == AMPS_GEMM_DOT && job->args.m > job->args.n) {
        job->m_tasks = amps_min(tasks, divide_up(job->args.m, 8));
    } else {
        job->n_tasks = amps_min(tasks, divide_up(job->args.n, job->way == AMPS_GEMM_DOT ? 8 : 64));
    }
}

/* What a tile costs: quarter cycles of one k, and of its beginning and end. */
typedef struct tile_model {
    const amps_gemm_ukr *ukr;
    size_t k;
    bool far; /* many panels fetch B from beyond the second cache */
} tile_model;

/* One k takes the longest of three: the tile's multiply-adds (a half vector is half of one) with what was measured beside
   them; the loads of B, which few rows do not hide; the wait for the sum of one multiply-add. At the end, sums beyond
   those that are stored beside the next tile are waited for. */
static double tile_cost(const tile_model *model, size_t rows, size_t vectors, bool half)
{
    const size_t products = 4 * rows * vectors - (half ? 2 * rows : 0) + (vectors == 2 ? 3 : 2);
    const size_t loads = rows < FEW_ROWS ? LOAD_QUARTERS * vectors : 0;
    const size_t step = amps_max(amps_max(products, loads), 4 * FMA_CYCLES) + (model->far ? vectors : 0);
    const size_t stores = model->ukr->stores, sums = rows * vectors;
    const size_t ends = 4 * (TILE_ENDS + (sums > stores ? (sums - stores) * STORE_WAIT : 0));
    return (double)step * (double)model->k + (double)ends;
}

/* The same for a strip whose m rows are cut into panels of nearly equal height. */
static double strip_cost(const tile_model *model, size_t m, size_t panels, size_t vectors, bool half)
{
    const size_t high = divide_up(m, panels), higher = m - panels * (high - 1), lower = panels - higher;
    const double low = lower > 0 ? (double)lower * tile_cost(model, high - 1, vectors, half) : 0.0;
    return (double)higher * tile_cost(model, high, vectors, half) + low;
}

/* Width and height of the tiles: of all widths, each as high as the registers allow or as its sums are stored beside
   the next tile, the one that costs least, the widest of several; where many rows use each strip, a wide one, which
   reads longer pieces of the rows of B. */
static void choose_tile(amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_gemm_ukr *ukr = job->ukr;
    const size_t m = args->m, all = divide_up(tiled(job), ukr->lanes);
    const bool half = (tiled(job) - 1) % ukr->lanes < ukr->half;
    const bool fixed = job->keep_b || m >= WIDE_ROWS;
    const size_t widest = amps_min(fixed ? ukr->wide : ukr->vectors, job->keep_b ? ukr->wide : all);
    const size_t far = args->device->caches.l2_bytes / sizeof(float) / 2;
    const tile_model model = {ukr, args->k, fixed && args->k * args->n > far};
    double best = 0.0;
    for (size_t v = fixed ? widest : 1; v <= widest; v++) {
        const size_t last = all % v == 0 ? v : all % v, whole = (all - last) / v, most = ukr->rows[v - 1];
        for (size_t rows = most; rows > 0; rows = rows == most && v * most > ukr->stores ? ukr->stores / v : 0) {
            const size_t panels = divide_up(m, rows);
            const double cost =
                (double)whole * strip_cost(&model, m, panels, v, false) + strip_cost(&model, m, panels, last, half);
            if (job->panel_rows == 0 || cost <= best) {
                best = cost;
                job->vectors = v;
                job->panel_rows = divide_up(m, panels);
            }
        }
    }
}

/* A B of another order or type is packed; others where many rows of C use a copy that the caches hold better: a B of
   several times the second cache (fewer times if A, too, is larger than that and so is cut into blocks), or whose rows
   collide. */
static bool packs_b(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t l2_floats = args->device->caches.l2_bytes / sizeof(float), b_floats = args->k * args->n;
    const bool apart = collide(job->b_row, args->k), blocks = args->m * args->k > l2_floats;
    const bool large = 2 * b_floats > (blocks ? PACKED_HALVES_BLOCKS : PACKED_HALVES) * l2_floats;
    const size_t least = apart && b_floats > APART_L2 * l2_floats ? WIDE_ROWS : PACKED_ROWS;
    return !job->b_lies || ((large || apart) && args->m >= least && !job->outer && !job->flat);
}

/* Whether vectors of C may hold parts of several rows, each with all its elements of A in one vector, and there are enough
   of them for what is prepared: B and the places in A for each column that a vector begins in. From three quarters of a
   vector on, rows of their own are as fast. */
static bool is_flat(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t lanes = job->ukr->lanes, n = args->n, unit = n & (~n + 1); /* vectors begin in multiples of it */
    const size_t touched = (n - unit + lanes - 1) / n + 1;
    const bool lie = job->b_lies && job->a_column == 1 && job->a_row == args->k && job->c_row == n;
    const bool plain = job->f32 && job->alpha == 1.0f && job->beta == 0.0f && args->epilogue == NULL;
    return plain && lie && n > 1 && n <= lanes / 4 * 3 && args->k <= job->ukr->flat_interior &&
           touched * args->k <= lanes && args->m * unit >= FLAT_PHASES;
}

/* What is packed, and the blocks that follow from the whole shape. */
static void block(amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_gemm_ukr *ukr = job->ukr;
    const size_t l1_floats = args->device->caches.l1_bytes / sizeof(float);
    const size_t l2_floats = args->device->caches.l2_bytes / sizeof(float);
    const size_t last_floats = args->device->caches.l3_bytes / sizeof(float);
    job->keep_b = keeps_b(args);
    job->b_lies = job->b_column == 1 && args->b_dtype == ANYMPS_DTYPE_F32 && !job->keep_b;
    const size_t b_floats = args->k * args->n;
    job->tail = tail_columns(job);
    choose_tile(job);
    if (job->keep_b) { /* the copy's strips are the same for every m */
        job->kept_columns = divide_up(args->n, job->vectors * ukr->lanes) * job->vectors * ukr->lanes;
    }
    job->outer = job->f32 && job->b_lies && args->k <= ukr->outer_interior && args->n >= OUTER_VECTORS * ukr->lanes;
    if (job->outer) {
        job->tail = 0;
        job->vectors = divide_up(args->n, ukr->lanes);
        job->panel_rows = 1;
    }
    job->flat = is_flat(job);
    const size_t panels = divide_up(args->m, job->panel_rows);
    job->pack_b = packs_b(job);
    const bool whole = panels == 1 && job->f32 && !job->pack_b;
    job->kc = divide_up(args->k, divide_up(args->k, whole ? args->k : INTERIOR_BLOCK));
    job->pack_a =
        args->a_dtype != ANYMPS_DTYPE_F32 || (job->panel_rows >= PANEL_APART && collide(job->a_row, args->m) &&
                                              args->n > PACKED_COLUMNS && args->k > SHORT_INTERIOR && !job->outer);
    job->fetch_b = job->b_lies && !job->outer && b_floats > l2_floats / 2;
    job->fetch_c = args->m * args->n > (args->k > SHORT_INTERIOR ? l1_floats : l2_floats);
    job->stream_c = job->outer && args->m * args->n > last_floats && last_floats > 0;
    job->chained =
        job->f32 && args->m * divide_up(args->n, ukr->lanes) <= CHAINED_VECTORS && args->k >= CHAINED_INTERIOR;
}

/* Blocks of a task. */
static void block_task(amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t m = divide_up(args->m, job->m_tasks), rows = job->panel_rows;
    const size_t width = job->vectors * job->ukr->lanes;
    const size_t n = divide_up(divide_up(tiled(job), width), job->n_tasks) * width;
    const size_t l2_floats = args->device->caches.l2_bytes / sizeof(float);
    size_t mc = amps_max(l2_floats / ROWS_PART / job->kc, rows);
    if (job->f32 && !job->pack_a && !job->pack_b) {
        const bool far = job->fetch_c && args->k <= SHORT_INTERIOR && !job->outer && !job->flat;
        mc = job->tail > 0 && args->n <= TAIL_COLUMNS ? mc : far ? FAR_PANELS * rows : m;
    } else if (!job->f32) {
        mc = amps_min(mc, 16 * rows);
    }
    job->mc = divide_up(divide_up(m, divide_up(m, mc)), rows) * rows;
    job->reuse_b = job->mc < m;
    const bool columns = job->pack_b && job->reuse_b;
    job->nc = amps_min(columns || !job->f32 ? (job->f32 ? COLUMN_BLOCK : 512) / width * width : n, n);
    job->a_floats = job->pack_a ? job->mc * job->kc : 0;
    job->b_floats = job->pack_b ? (job->reuse_b ? job->nc : width) * job->kc : 0;
    job->c_floats = job->f32 ? 0 : job->mc * job->nc;
    job->tail_floats = job->tail * amps_gemm_line(job->kc);
}

/* Scratch of one thread; false if it exceeds size_t. */
static bool size_scratch(amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t low = amps_min(args->m, args->n);
    if (job->way == AMPS_GEMM_STRIP) {
        block_task(job);
    } else if (job->way == AMPS_GEMM_LOW) {
        if (!amps_gemm_low_scratch(job)) {
            return false;
        }
    } else if (job->way == AMPS_GEMM_SMALL) {
        if (!amps_gemm_small_scratch(job)) {
            return false;
        }
    } else if (job->way == AMPS_GEMM_DOT) {
        /* The lower operand, eight lines of the other, each from a cache line on, and the sums of both. */
        if (args->k > SIZE_MAX / sizeof(float) || !amps_mul(low + 8, amps_gemm_line(args->k), &job->a_floats)) {
            return false;
        }
        job->b_floats = 0;
        job->c_floats = AMPS_GEMM_DOT_LINES * low;
    } else {
        if (args->k > SIZE_MAX / sizeof(float) || !amps_mul(args->m, amps_gemm_line(args->k), &job->a_floats)) {
            return false;
        }
        job->b_floats = job->args.b_dtype == ANYMPS_DTYPE_F32 ? 0 : 8 * ROW_SUMS;
        job->c_floats = args->m * amps_gemm_line(job->nc);
    }
    /* Each piece starts on a cache line. */
    size_t floats;
    return amps_add(job->c_floats, 4 * 16, &floats) && amps_add(floats, job->b_floats, &floats) &&
           amps_add(floats, job->tail_floats, &floats) && amps_add(floats, job->a_floats, &floats) &&
           amps_mul(floats, sizeof(float), &floats) && amps_round_up(floats, 4096, &job->thread_bytes);
}

bool amps_gemm_plan(const amps_gemm_args *args, amps_gemm_job *job)
{
    const bool f32 =
        args->a_dtype == ANYMPS_DTYPE_F32 && args->b_dtype == ANYMPS_DTYPE_F32 && args->c_dtype == ANYMPS_DTYPE_F32;
    *job = (amps_gemm_job){
        .args = *args,
        .ukr = amps_gemm_choose(args->device),
        .alpha = (float)args->alpha,
        .beta = (float)args->beta,
        .vectors = 1,
        .f32 = f32,
    };
    resolve_strides(job);
    job->way = choose_way(job);
    job->i8 = (job->way == AMPS_GEMM_DOT || job->way == AMPS_GEMM_ROW) && amps_gemm_low_takes_vector(job);
    if (job->way == AMPS_GEMM_PLAIN) {
        return true;
    }
    if (job->way == AMPS_GEMM_STRIP) {
        block(job);
    } else if (job->way == AMPS_GEMM_ROW) {
        assert(job->args.m != 0);
        job->nc = ROW_SUMS / job->args.m / 64 * 64;
    } else if (job->way == AMPS_GEMM_LOW) {
        amps_gemm_low_block(job);
    } else if (job->way == AMPS_GEMM_SMALL) {
        amps_gemm_small_block(job);
    }
    cut(job);
    return size_scratch(job);
}

/* Piece `index` of `count` nearly equal pieces of [0, n), cut at multiples of `unit`. */
static void piece(size_t n, size_t unit, size_t count, size_t index, size_t *first, size_t *last)
{
    const size_t units = divide_up(n, unit);
    const size_t base = units / count, extra = units % count;
    const size_t begin = index * base + amps_min(index, extra);
    *first = amps_min(n, begin * unit);
    *last = amps_min(n, (begin + base + (index < extra)) * unit);
}

amps_gemm_part amps_gemm_part_of(const amps_gemm_job *job, size_t task)
{
    amps_gemm_part part = {0, job->args.batch, 0, job->args.m, 0, tiled(job)};
    if (job->batch_tasks * job->m_tasks * job->n_tasks == 1) {
        return part;
    }
    const size_t tiles = job->m_tasks * job->n_tasks;
    const bool strips = job->way == AMPS_GEMM_STRIP || job->way == AMPS_GEMM_SMALL;
    const size_t n_unit = strips ? job->vectors * job->ukr->lanes : job->way == AMPS_GEMM_DOT ? 8 : 64;
    piece(job->args.batch, 1, job->batch_tasks, task / tiles, &part.batch_first, &part.batch_last);
    piece(job->args.m, job->way == AMPS_GEMM_DOT ? 8 : 1, job->m_tasks, task % tiles / job->n_tasks, &part.m_first,
          &part.m_last);
    piece(tiled(job), n_unit, job->n_tasks, task % job->n_tasks, &part.n_first, &part.n_last);
    return part;
}
