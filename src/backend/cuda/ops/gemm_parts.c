/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_parts.c: the engine that multiplies large f32 matrices in bf16 parts on the tensor cores (gemm_split.cu says
 * why that keeps f32's error bound). Four launches: clear the flag, cut, multiply, and the ordinary kernel, which
 * runs only if the flag was raised. Called by cuda_gemm.c.
 */
#include "backend/cuda/ops/gemm_engines.h"

#include "base/checked.h"

#include <string.h>

enum { TILE = 128, CUT = 64, PARTS = 3, THREADS = 384, FLAG_BYTES = 256 };
/* Two stages of six parts of 128 × 64 bf16, and up to 1024 bytes to align them. */
enum { SHARED_BYTES = 2 * 6 * TILE * CUT * 2 + 1024 };
/* Below this many multiplications the cutting pass and the idle multiprocessors cost more than is won (measured on an
   H100: level with cuBLAS between 512 and 1024 cubed). */
#define LEAST_PRODUCTS (700.0 * 700.0 * 700.0)

static int64_t rounded_up(int64_t value, int64_t to)
{
    return (value + to - 1) / to * to;
}

static size_t parts_bytes(int64_t count, int64_t depth)
{
    return (size_t)rounded_up(PARTS * count * depth * 2, 256);
}

bool amps_gemm_parts_can(const amps_cuda_device *device, const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    return device->has_sm90a && gemm->kind == AMPS_GEMM_F32_F32 && p->batch == 1 && p->interior >= 256 &&
           p->rows >= 256 && p->columns >= 256 && (gemm->options & ANYMPS_ALLOW_REDUCED_PRECISION) == 0 &&
           p->rows < INT32_MAX / 2 && p->columns < INT32_MAX / 2 && p->interior < INT32_MAX / 2 &&
           (double)p->rows * (double)p->columns * (double)p->interior >= LEAST_PRODUCTS;
}

size_t amps_gemm_parts_scratch(const amps_gemm *gemm)
{
    const int64_t depth = rounded_up(gemm->params.interior, CUT);
    return FLAG_BYTES + parts_bytes(gemm->params.rows, depth) + parts_bytes(gemm->params.columns, depth);
}

/* Boxes of 64 of the interior, 128 rows, all three parts; what lies outside reads as zero. */
static anymps_status make_map(uint64_t *map, uint64_t address, int64_t rows, int64_t depth)
{
    CUtensorMap made;
    const cuuint64_t sizes[3] = {(cuuint64_t)depth, (cuuint64_t)rows, PARTS};
    const cuuint64_t steps[2] = {(cuuint64_t)depth * 2, (cuuint64_t)(rows * depth) * 2};
    const cuuint32_t box[3] = {CUT, TILE, PARTS}, ones[3] = {1, 1, 1};
    AMPS_CU_TRY(amps_cu.TensorMapEncodeTiled(&made, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void *)(uintptr_t)address,
                                             sizes, steps, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
                                             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                                             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                "matmul: cuTensorMapEncodeTiled");
    memcpy(map, &made, sizeof made);
    return ANYMPS_OK;
}

anymps_status amps_gemm_parts_emit(amps_cuda_emitter *out, const amps_gemm *gemm,
                                   anymps_status (*ordinary)(amps_cuda_emitter *, const amps_gemm *))
{
    const amps_gemm_params *const g = &gemm->params;
    const int64_t depth = rounded_up(g->interior, CUT);
    amps_split_params cut = {
        .left = g->left,
        .right = g->right,
        .left_parts = (uint64_t)out->scratch + FLAG_BYTES,
        .flag = (uint64_t)out->scratch,
        .left_row = g->left_row,
        .left_column = g->left_column,
        .right_row = g->right_row,
        .right_column = g->right_column,
        .rows = g->rows,
        .columns = g->columns,
        .interior = g->interior,
        .depth = depth,
    };
    cut.right_parts = cut.left_parts + parts_bytes(g->rows, depth);
    amps_split_gemm_params multiply = {.gemm = *g, .flag = cut.flag, .depth = depth};
    ANYMPS_TRY(make_map(multiply.left_map, cut.left_parts, g->rows, depth));
    ANYMPS_TRY(make_map(multiply.right_map, cut.right_parts, g->columns, depth));

    if (amps_cuda_launches_elsewhere(out)) {
        return ANYMPS_OK;
    }
    AMPS_CU_TRY(amps_cu.MemsetD8Async(out->scratch, 0, FLAG_BYTES, out->stream), "matmul: cuMemsetD8Async");
    const size_t pieces = (size_t)((rounded_up(g->rows, CUT) + rounded_up(g->columns, CUT)) / CUT * (depth / CUT));
    const amps_cuda_shape cutting = {.grid_x = pieces, .block_x = 256};
    ANYMPS_TRY(amps_cuda_launch(out, AMPS_FN_split_parts, &cutting, &cut));
    const size_t tiles = (size_t)(rounded_up(g->rows, TILE) / TILE) * (size_t)(rounded_up(g->columns, TILE) / TILE);
    const amps_cuda_shape multiplying = {.grid_x = amps_min(tiles, (size_t)out->device->multiprocessors),
                                         .block_x = THREADS,
                                         .shared_bytes = SHARED_BYTES};
    ANYMPS_TRY(amps_cuda_launch(out, AMPS_FN_split_gemm, &multiplying, &multiply));
    amps_gemm instead = *gemm;
    instead.params.guard = cut.flag;
    return ordinary(out, &instead);
}
