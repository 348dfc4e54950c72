/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c: workspace, kernels and the recorded network. See plan.h. */
#include "plan.h"

#include <math.h>
#include <string.h>

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        const anymps_status try_status = (call);                                                                       \
        if (try_status != ANYMPS_OK) {                                                                                 \
            return try_status;                                                                                         \
        }                                                                                                              \
    } while (0)

/* ---- Workspace --------------------------------------------------------------------------------- */

static anymps_status make_buffer(const model *m, size_t elements, anymps_buffer **buffer)
{
    return anymps_buffer_create(m->device, elements * anymps_dtype_bytes(m->dtype), ANYMPS_STORAGE_SHARED, buffer);
}

static anymps_status make_constants(model *m)
{
    float ones[MINILM_WIDTH], scale[MINILM_WIDTH];
    uint16_t narrow_ones[MINILM_WIDTH];
    for (size_t i = 0; i < MINILM_WIDTH; i++) {
        ones[i] = 1.0f;
        narrow_ones[i] = m->dtype == ANYMPS_DTYPE_F16 ? 0x3c00 : 0x3f80; /* 1.0 */
        scale[i] = 1.0f / sqrtf((float)MINILM_WIDTH);
    }
    const bool wide = m->dtype == ANYMPS_DTYPE_F32;
    TRY(anymps_buffer_create_with_bytes(m->device, wide ? (const void *)ones : narrow_ones,
                                        wide ? sizeof ones : sizeof narrow_ones, ANYMPS_STORAGE_SHARED, &m->room.ones));
    return anymps_buffer_create_with_bytes(m->device, scale, sizeof scale, ANYMPS_STORAGE_SHARED, &m->room.scale);
}

static anymps_status make_workspace(model *m)
{
    workspace *const r = &m->room;
    const size_t wide = (size_t)MINILM_BATCH_TOKENS * MINILM_WIDTH;
    TRY(make_buffer(m, wide, &r->x));
    TRY(make_buffer(m, wide, &r->query));
    TRY(make_buffer(m, wide, &r->key));
    TRY(make_buffer(m, wide, &r->value));
    TRY(make_buffer(m, wide, &r->context));
    TRY(make_buffer(m, (size_t)MINILM_BATCH_TOKENS * MINILM_INNER, &r->inner));
    TRY(make_buffer(m, MINILM_SCORES, &r->scores));
    TRY(anymps_buffer_create(m->device, sizeof(float) * MINILM_BATCH_SENTENCES * MINILM_WIDTH, ANYMPS_STORAGE_SHARED,
                             &r->mean));
    return make_constants(m);
}

/* ---- Kernels ----------------------------------------------------------------------------------- */

static anymps_status make_dense(const model *m, anymps_neuron_type neuron, anymps_kernel **kernel)
{
    anymps_fully_connected_desc desc = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    desc.transpose_weights = true; /* stored outputs × inputs */
    desc.neuron = neuron;
    desc.dtype = m->dtype;
    return anymps_fully_connected_create(m->device, &desc, kernel);
}

static anymps_status make_kernels(model *m)
{
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    anymps_norm_desc layer_norm = ANYMPS_NORM_DESC_INIT;
    softmax.scale = 1.0 / sqrt((double)MINILM_HEAD);
    softmax.dtype = m->dtype;
    layer_norm.epsilon = 1e-12; /* config.json */
    layer_norm.dtype = m->dtype;
    TRY(make_dense(m, ANYMPS_NEURON_NONE, &m->kernels.dense));
    TRY(make_dense(m, ANYMPS_NEURON_GELU, &m->kernels.dense_gelu));
    TRY(anymps_softmax_create(m->device, &softmax, &m->kernels.softmax));
    TRY(anymps_layer_norm_create(m->device, &layer_norm, &m->kernels.norm));
    /* x / sqrt(mean x² + tiny) / sqrt(width) has length 1. */
    layer_norm.epsilon = 1e-30;
    layer_norm.dtype = ANYMPS_DTYPE_F32;
    return anymps_rms_norm_create(m->device, &layer_norm, &m->kernels.unit);
}

static anymps_status make_product(const model *m, size_t rows, size_t columns, size_t interior, bool transpose_right,
                                  double alpha, anymps_dtype result, anymps_kernel **kernel)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    if (*kernel != NULL) {
        return ANYMPS_OK;
    }
    desc.rows = rows;
    desc.columns = columns;
    desc.interior = interior;
    desc.transpose_right = transpose_right;
    desc.alpha = alpha;
    desc.left_dtype = m->dtype;
    desc.right_dtype = m->dtype;
    desc.result_dtype = result;
    return anymps_matmul_create(m->device, &desc, kernel);
}

/* The products of a sentence of n tokens: scores = Q·Kᵀ, context = scores·V, mean = 1/n·(1…1)·X. */
static anymps_status make_length(model *m, size_t n)
{
    TRY(make_product(m, n, n, MINILM_HEAD, true, 1.0, m->dtype, &m->kernels.score[n]));
    TRY(make_product(m, n, MINILM_HEAD, n, false, 1.0, m->dtype, &m->kernels.weigh[n]));
    return make_product(m, 1, MINILM_WIDTH, n, false, 1.0 / (double)n, ANYMPS_DTYPE_F32, &m->kernels.mean[n]);
}

