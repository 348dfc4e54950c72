/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_lora.c: result = [result +] source*W + scale*(source*A)*B on the CPU. Run by cpu_queue.c; gemm.h multiplies by W,
 * adapter.h by A and B, block of rows by block of rows. A very low source or a high rank goes through two products of
 * gemm.h instead; bf16 on dot product instructions, up to a size, through one of gemm.h, for source*A, and then
 * adapter.h.
 *
 * source*A stays in f32. With a base product and a 16-bit type the whole sum is formed in f32 beside the
 * result and rounded once at the end.
 *
 *     scratch:   | source*A: batch × rows × rank | sum: batch × rows × outputs | the products' own |
 *                  unless adapter.h makes it
 */
#include "backend/cpu/adapter.h"
#include "backend/cpu/cpu_product.h"
#include "backend/cpu/gemm_low.h"

#include "base/alloc.h"
#include "base/checked.h"

enum {
    APART_RANK = 12,       /* more than half a vector: rank 8 lost, 16 gains a tenth, 64 a quarter */
    APART_BYTES = 64 << 20 /* of source*A: kept whole it grows with the rows, where adapter.h keeps 32 a thread */
};

typedef struct job {
    const amps_cpu_device *device;
    const amps_record *record;
    const anymps_lora_desc *desc;
    const amps_view *source, *weights, *down, *up, *result;
    size_t rank;
    bool wide; /* the sum is formed in scratch */
    size_t inner_bytes, wide_bytes;
    bool fused; /* by `adapter`, else by `inner` and `outer` */
    bool given; /* by `inner` and then `adapter` */
    amps_gemm_args inner, base, outer;
    amps_adapter adapter;
} job;

static bool floats_bytes(size_t batch, size_t rows, size_t columns, size_t *bytes)
{
    return amps_mul(batch, rows, bytes) && amps_mul(*bytes, columns, bytes) && amps_mul(*bytes, sizeof(float), bytes) &&
           amps_round_up(*bytes, AMPS_CACHE_LINE, bytes);
}

/* `args` with C as a tight f32 block of m × n matrices. */
static void to_floats(amps_gemm_args *args, size_t m, size_t n)
{
    args->c_dtype = ANYMPS_DTYPE_F32;
    args->c_column_bytes = sizeof(float);
    args->c_row_bytes = n * sizeof(float);
    args->c_batch_bytes = m * n * sizeof(float);
    args->m = m;
    args->n = n;
}

static amps_adapter adapter_of(const job *self)
{
    const amps_gemm_args *const inner = &self->inner;
    const amps_gemm_args *const outer = &self->outer;
    return (amps_adapter){
        .device = self->device,
        .batch = self->record->batch,
        .rows = inner->m,
        .inputs = inner->k,
        .rank = inner->n,
        .outputs = outer->n,
        .x = {amps_view_host(self->source, 0), inner->a_batch_bytes, inner->a_row_bytes, inner->a_column_bytes,
              inner->a_dtype},
        .a = {amps_view_host(self->down, 0), inner->b_batch_bytes, inner->b_row_bytes, inner->b_column_bytes,
              inner->b_dtype},
        .b = {amps_view_host(self->up, 0), outer->b_batch_bytes, outer->b_row_bytes, outer->b_column_bytes,
              outer->b_dtype},
        .c = {outer->c, outer->c_batch_bytes, outer->c_row_bytes, outer->c_column_bytes, outer->c_dtype},
        .alpha = (float)outer->alpha,
        .beta = (float)outer->beta,
        .given = self->given,
    };
}

/* Is source*A worth its own product? bf16 on dot product instructions takes half the time of f32, which pays for packing
   where the rank fills vectors. It decides the sums' bits, so it looks at sizes, never at the number of threads. */
static bool inner_apart(const job *self, size_t rows)
{
    const anymps_dtype dtype = self->source->dtype;
    const amps_low_ukr *const low = amps_gemm_low_choose(self->device, dtype, dtype);
    size_t bytes = 0;
    return dtype == ANYMPS_DTYPE_BF16 && low != NULL && low->group > 1 && self->rank >= APART_RANK &&
           floats_bytes(self->record->batch, rows, self->rank, &bytes) && bytes <= APART_BYTES;
}

