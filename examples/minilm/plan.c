/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c: workspace, kernels and the recorded network. See plan.h. */
#include "plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        const anymps_status try_status = (call);                                                                       \
        if (try_status != ANYMPS_OK) {                                                                                 \
            return try_status;                                                                                         \
        }                                                                                                              \
    } while (0)

/* ---- Workspace --------------------------------------------------------------------------------- */

static anymps_status make_buffer(const model *m, size_t bytes, anymps_storage storage, anymps_buffer **buffer)
{
    return anymps_buffer_create(m->device, bytes, storage, buffer);
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
                                        wide ? sizeof ones : sizeof narrow_ones, m->own, &m->room.ones));
    return anymps_buffer_create_with_bytes(m->device, scale, sizeof scale, m->own, &m->room.scale);
}

/* To nearest even; the sums of two embedding rows are far from the types' ends. A subnormal result is counted in units of
   2^-24, which is what adding 0.5 leaves of it. */
static uint16_t to_half(float value)
{
    uint32_t bits, small;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    const float raised = fabsf(value) + 0.5f;
    memcpy(&small, &raised, sizeof small);
    const uint32_t normal = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    return (uint16_t)(sign | (magnitude < 0x38800000 ? small - 0x3f000000 : normal));
}

static uint16_t to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static anymps_status make_places(model *m)
{
    enum { COUNT = MINILM_MOST_TOKENS * MINILM_WIDTH };
    const float *const positions = anymps_matrix_contents(m->weights.positions);
    const float *const type = anymps_matrix_contents(m->weights.types);
    float *const wide = calloc(COUNT, sizeof *wide);
    uint16_t *const narrow = calloc(COUNT, sizeof *narrow);
    anymps_status status = wide == NULL || narrow == NULL ? ANYMPS_OUT_OF_MEMORY : ANYMPS_OK;
    for (size_t i = 0; i < COUNT && status == ANYMPS_OK; i++) {
        wide[i] = positions[i] + type[i % MINILM_WIDTH];
        narrow[i] = m->dtype == ANYMPS_DTYPE_F16 ? to_half(wide[i]) : to_bfloat(wide[i]);
    }
    const void *const values = m->dtype == ANYMPS_DTYPE_F32 ? (const void *)wide : narrow;
    status = status != ANYMPS_OK
                 ? status
                 : anymps_buffer_create_with_bytes(m->device, values, COUNT * anymps_dtype_bytes(m->dtype), m->own,
                                                   &m->room.places);
    free(wide);
    free(narrow);
    return status;
}

static anymps_status make_workspace(model *m)
{
    workspace *const r = &m->room;
    const size_t wide = m->most_tokens * MINILM_WIDTH * anymps_dtype_bytes(m->dtype);
    const size_t sentences = sizeof(float) * MINILM_BATCH_SENTENCES * MINILM_WIDTH;
    TRY(make_buffer(m, wide, m->own, &r->x));
    if (m->own == ANYMPS_STORAGE_SHARED) {
        r->input = anymps_buffer_retain(r->x);
    } else {
        TRY(make_buffer(m, wide, ANYMPS_STORAGE_SHARED, &r->input));
    }
    TRY(make_buffer(m, 3 * wide, m->own, &r->heads));
    TRY(make_buffer(m, wide, m->own, &r->context));
    TRY(make_buffer(m, wide, m->own, &r->change));
    TRY(make_buffer(m, wide / MINILM_WIDTH * MINILM_INNER, m->own, &r->inner));
    TRY(make_buffer(m, wide / MINILM_WIDTH * MINILM_HEADS * MINILM_MOST_TOKENS, m->own, &r->scores));
    TRY(make_buffer(m, sentences, m->own, &r->mean));
    TRY(make_buffer(m, sentences, ANYMPS_STORAGE_SHARED, &r->result));
    TRY(make_places(m));
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
    anymps_neuron_desc copy = ANYMPS_NEURON_DESC_INIT;
    softmax.scale = 1.0 / sqrt((double)MINILM_HEAD);
    softmax.dtype = m->dtype;
    layer_norm.epsilon = 1e-12; /* config.json */
    layer_norm.dtype = m->dtype;
    copy.dtype = m->dtype;
    TRY(anymps_neuron_create(m->device, &copy, &m->kernels.copy));
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
    desc.algorithm = m->aside;
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
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    TRY(anymps_device_get_properties(m->device, &p));
    m->own = p.unified_memory ? ANYMPS_STORAGE_SHARED : ANYMPS_STORAGE_PRIVATE;
    const bool few = p.backend == ANYMPS_BACKEND_CPU && p.threads <= MINILM_FEW_THREADS;
    m->most_tokens = few ? MINILM_BATCH_TOKENS_FEW : MINILM_BATCH_TOKENS;
    m->aside = p.backend == ANYMPS_BACKEND_METAL ? ANYMPS_ALGORITHM_OWN : ANYMPS_ALGORITHM_AUTO;
    TRY(make_workspace(m));
    return make_kernels(m);
}

