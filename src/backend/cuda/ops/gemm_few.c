/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_few.c: the engine for f32 products with few rows, and small ones (gemm_few.cu). Called by cuda_gemm.c.
 */
#include "backend/cuda/ops/gemm_engines.h"

/* As in gemm_few.cu. */
enum {
    ROWS = 16,
    WIDE = 64,
    DEPTH = 128,
    MEMORY_BYTES = 4 * (2 * ROWS * 132 + 2 * DEPTH * 72 + 2 * ROWS * 132 + ROWS * WIDE) + 8
};
/* Where it was ahead of cuBLASLt or of the plain kernel on an H100 (docs/performance.md, "CUDA"). */
enum { MOST_ROWS = 32, MOST_COLUMNS = 2048, LEAST_DEPTH = 64 };
/* A block holds a third of a multiprocessor: batches of more tiles than this for each are for kernels with small blocks. */
enum { TURNS = 4 };
#define MOST_SIZE (128.0 * 128.0 * 128.0)
enum { THREADS = 256, CLUSTER_MOST = 8, SHORTEST = 16 /* the error of a cut product needs this much of the bound */ };

static bool in_packs(uint64_t address, int64_t step, int64_t matrix)
{
    return address % 16 == 0 && step % 4 == 0 && matrix % 4 == 0;
}

static int64_t tiles_of(const amps_gemm_params *p)
{
    return (p->rows + ROWS - 1) / ROWS * ((p->columns + WIDE - 1) / WIDE) * p->batch;
}

bool amps_gemm_few_can(const amps_cuda_device *device, const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    const double size = (double)p->rows * (double)p->columns * (double)p->interior * (double)p->batch;
    return device->has_sm90a && gemm->kind == AMPS_GEMM_F32_F32 && p->left_column == 1 &&
           (p->right_column == 1 || p->right_row == 1) && p->interior >= SHORTEST && p->interior <= INT32_MAX &&
           ((p->rows <= MOST_ROWS && p->columns <= MOST_COLUMNS && tiles_of(p) <= TURNS * device->multiprocessors) ||
            size <= MOST_SIZE);
}

anymps_status amps_gemm_few_emit(amps_cuda_emitter *out, const amps_gemm *gemm)
{
    amps_few_params few = {.gemm = gemm->params};
    const amps_gemm_params *const p = &gemm->params;
    const int64_t tiles = tiles_of(p);
    int64_t blocks = 1;
    while (blocks < CLUSTER_MOST && tiles * blocks * 2 <= 2 * out->device->multiprocessors &&
           p->interior >= blocks * LEAST_DEPTH) {
        blocks *= 2;
    }
    few.slice = (int32_t)(((p->interior + blocks - 1) / blocks + 7) / 8 * 8);
    few.left_packs = in_packs(p->left, p->left_row, p->left_matrix) && few.slice % 4 == 0;
    few.right_packs = in_packs(p->right, p->right_column == 1 ? p->right_row : p->right_column, p->right_matrix);
    few.right_settled = gemm->right_settled;
    const amps_cuda_shape shape = {.grid_x = (size_t)(tiles * blocks),
                                   .block_x = THREADS,
                                   .cluster_x = (unsigned)blocks,
                                   .shared_bytes = MEMORY_BYTES};
    return amps_cuda_launch(out, AMPS_FN_gemm_few_f32, &shape, &few);
}
