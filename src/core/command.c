/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c: command buffers: records, commit, completion. Behind command.h; src/ops appends records, the
 * device's vtable runs them and calls `done`.
 *
 * A commit in flight holds a reference on the command buffer, so that releasing early is safe. (Those of the
 * one-call forms do not: they are always waited for, and must be gone before their device goes.) Serial
 * numbers tell the commits apart: a waiter waits for the number that it saw, and a callback that commits
 * again cannot confuse it.
 */
#include "core/core.h"

#include "base/threads.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_SIZE = 64, FIRST_RECORDS = 16, VIEWS_PER_CHUNK = 64, FIRST_HELD = 64 };

/* Views of records: chunks never move, since records point into them. */
typedef struct chunk {
    struct chunk *next;
    size_t used;
    amps_view views[VIEWS_PER_CHUNK];
} chunk;

struct anymps_command_buffer {
    amps_object object;
    anymps_queue *queue;
    amps_submission submission;

    amps_record *records; /* submission.records points here; submission.count are used */
    size_t record_capacity;
    chunk *first_chunk;
    chunk *last_chunk;  /* the one being filled; those behind it are empty */
    amps_object **held; /* kernels and operands of the records, one reference each */
    size_t held_count;
    size_t held_capacity;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ended;
    atomic_int state; /* anymps_command_buffer_state; also read without the lock */
    uint64_t commits; /* serial of the last commit */
    uint64_t ended_commits;
    anymps_error error; /* of the last commit that ended */
    anymps_completion_callback callback;
    void *callback_context;
    bool timings;
    bool measured;
    anymps_timings times;
    uint64_t commit_started_ns;
    char label[LABEL_SIZE];
};

static void done(amps_submission *submission, const anymps_error *error);

static anymps_status check(const anymps_command_buffer *command_buffer, const char *name)
{
    ANYMPS_FAIL_IF(!amps_is(command_buffer, AMPS_KIND_COMMAND_BUFFER), ANYMPS_INVALID_ARGUMENT,
                   "%s: command buffer is NULL or no command buffer", name);
    return ANYMPS_OK;
}

static anymps_status check_not_in_flight(const anymps_command_buffer *command_buffer, const char *name)
{
    ANYMPS_TRY(check(command_buffer, name));
    ANYMPS_FAIL_IF(atomic_load(&command_buffer->state) == ANYMPS_COMMAND_BUFFER_COMMITTED, ANYMPS_INVALID_STATE,
                   "%s: the command buffer is in flight; wait for it first", name);
    return ANYMPS_OK;
}

anymps_status anymps_command_buffer_create(anymps_queue *queue, anymps_command_buffer **command_buffer)
{
    ANYMPS_FAIL_IF(!amps_is(queue, AMPS_KIND_QUEUE), ANYMPS_INVALID_ARGUMENT,
                   "command_buffer_create: queue is NULL or no queue");
    ANYMPS_FAIL_IF(command_buffer == NULL, ANYMPS_INVALID_ARGUMENT,
                   "command_buffer_create: the command buffer's address is NULL");
    anymps_command_buffer *made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        amps_free(made);
        return amps_fail(ANYMPS_OUT_OF_MEMORY, "command_buffer_create: the system has no more locks");
    }
    if (pthread_cond_init(&made->ended, NULL) != 0) {
        (void)pthread_mutex_destroy(&made->lock);
        amps_free(made);
        return amps_fail(ANYMPS_OUT_OF_MEMORY, "command_buffer_create: the system has no more condition variables");
    }
    made->queue = anymps_queue_retain(queue);
    made->submission.done = done;
    made->submission.label = made->label;
    amps_object_init(&made->object, AMPS_KIND_COMMAND_BUFFER);
    *command_buffer = made;
    return ANYMPS_OK;
}

anymps_command_buffer *anymps_command_buffer_retain(anymps_command_buffer *command_buffer)
{
    if (command_buffer != NULL) {
        amps_object_retain(&command_buffer->object);
    }
    return command_buffer;
}

/* Gives back the references of all records and the backend's plan for them; keeps the memory. */
static void forget_records(anymps_command_buffer *command_buffer)
{
    amps_submission *const submission = &command_buffer->submission;
    if (submission->plan != NULL) {
        submission->release_plan(submission->plan);
        submission->plan = NULL;
    }
    submission->count = 0;
    submission->generation++;
    for (chunk *each = command_buffer->first_chunk; each != NULL; each = each->next) {
        each->used = 0;
    }
    command_buffer->last_chunk = command_buffer->first_chunk;
    for (size_t i = 0; i < command_buffer->held_count; i++) {
        amps_object *const object = command_buffer->held[i];
        if (object->kind == (uint32_t)AMPS_KIND_KERNEL) {
            anymps_kernel_release((anymps_kernel *)object);
        } else {
            anymps_matrix_release((anymps_matrix *)object);
        }
    }
    command_buffer->held_count = 0;
}

