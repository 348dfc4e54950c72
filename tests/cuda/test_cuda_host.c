/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cuda_host.c: the CUDA backend's host code on the fake driver: storage, wrapping, launches and graphs, order
 * of completion, lost devices, and a failure of every driver call in turn. Values are not computed there.
 */
#include "fake_cuda.h"

#include <anymps/anymps.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void check(bool good, const char *what, int line)
{
    if (!good) {
        failures++;
        (void)fprintf(stderr, "line %d: %s (last error: %s)\n", line, what, anymps_last_error()->message);
    }
}
#define CHECK(condition) check(condition, #condition, __LINE__)

static anymps_device *open_device(const char *id)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = id;
    anymps_device *device = NULL;
    CHECK(anymps_device_open(&desc, &device) == ANYMPS_OK);
    return device;
}

/* Everything has been given back, on the host and in the driver. */
static void check_clean(int line)
{
    const fake_cuda_live live = fake_cuda_count();
    const anymps_live ours = anymps_live_counts();
    const bool clean = live.device_blocks == 0 && live.pinned_blocks == 0 && live.registered == 0 &&
                       live.streams == 0 && live.events == 0 && live.graphs == 0 && live.executables == 0 &&
                       live.modules == 0 && live.contexts == 0 && ours.objects == 0 && ours.device_bytes == 0 &&
                       ours.wrapped == 0;
    if (!clean) {
        (void)fprintf(
            stderr,
            "left: %ld device, %ld pinned, %ld registered, %ld streams, %ld events, %ld graphs, %ld executables, "
            "%ld modules, %ld contexts, %zu objects, %zu blocks\n",
            live.device_blocks, live.pinned_blocks, live.registered, live.streams, live.events, live.graphs,
            live.executables, live.modules, live.contexts, ours.objects, ours.blocks);
    }
    check(clean, "everything given back", line);
}

/* ---- Scenarios -------------------------------------------------------------------------------- */

static void test_devices(void)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    anymps_device *const device = open_device("cuda:1");
    CHECK(anymps_device_get_properties(device, &properties) == ANYMPS_OK);
    CHECK(strcmp(properties.name, "Fake GPU 1") == 0);
    CHECK(strcmp(properties.architecture, "sm_90") == 0);
    CHECK(anymps_device_native(device) != NULL);
    anymps_device_release(device);
    check_clean(__LINE__);
}

static void test_storage(anymps_storage storage)
{
    anymps_device *const device = open_device("cuda:0");
    anymps_buffer *buffer = NULL, *other = NULL;
    unsigned char bytes[1000], back[1000] = {1};
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 7);
    }
    CHECK(anymps_buffer_create(device, sizeof bytes, storage, &buffer) == ANYMPS_OK);
    CHECK(anymps_buffer_create_with_bytes(device, bytes, sizeof bytes, storage, &other) == ANYMPS_OK);
    CHECK((anymps_buffer_contents(buffer) == NULL) == (storage == ANYMPS_STORAGE_PRIVATE));
    CHECK(anymps_buffer_read(buffer, 0, back, sizeof back) == ANYMPS_OK);
    CHECK(back[0] == 0 && back[999] == 0);
    CHECK(anymps_buffer_copy(buffer, 0, other, 0, sizeof bytes) == ANYMPS_OK);
    CHECK(anymps_buffer_copy(buffer, 10, buffer, 0, 900) == ANYMPS_OK); /* overlaps */
    CHECK(anymps_buffer_fill(buffer, 990, 10, 0x5a) == ANYMPS_OK);
    CHECK(anymps_buffer_read(buffer, 0, back, sizeof back) == ANYMPS_OK);
    CHECK(memcmp(back, bytes, 10) == 0 && memcmp(back + 10, bytes, 900) == 0);
    CHECK(memcmp(back + 910, bytes + 910, 80) == 0 && back[999] == 0x5a);
    if (storage == ANYMPS_STORAGE_MANAGED) {
        unsigned char *const host = anymps_buffer_contents(other);
        CHECK(memcmp(host, bytes, sizeof bytes) == 0); /* a blocking write fills both copies */
        memset(host, 0, sizeof bytes);
        CHECK(anymps_buffer_synchronize(other, 0, sizeof bytes) == ANYMPS_OK);
        CHECK(memcmp(host, bytes, sizeof bytes) == 0);
        host[3] = 0xee;
        CHECK(anymps_buffer_read(other, 3, back, 1) == ANYMPS_OK && back[0] == bytes[3]);
        CHECK(anymps_buffer_did_modify(other, 3, 1) == ANYMPS_OK);
        CHECK(anymps_buffer_read(other, 3, back, 1) == ANYMPS_OK && back[0] == 0xee);
    }
    anymps_buffer_release(buffer);
    anymps_buffer_release(other);
    anymps_device_release(device);
    check_clean(__LINE__);
}

