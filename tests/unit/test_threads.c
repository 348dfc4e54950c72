/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_threads.c: the eventcount: it returns at once where the count has gone on, every sleeper is woken who is called,
 * also by a call that comes between the look and the sleep, and others are left asleep.
 */
#include "base/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

enum { SLEEPERS = 5, ROUNDS = 2000 };

typedef struct shared {
    amps_eventcount bell;
    amps_eventcount answer;
    atomic_uint order; /* the last one given */
    atomic_uint done[SLEEPERS];
    atomic_uint awake;
    atomic_bool stop;
} shared;

typedef struct sleeper {
    shared *all;
    pthread_t id;
    size_t index;
} sleeper;

static void nap_us(long us)
{
    const struct timespec pause = {.tv_nsec = us * 1000};
    nanosleep(&pause, NULL);
}

static void *obey(void *context)
{
    sleeper *const self = context;
    shared *const all = self->all;
    unsigned last = 0;
    while (!atomic_load(&all->stop)) {
        const unsigned seen = amps_eventcount_read(&all->bell);
        const unsigned order = atomic_load(&all->order);
        if (order != last) {
            last = order;
            atomic_store(&all->done[self->index], order);
            amps_eventcount_advance(&all->answer, 1);
        } else if (!atomic_load(&all->stop)) {
            amps_eventcount_await(&all->bell, seen);
            atomic_fetch_add(&all->awake, 1);
        }
    }
    return NULL;
}

static bool all_done(shared *all, unsigned order)
{
    for (size_t i = 0; i < SLEEPERS; i++) {
        if (atomic_load(&all->done[i]) != order) {
            return false;
        }
    }
    return true;
}

static void a_count_gone_on_does_not_sleep(void **state)
{
    (void)state;
    amps_eventcount bell;
    amps_eventcount_init(&bell);
    const unsigned seen = amps_eventcount_read(&bell);
    amps_eventcount_advance(&bell, 1);
    assert_int_equal(amps_eventcount_read(&bell), seen + 1);
    amps_eventcount_await(&bell, seen);
    amps_eventcount_destroy(&bell);
}

static shared *start(sleeper *sleepers)
{
    static shared all;
    all = (shared){.stop = false};
    amps_eventcount_init(&all.bell);
    amps_eventcount_init(&all.answer);
    for (size_t i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (sleeper){.all = &all, .index = i};
        assert_int_equal(pthread_create(&sleepers[i].id, NULL, obey, &sleepers[i]), 0);
    }
    return &all;
}

static void finish(shared *all, sleeper *sleepers)
{
    atomic_store(&all->stop, true);
    amps_eventcount_advance(&all->bell, SIZE_MAX);
    for (size_t i = 0; i < SLEEPERS; i++) {
        assert_int_equal(pthread_join(sleepers[i].id, NULL), 0);
    }
    amps_eventcount_destroy(&all->bell);
    amps_eventcount_destroy(&all->answer);
}

/* Every order reaches every sleeper: a lost wake-up would leave this test asleep, and CTest ends it. */
static void nobody_is_missed(void **state)
{
    (void)state;
    sleeper sleepers[SLEEPERS];
    shared *const all = start(sleepers);
    for (unsigned order = 1; order <= ROUNDS; order++) {
        atomic_store(&all->order, order);
        amps_eventcount_advance(&all->bell, SIZE_MAX);
        unsigned seen = amps_eventcount_read(&all->answer);
        while (!all_done(all, order)) {
            amps_eventcount_await(&all->answer, seen);
            seen = amps_eventcount_read(&all->answer);
        }
        if (order % 100 == 0) {
            nap_us(300); /* all are asleep when the next one comes */
        }
    }
    finish(all, sleepers);
}

/* One call wakes one of five; a sleeper that was on its way to sleep comes as well, so the best of some calls counts. */
static void others_stay_asleep(void **state)
{
    (void)state;
    sleeper sleepers[SLEEPERS];
    shared *const all = start(sleepers);
    unsigned least = SLEEPERS;
    for (int call = 0; call < 20; call++) {
        while (atomic_load(&all->bell.sleepers) < SLEEPERS) {
            nap_us(100);
        }
        nap_us(2000);
        atomic_store(&all->awake, 0);
        amps_eventcount_advance(&all->bell, 1);
        while (atomic_load(&all->awake) == 0) {
            nap_us(100);
        }
        nap_us(2000);
        const unsigned awake = atomic_load(&all->awake);
        least = awake < least ? awake : least;
    }
    finish(all, sleepers);
    assert_int_equal(least, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_gone_on_does_not_sleep),
        cmocka_unit_test(nobody_is_missed),
        cmocka_unit_test(others_stay_asleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
