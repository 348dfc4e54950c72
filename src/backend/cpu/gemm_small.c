/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_small.c: products of narrow types that fit the caches: which they are, their tiles, and the calls of the
 * microkernel of low_small.h, which widens operands where they lie.
 *
 * Called by gemm_plan.c (which way) and gemm.c (tasks, single calls); calls the microkernel and amps_gemm_finish. Knows
 * no threads. The limits and how they were measured are in docs/performance.md, "CPU: narrow types".
 */
#include "backend/cpu/gemm_small.h"

#include "base/checked.h"

enum {
    FEW_STEPS = 48,       /* of so short an interior the sums of lower tiles are stored sooner */
    FEW_STEPS_ROWS = 4,   /* so low, beside four vectors */
    MOST_INTERIOR = 1024, /* a widened panel of A fits the first cache; products of two i8 add up exactly */
    PAIR_WORK = 32768,    /* multiply-adds from which dot products of pairs (bf16) or fours (i8) pay for packing */
    FOUR_WORK = 8192,
    DOT_ROWS = 4,        /* so few rows times lines along the interior are dot products, */
    DOT_INTERIOR = 32,   /* if they are so long */
    WIDE_FLOATS = 16384, /* so small a B is kept widened, twice the first cache */
    FINISHED_ROWS = 56   /* of sums that go through scratch */
};

static const amps_low_small_ukr *choose(const amps_cpu_device *device, anymps_dtype dtype)
{
#if defined(__x86_64__)
    if (device->isa >= AMPS_CPU_ISA_AVX512) {
        switch (dtype) {
        case ANYMPS_DTYPE_F16: return &amps_f16_small_7x64__avx512;
        case ANYMPS_DTYPE_BF16: return &amps_bf16_small_7x64__avx512;
        case ANYMPS_DTYPE_I16: return &amps_i16_small_7x64__avx512;
        case ANYMPS_DTYPE_I8: return &amps_i8_small_7x64__avx512;
        default: break;
        }
    }
#endif
    (void)device;
    (void)dtype;
    return NULL;
}

/* Multiply-adds from which the machine's dot products of this type are faster; SIZE_MAX: it has none. */
static size_t most_work(const amps_cpu_device *device, anymps_dtype dtype)
{
    const uint32_t pairs = AMPS_CPU_AVX512_BF16 | AMPS_CPU_AMX_BF16;
    if (dtype == ANYMPS_DTYPE_BF16 && (device->features & pairs) != 0) {
        return PAIR_WORK;
    }
    return dtype == ANYMPS_DTYPE_I8 ? FOUR_WORK : SIZE_MAX;
}

bool amps_gemm_small_takes(const amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const amps_low_small_ukr *ukr = args->a_dtype == args->b_dtype ? choose(args->device, args->a_dtype) : NULL;
    if (ukr == NULL || job->c_column != 1 || args->k == 0 || args->k > MOST_INTERIOR) {
        return false;
    }
    const bool kept = args->a_constant != NULL || args->b_constant != NULL;
    const bool a_lies = job->a_column == 1 || job->a_row == 1;
    const bool b_lies = job->b_column == 1 || (job->b_row == 1 && ukr->turn != NULL);
    const bool dots = args->m <= DOT_ROWS && job->b_column != 1 && args->k >= DOT_INTERIOR;
    const bool i32 = args->c_dtype == ANYMPS_DTYPE_I32;
    const bool factors = args->alpha != 1.0 || (args->beta != 0.0 && args->beta != 1.0);
    const double work = (double)args->m * (double)args->n * (double)args->k;
    const size_t most = args->device->caches.l2_bytes / 2 / ukr->element;
    return !kept && !dots && a_lies && b_lies && !(i32 && factors) && args->n <= most / args->k &&
           work <= (double)most_work(args->device, args->a_dtype);
}

/* Does the microkernel write C itself, and as what? */
static bool writes_result(const amps_gemm_args *args, amps_low_result *result)
{
    *result = AMPS_LOW_SUMS;
    if (args->epilogue != NULL) {
        return false;
    }
    if (args->c_dtype == ANYMPS_DTYPE_F32) {
        return true;
    }
    if (args->a_dtype == ANYMPS_DTYPE_I8) {
        *result = args->c_dtype == ANYMPS_DTYPE_I32 ? AMPS_LOW_I32 : AMPS_LOW_F16;
        return args->beta == 0.0 && args->c_dtype != ANYMPS_DTYPE_BF16;
    }
    *result = args->c_dtype == ANYMPS_DTYPE_F16 ? AMPS_LOW_F16 : AMPS_LOW_BF16;
    return args->beta == 0.0 && args->c_dtype == args->a_dtype;
}

