/* SPDX-License-Identifier: Apache-2.0 */
/* weights.c: all-MiniLM-L6-v2's tensors as matrices and vectors. See weights.h. */
#include "weights.h"

#include <stdio.h>
#include <string.h>

/* Where tensors come from and go to, and the first failure: later calls do nothing. */
typedef struct loader {
    anymps_file *file;
    anymps_device *device; /* tensors are loaded here */
    anymps_device *apart;  /* and moved to this one's own memory; NULL: they stay */
    anymps_dtype dtype;
    anymps_status status;
} loader;

static size_t find(loader *l, const char *name)
{
    size_t index = 0;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_file_find(l->file, name, &index);
    }
    return index;
}

static anymps_load_desc as(anymps_dtype dtype)
{
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    desc.convert_to = dtype;
    desc.flags = ANYMPS_CONSTANT;
    return desc;
}

/* A buffer of the device's own memory, filled with `bytes` from each of `count` buffers in turn. */
static anymps_buffer *gather(loader *l, anymps_buffer *const *parts, const size_t *offsets, size_t count, size_t bytes)
{
    anymps_device *const device = l->apart != NULL ? l->apart : l->device;
    const anymps_storage storage = l->apart != NULL ? ANYMPS_STORAGE_PRIVATE : ANYMPS_STORAGE_SHARED;
    anymps_buffer *all = NULL;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_buffer_create(device, count * bytes, storage, &all);
    }
    for (size_t i = 0; i < count && l->status == ANYMPS_OK; i++) {
        l->status = anymps_buffer_copy(all, i * bytes, parts[i], offsets[i], bytes);
    }
    return all;
}

/* `count` matrices of one shape one below the other; they are released. */
static anymps_matrix *stack(loader *l, anymps_matrix *const *parts, size_t count)
{
    enum { MOST = 3 };
    anymps_buffer *buffers[MOST];
    size_t offsets[MOST];
    anymps_matrix_desc d = anymps_matrix_get_desc(parts[0]);
    for (size_t i = 0; i < count; i++) {
        buffers[i] = anymps_matrix_buffer(parts[i]);
        offsets[i] = anymps_matrix_offset_bytes(parts[i]);
    }
    anymps_buffer *const all = gather(l, buffers, offsets, count, d.rows * d.row_bytes);
    anymps_matrix *made = NULL;
    d.rows *= count;
    d.matrix_bytes = 0;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_matrix_create(all, 0, &d, &made);
    }
    anymps_buffer_release(all);
    for (size_t i = 0; i < count; i++) {
        anymps_matrix_release(parts[i]);
    }
    return made;
}

static anymps_vector *stack_vectors(loader *l, anymps_vector *const *parts, size_t count)
{
    enum { MOST = 3 };
    anymps_buffer *buffers[MOST];
    size_t offsets[MOST];
    anymps_vector_desc d = anymps_vector_get_desc(parts[0]);
    for (size_t i = 0; i < count; i++) {
        buffers[i] = anymps_vector_buffer(parts[i]);
        offsets[i] = anymps_vector_offset_bytes(parts[i]);
    }
    anymps_buffer *const all = gather(l, buffers, offsets, count, d.length * anymps_dtype_bytes(d.dtype));
    anymps_vector *made = NULL;
    d.length *= count;
    d.vector_bytes = 0;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_vector_create(all, 0, &d, &made);
    }
    anymps_buffer_release(all);
    for (size_t i = 0; i < count; i++) {
        anymps_vector_release(parts[i]);
    }
    return made;
}

static anymps_matrix *matrix(loader *l, const char *name, size_t rows, size_t columns)
{
    const anymps_load_desc desc = as(l->dtype);
    const size_t index = find(l, name);
    anymps_matrix *m = NULL;
    bool transposed = false;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_file_load_matrix(l->file, index, l->device, &desc, &m, &transposed);
    }
    const anymps_matrix_desc d = anymps_matrix_get_desc(m);
    if (l->status == ANYMPS_OK && (d.columns != columns || (rows != 0 && d.rows != rows))) {
        l->status = ANYMPS_SHAPE_MISMATCH; /* another model under the same names */
    }
    return m;
}

static anymps_vector *vector(loader *l, const char *name, size_t length)
{
    const anymps_load_desc desc = as(l->dtype);
    const size_t index = find(l, name);
    anymps_vector *v = NULL;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_file_load_vector(l->file, index, l->device, &desc, &v);
    }
    if (l->status == ANYMPS_OK && anymps_vector_get_desc(v).length != length) {
        l->status = ANYMPS_SHAPE_MISMATCH;
    }
    return v;
}

