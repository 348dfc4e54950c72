/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_queue.c: one CUDA stream a queue: commits, the order of their ends, waiting. Slots of the vtable in
 * cuda.c; calls plan.c for the launches.
 *
 * Every commit ends with a write of its sequence number into a mapped host word (`flag`). A waiter spins
 * on that word for the first microseconds and then sleeps in growing steps; the queue's own thread looks
 * at it now and then, so that `done` is called even if nobody waits. Whoever sees the word first calls
 * `done`, in the order of the commits, one thread at a time.
 */
#include "backend/cuda/plan.h"

#include "base/alloc.h"
#include "base/threads.h"

#include <string.h>
#include <time.h>

/* How long a waiter spins: a blocking call of one small kernel takes 8-12 µs on an H100, a short batch a
   few hundred; beyond that a sleep's wake-up (50 µs) no longer shows. */
#define SPIN_NS 400000u
/* The queue's thread looks this often while work is in flight or was a moment ago, and sleeps on its
   condition after IDLE_NS without any. */
#define LOOK_NS 200000u
#define IDLE_NS 50000000u

typedef struct cuda_queue {
    amps_queue base; /* native: CUstream */
    amps_cuda_device *device;
    CUstream stream;
    CUstream capture; /* graphs are recorded here */
    bool own_stream;
    _Atomic uint32_t *flag; /* pinned; the device writes the last sequence number that has run */
    size_t flag_bytes;
    CUdeviceptr flag_address;
    amps_cuda_recent recent; /* under `submitting` */
    CUevent joined;          /* orders a foreign target stream with ours; made when first needed */

    pthread_mutex_t submitting; /* one commit at a time: launches and sequence numbers in one order */
    uint32_t sequence;          /* of the last commit; under `submitting` */

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t wake;  /* the queue's thread sleeps here */
    pthread_cond_t ended; /* waiters sleep here while another thread calls `done` */
    amps_submission *first, *last;
    bool finishing; /* a thread is calling `done` */
    bool stop;
    bool orphan; /* closed by its own thread, inside `done`: that thread destroys it */
    bool asleep;
    bool has_thread;
    pthread_t thread;
    _Atomic uint32_t completed; /* `done` has returned for all up to this sequence number */
} cuda_queue;

static bool reached(uint32_t now, uint32_t sequence)
{
    return (int32_t)(now - sequence) >= 0;
}

/* ---- Ending ----------------------------------------------------------------------------------- */

static bool has_run(cuda_queue *queue, uint32_t sequence)
{
    return reached(atomic_load_explicit(queue->flag, memory_order_acquire), sequence) ||
           atomic_load_explicit(&queue->device->lost, memory_order_acquire);
}

static void read_times(amps_cuda_plan *plan, amps_submission *submission)
{
    float milliseconds = 0.0f;
    submission->device_ns = 0;
    if (plan->timed && amps_cuda_enter(plan->device) == CUDA_SUCCESS) {
        if (amps_cu.EventElapsedTime(&milliseconds, plan->started, plan->ended) == CUDA_SUCCESS) {
            submission->device_ns = (uint64_t)((double)milliseconds * 1e6);
        }
        amps_cuda_leave();
    }
}

/* The submission may be gone when `done` returns. */
static void deliver(cuda_queue *queue, amps_submission *submission)
{
    amps_cuda_plan *const plan = submission->plan;
    const bool ran = reached(atomic_load_explicit(queue->flag, memory_order_acquire), plan->sequence);
    anymps_error error = plan->failure;
    if (!ran && amps_cuda_check_lost(queue->device) != ANYMPS_OK) {
        error = queue->device->lost_error;
    }
    if (error.status == ANYMPS_OK) {
        read_times(plan, submission);
    }
    submission->done(submission, error.status == ANYMPS_OK ? NULL : &error);
}

