/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.c: the promise that every object may be used from any thread: one kernel encoded by many threads,
 * queues of their own, several command buffers in flight, completion callbacks and what is allowed inside them,
 * waits from many threads, and the one-call forms against one small kernel cache. For ThreadSanitizer as much as for its own checks.
 *
 *     threads [--device cpu] [--isa avx2]
 */
#include "machine.h"
#include "scenario.h"
#include "seeded.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, ROUNDS = 20, ROWS = 33, COLUMNS = 29, INTERIOR = 40, CELLS = ROWS * COLUMNS, FLIGHTS = 8 };

static atomic_size_t failures;

static void expect(bool holds, const char *what)
{
    if (!holds) {
        printf("FAIL: %s (%s)\n", what, anymps_last_error()->message);
        atomic_fetch_add(&failures, 1);
    }
}

/* What all threads share. */
typedef struct shared {
    anymps_device *device;
    anymps_kernel *matmul;
    anymps_matrix *left, *right;
    float expected[CELLS]; /* what one thread alone gets */
    anymps_queue *queue;
} shared;

static anymps_matrix *matrix(anymps_device *device, size_t rows, size_t columns, const char *seed)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    anymps_matrix *made = NULL;
    float values[ROWS * INTERIOR + INTERIOR * COLUMNS];
    seeded random = seeded_from_text(seed);
    for (size_t i = 0; i < rows * columns; i++) {
        values[i] = (float)seeded_between(&random, -1.0, 1.0);
    }
    if (anymps_matrix_create_on(device, &desc, &made) != ANYMPS_OK ||
        anymps_buffer_write(anymps_matrix_buffer(made), 0, values, rows * columns * sizeof(float)) != ANYMPS_OK) {
        printf("FAIL: setting up: %s\n", anymps_last_error()->message);
        exit(TEST_FAILED);
    }
    return made;
}

static void read_back(anymps_matrix *from, float *cells)
{
    expect(anymps_buffer_read(anymps_matrix_buffer(from), 0, cells, CELLS * sizeof(float)) == ANYMPS_OK, "read");
}

static void check_cells(const shared *s, anymps_matrix *result, const char *what)
{
    float cells[CELLS];
    read_back(result, cells);
    expect(memcmp(cells, s->expected, sizeof cells) == 0, what);
}

static void clear(anymps_matrix *result)
{
    expect(anymps_buffer_fill(anymps_matrix_buffer(result), 0, CELLS * sizeof(float), 0xff) == ANYMPS_OK, "fill");
}

/* ---- One kernel, a queue for each thread ---- */

static void *encode_and_run(void *context)
{
    shared *const s = context;
    anymps_queue *queue = NULL;
    anymps_matrix *const result = matrix(s->device, ROWS, COLUMNS, "own result");
    expect(anymps_queue_create(s->device, &queue) == ANYMPS_OK, "queue");
    for (size_t round = 0; round < ROUNDS; round++) {
        anymps_command_buffer *commands = NULL;
        clear(result);
        expect(anymps_command_buffer_create(queue, &commands) == ANYMPS_OK, "command buffer");
        expect(anymps_matmul_encode(s->matmul, commands, s->left, s->right, result, NULL) == ANYMPS_OK, "encode");
        expect(anymps_command_buffer_commit(commands) == ANYMPS_OK, "commit");
        expect(anymps_command_buffer_wait(commands) == ANYMPS_OK, "wait");
        anymps_command_buffer_release(commands);
        check_cells(s, result, "one kernel in many threads");
    }
    anymps_queue_release(queue);
    anymps_matrix_release(result);
    return NULL;
}

/* ---- One-call forms against a cache of two kernels ---- */

static void *call_at_once(void *context)
{
    shared *const s = context;
    anymps_matrix *const result = matrix(s->device, ROWS, COLUMNS, "own result");
    anymps_matrix *const other = matrix(s->device, ROWS, COLUMNS, "other");
    for (size_t round = 0; round < ROUNDS; round++) {
        clear(result);
        expect(anymps_matmul(NULL, s->left, s->right, result) == ANYMPS_OK, "matmul");
        check_cells(s, result, "one call in many threads");
        expect(anymps_softmax(NULL, result, other) == ANYMPS_OK, "softmax");
        expect(anymps_rms_norm(NULL, result, NULL, NULL, NULL, other) == ANYMPS_OK, "rms_norm");
        expect(anymps_matmul(NULL, s->left, s->left, result) == ANYMPS_SHAPE_MISMATCH, "a refusal in between");
    }
    anymps_matrix_release(result);
    anymps_matrix_release(other);
    return NULL;
}

