/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu_queue.c: runs submissions in order. Called through the vtable (submit, wait); calls the operators'
 * entries record by record. Knows no operator.
 *
 * A submission is run by whoever comes first: a thread in `wait`, or the queue's executor thread. So a
 * tiny operation that is waited for at once costs no thread switch, and one that nobody waits for still
 * runs. While the queue is in use the executor naps and looks by itself, so that `submit` need not wake
 * it (a wake costs more than a tiny operation); a queue without work lets it sleep for good. Work that a callback
 * watches is hardly waited for: after it the executor sleeps at once, and the next commit wakes it.
 *
 * Submissions are numbered; submission t has ended when `completed` has reached t (modulo 2^32). After
 * `done` a submission may be gone or submitted anew, so nothing of it is touched then; the number is read
 * from its backend_state by `wait`, whose caller keeps it alive.
 */
#include "backend/cpu/cpu.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

enum {
    NAP_SLACK_NS = 1000,
    NAP_NS = 50000,       /* the most that work nobody waits for is late; some 3 % of a CPU while in use */
    SPARE_STEPS = 64,     /* of a plan that is kept: 40 KiB */
    IDLE_NAPS = 20,       /* naps without work before the executor sleeps: about 1 ms */
    WAIT_SPIN_NS = 20000, /* about the cost of a sleep and a wake */
    STEPS_AHEAD = 3,      /* steps whose first lines are fetched early */
    STEP_HEAD_LINES = 3   /* which hold the whole of a single call of a microkernel */
};

typedef enum executor_state {
    EXECUTOR_NONE,  /* not started: nothing was submitted yet */
    EXECUTOR_AWAKE, /* running work, or napping: looks at the list by itself */
    EXECUTOR_ASLEEP /* has to be woken */
} executor_state;

typedef struct cpu_queue {
    amps_queue base;
    pthread_mutex_t lock;    /* guards everything below */
    pthread_cond_t work;     /* the executor sleeps here */
    pthread_cond_t finished; /* threads in `wait` sleep here */
    amps_submission *head;
    amps_submission *tail;
    uint32_t submitted;
    atomic_uint completed;
    bool running; /* a submission runs, on thread `runner` */
    pthread_t runner;
    bool closing;
    bool abandoned; /* closed by `done` on the running thread, which then frees the queue */
    size_t waiters;
    bool watched; /* as the last submission was */
    executor_state executor;
    pthread_t executor_id;
    /* One block serves all submissions, since one runs at a time. A larger one that a submission asks for
       while another runs waits in `spare` until the next starts. */
    void *scratch;
    size_t scratch_bytes;
    void *spare;
    size_t spare_bytes;
    struct plan *spare_plan; /* of a command buffer that was reset, for the next that has none; or NULL */
} cpu_queue;

/* What is kept with a submission between commits: its records, resolved. */
typedef struct plan {
    cpu_queue *queue; /* which outlives it: a command buffer holds its queue */
    uint64_t generation;
    size_t scratch_bytes;
    size_t count, capacity; /* steps filled, and those there is room for */
    _Alignas(AMPS_CACHE_LINE) amps_cpu_step steps[];
} plan;

static bool ended(const cpu_queue *queue, uint32_t number)
{
    return (int32_t)(atomic_load_explicit(&queue->completed, memory_order_acquire) - number) >= 0;
}

/* ---- running ---------------------------------------------------------------------------------- */

/* Steps of tiny operations take as long as their own bytes need from the second cache. Past the end it does no harm. */
static void fetch(const amps_cpu_step *step)
{
    for (size_t line = 0; line < STEP_HEAD_LINES; line++) {
        __builtin_prefetch((const unsigned char *)step + line * AMPS_CACHE_LINE);
    }
}

static void run_steps(amps_submission *submission, void *scratch)
{
    const plan *const kept = submission->plan;
    const uint64_t start = submission->timings ? amps_now_ns() : 0;
    const uint64_t mode = amps_fp_enter();
    for (size_t i = 0; i < kept->count; i++) {
        fetch(&kept->steps[i + STEPS_AHEAD]);
        kept->steps[i].run(&kept->steps[i], scratch);
    }
    amps_fp_leave(mode);
    if (submission->timings) {
        submission->device_ns = amps_now_ns() - start;
    }
}

