/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.h: sentences into vectors with all-MiniLM-L6-v2, on any device of anymps.
 *
 * The vectors have length 1, so that the similarity of two sentences is the product of theirs. Called by minilm.c
 * and golden.c; calls tokenizer.c and the public API of anymps.
 */
#ifndef MINILM_ENCODER_H
#define MINILM_ENCODER_H

#include <anymps/anymps.h>

/* Shape of the network. */
enum { MINILM_WIDTH = 384, MINILM_HEADS = 12, MINILM_HEAD = 32, MINILM_LAYERS = 6, MINILM_INNER = 1536 };
/* Longer texts are cut. */
enum { MINILM_MOST_TOKENS = 256 };

typedef struct encoder encoder;

typedef struct encoder_desc {
    const char *folder; /* with model.safetensors and vocab.txt; NULL: where tools/get-minilm puts them */
    const char *device; /* as in anymps_device_desc */
    size_t threads;     /* likewise */
    anymps_dtype dtype; /* of weights and activations: F32 (the file's own, used in place), F16, BF16 */
} encoder_desc;

/* What the work took, since the encoder was opened. */
typedef struct encoder_times {
    uint64_t load_ns;   /* opening: mapping weights, kernels */
    uint64_t tokens_ns; /* WordPiece */
    uint64_t rows_ns;   /* looking the tokens' embedding rows up */
    uint64_t encode_ns; /* recording command buffers */
    uint64_t run_ns;    /* from commit to the result */
    size_t tokens;
    size_t commits;
    size_t plans; /* command buffers recorded: commits beyond that ran one again */
} encoder_times;

/* Opens the model. On failure the status, and words (the library's, or ours) in `why` of 256 bytes. IO: the files are
   not there. */
anymps_status encoder_open(const encoder_desc *desc, encoder **out, char *why);
void encoder_close(encoder *e);

/* A sentence; the text is borrowed during the call. */
typedef struct sentence {
    const char *text;
    size_t length;
} sentence;

/* Writes a row of MINILM_WIDTH numbers for each of `count` sentences. */
anymps_status encoder_run(encoder *e, const sentence *sentences, size_t count, float *embeddings);

/* The same for token numbers, [CLS] first and [SEP] last: sentence i is the next lengths[i] of `ids`, 1 to
   MINILM_MOST_TOKENS. INVALID_ARGUMENT: a length or a number out of range. */
anymps_status encoder_run_tokens(encoder *e, const int32_t *ids, const size_t *lengths, size_t count,
                                 float *embeddings);

encoder_times encoder_get_times(const encoder *e);
/* Borrowed from the encoder. */
anymps_device *encoder_device(const encoder *e);

#endif /* MINILM_ENCODER_H */
