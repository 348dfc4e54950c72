/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_gemm.c: see metal_gemm.h. Called by ops/metal_matmul.c, metal_matrix_vector.c, metal_fully_connected.c.
 * Calls metal_plan.c, errata.c. The launch parameters mirror shaders/matmul.metal, matvec.metal and matmul_integer.metal.
 */
#include "metal_gemm.h"

#include "base/checked.h"
#include "base/status.h"

#include <string.h>

/* ---- May MPS? --------------------------------------------------------------------------------- */

amps_metal_product amps_metal_product_of(size_t rows, size_t columns, size_t interior, const anymps_dtype types[3])
{
    const size_t widest = amps_max(anymps_dtype_bytes(types[0]), anymps_dtype_bytes(types[2]));
    return (amps_metal_product){.rows = rows,
                                .columns = columns,
                                .interior = interior,
                                .element_bytes = widest,
                                .result_accumulates = types[2] == ANYMPS_DTYPE_F32};
}

static const char *probes_against(amps_metal_device *device, const anymps_dtype types[3], uint32_t options)
{
    static const amps_metal_erratum always[] = {AMPS_METAL_ERRATUM_beta_zero_reads, AMPS_METAL_ERRATUM_sliced_result};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
        if (amps_metal_probe(device, always[i])) {
            return amps_metal_errata[always[i]].text;
        }
    }
    const bool strict = types[0] == ANYMPS_DTYPE_F32 && (options & ANYMPS_ALLOW_REDUCED_PRECISION) == 0;
    return strict && amps_metal_probe(device, AMPS_METAL_ERRATUM_f32_reduced)
               ? amps_metal_errata[AMPS_METAL_ERRATUM_f32_reduced].text
               : NULL;
}

void amps_metal_gemm_ask(amps_metal_device *device, const amps_metal_product *product, uint32_t options,
                         amps_metal_question *question, const char **note)
{
    amps_metal_limits limits;
    amps_metal_erratum hit;
    *note = NULL;
    const bool may = amps_metal_errata_product(&device->facts, product, &limits, &hit);
    const char *const text = hit != AMPS_METAL_ERRATUM_COUNT ? amps_metal_errata[hit].text : NULL;
    if (!may) {
        question->avoid = text;
    } else {
        *note = text;
        question->avoid = probes_against(device, question->types, options);
    }
    question->multiplications = (double)product->rows * (double)product->columns * (double)product->interior;
}

/* ---- MPS -------------------------------------------------------------------------------------- */

