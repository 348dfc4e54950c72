/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c: the threads of one CPU device (pool.h). docs/dependencies.md says why it is our own.
 *
 * One region at a time. The caller writes the region's fields, opens the gate, works, closes the gate when
 * every task is taken and waits for those workers that came in; a worker that sleeps through the region is
 * not waited for. So a region costs no more than its tasks when the workers are slow to wake.
 *
 *     gate = epoch << 32 | CLOSED | number of workers inside
 */
#include "backend/cpu/pool.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "base/threads.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

/* How long a worker looks for the next region before it sleeps. Waking a sleeping thread takes about
   5-50 µs; a program that commits in a loop comes back within that time. */
enum { SPIN_NS = 30000, SPINS_PER_CLOCK_READ = 64 };

static const uint64_t gate_closed = UINT64_C(1) << 31;
static const uint64_t gate_inside = (UINT64_C(1) << 31) - 1;
static const uint64_t gate_epoch = UINT64_C(1) << 32;

typedef struct worker {
    struct amps_pool *pool;
    size_t thread;
    pthread_t id;
    atomic_int cpu;   /* where it was seen last, or -1 */
    atomic_bool sent; /* elsewhere by a caller; undone as soon as it runs */
} worker;

struct amps_pool {
    _Alignas(64) atomic_uint_least64_t gate;
    _Alignas(64) amps_eventcount opened; /* workers sleep here until a gate opens */
    _Alignas(64) atomic_size_t next;     /* the next task to take */
    _Alignas(64) size_t tasks;
    amps_pool_task task;
    void *context;
    pthread_mutex_t region; /* held by the caller of a region */
    amps_eventcount left;   /* the caller sleeps here until the last worker inside has left */
    atomic_bool stop;
    atomic_bool caller_sleeps;
#if defined(__linux__)
    cpu_set_t allowed; /* to the thread that opened the pool; empty if unknown */
    int cpus;          /* the highest of them and one */
#endif
    size_t threads; /* workers + 1 */
    worker workers[];
};

/*
 * Linux may wake a worker on the CPU of the caller or of another worker, who do not sleep before all tasks are done, and
 * leaves it waiting there for milliseconds though another CPU is idle. So a worker says where it is, and a caller sends
 * those that share a CPU to CPUs where none of them is. As soon as it runs a worker may go anywhere again.
 */
#if defined(__linux__)
/* What a worker does for that whenever it looks for work. */
static void settle(worker *self)
{
    const int here = sched_getcpu();
    if (atomic_load_explicit(&self->cpu, memory_order_relaxed) != here) { /* callers read it: no store without need */
        atomic_store_explicit(&self->cpu, here, memory_order_relaxed);
    }
    if (atomic_load_explicit(&self->sent, memory_order_relaxed)) {
        atomic_store_explicit(&self->sent, false, memory_order_relaxed);
        (void)sched_setaffinity(0, sizeof self->pool->allowed, &self->pool->allowed);
    }
}

/* The CPU that `other` was seen on, or -1. */
static int seen_on(const worker *other)
{
    const int cpu = atomic_load_explicit(&other->cpu, memory_order_relaxed);
    return cpu < CPU_SETSIZE ? cpu : -1;
}

/* The next CPU around from `from` that the pool may use and nobody is on, which it takes; or -1. */
static int find_free(const amps_pool *pool, cpu_set_t *occupied, int from)
{
    for (int i = 1; i < pool->cpus; i++) {
        const size_t cpu = (size_t)((from + i) % pool->cpus);
        if (CPU_ISSET(cpu, &pool->allowed) && !CPU_ISSET(cpu, occupied)) {
            CPU_SET(cpu, occupied);
            return (int)cpu;
        }
    }
    return -1;
}

/* Moves a worker to a CPU; to any but the caller's if `to` is -1. */
static void move(worker *other, int to, int here)
{
    cpu_set_t set = other->pool->allowed;
    CPU_CLR((size_t)here, &set);
    if (to >= 0) {
        CPU_ZERO(&set);
        CPU_SET((size_t)to, &set);
    }
    if (CPU_COUNT(&set) > 0 && pthread_setaffinity_np(other->id, sizeof set, &set) == 0) {
        atomic_store_explicit(&other->cpu, to, memory_order_relaxed);
        atomic_store_explicit(&other->sent, true, memory_order_relaxed); /* after the call: the worker undoes it */
    }
}