static void count_release(void *context, void *bytes)
{
    (void)bytes;
    ++*(int *)context;
}

static void test_wrap(void)
{
    anymps_device *const device = open_device("cuda:0");
    static unsigned char memory[8192];
    int released = 0;
    anymps_buffer *first = NULL, *second = NULL, *third = NULL;
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = memory;
    desc.length_bytes = sizeof memory;
    desc.release = count_release;
    desc.context = &released;
    memory[17] = 42;
    CHECK(anymps_buffer_wrap(device, &desc, &first) == ANYMPS_OK);
    CHECK(anymps_buffer_copy_reason(first) == NULL && anymps_buffer_contents(first) == memory);
    /* The same pages again: the driver refuses, so a copy, and it says so. */
    CHECK(anymps_buffer_wrap(device, &desc, &second) == ANYMPS_OK && released == 1);
    CHECK(anymps_buffer_copy_reason(second) != NULL);
    CHECK(((unsigned char *)anymps_buffer_contents(second))[17] == 42 && anymps_buffer_contents(second) != memory);
    desc.forbid_copy = true;
    CHECK(anymps_buffer_wrap(device, &desc, &third) == ANYMPS_UNSUPPORTED && third == NULL && released == 1);
    /* A device pointer of the other device is refused. */
    anymps_device *const other = open_device("cuda:1");
    anymps_buffer *foreign = NULL;
    CHECK(anymps_buffer_create(other, 64, ANYMPS_STORAGE_PRIVATE, &foreign) == ANYMPS_OK);
    desc.bytes = anymps_buffer_native(foreign);
    desc.length_bytes = 64;
    CHECK(anymps_buffer_wrap_native(device, &desc, &third) == ANYMPS_INVALID_ARGUMENT);
    CHECK(anymps_buffer_wrap_native(other, &desc, &third) == ANYMPS_OK);
    CHECK(anymps_buffer_native(third) == anymps_buffer_native(foreign) && anymps_buffer_contents(third) == NULL);
    anymps_buffer_release(third);
    anymps_buffer_release(foreign);
    anymps_buffer_release(second);
    anymps_buffer_release(first);
    CHECK(released == 3);
    anymps_device_release(other);
    anymps_device_release(device);
    check_clean(__LINE__);
}

/* A queue, a command buffer with `count` softmaxes, and what they stand on. */
typedef struct work {
    anymps_device *device;
    anymps_queue *queue;
    anymps_command_buffer *commands;
    anymps_matrix *matrix;
    anymps_kernel *kernel;
} work;

static anymps_status make_work(work *made, const char *id, int count)
{
    memset(made, 0, sizeof *made);
    anymps_device_desc device = ANYMPS_DEVICE_DESC_INIT;
    device.id = id;
    const anymps_matrix_desc shape = anymps_matrix_desc_make(8, 1024, ANYMPS_DTYPE_F32);
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    anymps_status status = anymps_device_open(&device, &made->device);
    status = status != ANYMPS_OK ? status : anymps_queue_create(made->device, &made->queue);
    status = status != ANYMPS_OK ? status : anymps_command_buffer_create(made->queue, &made->commands);
    status = status != ANYMPS_OK ? status : anymps_matrix_create_on(made->device, &shape, &made->matrix);
    status = status != ANYMPS_OK ? status : anymps_softmax_create(made->device, &softmax, &made->kernel);
    for (int i = 0; i < count && status == ANYMPS_OK; i++) {
        status = anymps_softmax_encode(made->kernel, made->commands, made->matrix, made->matrix, NULL);
    }
    return status;
}

