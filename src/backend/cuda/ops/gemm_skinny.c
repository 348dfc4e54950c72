/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_skinny.c: the engine for a few rows times a large matrix, and a matrix times a vector (skinny.cu, skinny_i8.cu).
 * Called by cuda_gemm.c.
 */
#include "backend/cuda/ops/gemm_engines.h"

enum { MOST_ROWS_MMA = 16, MOST_ROWS_FMA = 4, CLUSTER = 8, CLUSTER_INT8 = 4 };

/* A product with one column is the transposed product with one row. */
static amps_gemm_params turned(const amps_gemm_params *p)
{
    amps_gemm_params t = *p;
    t.left = p->right;
    t.left_row = p->right_column;
    t.left_column = p->right_row;
    t.left_matrix = p->right_matrix;
    t.right = p->left;
    t.right_row = p->left_column;
    t.right_column = p->left_row;
    t.right_matrix = p->left_matrix;
    t.result_row = p->result_column;
    t.result_column = p->result_row;
    t.rows = p->columns;
    t.columns = p->rows;
    return t;
}

static bool multiple(int64_t value, int64_t of)
{
    return value % of == 0;
}

/* 0, 1, 2 for f32, f16, bf16 operands; -1 for integers. */
static int type_of(amps_gemm_kind kind)
{
    switch (kind) {
    case AMPS_GEMM_F32_F32: return 0;
    case AMPS_GEMM_F16_F16:
    case AMPS_GEMM_F16_F32: return 1;
    case AMPS_GEMM_BF16_BF16:
    case AMPS_GEMM_BF16_F32: return 2;
    default: return -1;
    }
}

/* The interior is dense in both operands. */
static bool choose_dense_interior(int type, const amps_gemm_params *p, amps_gemm_launch *launch)
{
    static const amps_cuda_function one[3] = {AMPS_FN_skinny_k_f32_m1, AMPS_FN_skinny_k_f16_m1,
                                              AMPS_FN_skinny_k_bf16_m1};
    static const amps_cuda_function narrow[3] = {AMPS_FN_skinny_k_f32_m1, AMPS_FN_skinny_k_f16_n1,
                                                 AMPS_FN_skinny_k_bf16_n1};
    static const amps_cuda_function wide[3] = {AMPS_FN_skinny_k_f32_m4, AMPS_FN_skinny_k_f16_n4,
                                               AMPS_FN_skinny_k_bf16_n4};
    const int64_t pack = type == 0 ? 4 : 8;
    const bool rows_aligned = p->rows == 1 || multiple(p->left_row, pack);
    if (p->right_row != 1 || p->left_column != 1 || !rows_aligned || !multiple(p->right_column, pack) ||
        !multiple(p->left_matrix, pack) || !multiple(p->right_matrix, pack) || p->left % 16 != 0 ||
        p->right % 16 != 0 || p->rows > (type == 0 ? MOST_ROWS_FMA : MOST_ROWS_MMA) ||
        ((type == 0 || p->rows == 1) && !multiple(p->interior, pack))) {
        return false;
    }
    const bool few = type == 0 ? p->rows == 1 : p->rows <= 8;
    /* as many as eight warps of skinny.cu take */
    const int64_t columns_per_block = few ? 8 : type == 0 ? 16 : 32;
    launch->function = p->rows == 1 ? one[type] : few ? narrow[type] : wide[type];
    launch->shape = (amps_cuda_shape){
        .grid_x = (size_t)((p->columns + columns_per_block - 1) / columns_per_block * p->batch), .block_x = 256};
    launch->name = p->rows == 1 ? "skinny_k one" : few ? "skinny_k narrow" : "skinny_k wide";
    return true;
}