static void keep_apart(amps_pool *pool)
{
    const size_t count = pool->threads - 1;
    const int here = sched_getcpu();
    cpu_set_t occupied;
    CPU_ZERO(&occupied);
    bool shared = false;
    if (here < 0 || here >= CPU_SETSIZE) {
        return;
    }
    CPU_SET((size_t)here, &occupied);
    for (size_t i = 0; i < count; i++) {
        const int cpu = seen_on(&pool->workers[i]);
        shared = shared || (cpu >= 0 && CPU_ISSET((size_t)cpu, &occupied));
        if (cpu >= 0) {
            CPU_SET((size_t)cpu, &occupied);
        }
    }
    if (!shared) {
        return;
    }
    cpu_set_t kept; /* CPUs of those that stay */
    CPU_ZERO(&kept);
    CPU_SET((size_t)here, &kept);
    int next = find_free(pool, &occupied, here);
    for (size_t i = 0; i < count; i++) {
        const int cpu = seen_on(&pool->workers[i]);
        if (cpu >= 0 && !CPU_ISSET((size_t)cpu, &kept)) {
            CPU_SET((size_t)cpu, &kept);
        } else if (cpu >= 0 && (next >= 0 || cpu == here)) {
            move(&pool->workers[i], next, here);
            next = next >= 0 ? find_free(pool, &occupied, next) : next;
        }
    }
}

static void note_allowed(amps_pool *pool)
{
    if (sched_getaffinity(0, sizeof pool->allowed, &pool->allowed) != 0) {
        CPU_ZERO(&pool->allowed);
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        pool->cpus = CPU_ISSET(cpu, &pool->allowed) ? (int)cpu + 1 : pool->cpus;
    }
}
#else
static void settle(worker *self)
{
    (void)self;
}

static void keep_apart(amps_pool *pool)
{
    (void)pool;
}

static void note_allowed(amps_pool *pool)
{
    (void)pool;
}
#endif

static void take_tasks(amps_pool *pool, size_t thread)
{
    const size_t tasks = pool->tasks;
    size_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    while (task < tasks) {
        pool->task(pool->context, task, thread);
        task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    }
}

/* Enters the region that the gate shows open, if it still is, however many enter and leave meanwhile; works, leaves. */
static void visit(worker *self, uint64_t gate)
{
    amps_pool *const pool = self->pool;
    const uint64_t epoch = gate / gate_epoch;
    while (!atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
        if ((gate & gate_closed) != 0 || gate / gate_epoch != epoch) {
            return;
        }
    }
    settle(self);
    take_tasks(pool, self->thread);
    atomic_fetch_sub(&pool->gate, 1);
    if (atomic_load(&pool->caller_sleeps)) {
        amps_eventcount_advance(&pool->left, 1);
    }
}

/* Is a region open that this worker has not been in? */
static bool invites(uint64_t gate, uint64_t seen)
{
    return (gate & gate_closed) == 0 && gate / gate_epoch != seen;
}

/* Looks for a region for a while; the last gate seen. */
static uint64_t spin(worker *self, uint64_t seen)
{
    amps_pool *const pool = self->pool;
    const uint64_t end = amps_now_ns() + SPIN_NS;
    uint64_t gate;
    do {
        settle(self);
        for (unsigned i = 0; i < SPINS_PER_CLOCK_READ; i++) {
            gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);
            if (invites(gate, seen)) {
                return gate;
            }
            amps_relax();
        }
        sched_yield(); /* the scheduler may have put this thread on the caller's own CPU */
    } while (amps_now_ns() < end && !atomic_load_explicit(&pool->stop, memory_order_relaxed));
    return gate;
}

/* Sleeps until a region is open; the gate then, or a closed one if the pool stops. */
static uint64_t doze(worker *self, uint64_t seen)
{
    amps_pool *const pool = self->pool;
    unsigned count = amps_eventcount_read(&pool->opened);
    uint64_t gate = atomic_load(&pool->gate);
    while (!invites(gate, seen) && !atomic_load(&pool->stop)) {
        amps_eventcount_await(&pool->opened, count);
        settle(self);
        count = amps_eventcount_read(&pool->opened);
        gate = atomic_load(&pool->gate);
    }
    return gate;
}

static void *work(void *context)
{
    worker *const self = context;
    amps_pool *const pool = self->pool;
    uint64_t seen = 0;
    (void)amps_fp_enter(); /* a new thread inherits its maker's mode */
    while (!atomic_load_explicit(&pool->stop, memory_order_relaxed)) {
        uint64_t gate = spin(self, seen);
        if (!invites(gate, seen)) {
            gate = doze(self, seen);
        }
        if (invites(gate, seen)) {
            visit(self, gate);
            seen = gate / gate_epoch;
        }
    }
    return NULL;
}

static bool empty(amps_pool *pool)
{
    return (atomic_load(&pool->gate) & gate_inside) == 0;
}

