/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dlpack_ops.c: the one-call forms of the operators on DLPack tensors. See anymps/dlpack.h.
 *
 * Each wraps its tensors for the length of the call, folds a transposed operand into the operator's
 * transpose flag and calls the one-call form on matrices. Owns nothing beyond the call; calls the public
 * API only.
 */
#include "base/status.h"
#include "base/versioned.h"
#include "interop/tensor.h"

#include <string.h>

/* The wrapped operands of one call, released together. */
enum { MOST_OPERANDS = 5 };
typedef struct operands {
    anymps_device *device;
    const char *operation;
    anymps_matrix *matrices[MOST_OPERANDS];
    anymps_vector *vectors[MOST_OPERANDS];
    size_t matrix_count;
    size_t vector_count;
    unsigned char spare[16]; /* stands for the memory of tensors without elements */
} operands;

static void release_all(operands *o)
{
    for (size_t i = 0; i < o->matrix_count; i++) {
        anymps_matrix_release(o->matrices[i]);
    }
    for (size_t i = 0; i < o->vector_count; i++) {
        anymps_vector_release(o->vectors[i]);
    }
}

typedef enum direction { READ, WRITE } direction;

/* `transposed` NULL: the operator has no flag for this operand. A NULL tensor gives a NULL matrix. */
static anymps_status take_matrix(operands *o, const char *name, const struct DLTensor *tensor, direction way,
                                 bool *transposed, anymps_matrix **matrix)
{
    if (tensor == NULL) {
        *matrix = NULL;
        return ANYMPS_OK;
    }
    amps_tensor checked;
    anymps_buffer *buffer = NULL;
    ANYMPS_TRY(amps_tensor_check(o->operation, o->device, tensor, &checked));
    ANYMPS_TRY(amps_tensor_expect_matrix(&checked));
    ANYMPS_FAIL_IF(checked.info.transposed && transposed == NULL, ANYMPS_SHAPE_MISMATCH,
                   "%s: %s is transposed and must be row-major: make it contiguous", o->operation, name);
    ANYMPS_TRY(amps_tensor_wrap(o->device, &checked, way == READ, o->spare, NULL, NULL, &buffer));
    const anymps_status status = amps_tensor_matrix(&checked, buffer, matrix);
    anymps_buffer_release(buffer);
    if (status == ANYMPS_OK) {
        o->matrices[o->matrix_count++] = *matrix;
        if (transposed != NULL) {
            *transposed = checked.info.transposed;
        }
    }
    return status;
}

static anymps_status take_vector(operands *o, const struct DLTensor *tensor, direction way, anymps_vector **vector)
{
    if (tensor == NULL) {
        *vector = NULL;
        return ANYMPS_OK;
    }
    amps_tensor checked;
    anymps_buffer *buffer = NULL;
    ANYMPS_TRY(amps_tensor_check(o->operation, o->device, tensor, &checked));
    ANYMPS_TRY(amps_tensor_expect_vector(&checked));
    ANYMPS_TRY(amps_tensor_wrap(o->device, &checked, way == READ, o->spare, NULL, NULL, &buffer));
    const anymps_status status = amps_tensor_vector(&checked, buffer, vector);
    anymps_buffer_release(buffer);
    if (status == ANYMPS_OK) {
        o->vectors[o->vector_count++] = *vector;
    }
    return status;
}

/* Operands that may not be NULL are told here, by name; the operator sees a NULL matrix otherwise. */
static anymps_status need(const char *operation, const char *name, const struct DLTensor *tensor)
{
    ANYMPS_FAIL_IF(tensor == NULL, ANYMPS_INVALID_ARGUMENT, "%s: %s must not be NULL", operation, name);
    return ANYMPS_OK;
}

/* The caller's descriptor, or the default, as a copy that may be changed. */
static anymps_status copy_desc(const char *operation, void *copy, size_t size, const void *given)
{
    return given != NULL ? amps_struct_read(operation, given, copy, size) : ANYMPS_OK;
}

/* ---- matmul, matrix_vector --------------------------------------------------------------------- */

