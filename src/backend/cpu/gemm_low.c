/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_low.c: products of narrow types on the machine's dot product instructions: when they run so, the blocked
 * loops around their tiles, and what follows the sums.
 *
 * Called by gemm_plan.c (which way), gemm.c (tasks, the copy of a constant A) and gemm_packed.c (that of B); calls
 * pack_low.c, the microkernels of low_ukr.h and amps_gemm_finish. Loops, outermost first: columns in blocks of nc,
 * whose B is packed once for all of the interior; rows in blocks of mc; the interior in blocks of kc words; strips of
 * B; panels of A (in the microkernel). Tasks are cut at whole panels and strips, so that a tile holds the same elements
 * for every number of threads; where several need the same panels or strips, all threads pack them before.
 */
#include "backend/cpu/gemm_low.h"

#include "backend/cpu/pack_low.h"
#include "base/checked.h"

#include <string.h>

enum {
    WORDS_BLOCK = 512,
    LOW_PANELS = 2, /* of rows, for which B is read in place; more where it stays in the caches */
    SMALL_PANELS = 6,
    WIDENED_ROWS = 4,
    LOW_WORDS_BLOCK = 128, /* for one panel of rows: what is packed is read once, from L2 */
    PANELS = 16,           /* of a block of rows whose sums need scratch: no more, however short the interior */
    SUM_COLUMNS = 512,     /* and its columns */
    DIRECT_COLUMNS = 1024,
    B_BYTES = 8 << 20,       /* of a block of packed columns: stays in L3 */
    TILE_WORDS = 1024,       /* so many, as they are stored, pass while sums of AMX kernels stay in tiles */
    TILE_L2_SHARE = 4,       /* of L2, where operands come from, panels of A take so much: two CPUs may share it */
    TILE_PANELS = 8,         /* or half of it, up to so many: each pass over them reads all of B */
    TILE_COLUMNS = 4096,     /* so many at once: each block of columns packs A again */
    TILE_B_BYTES = 32 << 20, /* if they take no more, and one thread packs them */
    SPLIT_WORK = 1 << 27,    /* multiply-adds of f32 from which cutting into parts pays: 512 cubed */
    SPLIT_LEAST = 128,       /* and the least of each side */
    STRICT_LEAST = 512,      /* the same for three parts */
    SHARED_L2 = 2,           /* from so many second caches of both operands on all threads pack them together, */
    SHARED_WORDS = 32 << 20, /* up to so many words */
    PAGE_WORDS = 1024,       /* each from a page on */
    I32_INTERIOR = 131071    /* so many products of two i8 stay below 2^31 */
};

