/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_lora.c: the low-rank update on CUDA. Without `weights` it is one launch of lora.cu; with them their product
 * goes to f32 scratch first (cuda_gemm.c), so that the sum is rounded once. Called by plan.c.
 */
#include "backend/cuda/ops/cuda_ops.h"

#include "base/checked.h"

#include <stdio.h>

static const amps_cuda_function kernels[3][2] = {
    {AMPS_FN_lora_f32_r1, AMPS_FN_lora_f32_r4},
    {AMPS_FN_lora_f16_r1, AMPS_FN_lora_f16_r4},
    {AMPS_FN_lora_bf16_r1, AMPS_FN_lora_bf16_r4},
};

/* By type and rows a cluster: 1, 2, 4. */
static const amps_cuda_function cluster_kernels[3][3] = {
    {AMPS_FN_lora_f32_c1, AMPS_FN_lora_f32_c2, AMPS_FN_lora_f32_c4},
    {AMPS_FN_lora_f16_c1, AMPS_FN_lora_f16_c2, AMPS_FN_lora_f16_c4},
    {AMPS_FN_lora_bf16_c1, AMPS_FN_lora_bf16_c2, AMPS_FN_lora_bf16_c4},
};

enum { SOURCE, WEIGHTS, DOWN, UP, RESULT };
enum { THREADS = 256, WIDEST = 1024 /* columns a block: as in lora.cu */, MANY_ROWS = 4 };

typedef struct sizes {
    size_t rows, inputs, rank, outputs;
} sizes;

static sizes sizes_of(const amps_record *record)
{
    const anymps_lora_desc *const desc = record->desc;
    const amps_view *const at = record->operands;
    return (sizes){.rows = at[RESULT].rows,
                   .inputs = at[SOURCE].columns,
                   .rank = desc->transpose_down ? at[DOWN].rows : at[DOWN].columns,
                   .outputs = at[RESULT].columns};
}

/* Every block makes its rows of source*down itself; from this many bytes of `down` read over and over a
   product of its own is cheaper (two more launches of about 1 µs against 5 TB/s of the L2 cache). */
#define REPEATED_BYTES ((size_t)32 << 20)

static bool product_first(const amps_record *record, const sizes *size)
{
    const size_t groups = (size->rows + MANY_ROWS - 1) / MANY_ROWS, slices = (size->outputs + WIDEST - 1) / WIDEST;
    const size_t element = anymps_dtype_bytes(record->operands[SOURCE].dtype);
    return size->rank > 0 && size->inputs > 0 &&
           groups * slices * record->batch * size->inputs > REPEATED_BYTES / (size->rank * element);
}

static size_t addend_bytes(const amps_record *record, const sizes *size)
{
    return record->operands[WEIGHTS].memory == NULL ? 0 : record->batch * size->rows * size->outputs * sizeof(float);
}