void model_close(model *m)
{
    const workspace *const r = &m->room;
    anymps_buffer *const buffers[] = {r->input,  r->x,    r->heads,  r->context, r->change, r->inner,
                                      r->scores, r->mean, r->result, r->ones,    r->scale,  r->places};
    anymps_kernel *const fixed[] = {m->kernels.dense, m->kernels.dense_gelu, m->kernels.softmax,
                                    m->kernels.norm,  m->kernels.unit,       m->kernels.copy};
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
    anymps_matrix *x, *heads, *context, *change, *inner; /* all tokens */
} views;

static anymps_status view(anymps_buffer *buffer, anymps_dtype dtype, size_t first_row, size_t rows, size_t columns,
                          anymps_matrix **matrix)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    return anymps_matrix_create(buffer, first_row * columns * anymps_dtype_bytes(dtype), &desc, matrix);
}

/* `count` matrices of rows × columns; everything in elements: where the first begins, from row to row, from one to the next. */
typedef struct pattern {
    size_t first, rows, columns, row, next, count;
} pattern;

static anymps_status view_pattern(anymps_buffer *buffer, anymps_dtype dtype, const pattern *p, anymps_matrix **matrix)
{
    const size_t element = anymps_dtype_bytes(dtype);
    anymps_matrix_desc desc = anymps_matrix_desc_make(p->rows, p->columns, dtype);
    desc.matrices = p->count;
    desc.row_bytes = p->row * element;
    desc.matrix_bytes = p->next * element;
    return anymps_matrix_create(buffer, p->first * element, &desc, matrix);
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

/* A third of every head of a run, side by side in the rows of the product for all three: `part` 0 query, 1 key, 2 value. */
static pattern heads_of(const run *r, size_t part)
{
    const size_t width = 3 * (size_t)MINILM_WIDTH, each = 3 * (size_t)MINILM_HEAD;
    return (pattern){
        r->row * width + part * MINILM_HEAD, r->length, MINILM_HEAD, r->count * width, each, r->count * MINILM_HEADS};
}

static pattern context_of(const run *r)
{
    const size_t row = r->count * MINILM_WIDTH;
    return (pattern){r->row * MINILM_WIDTH, r->length, MINILM_HEAD, row, MINILM_HEAD, r->count * MINILM_HEADS};
}

static pattern scores_of(const run *r)
{
    const size_t n = r->length;
    return (pattern){r->scores, n, n, n, n * n, r->count * MINILM_HEADS};
}

/* scores = query · keyᵀ of all heads of all sentences of the run; or context = scores · value. */
static anymps_status encode_product(model *m, plan *p, const run *r, bool weigh)
{
    const pattern scores = scores_of(r), context = context_of(r), query = heads_of(r, 0),
                  other = heads_of(r, weigh ? 2 : 1);
    anymps_buffer *const from = weigh ? m->room.scores : m->room.heads, *const to =
                                                                            weigh ? m->room.context : m->room.scores;
    anymps_matrix *left = NULL, *right = NULL, *result = NULL;
    anymps_status status = view_pattern(from, m->dtype, weigh ? &scores : &query, &left);
    status = status != ANYMPS_OK ? status : view_pattern(m->room.heads, m->dtype, &other, &right);
    status = status != ANYMPS_OK ? status : view_pattern(to, m->dtype, weigh ? &context : &scores, &result);
    anymps_kernel *const kernel = weigh ? m->kernels.weigh[r->length] : m->kernels.score[r->length];
    status = status != ANYMPS_OK ? status : anymps_matmul_encode(kernel, p->commands, left, right, result, NULL);
    anymps_matrix_release(left);
    anymps_matrix_release(right);
    anymps_matrix_release(result);
    return status;
}

/* The scores of a run as one matrix. */
static anymps_status encode_softmax(model *m, plan *p, const run *r)
{
    const size_t n = r->length;
    const pattern all = {r->scores, r->count * MINILM_HEADS * n, n, n, 0, 1};
    anymps_matrix *scores = NULL;
    anymps_status status = view_pattern(m->room.scores, m->dtype, &all, &scores);
    status =
        status != ANYMPS_OK ? status : anymps_softmax_encode(m->kernels.softmax, p->commands, scores, scores, NULL);
    anymps_matrix_release(scores);
    return status;
}

run plan_next_run(const plan *p, size_t s, size_t row, size_t scores)
{
    run r = {.row = row, .length = p->lengths[s], .scores = scores};
    while (s + r.count < p->count && p->lengths[s + r.count] == r.length) {
        r.count++;
    }
    return r;
}

static anymps_status encode_attention(model *m, plan *p)
{
    run r;
    for (size_t s = 0, row = 0, scores = 0; s < p->count; s += r.count) {
        r = plan_next_run(p, s, row, scores);
        TRY(encode_product(m, p, &r, false));
        TRY(encode_softmax(m, p, &r));
        TRY(encode_product(m, p, &r, true));
        row += r.count * r.length;
        scores += r.count * MINILM_HEADS * r.length * r.length;
    }
    return ANYMPS_OK;
}

static anymps_status encode_layer(model *m, plan *p, const layer *l, const views *v)
{
    TRY(encode_dense(m->kernels.dense, p, v->x, &l->heads, v->heads));
    TRY(encode_attention(m, p));
    TRY(encode_dense(m->kernels.dense, p, v->context, &l->attention, v->change));
    TRY(encode_norm(m, p, v->change, &l->attention_norm, v->x));
    TRY(encode_dense(m->kernels.dense_gelu, p, v->x, &l->inner, v->inner));
    TRY(encode_dense(m->kernels.dense, p, v->inner, &l->output, v->change));
    return encode_norm(m, p, v->change, &l->output_norm, v->x);
}

/* The rows of every sentence of a run, side by side. */
static pattern rows_of(const run *r)
{
    return (pattern){r->row * MINILM_WIDTH, r->length, MINILM_WIDTH, r->count * MINILM_WIDTH, MINILM_WIDTH, r->count};
}

/* mean[s] = (1…1)·X of sentence s / n, for all sentences s of a run */
static anymps_status encode_mean(model *m, plan *p, const run *r, size_t s)
{
    const size_t n = r->length;
    const pattern rows = rows_of(r);
    const pattern means = {s * MINILM_WIDTH, 1, MINILM_WIDTH, MINILM_WIDTH, MINILM_WIDTH, r->count};
    anymps_matrix *ones = NULL, *x = NULL, *mean = NULL;
    anymps_status status = view(m->room.ones, m->dtype, 0, 1, n, &ones);
    status = status != ANYMPS_OK ? status : view_pattern(m->room.x, m->dtype, &rows, &x);
    status = status != ANYMPS_OK ? status : view_pattern(m->room.mean, ANYMPS_DTYPE_F32, &means, &mean);
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
    anymps_matrix *mean = NULL, *result = NULL;
    anymps_vector *scale = NULL;
    run r;
    for (size_t s = 0, row = 0; s < p->count; s += r.count, row += r.count * r.length) {
        r = plan_next_run(p, s, row, 0);
        TRY(encode_mean(m, p, &r, s));
    }
    anymps_status status = view(m->room.mean, ANYMPS_DTYPE_F32, 0, p->count, MINILM_WIDTH, &mean);
    status = status != ANYMPS_OK ? status : view(m->room.result, ANYMPS_DTYPE_F32, 0, p->count, MINILM_WIDTH, &result);
    status = status != ANYMPS_OK ? status : anymps_vector_create(m->room.scale, 0, &desc, &scale);
    status = status != ANYMPS_OK
                 ? status
                 : anymps_rms_norm_encode(m->kernels.unit, p->commands, mean, NULL, scale, NULL, result, NULL);
    anymps_matrix_release(mean);
    anymps_matrix_release(result);
    anymps_vector_release(scale);
    return status;
}

static anymps_status make_views(const model *m, size_t tokens, views *v)
{
    const workspace *const r = &m->room;
    TRY(view(r->x, m->dtype, 0, tokens, MINILM_WIDTH, &v->x));
    TRY(view(r->heads, m->dtype, 0, tokens, 3 * (size_t)MINILM_WIDTH, &v->heads));
    TRY(view(r->context, m->dtype, 0, tokens, MINILM_WIDTH, &v->context));
    TRY(view(r->change, m->dtype, 0, tokens, MINILM_WIDTH, &v->change));
    return view(r->inner, m->dtype, 0, tokens, MINILM_INNER, &v->inner);
}

static void release_views(const views *v)
{
    anymps_matrix *const all[] = {v->x, v->heads, v->context, v->change, v->inner};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
}

/* x = norm(x + places) for the sentences of a run. */
static anymps_status encode_places(model *m, plan *p, const run *r)
{
    const pattern rows = rows_of(r);
    const norm *const first = &m->weights.norm;
    anymps_matrix *places = NULL, *x = NULL;
    anymps_status status = view(m->room.places, m->dtype, 0, r->length, MINILM_WIDTH, &places);
    status = status != ANYMPS_OK ? status : view_pattern(m->room.x, m->dtype, &rows, &x);
    status = status != ANYMPS_OK ? status
                                 : anymps_layer_norm_encode(m->kernels.norm, p->commands, places, x, first->weight,
                                                            first->bias, x, NULL);
    anymps_matrix_release(places);
    anymps_matrix_release(x);
    return status;
}

/* The words' rows go to the device's own memory once, in one piece; where that is the host's they are there already. */
static anymps_status encode_words(model *m, plan *p)
{
    anymps_matrix *words = NULL, *x = NULL;
    if (m->room.input == m->room.x) {
        return ANYMPS_OK;
    }
    anymps_status status = view(m->room.input, m->dtype, 0, 1, p->tokens * MINILM_WIDTH, &words);
    status = status != ANYMPS_OK ? status : view(m->room.x, m->dtype, 0, 1, p->tokens * MINILM_WIDTH, &x);
    status =
        status != ANYMPS_OK ? status : anymps_neuron_encode(m->kernels.copy, p->commands, words, NULL, NULL, x, NULL);
    anymps_matrix_release(words);
    anymps_matrix_release(x);
    return status;
}

static anymps_status encode_network(model *m, plan *p, const views *v)
{
    const weights *const w = &m->weights;
    run r;
    TRY(encode_words(m, p));
    for (size_t s = 0, row = 0; s < p->count; s += r.count, row += r.count * r.length) {
        r = plan_next_run(p, s, row, 0);
        TRY(encode_places(m, p, &r));
    }
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