/* Runs the oldest submission. The lock is held before and after, not during. False: `done` closed the
   queue, and this thread has to free it. */
static bool run_oldest(cpu_queue *queue)
{
    amps_submission *const submission = queue->head;
    queue->head = submission->next;
    queue->running = true;
    queue->runner = pthread_self();
    if (queue->spare != NULL) {
        amps_free(queue->scratch);
        queue->scratch = queue->spare;
        queue->scratch_bytes = queue->spare_bytes;
        queue->spare = NULL;
    }
    void *const scratch = queue->scratch;
    pthread_mutex_unlock(&queue->lock);
    run_steps(submission, scratch);
    submission->done(submission, NULL);
    pthread_mutex_lock(&queue->lock);
    queue->running = false;
    atomic_fetch_add_explicit(&queue->completed, 1, memory_order_release);
    if (queue->waiters > 0) {
        pthread_cond_broadcast(&queue->finished);
    }
    return !queue->abandoned;
}

static void destroy(cpu_queue *queue)
{
    amps_free(queue->scratch);
    amps_free(queue->spare);
    amps_free(queue->spare_plan);
    pthread_cond_destroy(&queue->finished);
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->lock);
    amps_free(queue);
}

/* Stops the executor, from another thread. */
static void stop_executor(cpu_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    const bool started = queue->executor != EXECUTOR_NONE;
    queue->closing = true;
    pthread_cond_signal(&queue->work);
    pthread_mutex_unlock(&queue->lock);
    if (started) {
        pthread_join(queue->executor_id, NULL);
    }
}

/* ---- the executor ----------------------------------------------------------------------------- */

static void nap(cpu_queue *queue)
{
    const struct timespec time = {.tv_sec = 0, .tv_nsec = NAP_NS};
    pthread_mutex_unlock(&queue->lock);
    nanosleep(&time, NULL);
    pthread_mutex_lock(&queue->lock);
}

/* Waits, with the lock held, until there may be something to run. `idle` counts naps without news. */
static void rest(cpu_queue *queue, unsigned *idle)
{
    const uint32_t before = queue->submitted;
    const uint32_t ended_before = atomic_load_explicit(&queue->completed, memory_order_relaxed);
    if (*idle < IDLE_NAPS && !queue->watched) {
        nap(queue);
        const bool news =
            queue->submitted != before || atomic_load_explicit(&queue->completed, memory_order_relaxed) != ended_before;
        *idle = news ? 0 : queue->running ? IDLE_NAPS : *idle + 1; /* a long run: no need to look */
        return;
    }
    queue->executor = EXECUTOR_ASLEEP;
    while (!queue->closing && (queue->head == NULL || queue->running)) {
        pthread_cond_wait(&queue->work, &queue->lock);
    }
    queue->executor = EXECUTOR_AWAKE;
    *idle = 0;
}

/* Where the system knows such threads, one that wakes up does not push the program's own from the CPU. */
static void yield_to_others(void)
{
#if defined(SCHED_BATCH)
    const struct sched_param none = {.sched_priority = 0};
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
#endif
}