static size_t product_bytes(const amps_record *record, const sizes *size)
{
    return product_first(record, size) ? record->batch * size->rows * size->rank * sizeof(float) : 0;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

static size_t scratch(amps_cuda_device *device, const amps_record *record)
{
    (void)device;
    const sizes size = sizes_of(record);
    return rounded(addend_bytes(record, &size)) + rounded(product_bytes(record, &size));
}

/* source times a matrix into tight f32 scratch. */
static anymps_status emit_product(amps_cuda_emitter *out, const amps_record *record, const amps_view *right,
                                  bool transpose, size_t columns, uint64_t to)
{
    const anymps_lora_desc *const desc = record->desc;
    const sizes size = sizes_of(record);
    amps_gemm gemm = {.kind = amps_gemm_kind_of(desc->dtype, desc->dtype, ANYMPS_DTYPE_F32),
                      .options = desc->options,
                      .algorithm = ANYMPS_ALGORITHM_OWN};
    amps_gemm_set_left(&gemm, &record->operands[SOURCE], false);
    amps_gemm_set_right(&gemm, right, transpose);
    gemm.params.result = to;
    gemm.params.result_row = (int64_t)columns;
    gemm.params.result_column = 1;
    gemm.params.result_matrix = (int64_t)(size.rows * columns);
    gemm.params.rows = (int64_t)size.rows;
    gemm.params.columns = (int64_t)columns;
    gemm.params.interior = (int64_t)size.inputs;
    gemm.params.batch = (int64_t)record->batch;
    gemm.params.alpha = 1.0f;
    return amps_cuda_gemm_emit(out, &gemm);
}

/* Enough blocks to fill the device, each with whole columns of threads. */
static size_t columns_per_block(const amps_cuda_device *device, size_t groups, size_t outputs)
{
    const size_t wanted = (2 * (size_t)device->multiprocessors + groups - 1) / groups;
    const size_t each = (outputs + wanted - 1) / wanted;
    const size_t whole = (each + THREADS - 1) / THREADS * THREADS;
    return whole > WIDEST ? WIDEST : whole;
}

static amps_lora_params params_of(const amps_record *record, const sizes *size)
{
    const anymps_lora_desc *const desc = record->desc;
    const amps_view *const at = record->operands;
    const int64_t down = amps_view_row(&at[DOWN]), up = amps_view_row(&at[UP]);
    return (amps_lora_params){
        .source = amps_view_address(&at[SOURCE]),
        .down = amps_view_address(&at[DOWN]),
        .up = amps_view_address(&at[UP]),
        .result = amps_view_address(&at[RESULT]),
        .source_row = amps_view_row(&at[SOURCE]),
        .source_matrix = amps_view_matrix(&at[SOURCE]),
        .down_row = desc->transpose_down ? 1 : down,
        .down_column = desc->transpose_down ? down : 1,
        .down_matrix = amps_view_matrix(&at[DOWN]),
        .up_row = desc->transpose_up ? 1 : up,
        .up_column = desc->transpose_up ? up : 1,
        .up_matrix = amps_view_matrix(&at[UP]),
        .result_row = amps_view_row(&at[RESULT]),
        .result_matrix = amps_view_matrix(&at[RESULT]),
        .rows = (int64_t)size->rows,
        .inputs = (int64_t)size->inputs,
        .rank = (int64_t)size->rank,
        .outputs = (int64_t)size->outputs,
        .batch = (int64_t)record->batch,
        .scale = (float)desc->scale,
        .accumulate = desc->accumulate,
    };
}

enum { CLUSTER_RANKS = 256, CLUSTER_MOST = 8, ONE_BLOCK_MOST = 1024 };

/*
 * Few rows: one block a row, or a few that repeat the first product, since the meetings of a cluster cost more (1.7 µs
 * on an H100). Many rows or long ones: a cluster with at most 512 inputs and outputs a block, and as many rows a
 * cluster as leave the device full.
 */
static anymps_status emit_cluster(amps_cuda_emitter *out, amps_lora_params *p, int type)
{
    const int64_t wide = p->inputs > p->outputs ? p->inputs : p->outputs, processors = out->device->multiprocessors;
    const bool single = wide <= ONE_BLOCK_MOST && p->rows * p->batch <= processors;
    unsigned blocks = 1;
    while (!single && blocks < CLUSTER_MOST && (int64_t)blocks * 2 * THREADS < wide) {
        blocks *= 2;
    }
    int which = single ? 0 : 2;
    int64_t groups = single ? p->rows * p->batch : (p->rows + 3) / 4 * p->batch;
    while (which > 0 && groups * blocks < processors * 3 / 4) {
        which--;
        groups = (p->rows + (1 << which) - 1) / (1 << which) * p->batch;
    }
    p->splits = single ? (int32_t)((p->outputs + 2 * THREADS - 1) / (2 * THREADS)) : 1;
    const int64_t pack = type == 0 ? 4 : 8;
    p->vector = p->down_column == 1 && p->rank % 8 == 0 && p->down % 16 == 0 && p->down_row % pack == 0 &&
                p->down_matrix % pack == 0;
    const amps_cuda_shape shape = {
        .grid_x = (size_t)(groups * p->splits) * blocks, .block_x = THREADS, .cluster_x = blocks};
    return amps_cuda_launch(out, cluster_kernels[type][which], &shape, p);
}

static anymps_status emit(amps_cuda_emitter *out, const amps_record *record)
{
    const anymps_lora_desc *const desc = record->desc;
    const sizes size = sizes_of(record);
    if (size.rows == 0 || size.outputs == 0) {
        return ANYMPS_OK;
    }
    amps_lora_params p = params_of(record, &size);
    if (record->operands[WEIGHTS].memory != NULL) {
        p.addend = (uint64_t)out->scratch;
        ANYMPS_TRY(
            emit_product(out, record, &record->operands[WEIGHTS], desc->transpose_weights, size.outputs, p.addend));
    }
    if (product_first(record, &size)) {
        p.product = (uint64_t)out->scratch + rounded(addend_bytes(record, &size));
        ANYMPS_TRY(emit_product(out, record, &record->operands[DOWN], desc->transpose_down, size.rank, p.product));
    }
    if (p.product == 0 && size.rank <= CLUSTER_RANKS && out->device->has_sm90a) {
        return emit_cluster(out, &p, amps_cuda_float_index(desc->dtype));
    }
    const bool few = size.rows * record->batch < 4 * (size_t)out->device->multiprocessors;
    const size_t groups = (few ? size.rows : (size.rows + MANY_ROWS - 1) / MANY_ROWS) * record->batch;
    const size_t columns = columns_per_block(out->device, groups, size.outputs);
    p.outputs_per_block = (int32_t)columns;
    const amps_cuda_shape shape = {.grid_x = groups * ((size.outputs + columns - 1) / columns), .block_x = THREADS};
    return amps_cuda_launch(out, kernels[amps_cuda_float_index(desc->dtype)][few ? 0 : 1], &shape, &p);
}

static anymps_status prepare(amps_cuda_device *device, const void *desc, char *explain, size_t size)
{
    (void)device;
    const anymps_lora_desc *const lora = desc;
    (void)snprintf(explain, size, "own lora_%s, one launch (weights: their product before it)",
                   anymps_dtype_name(lora->dtype));
    return ANYMPS_OK;
}

const amps_cuda_operator amps_cuda_lora = {
    .supports = amps_cuda_supports_float, .prepare = prepare, .scratch = scratch, .emit = emit};