static size_t divide_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static const amps_low_ukr *choose(const amps_cpu_device *device, anymps_dtype dtype)
{
#if defined(__x86_64__)
    if (dtype == ANYMPS_DTYPE_BF16 && (device->features & AMPS_CPU_AMX_BF16) != 0) {
        return &amps_bf16_gemm_32x32__amx;
    }
    if (dtype == ANYMPS_DTYPE_I8 && (device->features & AMPS_CPU_AMX_INT8) != 0) {
        return &amps_i8_gemm_32x32__amx;
    }
    if (dtype == ANYMPS_DTYPE_BF16 && (device->features & AMPS_CPU_AVX512_BF16) != 0) {
        return &amps_bf16_gemm_14x32__avx512bf16;
    }
    if (dtype == ANYMPS_DTYPE_BF16 && device->isa >= AMPS_CPU_ISA_AVX2) {
        return device->isa >= AMPS_CPU_ISA_AVX512 ? &amps_bf16_gemm_14x32__avx512 : &amps_bf16_gemm_6x16__avx2;
    }
    if (dtype == ANYMPS_DTYPE_F16 && device->isa >= AMPS_CPU_ISA_AVX2) {
        return device->isa >= AMPS_CPU_ISA_AVX512 ? &amps_f16_gemm_14x32__avx512 : &amps_f16_gemm_6x16__avx2;
    }
    if (dtype == ANYMPS_DTYPE_I16 && device->isa >= AMPS_CPU_ISA_AVX2) {
        return device->isa >= AMPS_CPU_ISA_AVX512 ? &amps_i16_gemm_14x32__avx512 : &amps_i16_gemm_6x16__avx2;
    }
    if (dtype == ANYMPS_DTYPE_I8 && device->isa >= AMPS_CPU_ISA_AVX2) {
        return (device->features & AMPS_CPU_AVX512_VNNI) != 0 ? &amps_i8_gemm_14x32__avx512vnni
                                                              : &amps_i8_gemm_6x16__avx2;
    }
#elif defined(__aarch64__)
    if (dtype == ANYMPS_DTYPE_BF16 && device->isa >= AMPS_CPU_ISA_NEON) {
        return (device->features & AMPS_CPU_NEON_BF16) != 0 ? &amps_bf16_gemm_8x12__neonbf16
                                                            : &amps_bf16_gemm_8x12__neon;
    }
    if (dtype == ANYMPS_DTYPE_F16 && device->isa >= AMPS_CPU_ISA_NEON) {
        return (device->features & AMPS_CPU_NEON_FHM) != 0 ? &amps_f16_gemm_8x12__neonfhm : &amps_f16_gemm_8x12__neon;
    }
    if (dtype == ANYMPS_DTYPE_I16 && device->isa >= AMPS_CPU_ISA_NEON) {
        return &amps_i16_gemm_8x12__neon;
    }
    if (dtype == ANYMPS_DTYPE_I8 && device->isa >= AMPS_CPU_ISA_NEON) {
        return (device->features & AMPS_CPU_NEON_I8MM) != 0      ? &amps_i8_gemm_8x12__neoni8mm
               : (device->features & AMPS_CPU_NEON_DOTPROD) != 0 ? &amps_i8_gemm_8x12__neondot
                                                                 : &amps_i8_gemm_8x12__neon;
    }
#endif
    (void)device;
    (void)dtype;
    return NULL;
}

const amps_low_ukr *amps_gemm_low_choose(const amps_cpu_device *device, anymps_dtype a_dtype, anymps_dtype b_dtype)
{
    return a_dtype == b_dtype ? choose(device, a_dtype) : NULL;
}

/* 2048 cubed: below it, several threads multiply as fast in f32. Never by the number of threads: bits depend on it. */
static const double strict_work = 0x1p33;

/* Is an f32 product large enough to be cut into bf16 parts? Two are enough where reduced precision is allowed. */
static bool splits(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t least = amps_min(amps_min(args->m, args->n), args->k);
    const double work = (double)args->m * (double)args->n * (double)args->k;
    if (!job->f32 || job->c_column != 1 || (args->device->features & AMPS_CPU_AMX_BF16) == 0) {
        return false;
    }
    if (args->reduced) {
        return least >= SPLIT_LEAST && work >= (double)SPLIT_WORK;
    }
    return least >= STRICT_LEAST && work >= (args->device->strict_work > 0.0 ? args->device->strict_work : strict_work);
}

bool amps_gemm_low_takes_vector(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const bool i8 = args->a_dtype == ANYMPS_DTYPE_I8 && args->b_dtype == ANYMPS_DTYPE_I8;
    const size_t low = amps_min(args->m, args->n);
    const bool kept = args->a_constant != NULL || args->b_constant != NULL;
    return i8 && low <= (kept ? 1 : AMPS_GEMM_DOT8_LOW) && args->k > 0 && job->c_column == 1 &&
           (args->c_dtype == ANYMPS_DTYPE_I32 || args->k <= I32_INTERIOR);
}

