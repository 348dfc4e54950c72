/* SPDX-License-Identifier: Apache-2.0 */
/* threads.h: the clock, and a count that threads sleep on. Locks are plain pthread objects where they are used (docs/threads.md). */
#ifndef AMPS_THREADS_H
#define AMPS_THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Monotonic time in nanoseconds. */
uint64_t amps_now_ns(void);

/*
 * An eventcount: a thread that has found nothing to do sleeps until another has advanced the count. Nobody is missed if
 *
 *     the sleeper:  seen = read; look for work; if there is none, await(seen); again from the start
 *     the waker:    make the work visible (a sequentially consistent store); advance
 *
 * On Linux it is one futex: waking many is one system call, and those woken take no lock (docs/performance.md, "Waking
 * threads"). Elsewhere, and where AMPS_NO_FUTEX is defined, it is a mutex and a condition variable.
 */
#if defined(__linux__) && !defined(AMPS_NO_FUTEX)
#define AMPS_FUTEX 1
#else
#define AMPS_FUTEX 0
#endif

typedef struct amps_eventcount {
    atomic_uint count;
    atomic_uint sleepers; /* in await, or about to be */
#if !AMPS_FUTEX
    pthread_mutex_t lock;
    pthread_cond_t advanced;
#endif
} amps_eventcount;

void amps_eventcount_init(amps_eventcount *self);
void amps_eventcount_destroy(amps_eventcount *self);

unsigned amps_eventcount_read(amps_eventcount *self);

/* Returns when the count is no longer `seen`; now and then earlier. */
void amps_eventcount_await(amps_eventcount *self, unsigned seen);

/* Advances the count and wakes all sleepers, or `most` of them if there are more: any, also such as came after this. */
void amps_eventcount_advance(amps_eventcount *self, size_t most);

#endif /* AMPS_THREADS_H */
