/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_tensor.c: the engine for f16 and bf16 on the tensor cores (gemm_mma.cu). Called by cuda_gemm.c.
 */
#include "backend/cuda/ops/gemm_engines.h"

enum { DEPTH = 64, STAGES = 4, STAGES_SMALL = 5 }; /* as in gemm_mma.cu */

#define SIZES(type, layouts)                                                                                           \
    {                                                                                                                  \
        AMPS_FN_mma_##type##_##layouts##_32, AMPS_FN_mma_##type##_##layouts##_64, AMPS_FN_mma_##type##_##layouts##_128 \
    }
/* By type (f16, bf16), left dense along its rows or not, right dense along its columns or not, tile. */
static const amps_cuda_function kernels[2][2][2][3] = {
    {{SIZES(f16, nn), SIZES(f16, nt)}, {SIZES(f16, tn), SIZES(f16, tt)}},
    {{SIZES(bf16, nn), SIZES(bf16, nt)}, {SIZES(bf16, tn), SIZES(bf16, tt)}},
};

/* One direction is dense, the other steps by whole 16 bytes. */
static bool is_loadable(uint64_t address, int64_t row, int64_t column, int64_t matrix, bool *dense_rows)
{
    *dense_rows = column != 1;
    const int64_t dense = *dense_rows ? row : column, step = *dense_rows ? column : row;
    return address % 16 == 0 && dense == 1 && step % 8 == 0 && matrix % 8 == 0;
}

static size_t tiles_of(const amps_gemm_params *p, int64_t tile)
{
    return (size_t)((p->rows + tile - 1) / tile) * (size_t)((p->columns + tile - 1) / tile) * (size_t)p->batch;
}

bool amps_gemm_tensor(const amps_cuda_device *device, const amps_gemm *gemm, unsigned variant, amps_gemm_launch *launch)
{
    const amps_gemm_params *const p = &gemm->params;
    const bool half = gemm->kind == AMPS_GEMM_F16_F16 || gemm->kind == AMPS_GEMM_F16_F32;
    const bool brain = gemm->kind == AMPS_GEMM_BF16_BF16 || gemm->kind == AMPS_GEMM_BF16_F32;
    bool left_rows, right_interior;
    if (!(half || brain) || !is_loadable(p->left, p->left_row, p->left_column, p->left_matrix, &left_rows) ||
        !is_loadable(p->right, p->right_row, p->right_column, p->right_matrix, &right_interior)) {
        return false;
    }
    if (variant > 3) {
        return false;
    }
    /* The largest tile that still gives every multiprocessor one. */
    const size_t enough = (size_t)device->multiprocessors;
    const int usual = tiles_of(p, 128) >= enough ? 2 : tiles_of(p, 64) >= enough ? 1 : 0;
    const int which = variant == 0 ? usual : (int)variant - 1;
    const int64_t tile = (int64_t)32 << which;
    static const char *const names[] = {"mma 32x32", "mma 64x64", "mma 128x128"};
    launch->function = kernels[brain ? 1 : 0][left_rows ? 1 : 0][right_interior ? 0 : 1][which];
    launch->shape =
        (amps_cuda_shape){.grid_x = tiles_of(p, tile),
                          .block_x = which == 2 ? 256 : 128,
                          .shared_bytes = (unsigned)((which == 0 ? STAGES_SMALL : STAGES) * 2 * tile * DEPTH * 2)};
    launch->params = *p;
    launch->params.settled = amps_gemm_settled(gemm, false);
    launch->params.wide = gemm->kind == AMPS_GEMM_F16_F32 || gemm->kind == AMPS_GEMM_BF16_F32;
    launch->name = names[which];
    return true;
}