anymps_status model_prepare(model *m)
{
    TRY(make_workspace(m));
    return make_kernels(m);
}

void model_close(model *m)
{
    anymps_buffer *const buffers[] = {m->room.x,     m->room.query,  m->room.key,  m->room.value, m->room.context,
                                      m->room.inner, m->room.scores, m->room.mean, m->room.ones,  m->room.scale};
    anymps_kernel *const fixed[] = {m->kernels.dense, m->kernels.dense_gelu, m->kernels.softmax, m->kernels.norm,
                                    m->kernels.unit};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        anymps_buffer_release(buffers[i]);
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        anymps_kernel_release(fixed[i]);
    }
    for (size_t n = 0; n <= MINILM_MOST_TOKENS; n++) {
        anymps_kernel_release(m->kernels.score[n]);
        anymps_kernel_release(m->kernels.weigh[n]);
        anymps_kernel_release(m->kernels.mean[n]);
    }
    weights_close(&m->weights);
    anymps_queue_release(m->queue);
    anymps_device_release(m->device);
    memset(m, 0, sizeof *m);
}

/* ---- Recording --------------------------------------------------------------------------------- */

/* The views of one plan; the command buffer keeps what it uses, so all are released after recording. */
typedef struct views {
    anymps_matrix *x, *query, *key, *value, *context, *inner; /* all tokens */
} views;

static anymps_status view(anymps_buffer *buffer, anymps_dtype dtype, size_t first_row, size_t rows, size_t columns,
                          anymps_matrix **matrix)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    return anymps_matrix_create(buffer, first_row * columns * anymps_dtype_bytes(dtype), &desc, matrix);
}

/* The rows of one sentence as 12 matrices side by side, n × 32 each. */
static anymps_status view_heads(anymps_buffer *buffer, anymps_dtype dtype, size_t first_row, size_t rows,
                                anymps_matrix **matrix)
{
    const size_t element = anymps_dtype_bytes(dtype);
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, MINILM_HEAD, dtype);
    desc.matrices = MINILM_HEADS;
    desc.row_bytes = MINILM_WIDTH * element;
    desc.matrix_bytes = MINILM_HEAD * element;
    return anymps_matrix_create(buffer, first_row * desc.row_bytes, &desc, matrix);
}

/* The scores of one sentence: 12 matrices n × n, `first` elements from the beginning. */
static anymps_status view_scores(const model *m, size_t first, size_t n, anymps_matrix **matrix)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(n, n, m->dtype);
    desc.matrices = MINILM_HEADS;
    return anymps_matrix_create(m->room.scores, first * anymps_dtype_bytes(m->dtype), &desc, matrix);
}

static anymps_status encode_dense(anymps_kernel *kernel, plan *p, anymps_matrix *source, const dense *d,
                                  anymps_matrix *result)
{
    return anymps_fully_connected_encode(kernel, p->commands, source, d->weight, d->bias, NULL, result, NULL);
}

/* x = norm(source + x) */
static anymps_status encode_norm(model *m, plan *p, anymps_matrix *source, const norm *n, anymps_matrix *x)
{
    return anymps_layer_norm_encode(m->kernels.norm, p->commands, source, x, n->weight, n->bias, x, NULL);
}

/* One product of attention over the heads of one sentence, on three views that are released again. */
static anymps_status encode_heads(model *m, plan *p, size_t row, size_t n, size_t first_score)
{
    const anymps_dtype type = m->dtype;
    anymps_matrix *query = NULL, *key = NULL, *value = NULL, *context = NULL, *scores = NULL;
    anymps_status status = view_heads(m->room.query, type, row, n, &query);
    status = status != ANYMPS_OK ? status : view_heads(m->room.key, type, row, n, &key);
    status = status != ANYMPS_OK ? status : view_heads(m->room.value, type, row, n, &value);
    status = status != ANYMPS_OK ? status : view_heads(m->room.context, type, row, n, &context);
    status = status != ANYMPS_OK ? status : view_scores(m, first_score, n, &scores);
    status =
        status != ANYMPS_OK ? status : anymps_matmul_encode(m->kernels.score[n], p->commands, query, key, scores, NULL);
    status =
        status != ANYMPS_OK ? status : anymps_softmax_encode(m->kernels.softmax, p->commands, scores, scores, NULL);
    status = status != ANYMPS_OK ? status
                                 : anymps_matmul_encode(m->kernels.weigh[n], p->commands, scores, value, context, NULL);
    anymps_matrix_release(query);
    anymps_matrix_release(key);
    anymps_matrix_release(value);
    anymps_matrix_release(context);
    anymps_matrix_release(scores);
    return status;
}

static anymps_status encode_attention(model *m, plan *p)
{
    size_t row = 0, first_score = 0;
    for (size_t s = 0; s < p->count; s++) {
        const size_t n = p->lengths[s];
        TRY(encode_heads(m, p, row, n, first_score));
        row += n;
        first_score += MINILM_HEADS * n * n;
    }
    return ANYMPS_OK;
}

