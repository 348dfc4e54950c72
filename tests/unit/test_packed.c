/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_packed.c: constant operands (ANYMPS_CONSTANT) on the CPU: their packed copy is made once, counted, freed with
 * the matrix, bounded by ANYMPS_PACKED_BYTES; without memory for it the product is the same; many threads may be
 * the first. Through the public calls; that copies give the same bits is in test_gemm.c.
 */
#include <anymps/anymps.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 20, COLUMNS = 301, INTERIOR = 700, THREADS = 4 };
/* Of the copy of one COLUMNS × INTERIOR weight; strips round the columns up. */
enum { COPY_LEAST = COLUMNS * INTERIOR * 4, COPY_MOST = (COLUMNS + 64) * INTERIOR * 4 + 4096 };

typedef struct world {
    anymps_device *device;
    anymps_kernel *kernel;
    anymps_matrix *left, *weights[2];
} world;

static anymps_matrix *matrix_on(anymps_device *device, size_t rows, size_t columns, uint32_t flags)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    anymps_matrix *matrix = NULL;
    desc.flags = flags;
    assert_int_equal(anymps_matrix_create_on(device, &desc, &matrix), ANYMPS_OK);
    float *values = anymps_matrix_contents(matrix);
    for (size_t i = 0; i < rows * columns; i++) {
        values[i] = (float)((i * 2654435761u) % 1000u) * 0.001f - 0.5f;
    }
    return matrix;
}

/* `limit`: ANYMPS_PACKED_BYTES, or NULL. */
static world open_world(const char *limit)
{
    world w = {0};
    anymps_device_desc device = ANYMPS_DEVICE_DESC_INIT;
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    device.id = "cpu";
    device.threads = 2;
    desc.rows = ROWS;
    desc.columns = COLUMNS;
    desc.interior = INTERIOR;
    desc.transpose_right = true;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    if (limit != NULL) {
        assert_int_equal(setenv("ANYMPS_PACKED_BYTES", limit, 1), 0);
    }
    assert_int_equal(anymps_device_open(&device, &w.device), ANYMPS_OK);
    (void)unsetenv("ANYMPS_PACKED_BYTES");
    assert_int_equal(anymps_matmul_create(w.device, &desc, &w.kernel), ANYMPS_OK);
    w.left = matrix_on(w.device, ROWS, INTERIOR, 0);
    w.weights[0] = matrix_on(w.device, COLUMNS, INTERIOR, ANYMPS_CONSTANT);
    w.weights[1] = matrix_on(w.device, COLUMNS, INTERIOR, ANYMPS_CONSTANT);
    return w;
}

static void close_world(world *w)
{
    anymps_matrix_release(w->left);
    anymps_matrix_release(w->weights[0]);
    anymps_matrix_release(w->weights[1]);
    anymps_kernel_release(w->kernel);
    anymps_device_release(w->device);
}

/* left · weightsᵀ on a queue of its own; true if all calls succeeded. */
static bool multiply(const world *w, anymps_matrix *weights, float *out)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    anymps_matrix *result = NULL;
    const bool good = anymps_queue_create(w->device, &queue) == ANYMPS_OK &&
                      anymps_matrix_create_on(w->device, &desc, &result) == ANYMPS_OK &&
                      anymps_command_buffer_create(queue, &commands) == ANYMPS_OK &&
                      anymps_matmul_encode(w->kernel, commands, w->left, weights, result, NULL) == ANYMPS_OK &&
                      anymps_command_buffer_commit(commands) == ANYMPS_OK &&
                      anymps_command_buffer_wait(commands) == ANYMPS_OK;
    if (good) {
        memcpy(out, anymps_matrix_contents(result), ROWS * COLUMNS * sizeof *out);
    }
    anymps_command_buffer_release(commands);
    anymps_matrix_release(result);
    anymps_queue_release(queue);
    return good;
}

static float first[ROWS * COLUMNS], second[ROWS * COLUMNS];

enum { LEFT_ROWS = 90, LEFT_COLUMNS = 50, LEFT_INTERIOR = 1500, LEFT_COPY = LEFT_ROWS * LEFT_INTERIOR * 2 };