/* Waits until no worker is inside: briefly by looking, then asleep. */
static void wait_left(amps_pool *pool)
{
    const uint64_t end = amps_now_ns() + SPIN_NS;
    for (unsigned i = 0; !empty(pool); i++) {
        if (i % SPINS_PER_CLOCK_READ == SPINS_PER_CLOCK_READ - 1 && amps_now_ns() >= end) {
            break;
        }
        amps_relax();
    }
    if (empty(pool)) {
        return;
    }
    atomic_store(&pool->caller_sleeps, true);
    unsigned count = amps_eventcount_read(&pool->left);
    while (!empty(pool)) {
        amps_eventcount_await(&pool->left, count);
        count = amps_eventcount_read(&pool->left);
    }
    atomic_store(&pool->caller_sleeps, false);
}

void amps_pool_run(amps_pool *pool, size_t tasks, amps_pool_task task, void *context)
{
    if (tasks <= 1 || pool->threads == 1 || pthread_mutex_trylock(&pool->region) != 0) {
        for (size_t i = 0; i < tasks; i++) {
            task(context, i, 0);
        }
        return;
    }
    pool->tasks = tasks;
    pool->task = task;
    pool->context = context;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    const uint64_t epoch = atomic_load_explicit(&pool->gate, memory_order_relaxed) / gate_epoch + 1;
    atomic_store(&pool->gate, epoch * gate_epoch);
    keep_apart(pool);
    amps_eventcount_advance(&pool->opened, tasks - 1);
    take_tasks(pool, 0);
    atomic_fetch_or(&pool->gate, gate_closed);
    wait_left(pool);
    pthread_mutex_unlock(&pool->region);
}

/* MXCSR of x86-64 (rounding and flush bits, traps masked); FPCR of arm64. */
uint64_t amps_fp_enter(void)
{
#if defined(__x86_64__)
    const uint64_t found = __builtin_ia32_stmxcsr();
    if ((found & ~UINT64_C(0x3f)) != 0x1f80) { /* the low six bits are sticky flags */
        __builtin_ia32_ldmxcsr(0x1f80);
    }
    return found;
#elif defined(__aarch64__)
    uint64_t found;
    __asm__ volatile("mrs %0, fpcr" : "=r"(found));
    if (found != 0) {
        __asm__ volatile("msr fpcr, %0" : : "r"(UINT64_C(0)));
    }
    return found;
#else
    return 0;
#endif
}

void amps_fp_leave(uint64_t found)
{
#if defined(__x86_64__)
    if ((found & ~UINT64_C(0x3f)) != 0x1f80) {
        __builtin_ia32_ldmxcsr((unsigned)found);
    }
#elif defined(__aarch64__)
    if (found != 0) {
        __asm__ volatile("msr fpcr, %0" : : "r"(found));
    }
#else
    (void)found;
#endif
}

int amps_thread_start(pthread_t *thread, void *(*run)(void *), void *context)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int refused = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return refused;
}

anymps_status amps_pool_open(size_t threads, amps_pool **out)
{
    size_t bytes = 0;
    ANYMPS_FAIL_IF(!amps_mul(threads, sizeof(worker), &bytes) || !amps_add(bytes, sizeof(amps_pool), &bytes),
                   ANYMPS_INVALID_ARGUMENT, "device_open: %zu threads are too many", threads);
    amps_pool *const pool = amps_malloc_aligned(bytes, _Alignof(amps_pool), true);
    if (pool == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    atomic_init(&pool->gate, gate_closed);
    pthread_mutex_init(&pool->region, NULL);
    amps_eventcount_init(&pool->opened);
    amps_eventcount_init(&pool->left);
    note_allowed(pool);
    pool->threads = 1;
    while (pool->threads < threads) {
        worker *const next = &pool->workers[pool->threads - 1];
        next->pool = pool;
        next->thread = pool->threads;
        atomic_init(&next->cpu, -1);
        atomic_init(&next->sent, false);
        const int refused = amps_thread_start(&next->id, work, next);
        if (refused != 0) {
            amps_log(ANYMPS_LOG_WARNING, "device_open: the system makes %zu of %zu threads (errno %d)", pool->threads,
                     threads, refused);
            break;
        }
        pool->threads++;
    }
    *out = pool;
    return ANYMPS_OK;
}

void amps_pool_close(amps_pool *pool)
{
    atomic_store(&pool->stop, true);
    amps_eventcount_advance(&pool->opened, SIZE_MAX);
    for (size_t i = 0; i + 1 < pool->threads; i++) {
        pthread_join(pool->workers[i].id, NULL);
    }
    amps_eventcount_destroy(&pool->left);
    amps_eventcount_destroy(&pool->opened);
    pthread_mutex_destroy(&pool->region);
    amps_free(pool);
}

size_t amps_pool_threads(const amps_pool *pool)
{
    return pool->threads;
}
