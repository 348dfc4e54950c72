/* SPDX-License-Identifier: Apache-2.0 */
/* scenario.c: see scenario.h. Called by tests/fault and tests/leak; calls the public API. */
#include "scenario.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIDE = 8, CELLS = SIDE * SIDE, OPERATORS = 9 };

typedef struct scene {
    scenario_outcome out;
    anymps_device *device;
    anymps_buffer *plain, *filled, *private_one, *wrapped, *native;
    anymps_matrix *left, *right, *result, *own, *batch, *offered;
    anymps_vector *vector, *output, *own_vector;
    anymps_queue *queue;
    anymps_command_buffer *commands;
    anymps_kernel *kernels[OPERATORS];
    size_t completions;
} scene;

static float wrapped_memory[CELLS];

/* ---- Noticing failures ---- */

static void broken(scene *s, const char *what)
{
    if (!s->out.broken) {
        s->out.broken = true;
        (void)snprintf(s->out.what, sizeof s->out.what, "%s (after %s)", what, anymps_last_error()->message);
    }
}

/* True if the call succeeded; else remembers its status, which the detail must repeat. */
static bool ok(scene *s, anymps_status status)
{
    if (status == ANYMPS_OK) {
        return true;
    }
    if (s->out.status == ANYMPS_OK) {
        s->out.status = status;
    }
    if (anymps_last_error()->status != status || anymps_last_error()->message[0] == '\0') {
        broken(s, "the detail is of another failure");
    }
    return false;
}

/* What follows a failed create: its output must still be NULL. The value is false. */
static bool untouched(scene *s, const void *output)
{
    if (output != NULL) {
        broken(s, "a failed call changed its output");
    }
    return false;
}

static void count_release(void *context, void *bytes)
{
    scene *const s = context;
    if (bytes != (void *)wrapped_memory) {
        broken(s, "the release callback got other bytes");
    }
    s->out.releases++;
}

static void count_completion(void *context, anymps_command_buffer *commands, anymps_status status)
{
    scene *const s = context;
    if (status != ANYMPS_OK || anymps_command_buffer_get_state(commands) != ANYMPS_COMMAND_BUFFER_COMPLETED) {
        broken(s, "the completion callback saw a failure");
    }
    s->completions++;
}

/* ---- Acts ---- */

static bool open_device(scene *s, const char *device, const char *isa)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = device;
    desc.isa = isa;
    desc.threads = strcmp(device, "cpu") == 0 ? 2 : 0;
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (anymps_device_count() == 0) {
        broken(s, "there is no device");
    }
    return (ok(s, anymps_device_open(&desc, &s->device)) || untouched(s, s->device)) &&
           ok(s, anymps_device_get_properties(s->device, &properties)) && ok(s, anymps_device_describe(0, &properties));
}

static bool make_buffers(scene *s)
{
    float bytes[CELLS];
    for (size_t i = 0; i < CELLS; i++) {
        bytes[i] = 1.0f;
    }
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    wrap.bytes = wrapped_memory;
    wrap.length_bytes = sizeof wrapped_memory;
    wrap.release = count_release;
    wrap.context = s;
    anymps_device *const d = s->device;
    if (!((ok(s, anymps_buffer_create(d, sizeof bytes, ANYMPS_STORAGE_SHARED, &s->plain)) || untouched(s, s->plain)) &&
          (ok(s, anymps_buffer_create_with_bytes(d, bytes, sizeof bytes, ANYMPS_STORAGE_MANAGED, &s->filled)) ||
           untouched(s, s->filled)) &&
          (ok(s, anymps_buffer_create(d, (size_t)3 << 20, ANYMPS_STORAGE_PRIVATE, &s->private_one)) ||
           untouched(s, s->private_one)) &&
          (ok(s, anymps_buffer_wrap(d, &wrap, &s->wrapped)) || untouched(s, s->wrapped)))) {
        return false;
    }
    s->out.wraps++;
    return ok(s, anymps_buffer_fill(s->plain, 0, sizeof bytes, 0)) &&
           ok(s, anymps_buffer_write(s->plain, 0, bytes, sizeof bytes)) &&
           ok(s, anymps_buffer_copy(s->private_one, 4, s->filled, 0, sizeof bytes - 4)) &&
           ok(s, anymps_buffer_read(s->private_one, 4, bytes, 16)) &&
           ok(s, anymps_buffer_did_modify(s->filled, 0, sizeof bytes)) &&
           ok(s, anymps_buffer_synchronize(s->filled, 0, sizeof bytes));
}

