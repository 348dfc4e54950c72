/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parallel.c: threads for the oracle and for measuring peaks. It knows nothing of what they do. The
 * library's own pool is not used: its work must not be what checks it.
 */
#include "parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

size_t parallel_processors(void)
{
#ifdef __linux__
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0) {
        return (size_t)CPU_COUNT(&allowed);
    }
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

typedef struct worker {
    parallel_part part;
    void *context;
    size_t index, threads;
    pthread_t thread;
    bool started;
} worker;

static void *run_worker(void *argument)
{
    worker *w = argument;
    w->part(w->context, w->index, w->threads);
    return NULL;
}

void parallel_run(size_t threads, parallel_part part, void *context)
{
    worker workers[PARALLEL_MOST];
    threads = threads == 0 ? 1 : threads > PARALLEL_MOST ? PARALLEL_MOST : threads;
    for (size_t i = 0; i < threads; i++) {
        workers[i] = (worker){.part = part, .context = context, .index = i, .threads = threads};
        workers[i].started = i > 0 && pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) == 0;
    }
    for (size_t i = 0; i < threads; i++) {
        if (!workers[i].started) {
            run_worker(&workers[i]);
        }
    }
    for (size_t i = 0; i < threads; i++) {
        if (workers[i].started) {
            pthread_join(workers[i].thread, NULL);
        }
    }
}