amps_id amps_metal_multiplication(const amps_metal_device *device, const amps_metal_variant *variant,
                                  bool transpose_left, bool transpose_right, double alpha, uint32_t options)
{
    const amps_id object = amps_send_multiplication_init(
        amps_send_alloc(amps_class_named("MPSMatrixMultiplication")), device->device, transpose_left ? 1 : 0,
        transpose_right ? 1 : 0, variant->rows, variant->columns, variant->interior, alpha, variant->beta);
    if (object != NULL && (options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0) {
        amps_send_set_options(object, MPSKernelOptionsAllowReducedPrecision);
    }
    return object;
}

static void encode_matrices(amps_id object, amps_id command_buffer, const amps_id *operands)
{
    amps_send_multiplication_encode(object, command_buffer, operands[0], operands[1], operands[2]);
}

static void encode_vectors(amps_id object, amps_id command_buffer, const amps_id *operands)
{
    amps_send_vector_multiplication_encode(object, command_buffer, operands[0], operands[1], operands[2]);
}

/* The part of a stored matrix from (row, column) on. */
static amps_view part(const amps_view *view, size_t row, size_t rows, size_t column, size_t columns)
{
    amps_view cut = *view;
    cut.offset_bytes += row * view->row_bytes + column * amps_metal_element(view);
    cut.rows = rows;
    cut.columns = columns;
    return cut;
}

/* One piece of the product: where it begins, how large it is. */
typedef struct piece {
    size_t row, rows, column, columns, inner, inners;
} piece;

/* Adds the step for a piece of matrices [first, first + count). */
static anymps_status add_piece(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_gemm *gemm,
                               const piece *p, size_t first, size_t count)
{
    const amps_view left = gemm->transpose_left ? part(gemm->left, p->inner, p->inners, p->row, p->rows)
                                                : part(gemm->left, p->row, p->rows, p->inner, p->inners);
    const amps_metal_variant variant = {.class = AMPS_METAL_PRODUCT_CLASS,
                                        .rows = p->rows,
                                        .columns = p->columns,
                                        .interior = p->inners,
                                        .beta = p->inner == 0 ? gemm->beta : 1.0};
    amps_metal_mps_step step = {.batch = count};
    ANYMPS_TRY(amps_metal_matrix(plan, &left, first, count, &step.operands[0]));
    if (gemm->vector) {
        const amps_view right = part(gemm->right, 0, 1, p->inner, p->inners),
                        result = part(gemm->result, 0, 1, p->row, p->rows);
        ANYMPS_TRY(amps_metal_vector(plan, &right, first, count, &step.operands[1]));
        ANYMPS_TRY(amps_metal_vector(plan, &result, first, count, &step.operands[2]));
        step.encode = encode_vectors;
        step.set_batch = amps_send_binary_set_batch;
    } else {
        const amps_view right = gemm->transpose_right ? part(gemm->right, p->column, p->columns, p->inner, p->inners)
                                                      : part(gemm->right, p->inner, p->inners, p->column, p->columns);
        const amps_view result = part(gemm->result, p->row, p->rows, p->column, p->columns);
        ANYMPS_TRY(amps_metal_matrix(plan, &right, first, count, &step.operands[1]));
        ANYMPS_TRY(amps_metal_matrix(plan, &result, first, count, &step.operands[2]));
        step.encode = encode_matrices;
        step.set_batch = amps_send_multiplication_set_batch;
    }
    return amps_metal_add_mps(plan, kernel, &variant, &step);
}

static anymps_status add_pieces(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_gemm *gemm,
                                const amps_metal_limits *limits, size_t first, size_t count)
{
    piece p;
    for (p.row = 0; p.row < gemm->rows; p.row += p.rows) {
        p.rows = amps_min(gemm->rows - p.row, limits->rows);
        for (p.column = 0; p.column < gemm->columns; p.column += p.columns) {
            p.columns = amps_min(gemm->columns - p.column, limits->columns);
            for (p.inner = 0; p.inner < gemm->interior; p.inner += p.inners) {
                p.inners = amps_min(gemm->interior - p.inner, limits->interior);
                ANYMPS_TRY(add_piece(plan, kernel, gemm, &p, first, count));
            }
        }
    }
    return ANYMPS_OK;
}

static bool strides_allowed(const amps_metal_device *device, const amps_metal_gemm *gemm)
{
    const amps_view *const views[] = {gemm->left, gemm->right, gemm->result};
    for (size_t i = 0; i < (gemm->vector ? 1u : 3u); i++) {
        if (!amps_metal_errata_stride(&device->facts, views[i]->row_bytes / amps_metal_element(views[i]))) {
            return false;
        }
    }
    return true;
}

/* As amps_metal_stacked, for the operands that may be vectors. */
static bool right_stacked(const amps_view *view, const amps_metal_gemm *gemm)
{
    return gemm->vector ? gemm->batch == 1 || view->matrix_bytes >= view->columns * amps_metal_element(view)
                        : amps_metal_stacked(view, gemm->batch);
}

anymps_status amps_metal_gemm_mps(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_gemm *gemm,
                                  bool *done)
{
    const anymps_dtype types[3] = {gemm->left->dtype, gemm->right->dtype, gemm->result->dtype};
    const amps_metal_product product = amps_metal_product_of(gemm->rows, gemm->columns, gemm->interior, types);
    amps_metal_limits limits;
    amps_metal_erratum hit;
    *done =
        amps_metal_errata_product(&plan->device->facts, &product, &limits, &hit) && strides_allowed(plan->device, gemm);
    if (!*done) {
        return ANYMPS_OK;
    }
    const bool stacked = amps_metal_stacked(gemm->left, gemm->batch) && right_stacked(gemm->right, gemm) &&
                         right_stacked(gemm->result, gemm);
    const size_t most = stacked ? limits.batch : 1;
    for (size_t first = 0; first < gemm->batch; first += most) {
        ANYMPS_TRY(add_pieces(plan, kernel, gemm, &limits, first, amps_min(most, gemm->batch - first)));
    }
    return ANYMPS_OK;
}

void amps_metal_gemm_merge(amps_metal_gemm *gemm, amps_view *left, amps_view *result)
{
    const bool tight =
        left->matrix_bytes == gemm->rows * left->row_bytes && result->matrix_bytes == gemm->rows * result->row_bytes;
    const bool shares = gemm->right->matrix_bytes == 0 &&
                        (gemm->bias == NULL || gemm->bias->memory == NULL || gemm->bias->matrix_bytes == 0) &&
                        (gemm->prelu == NULL || gemm->prelu->memory == NULL || gemm->prelu->matrix_bytes == 0);
    if (gemm->batch < 2 || gemm->vector || gemm->transpose_left || !tight || !shares) {
        return;
    }
    gemm->rows *= gemm->batch; /* cannot overflow: the rows lie in memory */
    gemm->batch = 1;
    left->rows = gemm->rows;
    result->rows = gemm->rows;
    gemm->left = left;
    gemm->result = result;
}

/* ---- Own kernels ------------------------------------------------------------------------------ */

/* Elements between rows, columns and matrices of op(view). */
typedef struct strides {
    uint64_t row, column, matrix;
} strides;

typedef struct matmul_params {
    strides left, right;
    uint64_t result_row, result_matrix, bias_matrix, prelu_matrix;
    uint32_t rows, columns, interior;
    float alpha, beta;
    uint32_t has_beta, has_bias, neuron;
    float a, b, c;
    uint32_t padding; /* MSL pads to the alignment of ulong as well */
} matmul_params;
_Static_assert(sizeof(matmul_params) <= AMPS_METAL_MAX_PARAMS, "parameters must fit a step");

typedef struct integer_params {
    strides left, right;
    uint64_t result_row, result_matrix;
    double alpha, beta;
    uint32_t rows, columns, interior, has_beta, plain;
    uint32_t padding;
} integer_params;
_Static_assert(sizeof(integer_params) <= AMPS_METAL_MAX_PARAMS, "parameters must fit a step");

static strides strides_of(const amps_view *view, bool transposed, bool vector)
{
    const size_t element = amps_metal_element(view);
    const uint64_t row = view->row_bytes / element, matrix = view->matrix_bytes / element;
    if (vector) { /* a column of what lies in one row */
        return (strides){1, 0, matrix};
    }
    return transposed ? (strides){1, row, matrix} : (strides){row, 1, matrix};
}

typedef struct typed_function {
    anymps_dtype left, result;
    amps_metal_function tiled, simdgroup, vector;
} typed_function;

/* The own kernel for the product's types; simdgroup matrices came with Apple7. */
static anymps_status find_function(const amps_metal_device *device, const amps_metal_gemm *gemm,
                                   amps_metal_function *function)
{
    const anymps_dtype left = gemm->left->dtype, result = gemm->result->dtype;
#define PAIR(l, r, L, R)                                                                                               \
    {                                                                                                                  \
        ANYMPS_DTYPE_##L, ANYMPS_DTYPE_##R, AMPS_METAL_matmul_##l##_##r, AMPS_METAL_matmul_simdgroup_##l##_##r,        \
            AMPS_METAL_matvec_##l##_##r                                                                                \
    }
    static const typed_function functions[] = {
        PAIR(f32, f32, F32, F32),   PAIR(f16, f16, F16, F16), PAIR(f16, f32, F16, F32), PAIR(bf16, bf16, BF16, BF16),
        PAIR(bf16, f32, BF16, F32), PAIR(i8, f32, I8, F32),   PAIR(i8, f16, I8, F16),   PAIR(i16, f32, I16, F32)};
#undef PAIR
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (functions[i].left == left && functions[i].result == result) {
            *function = gemm->vector                      ? functions[i].vector
                        : device->facts.apple_family >= 7 ? functions[i].simdgroup
                                                          : functions[i].tiled;
            return ANYMPS_OK;
        }
    }
    return amps_fail(ANYMPS_UNSUPPORTED, "matmul: Metal has no kernel for %s to %s", anymps_dtype_name(left),
                     anymps_dtype_name(result));
}

