/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: the network recorded for one batch shape, as a command buffer that is committed again and again.
 *
 * A batch is sentences without padding, x [tokens × 384]; its shape is the list of their lengths. Sentences of one length,
 * a run, are woven: first the first tokens of all of them, then the second ones. So all heads of all its sentences are matrices
 * side by side in rows, one distance apart: attention is one batch for each product, and no head is copied.
 * Called by encoder.c.
 */
#ifndef MINILM_PLAN_H
#define MINILM_PLAN_H

#include "weights.h"

/* A batch has at most this many tokens and sentences. The caches of a few threads hold what 1024 tokens need; more threads,
   and other devices, want more work at once. Scores [12·n × n] of all sentences of a batch fit their buffer. */
enum {
    MINILM_BATCH_TOKENS_FEW = 1024,
    MINILM_BATCH_TOKENS = 4096,
    MINILM_BATCH_SENTENCES = 128,
    MINILM_FEW_THREADS = 4
};

/* Buffers that every plan uses, one plan at a time. */
typedef struct workspace {
    anymps_buffer
        *input; /* tokens × width: the words' embedding rows, written by the host before every commit; x itself
                               where the device's memory is the host's */
    anymps_buffer *places;  /* longest sentence × width: position i + type 0 */
    anymps_buffer *x;       /* tokens × width: the state that runs through the layers */
    anymps_buffer *heads;   /* tokens × 3·width: query, key and value of head 0, of head 1, … */
    anymps_buffer *context; /* tokens × width */
    anymps_buffer *change;  /* tokens × width: what is added to x next */
    anymps_buffer *inner;   /* tokens × inner */
    anymps_buffer *scores;  /* the sentences' scores, one after the other */
    anymps_buffer *mean;    /* sentences × width, f32 */
    anymps_buffer *result;  /* sentences × width, f32: the means at length 1, read by the host */
    anymps_buffer *ones;    /* width ones: left operand of the mean */
    anymps_buffer *scale;   /* width numbers 1/sqrt(width), f32 */
} workspace;

/* Kernels: those whose sizes come from the operands once, those of a sentence length when it first appears. */
typedef struct kernels {
    anymps_kernel *dense, *dense_gelu, *softmax, *norm, *unit, *copy;
    anymps_kernel *score[MINILM_MOST_TOKENS + 1]; /* by sentence length */
    anymps_kernel *weigh[MINILM_MOST_TOKENS + 1];
    anymps_kernel *mean[MINILM_MOST_TOKENS + 1];
} kernels;

typedef struct model {
    anymps_device *device;
    anymps_queue *queue;
    anymps_dtype dtype; /* of weights and activations */
    anymps_storage own; /* of what the host never sees: PRIVATE where the device's memory is not the host's */
    size_t most_tokens; /* of a batch */
    anymps_algorithm
        aside; /* of products of matrices side by side: MPS takes them one by one, our kernel all at once */
    weights weights;
    workspace room;
    kernels kernels;
} model;

anymps_status model_prepare(model *m);
void model_close(model *m);

typedef struct plan {
    size_t count; /* 0: free */
    size_t tokens;
    size_t lengths[MINILM_BATCH_SENTENCES];
    anymps_command_buffer *commands;
    uint64_t used; /* for replacing the one unused for longest */
} plan;

/* Sentences of one length: token i of sentence k of the run is row `row` + i·count + k of x. */
typedef struct run {
    size_t row, count, length; /* first row, sentences, tokens of each */
    size_t scores;             /* where theirs begin, in elements */
} run;

/* The run that begins with this sentence. */
run plan_next_run(const plan *p, size_t sentence, size_t row, size_t scores);

/* Records the network for sentences of these lengths. */
anymps_status plan_record(model *m, const size_t *lengths, size_t count, plan *out);
void plan_close(plan *p);

#endif /* MINILM_PLAN_H */
