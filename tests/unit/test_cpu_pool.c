/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cpu_pool.c: every task of a region runs once, whatever the number of threads and regions; regions from
 * several threads at once do not disturb one another; sleeping workers come, and may go anywhere after they were moved;
 * floating-point mode.
 */
#include "backend/cpu/pool.h"

#include "base/checked.h"
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_TASKS = 100, CALLERS = 3, REGIONS = 300 };

typedef struct tally {
    atomic_uint runs[MOST_TASKS];
    atomic_uint busy[8]; /* by thread: more than one at once is a defect */
    size_t threads;
    atomic_bool wrong;
} tally;

static void count_task(void *context, size_t task, size_t thread)
{
    tally *const self = context;
    if (thread >= self->threads || atomic_fetch_add(&self->busy[thread], 1) != 0) {
        atomic_store(&self->wrong, true);
    }
    atomic_fetch_add(&self->runs[task], 1);
    atomic_fetch_sub(&self->busy[thread], 1);
}

static void run_and_check(amps_pool *pool, size_t tasks)
{
    tally self = {.threads = amps_pool_threads(pool)};
    amps_pool_run(pool, tasks, count_task, &self);
    for (size_t i = 0; i < MOST_TASKS; i++) {
        assert_int_equal(atomic_load(&self.runs[i]), i < tasks ? 1 : 0);
    }
    assert_false(atomic_load(&self.wrong));
}

static void every_task_runs_once(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 4; threads++) {
        amps_pool *pool = NULL;
        assert_int_equal(amps_pool_open(threads, &pool), ANYMPS_OK);
        assert_in_range(amps_pool_threads(pool), 1, threads);
        for (size_t region = 0; region < REGIONS; region++) {
            run_and_check(pool, region % (MOST_TASKS + 1));
        }
        amps_pool_close(pool);
    }
    assert_int_equal(anymps_live_counts().blocks, 0);
}

/* Workers that have fallen asleep are woken. */
static void regions_after_a_pause(void **state)
{
    (void)state;
    amps_pool *pool = NULL;
    assert_int_equal(amps_pool_open(3, &pool), ANYMPS_OK);
    for (int i = 0; i < 10; i++) {
        const struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
        run_and_check(pool, 20);
    }
    amps_pool_close(pool);
}

enum { MEETINGS = 20, MEET_THREADS_MAX = 16 };

typedef struct meeting {
    atomic_bool here[MEET_THREADS_MAX];
    atomic_size_t come;
    size_t threads;
    uint64_t end; /* of waiting */
} meeting;

static void wait_for_all(void *context, size_t task, size_t thread)
{
    (void)task;
    meeting *const self = context;
    if (!atomic_exchange(&self->here[thread], true)) {
        atomic_fetch_add(&self->come, 1);
    }
    while (atomic_load(&self->come) < self->threads && amps_now_ns() < self->end) {
        sched_yield();
    }
}

/* All threads come to a region that waits for them, though they wake at once. One may be late by a second on a busy
   machine, so every second region is enough. */
static void all_come(void **state)
{
    (void)state;
    amps_pool *pool = NULL;
    const size_t cpus = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    assert_int_equal(amps_pool_open(amps_min(amps_max(cpus, 4), MEET_THREADS_MAX), &pool), ANYMPS_OK);
    unsigned complete = 0;
    for (int i = 0; i < MEETINGS; i++) {
        const struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
        meeting self = {.threads = amps_pool_threads(pool), .end = amps_now_ns() + UINT64_C(1000000000)};
        amps_pool_run(pool, self.threads, wait_for_all, &self);
        complete += atomic_load(&self.come) == self.threads;
    }
    amps_pool_close(pool);
    assert_in_range(complete, MEETINGS / 2, MEETINGS);
}

typedef struct caller {
    amps_pool *pool;
    pthread_t id;
    unsigned missing;
} caller;

static void add_one(void *context, size_t task, size_t thread)
{
    (void)thread;
    atomic_uint *const runs = context;
    atomic_fetch_add(&runs[task], 1);
}

static void *call_regions(void *context)
{
    caller *const self = context;
    for (int region = 0; region < REGIONS; region++) {
        atomic_uint runs[8] = {0};
        amps_pool_run(self->pool, 8, add_one, runs);
        for (int i = 0; i < 8; i++) {
            self->missing += atomic_load(&runs[i]) != 1;
        }
    }
    return NULL;
}

