/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_lora.c: lora on Metal: one launch of our own kernel; MPS has none. Called by metal_kernel.c and
 * metal_plan.c. The launch parameters mirror shaders/lora.metal and lora_simdgroup.metal, which are the same.
 */
#include "metal_room.h"

#include <stdio.h>

enum { SOURCE, WEIGHTS, DOWN, UP, RESULT };

/*
 * From this many rows on the tile of 32 rows on simdgroup matrices; fewer rows take one thread an element, 4 rows a
 * threadgroup. By count: a step of the interior costs an element of Y 1 fma and 2 loads there, in the tile 32/rows fma
 * and 8/rows loads and stores. With a load as three fma, 7 against 56/rows. tools/mac-report measures both sides.
 */
enum { TILE_ROWS = 8 };

static bool has_tiles(const amps_metal_device *device)
{
    return device->facts.apple_family >= 7; /* simdgroup matrices came with Apple7 */
}

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    const anymps_lora_desc *const desc = kernel->desc;
    const amps_metal_question question = {
        .op = AMPS_OP_lora, .types = {desc->dtype, desc->dtype, desc->dtype}, .algorithm = desc->algorithm};
    ANYMPS_TRY(amps_metal_choose(kernel, &question, NULL));
    if (has_tiles(device)) {
        (void)snprintf(kernel->explain, sizeof kernel->explain, "own lora (simdgroup matrices from %d rows on)",
                       (int)TILE_ROWS);
    }
    return ANYMPS_OK;
}

/* Elements between rows, columns and matrices of op(view). */
typedef struct strides {
    uint64_t row, column, matrix;
} strides;

static strides strides_of(const amps_view *view, bool transposed)
{
    const size_t element = amps_metal_element(view);
    const uint64_t row = view->row_bytes / element, matrix = view->matrix_bytes / element;
    return transposed ? (strides){1, row, matrix} : (strides){row, 1, matrix};
}

typedef struct lora_params {
    uint64_t source_row, source_matrix;
    strides weights, down, up;
    uint64_t result_row, result_matrix;
    uint32_t rows, inputs, rank, outputs, has_weights, accumulate;
    float scale;
    uint32_t padding;
} lora_params;
_Static_assert(sizeof(lora_params) <= AMPS_METAL_MAX_PARAMS, "parameters must fit a step");

/* The kernel for the type: on simdgroup matrices, or one thread an element. */
static amps_metal_function function_of(anymps_dtype dtype, bool tiles)
{
    if (dtype == ANYMPS_DTYPE_F32) {
        return tiles ? AMPS_METAL_lora_simdgroup_f32 : AMPS_METAL_lora_f32;
    }
    if (dtype == ANYMPS_DTYPE_F16) {
        return tiles ? AMPS_METAL_lora_simdgroup_f16 : AMPS_METAL_lora_f16;
    }
    return tiles ? AMPS_METAL_lora_simdgroup_bf16 : AMPS_METAL_lora_bf16;
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    const anymps_lora_desc *const desc = record->desc;
    const amps_view *const views = record->operands;
    const strides source = strides_of(&views[SOURCE], false), result = strides_of(&views[RESULT], false);
    const lora_params params = {.source_row = source.row,
                                .source_matrix = source.matrix,
                                .weights = strides_of(&views[WEIGHTS], desc->transpose_weights),
                                .down = strides_of(&views[DOWN], desc->transpose_down),
                                .up = strides_of(&views[UP], desc->transpose_up),
                                .result_row = result.row,
                                .result_matrix = result.matrix,
                                .rows = (uint32_t)views[RESULT].rows,
                                .inputs = (uint32_t)views[SOURCE].columns,
                                .rank = (uint32_t)(desc->transpose_down ? views[DOWN].rows : views[DOWN].columns),
                                .outputs = (uint32_t)views[RESULT].columns,
                                .has_weights = views[WEIGHTS].memory != NULL,
                                .accumulate = desc->accumulate,
                                .scale = (float)desc->scale};
    if (params.rows == 0 || params.outputs == 0) {
        return ANYMPS_OK;
    }
    const bool tiles = has_tiles(plan->device) && params.rows >= TILE_ROWS;
    const uint32_t block = tiles ? 32 : 4; /* rows of a threadgroup; 64 columns and 256 threads in both */
    const amps_mtl_size groups = {(params.outputs + 63) / 64, (params.rows + block - 1) / block, record->batch};
    amps_metal_launch_step *launch;
    ANYMPS_TRY(
        amps_metal_add_launch(plan, function_of(desc->dtype, tiles), groups, 256, &params, sizeof params, &launch));
    for (size_t i = 0; i < record->operand_count; i++) {
        amps_metal_bind(launch, &views[i], &views[RESULT]);
    }
    return ANYMPS_OK;
}

const amps_metal_op amps_metal_op_lora = {.prepare = prepare, .plan = plan};