void amps_gemm_small_block(amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    job->small = choose(args->device, args->a_dtype);
    const size_t vectors = amps_min(AMPS_SMALL_VECTORS, (args->n - 1) / AMPS_SMALL_LANES + 1);
    job->vectors = vectors;
    const bool low = vectors == AMPS_SMALL_VECTORS && args->k < FEW_STEPS;
    job->panel_rows = low ? FEW_STEPS_ROWS : job->small->rows[vectors - 1];
    job->low_direct = writes_result(args, &job->low_result);
    if (!job->low_direct) {
        job->low_result = AMPS_LOW_SUMS;
    }
}

/* Is B widened into scratch, before or along the way? */
static bool widens_b(const amps_gemm_job *job)
{
    return job->b_column != 1 || job->args.k * job->args.n <= WIDE_FLOATS;
}

bool amps_gemm_small_scratch(amps_gemm_job *job)
{
    const amps_gemm_args *args = &job->args;
    const size_t width = job->vectors * AMPS_SMALL_LANES, strips = (args->n - 1) / width + 1;
    job->a_floats = amps_low_small_room(args->k);
    job->b_floats = widens_b(job) ? strips * width * args->k : 0; /* k * n is bounded */
    job->c_floats = 0;
    return job->low_direct || amps_mul(amps_min(args->m, FINISHED_ROWS), args->n, &job->c_floats);
}

void amps_gemm_small_run(const amps_gemm_small_call *call, float *scratch)
{
    if (call->call.b_is_wide) {
        call->ukr->turn(&call->call, scratch);
    }
    call->ukr->run(&call->call, scratch);
}

/* Rows [i, i + m), columns [j, j + n) of batch b. */
static amps_gemm_small_call call_of(const amps_gemm_job *job, size_t b, size_t i, size_t m, size_t j, size_t n)
{
    const amps_gemm_args *args = &job->args;
    const size_t c_size = anymps_dtype_bytes(args->c_dtype);
    const bool a_turned = job->a_column != 1;
    const bool b_turned = job->b_column != 1;
    const size_t panels = (m - 1) / job->panel_rows + 1, high = (m - 1) / panels + 1;
    amps_gemm_small_call call = {.ukr = job->small};
    call.call = (amps_low_small){
        .a = args->a + b * args->a_batch_bytes + i * args->a_row_bytes,
        .a_line_bytes = a_turned ? args->a_column_bytes : args->a_row_bytes,
        .a_turned = a_turned,
        .b = args->b + b * args->b_batch_bytes + j * args->b_column_bytes,
        .b_row_bytes = b_turned ? args->b_column_bytes : args->b_row_bytes,
        .b_is_wide = b_turned,
        .keeps_b = job->b_floats > 0,
        .c = args->c + b * args->c_batch_bytes + i * args->c_row_bytes + j * c_size,
        .c_row_bytes = args->c_row_bytes,
        .rows = m,
        .columns = n,
        .interior = args->k,
        .panel_rows = high,
        .higher = m - panels * (high - 1),
        .vectors = job->vectors,
        .result = job->low_result,
        .alpha = job->alpha,
        .beta = job->beta,
    };
    return call;
}

/* The same by way of sums in scratch. */
static void run_finished(const amps_gemm_job *job, const amps_gemm_part *part, size_t b, float *scratch)
{
    const size_t j = part->n_first, n = part->n_last - j;
    float *const sums = scratch + job->a_floats + job->b_floats;
    for (size_t i = part->m_first; i < part->m_last; i += FINISHED_ROWS) {
        const size_t m = amps_min(FINISHED_ROWS, part->m_last - i);
        amps_gemm_small_call call = call_of(job, b, i, m, j, n);
        call.call.c = (unsigned char *)sums;
        call.call.c_row_bytes = n * sizeof *sums;
        call.call.alpha = 1.0f;
        call.call.beta = 0.0f;
        amps_gemm_small_run(&call, scratch);
        for (size_t x = 0; x < m; x++) {
            amps_gemm_finish(job, b, i + x, j, n, sums + x * n, false);
        }
    }
}

void amps_gemm_small_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch)
{
    const size_t m = part->m_last - part->m_first, n = part->n_last - part->n_first;
    for (size_t b = part->batch_first; b < part->batch_last && m > 0 && n > 0; b++) {
        if (!job->low_direct) {
            run_finished(job, part, b, scratch);
            continue;
        }
        const amps_gemm_small_call call = call_of(job, b, part->m_first, m, part->n_first, n);
        amps_gemm_small_run(&call, scratch);
    }
}

bool amps_gemm_small_single(const amps_gemm_job *job, amps_gemm_small_call *call)
{
    if (job->way != AMPS_GEMM_SMALL || !job->low_direct || job->batch_tasks * job->m_tasks * job->n_tasks != 1 ||
        job->args.batch != 1) {
        return false;
    }
    *call = call_of(job, 0, 0, job->args.m, 0, job->args.n);
    return true;
}