/* ---- One queue for all, several command buffers in flight ---- */

typedef struct flight {
    atomic_size_t completions;
    atomic_size_t failed;
} flight;

static void completed(void *context, anymps_command_buffer *commands, anymps_status status)
{
    flight *const f = context;
    atomic_fetch_add(&f->completions, 1);
    if (status != ANYMPS_OK || anymps_command_buffer_get_state(commands) != ANYMPS_COMMAND_BUFFER_COMPLETED) {
        atomic_fetch_add(&f->failed, 1);
    }
}

static void *fly(void *context)
{
    shared *const s = context;
    anymps_matrix *results[FLIGHTS];
    anymps_command_buffer *commands[FLIGHTS];
    flight f;
    atomic_init(&f.completions, 0);
    atomic_init(&f.failed, 0);
    for (size_t i = 0; i < FLIGHTS; i++) {
        results[i] = matrix(s->device, ROWS, COLUMNS, "own result");
        commands[i] = NULL;
        expect(anymps_command_buffer_create(s->queue, &commands[i]) == ANYMPS_OK, "command buffer");
        expect(anymps_command_buffer_on_completion(commands[i], completed, &f) == ANYMPS_OK, "on_completion");
        expect(anymps_matmul_encode(s->matmul, commands[i], s->left, s->right, results[i], NULL) == ANYMPS_OK,
               "encode");
    }
    for (size_t round = 0; round < ROUNDS / 4; round++) {
        for (size_t i = 0; i < FLIGHTS; i++) {
            expect(anymps_command_buffer_commit(commands[i]) == ANYMPS_OK, "commit");
        }
        for (size_t i = FLIGHTS; i-- > 0;) {
            expect(anymps_command_buffer_wait(commands[i]) == ANYMPS_OK, "wait");
        }
    }
    expect(atomic_load(&f.completions) == FLIGHTS * (ROUNDS / 4), "one completion a commit, before wait returns");
    expect(atomic_load(&f.failed) == 0, "completions saw success");
    for (size_t i = 0; i < FLIGHTS; i++) {
        check_cells(s, results[i], "several in flight");
        anymps_command_buffer_release(commands[i]);
        anymps_matrix_release(results[i]);
    }
    return NULL;
}