static bool make_views(scene *s)
{
    const anymps_matrix_desc square = anymps_matrix_desc_make(SIDE, SIDE, ANYMPS_DTYPE_F32);
    anymps_matrix_desc constant = square;
    constant.flags = ANYMPS_CONSTANT;
    anymps_matrix_desc batch = square;
    batch.matrices = 3;
    const anymps_vector_desc row = anymps_vector_desc_make(SIDE, ANYMPS_DTYPE_F32);
    return (ok(s, anymps_matrix_create(s->plain, 0, &square, &s->left)) || untouched(s, s->left)) &&
           (ok(s, anymps_matrix_create(s->filled, 0, &constant, &s->right)) || untouched(s, s->right)) &&
           (ok(s, anymps_matrix_create(s->private_one, 0, &batch, &s->batch)) || untouched(s, s->batch)) &&
           (ok(s, anymps_matrix_create_on(s->device, &square, &s->result)) || untouched(s, s->result)) &&
           (ok(s, anymps_matrix_create_on(s->device, &square, &s->own)) || untouched(s, s->own)) &&
           (ok(s, anymps_matrix_create(s->wrapped, 0, &square, &s->offered)) || untouched(s, s->offered)) &&
           (ok(s, anymps_vector_create(s->filled, 0, &row, &s->vector)) || untouched(s, s->vector)) &&
           (ok(s, anymps_vector_create_on(s->device, &row, &s->output)) || untouched(s, s->output)) &&
           (ok(s, anymps_vector_create_on(s->device, &row, &s->own_vector)) || untouched(s, s->own_vector));
}

static bool make_kernels(scene *s)
{
    anymps_matmul_desc matmul = ANYMPS_MATMUL_DESC_INIT;
    matmul.rows = matmul.columns = matmul.interior = SIDE;
    matmul.left_dtype = matmul.right_dtype = matmul.result_dtype = ANYMPS_DTYPE_F32;
    anymps_matrix_vector_desc matrix_vector = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    matrix_vector.rows = matrix_vector.columns = SIDE;
    matrix_vector.matrix_dtype = matrix_vector.vector_dtype = matrix_vector.result_dtype = ANYMPS_DTYPE_F32;
    anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    layer.neuron = ANYMPS_NEURON_GELU;
    layer.dtype = ANYMPS_DTYPE_F32;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    neuron.neuron = ANYMPS_NEURON_SILU;
    neuron.dtype = ANYMPS_DTYPE_F32;
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
    norm.dtype = ANYMPS_DTYPE_F32;
    anymps_lora_desc lora = ANYMPS_LORA_DESC_INIT;
    lora.dtype = ANYMPS_DTYPE_F32;
    anymps_device *const d = s->device;
    anymps_kernel **const k = s->kernels;
    return (ok(s, anymps_matmul_create(d, &matmul, &k[0])) || untouched(s, k[0])) &&
           (ok(s, anymps_matrix_vector_create(d, &matrix_vector, &k[1])) || untouched(s, k[1])) &&
           (ok(s, anymps_fully_connected_create(d, &layer, &k[2])) || untouched(s, k[2])) &&
           (ok(s, anymps_neuron_create(d, &neuron, &k[3])) || untouched(s, k[3])) &&
           (ok(s, anymps_softmax_create(d, &softmax, &k[4])) || untouched(s, k[4])) &&
           (ok(s, anymps_log_softmax_create(d, &softmax, &k[5])) || untouched(s, k[5])) &&
           (ok(s, anymps_rms_norm_create(d, &norm, &k[6])) || untouched(s, k[6])) &&
           (ok(s, anymps_layer_norm_create(d, &norm, &k[7])) || untouched(s, k[7])) &&
           (ok(s, anymps_lora_create(d, &lora, &k[8])) || untouched(s, k[8]));
}

/* The `count`th record was encoded, or the command buffer is as it was. */
static bool encoded(scene *s, anymps_status status, size_t count)
{
    const bool good = ok(s, status);
    if (anymps_command_buffer_count(s->commands) != (good ? count : count - 1)) {
        broken(s, "encode left a wrong number of records");
    }
    return good;
}

