/* SPDX-License-Identifier: Apache-2.0 */
/* weights.c: all-MiniLM-L6-v2's tensors as matrices and vectors. See weights.h. */
#include "weights.h"

#include <stdio.h>
#include <string.h>

/* Where tensors come from and go to, and the first failure: later calls do nothing. */
typedef struct loader {
    anymps_file *file;
    anymps_device *device;
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
    return d;
}

static norm load_norm(loader *l, int number, const char *part)
{
    char name[96];
    norm n;
    n.weight = vector(l, name_of(name, number, part, "weight"), MINILM_WIDTH);
    n.bias = vector(l, name_of(name, number, part, "bias"), MINILM_WIDTH);
    return n;
}

static void load_layer(loader *l, int i, layer *out)
{
    out->query = load_dense(l, i, "attention.self.query", MINILM_WIDTH, MINILM_WIDTH);
    out->key = load_dense(l, i, "attention.self.key", MINILM_WIDTH, MINILM_WIDTH);
    out->value = load_dense(l, i, "attention.self.value", MINILM_WIDTH, MINILM_WIDTH);
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
    l.dtype = ANYMPS_DTYPE_F32;
    w->words = matrix(&l, "embeddings.word_embeddings.weight", 0, MINILM_WIDTH);
    w->positions = matrix(&l, "embeddings.position_embeddings.weight", 512, MINILM_WIDTH);
    w->types = matrix(&l, "embeddings.token_type_embeddings.weight", 2, MINILM_WIDTH);
    l.device = device;
    l.dtype = dtype;
    w->norm.weight = vector(&l, "embeddings.LayerNorm.weight", MINILM_WIDTH);
    w->norm.bias = vector(&l, "embeddings.LayerNorm.bias", MINILM_WIDTH);
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
        close_dense(&l->query);
        close_dense(&l->key);
        close_dense(&l->value);
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