/* bf16, about 0.5 to 0.9. */
static anymps_matrix *left_operand(anymps_device *device, size_t rows, size_t columns, uint32_t flags)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_BF16);
    anymps_matrix *matrix = NULL;
    desc.row_bytes = columns * sizeof(uint16_t);
    desc.flags = flags;
    assert_int_equal(anymps_matrix_create_on(device, &desc, &matrix), ANYMPS_OK);
    uint16_t *values = anymps_matrix_contents(matrix);
    for (size_t i = 0; i < rows * columns; i++) {
        values[i] = (uint16_t)(0x3f00u + i * 2654435761u % 97u);
    }
    return matrix;
}

/* How many bytes a product with `weights` leaves behind. */
static size_t growth(const world *w, anymps_matrix *weights)
{
    const size_t before = anymps_live_counts().block_bytes;
    assert_true(multiply(w, weights, second));
    return anymps_live_counts().block_bytes - before;
}

static void test_once(void **state)
{
    (void)state;
    world w = open_world(NULL);
    const anymps_live before = anymps_live_counts();
    const size_t grown = growth(&w, w.weights[0]);
    assert_in_range(grown, COPY_LEAST, COPY_MOST);
    memcpy(first, second, sizeof first);
    assert_int_equal(growth(&w, w.weights[0]), 0);
    assert_memory_equal(first, second, sizeof first);
    const size_t own = COLUMNS * INTERIOR * sizeof(float);
    anymps_matrix_release(w.weights[0]);
    w.weights[0] = NULL;
    assert_true(anymps_live_counts().block_bytes <= before.block_bytes - own);
    close_world(&w);
    assert_int_equal(anymps_live_counts().blocks, 0);
}

/* left · right by the one-call form; how many bytes it leaves behind. */
static size_t multiply_left(anymps_device *device, anymps_matrix *left, anymps_matrix *right, float *out)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    const anymps_matrix_desc of_result = anymps_matrix_desc_make(LEFT_ROWS, LEFT_COLUMNS, ANYMPS_DTYPE_F32);
    anymps_matrix *result = NULL;
    desc.rows = LEFT_ROWS;
    desc.columns = LEFT_COLUMNS;
    desc.interior = LEFT_INTERIOR;
    desc.left_dtype = desc.right_dtype = ANYMPS_DTYPE_BF16;
    desc.result_dtype = ANYMPS_DTYPE_F32;
    assert_int_equal(anymps_matrix_create_on(device, &of_result, &result), ANYMPS_OK);
    const size_t before = anymps_live_counts().block_bytes;
    assert_int_equal(anymps_matmul(&desc, left, right, result), ANYMPS_OK);
    const size_t after = anymps_live_counts().block_bytes;
    memcpy(out, anymps_matrix_contents(result), LEFT_ROWS * LEFT_COLUMNS * sizeof *out);
    anymps_matrix_release(result);
    return after - before;
}

/* A constant left operand of a narrow type: one copy, the same bits as without it, gone with its matrix; one that is not
   constant is read anew each time. */
static void test_left(void **state)
{
    (void)state;
    static float results[4][LEFT_ROWS * LEFT_COLUMNS];
    world w = open_world(NULL);
    anymps_matrix *const right = left_operand(w.device, LEFT_INTERIOR, LEFT_COLUMNS, 0);
    anymps_matrix *const plain = left_operand(w.device, LEFT_ROWS, LEFT_INTERIOR, 0);
    (void)multiply_left(w.device, plain, right, results[0]); /* the first call also makes what calls share */
    const size_t before = anymps_live_counts().block_bytes;
    anymps_matrix *const constant = left_operand(w.device, LEFT_ROWS, LEFT_INTERIOR, ANYMPS_CONSTANT);
    const size_t copy = multiply_left(w.device, constant, right, results[1]);
    assert_true(copy == 0 || copy >= LEFT_COPY); /* none: this machine multiplies bf16 as f32 */
    assert_int_equal(multiply_left(w.device, constant, right, results[2]), 0);
    anymps_matrix_release(constant);
    assert_int_equal(anymps_live_counts().block_bytes, before);
    ((uint16_t *)anymps_matrix_contents(plain))[0] = 0x4200; /* 32 */
    assert_int_equal(multiply_left(w.device, plain, right, results[3]), 0);
    assert_memory_equal(results[0], results[1], sizeof results[0]);
    assert_memory_equal(results[0], results[2], sizeof results[0]);
    assert_true(results[3][0] > results[0][0] + 1.0f);
    anymps_matrix_release(plain);
    anymps_matrix_release(right);
    close_world(&w);
    assert_int_equal(anymps_live_counts().blocks, 0);
}