static anymps_status run_matmul(operands *o, anymps_matmul_desc *desc, const struct DLTensor *left,
                                const struct DLTensor *right, const struct DLTensor *result)
{
    anymps_matrix *l = NULL, *r = NULL, *out = NULL;
    bool left_transposed = false, right_transposed = false;
    ANYMPS_TRY(take_matrix(o, "left", left, READ, &left_transposed, &l));
    ANYMPS_TRY(take_matrix(o, "right", right, READ, &right_transposed, &r));
    ANYMPS_TRY(take_matrix(o, "result", result, WRITE, NULL, &out));
    desc->transpose_left = desc->transpose_left != left_transposed;
    desc->transpose_right = desc->transpose_right != right_transposed;
    return anymps_matmul(desc, l, r, out);
}

anymps_status anymps_matmul_tensors(anymps_device *device, const anymps_matmul_desc *desc, const struct DLTensor *left,
                                    const struct DLTensor *right, const struct DLTensor *result)
{
    anymps_matmul_desc copy = ANYMPS_MATMUL_DESC_INIT;
    operands o = {.device = device, .operation = "matmul"};
    ANYMPS_TRY(copy_desc(o.operation, &copy, sizeof copy, desc));
    ANYMPS_TRY(need(o.operation, "left", left));
    ANYMPS_TRY(need(o.operation, "right", right));
    ANYMPS_TRY(need(o.operation, "result", result));
    const anymps_status status = run_matmul(&o, &copy, left, right, result);
    release_all(&o);
    return status;
}

static anymps_status run_matrix_vector(operands *o, anymps_matrix_vector_desc *desc, const struct DLTensor *matrix,
                                       const struct DLTensor *vector, const struct DLTensor *result)
{
    anymps_matrix *m = NULL;
    anymps_vector *v = NULL, *out = NULL;
    bool transposed = false;
    ANYMPS_TRY(take_matrix(o, "matrix", matrix, READ, &transposed, &m));
    ANYMPS_TRY(take_vector(o, vector, READ, &v));
    ANYMPS_TRY(take_vector(o, result, WRITE, &out));
    desc->transpose = desc->transpose != transposed;
    return anymps_matrix_vector(desc, m, v, out);
}

anymps_status anymps_matrix_vector_tensors(anymps_device *device, const anymps_matrix_vector_desc *desc,
                                           const struct DLTensor *matrix, const struct DLTensor *vector,
                                           const struct DLTensor *result)
{
    anymps_matrix_vector_desc copy = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    operands o = {.device = device, .operation = "matrix_vector"};
    ANYMPS_TRY(copy_desc(o.operation, &copy, sizeof copy, desc));
    ANYMPS_TRY(need(o.operation, "matrix", matrix));
    ANYMPS_TRY(need(o.operation, "vector", vector));
    ANYMPS_TRY(need(o.operation, "result", result));
    const anymps_status status = run_matrix_vector(&o, &copy, matrix, vector, result);
    release_all(&o);
    return status;
}

/* ---- neuron, fully_connected ------------------------------------------------------------------- */

static anymps_status run_neuron(operands *o, const anymps_neuron_desc *desc, const struct DLTensor *source,
                                const struct DLTensor *bias, const struct DLTensor *prelu,
                                const struct DLTensor *result)
{
    anymps_matrix *s = NULL, *out = NULL;
    anymps_vector *b = NULL, *p = NULL;
    ANYMPS_TRY(take_matrix(o, "source", source, READ, NULL, &s));
    ANYMPS_TRY(take_vector(o, bias, READ, &b));
    ANYMPS_TRY(take_vector(o, prelu, READ, &p));
    ANYMPS_TRY(take_matrix(o, "result", result, WRITE, NULL, &out));
    return anymps_neuron(desc, s, b, p, out);
}

anymps_status anymps_neuron_tensors(anymps_device *device, const anymps_neuron_desc *desc,
                                    const struct DLTensor *source, const struct DLTensor *bias,
                                    const struct DLTensor *prelu, const struct DLTensor *result)
{
    operands o = {.device = device, .operation = "neuron"};
    ANYMPS_TRY(need(o.operation, "source", source));
    ANYMPS_TRY(need(o.operation, "result", result));
    const anymps_status status = run_neuron(&o, desc, source, bias, prelu, result);
    release_all(&o);
    return status;
}

