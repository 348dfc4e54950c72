/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_gemm.c: runs one amps_gemm: asks the engines in order and takes the first that accepts.
 * Called by cuda_matmul.c and cuda_lora.c; the engines are the kernels of gemm_*.cu.
 */
#include "backend/cuda/cublaslt.h"
#include "backend/cuda/ops/gemm_engines.h"

#include <stdio.h>

amps_gemm_kind amps_gemm_kind_of(anymps_dtype left, anymps_dtype right, anymps_dtype result)
{
    static const struct {
        anymps_dtype operands, result;
    } kinds[AMPS_GEMM_KINDS] = {
        {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32},  {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16},
        {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32},  {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16},
        {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F32}, {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F32},
        {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F16},   {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I32},
        {ANYMPS_DTYPE_I16, ANYMPS_DTYPE_F32},
    };
    for (int i = 0; i < AMPS_GEMM_KINDS; i++) {
        if (left == right && left == kinds[i].operands && result == kinds[i].result) {
            return (amps_gemm_kind)i;
        }
    }
    return AMPS_GEMM_KINDS;
}

void amps_gemm_set_left(amps_gemm *gemm, const amps_view *view, bool transpose)
{
    gemm->params.left = amps_view_address(view);
    gemm->params.left_row = transpose ? 1 : amps_view_row(view);
    gemm->params.left_column = transpose ? amps_view_row(view) : 1;
    gemm->params.left_matrix = amps_view_matrix(view);
}

void amps_gemm_set_right(amps_gemm *gemm, const amps_view *view, bool transpose)
{
    gemm->params.right = amps_view_address(view);
    gemm->params.right_row = transpose ? 1 : amps_view_row(view);
    gemm->params.right_column = transpose ? amps_view_row(view) : 1;
    gemm->params.right_matrix = amps_view_matrix(view);
}

void amps_gemm_set_dense(amps_gemm *gemm, bool transpose_left, bool transpose_right)
{
    amps_gemm_params *const p = &gemm->params;
    p->left_row = transpose_left ? 1 : p->interior;
    p->left_column = transpose_left ? p->rows : 1;
    p->right_row = transpose_right ? 1 : p->columns;
    p->right_column = transpose_right ? p->interior : 1;
    p->result_row = p->columns;
    p->result_column = 1;
}

/* ---- The engine that takes everything --------------------------------------------------------- */

static anymps_status emit_any(amps_cuda_emitter *out, const amps_gemm *gemm)
{
    static const amps_cuda_function kernels[AMPS_GEMM_KINDS] = {
        AMPS_FN_gemm_any_f32_f32,   AMPS_FN_gemm_any_f16_f16,  AMPS_FN_gemm_any_f16_f32,
        AMPS_FN_gemm_any_bf16_bf16, AMPS_FN_gemm_any_bf16_f32, AMPS_FN_gemm_any_i8_f32,
        AMPS_FN_gemm_any_i8_f16,    AMPS_FN_gemm_any_i8_i32,   AMPS_FN_gemm_any_i16_f32,
    };
    enum { TILE = 64, THREADS = 256 }; /* as in gemm_any.cu */
    const amps_gemm_params *const p = &gemm->params;
    const size_t tiles = (size_t)((p->rows + TILE - 1) / TILE) * (size_t)((p->columns + TILE - 1) / TILE);
    const amps_cuda_shape shape = {.grid_x = tiles * (size_t)p->batch, .block_x = THREADS};
    return amps_cuda_launch(out, kernels[gemm->kind], &shape, p);
}

/* ---- The choice ------------------------------------------------------------------------------- */

typedef enum engine { ENGINE_NONE, ENGINE_SKINNY, ENGINE_TENSOR, ENGINE_PARTS, ENGINE_VENDOR, ENGINE_ANY } engine;

static bool is_empty(const amps_gemm *gemm)
{
    return gemm->params.rows == 0 || gemm->params.columns == 0 || gemm->params.batch == 0;
}

/* Up to here mma.sync with small tiles is level with or ahead of cuBLASLt (measured on an H100). */
static bool is_small(const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    return (double)p->rows * (double)p->columns * (double)p->interior * (double)p->batch <= 200.0 * 200.0 * 200.0;
}

/* The first that takes the problem, in the order of measured speed (docs/performance.md, "CUDA"). */
static engine choose(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_launch *launch)
{
    const bool own = gemm->algorithm != ANYMPS_ALGORITHM_VENDOR, vendor = gemm->algorithm != ANYMPS_ALGORITHM_OWN;
    if (is_empty(gemm)) {
        return ENGINE_NONE;
    }
    const bool skinny = own && amps_gemm_skinny(device, gemm, launch);
    const bool one = gemm->params.rows == 1 || gemm->params.columns == 1;
    if (skinny && (one || gemm->kind == AMPS_GEMM_F32_F32 || !vendor || !amps_gemm_vendor_can(device, gemm))) {
        return ENGINE_SKINNY; /* with 2 to 16 rows cuBLASLt is ahead (f16, bf16) */
    }
    if (own && amps_gemm_parts_can(device, gemm)) {
        return ENGINE_PARTS;
    }
    const bool tensor = own && amps_gemm_tensor(device, gemm, launch);
    if (tensor && is_small(gemm)) {
        return ENGINE_TENSOR;
    }
    if (vendor && amps_gemm_vendor_can(device, gemm)) {
        return ENGINE_VENDOR;
    }
    if (tensor) {
        return ENGINE_TENSOR;
    }
    return ENGINE_ANY;
}

size_t amps_cuda_gemm_scratch(amps_cuda_device *device, const amps_gemm *gemm)
{
    amps_gemm_launch launch;
    switch (choose(device, gemm, &launch)) {
    case ENGINE_PARTS: return amps_gemm_parts_scratch(gemm);
    case ENGINE_VENDOR: return AMPS_LT_WORKSPACE_BYTES;
    default: return 0;
    }
}

anymps_status amps_cuda_gemm_emit(amps_cuda_emitter *out, const amps_gemm *gemm)
{
    amps_gemm_launch launch;
    switch (choose(out->device, gemm, &launch)) {
    case ENGINE_NONE: return ANYMPS_OK;
    case ENGINE_SKINNY:
    case ENGINE_TENSOR: return amps_cuda_launch(out, launch.function, &launch.shape, &launch.params);
    case ENGINE_PARTS: return amps_gemm_parts_emit(out, gemm, emit_any);
    case ENGINE_VENDOR: return amps_gemm_vendor_emit(out, gemm);
    case ENGINE_ANY: break;
    }
    return emit_any(out, gemm);
}

/* An explanation before any operand is known: it takes dense, aligned ones. A product that the vendor's library has not
   got is refused here if it was asked for by name, so that encode never finds out. */
anymps_status amps_cuda_gemm_prepare(amps_cuda_device *device, const amps_gemm *gemm, char *text, size_t size)
{
    amps_gemm_launch launch;
    const engine found = choose(device, gemm, &launch);
    ANYMPS_FAIL_IF(gemm->algorithm == ANYMPS_ALGORITHM_VENDOR && found == ENGINE_ANY, ANYMPS_UNSUPPORTED,
                   "create: cuBLASLt is not installed or has no algorithm for this product");
    static const char *const names[] = {
        "nothing to do", "own ", "own ", "own split_gemm (bf16 parts, f32 bound)", "cuBLASLt", "own gemm_any"};
    const bool named = found == ENGINE_SKINNY || found == ENGINE_TENSOR;
    (void)snprintf(text, size, "%s%s", names[found], named ? launch.name : "");
    return ANYMPS_OK;
}