/* Every operator once; the matmul last, since its result is checked. */
static bool encode_all(scene *s)
{
    anymps_command_buffer *const c = s->commands;
    anymps_kernel **const k = s->kernels;
    return encoded(s, anymps_matrix_vector_encode(k[1], c, s->left, s->vector, s->output, NULL), 1) &&
           encoded(s, anymps_fully_connected_encode(k[2], c, s->left, s->right, s->vector, NULL, s->own, NULL), 2) &&
           encoded(s, anymps_neuron_encode(k[3], c, s->own, NULL, NULL, s->own, NULL), 3) &&
           encoded(s, anymps_softmax_encode(k[4], c, s->own, s->own, NULL), 4) &&
           encoded(s, anymps_log_softmax_encode(k[5], c, s->own, s->result, NULL), 5) &&
           encoded(s, anymps_rms_norm_encode(k[6], c, s->own, s->result, s->vector, NULL, s->offered, NULL), 6) &&
           encoded(s, anymps_layer_norm_encode(k[7], c, s->own, NULL, s->vector, s->output, s->offered, NULL), 7) &&
           encoded(s, anymps_lora_encode(k[8], c, s->own, NULL, s->left, s->right, s->offered, NULL), 8) &&
           encoded(s, anymps_matmul_encode(k[0], c, s->left, s->right, s->result, NULL), 9);
}

/* 1·1 summed over SIDE. */
static bool result_is(scene *s, float expected, const char *what)
{
    float cells[CELLS];
    if (!ok(s, anymps_buffer_read(anymps_matrix_buffer(s->result), 0, cells, sizeof cells))) {
        return false;
    }
    for (size_t i = 0; i < CELLS; i++) {
        if (memcmp(&cells[i], &expected, sizeof expected) != 0) {
            broken(s, what);
        }
    }
    return true;
}

/* Commits and waits. A refused commit leaves the result `before`. */
static bool commit(scene *s, float before)
{
    if (!ok(s, anymps_command_buffer_commit(s->commands))) {
        if (anymps_command_buffer_get_state(s->commands) == ANYMPS_COMMAND_BUFFER_COMMITTED) {
            broken(s, "a refused commit left the command buffer in flight");
        }
        (void)result_is(s, before, "a refused commit changed its result");
        return false;
    }
    return ok(s, anymps_command_buffer_wait(s->commands)) && result_is(s, (float)SIDE, "a wrong product");
}

static bool run_commands(scene *s)
{
    anymps_timings timings = ANYMPS_TIMINGS_INIT;
    char text[64];
    if (!((ok(s, anymps_queue_create(s->device, &s->queue)) || untouched(s, s->queue)) &&
          (ok(s, anymps_command_buffer_create(s->queue, &s->commands)) || untouched(s, s->commands)) &&
          ok(s, anymps_command_buffer_enable_timings(s->commands, true)) &&
          ok(s, anymps_command_buffer_on_completion(s->commands, count_completion, s)) && encode_all(s))) {
        return false;
    }
    anymps_command_buffer_set_label(s->commands, "scenario");
    (void)anymps_command_buffer_describe(s->commands, text, sizeof text);
    for (size_t again = 0; again < 2; again++) {
        if (!ok(s, anymps_buffer_fill(anymps_matrix_buffer(s->result), 0, CELLS * sizeof(float), 0)) ||
            !commit(s, 0.0f)) {
            return false;
        }
    }
    if (s->completions != 2) {
        broken(s, "the completion callback was not called once a commit");
    }
    return ok(s, anymps_command_buffer_get_timings(s->commands, &timings)) &&
           ok(s, anymps_command_buffer_reset(s->commands)) &&
           encoded(s, anymps_matmul_encode(s->kernels[0], s->commands, s->left, s->right, s->result, NULL), 1) &&
           commit(s, (float)SIDE);
}

