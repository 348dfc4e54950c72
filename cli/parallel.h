/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parallel.h: runs a function on several threads of the tool itself (oracle.c, peaks.c).
 */
#ifndef PARALLEL_H
#define PARALLEL_H

#include <stddef.h>

/* Called once on each thread: `index` of `threads`. */
typedef void (*parallel_part)(void *context, size_t index, size_t threads);

enum { PARALLEL_MOST = 256 };

/* Processors that this process may use, at least 1. */
size_t parallel_processors(void);

/* Runs `part` on `threads` threads (at most PARALLEL_MOST), the caller's among them, and returns when all
   are done. Where a thread cannot be made the caller does its part. */
void parallel_run(size_t threads, parallel_part part, void *context);

#endif /* PARALLEL_H */