static void test_bound(void **state)
{
    (void)state;
    char limit[32];
    (void)snprintf(limit, sizeof limit, "%d", COPY_MOST + COPY_LEAST / 2);
    world w = open_world(limit);
    assert_in_range(growth(&w, w.weights[0]), COPY_LEAST, COPY_MOST);
    memcpy(first, second, sizeof first);
    assert_int_equal(growth(&w, w.weights[1]), 0);
    assert_memory_equal(first, second, sizeof first);
    anymps_matrix_release(w.weights[0]); /* makes room */
    w.weights[0] = NULL;
    assert_in_range(growth(&w, w.weights[1]), COPY_LEAST, COPY_MOST);
    close_world(&w);
    w = open_world("0");
    assert_int_equal(growth(&w, w.weights[0]), 0);
    assert_memory_equal(first, second, sizeof first);
    close_world(&w);
}

static void test_bad_bound(void **state)
{
    (void)state;
    anymps_device *device = NULL;
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    assert_int_equal(setenv("ANYMPS_PACKED_BYTES", "12 MB", 1), 0);
    assert_int_equal(anymps_device_open(&desc, &device), ANYMPS_INVALID_ARGUMENT);
    assert_non_null(strstr(anymps_last_error()->message, "12 MB"));
    assert_null(device);
    (void)unsetenv("ANYMPS_PACKED_BYTES");
}

typedef struct refusing {
    size_t size, refused;
} refusing;

/* Refuses blocks of just that size: a copy's, which matrices do not have, nor scratch, whose size follows the caches. */
static void *refuse_size(void *context, size_t size, size_t alignment)
{
    refusing *self = context;
    if (size == self->size) {
        self->refused++;
        return NULL;
    }
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void release_block(void *context, void *block, size_t size, size_t alignment)
{
    (void)context;
    (void)size;
    (void)alignment;
    free(block);
}

static void test_no_memory(void **state)
{
    (void)state;
    refusing context = {0};
    const anymps_allocator allocator = {refuse_size, release_block, &context};
    world w = open_world(NULL);
    context.size = growth(&w, w.weights[0]);
    memcpy(first, second, sizeof first);
    assert_in_range(context.size, COPY_LEAST, COPY_MOST);
    close_world(&w);
    assert_int_equal(anymps_set_allocator(&allocator), ANYMPS_OK);
    anymps_clear_error();
    w = open_world(NULL);
    assert_int_equal(growth(&w, w.weights[0]), 0);
    assert_memory_equal(first, second, sizeof first);
    assert_int_equal(context.refused, 1);
    assert_int_equal(anymps_last_error()->status, ANYMPS_OK);
    close_world(&w);
    assert_int_equal(anymps_set_allocator(NULL), ANYMPS_OK);
}

typedef struct racer {
    const world *w;
    float out[ROWS * COLUMNS];
    bool good;
} racer;

static racer racers[THREADS];

static void *race(void *context)
{
    racer *self = context;
    self->good = true;
    for (size_t i = 0; i < 3 && self->good; i++) {
        self->good = multiply(self->w, self->w->weights[0], self->out);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    world w = open_world(NULL);
    const size_t before = anymps_live_counts().block_bytes;
    for (size_t i = 0; i < THREADS; i++) {
        racers[i].w = &w;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(racers[i].good);
        assert_memory_equal(racers[i].out, racers[0].out, sizeof racers[0].out);
    }
    assert_in_range(anymps_live_counts().block_bytes - before, COPY_LEAST, COPY_MOST); /* one copy */
    close_world(&w);
    assert_int_equal(anymps_live_counts().blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once),      cmocka_unit_test(test_left),
                                       cmocka_unit_test(test_bound),     cmocka_unit_test(test_bad_bound),
                                       cmocka_unit_test(test_no_memory), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
