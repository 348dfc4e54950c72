/* SPDX-License-Identifier: Apache-2.0 */
/* threads.c: the clock and the eventcount. See threads.h. */
#include "base/threads.h"

#include <assert.h>
#include <limits.h>
#include <time.h>

#if AMPS_FUTEX
#include <sys/syscall.h>
#include <unistd.h>

/* FUTEX_WAIT_PRIVATE and FUTEX_WAKE_PRIVATE of linux/futex.h, which comes with the kernel's headers, not with a C library. */
enum { WAIT_PRIVATE = 0 | 128, WAKE_PRIVATE = 1 | 128 };
#endif

uint64_t amps_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void amps_eventcount_init(amps_eventcount *self)
{
    atomic_init(&self->count, 0);
    atomic_init(&self->sleepers, 0);
#if !AMPS_FUTEX
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->advanced, NULL);
#endif
}

void amps_eventcount_destroy(amps_eventcount *self)
{
#if AMPS_FUTEX
    (void)self;
#else
    pthread_cond_destroy(&self->advanced);
    pthread_mutex_destroy(&self->lock);
#endif
}

unsigned amps_eventcount_read(amps_eventcount *self)
{
    return atomic_load(&self->count);
}

#if AMPS_FUTEX

static_assert(sizeof(atomic_uint) == 4, "a futex is four bytes");

void amps_eventcount_await(amps_eventcount *self, unsigned seen)
{
    atomic_fetch_add(&self->sleepers, 1);
    /* The kernel compares the count again before it lets the thread sleep. */
    (void)syscall(SYS_futex, &self->count, WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&self->sleepers, 1);
}

void amps_eventcount_advance(amps_eventcount *self, size_t most)
{
    atomic_fetch_add(&self->count, 1);
    if (atomic_load(&self->sleepers) > 0) {
        const int count = most < INT_MAX ? (int)most : INT_MAX;
        (void)syscall(SYS_futex, &self->count, WAKE_PRIVATE, count, NULL, NULL, 0);
    }
}

#else

void amps_eventcount_await(amps_eventcount *self, unsigned seen)
{
    pthread_mutex_lock(&self->lock);
    atomic_fetch_add(&self->sleepers, 1);
    while (atomic_load(&self->count) == seen) {
        pthread_cond_wait(&self->advanced, &self->lock);
    }
    atomic_fetch_sub(&self->sleepers, 1);
    pthread_mutex_unlock(&self->lock);
}

void amps_eventcount_advance(amps_eventcount *self, size_t most)
{
    atomic_fetch_add(&self->count, 1);
    const size_t asleep = atomic_load(&self->sleepers);
    if (asleep == 0) {
        return;
    }
    /* After the lock whoever has counted itself waits or has seen the count, and a woken thread does not run into it. */
    pthread_mutex_lock(&self->lock);
    pthread_mutex_unlock(&self->lock);
    if (asleep <= most) {
        pthread_cond_broadcast(&self->advanced); /* a signal may go to one that came later and sleeps on */
        return;
    }
    for (size_t i = 0; i < most; i++) {
        pthread_cond_signal(&self->advanced);
    }
}

#endif
