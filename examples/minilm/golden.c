/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden.c: the encoder against the reference implementation's numbers (tests/golden/minilm). Run by CTest.
 *
 *     minilm_golden FOLDER [DEVICE] [SENTENCES]     exit 77 (skipped) where the model or the device cannot be had
 *
 * f32: every component within 1e-5. The components of a unit vector of 384 are about 0.05, and six layers of f32
 * arithmetic in another order leave about 1e-7; 1e-5 is what users of embeddings may rely on. f16: cosine at least
 * 0.9999. The whole set goes through in one call, one sentence at a time and in a shuffled order, since batches must
 * not see one another. SENTENCES: only so many of the set, for a device that is slow.
 */
#include "encoder.h"
#include "tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77, MOST = 512, WHY_BYTES = 256 };

static int failures;

static void fail(const char *what, size_t index, double value)
{
    printf("failed: %s, line %zu: %g\n", what, index + 1, value);
    failures++;
}

/* Lines of a file; the text stays allocated as long as the program. */
static size_t read_lines(const char *folder, const char *name, sentence *lines)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "rb");
    static char text[3][1 << 18]; /* three files in all */
    static size_t next;
    char *const room = text[next++ % 3];
    const size_t length = file != NULL ? fread(room, 1, sizeof text[0], file) : 0;
    size_t count = 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    for (size_t at = 0; at < length && count < MOST; count++) {
        const char *const end = memchr(room + at, '\n', length - at);
        const size_t bytes = end != NULL ? (size_t)(end - room) - at : length - at;
        lines[count] = (sentence){room + at, bytes};
        at += bytes + 1;
    }
    return count;
}

/* Every line of token_texts.txt gives exactly the numbers of its line of token_ids.txt. */
static void check_tokens(const char *folder, const char *vocabulary)
{
    static sentence texts[MOST], ids[MOST];
    const char *why = NULL;
    tokenizer *const t = tokenizer_open(vocabulary, &why);
    const size_t count = read_lines(folder, "token_texts.txt", texts);
    if (t == NULL || count == 0 || read_lines(folder, "token_ids.txt", ids) != count) {
        fail("token files", 0, (double)count);
        tokenizer_close(t);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t seen[MINILM_MOST_TOKENS];
        char line[8 * MINILM_MOST_TOKENS];
        size_t used = 0;
        const size_t found = tokenizer_encode(t, texts[i].text, texts[i].length, seen, MINILM_MOST_TOKENS);
        for (size_t k = 0; k < found; k++) {
            used += (size_t)snprintf(line + used, sizeof line - used, k > 0 ? " %d" : "%d", (int)seen[k]);
        }
        if (used != ids[i].length || memcmp(line, ids[i].text, used) != 0) {
            fail("tokens differ", i, (double)found);
        }
    }
    tokenizer_close(t);
}

static float *read_golden(const char *folder, size_t count)
{
    char path[1024];
    anymps_file *file = NULL;
    anymps_device *cpu = NULL;
    anymps_matrix *matrix = NULL;
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    bool transposed = false;
    float *const golden = calloc(count + 1, MINILM_WIDTH * sizeof *golden);
    desc.id = "cpu";
    (void)snprintf(path, sizeof path, "%s/embeddings.npy", folder);
    const bool good =
        golden != NULL && anymps_file_open(path, &file) == ANYMPS_OK && anymps_device_open(&desc, &cpu) == ANYMPS_OK &&
        anymps_file_load_matrix(file, 0, cpu, NULL, &matrix, &transposed) == ANYMPS_OK &&
        anymps_matrix_get_desc(matrix).rows == count && anymps_matrix_get_desc(matrix).columns == MINILM_WIDTH;
    if (good) {
        memcpy(golden, anymps_matrix_contents(matrix), count * MINILM_WIDTH * sizeof *golden);
    }
    anymps_matrix_release(matrix);
    anymps_file_release(file);
    anymps_device_release(cpu);
    if (!good) {
        free(golden);
        return NULL;
    }
    return golden;
}

static double check_f32(const char *what, const float *seen, const float *golden, size_t count)
{
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) {
        double worst = 0.0;
        for (size_t j = 0; j < MINILM_WIDTH; j++) {
            const double difference = fabs((double)seen[i * MINILM_WIDTH + j] - (double)golden[i * MINILM_WIDTH + j]);
            worst = difference <= worst ? worst : difference; /* keeps a NaN */
        }
        if (!(worst <= 1e-5)) {
            fail(what, i, worst);
        }
        largest = fmax(largest, worst);
    }
    return largest;
}