bool amps_gemm_low_takes(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_low_ukr *low = amps_gemm_low_choose(args->device, args->a_dtype, args->b_dtype);
    if (splits(job)) {
        return true;
    }
    if (low == NULL || args->k == 0 || job->c_column != 1) {
        return false;
    }
    const bool i32 = args->c_dtype == ANYMPS_DTYPE_I32;
    if (args->m == 1 || args->n == 1) {
        return i32 && (args->k > 1024 || args->alpha != 1.0 || (args->beta != 0.0 && args->beta != 1.0));
    }
    return !low->integer || i32 || args->k <= I32_INTERIOR;
}

/* Do the tiles write C itself, and as what? `whole`: the interior is one block. */
static bool writes_result(const amps_gemm_args *args, bool whole, amps_low_result *result)
{
    *result = AMPS_LOW_SUMS;
    if (args->c_dtype == ANYMPS_DTYPE_I32) {
        return args->alpha == 1.0 && (args->beta == 0.0 || args->beta == 1.0);
    }
    if (args->a_dtype == ANYMPS_DTYPE_I8 || args->epilogue != NULL) {
        return false;
    }
    if (args->c_dtype == ANYMPS_DTYPE_F32) {
        return whole || args->beta == 0.0; /* else beta * C would be rounded with every block */
    }
    *result = args->c_dtype == ANYMPS_DTYPE_F16 ? AMPS_LOW_F16 : AMPS_LOW_BF16;
    return whole && args->beta == 0.0;
}

/* Words of k that are packed before the rows run over them: of one block of rows only those that it needs next. */
static size_t kept_words(const amps_gemm_job *job)
{
    return job->args.m <= job->mc ? job->kc : divide_up(job->args.k, job->low->group);
}

static bool keeps_b(const amps_gemm_args *args)
{
    return args->b_constant != NULL && (args->batch == 1 || args->b_batch_bytes == 0);
}

static bool keeps_a(const amps_gemm_args *args)
{
    return args->a_constant != NULL && (args->batch == 1 || args->a_batch_bytes == 0);
}

/* Few rows read B once: there the packing that dot products need costs more than they gain. */
static const amps_low_ukr *choose_for(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_low_ukr *low = amps_gemm_low_choose(args->device, args->a_dtype, args->b_dtype);
    const bool as_it_lies = job->b_column == 1 && job->a_column == 1 && !keeps_b(args);
#if defined(__x86_64__)
    if (splits(job)) {
        return args->reduced ? &amps_f32_reduced_gemm_32x32__amx : &amps_f32_gemm_32x32__amx;
    }
#endif
    if (!as_it_lies || args->m > WIDENED_ROWS) {
        return low;
    }
#if defined(__x86_64__)
    if (low == &amps_bf16_gemm_14x32__avx512bf16 || low == &amps_bf16_gemm_32x32__amx) {
        return &amps_bf16_gemm_14x32__avx512;
    }
#elif defined(__aarch64__)
    if (low == &amps_bf16_gemm_8x12__neonbf16) {
        return &amps_bf16_gemm_8x12__neon;
    }
    if (low == &amps_f16_gemm_8x12__neonfhm) {
        return &amps_f16_gemm_8x12__neon;
    }
#endif
    return low;
}

/* Is packing B more work than widening it again for every panel? */
static bool reads_in_place(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t panels = divide_up(args->m, job->low->rows);
    const bool small = args->k * args->n <= args->device->caches.l2_bytes / 4 / sizeof(uint16_t);
    return job->low->in_place != NULL && !job->keep_b && job->b_column == 1 && job->a_column == 1 &&
           panels <= (small ? SMALL_PANELS : LOW_PANELS);
}

/* Panels of A that stay in the second cache while B streams by. */
static size_t panels_by_cache(const amps_gemm_job *job)
{
    const size_t panel_words = amps_low_room(job->low, job->kc) * job->panel_rows;
    const size_t all = job->args.device->caches.l2_bytes / sizeof(uint32_t) / panel_words;
    return job->low->step == 0 ? all / 2 : amps_max(all / TILE_L2_SHARE, amps_min(all / 2, TILE_PANELS));
}