static anymps_status encode_layer(model *m, plan *p, const layer *l, const views *v)
{
    TRY(encode_dense(m->kernels.dense, p, v->x, &l->query, v->query));
    TRY(encode_dense(m->kernels.dense, p, v->x, &l->key, v->key));
    TRY(encode_dense(m->kernels.dense, p, v->x, &l->value, v->value));
    TRY(encode_attention(m, p));
    TRY(encode_dense(m->kernels.dense, p, v->context, &l->attention, v->query));
    TRY(encode_norm(m, p, v->query, &l->attention_norm, v->x));
    TRY(encode_dense(m->kernels.dense_gelu, p, v->x, &l->inner, v->inner));
    TRY(encode_dense(m->kernels.dense, p, v->inner, &l->output, v->query));
    return encode_norm(m, p, v->query, &l->output_norm, v->x);
}

/* mean[s] = (1…1)·X of sentence s / n */
static anymps_status encode_mean(model *m, plan *p, size_t s, size_t row)
{
    const size_t n = p->lengths[s];
    anymps_matrix *ones = NULL, *x = NULL, *mean = NULL;
    anymps_status status = view(m->room.ones, m->dtype, 0, 1, n, &ones);
    status = status != ANYMPS_OK ? status : view(m->room.x, m->dtype, row, n, MINILM_WIDTH, &x);
    status = status != ANYMPS_OK ? status : view(m->room.mean, ANYMPS_DTYPE_F32, s, 1, MINILM_WIDTH, &mean);
    status = status != ANYMPS_OK ? status : anymps_matmul_encode(m->kernels.mean[n], p->commands, ones, x, mean, NULL);
    anymps_matrix_release(ones);
    anymps_matrix_release(x);
    anymps_matrix_release(mean);
    return status;
}

/* The means, then all of them to length 1. */
static anymps_status encode_pooling(model *m, plan *p)
{
    const anymps_vector_desc desc = anymps_vector_desc_make(MINILM_WIDTH, ANYMPS_DTYPE_F32);
    anymps_matrix *mean = NULL;
    anymps_vector *scale = NULL;
    for (size_t s = 0, row = 0; s < p->count; row += p->lengths[s++]) {
        TRY(encode_mean(m, p, s, row));
    }
    anymps_status status = view(m->room.mean, ANYMPS_DTYPE_F32, 0, p->count, MINILM_WIDTH, &mean);
    status = status != ANYMPS_OK ? status : anymps_vector_create(m->room.scale, 0, &desc, &scale);
    status = status != ANYMPS_OK
                 ? status
                 : anymps_rms_norm_encode(m->kernels.unit, p->commands, mean, NULL, scale, NULL, mean, NULL);
    anymps_matrix_release(mean);
    anymps_vector_release(scale);
    return status;
}

static anymps_status make_views(const model *m, size_t tokens, views *v)
{
    const workspace *const r = &m->room;
    TRY(view(r->x, m->dtype, 0, tokens, MINILM_WIDTH, &v->x));
    TRY(view(r->query, m->dtype, 0, tokens, MINILM_WIDTH, &v->query));
    TRY(view(r->key, m->dtype, 0, tokens, MINILM_WIDTH, &v->key));
    TRY(view(r->value, m->dtype, 0, tokens, MINILM_WIDTH, &v->value));
    TRY(view(r->context, m->dtype, 0, tokens, MINILM_WIDTH, &v->context));
    return view(r->inner, m->dtype, 0, tokens, MINILM_INNER, &v->inner);
}

static void release_views(const views *v)
{
    anymps_matrix *const all[] = {v->x, v->query, v->key, v->value, v->context, v->inner};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
}

static anymps_status encode_network(model *m, plan *p, const views *v)
{
    const weights *const w = &m->weights;
    TRY(anymps_layer_norm_encode(m->kernels.norm, p->commands, v->x, NULL, w->norm.weight, w->norm.bias, v->x, NULL));
    for (int i = 0; i < MINILM_LAYERS; i++) {
        TRY(encode_layer(m, p, &w->layers[i], v));
    }
    return encode_pooling(m, p);
}

anymps_status plan_record(model *m, const size_t *lengths, size_t count, plan *out)
{
    plan p = {.count = count};
    views v = {0};
    for (size_t i = 0; i < count; i++) {
        TRY(make_length(m, lengths[i]));
        p.lengths[i] = lengths[i];
        p.tokens += lengths[i];
    }
    anymps_status status = anymps_command_buffer_create(m->queue, &p.commands);
    status = status != ANYMPS_OK ? status : make_views(m, p.tokens, &v);
    status = status != ANYMPS_OK ? status : encode_network(m, &p, &v);
    release_views(&v);
    if (status != ANYMPS_OK) {
        anymps_command_buffer_release(p.commands);
        return status;
    }
    *out = p;
    return ANYMPS_OK;
}

void plan_close(plan *p)
{
    anymps_command_buffer_release(p->commands);
    memset(p, 0, sizeof *p);
}