static void *execute(void *context)
{
    yield_to_others();
    cpu_queue *const queue = context;
    unsigned idle = 0;
#if defined(__linux__)
    (void)prctl(PR_SET_TIMERSLACK, NAP_SLACK_NS); /* this thread's naps; by default they last twice as long */
#endif
    pthread_mutex_lock(&queue->lock);
    while (!queue->closing) {
        if (queue->head == NULL || queue->running) {
            rest(queue, &idle);
        } else if (!run_oldest(queue)) {
            pthread_mutex_unlock(&queue->lock);
            pthread_detach(pthread_self());
            destroy(queue);
            return NULL;
        }
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

/* ---- slots ------------------------------------------------------------------------------------ */

anymps_status amps_cpu_queue_open(amps_device *device, void *native, amps_queue **out)
{
    ANYMPS_FAIL_IF(native != NULL, ANYMPS_UNSUPPORTED, "queue_create_native: the CPU has no queues of its own");
    cpu_queue *const queue = amps_calloc(1, sizeof *queue);
    if (queue == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    queue->base.device = device;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->work, NULL);
    pthread_cond_init(&queue->finished, NULL);
    *out = &queue->base;
    return ANYMPS_OK;
}

void amps_cpu_queue_close(amps_queue *base)
{
    cpu_queue *const queue = (cpu_queue *)base;
    pthread_mutex_lock(&queue->lock);
    if (queue->running && pthread_equal(queue->runner, pthread_self())) {
        queue->abandoned = true; /* inside `done`: the caller of `done` frees it */
        pthread_mutex_unlock(&queue->lock);
        return;
    }
    pthread_mutex_unlock(&queue->lock);
    stop_executor(queue);
    destroy(queue);
}

/* Kept for the next commit on this queue, so that encoding anew allocates nothing; a large one goes. */
static void release_plan(void *block)
{
    plan *unused = block;
    cpu_queue *const queue = unused->queue;
    pthread_mutex_lock(&queue->lock);
    if (unused->capacity <= SPARE_STEPS &&
        (queue->spare_plan == NULL || queue->spare_plan->capacity < unused->capacity)) {
        plan *const other = queue->spare_plan;
        queue->spare_plan = unused;
        unused = other;
    }
    pthread_mutex_unlock(&queue->lock);
    amps_free(unused);
}

/* The spare plan if it has room for `count` steps, else NULL. */
static plan *take_spare_plan(cpu_queue *queue, size_t count)
{
    pthread_mutex_lock(&queue->lock);
    plan *const found = queue->spare_plan != NULL && queue->spare_plan->capacity >= count ? queue->spare_plan : NULL;
    queue->spare_plan = found != NULL ? NULL : queue->spare_plan;
    pthread_mutex_unlock(&queue->lock);
    return found;
}

/* The step of a record whose operator plans nothing. */
typedef struct plain_step {
    const amps_cpu_device *device;
    const amps_record *record;
    const amps_cpu_op *entry;
} plain_step;

static void run_plain(const amps_cpu_step *step, void *scratch)
{
    const plain_step *const plain = (const void *)step->room;
    plain->entry->run(plain->device, plain->record, scratch);
}

static bool plan_step(const amps_cpu_device *device, const amps_record *record, amps_cpu_step *step, size_t *bytes)
{
    const amps_cpu_kernel *const kernel = (const amps_cpu_kernel *)record->kernel;
    if (kernel->plan != NULL) {
        return kernel->plan(device, record, step, bytes);
    }
    step->run = run_plain;
    *(plain_step *)(void *)step->room = (plain_step){device, record, kernel->entry};
    return kernel->entry->scratch(device, record, bytes);
}

/* Room for the submission's steps: the one that is kept if it is large enough. */
static anymps_status plan_room(cpu_queue *queue, amps_submission *submission, plan **room)
{
    *room = submission->plan;
    if (*room == NULL) {
        submission->plan = *room = take_spare_plan(queue, submission->count);
        submission->release_plan = release_plan;
    }
    if (*room != NULL && (*room)->capacity >= submission->count) {
        return ANYMPS_OK;
    }
    size_t bytes;
    ANYMPS_FAIL_IF(!amps_mul(submission->count, sizeof(amps_cpu_step), &bytes) ||
                       !amps_add(bytes, sizeof(plan), &bytes),
                   ANYMPS_OUT_OF_MEMORY, "commit: %zu records are too many", submission->count);
    plan *const fresh = amps_malloc_aligned(bytes, AMPS_CACHE_LINE, false);
    if (fresh == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    amps_free(*room);
    *fresh = (plan){.queue = queue, .generation = ~submission->generation, .capacity = submission->count};
    submission->plan = *room = fresh;
    return ANYMPS_OK;
}

/* Steps and the scratch of the largest, kept with the submission for the next commit. */
static anymps_status make_plan(cpu_queue *queue, amps_submission *submission)
{
    const amps_cpu_device *const device = (const amps_cpu_device *)queue->base.device;
    plan *kept = submission->plan;
    if (kept != NULL && kept->generation == submission->generation) {
        return ANYMPS_OK;
    }
    ANYMPS_TRY(plan_room(queue, submission, &kept));
    kept->generation = ~submission->generation; /* nobody's, should the plan fail half-way */
    kept->count = 0;
    kept->scratch_bytes = 0;
    for (size_t i = 0; i < submission->count; i++) {
        const amps_record *const record = &submission->records[i];
        size_t bytes = 0;
        if (record->batch != 0) {
            ANYMPS_FAIL_IF(!plan_step(device, record, &kept->steps[kept->count], &bytes), ANYMPS_OUT_OF_MEMORY,
                           "%s: the scratch it needs exceeds the address space",
                           ((const amps_cpu_kernel *)record->kernel)->entry->name);
            kept->scratch_bytes = amps_max(kept->scratch_bytes, bytes);
            kept->count++;
        }
    }
    kept->generation = submission->generation;
    return ANYMPS_OK;
}

/* With the lock held. */
static anymps_status reserve(cpu_queue *queue, size_t bytes)
{
    const size_t have = queue->spare != NULL ? queue->spare_bytes : queue->scratch_bytes;
    if (bytes <= have) {
        return ANYMPS_OK;
    }
    void *const block = amps_malloc_aligned(bytes, AMPS_PAGE_BYTES, false);
    if (block == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    amps_free(queue->spare);
    queue->spare = block;
    queue->spare_bytes = bytes;
    return ANYMPS_OK;
}

/* With the lock held. */
static anymps_status start_executor(cpu_queue *queue)
{
    if (queue->executor != EXECUTOR_NONE) {
        return ANYMPS_OK;
    }
    const int refused = amps_thread_start(&queue->executor_id, execute, queue);
    if (refused != 0) {
        return amps_fail_code(ANYMPS_OUT_OF_MEMORY, refused, "commit: the system makes no thread (errno %d)", refused);
    }
    queue->executor = EXECUTOR_AWAKE;
    return ANYMPS_OK;
}

anymps_status amps_cpu_submit(amps_queue *base, amps_submission *submission)
{
    cpu_queue *const queue = (cpu_queue *)base;
    ANYMPS_TRY(make_plan(queue, submission));
    pthread_mutex_lock(&queue->lock);
    anymps_status status = reserve(queue, ((const plan *)submission->plan)->scratch_bytes);
    if (status == ANYMPS_OK) {
        status = start_executor(queue);
    }
    if (status != ANYMPS_OK) {
        pthread_mutex_unlock(&queue->lock);
        return status;
    }
    submission->next = NULL;
    if (queue->head == NULL) {
        queue->head = submission;
    } else {
        queue->tail->next = submission;
    }
    queue->tail = submission;
    queue->watched = submission->watched;
    atomic_store_explicit(&submission->backend_state, ++queue->submitted, memory_order_relaxed);
    if (queue->executor == EXECUTOR_ASLEEP) {
        pthread_cond_signal(&queue->work);
    }
    pthread_mutex_unlock(&queue->lock);
    return ANYMPS_OK;
}

/* Looks for a while whether submission `number` ends, without the lock. */
static void spin(const cpu_queue *queue, uint32_t number)
{
    const uint64_t end = amps_now_ns() + WAIT_SPIN_NS;
    while (!ended(queue, number) && amps_now_ns() < end) {
        amps_relax();
    }
}

/* With the lock held: another thread runs; returns when that may have changed. */
static void wait_for_runner(cpu_queue *queue, uint32_t number)
{
    pthread_mutex_unlock(&queue->lock);
    spin(queue, number);
    pthread_mutex_lock(&queue->lock);
    if (!ended(queue, number) && queue->running) {
        queue->waiters++;
        pthread_cond_wait(&queue->finished, &queue->lock);
        queue->waiters--;
    }
}

void amps_cpu_wait(amps_queue *base, amps_submission *submission)
{
    cpu_queue *const queue = (cpu_queue *)base;
    const uint32_t number = atomic_load_explicit(&submission->backend_state, memory_order_relaxed);
    pthread_mutex_lock(&queue->lock);
    while (!ended(queue, number)) {
        if (queue->running) {
            wait_for_runner(queue, number);
        } else if (!run_oldest(queue)) {
            pthread_mutex_unlock(&queue->lock);
            stop_executor(queue);
            destroy(queue);
            return;
        }
    }
    if (queue->head != NULL && !queue->running && queue->executor == EXECUTOR_ASLEEP) {
        pthread_cond_signal(&queue->work); /* what this thread leaves behind */
    }
    pthread_mutex_unlock(&queue->lock);
}