static anymps_status run_fully_connected(operands *o, anymps_fully_connected_desc *desc, const struct DLTensor *source,
                                         const struct DLTensor *weights, const struct DLTensor *bias,
                                         const struct DLTensor *prelu, const struct DLTensor *result)
{
    anymps_matrix *s = NULL, *w = NULL, *out = NULL;
    anymps_vector *b = NULL, *p = NULL;
    bool transposed = false;
    ANYMPS_TRY(take_matrix(o, "source", source, READ, NULL, &s));
    ANYMPS_TRY(take_matrix(o, "weights", weights, READ, &transposed, &w));
    ANYMPS_TRY(take_vector(o, bias, READ, &b));
    ANYMPS_TRY(take_vector(o, prelu, READ, &p));
    ANYMPS_TRY(take_matrix(o, "result", result, WRITE, NULL, &out));
    desc->transpose_weights = desc->transpose_weights != transposed;
    return anymps_fully_connected(desc, s, w, b, p, out);
}

anymps_status anymps_fully_connected_tensors(anymps_device *device, const anymps_fully_connected_desc *desc,
                                             const struct DLTensor *source, const struct DLTensor *weights,
                                             const struct DLTensor *bias, const struct DLTensor *prelu,
                                             const struct DLTensor *result)
{
    anymps_fully_connected_desc copy = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    operands o = {.device = device, .operation = "fully_connected"};
    ANYMPS_TRY(copy_desc(o.operation, &copy, sizeof copy, desc));
    ANYMPS_TRY(need(o.operation, "source", source));
    ANYMPS_TRY(need(o.operation, "weights", weights));
    ANYMPS_TRY(need(o.operation, "result", result));
    const anymps_status status = run_fully_connected(&o, &copy, source, weights, bias, prelu, result);
    release_all(&o);
    return status;
}

/* ---- softmax, log_softmax ---------------------------------------------------------------------- */

typedef anymps_status (*softmax_call)(const anymps_softmax_desc *desc, anymps_matrix *source, anymps_matrix *result);

static anymps_status softmax_tensors(operands *o, softmax_call call, const anymps_softmax_desc *desc,
                                     const struct DLTensor *source, const struct DLTensor *result)
{
    anymps_matrix *s = NULL, *out = NULL;
    ANYMPS_TRY(need(o->operation, "source", source));
    ANYMPS_TRY(need(o->operation, "result", result));
    ANYMPS_TRY(take_matrix(o, "source", source, READ, NULL, &s));
    ANYMPS_TRY(take_matrix(o, "result", result, WRITE, NULL, &out));
    return call(desc, s, out);
}

anymps_status anymps_softmax_tensors(anymps_device *device, const anymps_softmax_desc *desc,
                                     const struct DLTensor *source, const struct DLTensor *result)
{
    operands o = {.device = device, .operation = "softmax"};
    const anymps_status status = softmax_tensors(&o, anymps_softmax, desc, source, result);
    release_all(&o);
    return status;
}

anymps_status anymps_log_softmax_tensors(anymps_device *device, const anymps_softmax_desc *desc,
                                         const struct DLTensor *source, const struct DLTensor *result)
{
    operands o = {.device = device, .operation = "log_softmax"};
    const anymps_status status = softmax_tensors(&o, anymps_log_softmax, desc, source, result);
    release_all(&o);
    return status;
}

/* ---- rms_norm, layer_norm ---------------------------------------------------------------------- */

typedef anymps_status (*norm_call)(const anymps_norm_desc *desc, anymps_matrix *source, anymps_matrix *residual,
                                   anymps_vector *weight, anymps_vector *bias, anymps_matrix *result);

typedef struct norm_tensors {
    const struct DLTensor *source, *residual, *weight, *bias, *result;
} norm_tensors;