void amps_gemm_low_block(amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_low_ukr *low = choose_for(job);
    const size_t words = divide_up(args->k, low->group), width = low->lanes * low->wide;
    job->low = low;
    job->pack_a = job->pack_b = true;
    job->keep_b = keeps_b(args);
    job->low_in_place = reads_in_place(job);
    job->keep_a = keeps_a(args) && !job->low_in_place;
    const bool once = args->m <= low->rows && !job->low_in_place;
    const size_t block_words = low->step != 0 ? TILE_WORDS * low->step / low->stored : WORDS_BLOCK;
    const size_t most_words = once ? LOW_WORDS_BLOCK : block_words;
    job->kc = amps_low_filled(low, divide_up(words, divide_up(words, most_words)));
    job->panel_rows = low->step != 0 ? low->rows : divide_up(args->m, divide_up(args->m, low->rows));
    job->low_direct = writes_result(args, job->kc >= words, &job->low_result);
    if (!job->low_direct) {
        job->low_result = AMPS_LOW_SUMS;
    }
    job->kept_columns = divide_up(args->n, width) * width;
    job->kept_rows = divide_up(args->m, job->panel_rows) * job->panel_rows;
    const size_t by_cache = amps_max(1, panels_by_cache(job));
    const size_t panels = job->low_direct ? by_cache : amps_min(by_cache, PANELS);
    job->mc = amps_min(panels, divide_up(args->m, job->panel_rows)) * job->panel_rows;
    const bool alone = low->step != 0 && amps_pool_threads(args->device->pool) == 1;
    const size_t bytes = alone ? TILE_B_BYTES : B_BYTES, direct = alone ? TILE_COLUMNS : DIRECT_COLUMNS;
    const size_t most = amps_max(1, bytes / sizeof(uint32_t) / amps_low_room(low, kept_words(job)) / width);
    const size_t wanted = (job->low_direct ? direct : SUM_COLUMNS) / width;
    job->nc = amps_min(amps_min(most, wanted) * width, job->kept_columns);
}

/* Words of `columns` packed columns, heads of every interior block included. */
static bool packed_words(const amps_gemm_job *job, size_t columns, size_t *words)
{
    const size_t all = divide_up(job->args.k, job->low->group);
    return amps_mul(columns, amps_low_room(job->low, all) + divide_up(all, job->kc), words);
}

/* Scratch of a thread that packs for itself. */
static bool thread_scratch(amps_gemm_job *job)
{
    const size_t room = amps_low_room(job->low, job->kc) + 1; /* and the head */
    job->a_floats = job->mc * room + AMPS_LOW_SLACK;
    job->c_floats = job->low_direct ? 0 : job->mc * job->nc;
    job->b_floats = 0;
    return job->low_in_place || (job->args.m <= job->mc ? amps_mul(job->nc, room, &job->b_floats)
                                                        : packed_words(job, job->nc, &job->b_floats));
}

/* Where tasks would pack the same rows or columns again, all threads pack them once: tiles multiply so fast that
   packing counts. More than two tasks had better pack small operands for themselves: what another CPU has written comes
   late, and all wait for the last one. Bits do not depend on it. */
static void share(amps_gemm_job *job)
{
    const bool shares = job->low->step != 0 && job->args.batch == 1;
    const bool always = job->m_tasks * job->n_tasks <= 2 || job->keep_a || job->keep_b;
    const size_t least = SHARED_L2 * job->args.device->caches.l2_bytes / sizeof(uint32_t);
    size_t a = 0, b = 0, words;
    if (!shares || !packed_words(job, job->kept_rows, &a) || !packed_words(job, job->kept_columns, &b) ||
        !amps_add(a, b, &words) || words > SHARED_WORDS || (words < least && !always)) {
        return;
    }
    if (job->n_tasks > 1 && !job->keep_a) {
        job->shared_a_words = divide_up(a, PAGE_WORDS) * PAGE_WORDS;
        job->a_floats = 0;
    }
    if (job->m_tasks > 1 && !job->keep_b) {
        job->shared_b_words = divide_up(b, PAGE_WORDS) * PAGE_WORDS;
        job->b_floats = 0;
    }
    job->shared_bytes = (job->shared_a_words + job->shared_b_words) * sizeof(uint32_t);
}