static void drop_work(work *made)
{
    anymps_command_buffer_release(made->commands);
    anymps_kernel_release(made->kernel);
    anymps_matrix_release(made->matrix);
    anymps_queue_release(made->queue);
    anymps_device_release(made->device);
}

static anymps_status commit_and_wait(work *made)
{
    const anymps_status status = anymps_command_buffer_commit(made->commands);
    return status != ANYMPS_OK ? status : anymps_command_buffer_wait(made->commands);
}

static void test_graph(void)
{
    work made;
    CHECK(make_work(&made, "cuda:0", 5) == ANYMPS_OK);
    (void)fake_cuda_launched(true);
    CHECK(commit_and_wait(&made) == ANYMPS_OK);
    fake_cuda_launches seen = fake_cuda_launched(true);
    CHECK(seen.kernels == 5 && seen.graphs == 0 && seen.grid == 8 && strncmp(seen.last, "softmax_f32_v4", 14) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(commit_and_wait(&made) == ANYMPS_OK);
        seen = fake_cuda_launched(true);
        CHECK(seen.kernels == 0 && seen.graphs == 1 && seen.captured == 5);
    }
    /* Other records: the old graph is gone, the first commit launches again. */
    CHECK(anymps_command_buffer_reset(made.commands) == ANYMPS_OK && fake_cuda_count().executables == 0);
    CHECK(anymps_softmax_encode(made.kernel, made.commands, made.matrix, made.matrix, NULL) == ANYMPS_OK);
    CHECK(commit_and_wait(&made) == ANYMPS_OK && commit_and_wait(&made) == ANYMPS_OK);
    seen = fake_cuda_launched(true);
    CHECK(seen.kernels == 1 && seen.graphs == 1 && seen.captured == 1);
    CHECK(anymps_command_buffer_enable_timings(made.commands, true) == ANYMPS_OK);
    CHECK(commit_and_wait(&made) == ANYMPS_OK);
    anymps_timings times = ANYMPS_TIMINGS_INIT;
    CHECK(anymps_command_buffer_get_timings(made.commands, &times) == ANYMPS_OK && times.device_ns == 250000);
    drop_work(&made);
    check_clean(__LINE__);
}

/* Encodes `count` softmaxes from the work's matrix to `result` anew and runs them; says what was launched. */
static fake_cuda_launches run_anew(work *made, anymps_matrix *result, int count)
{
    (void)fake_cuda_launched(true);
    CHECK(anymps_command_buffer_reset(made->commands) == ANYMPS_OK);
    for (int i = 0; i < count; i++) {
        CHECK(anymps_softmax_encode(made->kernel, made->commands, made->matrix, result, NULL) == ANYMPS_OK);
    }
    CHECK(commit_and_wait(made) == ANYMPS_OK);
    return fake_cuda_launched(true);
}

