/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leak.c: after everything is released nothing is alive, wrapped memory is given back exactly once, and
 * committing again does not allocate.
 *
 *     leak [--device cpu] [--isa avx2]
 */
#include "machine.h"
#include "scenario.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { SIDE = 16, COMMITS = 2000 };

static size_t failures;

static void expect(bool holds, const char *what)
{
    if (!holds) {
        printf("FAIL: %s (%s)\n", what, anymps_last_error()->message);
        failures++;
    }
}

static void expect_nothing_alive(const char *when)
{
    char alive[160];
    if (anything_alive(alive, sizeof alive)) {
        printf("FAIL: alive after %s: %s\n", when, alive);
        failures++;
    }
}

/* What a test of wrapped memory holds. */
typedef struct bench {
    anymps_device *device;
    anymps_queue *queue;
    anymps_command_buffer *commands;
    anymps_kernel *kernel;
    anymps_matrix *left, *result;
} bench;

static float memory[SIDE * SIDE];

static void count_release(void *context, void *bytes)
{
    atomic_size_t *const calls = context;
    atomic_fetch_add(calls, bytes == (void *)memory ? 1 : 1000);
}

static anymps_buffer *wrap(anymps_device *device, atomic_size_t *calls)
{
    anymps_buffer *buffer = NULL;
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = memory;
    desc.length_bytes = sizeof memory;
    desc.release = count_release;
    desc.context = calls;
    expect(anymps_buffer_wrap(device, &desc, &buffer) == ANYMPS_OK, "wrap");
    return buffer;
}

/* A softmax from wrapped memory, encoded and not yet committed. */
static bench set_up(anymps_device *device, atomic_size_t *calls)
{
    bench b = {.device = device};
    const anymps_matrix_desc square = anymps_matrix_desc_make(SIDE, SIDE, ANYMPS_DTYPE_F32);
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    anymps_buffer *const buffer = wrap(device, calls);
    expect(anymps_matrix_create(buffer, 0, &square, &b.left) == ANYMPS_OK, "matrix of wrapped memory");
    expect(anymps_matrix_create_on(device, &square, &b.result) == ANYMPS_OK, "matrix");
    expect(anymps_queue_create(device, &b.queue) == ANYMPS_OK, "queue");
    expect(anymps_command_buffer_create(b.queue, &b.commands) == ANYMPS_OK, "command buffer");
    expect(anymps_softmax_create(device, &softmax, &b.kernel) == ANYMPS_OK, "kernel");
    expect(anymps_softmax_encode(b.kernel, b.commands, b.left, b.result, NULL) == ANYMPS_OK, "encode");
    anymps_buffer_release(buffer);
    return b;
}

static void tear_down(bench *b)
{
    anymps_command_buffer_release(b->commands);
    anymps_kernel_release(b->kernel);
    anymps_queue_release(b->queue);
    anymps_matrix_release(b->left);
    anymps_matrix_release(b->result);
}

/* A buffer alone; with a matrix; held by records; in flight when all else is released. */
static void test_wrapped(anymps_device *device)
{
    atomic_size_t calls = 0;
    anymps_buffer_release(wrap(device, &calls));
    expect(calls == 1, "releasing the buffer calls back once");

    calls = 0;
    bench b = set_up(device, &calls);
    const bool in_place = calls == 0; /* a device that copies gives back at once */
    anymps_matrix_release(b.left);
    b.left = NULL;
    expect(calls == (in_place ? 0u : 1u), "records keep the memory");
    expect(anymps_command_buffer_commit(b.commands) == ANYMPS_OK, "commit");
    expect(anymps_command_buffer_wait(b.commands) == ANYMPS_OK, "wait");
    expect(anymps_live_counts().wrapped == (in_place ? 1u : 0u), "one wrapped memory is live");
    expect(anymps_command_buffer_reset(b.commands) == ANYMPS_OK, "reset");
    expect(calls == 1, "reset gives the memory back once");
    tear_down(&b);
    expect(calls == 1, "and not again");

    calls = 0;
    b = set_up(device, &calls);
    anymps_command_buffer *const commands = anymps_command_buffer_retain(b.commands);
    expect(anymps_command_buffer_commit(commands) == ANYMPS_OK, "commit");
    tear_down(&b); /* all but our reference, perhaps in flight */
    expect(anymps_command_buffer_wait(commands) == ANYMPS_OK, "wait after all was released");
    anymps_command_buffer_release(commands);
    /* The thread that ended the work may be the last to let go of it. */
    for (size_t i = 0; i < 2000 && calls == 0; i++) {
        const struct timespec moment = {0, 1000000};
        (void)nanosleep(&moment, NULL);
    }
    expect(calls == 1, "releasing early calls back once");
}

/* Wrapping that fails leaves the memory with the caller. */
static void test_refused_wrap(anymps_device *device)
{
    atomic_size_t calls = 0;
    anymps_buffer *buffer = NULL;
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = memory;
    desc.release = count_release;
    desc.context = &calls;
    expect(anymps_buffer_wrap(device, &desc, &buffer) == ANYMPS_INVALID_ARGUMENT, "length 0 is refused");
    expect(calls == 0 && buffer == NULL, "a refused wrap calls nothing");
}

/* After the first commits, blocks and bytes stay as they are. */
static void test_many_commits(anymps_device *device)
{
    atomic_size_t calls = 0;
    bench b = set_up(device, &calls);
    anymps_live warm = {0};
    for (size_t i = 0; i < COMMITS; i++) {
        expect(anymps_command_buffer_commit(b.commands) == ANYMPS_OK, "commit");
        expect(anymps_command_buffer_wait(b.commands) == ANYMPS_OK, "wait");
        if (i == 10) {
            warm = anymps_live_counts();
        }
    }
    const anymps_live end = anymps_live_counts();
    expect(end.blocks == warm.blocks && end.block_bytes == warm.block_bytes && end.objects == warm.objects,
           "committing again keeps blocks as they are");
    /* Encoding the same again after a reset allocates nothing. */
    for (size_t i = 0; i < 50; i++) {
        expect(anymps_command_buffer_reset(b.commands) == ANYMPS_OK, "reset");
        expect(anymps_softmax_encode(b.kernel, b.commands, b.left, b.result, NULL) == ANYMPS_OK, "encode");
        expect(anymps_command_buffer_commit(b.commands) == ANYMPS_OK, "commit");
        expect(anymps_command_buffer_wait(b.commands) == ANYMPS_OK, "wait");
    }
    expect(anymps_live_counts().blocks == end.blocks, "encoding again keeps blocks as they are");
    tear_down(&b);
}

int main(int count, char **words)
{
    machine on;
    const int opened = machine_open_from(&on, count, words);
    if (opened != TEST_PASSED) {
        return opened;
    }
    test_wrapped(on.devices[0]);
    test_refused_wrap(on.devices[0]);
    test_many_commits(on.devices[0]);
    machine_close(&on);
    expect_nothing_alive("wrapping and committing");
    const char *device = argument(count, words, "device");
    for (size_t i = 0; i < 3; i++) {
        const scenario_outcome out = scenario_run(device != NULL ? device : "cpu", argument(count, words, "isa"));
        if (out.status != ANYMPS_OK || out.broken) {
            printf("FAIL: scenario: %s %s\n", anymps_status_name(out.status),
                   out.broken ? out.what : anymps_last_error()->message);
            failures++;
        }
        expect_nothing_alive("a scenario");
    }
    printf("leak: %zu failures\n", failures);
    return failures == 0 ? TEST_PASSED : TEST_FAILED;
}
