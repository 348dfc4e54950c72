/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_vendor.c: the engine that hands a product to cuBLASLt (cublaslt.c): states it in column-major terms.
 * Called by cuda_gemm.c.
 */
#include "backend/cuda/cublaslt.h"
#include "backend/cuda/ops/gemm_engines.h"

#include <stdio.h>
#include <string.h>

/* cublas_api.h, library_types.h */
enum { COMPUTE_32F = 68, COMPUTE_TF32 = 77, COMPUTE_32I = 72 };
enum { REAL_32F = 0, REAL_16F = 2, REAL_16BF = 14, REAL_8I = 3, REAL_32I = 10 };

enum { SHORT_INTERIOR = 64 };

static bool types_of(const amps_gemm *gemm, amps_lt_problem *to)
{
    const bool reduced = (gemm->options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0;
    to->compute = COMPUTE_32F;
    to->scale = REAL_32F;
    switch (gemm->kind) {
    case AMPS_GEMM_F32_F32:
        to->compute = reduced ? COMPUTE_TF32 : COMPUTE_32F;
        to->operand = to->result = REAL_32F;
        return true;
    case AMPS_GEMM_F16_F16: to->operand = to->result = REAL_16F; return true;
    case AMPS_GEMM_F16_F32:
        to->operand = REAL_16F;
        to->result = REAL_32F;
        return true;
    case AMPS_GEMM_BF16_BF16: to->operand = to->result = REAL_16BF; return true;
    case AMPS_GEMM_BF16_F32:
        to->operand = REAL_16BF;
        to->result = REAL_32F;
        return true;
    case AMPS_GEMM_I8_I32:
        to->operand = REAL_8I;
        to->result = to->scale = REAL_32I;
        to->compute = COMPUTE_32I;
        return true;
    default: return false;
    }
}

/* A stored matrix with one dense direction: transposed or not, and the distance of its other direction. */
static bool layout_of(int64_t row, int64_t column, int64_t rows, int64_t columns, int64_t *transposed, int64_t *leading)
{
    if (column == 1 && row >= columns) {
        *transposed = 0;
        *leading = row;
        return true;
    }
    *transposed = 1;
    *leading = column;
    return row == 1 && column >= rows;
}

/* Row-major result = left*right is column-major result' = right'*left': the library's A is our right operand. */
static bool problem_of(const amps_gemm *gemm, amps_lt_problem *to)
{
    const amps_gemm_params *const p = &gemm->params;
    memset(to, 0, sizeof *to);
    if (!types_of(gemm, to) || p->neuron.type != 0 || p->result_column != 1 || p->interior == 0 || p->alpha == 0.0f ||
        p->batch > INT32_MAX || p->result_row < p->columns ||
        !layout_of(p->right_row, p->right_column, p->interior, p->columns, &to->transpose_a, &to->lda) ||
        !layout_of(p->left_row, p->left_column, p->rows, p->interior, &to->transpose_b, &to->ldb)) {
        return false;
    }
    const size_t element = gemm->kind == AMPS_GEMM_F32_F32 ? 4 : gemm->kind == AMPS_GEMM_I8_I32 ? 1 : 2;
    const size_t result = to->result == REAL_32F || to->result == REAL_32I ? 4 : 2;
    /* Its fast algorithms need 16-byte rows; what is less aligned is left to our own kernels. */
    if (p->left % 16 != 0 || p->right % 16 != 0 || p->result % 16 != 0 || (uint64_t)to->lda * element % 16 != 0 ||
        (uint64_t)to->ldb * element % 16 != 0 || (uint64_t)p->result_row * result % 16 != 0 ||
        (uint64_t)p->left_matrix * element % 16 != 0 || (uint64_t)p->right_matrix * element % 16 != 0 ||
        (uint64_t)p->result_matrix * result % 16 != 0) {
        return false;
    }
    /* Some of its algorithms round the product to the result's type before they add the old result: more than the bound
       allows on short sums. */
    if (p->interior < SHORT_INTERIOR && (p->beta != 0.0f || p->bias != 0)) {
        return false;
    }
    if (p->bias != 0 && (gemm->kind == AMPS_GEMM_I8_I32 || to->operand != to->result ||
                         p->bias % AMPS_LT_BIAS_ALIGNMENT != 0 || p->bias_matrix * (int64_t)result % 16 != 0)) {
        return false;
    }
    if (gemm->kind == AMPS_GEMM_I8_I32 && (p->exact_alpha != 1.0 || (p->exact_beta != 0.0 && p->exact_beta != 1.0) ||
                                           to->transpose_a == 0 || to->transpose_b != 0)) {
        return false;
    }
    to->m = p->columns;
    to->n = p->rows;
    to->k = p->interior;
    to->ldc = p->result_row;
    to->batch = p->batch;
    to->step_a = p->right_matrix;
    to->step_b = p->left_matrix;
    to->step_c = p->result_matrix;
    to->bias = p->bias != 0;
    to->step_bias = p->bias_matrix;
    return true;
}

bool amps_gemm_vendor_can(amps_cuda_device *device, const amps_gemm *gemm, unsigned which)
{
    amps_lt_problem problem;
    if (!problem_of(gemm, &problem)) {
        return false;
    }
    amps_cublaslt *const lt = amps_cublaslt_get(device);
    return lt != NULL && amps_cublaslt_has(lt, &problem) > which;
}

unsigned amps_gemm_vendor_find(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_named wanted)
{
    amps_lt_problem problem;
    amps_lt_config c;
    amps_cublaslt *const lt = problem_of(gemm, &problem) ? amps_cublaslt_get(device) : NULL;
    for (unsigned which = 0; lt != NULL && amps_cublaslt_config(lt, &problem, which, &c); which++) {
        if (c.tile == wanted.tile && c.cluster == wanted.cluster && c.custom == wanted.custom && c.splits <= 1) {
            return which;
        }
    }
    return AMPS_GEMM_NO_ALGORITHM;
}

void amps_gemm_vendor_name(amps_cuda_device *device, const amps_gemm *gemm, unsigned which, char *text, size_t size)
{
    amps_lt_problem problem;
    amps_lt_config c;
    amps_cublaslt *const lt = amps_cublaslt_get(device);
    if (lt == NULL || !problem_of(gemm, &problem) || !amps_cublaslt_config(lt, &problem, which, &c)) {
        (void)snprintf(text, size, "cuBLASLt %u", which);
        return;
    }
    (void)snprintf(text, size,
                   "cuBLASLt %u (id %d tile %d stages %d splits %d/%d swizzle %d custom %d inner %d cluster %d)", which,
                   c.id, c.tile, c.stages, c.splits, c.reduction, c.swizzle, c.custom, c.inner, c.cluster);
}

anymps_status amps_gemm_vendor_emit(amps_cuda_emitter *out, const amps_gemm *gemm, unsigned which)
{
    amps_lt_problem problem;
    const amps_gemm_params *const p = &gemm->params;
    amps_cublaslt *const lt = amps_cublaslt_get(out->device);
    ANYMPS_FAIL_IF(lt == NULL || !problem_of(gemm, &problem), ANYMPS_INTERNAL, "matmul: not a product for cuBLASLt");
    if (amps_cuda_launches_elsewhere(out)) {
        return ANYMPS_OK;
    }
    const int32_t whole_alpha = 1, whole_beta = p->exact_beta == 1.0;
    const bool whole = problem.scale == REAL_32I;
    ANYMPS_TRY(amps_cublaslt_run(lt, &problem, which, whole ? (const void *)&whole_alpha : (const void *)&p->alpha,
                                 whole ? (const void *)&whole_beta : (const void *)&p->beta, p->right, p->left,
                                 p->result, p->bias, out->scratch, out->stream));
    out->launches += 2; /* it may launch a second kernel that adds split sums */
    return ANYMPS_OK;
}