bool amps_gemm_low_scratch(amps_gemm_job *job)
{
    if (!thread_scratch(job)) {
        return false;
    }
    share(job);
    return true;
}

/* ---- whole operands packed by all threads: constant ones, and what tasks share ------------------ */

static amps_low_layout layout_of(const amps_gemm_job *job, bool left)
{
    const size_t width = left ? job->panel_rows : job->low->lanes * job->low->wide;
    return (amps_low_layout){job->low, job->ukr, width, job->args.k, left};
}

static amps_pack_source source_of(const amps_gemm_job *job, bool left, size_t b)
{
    const amps_gemm_args *args = &job->args;
    return left ? (amps_pack_source){args->a + b * args->a_batch_bytes, job->a_row, job->a_column, args->a_dtype}
                : (amps_pack_source){args->b + b * args->b_batch_bytes, job->b_column, job->b_row, args->b_dtype};
}

/* Where the panels or strips from x on, words from w on lie in a packed piece of `count` rows or columns. */
static size_t place(const amps_gemm_job *job, size_t count, size_t x, size_t w)
{
    const size_t words = divide_up(job->args.k, job->low->group);
    return count * (amps_low_room(job->low, w) + w / job->kc) +
           x * (amps_low_room(job->low, amps_min(job->kc, words - w)) + 1);
}

enum { PANELS_PER_TASK = 16, PANELS_SHARED = 2 };

/* Either operand, or none; `each` panels or strips a task. */
typedef struct filling {
    const amps_gemm_job *job;
    uint32_t *to[2]; /* A, B */
    size_t each, tasks[2];
} filling;

static void fill_task(void *context, size_t task, size_t thread)
{
    (void)thread;
    const filling *f = context;
    const amps_gemm_job *job = f->job;
    const bool left = task < f->tasks[0];
    const amps_low_layout layout = layout_of(job, left);
    const amps_pack_source source = source_of(job, left, 0);
    const size_t count = left ? job->args.m : job->args.n, unit = layout.width * f->each;
    const size_t pieces = divide_up(count, unit), words = divide_up(job->args.k, job->low->group);
    task -= left ? 0 : f->tasks[0];
    const size_t w = task / pieces * job->kc, x = task % pieces * unit;
    amps_low_pack(&layout, &source, x, amps_min(unit, count - x), w, amps_min(job->kc, words - w),
                  f->to[left ? 0 : 1] + place(job, left ? job->kept_rows : job->kept_columns, x, w));
}

/* All of A and of B, where there is a place for them. */
static void fill_whole(const amps_gemm_job *job, uint32_t *a, uint32_t *b, size_t each)
{
    filling f = {.job = job, .to = {a, b}, .each = each};
    const size_t blocks = divide_up(divide_up(job->args.k, job->low->group), job->kc);
    f.tasks[0] = a == NULL ? 0 : divide_up(job->args.m, job->panel_rows * each) * blocks;
    f.tasks[1] = b == NULL ? 0 : divide_up(job->args.n, job->low->lanes * job->low->wide * each) * blocks;
    amps_pool_run(job->args.device->pool, f.tasks[0] + f.tasks[1], fill_task, &f);
}