static const amps_view not_given = {.memory = NULL};

static const amps_view *given(const amps_view *view)
{
    return view != NULL && view->memory != NULL ? view : &not_given;
}

static uint64_t matrix_elements(const amps_view *view)
{
    return view->memory != NULL ? view->matrix_bytes / amps_metal_element(view) : 0;
}

static amps_mtl_size tiles_of(const amps_metal_gemm *gemm)
{
    return (amps_mtl_size){(gemm->columns + 31) / 32, (gemm->rows + 31) / 32, gemm->batch};
}

static anymps_status own_integer(amps_metal_plan *plan, const amps_metal_gemm *gemm)
{
    const strides result = strides_of(gemm->result, false, gemm->vector);
    const bool beta = gemm->beta < 0.0 || gemm->beta > 0.0;
    const bool plain = !(gemm->alpha < 1.0 || gemm->alpha > 1.0) && (!beta || !(gemm->beta < 1.0 || gemm->beta > 1.0));
    const integer_params params = {.left = strides_of(gemm->left, gemm->transpose_left, false),
                                   .right = strides_of(gemm->right, gemm->transpose_right, gemm->vector),
                                   .result_row = result.row,
                                   .result_matrix = result.matrix,
                                   .alpha = gemm->alpha,
                                   .beta = gemm->beta,
                                   .rows = (uint32_t)gemm->rows,
                                   .columns = (uint32_t)gemm->columns,
                                   .interior = (uint32_t)gemm->interior,
                                   .has_beta = beta,
                                   .plain = plain};
    amps_metal_launch_step *launch;
    ANYMPS_TRY(
        amps_metal_add_launch(plan, AMPS_METAL_matmul_i8_i32, tiles_of(gemm), 128, &params, sizeof params, &launch));
    amps_metal_bind(launch, gemm->left, gemm->result);
    amps_metal_bind(launch, gemm->right, gemm->result);
    amps_metal_bind(launch, gemm->result, gemm->result);
    return ANYMPS_OK;
}

