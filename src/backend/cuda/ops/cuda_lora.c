/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_lora.c: the low-rank update on CUDA. Few rows are one launch of lora_eight.cu, lora.cu or lora_mma.cu; many rows are
 * the product with `down` to f32 scratch (cuda_gemm.c) and then lora_up.cu (bf16) or lora_rows.cu. The product with `weights`,
 * if they are given, goes to f32 scratch first, so that the sum is rounded once. Called by plan.c.
 */
#include "backend/cuda/ops/gemm_engines.h"

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
enum { MMA_FROM_RANK = 9, MMA_MOST_RANK = 256 };
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

/* Every cluster of lora_mma.cu reads `down` and `up` for 16 rows. From this many elements of source or result on (measured on
   an H100: 512 × 1024, 128 × 4096; with lora_up.cu 256 × 1024, 64 × 4096) a product of its own for all rows and
   lora_rows.cu or lora_up.cu behind it are sooner done. */
enum { APART_FROM = 1 << 19, APART_FROM_BF16 = 1 << 18, APART_ROWS = 64, APART_INPUTS = 64 };

static bool by_rows(const amps_cuda_device *device, const amps_record *record, const sizes *size)
{
    const size_t wide = amps_max(size->inputs, size->outputs);
    const size_t from = record->operands[SOURCE].dtype == ANYMPS_DTYPE_BF16 ? APART_FROM_BF16 : APART_FROM;
    return device->has_sm90a && size->rows >= APART_ROWS && size->inputs >= APART_INPUTS &&
           size->rows * record->batch >= from / amps_min(wide, from) && size->outputs <= INT32_MAX &&
           (size->rank >= MMA_FROM_RANK || product_first(record, size));
}

/* lora_mma.cu takes it: from rank 9 on, and where the others would make the first product apart. */
static bool on_tensor_cores(const amps_cuda_device *device, const amps_record *record, const sizes *size)
{
    return device->has_sm90a && size->rank <= MMA_MOST_RANK && size->inputs > 0 && !by_rows(device, record, size) &&
           size->inputs + size->outputs <= INT32_MAX && (size->rank >= MMA_FROM_RANK || product_first(record, size));
}

static size_t addend_bytes(const amps_record *record, const sizes *size)
{
    return record->operands[WEIGHTS].memory == NULL ? 0 : record->batch * size->rows * size->outputs * sizeof(float);
}