void amps_gemm_low_share(amps_gemm_job *job, void *scratch)
{
    uint32_t *const a = job->shared_a_words != 0 ? scratch : NULL;
    uint32_t *const b = job->shared_b_words != 0 ? (uint32_t *)scratch + job->shared_a_words : NULL;
    fill_whole(job, a, b, PANELS_SHARED);
    job->kept_a = a != NULL ? a : job->kept_a;
    job->kept_b = b != NULL ? (const float *)(const void *)b : job->kept_b;
}

static void fill_b(const void *context, void *to)
{
    fill_whole(context, NULL, to, PANELS_PER_TASK);
}

static void fill_a(const void *context, void *to)
{
    fill_whole(context, to, NULL, PANELS_PER_TASK);
}

const void *amps_gemm_low_packed_b(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_packed_key key = {.base = args->b,
                                 .across = job->b_column,
                                 .along = job->b_row,
                                 .count = args->n,
                                 .interior = args->k,
                                 .width = job->low->lanes * job->low->wide,
                                 .block = job->kc,
                                 .dtype = args->b_dtype,
                                 .layout = job->low->step != 0 ? AMPS_GEMM_LAYOUT_TILES + (int)job->low->stored
                                                               : AMPS_GEMM_LAYOUT_LOW};
    size_t bytes;
    if (!packed_words(job, job->kept_columns, &bytes) || !amps_mul(bytes, sizeof(uint32_t), &bytes)) {
        return NULL;
    }
    return amps_packed_get(args->device->packed, args->b_constant, &key, bytes, fill_b, job);
}

const uint32_t *amps_gemm_low_packed_a(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_packed_key key = {.base = args->a,
                                 .across = job->a_row,
                                 .along = job->a_column,
                                 .count = args->m,
                                 .interior = args->k,
                                 .width = job->panel_rows,
                                 .block = job->kc,
                                 .dtype = args->a_dtype,
                                 .layout = AMPS_GEMM_LAYOUT_LEFT + (int)(job->low->stored * 8 + job->low->group)};
    size_t bytes;
    if (!packed_words(job, job->kept_rows, &bytes) || !amps_add(bytes, AMPS_LOW_SLACK, &bytes) ||
        !amps_mul(bytes, sizeof(uint32_t), &bytes)) {
        return NULL;
    }
    return amps_packed_get(args->device->packed, args->a_constant, &key, bytes, fill_a, job);
}

/* ---- after the sums --------------------------------------------------------------------------- */

/* To nearest even, clamped; NaN gives 0. Adding 1.5 * 2^52 leaves no bits for a fraction. */
static int32_t round_to_i32(double value)
{
    const double shift = 0x1.8p52;
    const double below = value < 2147483647.0 ? value : 2147483647.0;
    const double inside = below > -2147483648.0 ? below : -2147483648.0;
    const double rounded = (inside + shift) - shift;
    return value == value ? (int32_t)rounded : 0;
}

/* C = alpha * sums + beta * C in double. */
static void finish_i32(const amps_gemm_args *args, unsigned char *c, const int32_t *sums, size_t n)
{
    int32_t *to = (int32_t *)(void *)c;
    for (size_t i = 0; i < n; i++) {
        const double old = args->beta == 0.0 ? 0.0 : (double)to[i];
        to[i] = round_to_i32(args->alpha * (double)sums[i] + args->beta * old);
    }
}

/* The same without factors, modulo 2^32. */
static void add_i32(const amps_gemm_args *args, unsigned char *c, const int32_t *sums, size_t n)
{
    int32_t *to = (int32_t *)(void *)c;
    for (size_t i = 0; i < n; i++) {
        to[i] = (int32_t)((uint32_t)sums[i] + (args->beta == 0.0 ? 0u : (uint32_t)to[i]));
    }
}