static anymps_status run_norm(operands *o, norm_call call, const anymps_norm_desc *desc, const norm_tensors *t)
{
    anymps_matrix *s = NULL, *r = NULL, *out = NULL;
    anymps_vector *w = NULL, *b = NULL;
    ANYMPS_TRY(need(o->operation, "source", t->source));
    ANYMPS_TRY(need(o->operation, "result", t->result));
    ANYMPS_TRY(take_matrix(o, "source", t->source, READ, NULL, &s));
    ANYMPS_TRY(take_matrix(o, "residual", t->residual, WRITE, NULL, &r)); /* the sum is written back */
    ANYMPS_TRY(take_vector(o, t->weight, READ, &w));
    ANYMPS_TRY(take_vector(o, t->bias, READ, &b));
    ANYMPS_TRY(take_matrix(o, "result", t->result, WRITE, NULL, &out));
    return call(desc, s, r, w, b, out);
}

anymps_status anymps_rms_norm_tensors(anymps_device *device, const anymps_norm_desc *desc,
                                      const struct DLTensor *source, const struct DLTensor *residual,
                                      const struct DLTensor *weight, const struct DLTensor *bias,
                                      const struct DLTensor *result)
{
    operands o = {.device = device, .operation = "rms_norm"};
    const anymps_status status =
        run_norm(&o, anymps_rms_norm, desc, &(norm_tensors){source, residual, weight, bias, result});
    release_all(&o);
    return status;
}

anymps_status anymps_layer_norm_tensors(anymps_device *device, const anymps_norm_desc *desc,
                                        const struct DLTensor *source, const struct DLTensor *residual,
                                        const struct DLTensor *weight, const struct DLTensor *bias,
                                        const struct DLTensor *result)
{
    operands o = {.device = device, .operation = "layer_norm"};
    const anymps_status status =
        run_norm(&o, anymps_layer_norm, desc, &(norm_tensors){source, residual, weight, bias, result});
    release_all(&o);
    return status;
}

/* ---- lora -------------------------------------------------------------------------------------- */

static anymps_status run_lora(operands *o, anymps_lora_desc *desc, const struct DLTensor *source,
                              const struct DLTensor *weights, const struct DLTensor *down, const struct DLTensor *up,
                              const struct DLTensor *result)
{
    anymps_matrix *s = NULL, *w = NULL, *d = NULL, *u = NULL, *out = NULL;
    bool weights_transposed = false, down_transposed = false, up_transposed = false;
    ANYMPS_TRY(take_matrix(o, "source", source, READ, NULL, &s));
    ANYMPS_TRY(take_matrix(o, "weights", weights, READ, &weights_transposed, &w));
    ANYMPS_TRY(take_matrix(o, "down", down, READ, &down_transposed, &d));
    ANYMPS_TRY(take_matrix(o, "up", up, READ, &up_transposed, &u));
    ANYMPS_TRY(take_matrix(o, "result", result, WRITE, NULL, &out));
    desc->transpose_weights = desc->transpose_weights != weights_transposed;
    desc->transpose_down = desc->transpose_down != down_transposed;
    desc->transpose_up = desc->transpose_up != up_transposed;
    return anymps_lora(desc, s, w, d, u, out);
}

anymps_status anymps_lora_tensors(anymps_device *device, const anymps_lora_desc *desc, const struct DLTensor *source,
                                  const struct DLTensor *weights, const struct DLTensor *down,
                                  const struct DLTensor *up, const struct DLTensor *result)
{
    anymps_lora_desc copy = ANYMPS_LORA_DESC_INIT;
    operands o = {.device = device, .operation = "lora"};
    ANYMPS_TRY(copy_desc(o.operation, &copy, sizeof copy, desc));
    ANYMPS_TRY(need(o.operation, "source", source));
    ANYMPS_TRY(need(o.operation, "down", down));
    ANYMPS_TRY(need(o.operation, "up", up));
    ANYMPS_TRY(need(o.operation, "result", result));
    const anymps_status status = run_lora(&o, &copy, source, weights, down, up, result);
    release_all(&o);
    return status;
}