static double check_cosine(const char *what, const float *seen, const float *golden, size_t count)
{
    double least = 1.0;
    for (size_t i = 0; i < count; i++) {
        double product = 0.0, length = 0.0;
        for (size_t j = 0; j < MINILM_WIDTH; j++) {
            const double a = (double)seen[i * MINILM_WIDTH + j];
            product += a * (double)golden[i * MINILM_WIDTH + j];
            length += a * a;
        }
        if (!(product / sqrt(length) >= 0.9999)) {
            fail(what, i, product / sqrt(length));
        }
        least = fmin(least, product / sqrt(length));
    }
    return least;
}

/* One by one, and all of them twice in a shuffled order: the second time runs recorded commands again. */
static void check_batches(encoder *e, const sentence *sentences, const float *golden, size_t count, float *seen)
{
    for (size_t i = 0; i < count; i++) {
        if (encoder_run(e, &sentences[i], 1, seen) != ANYMPS_OK) {
            fail("encoder_run", i, 0.0);
        }
        (void)check_f32("one sentence", seen, golden + i * MINILM_WIDTH, 1);
    }
    sentence shuffled[2 * MOST];
    const size_t twice = 2 * count;
    for (size_t i = 0; i < twice; i++) {
        shuffled[i] = sentences[i * 7 % count]; /* 7 and the golden files' 20 have no common divisor */
    }
    for (int again = 0; again < 2; again++) {
        if (encoder_run(e, shuffled, twice, seen) != ANYMPS_OK) {
            fail("encoder_run", 0, 0.0);
        }
        for (size_t i = 0; i < twice; i++) {
            (void)check_f32("shuffled", seen + i * MINILM_WIDTH, golden + i * 7 % count * MINILM_WIDTH, 1);
        }
    }
}

static int check_dtype(const encoder_desc *desc, const sentence *sentences, const float *golden, size_t count)
{
    char why[WHY_BYTES] = "";
    encoder *e = NULL;
    float *const seen = calloc(2 * count + 1, MINILM_WIDTH * sizeof *seen);
    const anymps_status status = encoder_open(desc, &e, why);
    if (status != ANYMPS_OK || seen == NULL) {
        printf("skipped: %s\n", why);
        free(seen);
        return status == ANYMPS_IO || status == ANYMPS_UNSUPPORTED || status == ANYMPS_INVALID_ARGUMENT ? SKIPPED : 1;
    }
    if (encoder_run(e, sentences, count, seen) != ANYMPS_OK) {
        fail(anymps_last_error()->message, 0, 0.0);
    } else if (desc->dtype == ANYMPS_DTYPE_F32) {
        printf("f32: largest difference %.2e\n", check_f32("f32", seen, golden, count));
        check_batches(e, sentences, golden, count, seen);
    } else {
        printf("%s: least cosine %.7f\n", anymps_dtype_name(desc->dtype), check_cosine("f16", seen, golden, count));
    }
    encoder_close(e);
    free(seen);
    return 0;
}

static const char *vocabulary_path(char *room, size_t size)
{
    const char *const own = getenv("ANYMPS_MINILM"), *const cache = getenv("XDG_CACHE_HOME"),
                      *const home = getenv("HOME");
    if (own != NULL && own[0] != '\0') {
        (void)snprintf(room, size, "%s/vocab.txt", own);
    } else if (cache != NULL && cache[0] != '\0') {
        (void)snprintf(room, size, "%s/anymps/minilm/vocab.txt", cache);
    } else {
        (void)snprintf(room, size, "%s/.cache/anymps/minilm/vocab.txt", home != NULL ? home : "");
    }
    return room;
}

int main(int count, char **values)
{
    static sentence sentences[MOST];
    char path[4096];
    if (count < 2) {
        printf("usage: minilm_golden FOLDER [DEVICE]\n");
        return 2;
    }
    size_t lines = read_lines(values[1], "sentences.txt", sentences);
    float *const golden = read_golden(values[1], lines);
    const size_t wanted = count > 3 ? (size_t)strtoul(values[3], NULL, 10) : lines;
    lines = wanted < lines ? wanted : lines;
    if (golden == NULL) {
        printf("failed: no golden files in %s\n", values[1]);
        return 1;
    }
    encoder_desc desc = {.device = count > 2 ? values[2] : NULL, .dtype = ANYMPS_DTYPE_F32};
    int result = check_dtype(&desc, sentences, golden, lines);
    if (result == 0) {
        check_tokens(values[1], vocabulary_path(path, sizeof path));
        desc.dtype = ANYMPS_DTYPE_F16;
        result = check_dtype(&desc, sentences, golden, lines);
    }
    free(golden);
    const anymps_live live = anymps_live_counts();
    if (live.objects != 0 || live.blocks != 0 || live.wrapped != 0) {
        fail("live objects", 0, (double)live.objects);
    }
    return result != 0 ? result : failures != 0;
}