/* The rows of the large matrix are dense. */
static bool choose_dense_columns(const amps_cuda_device *device, int type, const amps_gemm_params *p, unsigned clusters,
                                 amps_gemm_launch *launch)
{
    static const amps_cuda_function one[3] = {AMPS_FN_skinny_n_f32_m1, AMPS_FN_skinny_n_f16_m1,
                                              AMPS_FN_skinny_n_bf16_m1};
    static const amps_cuda_function four[3] = {AMPS_FN_skinny_n_f32_m4, AMPS_FN_skinny_n_f16_m4,
                                               AMPS_FN_skinny_n_bf16_m4};
    const int64_t pack = p->rows == 1 && type != 0 ? 8 : 4;
    if (p->right_column != 1 || p->rows > MOST_ROWS_FMA || !multiple(p->columns, pack) ||
        !multiple(p->right_row, pack) || !multiple(p->right_matrix, pack) || p->right % 16 != 0 || p->interior < 64) {
        return false;
    }
    const unsigned cluster = !device->has_sm90a ? 1 : clusters == 0 ? CLUSTER : clusters;
    launch->function = p->rows == 1 ? one[type] : four[type];
    launch->shape =
        (amps_cuda_shape){.grid_x = (size_t)((p->columns + 32 * pack - 1) / (32 * pack) * p->batch) * cluster,
                          .block_x = 512,
                          .cluster_x = cluster};
    launch->name = "skinny_n";
    return true;
}

/* One row of int8: 16 bytes of a dense interior at once, or eight of a matrix's dense row. */
static bool choose_int8(const amps_cuda_device *device, const amps_gemm_params *p, unsigned clusters,
                        amps_gemm_launch *launch)
{
    if (p->rows != 1) {
        return false;
    }
    if (clusters == 0 && p->right_row == 1 && p->left_column == 1 && multiple(p->interior, 16) &&
        multiple(p->right_column, 16) && multiple(p->left_matrix, 16) && multiple(p->right_matrix, 16) &&
        p->left % 16 == 0 && p->right % 16 == 0) {
        launch->function = AMPS_FN_skinny_k_i8;
        launch->shape = (amps_cuda_shape){.grid_x = (size_t)((p->columns + 7) / 8 * p->batch), .block_x = 256};
        launch->name = "skinny_k int8";
        return true;
    }
    if (p->right_column != 1 || !multiple(p->columns, 8) || !multiple(p->right_row, 8) ||
        !multiple(p->right_matrix, 8) || p->right % 8 != 0 || p->interior < 64) {
        return false;
    }
    const unsigned cluster = !device->has_sm90a ? 1 : clusters == 0 ? CLUSTER_INT8 : clusters;
    launch->function = AMPS_FN_skinny_n_i8;
    launch->shape = (amps_cuda_shape){
        .grid_x = (size_t)((p->columns + 255) / 256 * p->batch) * cluster, .block_x = 512, .cluster_x = cluster};
    launch->name = "skinny_n int8";
    return true;
}

bool amps_gemm_skinny(const amps_cuda_device *device, const amps_gemm *gemm, unsigned clusters,
                      amps_gemm_launch *launch)
{
    const int type = type_of(gemm->kind);
    if (type < 0 && gemm->kind != AMPS_GEMM_I8_I32) {
        return false;
    }
    launch->params = gemm->params.rows > gemm->params.columns ? turned(&gemm->params) : gemm->params;
    if ((launch->params.bias != 0 || launch->params.prelu != 0) && gemm->params.rows > gemm->params.columns) {
        return false; /* both run along the columns, which turning makes rows */
    }
    launch->params.settled = amps_gemm_settled(gemm, gemm->params.rows > gemm->params.columns);
    launch->params.wide = type > 0 && (gemm->kind == AMPS_GEMM_F16_F32 || gemm->kind == AMPS_GEMM_BF16_F32);
    if (clusters > CLUSTER || (clusters > 1 && !device->has_sm90a)) {
        return false;
    }
    if (type < 0) {
        return choose_int8(device, &launch->params, clusters, launch);
    }
    return (clusters == 0 && choose_dense_interior(type, &launch->params, launch)) ||
           choose_dense_columns(device, type, &launch->params, clusters, launch);
}
