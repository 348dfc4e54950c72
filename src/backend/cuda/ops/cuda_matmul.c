/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_matmul.c: matmul, matrix_vector and fully_connected on CUDA: each is stated as one amps_gemm, which
 * cuda_gemm.c runs. Called by plan.c.
 */
#include "backend/cuda/ops/cuda_ops.h"

static anymps_status supports_product(const anymps_dtype *dtypes, size_t count)
{
    ANYMPS_FAIL_IF(count != 3 || amps_gemm_kind_of(dtypes[0], dtypes[1], dtypes[2]) == AMPS_GEMM_KINDS,
                   ANYMPS_UNSUPPORTED, "supports: CUDA has no product of these types");
    return ANYMPS_OK;
}

static void set_factors(amps_gemm *gemm, double alpha, double beta)
{
    gemm->params.alpha = (float)alpha;
    gemm->params.beta = (float)beta;
    gemm->params.exact_alpha = alpha;
    gemm->params.exact_beta = beta;
}

static void set_vector(const amps_view *view, uint64_t *address, int64_t *step)
{
    *address = amps_view_address(view);
    *step = amps_view_matrix(view);
}

/* ---- matmul ----------------------------------------------------------------------------------- */

static amps_gemm matmul_sizes(const anymps_matmul_desc *desc)
{
    amps_gemm gemm = {.kind = amps_gemm_kind_of(desc->left_dtype, desc->right_dtype, desc->result_dtype),
                      .options = desc->options,
                      .algorithm = desc->algorithm};
    gemm.params.rows = (int64_t)desc->rows;
    gemm.params.columns = (int64_t)desc->columns;
    gemm.params.interior = (int64_t)desc->interior;
    gemm.params.batch = 1;
    set_factors(&gemm, desc->alpha, desc->beta);
    return gemm;
}

static amps_gemm matmul_of(const amps_record *record)
{
    const anymps_matmul_desc *const desc = record->desc;
    amps_gemm gemm = matmul_sizes(desc);
    amps_gemm_set_left(&gemm, &record->operands[0], desc->transpose_left);
    amps_gemm_set_right(&gemm, &record->operands[1], desc->transpose_right);
    set_vector(&record->operands[2], &gemm.params.result, &gemm.params.result_matrix);
    gemm.params.result_row = amps_view_row(&record->operands[2]);
    gemm.params.result_column = 1;
    gemm.params.batch = (int64_t)record->batch;
    return gemm;
}

static size_t matmul_scratch(amps_cuda_device *device, const amps_record *record)
{
    const amps_gemm gemm = matmul_of(record);
    return amps_cuda_gemm_scratch(device, &gemm);
}

static anymps_status matmul_emit(amps_cuda_emitter *out, const amps_record *record)
{
    amps_gemm gemm = matmul_of(record);
    gemm.left_settled = amps_cuda_is_settled(out, record, 0);
    gemm.right_settled = amps_cuda_is_settled(out, record, 1);
    return amps_cuda_gemm_emit(out, &gemm);
}

static anymps_status matmul_prepare(amps_cuda_device *device, const void *desc, char *explain, size_t size)
{
    const anymps_matmul_desc *const matmul = desc;
    amps_gemm gemm = matmul_sizes(matmul);
    amps_gemm_set_dense(&gemm, matmul->transpose_left, matmul->transpose_right);
    return amps_cuda_gemm_prepare(device, &gemm, explain, size);
}

const amps_cuda_operator amps_cuda_matmul = {
    .supports = supports_product, .prepare = matmul_prepare, .scratch = matmul_scratch, .emit = matmul_emit};

/* ---- matrix_vector: one row, the vector, times the matrix turned ------------------------------ */

static amps_gemm vector_sizes(const anymps_matrix_vector_desc *desc, int64_t matrix_row)
{
    amps_gemm gemm = {.kind = amps_gemm_kind_of(desc->matrix_dtype, desc->vector_dtype, desc->result_dtype),
                      .options = desc->options,
                      .algorithm = desc->algorithm};
    amps_gemm_params *const p = &gemm.params;
    p->rows = 1;
    p->columns = (int64_t)desc->rows;
    p->interior = (int64_t)desc->columns;
    p->batch = 1;
    p->left_row = p->interior;
    p->left_column = 1;
    p->right_row = desc->transpose ? matrix_row : 1;
    p->right_column = desc->transpose ? 1 : matrix_row;
    p->result_row = p->columns;
    p->result_column = 1;
    set_factors(&gemm, desc->alpha, desc->beta);
    return gemm;
}

static amps_gemm vector_of(const amps_record *record)
{
    const anymps_matrix_vector_desc *const desc = record->desc;
    const amps_view *const matrix = &record->operands[0];
    amps_gemm gemm = vector_sizes(desc, amps_view_row(matrix));
    set_vector(matrix, &gemm.params.right, &gemm.params.right_matrix);
    set_vector(&record->operands[1], &gemm.params.left, &gemm.params.left_matrix);
    set_vector(&record->operands[2], &gemm.params.result, &gemm.params.result_matrix);
    gemm.params.batch = (int64_t)record->batch;
    return gemm;
}

