/* SPDX-License-Identifier: Apache-2.0 */
/*
 * minilm.c: a semantic grep. `minilm "a query" FILE` prints the lines of a text file nearest to the query.
 *
 * Called by users and by `make demo`; calls encoder.c. Reads its arguments and the file, prints; the network is
 * elsewhere.
 */
#include "encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USAGE = 2, WHY_BYTES = 256, DEFAULT_TOP = 5 };

static const char usage[] =
    "usage: minilm [options] \"a query\" FILE     lines of FILE nearest in meaning to the query\n"
    "       minilm [options] --embed OUT.npy FILE  a row of 384 numbers for every line\n"
    "FILE - reads from standard input.\n"
    "  --top N         how many lines (5)\n"
    "  --json          one JSON object\n"
    "  --time          what the work took, on standard error\n"
    "  --device ID     cpu, cuda:0, metal, ... (the first of `anymps devices`)\n"
    "  --dtype TYPE    f32, f16 or bf16 (f32)\n"
    "  --threads N     on the CPU\n"
    "  --model FOLDER  with model.safetensors and vocab.txt (~/.cache/anymps/minilm: tools/get-minilm)\n";

typedef struct options {
    encoder_desc encoder;
    const char *query;
    const char *file;
    const char *embed; /* output file, or NULL */
    size_t top;
    bool json;
    bool time;
} options;

/* ---- Arguments --------------------------------------------------------------------------------- */