/* Nobody has a reference any more; `done`, which gives its own back under the lock, may still be inside. */
static void destroy(anymps_command_buffer *command_buffer)
{
    (void)pthread_mutex_lock(&command_buffer->lock);
    (void)pthread_mutex_unlock(&command_buffer->lock);
    forget_records(command_buffer);
    for (chunk *each = command_buffer->first_chunk; each != NULL;) {
        chunk *const next = each->next;
        amps_free(each);
        each = next;
    }
    amps_free(command_buffer->records);
    amps_free(command_buffer->held);
    (void)pthread_cond_destroy(&command_buffer->ended);
    (void)pthread_mutex_destroy(&command_buffer->lock);
    anymps_queue_release(command_buffer->queue);
    amps_free(command_buffer);
}

void anymps_command_buffer_release(anymps_command_buffer *command_buffer)
{
    if (command_buffer != NULL && amps_object_release(&command_buffer->object)) {
        destroy(command_buffer);
    }
}

anymps_queue *anymps_command_buffer_queue(const anymps_command_buffer *command_buffer)
{
    return amps_is(command_buffer, AMPS_KIND_COMMAND_BUFFER) ? command_buffer->queue : NULL;
}

void anymps_command_buffer_set_label(anymps_command_buffer *command_buffer, const char *label)
{
    if (amps_is(command_buffer, AMPS_KIND_COMMAND_BUFFER)) {
        (void)snprintf(command_buffer->label, LABEL_SIZE, "%s", label != NULL ? label : "");
    }
}

const char *anymps_command_buffer_label(const anymps_command_buffer *command_buffer)
{
    return amps_is(command_buffer, AMPS_KIND_COMMAND_BUFFER) ? command_buffer->label : "";
}

size_t anymps_command_buffer_count(const anymps_command_buffer *command_buffer)
{
    return amps_is(command_buffer, AMPS_KIND_COMMAND_BUFFER) ? command_buffer->submission.count : 0;
}

/* ---- Recording -------------------------------------------------------------------------------- */

anymps_status amps_command_buffer_check(const anymps_command_buffer *command_buffer, const char *name)
{
    ANYMPS_TRY(check(command_buffer, name));
    ANYMPS_FAIL_IF(atomic_load(&command_buffer->state) != ANYMPS_COMMAND_BUFFER_RECORDING, ANYMPS_INVALID_STATE,
                   "%s: the command buffer was committed; reset it or make another to encode", name);
    return ANYMPS_OK;
}

anymps_device *amps_command_buffer_device(const anymps_command_buffer *command_buffer)
{
    return command_buffer->queue->device;
}

uint64_t amps_command_buffer_clock(const anymps_command_buffer *command_buffer)
{
    return command_buffer->timings ? amps_now_ns() : 0;
}