static anymps_status own_float(amps_metal_plan *plan, const amps_metal_gemm *gemm)
{
    const amps_view *const bias = given(gemm->bias), *const prelu = given(gemm->prelu);
    const strides result = strides_of(gemm->result, false, gemm->vector);
    const matmul_params params = {.left = strides_of(gemm->left, gemm->transpose_left, false),
                                  .right = strides_of(gemm->right, gemm->transpose_right, gemm->vector),
                                  .result_row = result.row,
                                  .result_matrix = result.matrix,
                                  .bias_matrix = matrix_elements(bias),
                                  .prelu_matrix = matrix_elements(prelu),
                                  .rows = (uint32_t)gemm->rows,
                                  .columns = (uint32_t)gemm->columns,
                                  .interior = (uint32_t)gemm->interior,
                                  .alpha = (float)gemm->alpha,
                                  .beta = (float)gemm->beta,
                                  .has_beta = gemm->beta < 0.0 || gemm->beta > 0.0,
                                  .has_bias = bias->memory != NULL,
                                  .neuron = (uint32_t)gemm->neuron,
                                  .a = gemm->a,
                                  .b = gemm->b,
                                  .c = gemm->c};
    const size_t block = params.left.column == 1 ? 4 : 32; /* rows of a threadgroup of matvec.metal */
    const amps_mtl_size blocks = {1, (gemm->rows + block - 1) / block, gemm->batch};
    amps_metal_function function = (amps_metal_function)0;
    ANYMPS_TRY(find_function(plan->device, gemm, &function));
    amps_metal_launch_step *launch;
    ANYMPS_TRY(amps_metal_add_launch(plan, function, gemm->vector ? blocks : tiles_of(gemm), 128, &params,
                                     sizeof params, &launch));
    amps_metal_bind(launch, gemm->left, gemm->result);
    amps_metal_bind(launch, gemm->right, gemm->result);
    if (!gemm->vector) { /* which has neither */
        amps_metal_bind(launch, bias, gemm->result);
        amps_metal_bind(launch, prelu, gemm->result);
    }
    amps_metal_bind(launch, gemm->result, gemm->result);
    return ANYMPS_OK;
}

anymps_status amps_metal_gemm_own(amps_metal_plan *plan, const amps_metal_gemm *gemm)
{
    ANYMPS_FAIL_IF(gemm->rows > UINT32_MAX || gemm->columns > UINT32_MAX || gemm->interior > UINT32_MAX,
                   ANYMPS_UNSUPPORTED, "matmul: %zu rows, %zu columns, interior %zu are beyond our Metal kernel's 2^32",
                   gemm->rows, gemm->columns, gemm->interior);
    return gemm->result->dtype == ANYMPS_DTYPE_I32 ? own_integer(plan, gemm) : own_float(plan, gemm);
}
