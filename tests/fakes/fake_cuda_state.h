/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_cuda_state.h: what the two parts of the fake driver share: its lock, its counts and what the test has asked for.
 * Included by fake_cuda.c and fake_cuda_run.c only; tests see fake_cuda.h.
 */
#ifndef FAKE_CUDA_STATE_H
#define FAKE_CUDA_STATE_H

#include "fake_cuda.h"

#include <pthread.h>
#include <stdint.h>

enum { FAKE_CUDA_HELD_MOST = 4096 };

typedef struct fake_cuda_state {
    pthread_mutex_t lock; /* of everything here and of all handles */
    fake_cuda_live live;
    fake_cuda_launches launches;
    CUresult failure; /* what the call that must fail returns */
    bool failure_sticks, failed;
    bool holding; /* flag writes wait in held */
    size_t held_count;
    struct {
        uint32_t *word;
        uint32_t value;
    } held[FAKE_CUDA_HELD_MOST];
    char fast[64]; /* kernels whose names begin so are fast; "": none */
    bool ran_fast; /* the last graph was of such */
} fake_cuda_state;

extern fake_cuda_state fake;

/* Counts the call and says whether it must fail. Holds the lock on return if it need not. */
CUresult fake_cuda_begin(const char *function);
/* Gives the lock back; returns `result`. */
CUresult fake_cuda_end(CUresult result);

#define FAKE_CUDA_TEXT_(x) #x
#define FAKE_CUDA_TEXT(x)  FAKE_CUDA_TEXT_(x)
#define BEGIN(function)                                                                                                \
    do {                                                                                                               \
        const CUresult begun_ = fake_cuda_begin(FAKE_CUDA_TEXT(function));                                             \
        if (begun_ != CUDA_SUCCESS) {                                                                                  \
            return begun_;                                                                                             \
        }                                                                                                              \
    } while (0)

#endif /* FAKE_CUDA_STATE_H */