static size_t product_bytes(const amps_cuda_device *device, const amps_record *record, const sizes *size)
{
    const bool apart =
        by_rows(device, record, size) || (product_first(record, size) && !on_tensor_cores(device, record, size));
    return apart ? record->batch * size->rows * size->rank * sizeof(float) : 0;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* What the operator keeps itself: source*weights, then source*down. The engine of a product has its scratch behind. */
static size_t own_bytes(const amps_cuda_device *device, const amps_record *record, const sizes *size)
{
    return rounded(addend_bytes(record, size)) + rounded(product_bytes(device, record, size));
}

/* source times a matrix into tight f32 scratch at `to`. */
static amps_gemm product_of(const amps_record *record, size_t operand, bool transpose, size_t columns, uint64_t to)
{
    const anymps_lora_desc *const desc = record->desc;
    const sizes size = sizes_of(record);
    amps_gemm gemm = {.kind = amps_gemm_kind_of(desc->dtype, desc->dtype, ANYMPS_DTYPE_F32),
                      .options = desc->options,
                      .algorithm =
                          desc->algorithm == ANYMPS_ALGORITHM_OWN ? ANYMPS_ALGORITHM_OWN : ANYMPS_ALGORITHM_AUTO};
    amps_gemm_set_left(&gemm, &record->operands[SOURCE], false);
    amps_gemm_set_right(&gemm, &record->operands[operand], transpose);
    gemm.params.result = to;
    gemm.params.result_row = (int64_t)columns;
    gemm.params.result_column = 1;
    gemm.params.result_matrix = (int64_t)(size.rows * columns);
    gemm.params.rows = (int64_t)size.rows;
    gemm.params.columns = (int64_t)columns;
    gemm.params.interior = (int64_t)size.inputs;
    gemm.params.batch = (int64_t)record->batch;
    gemm.params.alpha = 1.0f;
    return gemm;
}

static amps_gemm by_weights(const amps_record *record, const sizes *size, uint64_t to)
{
    return product_of(record, WEIGHTS, ((const anymps_lora_desc *)record->desc)->transpose_weights, size->outputs, to);
}

static amps_gemm by_down(const amps_record *record, const sizes *size, uint64_t to)
{
    return product_of(record, DOWN, ((const anymps_lora_desc *)record->desc)->transpose_down, size->rank, to);
}

/* The products' results are as aligned as address 0. */
static size_t scratch(amps_cuda_device *device, const amps_record *record)
{
    const sizes size = sizes_of(record);
    size_t engine = 0;
    if (addend_bytes(record, &size) > 0) {
        const amps_gemm gemm = by_weights(record, &size, 0);
        engine = amps_cuda_gemm_scratch(device, &gemm);
    }
    if (product_bytes(device, record, &size) > 0) {
        const amps_gemm gemm = by_down(record, &size, 0);
        engine = amps_max(engine, amps_cuda_gemm_scratch(device, &gemm));
    }
    return own_bytes(device, record, &size) + engine;
}

/* `soon`: a kernel behind the product waits for it. That way needs no scratch. */
static anymps_status run_product(amps_cuda_emitter *out, const amps_gemm *gemm, bool soon)
{
    amps_gemm_choice choice;
    const bool found = soon && amps_gemm_wgmma_soon(out->device, gemm, &choice);
    return found ? amps_choice_run(out, gemm, &choice) : amps_cuda_gemm_emit(out, gemm);
}

static anymps_status emit_product(amps_cuda_emitter *out, const amps_gemm *gemm, size_t own, bool soon)
{
    out->scratch += own;
    out->scratch_bytes -= own;
    const anymps_status status = run_product(out, gemm, soon);
    out->scratch -= own;
    out->scratch_bytes += own;
    return status;
}

/* Enough blocks to fill the device, each with whole columns of threads. */
static size_t columns_per_block(const amps_cuda_device *device, size_t groups, size_t outputs)
{
    const size_t wanted = (2 * (size_t)device->multiprocessors + groups - 1) / groups;
    const size_t each = (outputs + wanted - 1) / wanted;
    const size_t whole = (each + THREADS - 1) / THREADS * THREADS;
    return whole > WIDEST ? WIDEST : whole;
}

static int64_t up_to(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool in_packs(uint64_t address, int64_t step, int64_t matrix, int64_t element)
{
    return address % 16 == 0 && step * element % 16 == 0 && matrix * element % 16 == 0;
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

/* ---- Rank 8 ----------------------------------------------------------------------------------- */

/* As in lora_eight.cu: by type, rows a block (1, 4) and inputs a thread (2, 4, 8). */
enum { EIGHT = 8, EIGHT_MANY_ROWS = 4, EIGHT_MOST_INPUTS = 2048 };
#define EIGHTS(type)                                                                                                   \
    {                                                                                                                  \
        {AMPS_FN_lora_##type##_eight_r1_k2, AMPS_FN_lora_##type##_eight_r1_k4, AMPS_FN_lora_##type##_eight_r1_k8},     \
            {AMPS_FN_lora_##type##_eight_r4_k2, AMPS_FN_lora_##type##_eight_r4_k4, AMPS_FN_lora_##type##_eight_r4_k8}, \
    }
static const amps_cuda_function eight_kernels[3][2][3] = {EIGHTS(f32), EIGHTS(f16), EIGHTS(bf16)};

static bool in_pairs(uint64_t address, int64_t step, int64_t matrix, int64_t element)
{
    return address % (2 * (uint64_t)element) == 0 && step % 2 == 0 && matrix % 2 == 0;
}

static bool can_eight(const amps_lora_params *p, int64_t element)
{
    return p->rank == EIGHT && p->down_column == 1 && p->up_column == 1 && p->addend == 0 && p->product == 0 &&
           p->inputs > 0 && p->inputs <= EIGHT_MOST_INPUTS && p->outputs % 2 == 0 && p->outputs <= INT32_MAX / 2 &&
           p->rows * p->batch <= INT32_MAX && in_packs(p->down, p->down_row, p->down_matrix, element) &&
           in_pairs(p->up, p->up_row, p->up_matrix, element) &&
           in_pairs(p->result, p->result_row, p->result_matrix, element);
}

static anymps_status emit_eight(amps_cuda_emitter *out, amps_lora_params *p, int type)
{
    const int k = p->inputs <= 2 * THREADS ? 0 : p->inputs <= 4 * THREADS ? 1 : 2;
    const int64_t each = (k == 0 ? 2 : 4) * THREADS, all = p->rows * p->batch;
    p->splits = (int32_t)ceil_div(p->outputs, each);
    const bool many = all * p->splits > 2 * (int64_t)out->device->multiprocessors;
    const int64_t groups = many ? ceil_div(p->rows, EIGHT_MANY_ROWS) * p->batch : all;
    const amps_cuda_shape shape = {.grid_x = (size_t)(groups * p->splits), .block_x = THREADS};
    return amps_cuda_launch(out, eight_kernels[type][many][k], &shape, p);
}

/* ---- Tensor cores ----------------------------------------------------------------------------- */

static const amps_cuda_function mma_kernels[3] = {AMPS_FN_lora_f32_mma, AMPS_FN_lora_f16_mma, AMPS_FN_lora_bf16_mma};

/* As in lora_mma.cu. */
enum {
    MMA_ROWS = 16,
    MMA_BANKS = 32,
    MMA_BARRIER_BYTES = 16,
    MMA_TILE_SMALL = 64,
    MMA_TILE = 128,
    MMA_TILE_LARGE = 256,
    MMA_LONG = 4096
};

/* How the tiles lie: lora_mma.cu computes the same pitches. Returns the bytes of shared memory. */
static size_t mma_layout(amps_lora_params *p, int64_t element, int64_t blocks)
{
    const int64_t rank = up_to(p->rank, MMA_ROWS), banks = up_to(rank, MMA_BANKS);
    const bool narrow = element == 2;
    p->slice_inputs = (int32_t)up_to((p->inputs + blocks - 1) / blocks, 16);
    p->slice_outputs = (int32_t)up_to((p->outputs + blocks - 1) / blocks, 8);
    const bool large = narrow && rank <= 64 && most_of(p->slice_inputs, p->slice_outputs) > MMA_TILE;
    p->tile = large ? MMA_TILE_LARGE : !narrow && rank > MMA_TILE ? MMA_TILE_SMALL : MMA_TILE;
    const int64_t down_along = p->tile * (narrow ? up_to(rank, 64) + 8 : banks + 8);
    const int64_t down_across = rank * (narrow ? p->tile + 8 : p->tile + 4);
    const int64_t up_along = rank * (p->tile + 8), up_across = p->tile * (narrow ? rank + 8 : banks + 4);
    const int64_t down = p->down_column == 1 ? down_along : down_across, up = p->up_column == 1 ? up_along : up_across;
    const int64_t tiles = (rank + 7) / 8, shares = tiles > 4 ? 1 : tiles > 2 ? 2 : 4;
    p->tile_elements = (int32_t)most_of(down, up);
    p->received_floats = (int32_t)(MMA_ROWS * rank * shares);
    const int64_t pairs = 8 * MMA_ROWS * most_of(narrow ? 0 : p->tile + 4, banks + 4);
    const int64_t source = 2 * MMA_ROWS * (p->tile + (narrow ? 8 : 4)) * element;
    return (size_t)(4 * (MMA_ROWS * (banks + 4) + p->received_floats) + pairs + MMA_BARRIER_BYTES + source +
                    2 * p->tile_elements * element);
}

/* A cluster for 16 rows: as many blocks as have 128 inputs or outputs each, while the device is not full; 16 of them where
   otherwise much of a long row would wait. */
static anymps_status emit_mma(amps_cuda_emitter *out, amps_lora_params *p, int type)
{
    const int64_t wide = most_of(p->inputs, p->outputs), groups = (p->rows + MMA_ROWS - 1) / MMA_ROWS * p->batch;
    const int64_t element = type == 0 ? 4 : 2;
    int64_t blocks = 1;
    const int64_t most = wide >= MMA_LONG ? 2 * CLUSTER_MOST : CLUSTER_MOST;
    while (blocks < most && blocks * MMA_TILE < wide && groups * blocks < 2 * out->device->multiprocessors) {
        blocks *= 2;
    }
    const size_t bytes = mma_layout(p, element, blocks);
    p->source_packs = in_packs(p->source, p->source_row, p->source_matrix, element);
    p->down_packs = in_packs(p->down, p->down_column == 1 ? p->down_row : p->down_column, p->down_matrix, element);
    p->up_packs = in_packs(p->up, p->up_column == 1 ? p->up_row : p->up_column, p->up_matrix, element);
    p->result_pairs = p->result % (2 * (uint64_t)element) == 0 && p->result_row % 2 == 0 && p->result_matrix % 2 == 0;
    const amps_cuda_shape shape = {.grid_x = (size_t)(groups * blocks),
                                   .block_x = THREADS,
                                   .cluster_x = (unsigned)blocks,
                                   .shared_bytes = (unsigned)bytes};
    return amps_cuda_launch(out, mma_kernels[type], &shape, p);
}

/* ---- Many rows -------------------------------------------------------------------------------- */

static const amps_cuda_function row_kernels[3] = {AMPS_FN_lora_f32_rows, AMPS_FN_lora_f16_rows, AMPS_FN_lora_bf16_rows};

/* As in lora_rows.cu. */
enum { TILE_ROWS = 64, TILE_COLUMNS = 128, TILE_DEPTH = 64, PAIRS = TILE_ROWS * (TILE_DEPTH + 4) };
enum { PIECE_ELEMENTS = TILE_COLUMNS * (TILE_DEPTH + 8) };

/* As in lora_up.cu. */
enum { UP_SMALL = 64, UP_LARGE = 128, UP_DEPTH = 64, UP_BUFFERS = 3 };
/* Its bf16 parts lose up to 128 units of the product; inputs and rank allow two units each (docs/numerics.md). */
enum { UP_LEAST_TERMS = 128 };

static void set_packs(amps_lora_params *p, int64_t element)
{
    p->product_packs = p->rank % 4 == 0;
    p->up_packs = in_packs(p->up, p->up_column == 1 ? p->up_row : p->up_column, p->up_matrix, element);
    p->result_packs = in_packs(p->result, p->result_row, p->result_matrix, element) && p->outputs * element % 16 == 0;
}

static bool can_up(const amps_lora_params *p, anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_BF16 && p->product_packs && p->up_packs && p->result_packs &&
           p->inputs + p->rank >= UP_LEAST_TERMS && p->rank <= INT16_MAX;
}

/* `product` has been made. The larger tile where it gives three of four multiprocessors one, and as many tiles a block as
   let all blocks run at once. */
static anymps_status emit_up(amps_cuda_emitter *out, amps_lora_params *p)
{
    static const amps_cuda_function functions[2][2] = {{AMPS_FN_lora_up_64x64_n, AMPS_FN_lora_up_64x64_t},
                                                       {AMPS_FN_lora_up_128x128_n, AMPS_FN_lora_up_128x128_t}};
    const int64_t processors = out->device->multiprocessors;
    const bool turned = p->up_column != 1;
    const int64_t larger = ceil_div(p->rows, UP_LARGE) * ceil_div(p->outputs, UP_LARGE) * p->batch;
    const bool large = larger * 4 >= processors * 3;
    const int64_t side = large ? UP_LARGE : UP_SMALL, down = ceil_div(p->rows, side) * p->batch;
    const int64_t across = ceil_div(p->outputs, side), each = ceil_div(down * across, (large ? 2 : 1) * processors);
    p->outputs_per_block = (int32_t)(each * side);
    const int64_t tile = turned ? side * (UP_DEPTH + 8) : UP_DEPTH * (side + 8);
    const amps_cuda_shape shape = {.grid_x = (size_t)(down * ceil_div(across, each)),
                                   .block_x = THREADS,
                                   .shared_bytes = (unsigned)(UP_BUFFERS * tile * 2)};
    return amps_cuda_launch(out, functions[large][turned], &shape, p);
}

/* `product` has been made. */
static anymps_status emit_rows(amps_cuda_emitter *out, amps_lora_params *p, int type)
{
    const int64_t element = type == 0 ? 4 : 2;
    const size_t tiles = (size_t)((p->rows + TILE_ROWS - 1) / TILE_ROWS * p->batch) *
                         (size_t)((p->outputs + TILE_COLUMNS - 1) / TILE_COLUMNS);
    const int64_t pieces = p->rank > TILE_DEPTH ? 2 : 1;
    const amps_cuda_shape shape = {
        .grid_x = tiles, .block_x = THREADS, .shared_bytes = (unsigned)(PAIRS * 8 + pieces * PIECE_ELEMENTS * element)};
    return amps_cuda_launch(out, row_kernels[type], &shape, p);
}

static void set_settled(amps_gemm *gemm, const amps_cuda_emitter *out, const amps_record *record, size_t operand)
{
    gemm->left_settled = amps_cuda_is_settled(out, record, SOURCE);
    gemm->right_settled = amps_cuda_is_settled(out, record, operand);
}

static int32_t settled_of(const amps_cuda_emitter *out, const amps_record *record)
{
    const bool weights = amps_cuda_is_settled(out, record, DOWN) && amps_cuda_is_settled(out, record, UP);
    return weights ? AMPS_SETTLED_WEIGHTS | (amps_cuda_is_settled(out, record, SOURCE) ? AMPS_SETTLED_SOURCE : 0) : 0;
}

static anymps_status emit(amps_cuda_emitter *out, const amps_record *record)
{
    const anymps_lora_desc *const desc = record->desc;
    const sizes size = sizes_of(record);
    if (size.rows == 0 || size.outputs == 0) {
        return ANYMPS_OK;
    }
    const size_t own = own_bytes(out->device, record, &size);
    amps_lora_params p = params_of(record, &size);
    p.settled = settled_of(out, record);
    if (record->operands[WEIGHTS].memory != NULL) {
        p.addend = (uint64_t)out->scratch;
        amps_gemm gemm = by_weights(record, &size, p.addend);
        set_settled(&gemm, out, record, WEIGHTS);
        ANYMPS_TRY(emit_product(out, &gemm, own, false));
    }
    if (on_tensor_cores(out->device, record, &size)) {
        return emit_mma(out, &p, amps_cuda_float_index(desc->dtype));
    }
    const bool apart = by_rows(out->device, record, &size);
    if (apart || product_first(record, &size)) {
        p.product = (uint64_t)out->scratch + rounded(addend_bytes(record, &size));
        amps_gemm gemm = by_down(record, &size, p.product);
        set_settled(&gemm, out, record, DOWN);
        ANYMPS_TRY(emit_product(out, &gemm, own, true));
    }
    if (apart) {
        set_packs(&p, (int64_t)anymps_dtype_bytes(desc->dtype));
        return can_up(&p, desc->dtype) ? emit_up(out, &p) : emit_rows(out, &p, amps_cuda_float_index(desc->dtype));
    }
    if (can_eight(&p, (int64_t)anymps_dtype_bytes(desc->dtype))) {
        return emit_eight(out, &p, amps_cuda_float_index(desc->dtype));
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
    (void)snprintf(explain, size, "own lora_%s, one launch; many rows, or weights: products before it",
                   anymps_dtype_name(lora->dtype));
    return ANYMPS_OK;
}

const amps_cuda_operator amps_cuda_lora = {
    .supports = amps_cuda_supports_float, .prepare = prepare, .scratch = scratch, .emit = emit};