static bool read_number(const char *text, size_t *out)
{
    char *end = NULL;
    const unsigned long value = strtoul(text, &end, 10);
    *out = (size_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

static bool read_dtype(const char *text, anymps_dtype *out)
{
    return anymps_dtype_parse(text, out) == ANYMPS_OK &&
           (*out == ANYMPS_DTYPE_F32 || *out == ANYMPS_DTYPE_F16 || *out == ANYMPS_DTYPE_BF16);
}

/* An option with a value: true if it is one and the value is good. */
static bool read_option(const char *name, const char *value, options *o)
{
    if (strcmp(name, "--top") == 0) {
        return read_number(value, &o->top);
    }
    if (strcmp(name, "--threads") == 0) {
        return read_number(value, &o->encoder.threads);
    }
    if (strcmp(name, "--dtype") == 0) {
        return read_dtype(value, &o->encoder.dtype);
    }
    const char **const text = strcmp(name, "--device") == 0  ? &o->encoder.device
                              : strcmp(name, "--model") == 0 ? &o->encoder.folder
                              : strcmp(name, "--embed") == 0 ? &o->embed
                                                             : NULL;
    if (text != NULL) {
        *text = value;
    }
    return text != NULL;
}

static bool read_arguments(int count, char **values, options *o)
{
    *o = (options){.encoder = {.dtype = ANYMPS_DTYPE_F32}, .top = DEFAULT_TOP};
    const char *plain[2] = {NULL, NULL};
    size_t found = 0;
    for (int i = 1; i < count; i++) {
        if (strcmp(values[i], "--json") == 0) {
            o->json = true;
        } else if (strcmp(values[i], "--time") == 0) {
            o->time = true;
        } else if (strncmp(values[i], "--", 2) == 0) {
            if (i + 1 == count || !read_option(values[i], values[i + 1], o)) {
                fprintf(stderr, "minilm: %s is no option, or its value is missing or wrong\n", values[i]);
                return false;
            }
            i++;
        } else if (found < 2) {
            plain[found++] = values[i];
        } else {
            found = 3;
        }
    }
    o->query = o->embed == NULL ? plain[0] : NULL;
    o->file = o->embed == NULL ? plain[1] : plain[0];
    return found == (o->embed == NULL ? 2u : 1u);
}

/* ---- Lines of a file --------------------------------------------------------------------------- */

/* `text` holds the whole file; sentence 0 is the query where there is one. */
typedef struct lines {
    char *text;
    size_t length;
    sentence *sentences;
    size_t *numbers; /* line numbers, from 1; 0 for the query */
    size_t count;
} lines;

static bool read_stream(FILE *stream, lines *l)
{
    size_t room = 1 << 16, got;
    l->text = malloc(room);
    while (l->text != NULL && (got = fread(l->text + l->length, 1, room - l->length, stream)) > 0) {
        l->length += got;
        if (l->length == room) {
            char *const larger = realloc(l->text, 2 * room);
            if (larger == NULL) {
                return false;
            }
            l->text = larger;
            room *= 2;
        }
    }
    return l->text != NULL && ferror(stream) == 0;
}

static bool blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (strchr(" \t\r", text[i]) == NULL || text[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* Blank lines are passed over in a search and kept for --embed, where row i is line i. */
static bool split(lines *l, const char *query, bool keep_blank)
{
    size_t most = 2, number = 0;
    for (size_t i = 0; i < l->length; i++) {
        most += l->text[i] == '\n' ? 1 : 0;
    }
    l->sentences = calloc(most, sizeof *l->sentences);
    l->numbers = calloc(most, sizeof *l->numbers);
    if (l->sentences == NULL || l->numbers == NULL) {
        return false;
    }
    if (query != NULL) {
        l->sentences[l->count++] = (sentence){query, strlen(query)};
    }
    for (size_t at = 0; at < l->length;) {
        const char *const line = l->text + at;
        const char *const end = memchr(line, '\n', l->length - at);
        const size_t length = end != NULL ? (size_t)(end - line) : l->length - at;
        number++;
        if (keep_blank || !blank(line, length)) {
            l->numbers[l->count] = number;
            l->sentences[l->count++] = (sentence){line, length};
        }
        at += length + 1;
    }
    return true;
}

static bool read_lines(const options *o, lines *l)
{
    FILE *const stream = strcmp(o->file, "-") == 0 ? stdin : fopen(o->file, "rb");
    if (stream == NULL) {
        fprintf(stderr, "minilm: %s: cannot be opened\n", o->file);
        return false;
    }
    const bool good = read_stream(stream, l) && split(l, o->query, o->embed != NULL);
    if (stream != stdin) {
        (void)fclose(stream);
    }
    if (!good) {
        fprintf(stderr, "minilm: %s: cannot be read\n", o->file);
    }
    return good;
}

/* ---- Answers ----------------------------------------------------------------------------------- */

typedef struct hit {
    size_t line; /* of `lines` */
    float similarity;
} hit;

static int by_similarity(const void *left, const void *right)
{
    const hit *const a = left, *const b = right;
    if (a->similarity > b->similarity || a->similarity < b->similarity) {
        return a->similarity > b->similarity ? -1 : 1;
    }
    return a->line < b->line ? -1 : a->line > b->line;
}

static void print_json_text(const char *text, size_t length)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20) {
            printf("\\u%04x", (unsigned)c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static size_t without_return(const sentence *s)
{
    return s->length > 0 && s->text[s->length - 1] == '\r' ? s->length - 1 : s->length;
}

static void print_hits(const options *o, const lines *l, const hit *hits, size_t count)
{
    if (o->json) {
        printf("{\"query\": ");
        print_json_text(o->query, strlen(o->query));
        printf(", \"lines\": [");
    }
    for (size_t i = 0; i < count && i < o->top; i++) {
        const sentence *const s = &l->sentences[hits[i].line];
        if (o->json) {
            printf("%s{\"line\": %zu, \"similarity\": %.6f, \"text\": ", i > 0 ? ", " : "", l->numbers[hits[i].line],
                   (double)hits[i].similarity);
            print_json_text(s->text, without_return(s));
            printf("}");
        } else {
            printf("%.4f %6zu: %.*s\n", (double)hits[i].similarity, l->numbers[hits[i].line], (int)without_return(s),
                   s->text);
        }
    }
    if (o->json) {
        printf("]}\n");
    }
}

static bool search(const options *o, const lines *l, const float *embeddings)
{
    hit *const hits = calloc(l->count, sizeof *hits);
    if (hits == NULL) {
        return false;
    }
    for (size_t i = 1; i < l->count; i++) {
        float product = 0.0f;
        for (size_t j = 0; j < MINILM_WIDTH; j++) {
            product += embeddings[j] * embeddings[i * MINILM_WIDTH + j];
        }
        hits[i - 1] = (hit){i, product};
    }
    qsort(hits, l->count - 1, sizeof *hits, by_similarity);
    print_hits(o, l, hits, l->count - 1);
    free(hits);
    return true;
}

static anymps_status write_rows(const options *o, encoder *e, float *embeddings, size_t count)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(count, MINILM_WIDTH, ANYMPS_DTYPE_F32);
    anymps_buffer *buffer = NULL;
    anymps_matrix *matrix = NULL;
    const size_t bytes = count * MINILM_WIDTH * sizeof *embeddings;
    anymps_status status =
        anymps_buffer_create_with_bytes(encoder_device(e), embeddings, bytes, ANYMPS_STORAGE_SHARED, &buffer);
    status = status != ANYMPS_OK ? status : anymps_matrix_create(buffer, 0, &desc, &matrix);
    status = status != ANYMPS_OK ? status : anymps_npy_write(o->embed, matrix);
    anymps_matrix_release(matrix);
    anymps_buffer_release(buffer);
    return status;
}

static void print_times(const encoder *e, size_t count)
{
    const encoder_times t = encoder_get_times(e);
    anymps_device_properties p = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (anymps_device_get_properties(encoder_device(e), &p) != ANYMPS_OK) {
        return;
    }
    fprintf(
        stderr,
        "%s (%s): %zu sentences, %zu tokens; load %.1f ms, tokens %.1f ms, rows %.1f ms, record %.1f ms, run %.1f ms; "
        "%zu commits of %zu recordings\n",
        p.id, p.architecture, count, t.tokens, (double)t.load_ns * 1e-6, (double)t.tokens_ns * 1e-6,
        (double)t.rows_ns * 1e-6, (double)t.encode_ns * 1e-6, (double)t.run_ns * 1e-6, t.commits, t.plans);
}

static bool answer(const options *o, encoder *e, lines *l)
{
    float *const embeddings = calloc(l->count + 1, MINILM_WIDTH * sizeof *embeddings);
    if (embeddings == NULL) {
        fprintf(stderr, "minilm: no memory for %zu embeddings\n", l->count);
        return false;
    }
    anymps_status status = encoder_run(e, l->sentences, l->count, embeddings);
    bool good = status == ANYMPS_OK;
    if (good && o->embed != NULL && l->count > 0) {
        status = write_rows(o, e, embeddings, l->count);
        good = status == ANYMPS_OK;
    } else if (good && o->embed == NULL) {
        good = search(o, l, embeddings);
    }
    if (!good) {
        fprintf(stderr, "minilm: %s\n", status != ANYMPS_OK ? anymps_last_error()->message : "no memory");
    } else if (o->time) {
        print_times(e, l->count);
    }
    free(embeddings);
    return good;
}

int main(int count, char **values)
{
    options o;
    lines l = {0};
    encoder *e = NULL;
    char why[WHY_BYTES] = "";
    if (!read_arguments(count, values, &o)) {
        fputs(usage, stderr);
        return USAGE;
    }
    bool good = read_lines(&o, &l);
    if (good && encoder_open(&o.encoder, &e, why) != ANYMPS_OK) {
        fprintf(stderr, "minilm: %s\n", why);
        good = false;
    }
    good = good && answer(&o, e, &l);
    encoder_close(e);
    free(l.text);
    free(l.sentences);
    free(l.numbers);
    return good ? 0 : 1;
}