/* The same operation encoded again and again becomes a graph; another one, if only by an address, does not. */
static void test_recent(void)
{
    enum { SIGHTINGS = 4, OTHERS = 4 };
    work made;
    anymps_matrix *others[OTHERS] = {NULL};
    const anymps_matrix_desc shape = anymps_matrix_desc_make(8, 1024, ANYMPS_DTYPE_F32);
    CHECK(make_work(&made, "cuda:0", 0) == ANYMPS_OK);
    for (int i = 1; i < 2 * SIGHTINGS; i++) {
        const fake_cuda_launches seen = run_anew(&made, made.matrix, 1);
        CHECK(i < SIGHTINGS ? seen.kernels == 1 && seen.graphs == 0 : seen.kernels == 0 && seen.graphs == 1);
        CHECK(fake_cuda_count().executables == (i < SIGHTINGS ? 0 : 1));
    }
    for (int i = 0; i < OTHERS - 1; i++) {
        CHECK(anymps_matrix_create_on(made.device, &shape, &others[i]) == ANYMPS_OK);
        const fake_cuda_launches seen = run_anew(&made, others[i], 1);
        CHECK(seen.kernels == 1 && seen.graphs == 0);
    }
    CHECK(run_anew(&made, made.matrix, 1).graphs == 1); /* three others leave it its place */
    for (int i = 0; i < OTHERS; i++) {
        CHECK(others[i] != NULL || anymps_matrix_create_on(made.device, &shape, &others[i]) == ANYMPS_OK);
        CHECK(run_anew(&made, others[i], 1).kernels == 1);
    }
    CHECK(fake_cuda_count().executables == 0 && run_anew(&made, made.matrix, 1).kernels == 1);
    for (int i = 0; i < 2 * SIGHTINGS; i++) { /* two at once are another run; long lists are never compared */
        CHECK(run_anew(&made, made.matrix, 2).graphs == (i + 1 < SIGHTINGS ? 0 : 1));
        CHECK(run_anew(&made, made.matrix, 9).kernels == 9);
    }
    for (int i = 0; i < OTHERS; i++) {
        anymps_matrix_release(others[i]);
    }
    drop_work(&made);
    check_clean(__LINE__);
}

static atomic_int ended;

static void note_end(void *context, anymps_command_buffer *commands, anymps_status status)
{
    (void)context;
    (void)commands;
    CHECK(status == ANYMPS_OK);
    atomic_fetch_add(&ended, 1);
}

/* Commits return while the device is busy; the end comes without a wait, also after everything was released. */
static void test_asynchronous(void)
{
    work made;
    CHECK(make_work(&made, "cuda:0", 2) == ANYMPS_OK);
    atomic_store(&ended, 0);
    CHECK(anymps_command_buffer_on_completion(made.commands, note_end, NULL) == ANYMPS_OK);
    fake_cuda_hold(true);
    CHECK(anymps_command_buffer_commit(made.commands) == ANYMPS_OK);
    CHECK(anymps_command_buffer_get_state(made.commands) == ANYMPS_COMMAND_BUFFER_COMMITTED &&
          atomic_load(&ended) == 0);
    CHECK(anymps_command_buffer_commit(made.commands) == ANYMPS_INVALID_STATE);
    drop_work(&made);
    CHECK(atomic_load(&ended) == 0 && fake_cuda_count().streams > 0);
    fake_cuda_hold(false);
    for (int i = 0; i < 5000 && fake_cuda_count().contexts > 0; i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    CHECK(atomic_load(&ended) == 1);
    check_clean(__LINE__);
}

static void *commit_many(void *opaque)
{
    work *const shared = opaque;
    anymps_command_buffer *commands = NULL;
    bool good = anymps_command_buffer_create(shared->queue, &commands) == ANYMPS_OK;
    for (int i = 0; good && i < 3; i++) {
        good = anymps_softmax_encode(shared->kernel, commands, shared->matrix, shared->matrix, NULL) == ANYMPS_OK;
    }
    for (int i = 0; good && i < 500; i++) {
        good = anymps_command_buffer_commit(commands) == ANYMPS_OK && anymps_command_buffer_wait(commands) == ANYMPS_OK;
    }
    anymps_command_buffer_release(commands);
    return good ? shared : NULL;
}

static void test_threads(void)
{
    enum { THREADS = 4 };
    work made;
    pthread_t threads[THREADS];
    CHECK(make_work(&made, "cuda:0", 0) == ANYMPS_OK);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, commit_many, &made) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        CHECK(pthread_join(threads[i], &result) == 0 && result != NULL);
    }
    drop_work(&made);
    check_clean(__LINE__);
}