/* Makes room for one more element of `size` bytes; the old block stays if memory is out. */
static anymps_status grow(void **block, size_t *capacity, size_t used, size_t wanted, size_t size, size_t first)
{
    if (used + wanted <= *capacity) {
        return ANYMPS_OK;
    }
    size_t more = *capacity == 0 ? first : *capacity;
    while (more < used + wanted) {
        more *= 2;
    }
    void *const bigger = amps_calloc(more, size);
    if (bigger == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (used != 0) {
        memcpy(bigger, *block, used * size);
    }
    amps_free(*block);
    *block = bigger;
    *capacity = more;
    return ANYMPS_OK;
}

/* A chunk with room for `count` views, which becomes the last. */
static chunk *chunk_with_room(anymps_command_buffer *command_buffer, size_t count)
{
    chunk *last = command_buffer->last_chunk;
    if (last != NULL && last->used + count <= VIEWS_PER_CHUNK) {
        return last;
    }
    chunk *next = last != NULL ? last->next : NULL;
    if (next == NULL) {
        next = amps_calloc(1, sizeof *next);
        if (next == NULL) {
            return NULL;
        }
        if (last != NULL) {
            last->next = next;
        } else {
            command_buffer->first_chunk = next;
        }
    }
    command_buffer->last_chunk = next;
    return next;
}

anymps_status amps_command_buffer_append(anymps_command_buffer *command_buffer, anymps_kernel *kernel, size_t batch,
                                         const amps_view *views, amps_operand *const *operands, size_t count,
                                         uint64_t started_ns)
{
    amps_submission *const submission = &command_buffer->submission;
    void *records = command_buffer->records, *held = command_buffer->held;
    anymps_status status =
        grow(&records, &command_buffer->record_capacity, submission->count, 1, sizeof(amps_record), FIRST_RECORDS);
    command_buffer->records = records;
    submission->records = records;
    ANYMPS_TRY(status);
    status = grow(&held, &command_buffer->held_capacity, command_buffer->held_count, 1 + count, sizeof(amps_object *),
                  FIRST_HELD);
    command_buffer->held = held;
    ANYMPS_TRY(status);
    chunk *const room = chunk_with_room(command_buffer, count);
    if (room == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    amps_view *const own = room->views + room->used;
    memcpy(own, views, count * sizeof *views);
    room->used += count;
    command_buffer->records[submission->count++] = (amps_record){.op = kernel->op,
                                                                 .kernel = kernel->prepared,
                                                                 .desc = kernel->desc,
                                                                 .batch = batch,
                                                                 .operand_count = count,
                                                                 .operands = own};
    amps_object_retain(&kernel->object);
    command_buffer->held[command_buffer->held_count++] = &kernel->object;
    for (size_t i = 0; i < count; i++) {
        if (operands[i] != NULL) {
            amps_object_retain(&operands[i]->object);
            command_buffer->held[command_buffer->held_count++] = &operands[i]->object;
        }
    }
    if (started_ns != 0) {
        command_buffer->times.encode_ns += amps_now_ns() - started_ns;
    }
    return ANYMPS_OK;
}

anymps_status anymps_command_buffer_reset(anymps_command_buffer *command_buffer)
{
    ANYMPS_TRY(check_not_in_flight(command_buffer, "command_buffer_reset"));
    forget_records(command_buffer);
    (void)pthread_mutex_lock(&command_buffer->lock);
    command_buffer->times = (anymps_timings)ANYMPS_TIMINGS_INIT;
    command_buffer->measured = false;
    atomic_store(&command_buffer->state, ANYMPS_COMMAND_BUFFER_RECORDING);
    (void)pthread_mutex_unlock(&command_buffer->lock);
    return ANYMPS_OK;
}

/* ---- Commit, completion, wait ----------------------------------------------------------------- */

anymps_status anymps_command_buffer_on_completion(anymps_command_buffer *command_buffer,
                                                  anymps_completion_callback callback, void *context)
{
    ANYMPS_TRY(check_not_in_flight(command_buffer, "command_buffer_on_completion"));
    (void)pthread_mutex_lock(&command_buffer->lock);
    command_buffer->callback = callback;
    command_buffer->callback_context = context;
    (void)pthread_mutex_unlock(&command_buffer->lock);
    return ANYMPS_OK;
}

/* Claims the command buffer for a commit; gives the state to go back to if the backend refuses. */
static anymps_status claim(anymps_command_buffer *command_buffer, int *before)
{
    (void)pthread_mutex_lock(&command_buffer->lock);
    *before = atomic_load(&command_buffer->state);
    const bool free = *before != ANYMPS_COMMAND_BUFFER_COMMITTED;
    if (free) {
        atomic_store(&command_buffer->state, ANYMPS_COMMAND_BUFFER_COMMITTED);
        command_buffer->commits++;
        command_buffer->submission.timings = command_buffer->timings;
        command_buffer->submission.device_ns = 0;
        command_buffer->commit_started_ns = command_buffer->timings ? amps_now_ns() : 0;
    }
    (void)pthread_mutex_unlock(&command_buffer->lock);
    ANYMPS_FAIL_IF(!free, ANYMPS_INVALID_STATE,
                   "command_buffer_commit: the command buffer is in flight; wait for it first");
    return ANYMPS_OK;
}

static void hold_for_flight(anymps_command_buffer *command_buffer)
{
    if (command_buffer->queue->holds_device) {
        (void)anymps_command_buffer_retain(command_buffer);
    }
}

static void drop_after_flight(anymps_command_buffer *command_buffer)
{
    if (command_buffer->queue->holds_device) {
        anymps_command_buffer_release(command_buffer);
    }
}

/* `native`: the caller's own command buffer or stream, or NULL. */
static anymps_status commit(anymps_command_buffer *command_buffer, void *native)
{
    int before;
    ANYMPS_TRY(claim(command_buffer, &before));
    const uint64_t started = command_buffer->commit_started_ns;
    command_buffer->submission.native_target = native;
    hold_for_flight(command_buffer);
    amps_queue *const queue = command_buffer->queue->impl;
    command_buffer->submission.watched = command_buffer->callback != NULL;
    const anymps_status status = queue->device->backend->submit(queue, &command_buffer->submission);
    if (status != ANYMPS_OK) {
        (void)pthread_mutex_lock(&command_buffer->lock);
        command_buffer->commits--;
        atomic_store(&command_buffer->state, before);
        (void)pthread_mutex_unlock(&command_buffer->lock);
        drop_after_flight(command_buffer);
        return status;
    }
    if (started != 0) {
        const uint64_t now = amps_now_ns();
        (void)pthread_mutex_lock(&command_buffer->lock);
        command_buffer->times.commit_ns = now - started;
        (void)pthread_mutex_unlock(&command_buffer->lock);
    }
    return ANYMPS_OK;
}

anymps_status anymps_command_buffer_commit(anymps_command_buffer *command_buffer)
{
    ANYMPS_TRY(check(command_buffer, "command_buffer_commit"));
    return commit(command_buffer, NULL);
}

anymps_status anymps_command_buffer_commit_native(anymps_command_buffer *command_buffer, void *native)
{
    ANYMPS_TRY(check(command_buffer, "command_buffer_commit_native"));
    ANYMPS_FAIL_IF(native == NULL, ANYMPS_INVALID_ARGUMENT, "command_buffer_commit_native: native is NULL");
    ANYMPS_FAIL_IF(command_buffer->queue->impl->device->backend->kind == ANYMPS_BACKEND_CPU, ANYMPS_UNSUPPORTED,
                   "command_buffer_commit_native: the CPU has no command buffers or streams of its own");
    return commit(command_buffer, native);
}

/* Called by the backend when a commit has ended. The state is final before the callback runs; waiters
   go on after it, when the reference that the flight held is gone. */
static void done(amps_submission *submission, const anymps_error *error)
{
    anymps_command_buffer *const command_buffer =
        (anymps_command_buffer *)(void *)((unsigned char *)submission - offsetof(anymps_command_buffer, submission));
    (void)pthread_mutex_lock(&command_buffer->lock);
    const uint64_t serial = command_buffer->commits;
    const anymps_completion_callback callback = command_buffer->callback;
    void *const context = command_buffer->callback_context;
    command_buffer->error = error != NULL ? *error : (anymps_error){.status = ANYMPS_OK};
    const anymps_status status = command_buffer->error.status;
    if (command_buffer->timings) {
        command_buffer->times.device_ns = submission->device_ns;
        command_buffer->times.round_trip_ns = amps_now_ns() - command_buffer->commit_started_ns;
        command_buffer->measured = true;
    }
    atomic_store(&command_buffer->state,
                 status == ANYMPS_OK ? ANYMPS_COMMAND_BUFFER_COMPLETED : ANYMPS_COMMAND_BUFFER_FAILED);
    (void)pthread_mutex_unlock(&command_buffer->lock);
    if (callback != NULL) {
        callback(context, command_buffer, status);
    }
    const bool held = command_buffer->queue->holds_device;
    (void)pthread_mutex_lock(&command_buffer->lock);
    if (serial > command_buffer->ended_commits) {
        command_buffer->ended_commits = serial;
    }
    (void)pthread_cond_broadcast(&command_buffer->ended);
    /* The flight's reference goes before any waiter goes on, so that nothing is alive once a caller who has waited
       has released all. Without a reference of its own the command buffer may be gone after the unlock. */
    const bool last = held && amps_object_release(&command_buffer->object);
    (void)pthread_mutex_unlock(&command_buffer->lock);
    if (last) {
        destroy(command_buffer);
    }
}

anymps_status anymps_command_buffer_wait(anymps_command_buffer *command_buffer)
{
    ANYMPS_TRY(check(command_buffer, "command_buffer_wait"));
    (void)pthread_mutex_lock(&command_buffer->lock);
    const uint64_t serial = command_buffer->commits;
    const bool running = command_buffer->ended_commits < serial;
    (void)pthread_mutex_unlock(&command_buffer->lock);
    ANYMPS_FAIL_IF(serial == 0, ANYMPS_INVALID_STATE, "command_buffer_wait: the command buffer was never committed");
    amps_queue *const queue = command_buffer->queue->impl;
    if (running && queue->device->backend->wait != NULL) {
        queue->device->backend->wait(queue, &command_buffer->submission);
    }
    (void)pthread_mutex_lock(&command_buffer->lock);
    while (command_buffer->ended_commits < serial) {
        (void)pthread_cond_wait(&command_buffer->ended, &command_buffer->lock);
    }
    const anymps_error error = command_buffer->error;
    (void)pthread_mutex_unlock(&command_buffer->lock);
    return error.status == ANYMPS_OK ? ANYMPS_OK : amps_fail_again(&error);
}

anymps_command_buffer_state anymps_command_buffer_get_state(const anymps_command_buffer *command_buffer)
{
    return amps_is(command_buffer, AMPS_KIND_COMMAND_BUFFER)
               ? (anymps_command_buffer_state)atomic_load(&command_buffer->state)
               : ANYMPS_COMMAND_BUFFER_RECORDING;
}

/* The lock of an object that the caller sees as const: reading under it changes nothing he can see. */
static pthread_mutex_t *lock_of(const anymps_command_buffer *command_buffer)
{
    return (pthread_mutex_t *)(uintptr_t)&command_buffer->lock;
}

anymps_status anymps_command_buffer_error(const anymps_command_buffer *command_buffer, anymps_error *error)
{
    ANYMPS_TRY(check(command_buffer, "command_buffer_error"));
    ANYMPS_FAIL_IF(error == NULL, ANYMPS_INVALID_ARGUMENT, "command_buffer_error: error is NULL");
    (void)pthread_mutex_lock(lock_of(command_buffer));
    *error = command_buffer->error;
    (void)pthread_mutex_unlock(lock_of(command_buffer));
    return ANYMPS_OK;
}

anymps_status anymps_command_buffer_enable_timings(anymps_command_buffer *command_buffer, bool enable)
{
    ANYMPS_TRY(check_not_in_flight(command_buffer, "command_buffer_enable_timings"));
    (void)pthread_mutex_lock(&command_buffer->lock);
    command_buffer->timings = enable;
    command_buffer->measured = false;
    (void)pthread_mutex_unlock(&command_buffer->lock);
    return ANYMPS_OK;
}

anymps_status anymps_command_buffer_get_timings(const anymps_command_buffer *command_buffer, anymps_timings *timings)
{
    ANYMPS_TRY(check(command_buffer, "command_buffer_get_timings"));
    ANYMPS_TRY(amps_struct_check("command_buffer_get_timings", timings, sizeof *timings));
    (void)pthread_mutex_lock(lock_of(command_buffer));
    const bool measured = command_buffer->measured;
    const anymps_timings times = command_buffer->times;
    (void)pthread_mutex_unlock(lock_of(command_buffer));
    ANYMPS_FAIL_IF(!measured, ANYMPS_INVALID_STATE, "command_buffer_get_timings: no commit has ended with timings on");
    amps_struct_write(timings, &times, sizeof times);
    return ANYMPS_OK;
}

/* ---- Text ------------------------------------------------------------------------------------- */

/* snprintf at the end of what is written so far; counts on past the end of `text`. */
static void put(char *text, size_t size, size_t *used, const char *format, ...) ANYMPS_PRINTF(4, 5);

static void put(char *text, size_t size, size_t *used, const char *format, ...)
{
    char piece[160];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    const size_t wanted = length > 0 ? amps_min((size_t)length, sizeof piece - 1) : 0;
    if (*used < size) {
        const size_t room = amps_min(wanted, size - *used - 1);
        memcpy(text + *used, piece, room);
        text[*used + room] = '\0';
    }
    *used += wanted;
}

size_t anymps_command_buffer_describe(const anymps_command_buffer *command_buffer, char *text, size_t size)
{
    size_t used = 0;
    if (size != 0 && text != NULL) {
        text[0] = '\0';
    }
    if (!amps_is(command_buffer, AMPS_KIND_COMMAND_BUFFER)) {
        return 0;
    }
    const size_t room = text != NULL ? size : 0;
    for (size_t i = 0; i < command_buffer->submission.count; i++) {
        const amps_record *const record = &command_buffer->records[i];
        put(text, room, &used, "%zu %s batch %zu", i, amps_operators[record->op].name, record->batch);
        for (size_t k = 0; k < record->operand_count; k++) {
            const amps_view *const view = &record->operands[k];
            if (view->memory == NULL) {
                put(text, room, &used, " -");
            } else {
                put(text, room, &used, " %s[%zux%zu]+%zu/%zu", anymps_dtype_name(view->dtype), view->rows,
                    view->columns, view->offset_bytes, view->row_bytes);
            }
        }
        put(text, room, &used, " (%.100s)\n", record->kernel->explain != NULL ? record->kernel->explain : "");
    }
    return used;
}
