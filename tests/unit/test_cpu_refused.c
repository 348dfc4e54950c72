/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cpu_refused.c: the system refuses to make threads: a device opens with fewer of them and gives the same
 * bits; a commit that needs the queue's first thread fails, nothing ran, and works once threads can be had.
 *
 * The program's own pthread_create stands before the C library's; under ThreadSanitizer, which needs its own,
 * the tests are skipped.
 */
#include <anymps/anymps.h>

#include "backend/cpu/pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#endif

#if defined(UNDER_TSAN) || !defined(__linux__)

int main(void)
{
    return 77;
}

#else

typedef int (*create_function)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static atomic_int allowed = 1000; /* so many threads more are made */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    create_function next;
    void *const found = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&next, &found, sizeof next); /* C has no cast from object to function pointer */
    if (atomic_fetch_sub(&allowed, 1) <= 0) {
        return EAGAIN;
    }
    return next(thread, attributes, run, context);
}

enum { ROWS = 64, COLUMNS = 1000 };

static anymps_matrix *matrix_on(anymps_device *device)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_matrix *matrix = NULL;
    assert_int_equal(anymps_matrix_create_on(device, &desc, &matrix), ANYMPS_OK);
    return matrix;
}

static anymps_device *open_with(size_t threads)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *device = NULL;
    desc.id = "cpu";
    desc.threads = threads;
    assert_int_equal(anymps_device_open(&desc, &device), ANYMPS_OK);
    return device;
}

/* Softmax of a fixed matrix on a device that asks for 4 threads and gets `workers` besides the caller. */
static void run_with(int workers, float *result)
{
    atomic_store(&allowed, workers);
    anymps_device *const device = open_with(4);
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    assert_int_equal(anymps_device_get_properties(device, &properties), ANYMPS_OK);
    assert_int_equal(properties.threads, workers + 1);
    atomic_store(&allowed, 1000);
    anymps_matrix *const x = matrix_on(device);
    float *const values = anymps_matrix_contents(x);
    for (size_t i = 0; i < (size_t)ROWS * COLUMNS; i++) {
        values[i] = (float)(i * 7919 % 1013) * 0.01f;
    }
    assert_int_equal(anymps_softmax(NULL, x, x), ANYMPS_OK);
    memcpy(result, values, sizeof(float) * ROWS * COLUMNS);
    anymps_matrix_release(x);
    anymps_device_release(device);
}

static void fewer_threads_same_bits(void **state)
{
    (void)state;
    static float results[2][ROWS * COLUMNS];
    run_with(3, results[0]);
    for (int workers = 0; workers < 3; workers++) {
        run_with(workers, results[1]);
        assert_memory_equal(results[0], results[1], sizeof results[0]);
    }
}

static void refused_commit_runs_nothing(void **state)
{
    (void)state;
    anymps_device *const device = open_with(1);
    anymps_matrix *const x = matrix_on(device);
    anymps_matrix *const y = matrix_on(device);
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    anymps_kernel *kernel = NULL;
    anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
    desc.dtype = ANYMPS_DTYPE_F32;
    assert_int_equal(anymps_softmax_create(device, &desc, &kernel), ANYMPS_OK);
    assert_int_equal(anymps_queue_create(device, &queue), ANYMPS_OK);
    assert_int_equal(anymps_command_buffer_create(queue, &commands), ANYMPS_OK);
    assert_int_equal(anymps_softmax_encode(kernel, commands, x, y, NULL), ANYMPS_OK);
    const float *const cells = anymps_matrix_contents(y);

    atomic_store(&allowed, 0);
    assert_int_equal(anymps_command_buffer_commit(commands), ANYMPS_OUT_OF_MEMORY);
    assert_int_equal(anymps_last_error()->backend_code, EAGAIN);
    assert_int_equal(anymps_command_buffer_get_state(commands), ANYMPS_COMMAND_BUFFER_RECORDING);
    assert_true(cells[0] == 0.0f);

    atomic_store(&allowed, 1000);
    assert_int_equal(anymps_command_buffer_commit(commands), ANYMPS_OK);
    assert_int_equal(anymps_command_buffer_wait(commands), ANYMPS_OK);
    assert_true(cells[0] > 0.0f);

    anymps_command_buffer_release(commands);
    anymps_queue_release(queue);
    anymps_kernel_release(kernel);
    anymps_matrix_release(x);
    anymps_matrix_release(y);
    anymps_device_release(device);
    assert_int_equal(anymps_live_counts().blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_threads_same_bits),
        cmocka_unit_test(refused_commit_runs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
