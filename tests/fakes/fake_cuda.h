/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_cuda.h: the controls of the fake CUDA driver (fake_cuda.c), for tests of the CUDA backend's host code on
 * machines without a GPU. Memory is the heap's, a stream runs at once, kernels are recorded but compute nothing.
 */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <stdbool.h>
#include <stddef.h>

#include <cuda.h>

/* The n-th driver call from now on (1 is the next) fails with `result`, once, or with `sticky` from then on. 0: none. */
void fake_cuda_fail_at(long n, CUresult result, bool sticky);
/* Driver calls since the last fake_cuda_fail_at; whether its failure has happened. */
long fake_cuda_calls(void);
bool fake_cuda_has_failed(void);
/* As the above, but counts only the named function ("cuMemAlloc_v2"); NULL: every function. */
void fake_cuda_only(const char *function);

/* While held, flag writes of streams wait; releasing performs them in order. */
void fake_cuda_hold(bool hold);

/* Graphs whose last kernel's name begins with `prefix` take 0.2 ms by their events, all others 0.25; "": all others. */
void fake_cuda_fast(const char *prefix);

/* What is alive. All 0 when everything has been given back. */
typedef struct fake_cuda_live {
    long device_blocks, pinned_blocks, registered, streams, events, graphs, executables, modules, contexts;
} fake_cuda_live;
fake_cuda_live fake_cuda_count(void);

/* What has been launched since the last reset: kernels one by one, kernels inside graphs, graphs. */
typedef struct fake_cuda_launches {
    long kernels, captured, graphs;
    char last[64];
    unsigned grid, block, cluster;
} fake_cuda_launches;
fake_cuda_launches fake_cuda_launched(bool reset);
/* Called with each kernel launched from now on, its name and the address of its one parameter; NULL: nobody. */
void fake_cuda_watch(void (*watcher)(const char *name, const void *params));

#endif /* FAKE_CUDA_H */
