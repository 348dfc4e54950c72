/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.c: batches of sentences through the recorded network. See encoder.h.
 *
 * Sentences are sorted by length and packed one after the other, so that no padding is computed and neighbouring
 * batches often have the same shape; a batch whose shape was seen before commits its command buffer again.
 */
#include "encoder.h"

#include "plan.h"
#include "tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_PLANS = 16, WHY_BYTES = 256 };

struct encoder {
    model model;
    anymps_device *cpu; /* the device itself where it is the CPU */
    tokenizer *tokens;
    size_t vocabulary; /* rows of the word embeddings */
    plan plans[MOST_PLANS];
    encoder_times times;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- Open and close ---------------------------------------------------------------------------- */

/* ${ANYMPS_MINILM}, or ${XDG_CACHE_HOME:-~/.cache}/anymps/minilm: where tools/get-minilm puts the model. */
static void default_folder(char *room, size_t size)
{
    const char *const own = getenv("ANYMPS_MINILM"), *const cache = getenv("XDG_CACHE_HOME"),
                      *const home = getenv("HOME");
    if (own != NULL && own[0] != '\0') {
        (void)snprintf(room, size, "%s", own);
    } else if (cache != NULL && cache[0] != '\0') {
        (void)snprintf(room, size, "%s/anymps/minilm", cache);
    } else {
        (void)snprintf(room, size, "%s/.cache/anymps/minilm", home != NULL ? home : "");
    }
}

static anymps_status open_devices(encoder *e, const encoder_desc *desc)
{
    anymps_device_desc d = ANYMPS_DEVICE_DESC_INIT;
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    d.id = desc->device;
    d.threads = desc->threads;
    anymps_status status = anymps_device_open(&d, &e->model.device);
    status = status != ANYMPS_OK ? status : anymps_device_get_properties(e->model.device, &p);
    if (status != ANYMPS_OK || p.backend == ANYMPS_BACKEND_CPU) {
        e->cpu = anymps_device_retain(e->model.device);
        return status;
    }
    d.id = "cpu";
    return anymps_device_open(&d, &e->cpu);
}

static anymps_status open_model(encoder *e, const encoder_desc *desc, const char *folder, char *why)
{
    char path[4096];
    const char *reason = NULL;
    (void)snprintf(path, sizeof path, "%s/vocab.txt", folder);
    e->tokens = tokenizer_open(path, &reason);
    if (e->tokens == NULL) {
        (void)snprintf(why, WHY_BYTES, "%.200s %s (tools/get-minilm fetches it)", path, reason);
        return ANYMPS_IO;
    }
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    anymps_status status = open_devices(e, desc);
    status = status != ANYMPS_OK ? status : anymps_queue_create(e->model.device, &e->model.queue);
    status =
        status != ANYMPS_OK ? status : weights_open(path, e->cpu, e->model.device, e->model.dtype, &e->model.weights);
    status = status != ANYMPS_OK ? status : model_prepare(&e->model);
    if (status != ANYMPS_OK) {
        (void)snprintf(why, WHY_BYTES, "%s", anymps_last_error()->message);
        return status;
    }
    e->vocabulary = anymps_matrix_get_desc(e->model.weights.words).rows;
    if (tokenizer_size(e->tokens) > e->vocabulary) {
        (void)snprintf(why, WHY_BYTES, "vocab.txt has %zu tokens, the model %zu", tokenizer_size(e->tokens),
                       e->vocabulary);
        return ANYMPS_SHAPE_MISMATCH;
    }
    return ANYMPS_OK;
}

anymps_status encoder_open(const encoder_desc *desc, encoder **out, char *why)
{
    char folder[2048];
    encoder *const e = calloc(1, sizeof *e);
    const uint64_t begin = now_ns();
    if (e == NULL) {
        (void)snprintf(why, WHY_BYTES, "no memory for the encoder");
        return ANYMPS_OUT_OF_MEMORY;
    }
    default_folder(folder, sizeof folder);
    e->model.dtype = desc->dtype;
    const anymps_status status = open_model(e, desc, desc->folder != NULL ? desc->folder : folder, why);
    if (status != ANYMPS_OK) {
        encoder_close(e);
        return status;
    }
    e->times.load_ns = now_ns() - begin;
    *out = e;
    return ANYMPS_OK;
}

void encoder_close(encoder *e)
{
    if (e == NULL) {
        return;
    }
    for (size_t i = 0; i < MOST_PLANS; i++) {
        plan_close(&e->plans[i]);
    }
    model_close(&e->model);
    anymps_device_release(e->cpu);
    tokenizer_close(e->tokens);
    free(e);
}

encoder_times encoder_get_times(const encoder *e)
{
    return e->times;
}

anymps_device *encoder_device(const encoder *e)
{
    return e->model.device;
}

/* ---- One batch --------------------------------------------------------------------------------- */

/* A sentence with its numbers. */
typedef struct item {
    const int32_t *ids;
    size_t length;
    size_t index; /* where its row goes */
} item;

/* The plan of this shape, recorded if it is new; it replaces the one unused for longest. */
static anymps_status find_plan(encoder *e, const item *items, size_t count, plan **out)
{
    size_t lengths[MINILM_BATCH_SENTENCES];
    plan *oldest = &e->plans[0];
    for (size_t i = 0; i < count; i++) {
        lengths[i] = items[i].length;
    }
    for (size_t i = 0; i < MOST_PLANS; i++) {
        plan *const p = &e->plans[i];
        if (p->count == count && memcmp(p->lengths, lengths, count * sizeof *lengths) == 0) {
            *out = p;
            return ANYMPS_OK;
        }
        oldest = p->used < oldest->used ? p : oldest;
    }
    const uint64_t begin = now_ns();
    plan fresh;
    const anymps_status status = plan_record(&e->model, lengths, count, &fresh);
    if (status == ANYMPS_OK) {
        plan_close(oldest);
        *oldest = fresh;
        *out = oldest;
        e->times.plans++;
    }
    e->times.encode_ns += now_ns() - begin;
    return status;
}

/* The words' rows, written where the device reads them, in the order of plan.h. */
static void embed(const encoder *e, const plan *p, const item *items)
{
    const size_t bytes = MINILM_WIDTH * anymps_dtype_bytes(e->model.dtype);
    const unsigned char *const words = anymps_matrix_contents(e->model.weights.words);
    unsigned char *to = anymps_buffer_contents(e->model.room.input);
    run r;
    for (size_t s = 0; s < p->count; s += r.count) {
        r = plan_next_run(p, s, 0, 0);
        for (size_t i = 0; i < r.length; i++) {
            for (size_t k = 0; k < r.count; k++, to += bytes) {
                memcpy(to, words + (size_t)items[s + k].ids[i] * bytes, bytes);
            }
        }
    }
}

static anymps_status run_batch(encoder *e, const item *items, size_t count, float *embeddings)
{
    plan *p = NULL;
    anymps_status status = find_plan(e, items, count, &p);
    if (status != ANYMPS_OK) {
        return status;
    }
    const uint64_t begin = now_ns();
    embed(e, p, items);
    const uint64_t embedded = now_ns();
    status = anymps_command_buffer_commit(p->commands);
    status = status != ANYMPS_OK ? status : anymps_command_buffer_wait(p->commands);
    if (status != ANYMPS_OK) {
        return status;
    }
    const float *const means = anymps_buffer_contents(e->model.room.result);
    for (size_t s = 0; s < count; s++) {
        memcpy(embeddings + items[s].index * MINILM_WIDTH, means + s * MINILM_WIDTH, MINILM_WIDTH * sizeof *means);
    }
    p->used = ++e->times.commits;
    e->times.tokens += p->tokens;
    e->times.rows_ns += embedded - begin;
    e->times.run_ns += now_ns() - embedded;
    return ANYMPS_OK;
}

/* ---- All sentences ----------------------------------------------------------------------------- */

static int by_length(const void *left, const void *right)
{
    const item *const a = left, *const b = right;
    if (a->length != b->length) {
        return a->length < b->length ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Longest run of sentences from `items` on that is a batch. */
static size_t batch_size(const encoder *e, const item *items, size_t count)
{
    size_t size = 0, tokens = 0;
    while (size < count && size < MINILM_BATCH_SENTENCES && tokens + items[size].length <= e->model.most_tokens) {
        tokens += items[size++].length;
    }
    return size;
}

static anymps_status run_items(encoder *e, item *items, size_t count, float *embeddings)
{
    qsort(items, count, sizeof *items, by_length);
    for (size_t done = 0; done < count;) {
        const size_t size = batch_size(e, items + done, count - done);
        const anymps_status status = run_batch(e, items + done, size, embeddings);
        if (status != ANYMPS_OK) {
            return status;
        }
        done += size;
    }
    return ANYMPS_OK;
}

/* Fills `items` in; the numbers go to one block, which is returned (NULL: no memory). */
static int32_t *tokenize(encoder *e, const sentence *sentences, size_t count, item *items)
{
    const uint64_t begin = now_ns();
    int32_t buffer[MINILM_MOST_TOKENS];
    size_t used = 0, room = 64 * count + MINILM_MOST_TOKENS;
    int32_t *ids = malloc(room * sizeof *ids);
    for (size_t i = 0; i < count && ids != NULL; i++) {
        const size_t length =
            tokenizer_encode(e->tokens, sentences[i].text, sentences[i].length, buffer, MINILM_MOST_TOKENS);
        if (room - used < length) {
            room = 2 * room + length;
            int32_t *const larger = realloc(ids, room * sizeof *ids);
            if (larger == NULL) {
                free(ids);
            }
            ids = larger;
        }
        if (ids != NULL) {
            memcpy(ids + used, buffer, length * sizeof *ids);
            items[i] = (item){.length = length, .index = i};
            used += length;
        }
    }
    for (size_t i = 0, at = 0; i < count && ids != NULL; at += items[i++].length) {
        items[i].ids = ids + at;
    }
    e->times.tokens_ns += now_ns() - begin;
    return ids;
}

anymps_status encoder_run(encoder *e, const sentence *sentences, size_t count, float *embeddings)
{
    if (count == 0) {
        return ANYMPS_OK;
    }
    item *const items = calloc(count, sizeof *items);
    int32_t *const ids = items != NULL ? tokenize(e, sentences, count, items) : NULL;
    const anymps_status status = ids != NULL ? run_items(e, items, count, embeddings) : ANYMPS_OUT_OF_MEMORY;
    free(ids);
    free(items);
    return status;
}

/* Cuts `ids` into sentences; false: a length or a number is out of range. */
static bool cut(const encoder *e, const int32_t *ids, const size_t *lengths, size_t count, item *items)
{
    for (size_t i = 0; i < count; ids += lengths[i++]) {
        if (lengths[i] == 0 || lengths[i] > MINILM_MOST_TOKENS) {
            return false;
        }
        for (size_t j = 0; j < lengths[i]; j++) {
            if (ids[j] < 0 || (size_t)ids[j] >= e->vocabulary) {
                return false;
            }
        }
        items[i] = (item){ids, lengths[i], i};
    }
    return true;
}

anymps_status encoder_run_tokens(encoder *e, const int32_t *ids, const size_t *lengths, size_t count, float *embeddings)
{
    if (count == 0) {
        return ANYMPS_OK;
    }
    item *const items = calloc(count, sizeof *items);
    const anymps_status status = items == NULL                         ? ANYMPS_OUT_OF_MEMORY
                                 : !cut(e, ids, lengths, count, items) ? ANYMPS_INVALID_ARGUMENT
                                                                       : run_items(e, items, count, embeddings);
    free(items);
    return status;
}