static size_t vector_scratch(amps_cuda_device *device, const amps_record *record)
{
    const amps_gemm gemm = vector_of(record);
    return amps_cuda_gemm_scratch(device, &gemm);
}

static anymps_status vector_emit(amps_cuda_emitter *out, const amps_record *record)
{
    amps_gemm gemm = vector_of(record);
    gemm.left_settled = amps_cuda_is_settled(out, record, 1);
    gemm.right_settled = amps_cuda_is_settled(out, record, 0);
    return amps_cuda_gemm_emit(out, &gemm);
}

static anymps_status vector_prepare(amps_cuda_device *device, const void *desc, char *explain, size_t size)
{
    const anymps_matrix_vector_desc *const vector = desc;
    const amps_gemm gemm = vector_sizes(vector, (int64_t)(vector->transpose ? vector->rows : vector->columns));
    return amps_cuda_gemm_prepare(device, &gemm, explain, size);
}

const amps_cuda_operator amps_cuda_matrix_vector = {
    .supports = supports_product, .prepare = vector_prepare, .scratch = vector_scratch, .emit = vector_emit};

/* ---- fully_connected: bias and activation at the end ------------------------------------------ */

static amps_gemm layer_of(const amps_record *record)
{
    enum { SOURCE, WEIGHTS, BIAS, PRELU, RESULT };
    const anymps_fully_connected_desc *const desc = record->desc;
    const amps_view *const at = record->operands;
    amps_gemm gemm = {.kind = amps_gemm_kind_of(desc->dtype, desc->dtype, desc->dtype),
                      .options = desc->options,
                      .algorithm = desc->algorithm};
    amps_gemm_set_left(&gemm, &at[SOURCE], false);
    amps_gemm_set_right(&gemm, &at[WEIGHTS], desc->transpose_weights);
    set_vector(&at[RESULT], &gemm.params.result, &gemm.params.result_matrix);
    set_vector(&at[BIAS], &gemm.params.bias, &gemm.params.bias_matrix);
    set_vector(&at[PRELU], &gemm.params.prelu, &gemm.params.prelu_matrix);
    gemm.params.result_row = amps_view_row(&at[RESULT]);
    gemm.params.result_column = 1;
    gemm.params.rows = (int64_t)at[RESULT].rows;
    gemm.params.columns = (int64_t)at[RESULT].columns;
    gemm.params.interior = (int64_t)at[SOURCE].columns;
    gemm.params.batch = (int64_t)record->batch;
    set_factors(&gemm, desc->alpha, 0.0);
    gemm.params.neuron = (amps_neuron_params){(int32_t)desc->neuron, desc->a, desc->b, desc->c};
    return gemm;
}

static size_t layer_scratch(amps_cuda_device *device, const amps_record *record)
{
    const amps_gemm gemm = layer_of(record);
    return amps_cuda_gemm_scratch(device, &gemm);
}

static anymps_status layer_emit(amps_cuda_emitter *out, const amps_record *record)
{
    amps_gemm gemm = layer_of(record);
    gemm.left_settled = amps_cuda_is_settled(out, record, 0);
    gemm.right_settled = amps_cuda_is_settled(out, record, 1);
    return amps_cuda_gemm_emit(out, &gemm);
}

/* Sizes may be open until encode; then the explanation names the type only. */
static anymps_status layer_prepare(amps_cuda_device *device, const void *desc, char *explain, size_t size)
{
    const anymps_fully_connected_desc *const layer = desc;
    const bool open = layer->rows == ANYMPS_ALL || layer->inputs == ANYMPS_ALL || layer->outputs == ANYMPS_ALL;
    amps_gemm gemm = {.kind = amps_gemm_kind_of(layer->dtype, layer->dtype, layer->dtype),
                      .options = layer->options,
                      .algorithm = layer->algorithm};
    gemm.params.rows = open ? 64 : (int64_t)layer->rows;
    gemm.params.columns = open ? 64 : (int64_t)layer->outputs;
    gemm.params.interior = open ? 64 : (int64_t)layer->inputs;
    gemm.params.batch = 1;
    set_factors(&gemm, layer->alpha, 0.0);
    gemm.params.neuron.type = (int32_t)layer->neuron;
    if (open) {
        gemm.options &= ~(uint32_t)ANYMPS_MEASURE; /* nothing to measure yet */
    }
    amps_gemm_set_dense(&gemm, false, layer->transpose_weights);
    return amps_cuda_gemm_prepare(device, &gemm, explain, size);
}

const amps_cuda_operator amps_cuda_fully_connected = {
    .supports = amps_cuda_supports_float, .prepare = layer_prepare, .scratch = layer_scratch, .emit = layer_emit};
