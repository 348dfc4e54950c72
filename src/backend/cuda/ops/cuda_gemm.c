/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_gemm.c: runs one amps_gemm by the engine that gemm_choice.c names. Called by cuda_matmul.c and cuda_lora.c; calls
 * the engines, whose kernels are gemm_*.cu, and has the one that takes everything.
 */
#include "backend/cuda/cublaslt.h"
#include "backend/cuda/ops/gemm_measured.h"

#include "base/checked.h"

#include <stdio.h>
#include <string.h>

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

/* ---- Running ---------------------------------------------------------------------------------- */

size_t amps_choice_scratch(const amps_gemm *gemm, const amps_gemm_choice *choice)
{
    switch (choice->engine) {
    case AMPS_ENGINE_PARTS: return amps_gemm_parts_scratch(gemm);
    case AMPS_ENGINE_VENDOR: return AMPS_LT_WORKSPACE_BYTES;
    case AMPS_ENGINE_WGMMA: return amps_gemm_wgmma_scratch(gemm, choice);
    default: return 0;
    }
}

anymps_status amps_choice_run(amps_cuda_emitter *out, const amps_gemm *gemm, const amps_gemm_choice *choice)
{
    amps_gemm_launch launch;
    switch (choice->engine) {
    case AMPS_ENGINE_NONE: return ANYMPS_OK;
    case AMPS_ENGINE_SKINNY:
    case AMPS_ENGINE_TENSOR: {
        const bool can = choice->engine == AMPS_ENGINE_SKINNY
                             ? amps_gemm_skinny(out->device, gemm, choice->variant, &launch)
                             : amps_gemm_tensor(out->device, gemm, choice->variant, &launch);
        ANYMPS_FAIL_IF(!can, ANYMPS_INTERNAL, "matmul: engine %d does not take this product", choice->engine);
        return amps_cuda_launch(out, launch.function, &launch.shape, &launch.params);
    }
    case AMPS_ENGINE_PARTS: return amps_gemm_parts_emit(out, gemm, emit_any);
    case AMPS_ENGINE_VENDOR: return amps_gemm_vendor_emit(out, gemm, choice->variant);
    case AMPS_ENGINE_WGMMA: return amps_gemm_wgmma_emit(out, gemm, choice);
    case AMPS_ENGINE_FEW: return amps_gemm_few_emit(out, gemm);
    default: return emit_any(out, gemm);
    }
}

/* Enough for what runs it now and for what is usual: a measurement may come between the first commit, which takes the
   scratch, and the second, which builds the graph. Who makes the left operand is not known here. */
size_t amps_cuda_gemm_scratch(amps_cuda_device *device, const amps_gemm *gemm)
{
    size_t bytes = 0;
    amps_gemm either = *gemm;
    for (int settled = 0; settled <= 1; settled++) {
        bool measured;
        either.left_settled = settled != 0;
        const amps_gemm_choice choice = amps_choice_of(device, &either, &measured);
        const amps_gemm_choice usual = amps_choice_usual(device, &either);
        bytes = amps_max(bytes, amps_max(amps_choice_scratch(gemm, &choice), amps_choice_scratch(gemm, &usual)));
    }
    return bytes;
}

anymps_status amps_cuda_gemm_emit(amps_cuda_emitter *out, const amps_gemm *gemm)
{
    bool measured;
    amps_gemm_choice choice = amps_choice_of(out->device, gemm, &measured);
    if (amps_choice_scratch(gemm, &choice) > out->scratch_bytes) {
        choice = amps_choice_usual(out->device, gemm);
    }
    if (amps_choice_scratch(gemm, &choice) > out->scratch_bytes) {
        return emit_any(out, gemm); /* the scratch was taken while another thread still opened cuBLASLt */
    }
    return amps_choice_run(out, gemm, &choice);
}

/* Measures one of the two ways to stand in a commit. */
static anymps_status measure_one(amps_cuda_device *device, const amps_gemm *gemm, char *text, size_t size)
{
    amps_measured_entry entry;
    char name[128];
    ANYMPS_TRY(amps_gemm_measure(device, gemm, &entry));
    const bool stored = amps_measured_put(device, &entry);
    amps_choice_name(&entry.choice, name, sizeof name);
    (void)snprintf(text, size, "%s (measured: %.2f us%s)", name, (double)entry.nanoseconds * 1e-3,
                   stored ? "" : ", not stored");
    return ANYMPS_OK;
}

/* Measures the product as it is where it can overlap with others, and where its left operand has just been made. */
static anymps_status measure(amps_cuda_device *device, const amps_gemm *gemm, char *text, size_t size)
{
    char after[256];
    amps_gemm follower = *gemm;
    follower.left_settled = false;
    ANYMPS_TRY(measure_one(device, &follower, after, sizeof after));
    ANYMPS_TRY(measure_one(device, gemm, text, size));
    const size_t used = strlen(text);
    (void)snprintf(text + used, size - used, "; after its left operand: %s", after);
    return ANYMPS_OK;
}

/* An explanation before any operand is known: it takes dense, aligned ones that nothing in the commit writes. A product that
   the vendor's library has not got is refused here if it was asked for by name, so that encode never finds out. */
anymps_status amps_cuda_gemm_prepare(amps_cuda_device *device, const amps_gemm *sizes, char *text, size_t size)
{
    bool measured;
    amps_gemm settled = *sizes;
    settled.left_settled = settled.right_settled = true;
    const amps_gemm *const gemm = &settled;
    const amps_gemm_choice choice = amps_choice_of(device, gemm, &measured);
    ANYMPS_FAIL_IF(gemm->algorithm == ANYMPS_ALGORITHM_VENDOR && choice.engine == AMPS_ENGINE_ANY, ANYMPS_UNSUPPORTED,
                   "create: cuBLASLt is not installed or has no algorithm for this product");
    const bool wanted = (gemm->options & ANYMPS_MEASURE) != 0 && gemm->algorithm == ANYMPS_ALGORITHM_AUTO;
    if (wanted && choice.engine != AMPS_ENGINE_NONE && gemm->params.interior > 0) {
        return measure(device, gemm, text, size);
    }
    char name[128];
    amps_choice_name(&choice, name, sizeof name);
    (void)snprintf(text, size, "%s%s", name, measured ? " (measured)" : "");
    return ANYMPS_OK;
}