/* A sticky error loses this device and no other. */
static void test_lost(void)
{
    work made, other;
    CHECK(make_work(&made, "cuda:0", 3) == ANYMPS_OK);
    CHECK(make_work(&other, "cuda:1", 3) == ANYMPS_OK);
    fake_cuda_only("cuLaunchKernelEx");
    fake_cuda_fail_at(2, CUDA_ERROR_ILLEGAL_ADDRESS, false);
    CHECK(anymps_command_buffer_commit(made.commands) == ANYMPS_OK); /* one kernel had been launched */
    CHECK(anymps_command_buffer_wait(made.commands) == ANYMPS_DEVICE_LOST);
    anymps_error error;
    CHECK(anymps_command_buffer_error(made.commands, &error) == ANYMPS_OK && error.status == ANYMPS_DEVICE_LOST);
    CHECK(error.backend_code == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(anymps_command_buffer_commit(made.commands) == ANYMPS_DEVICE_LOST);
    anymps_buffer *buffer = NULL;
    CHECK(anymps_buffer_create(made.device, 64, ANYMPS_STORAGE_SHARED, &buffer) == ANYMPS_DEVICE_LOST);
    fake_cuda_fail_at(0, CUDA_SUCCESS, false);
    CHECK(commit_and_wait(&other) == ANYMPS_OK);
    fake_cuda_only(NULL);
    drop_work(&made);
    drop_work(&other);
    check_clean(__LINE__);
}

static void test_out_of_memory(void)
{
    anymps_device *const device = open_device("cuda:0");
    anymps_buffer *buffer = NULL;
    CHECK(anymps_buffer_create(device, ((size_t)1 << 30) - 1, ANYMPS_STORAGE_PRIVATE, &buffer) ==
              ANYMPS_OUT_OF_MEMORY ||
          buffer != NULL);
    anymps_buffer_release(buffer);
    buffer = NULL;
    fake_cuda_only("cuMemAlloc_v2");
    fake_cuda_fail_at(1, CUDA_ERROR_OUT_OF_MEMORY, true);
    CHECK(anymps_buffer_create(device, 1 << 20, ANYMPS_STORAGE_PRIVATE, &buffer) == ANYMPS_OUT_OF_MEMORY &&
          buffer == NULL);
    fake_cuda_fail_at(0, CUDA_SUCCESS, false);
    fake_cuda_only(NULL);
    CHECK(anymps_buffer_create(device, 1 << 19, ANYMPS_STORAGE_PRIVATE, &buffer) == ANYMPS_OK);
    anymps_buffer_release(buffer);
    anymps_device_release(device);
    check_clean(__LINE__);
}

/* Every driver call fails in turn: an error is reported, nothing leaks, and without a fault all goes well. */
static void test_every_fault(CUresult result, bool sticky)
{
    long n = 1;
    for (bool more = true; more && n < 500; n++) {
        work made;
        fake_cuda_fail_at(n, result, sticky);
        anymps_status status = make_work(&made, "cuda:0", 3);
        for (int i = 0; i < 3 && status == ANYMPS_OK; i++) {
            status = commit_and_wait(&made);
        }
        float read = 0.0f;
        if (status == ANYMPS_OK) {
            status = anymps_buffer_read(anymps_matrix_buffer(made.matrix), 0, &read, sizeof read);
        }
        more = fake_cuda_has_failed();
        CHECK(more || status == ANYMPS_OK);
        CHECK(status == ANYMPS_OK || status == ANYMPS_OUT_OF_MEMORY || status == ANYMPS_EXECUTION_FAILED ||
              status == ANYMPS_DEVICE_LOST);
        drop_work(&made);
        fake_cuda_fail_at(0, CUDA_SUCCESS, false);
        check_clean(__LINE__);
    }
    CHECK(n > 20 && n < 500);
}

int main(void)
{
    test_devices();
    test_storage(ANYMPS_STORAGE_SHARED);
    test_storage(ANYMPS_STORAGE_MANAGED);
    test_storage(ANYMPS_STORAGE_PRIVATE);
    test_wrap();
    test_graph();
    test_recent();
    test_asynchronous();
    test_threads();
    test_lost();
    test_out_of_memory();
    test_every_fault(CUDA_ERROR_UNKNOWN, false);
    test_every_fault(CUDA_ERROR_OUT_OF_MEMORY, false);
    test_every_fault(CUDA_ERROR_ILLEGAL_ADDRESS, true);
    (void)printf(failures == 0 ? "cuda host: all good\n" : "cuda host: %d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