static bool run_one_calls(scene *s)
{
    anymps_kernel_cache_stats stats = ANYMPS_KERNEL_CACHE_STATS_INIT;
    anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    for (size_t again = 0; again < 2; again++) {
        const bool good = ok(s, anymps_matmul(NULL, s->left, s->right, s->own)) &&
                          ok(s, anymps_matrix_vector(NULL, s->left, s->vector, s->output)) &&
                          ok(s, anymps_fully_connected(&layer, s->left, s->right, s->vector, NULL, s->own)) &&
                          ok(s, anymps_neuron(&neuron, s->left, NULL, NULL, s->own)) &&
                          ok(s, anymps_softmax(NULL, s->left, s->own)) &&
                          ok(s, anymps_log_softmax(NULL, s->left, s->own)) &&
                          ok(s, anymps_rms_norm(NULL, s->left, NULL, s->vector, NULL, s->own)) &&
                          ok(s, anymps_layer_norm(NULL, s->left, NULL, s->vector, s->vector, s->own)) &&
                          ok(s, anymps_lora(NULL, s->left, s->right, s->left, s->right, s->own));
        if (!good) {
            return false;
        }
    }
    return ok(s, anymps_device_kernel_cache_stats(s->device, &stats)) &&
           ok(s, anymps_device_set_kernel_cache_capacity(s->device, 2));
}

/* Native handles wrap again; on the CPU they are addresses. */
static bool wrap_native(scene *s)
{
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    wrap.bytes = anymps_buffer_native(s->plain);
    wrap.length_bytes = anymps_buffer_length(s->plain);
    return ok(s, anymps_buffer_wrap_native(s->device, &wrap, &s->native)) || untouched(s, s->native);
}

static void release_all(scene *s)
{
    anymps_device_release(s->device); /* first: the others keep what they need */
    anymps_queue_release(s->queue);
    for (size_t i = 0; i < OPERATORS; i++) {
        anymps_kernel_release(s->kernels[i]);
    }
    anymps_buffer *const buffers[] = {s->plain, s->filled, s->private_one, s->wrapped, s->native};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        anymps_buffer_release(buffers[i]);
    }
    anymps_matrix *const matrices[] = {s->left, s->right, s->result, s->own, s->batch, s->offered};
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        anymps_matrix_release(matrices[i]);
    }
    anymps_vector_release(s->vector);
    anymps_vector_release(s->output);
    anymps_vector_release(s->own_vector);
    anymps_command_buffer_release(s->commands);
}

scenario_outcome scenario_run(const char *device, const char *isa)
{
    scene s = {.device = NULL};
    anymps_clear_error();
    (void)(open_device(&s, device, isa) && make_buffers(&s) && make_views(&s) && make_kernels(&s) && run_commands(&s) &&
           run_one_calls(&s) && wrap_native(&s));
    release_all(&s);
    if (s.out.releases != s.out.wraps) {
        broken(&s, "the release callback was not called once for each wrap");
    }
    return s.out;
}

/* ---- The allocator ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *faulty_allocate(void *context, size_t size, size_t alignment)
{
    faulty_allocator *const self = context;
    (void)pthread_mutex_lock(&lock);
    self->calls++;
    const bool fail =
        self->fail_at != 0 && (self->calls == self->fail_at || (self->fail_after && self->calls > self->fail_at));
    self->failed += fail ? 1 : 0;
    self->live += fail ? 0 : 1;
    (void)pthread_mutex_unlock(&lock);
    void *block = NULL;
    if (fail || posix_memalign(&block, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) != 0) {
        return NULL;
    }
    return block;
}

static void faulty_release(void *context, void *block, size_t size, size_t alignment)
{
    faulty_allocator *const self = context;
    (void)size;
    (void)alignment;
    (void)pthread_mutex_lock(&lock);
    self->live--;
    (void)pthread_mutex_unlock(&lock);
    free(block);
}

anymps_status faulty_allocator_install(faulty_allocator *self)
{
    const anymps_allocator hook = {faulty_allocate, faulty_release, self};
    return anymps_set_allocator(&hook);
}

/* What is alive now; false if nothing. */
static bool alive_now(char *what, size_t size)
{
    const anymps_live live = anymps_live_counts();
    (void)snprintf(what, size, "%zu objects, %zu blocks of %zu bytes, %zu device bytes, %zu wrapped", live.objects,
                   live.blocks, live.block_bytes, live.device_bytes, live.wrapped);
    return live.objects + live.blocks + live.block_bytes + live.device_bytes + live.wrapped != 0;
}

bool anything_alive(char *what, size_t size)
{
    const struct timespec moment = {0, 1000000};
    for (int i = 0; i < 2000 && alive_now(what, size); i++) {
        (void)nanosleep(&moment, NULL);
    }
    return alive_now(what, size);
}