/* Ends every submission whose turn has come. Returns at once if another thread is at it. */
static void finish(cuda_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    if (!queue->finishing) {
        queue->finishing = true;
        while (queue->first != NULL) {
            amps_submission *const submission = queue->first;
            const uint32_t sequence = ((const amps_cuda_plan *)submission->plan)->sequence;
            if (!has_run(queue, sequence)) {
                break;
            }
            queue->first = submission->next;
            (void)pthread_mutex_unlock(&queue->lock);
            deliver(queue, submission);
            (void)pthread_mutex_lock(&queue->lock);
            atomic_store_explicit(&queue->completed, sequence, memory_order_release);
        }
        queue->finishing = false;
        (void)pthread_cond_broadcast(&queue->ended);
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

/* Work that faulted never writes its flag: the stream tells. */
static void look_for_fault(cuda_queue *queue)
{
    if (amps_cuda_enter(queue->device) != CUDA_SUCCESS) {
        return;
    }
    const CUresult result = amps_cu.StreamQuery(queue->stream);
    amps_cuda_leave();
    if (result != CUDA_SUCCESS && result != CUDA_ERROR_NOT_READY) {
        (void)amps_cuda_fail(result, "wait: the GPU");
        anymps_error error = *anymps_last_error();
        error.status = ANYMPS_DEVICE_LOST;
        amps_cuda_mark_lost(queue->device, &error);
    }
}

static void sleep_ns(uint64_t ns)
{
    const struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    (void)nanosleep(&pause, NULL);
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Another thread is calling `done`: sleep until it has, or until the next turn. */
static void wait_for_finisher(cuda_queue *queue, uint32_t sequence)
{
    (void)pthread_mutex_lock(&queue->lock);
    while (queue->finishing && !reached(atomic_load(&queue->completed), sequence)) {
        (void)pthread_cond_wait(&queue->ended, &queue->lock);
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

void amps_cuda_wait(amps_queue *base, amps_submission *submission)
{
    cuda_queue *const queue = (cuda_queue *)base;
    const uint32_t sequence = atomic_load_explicit(&submission->backend_state, memory_order_acquire);
    const uint64_t begin = amps_now_ns();
    while (!reached(atomic_load_explicit(&queue->completed, memory_order_acquire), sequence)) {
        if (has_run(queue, sequence)) {
            finish(queue);
            wait_for_finisher(queue, sequence);
            continue;
        }
        for (int i = 0; i < 64 && !has_run(queue, sequence); i++) {
            relax();
        }
        const uint64_t waited = amps_now_ns() - begin;
        if (waited > SPIN_NS) {
            look_for_fault(queue);
            sleep_ns(waited / 16 < LOOK_NS ? waited / 16 : LOOK_NS);
        }
    }
}

/* ---- The queue's end and its thread ----------------------------------------------------------- */

static void close_streams(cuda_queue *queue)
{
    amps_cuda_recent_drop(&queue->recent);
    if (queue->joined != NULL) {
        (void)amps_cu.EventDestroy(queue->joined);
    }
    if (queue->capture != NULL) {
        (void)amps_cu.StreamDestroy(queue->capture);
    }
    if (queue->own_stream && queue->stream != NULL) {
        (void)amps_cu.StreamDestroy(queue->stream);
    }
    amps_cuda_pool_give(queue->device, true, queue->flag, queue->flag_bytes);
}

static void destroy(cuda_queue *queue)
{
    amps_cuda_device *const device = queue->device;
    if (amps_cuda_enter(device) == CUDA_SUCCESS) {
        close_streams(queue);
        amps_cuda_leave();
    }
    (void)pthread_cond_destroy(&queue->ended);
    (void)pthread_cond_destroy(&queue->wake);
    (void)pthread_mutex_destroy(&queue->lock);
    (void)pthread_mutex_destroy(&queue->submitting);
    amps_free(queue);
    amps_cuda_device_release(device);
}

/* Under the lock: sleeps until there is work or the queue closes. False: closing and empty. */
static bool await_work(cuda_queue *queue, uint64_t *busy_until)
{
    if (queue->first == NULL && !queue->stop && amps_now_ns() > *busy_until) {
        queue->asleep = true;
        while (queue->first == NULL && !queue->stop) {
            (void)pthread_cond_wait(&queue->wake, &queue->lock);
        }
        queue->asleep = false;
    }
    if (queue->first != NULL) {
        *busy_until = amps_now_ns() + IDLE_NS;
    }
    return queue->first != NULL || !queue->stop;
}

/* Between two looks; a queue that closes does not wait for it. */
static void rest(cuda_queue *queue)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)LOOK_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&queue->lock);
    if (!queue->stop) {
        (void)pthread_cond_timedwait(&queue->wake, &queue->lock, &until);
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

static void *attend(void *opaque)
{
    cuda_queue *const queue = opaque;
    uint64_t busy_until = 0;
    for (;;) {
        (void)pthread_mutex_lock(&queue->lock);
        const bool more = await_work(queue, &busy_until);
        const bool work = queue->first != NULL;
        const bool orphan = queue->orphan;
        (void)pthread_mutex_unlock(&queue->lock);
        if (!more) {
            if (orphan) {
                destroy(queue);
            }
            return NULL;
        }
        if (work) {
            finish(queue);
            look_for_fault(queue);
        }
        rest(queue);
    }
}

/* ---- Submitting ------------------------------------------------------------------------------- */

static anymps_status record_event(CUevent *event, CUstream stream)
{
    if (*event == NULL) {
        AMPS_CU_TRY(amps_cu.EventCreate(event, CU_EVENT_DEFAULT), "commit: cuEventCreate");
    }
    AMPS_CU_TRY(amps_cu.EventRecord(*event, stream), "commit: cuEventRecord");
    return ANYMPS_OK;
}

/* Work of ours on `after` begins when that on `before` so far has ended. */
static anymps_status order(cuda_queue *queue, CUstream before, CUstream after)
{
    ANYMPS_TRY(record_event(&queue->joined, before));
    AMPS_CU_TRY(amps_cu.StreamWaitEvent(after, queue->joined, 0), "commit: cuStreamWaitEvent");
    return ANYMPS_OK;
}

static anymps_status run(cuda_queue *queue, amps_submission *submission, amps_cuda_plan *plan, bool *ran)
{
    const CUstream target = submission->native_target != NULL ? submission->native_target : queue->stream;
    *ran = false;
    if (target != queue->stream) {
        ANYMPS_TRY(order(queue, queue->stream, target));
    }
    plan->timed = submission->timings;
    if (plan->timed) {
        ANYMPS_TRY(record_event(&plan->started, target));
    }
    ANYMPS_TRY(amps_cuda_plan_run(plan, submission, target, queue->capture, &queue->recent, ran));
    if (plan->timed) {
        ANYMPS_TRY(record_event(&plan->ended, target));
    }
    return target != queue->stream ? order(queue, target, queue->stream) : ANYMPS_OK;
}

static anymps_status start_thread(cuda_queue *queue)
{
    if (!queue->has_thread) {
        const int error = pthread_create(&queue->thread, NULL, attend, queue);
        ANYMPS_FAIL_IF(error != 0, ANYMPS_OUT_OF_MEMORY, "commit: no thread (errno %d)", error);
        queue->has_thread = true;
    }
    return ANYMPS_OK;
}

static void append(cuda_queue *queue, amps_submission *submission)
{
    (void)pthread_mutex_lock(&queue->lock);
    submission->next = NULL;
    if (queue->first == NULL) {
        queue->first = submission;
    } else {
        queue->last->next = submission;
    }
    queue->last = submission;
    if (queue->asleep) {
        (void)pthread_cond_signal(&queue->wake);
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

/* Writes the flag behind the work. If even that is refused, the failure ends the commit through the lost
   device or through a flag that the host writes after the stream has run dry. */
static void close_commit(cuda_queue *queue, amps_cuda_plan *plan)
{
    const CUresult result = amps_cu.StreamWriteValue32(queue->stream, queue->flag_address, plan->sequence, 0);
    if (result == CUDA_SUCCESS) {
        return;
    }
    const anymps_status status = amps_cuda_fail(result, "commit: cuStreamWriteValue32");
    if (plan->failure.status == ANYMPS_OK) {
        plan->failure = *anymps_last_error();
    }
    if (status == ANYMPS_DEVICE_LOST || amps_cu.StreamSynchronize(queue->stream) != CUDA_SUCCESS) {
        plan->failure.status = ANYMPS_DEVICE_LOST;
        amps_cuda_mark_lost(queue->device, &plan->failure);
        return;
    }
    atomic_store_explicit(queue->flag, plan->sequence, memory_order_release);
}

/* The context is entered, `submitting` is held. */
static anymps_status submit_entered(cuda_queue *queue, amps_submission *submission)
{
    amps_cuda_plan *plan;
    ANYMPS_TRY(start_thread(queue));
    ANYMPS_TRY(amps_cuda_plan_get(queue->device, submission, &plan));
    bool ran;
    const anymps_status status = run(queue, submission, plan, &ran);
    if (status == ANYMPS_DEVICE_LOST) {
        amps_cuda_mark_lost(queue->device, anymps_last_error());
    }
    if (status != ANYMPS_OK && !ran) {
        return status;
    }
    memset(&plan->failure, 0, sizeof plan->failure);
    if (status != ANYMPS_OK) {
        plan->failure = *anymps_last_error();
        if (status != ANYMPS_DEVICE_LOST) {
            plan->failure.status = ANYMPS_EXECUTION_FAILED;
        }
    }
    plan->sequence = ++queue->sequence;
    atomic_store_explicit(&submission->backend_state, plan->sequence, memory_order_release);
    close_commit(queue, plan);
    append(queue, submission);
    return ANYMPS_OK;
}

anymps_status amps_cuda_submit(amps_queue *base, amps_submission *submission)
{
    cuda_queue *const queue = (cuda_queue *)base;
    ANYMPS_TRY(amps_cuda_check_lost(queue->device));
    AMPS_CU_TRY(amps_cuda_enter(queue->device), "commit: cuCtxPushCurrent");
    (void)pthread_mutex_lock(&queue->submitting);
    const anymps_status status = submit_entered(queue, submission);
    (void)pthread_mutex_unlock(&queue->submitting);
    amps_cuda_leave();
    return status;
}

/* ---- Opening and closing ---------------------------------------------------------------------- */

static anymps_status open_streams(cuda_queue *queue, void *native)
{
    queue->own_stream = native == NULL;
    queue->stream = native;
    if (queue->own_stream) {
        AMPS_CU_TRY(amps_cu.StreamCreate(&queue->stream, CU_STREAM_NON_BLOCKING), "queue_create: cuStreamCreate");
    }
    AMPS_CU_TRY(amps_cu.StreamCreate(&queue->capture, CU_STREAM_NON_BLOCKING), "queue_create: cuStreamCreate");
    void *flag;
    queue->flag_bytes = sizeof *queue->flag;
    ANYMPS_TRY(amps_cuda_pool_take(queue->device, true, &queue->flag_bytes, &flag));
    queue->flag = flag;
    atomic_init(queue->flag, 0);
    AMPS_CU_TRY(amps_cu.MemHostGetDevicePointer(&queue->flag_address, flag, 0),
                "queue_create: cuMemHostGetDevicePointer");
    return ANYMPS_OK;
}

anymps_status amps_cuda_queue_open(amps_device *base, void *native, amps_queue **out)
{
    amps_cuda_device *const device = (amps_cuda_device *)base;
    ANYMPS_TRY(amps_cuda_check_lost(device));
    cuda_queue *const queue = amps_calloc(1, sizeof *queue);
    if (queue == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    queue->base.device = base;
    queue->device = device;
    const CUresult entered = amps_cuda_enter(device);
    anymps_status status = entered == CUDA_SUCCESS ? open_streams(queue, native)
                                                   : amps_cuda_fail(entered, "queue_create: cuCtxPushCurrent");
    if (entered == CUDA_SUCCESS) {
        if (status != ANYMPS_OK) {
            close_streams(queue);
        }
        amps_cuda_leave();
    }
    if (status != ANYMPS_OK) {
        amps_free(queue);
        return status;
    }
    (void)pthread_mutex_init(&queue->submitting, NULL);
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_cond_init(&queue->wake, NULL);
    (void)pthread_cond_init(&queue->ended, NULL);
    atomic_fetch_add(&device->references, 1);
    queue->base.native = queue->stream;
    *out = &queue->base;
    return ANYMPS_OK;
}

void amps_cuda_queue_close(amps_queue *base)
{
    cuda_queue *const queue = (cuda_queue *)base;
    bool own_thread = false;
    if (queue->has_thread) {
        own_thread = pthread_equal(pthread_self(), queue->thread) != 0;
        (void)pthread_mutex_lock(&queue->lock);
        queue->stop = true;
        queue->orphan = own_thread;
        (void)pthread_cond_signal(&queue->wake);
        (void)pthread_mutex_unlock(&queue->lock);
        if (own_thread) {
            (void)pthread_detach(queue->thread);
            return;
        }
        (void)pthread_join(queue->thread, NULL);
    }
    destroy(queue);
}