/* Everything but the addresses in scratch. False: a size exceeds size_t. */
static bool fill(job *self, const amps_cpu_device *device, const amps_record *record)
{
    const amps_view *const v = record->operands;
    *self = (job){.device = device,
                  .record = record,
                  .desc = record->desc,
                  .source = &v[0],
                  .weights = &v[1],
                  .down = &v[2],
                  .up = &v[3],
                  .result = &v[4]};
    const size_t rows = self->result->rows;
    const size_t outputs = self->result->columns;
    self->rank = self->desc->transpose_down ? self->down->rows : self->down->columns;
    self->wide = self->weights->memory != NULL && self->result->dtype != ANYMPS_DTYPE_F32;
    self->fused = amps_adapter_takes(rows, self->source->columns, self->rank);
    self->given = self->fused && inner_apart(self, rows);
    if (((!self->fused || self->given) && !floats_bytes(record->batch, rows, self->rank, &self->inner_bytes)) ||
        (self->wide && !floats_bytes(record->batch, rows, outputs, &self->wide_bytes))) {
        return false;
    }
    const amps_gemm_args common = {.device = device, .batch = record->batch, .alpha = 1};
    self->inner = self->base = self->outer = common;
    amps_product_a(&self->inner, self->source, false);
    amps_product_b(&self->inner, self->down, self->desc->transpose_down);
    to_floats(&self->inner, rows, self->rank);

    amps_product_c(&self->outer, self->result);
    amps_product_b(&self->outer, self->up, self->desc->transpose_up);
    self->outer.a_dtype = ANYMPS_DTYPE_F32;
    self->outer.a_column_bytes = self->inner.c_column_bytes;
    self->outer.a_row_bytes = self->inner.c_row_bytes;
    self->outer.a_batch_bytes = self->inner.c_batch_bytes;
    self->outer.k = self->rank;
    self->outer.alpha = self->desc->scale;
    self->outer.beta = self->desc->accumulate ? 1 : 0;
    if (self->weights->memory != NULL) {
        amps_product_a(&self->base, self->source, false);
        amps_product_b(&self->base, self->weights, self->desc->transpose_weights);
        amps_product_c(&self->base, self->result);
        self->base.beta = self->outer.beta;
        self->outer.beta = 1;
    }
    if (self->wide) {
        to_floats(&self->base, rows, outputs);
        to_floats(&self->outer, rows, outputs);
    }
    self->adapter = adapter_of(self);
    return true;
}

static bool scratch(const amps_cpu_device *device, const amps_record *record, size_t *bytes)
{
    job self;
    size_t inner = 0;
    size_t base = 0;
    size_t outer = 0;
    if (!fill(&self, device, record) ||
        !(self.fused ? amps_adapter_scratch(&self.adapter, &outer) : amps_gemm_scratch(&self.outer, &outer)) ||
        ((!self.fused || self.given) && !amps_gemm_scratch(&self.inner, &inner)) ||
        (self.weights->memory != NULL && !amps_gemm_scratch(&self.base, &base))) {
        return false;
    }
    return amps_add(self.inner_bytes, self.wide_bytes, bytes) && amps_add(*bytes, AMPS_PAGE_BYTES, bytes) &&
           amps_add(*bytes, amps_max(inner, amps_max(base, outer)), bytes);
}

static void read_row(const amps_row_ukr *ukr, const void *at, anymps_dtype dtype, float *row, size_t n)
{
    (dtype == ANYMPS_DTYPE_F16 ? ukr->f16_to_f32 : ukr->bf16_to_f32)(at, row, n);
}

static void write_row(const amps_row_ukr *ukr, const float *row, void *at, anymps_dtype dtype, size_t n)
{
    (dtype == ANYMPS_DTYPE_F16 ? ukr->f32_to_f16 : ukr->f32_to_bf16)(row, at, n);
}

/* One row of the wide sum from or to the result, which is not f32. */
static void load_row(void *context, size_t task, size_t thread)
{
    (void)thread;
    const job *const self = context;
    const size_t b = task / self->result->rows;
    const size_t i = task % self->result->rows;
    float *const row = (float *)(void *)self->base.c + task * self->result->columns;
    read_row(self->device->rows, amps_view_row(self->result, b, i), self->result->dtype, row, self->result->columns);
}

static void store_row(void *context, size_t task, size_t thread)
{
    (void)thread;
    const job *const self = context;
    const size_t b = task / self->result->rows;
    const size_t i = task % self->result->rows;
    const float *const row = (const float *)(const void *)self->base.c + task * self->result->columns;
    write_row(self->device->rows, row, amps_view_row(self->result, b, i), self->result->dtype, self->result->columns);
}

static void run(const amps_cpu_device *device, const amps_record *record, void *room)
{
    job self;
    unsigned char *const start = room;
    if (!fill(&self, device, record) || self.result->rows == 0 || self.result->columns == 0) {
        return; /* sizes were checked by `scratch` */
    }
    const size_t own = self.inner_bytes + self.wide_bytes;
    unsigned char *const rest = start + (own + AMPS_PAGE_BYTES - 1) / AMPS_PAGE_BYTES * AMPS_PAGE_BYTES;
    self.inner.c = start;
    self.outer.a = start;
    if (self.wide) {
        self.base.c = start + self.inner_bytes;
        self.outer.c = self.base.c;
        if (self.base.beta != 0) {
            amps_pool_run(device->pool, record->batch * self.result->rows, load_row, &self);
        }
    }
    if (!self.fused || self.given) {
        amps_gemm(&self.inner, rest);
    }
    if (self.weights->memory != NULL) {
        amps_gemm(&self.base, rest);
    }
    if (self.fused) {
        self.adapter.c.at = self.outer.c;
        self.adapter.inner = (const float *)(const void *)start;
        amps_adapter_run(&self.adapter, rest);
    } else {
        amps_gemm(&self.outer, rest);
    }
    if (self.wide) {
        amps_pool_run(device->pool, record->batch * self.result->rows, store_row, &self);
    }
}

static anymps_status prepare(amps_cpu_kernel *kernel)
{
    const anymps_lora_desc *const desc = kernel->desc;
    return amps_product_prepare(kernel, desc->algorithm, desc->dtype, desc->dtype, desc->dtype);
}

const amps_cpu_op amps_cpu_lora = {"lora", amps_cpu_supports_floating, prepare, scratch, run};
