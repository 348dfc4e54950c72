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

/* Tensors of one shape, to become one: in turns `bytes` from each, until all is taken. */
enum { MOST_PARTS = 3 };
typedef struct parts {
    anymps_buffer *buffers[MOST_PARTS];
    size_t offsets[MOST_PARTS];
    size_t count;
    size_t bytes;
    size_t turns;
} parts;

/* A buffer of the device's own memory with the parts. */
static anymps_buffer *gather(loader *l, const parts *from)
{
    anymps_device *const device = l->apart != NULL ? l->apart : l->device;
    const anymps_storage storage = l->apart != NULL ? ANYMPS_STORAGE_PRIVATE : ANYMPS_STORAGE_SHARED;
    anymps_buffer *all = NULL;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_buffer_create(device, from->count * from->turns * from->bytes, storage, &all);
    }
    for (size_t i = 0; i < from->count * from->turns && l->status == ANYMPS_OK; i++) {
        const size_t part = i % from->count, turn = i / from->count;
        l->status = anymps_buffer_copy(all, i * from->bytes, from->buffers[part],
                                       from->offsets[part] + turn * from->bytes, from->bytes);
    }
    return all;
}

/* One matrix of `count` of one shape, `turns` pieces of rows from each; they are released. */
static anymps_matrix *stack(loader *l, anymps_matrix *const *matrices, size_t count, size_t turns)
{
    anymps_matrix_desc d = anymps_matrix_get_desc(matrices[0]);
    parts from = {.count = count, .turns = turns, .bytes = d.rows / turns * d.row_bytes};
    for (size_t i = 0; i < count; i++) {
        from.buffers[i] = anymps_matrix_buffer(matrices[i]);
        from.offsets[i] = anymps_matrix_offset_bytes(matrices[i]);
    }
    anymps_buffer *const all = gather(l, &from);
    anymps_matrix *made = NULL;
    d.rows *= count;
    d.matrix_bytes = 0;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_matrix_create(all, 0, &d, &made);
    }
    anymps_buffer_release(all);
    for (size_t i = 0; i < count; i++) {
        anymps_matrix_release(matrices[i]);
    }
    return made;
}

static anymps_vector *stack_vectors(loader *l, anymps_vector *const *vectors, size_t count, size_t turns)
{
    anymps_vector_desc d = anymps_vector_get_desc(vectors[0]);
    parts from = {.count = count, .turns = turns, .bytes = d.length / turns * anymps_dtype_bytes(d.dtype)};
    for (size_t i = 0; i < count; i++) {
        from.buffers[i] = anymps_vector_buffer(vectors[i]);
        from.offsets[i] = anymps_vector_offset_bytes(vectors[i]);
    }
    anymps_buffer *const all = gather(l, &from);
    anymps_vector *made = NULL;
    d.length *= count;
    d.vector_bytes = 0;
    if (l->status == ANYMPS_OK) {
        l->status = anymps_vector_create(all, 0, &d, &made);
    }
    anymps_buffer_release(all);
    for (size_t i = 0; i < count; i++) {
        anymps_vector_release(vectors[i]);
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
        d.weight = stack(l, &d.weight, 1, 1);
        d.bias = stack_vectors(l, &d.bias, 1, 1);
    }
    return d;
}

/* Query, key and value head by head: plan.c then finds every head of every sentence one distance further. */
static dense load_heads(loader *l, int number)
{
    static const char *const names[] = {"attention.self.query", "attention.self.key", "attention.self.value"};
    char name[96];
    anymps_matrix *matrices[3];
    anymps_vector *biases[3];
    for (int i = 0; i < 3; i++) {
        matrices[i] = matrix(l, name_of(name, number, names[i], "weight"), MINILM_WIDTH, MINILM_WIDTH);
        biases[i] = vector(l, name_of(name, number, names[i], "bias"), MINILM_WIDTH);
    }
    dense d;
    d.weight = stack(l, matrices, 3, MINILM_HEADS);
    d.bias = stack_vectors(l, biases, 3, MINILM_HEADS);
    return d;
}

static anymps_vector *norm_vector(loader *l, const char *name)
{
    anymps_vector *const v = vector(l, name, MINILM_WIDTH);
    return l->apart != NULL ? stack_vectors(l, &v, 1, 1) : v;
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
