/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h: the threads of one CPU device. Operators spread tasks over them; the calling thread works too.
 *
 * A region's result must not depend on which thread runs which task: tasks are cut by shape, never by
 * the number of threads, so that bits are the same for any number.
 */
#ifndef AMPS_POOL_H
#define AMPS_POOL_H

#include <anymps/base.h>

#include <pthread.h>

typedef struct amps_pool amps_pool;

/* One task of a region. `thread` is below amps_pool_threads and is not shared with a task that runs at
   the same time, so it can index scratch. */
typedef void (*amps_pool_task)(void *context, size_t task, size_t thread);

/* A pool of `threads` threads, the caller's included; fewer if the system refuses to make them. */
anymps_status amps_pool_open(size_t threads, amps_pool **pool);
void amps_pool_close(amps_pool *pool);

/* Threads that may work on one region, the caller's included; at least 1. */
size_t amps_pool_threads(const amps_pool *pool);

/*
 * Runs task 0 … tasks-1, each once, in any order, and returns when all have ended. One task, or a pool
 * that another region is using, runs them on the calling thread as thread 0: regions may start from any
 * number of threads and never wait for one another. Allocates nothing, cannot fail.
 */
void amps_pool_run(amps_pool *pool, size_t tasks, amps_pool_task task, void *context);

/* Starts a thread that receives no signals, so that the program's handlers run on its own threads. 0 or
   the errno of the refusal. */
int amps_thread_start(pthread_t *thread, void *(*run)(void *), void *context);

/*
 * The floating-point mode that the kernels promise: to nearest even, subnormals kept, no traps. A program
 * may have set another one on the thread that calls; `enter` returns what it found, for `leave`.
 */
uint64_t amps_fp_enter(void);
void amps_fp_leave(uint64_t found);

/* Tells the CPU that this is a waiting loop. */
static inline void amps_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif /* AMPS_POOL_H */