/* "encoder.layer.3." + part + ".weight" */
static const char *name_of(char *room, int number, const char *part, const char *kind)
{
    enum { NAME_BYTES = 96 };
    (void)snprintf(room, NAME_BYTES, "encoder.layer.%d.%s.%s", number, part, kind);
    return room;
}

static dense load_dense(loader *l, int number, const char *part, size_t outputs, size_t inputs)
{
    char name[96];
    dense d;
    d.weight = matrix(l, name_of(name, number, part, "weight"), outputs, inputs);
    d.bias = vector(l, name_of(name, number, part, "bias"), outputs);
    if (l->apart != NULL) {
        d.weight = stack(l, &d.weight, 1);
        d.bias = stack_vectors(l, &d.bias, 1);
    }
    return d;
}

static dense load_heads(loader *l, int number)
{
    static const char *const parts[] = {"attention.self.query", "attention.self.key", "attention.self.value"};
    char name[96];
    anymps_matrix *matrices[3];
    anymps_vector *biases[3];
    for (int i = 0; i < 3; i++) {
        matrices[i] = matrix(l, name_of(name, number, parts[i], "weight"), MINILM_WIDTH, MINILM_WIDTH);
        biases[i] = vector(l, name_of(name, number, parts[i], "bias"), MINILM_WIDTH);
    }
    dense d;
    d.weight = stack(l, matrices, 3);
    d.bias = stack_vectors(l, biases, 3);
    return d;
}

static anymps_vector *norm_vector(loader *l, const char *name)
{
    anymps_vector *const v = vector(l, name, MINILM_WIDTH);
    return l->apart != NULL ? stack_vectors(l, &v, 1) : v;
}

static norm load_norm(loader *l, int number, const char *part)
{
    char name[96];
    norm n;
    n.weight = norm_vector(l, name_of(name, number, part, "weight"));
    n.bias = norm_vector(l, name_of(name, number, part, "bias"));
    return n;
}

static void load_layer(loader *l, int i, layer *out)
{
    out->heads = load_heads(l, i);
    out->attention = load_dense(l, i, "attention.output.dense", MINILM_WIDTH, MINILM_WIDTH);
    out->attention_norm = load_norm(l, i, "attention.output.LayerNorm");
    out->inner = load_dense(l, i, "intermediate.dense", MINILM_INNER, MINILM_WIDTH);
    out->output = load_dense(l, i, "output.dense", MINILM_WIDTH, MINILM_INNER);
    out->output_norm = load_norm(l, i, "output.LayerNorm");
}

anymps_status weights_open(const char *path, anymps_device *cpu, anymps_device *device, anymps_dtype dtype, weights *w)
{
    memset(w, 0, sizeof *w);
    loader l = {.status = anymps_file_open(path, &w->file)};
    l.file = w->file;
    l.device = cpu;
    l.dtype = dtype;
    w->words = matrix(&l, "embeddings.word_embeddings.weight", 0, MINILM_WIDTH);
    l.dtype = ANYMPS_DTYPE_F32;
    w->positions = matrix(&l, "embeddings.position_embeddings.weight", 512, MINILM_WIDTH);
    w->types = matrix(&l, "embeddings.token_type_embeddings.weight", 2, MINILM_WIDTH);
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    l.status = l.status != ANYMPS_OK ? l.status : anymps_device_get_properties(device, &p);
    l.device = p.unified_memory ? device : cpu;
    l.apart = p.unified_memory ? NULL : device;
    l.dtype = dtype;
    w->norm.weight = norm_vector(&l, "embeddings.LayerNorm.weight");
    w->norm.bias = norm_vector(&l, "embeddings.LayerNorm.bias");
    for (int i = 0; i < MINILM_LAYERS; i++) {
        load_layer(&l, i, &w->layers[i]);
    }
    if (l.status != ANYMPS_OK) {
        weights_close(w);
    }
    return l.status;
}

static void close_dense(const dense *d)
{
    anymps_matrix_release(d->weight);
    anymps_vector_release(d->bias);
}

static void close_norm(const norm *n)
{
    anymps_vector_release(n->weight);
    anymps_vector_release(n->bias);
}

void weights_close(weights *w)
{
    for (int i = 0; i < MINILM_LAYERS; i++) {
        layer *const l = &w->layers[i];
        close_dense(&l->heads);
        close_dense(&l->attention);
        close_norm(&l->attention_norm);
        close_dense(&l->inner);
        close_dense(&l->output);
        close_norm(&l->output_norm);
    }
    close_norm(&w->norm);
    anymps_matrix_release(w->words);
    anymps_matrix_release(w->positions);
    anymps_matrix_release(w->types);
    anymps_file_release(w->file);
    memset(w, 0, sizeof *w);
}
