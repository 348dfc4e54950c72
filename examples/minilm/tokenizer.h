/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.h: text into the numbers of an uncased BERT vocabulary (WordPiece).
 *
 *     "Café, déjà vu" → [CLS] cafe , deja vu [SEP] → 101 7668 1010 ... 102
 *
 * Called by encoder.c. Source: Wu et al. 2016 (arXiv 1609.08144) for WordPiece, Devlin et al. 2018 (arXiv
 * 1810.04805) for the normalisation; equal to the reference tokenizer, except that special tokens written out in the
 * text, such as "[SEP]", are text like any other.
 */
#ifndef MINILM_TOKENIZER_H
#define MINILM_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tokenizer tokenizer;

/* Reads a vocabulary: one token a line, its number the line's. NULL: cannot be read, or it lacks [CLS], [SEP] or
   [UNK]; `*why` (a fixed text) says which. */
tokenizer *tokenizer_open(const char *path, const char **why);
void tokenizer_close(tokenizer *t);

/* How many tokens the vocabulary has. */
size_t tokenizer_size(const tokenizer *t);

/* Writes at most `most` (≥ 2) numbers, [CLS] first and [SEP] last, cutting the text if it is longer; returns how
   many. Bytes that are no UTF-8 are passed over. */
size_t tokenizer_encode(const tokenizer *t, const char *text, size_t length, int32_t *ids, size_t most);

#endif /* MINILM_TOKENIZER_H */