void amps_gemm_finish_i32(const amps_gemm_job *job, size_t b, size_t i, size_t j, size_t n, int32_t *sums)
{
    const amps_gemm_args *args = &job->args;
    unsigned char *c = args->c + b * args->c_batch_bytes + (i * job->c_row + j) * sizeof(int32_t);
    if (args->c_dtype == ANYMPS_DTYPE_I32) {
        const bool plain = args->alpha == 1.0 && (args->beta == 0.0 || args->beta == 1.0);
        (plain ? add_i32 : finish_i32)(args, c, sums, n);
        return;
    }
    for (size_t x = 0; x < n; x++) {
        const float value = (float)sums[x];
        memcpy(&sums[x], &value, sizeof value);
    }
    amps_gemm_finish(job, b, i, j, n, (float *)(void *)sums, false);
}

/* Row i, columns [j, j + n) of C from their sums, which it may overwrite. */
static void finish(const amps_gemm_job *job, size_t b, size_t i, size_t j, size_t n, uint32_t *sums)
{
    const amps_gemm_args *args = &job->args;
    if (args->c_dtype == ANYMPS_DTYPE_I32) {
        amps_gemm_finish_i32(job, b, i, j, n, (int32_t *)(void *)sums);
        return;
    }
    if (job->low->integer) {
        job->low->convert(sums, n);
    }
    amps_gemm_finish(job, b, i, j, n, (float *)(void *)sums, false);
}

/* ---- loops ------------------------------------------------------------------------------------ */

/* Rows [i, i + m), columns [j, j + n) of batch b. */
typedef struct low_block {
    const amps_gemm_job *job;
    size_t b, i, j, m, n;
    const uint32_t *a; /* rows [i, i + m) of A for the words at hand: of a_pack, or kept */
    uint32_t *a_pack, *b_pack, *sums;
} low_block;

/* The strips of a block for words [w, w + words). */
static void run_strips(const low_block *block, size_t w, size_t words)
{
    const amps_gemm_job *job = block->job;
    const amps_gemm_args *args = &job->args;
    const size_t width = job->low->lanes * job->low->wide;
    const bool straight = job->low_direct;
    const size_t size = job->low_result == AMPS_LOW_SUMS ? sizeof(uint32_t) : sizeof(uint16_t);
    amps_low_strip s = {.a = block->a, .rows = block->m, .words = words, .panel_rows = job->panel_rows};
    s.result = job->low_result;
    s.alpha = straight ? job->alpha : 1.0f;
    s.beta = w > 0 ? 1.0f : straight ? job->beta : 0.0f;
    s.add = w > 0 || (straight && args->beta != 0.0);
    s.c_row_bytes = (straight ? job->c_row : job->nc) * size;
    unsigned char *c = (unsigned char *)block->sums;
    if (straight) {
        c = args->c + block->b * args->c_batch_bytes + (block->i * job->c_row + block->j) * size;
    }
    s.a_row = job->kc;
    s.b_row_bytes = args->b_row_bytes;
    const unsigned char *b = args->b + block->b * args->b_batch_bytes + w * job->low->group * args->b_row_bytes +
                             block->j * job->low->element;
    const size_t from = args->m <= job->mc ? w : 0; /* the first word that is packed */
    const size_t columns = divide_up(block->n, width) * width;
    /* Not what this thread has just packed into its second cache. */
    const bool far = job->kept_b != NULL || columns * job->kc > args->device->caches.l2_bytes / 2 / sizeof(uint32_t);
    for (size_t j = 0; j < block->n; j += width) {
        const uint32_t *kept = (const uint32_t *)(const void *)job->kept_b;
        s.b = kept != NULL ? kept + place(job, job->kept_columns, block->j + j, w)
                           : block->b_pack + place(job, columns, j, w) - place(job, columns, 0, from);
        s.columns = amps_min(width, block->n - j);
        s.c = c + j * size;
        s.b_rows = b + j * job->low->element;
        s.next = far && j + width < block->n ? s.b + (place(job, columns, width, w) - place(job, columns, 0, w)) : NULL;
        (job->low_in_place ? job->low->in_place : job->low->strip)(&s);
    }
}