static void callers_at_once(void **state)
{
    (void)state;
    amps_pool *pool = NULL;
    caller callers[CALLERS];
    assert_int_equal(amps_pool_open(3, &pool), ANYMPS_OK);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.pool = pool};
        assert_int_equal(amps_thread_start(&callers[i].id, call_regions, &callers[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].id, NULL);
        assert_int_equal(callers[i].missing, 0);
    }
    amps_pool_close(pool);
}

#if defined(__linux__)
enum { PLACED_THREADS = 4, PLACED_TASKS = 16, PLACED_REGIONS = 100, ROUNDS_MAX = 100, VISITS = 100 };

typedef struct places {
    cpu_set_t allowed, one;
    atomic_uint free[PLACED_THREADS], bound[PLACED_THREADS];
} places;

static void busy_us(unsigned us)
{
    const uint64_t end = amps_now_ns() + us * UINT64_C(1000);
    while (amps_now_ns() < end) {
    }
}

static void stay_here(void *context, size_t task, size_t thread)
{
    (void)task;
    (void)thread;
    (void)sched_setaffinity(0, sizeof(cpu_set_t), &((const places *)context)->one);
    busy_us(50);
}

static void look_around(void *context, size_t task, size_t thread)
{
    (void)task;
    places *const self = context;
    cpu_set_t mine;
    const bool anywhere = sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_EQUAL(&mine, &self->allowed);
    atomic_fetch_add(anywhere ? &self->free[thread] : &self->bound[thread], 1);
    busy_us(50);
}

static void run_placed(amps_pool *pool, amps_pool_task task, places *self)
{
    for (int region = 0; region < PLACED_REGIONS; region++) {
        const struct timespec pause = {.tv_nsec = region % 2 * 200000};
        nanosleep(&pause, NULL);
        amps_pool_run(pool, PLACED_TASKS, task, self);
    }
}

/* Workers that share a CPU are moved apart, and are then free to go anywhere: here all are put on the caller's. */
static void nobody_stays_bound(void **state)
{
    (void)state;
    amps_pool *pool = NULL;
    places self = {.free = {0}};
    assert_int_equal(sched_getaffinity(0, sizeof self.allowed, &self.allowed), 0);
    const int here = sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE || CPU_COUNT(&self.allowed) < 2) {
        skip();
    }
    CPU_SET((size_t)here, &self.one);
    assert_int_equal(amps_pool_open(PLACED_THREADS, &pool), ANYMPS_OK);
    run_placed(pool, stay_here, &self);
    unsigned bound = 0;
    unsigned all = 0;
    for (int round = 0; round < ROUNDS_MAX && all < VISITS; round++) { /* on a busy machine few come */
        run_placed(pool, look_around, &self);
        bound = all = 0;
        for (size_t thread = 1; thread < amps_pool_threads(pool); thread++) {
            bound += atomic_load(&self.bound[thread]);
            all += atomic_load(&self.bound[thread]) + atomic_load(&self.free[thread]);
        }
    }
    amps_pool_close(pool);
    assert_int_equal(sched_setaffinity(0, sizeof self.allowed, &self.allowed), 0);
    assert_true(all >= VISITS);
    assert_true(bound <= all / 2);
}
#endif

/* A program may flush subnormals on its threads; inside the backend they are kept. */
static void mode_is_set_and_given_back(void **state)
{
    (void)state;
#if defined(__x86_64__)
    const unsigned flushing = 0x1f80 | 0x8040;
    const unsigned before = __builtin_ia32_stmxcsr();
    volatile float tiny = 0x1p-126f;
    __builtin_ia32_ldmxcsr(flushing);
    assert_true(tiny * 0.5f == 0.0f);
    const uint64_t found = amps_fp_enter();
    const float half = tiny * 0.5f;
    amps_fp_leave(found);
    assert_int_equal(__builtin_ia32_stmxcsr() & ~0x3fu, flushing);
    __builtin_ia32_ldmxcsr(before);
    assert_true(half == 0x1p-127f);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(regions_after_a_pause),
        cmocka_unit_test(all_come),
        cmocka_unit_test(callers_at_once),
#if defined(__linux__)
        cmocka_unit_test(nobody_stays_bound),
#endif
        cmocka_unit_test(mode_is_set_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