static void run_all(void *(*work)(void *context), void *context)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, context) != 0) {
            printf("FAIL: no thread\n");
            exit(TEST_FAILED);
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

/* ---- Many threads wait for one command buffer, and count references ---- */

static void *wait_for(void *context)
{
    anymps_command_buffer *const commands = anymps_command_buffer_retain(context);
    anymps_error error;
    expect(anymps_command_buffer_wait(commands) == ANYMPS_OK, "wait from many threads");
    expect(anymps_command_buffer_error(commands, &error) == ANYMPS_OK && error.status == ANYMPS_OK,
           "error from many threads");
    (void)anymps_command_buffer_get_state(commands);
    anymps_command_buffer_release(commands);
    return NULL;
}

static void test_waiting(shared *s)
{
    anymps_matrix *const result = matrix(s->device, ROWS, COLUMNS, "own result");
    anymps_command_buffer *commands = NULL;
    expect(anymps_command_buffer_create(s->queue, &commands) == ANYMPS_OK, "command buffer");
    for (size_t i = 0; i < 50; i++) {
        expect(anymps_matmul_encode(s->matmul, commands, s->left, s->right, result, NULL) == ANYMPS_OK, "encode");
    }
    expect(anymps_command_buffer_commit(commands) == ANYMPS_OK, "commit");
    run_all(wait_for, commands);
    anymps_command_buffer_release(commands);
    check_cells(s, result, "after many waits");
    anymps_matrix_release(result);
}

/* Command buffers of one queue run in the order of their commits: each reads what the one before wrote. */
static void test_order(shared *s)
{
    enum { CHAIN = 16 };
    anymps_matrix *const square = matrix(s->device, ROWS, ROWS, "square");
    anymps_matrix *const a = matrix(s->device, ROWS, COLUMNS, "a");
    anymps_matrix *const b = matrix(s->device, ROWS, COLUMNS, "b");
    float in_order[CELLS], in_flight[CELLS];
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = desc.interior = ROWS;
    desc.columns = COLUMNS;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    anymps_kernel *kernel = NULL;
    expect(anymps_matmul_create(s->device, &desc, &kernel) == ANYMPS_OK, "kernel");
    anymps_command_buffer *chain[CHAIN];
    for (size_t i = 0; i < CHAIN; i++) {
        chain[i] = NULL;
        expect(anymps_command_buffer_create(s->queue, &chain[i]) == ANYMPS_OK, "command buffer");
        expect(anymps_matmul_encode(kernel, chain[i], square, i % 2 == 0 ? a : b, i % 2 == 0 ? b : a, NULL) ==
                   ANYMPS_OK,
               "encode");
    }
    float start[CELLS];
    read_back(a, start);
    for (size_t pass = 0; pass < 2; pass++) {
        expect(anymps_buffer_write(anymps_matrix_buffer(a), 0, start, sizeof start) == ANYMPS_OK, "write");
        for (size_t i = 0; i < CHAIN; i++) {
            expect(anymps_command_buffer_commit(chain[i]) == ANYMPS_OK, "commit");
            expect(pass == 1 || anymps_command_buffer_wait(chain[i]) == ANYMPS_OK, "wait");
        }
        expect(anymps_command_buffer_wait(chain[CHAIN - 1]) == ANYMPS_OK, "wait for the last");
        read_back(a, pass == 0 ? in_order : in_flight);
    }
    expect(memcmp(in_order, in_flight, sizeof in_order) == 0, "a queue keeps the order of commits");
    for (size_t i = 0; i < CHAIN; i++) {
        anymps_command_buffer_release(chain[i]);
    }
    anymps_kernel_release(kernel);
    anymps_matrix_release(square);
    anymps_matrix_release(a);
    anymps_matrix_release(b);
}

/* ---- Inside a completion callback ---- */

enum { COMMITS = 5 };

typedef struct inside {
    shared *s;
    anymps_matrix *result;
    atomic_size_t calls;
    pthread_mutex_t lock;
    pthread_cond_t ended; /* the last callback of a test has begun to return */
    bool done;
} inside;

static void finish(inside *in)
{
    (void)pthread_mutex_lock(&in->lock);
    in->done = true;
    (void)pthread_cond_signal(&in->ended);
    (void)pthread_mutex_unlock(&in->lock);
}

/* Commits itself again: the state is COMPLETED inside. */
static void commit_again(void *context, anymps_command_buffer *commands, anymps_status status)
{
    inside *const in = context;
    expect(status == ANYMPS_OK, "a commit from a callback ends well");
    if (atomic_fetch_add(&in->calls, 1) + 1 < COMMITS) {
        expect(anymps_command_buffer_commit(commands) == ANYMPS_OK, "commit inside a callback");
    } else {
        finish(in);
    }
}

/* Waits for another queue (the one-call form has its own) and empties the command buffer. */
static void call_and_reset(void *context, anymps_command_buffer *commands, anymps_status status)
{
    inside *const in = context;
    expect(status == ANYMPS_OK, "the commit before it");
    expect(anymps_matmul(NULL, in->s->left, in->s->right, in->result) == ANYMPS_OK, "a one-call form in a callback");
    expect(anymps_command_buffer_reset(commands) == ANYMPS_OK, "reset inside a callback");
    expect(anymps_command_buffer_on_completion(commands, NULL, NULL) == ANYMPS_OK, "no callback from now on");
    finish(in);
}

/* Gives the last reference back. */
static void release_inside(void *context, anymps_command_buffer *commands, anymps_status status)
{
    expect(status == ANYMPS_OK, "the commit before it");
    anymps_command_buffer_release(commands);
    finish(context);
}

/* Commits once with this callback and blocks until it has called finish. */
static void commit_and_see(inside *in, anymps_command_buffer *commands, anymps_completion_callback callback)
{
    in->done = false;
    expect(anymps_command_buffer_on_completion(commands, callback, in) == ANYMPS_OK, "on_completion");
    expect(anymps_command_buffer_commit(commands) == ANYMPS_OK, "commit");
    (void)pthread_mutex_lock(&in->lock);
    while (!in->done) {
        (void)pthread_cond_wait(&in->ended, &in->lock);
    }
    (void)pthread_mutex_unlock(&in->lock);
}

static void test_inside_callbacks(shared *s)
{
    inside in = {.s = s, .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
    anymps_command_buffer *commands = NULL;
    in.result = matrix(s->device, ROWS, COLUMNS, "in a callback");
    expect(anymps_command_buffer_create(s->queue, &commands) == ANYMPS_OK, "command buffer");
    expect(anymps_matmul_encode(s->matmul, commands, s->left, s->right, in.result, NULL) == ANYMPS_OK, "encode");
    commit_and_see(&in, commands, commit_again);
    expect(anymps_command_buffer_wait(commands) == ANYMPS_OK, "wait for the last of them");
    expect(atomic_load(&in.calls) == COMMITS, "one callback a commit");
    check_cells(s, in.result, "committed from callbacks");
    clear(in.result);
    commit_and_see(&in, commands, call_and_reset);
    expect(anymps_command_buffer_wait(commands) != ANYMPS_INTERNAL, "waiting for what was reset");
    expect(anymps_command_buffer_get_state(commands) == ANYMPS_COMMAND_BUFFER_RECORDING, "reset inside stays");
    check_cells(s, in.result, "computed inside a callback");
    clear(in.result);
    expect(anymps_matmul_encode(s->matmul, commands, s->left, s->right, in.result, NULL) == ANYMPS_OK, "encode anew");
    commit_and_see(&in, commands, release_inside);
    check_cells(s, in.result, "its command buffer released in the callback");
    /* The queue is in order: when an empty one has ended, the callback has returned and all is given back. */
    expect(anymps_command_buffer_create(s->queue, &commands) == ANYMPS_OK &&
               anymps_command_buffer_commit(commands) == ANYMPS_OK && anymps_command_buffer_wait(commands) == ANYMPS_OK,
           "an empty command buffer behind it");
    anymps_command_buffer_release(commands);
    anymps_matrix_release(in.result);
}

static shared set_up(anymps_device *device)
{
    shared s = {.device = device};
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = ROWS;
    desc.columns = COLUMNS;
    desc.interior = INTERIOR;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    s.left = matrix(device, ROWS, INTERIOR, "left");
    s.right = matrix(device, INTERIOR, COLUMNS, "right");
    expect(anymps_matmul_create(device, &desc, &s.matmul) == ANYMPS_OK, "kernel");
    expect(anymps_queue_create(device, &s.queue) == ANYMPS_OK, "queue");
    anymps_matrix *const result = matrix(device, ROWS, COLUMNS, "first result");
    expect(anymps_matmul(NULL, s.left, s.right, result) == ANYMPS_OK, "matmul");
    read_back(result, s.expected);
    anymps_matrix_release(result);
    return s;
}

int main(int count, char **words)
{
    machine on;
    const int opened = machine_open_from(&on, count, words);
    if (opened != TEST_PASSED) {
        return opened;
    }
    for (size_t d = 0; d < on.count; d += 2) { /* on the CPU: one thread a kernel, and three */
        shared s = set_up(on.devices[d]);
        expect(anymps_device_set_kernel_cache_capacity(s.device, 2) == ANYMPS_OK, "capacity");
        run_all(encode_and_run, &s);
        run_all(call_at_once, &s);
        run_all(fly, &s);
        test_waiting(&s);
        test_order(&s);
        test_inside_callbacks(&s);
        anymps_matrix_release(s.left);
        anymps_matrix_release(s.right);
        anymps_kernel_release(s.matmul);
        anymps_queue_release(s.queue);
    }
    machine_close(&on);
    char alive[160];
    expect(!anything_alive(alive, sizeof alive), "nothing is alive at the end");
    printf("threads: %zu failures\n", atomic_load(&failures));
    return atomic_load(&failures) == 0 ? TEST_PASSED : TEST_FAILED;
}