/* Words [w, last) of the block's columns. */
static void pack_columns(const low_block *block, size_t w, size_t last)
{
    const amps_gemm_job *job = block->job;
    const amps_low_layout layout = layout_of(job, false);
    const amps_pack_source b = source_of(job, false, block->b);
    const size_t columns = divide_up(block->n, layout.width) * layout.width, base = place(job, columns, 0, w);
    for (; w < last && job->kept_b == NULL && !job->low_in_place; w += job->kc) {
        amps_low_pack(&layout, &b, block->j, block->n, w, amps_min(job->kc, last - w),
                      block->b_pack + place(job, columns, 0, w) - base);
    }
}

/* Rows [first, last). Where they are all of C, columns are packed for each block of the interior, else before. */
static void run_rows(low_block *block, size_t first, size_t last)
{
    const amps_gemm_job *job = block->job;
    const amps_gemm_args *args = &job->args;
    const amps_low_layout layout = layout_of(job, true);
    const amps_pack_source a = source_of(job, true, block->b);
    const size_t words = divide_up(args->k, job->low->group);
    const bool once = args->m <= job->mc;
    if (!once) {
        pack_columns(block, 0, words);
    }
    for (block->i = first; block->i < last; block->i += job->mc) {
        block->m = amps_min(job->mc, last - block->i);
        for (size_t w = 0; w < words; w += job->kc) {
            const size_t here = amps_min(job->kc, words - w);
            if (once) {
                pack_columns(block, w, w + here);
            }
            block->a = job->kept_a != NULL ? job->kept_a + place(job, job->kept_rows, block->i, w) : block->a_pack;
            if (job->low_in_place) {
                job->low->lines(args->a + block->b * args->a_batch_bytes + block->i * args->a_row_bytes +
                                    w * job->low->element,
                                args->a_row_bytes, block->m, block->a_pack, job->kc, here);
            } else if (job->kept_a == NULL) {
                amps_low_pack(&layout, &a, block->i, block->m, w, here, block->a_pack);
            }
            run_strips(block, w, here);
        }
        for (size_t i = 0; i < block->m && !job->low_direct; i++) {
            finish(job, block->b, block->i + i, block->j, block->n, block->sums + i * job->nc);
        }
    }
}

/* Words to the next cache line. */
static uint32_t *aligned(uint32_t *p)
{
    const size_t past = (uintptr_t)p % AMPS_CACHE_LINE;
    return past == 0 ? p : p + (AMPS_CACHE_LINE - past) / sizeof *p;
}

/* Piece `index` of `count` of [0, n), cut at multiples of `unit`. */
static void piece(size_t n, size_t unit, size_t count, size_t index, size_t *first, size_t *last)
{
    const size_t units = divide_up(n, unit);
    *first = amps_min(n, units * index / count * unit);
    *last = amps_min(n, units * (index + 1) / count * unit);
}

void amps_gemm_low_task(const amps_gemm_job *job, size_t task, void *scratch)
{
    const size_t tiles = job->m_tasks * job->n_tasks;
    size_t batch_first, batch_last, m_first, m_last, n_first, n_last;
    piece(job->args.batch, 1, job->batch_tasks, task / tiles, &batch_first, &batch_last);
    piece(job->args.m, job->panel_rows, job->m_tasks, task % tiles / job->n_tasks, &m_first, &m_last);
    piece(job->args.n, job->low->lanes * job->low->wide, job->n_tasks, task % job->n_tasks, &n_first, &n_last);
    low_block block = {.job = job, .a_pack = scratch};
    block.b_pack = aligned(block.a_pack + job->a_floats);
    block.sums = aligned(block.b_pack + job->b_floats);
    for (block.b = batch_first; block.b < batch_last; block.b++) {
        for (block.j = n_first; block.j < n_last && m_first < m_last; block.j += job->nc) {
            block.n = amps_min(job->nc, n_last - block.j);
            run_rows(&block, m_first, m_last);
        }
    }
}
