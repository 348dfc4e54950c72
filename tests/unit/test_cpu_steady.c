/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cpu_steady.c: what the CPU must not do once it has run an operation of a shape: ask the allocator for anything
 * when the same is encoded, committed and waited for again, and use processor time when nobody asks for anything.
 * Public API only.
 */
#include <anymps/anymps.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

enum { ROWS = 48, COLUMNS = 96, AGAIN = 20, OPERATORS = 9, IDLE_S = 1, SETTLE_NS = 200000000 };

/* A thread that spins uses the whole second, or its share of a busy machine; one that sleeps next to nothing. */
static const double idle_limit_s = 0.05;

static atomic_size_t calls;

static void *count_and_allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    atomic_fetch_add(&calls, 1);
    const size_t least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    return aligned_alloc(least, (size + least - 1) / least * least);
}

static void give_back(void *context, void *block, size_t size, size_t alignment)
{
    (void)context;
    (void)size;
    (void)alignment;
    free(block);
}

typedef struct stage {
    anymps_device *device;
    anymps_queue *queue;
    anymps_command_buffer *commands;
    anymps_matrix *wide[3]; /* ROWS × COLUMNS */
    anymps_matrix *turned;  /* COLUMNS × ROWS */
    anymps_matrix *square;  /* COLUMNS × COLUMNS */
    anymps_matrix *low;     /* COLUMNS × 8 */
    anymps_matrix *high;    /* 8 × COLUMNS */
    anymps_vector *line[2]; /* COLUMNS */
    anymps_vector *column;  /* ROWS */
    anymps_matrix *product; /* ROWS × ROWS */
    anymps_kernel *kernels[OPERATORS];
} stage;

static anymps_matrix *matrix(const stage *on, size_t rows, size_t columns, anymps_dtype dtype)
{
    anymps_matrix *made = NULL;
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    assert_int_equal(anymps_matrix_create_on(on->device, &desc, &made), ANYMPS_OK);
    return made;
}

static anymps_vector *vector(const stage *on, size_t length, anymps_dtype dtype)
{
    anymps_vector *made = NULL;
    const anymps_vector_desc desc = anymps_vector_desc_make(length, dtype);
    assert_int_equal(anymps_vector_create_on(on->device, &desc, &made), ANYMPS_OK);
    return made;
}

static void make_kernels(stage *on, anymps_dtype dtype)
{
    anymps_matmul_desc matmul = ANYMPS_MATMUL_DESC_INIT;
    anymps_matrix_vector_desc product = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    anymps_lora_desc lora = ANYMPS_LORA_DESC_INIT;
    matmul.rows = matmul.columns = product.rows = ROWS;
    matmul.interior = product.columns = COLUMNS;
    matmul.left_dtype = matmul.right_dtype = matmul.result_dtype = dtype;
    product.matrix_dtype = product.vector_dtype = product.result_dtype = dtype;
    softmax.dtype = norm.dtype = neuron.dtype = layer.dtype = lora.dtype = dtype;
    neuron.neuron = ANYMPS_NEURON_GELU;
    layer.neuron = ANYMPS_NEURON_SILU;
    anymps_kernel **const k = on->kernels;
    assert_int_equal(anymps_matmul_create(on->device, &matmul, &k[0]), ANYMPS_OK);
    assert_int_equal(anymps_matrix_vector_create(on->device, &product, &k[1]), ANYMPS_OK);
    assert_int_equal(anymps_softmax_create(on->device, &softmax, &k[2]), ANYMPS_OK);
    assert_int_equal(anymps_log_softmax_create(on->device, &softmax, &k[3]), ANYMPS_OK);
    assert_int_equal(anymps_rms_norm_create(on->device, &norm, &k[4]), ANYMPS_OK);
    assert_int_equal(anymps_layer_norm_create(on->device, &norm, &k[5]), ANYMPS_OK);
    assert_int_equal(anymps_neuron_create(on->device, &neuron, &k[6]), ANYMPS_OK);
    assert_int_equal(anymps_fully_connected_create(on->device, &layer, &k[7]), ANYMPS_OK);
    assert_int_equal(anymps_lora_create(on->device, &lora, &k[8]), ANYMPS_OK);
}

static stage set_up(size_t threads, anymps_dtype dtype)
{
    stage on = {0};
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    desc.threads = threads;
    assert_int_equal(anymps_device_open(&desc, &on.device), ANYMPS_OK);
    assert_int_equal(anymps_queue_create(on.device, &on.queue), ANYMPS_OK);
    assert_int_equal(anymps_command_buffer_create(on.queue, &on.commands), ANYMPS_OK);
    for (size_t i = 0; i < 3; i++) {
        on.wide[i] = matrix(&on, ROWS, COLUMNS, dtype);
    }
    on.turned = matrix(&on, COLUMNS, ROWS, dtype);
    on.square = matrix(&on, COLUMNS, COLUMNS, dtype);
    on.low = matrix(&on, COLUMNS, 8, dtype);
    on.high = matrix(&on, 8, COLUMNS, dtype);
    on.line[0] = vector(&on, COLUMNS, dtype);
    on.line[1] = vector(&on, COLUMNS, dtype);
    on.column = vector(&on, ROWS, dtype);
    on.product = matrix(&on, ROWS, ROWS, dtype);
    make_kernels(&on, dtype);
    return on;
}

static void tear_down(stage *on)
{
    for (size_t i = 0; i < OPERATORS; i++) {
        anymps_kernel_release(on->kernels[i]);
    }
    anymps_matrix *const matrices[] = {on->wide[0], on->wide[1], on->wide[2], on->turned,
                                       on->square,  on->low,     on->high,    on->product};
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        anymps_matrix_release(matrices[i]);
    }
    anymps_vector_release(on->line[0]);
    anymps_vector_release(on->line[1]);
    anymps_vector_release(on->column);
    anymps_command_buffer_release(on->commands);
    anymps_queue_release(on->queue);
    anymps_device_release(on->device);
}

static anymps_status encode(const stage *on, size_t op)
{
    anymps_kernel *const k = on->kernels[op];
    anymps_command_buffer *const to = on->commands;
    anymps_matrix *const x = on->wide[0];
    anymps_matrix *const y = on->wide[2];
    switch (op) {
    case 0: return anymps_matmul_encode(k, to, x, on->turned, on->product, NULL);
    case 1: return anymps_matrix_vector_encode(k, to, x, on->line[0], on->column, NULL);
    case 2: return anymps_softmax_encode(k, to, x, y, NULL);
    case 3: return anymps_log_softmax_encode(k, to, x, y, NULL);
    case 4: return anymps_rms_norm_encode(k, to, x, on->wide[1], on->line[0], NULL, y, NULL);
    case 5: return anymps_layer_norm_encode(k, to, x, NULL, on->line[0], on->line[1], y, NULL);
    case 6: return anymps_neuron_encode(k, to, x, on->line[0], NULL, y, NULL);
    case 7: return anymps_fully_connected_encode(k, to, x, on->square, on->line[0], NULL, y, NULL);
    default: return anymps_lora_encode(k, to, x, on->square, on->low, on->high, y, NULL);
    }
}

static void run_once(const stage *on, size_t op)
{
    assert_int_equal(anymps_command_buffer_reset(on->commands), ANYMPS_OK);
    assert_int_equal(encode(on, op), ANYMPS_OK);
    assert_int_equal(anymps_command_buffer_commit(on->commands), ANYMPS_OK);
    assert_int_equal(anymps_command_buffer_wait(on->commands), ANYMPS_OK);
}

static void nothing_is_allocated_again(void **state)
{
    (void)state;
    const anymps_allocator counting = {.allocate = count_and_allocate, .release = give_back};
    assert_int_equal(anymps_set_allocator(&counting), ANYMPS_OK);
    const anymps_dtype dtypes[] = {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F16};
    for (size_t i = 0; i < 6; i++) {
        stage on = set_up(1 + i % 2, dtypes[i / 2]);
        for (size_t op = 0; op < OPERATORS; op++) {
            run_once(&on, op);
            run_once(&on, op); /* a larger block of scratch takes its place when the next submission begins */
            const size_t before = atomic_load(&calls);
            for (size_t again = 0; again < AGAIN; again++) {
                run_once(&on, op);
            }
            assert_int_equal(atomic_load(&calls), before);
        }
        tear_down(&on);
    }
    assert_int_equal(anymps_set_allocator(NULL), ANYMPS_OK);
}

static double processor_s(void)
{
    struct rusage used;
    assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static void note(void *context, anymps_command_buffer *commands, anymps_status status)
{
    (void)commands;
    (void)status;
    atomic_fetch_add((atomic_size_t *)context, 1);
}

/* After work of both kinds, waited for and watched by a callback, an idle second costs no processor time. */
static void idle_threads_sleep(void **state)
{
    (void)state;
    stage on = set_up(4, ANYMPS_DTYPE_F32);
    atomic_size_t ended = 0;
    for (size_t round = 0; round < 2; round++) {
        for (size_t op = 0; op < OPERATORS; op++) {
            run_once(&on, op);
        }
        assert_int_equal(anymps_command_buffer_on_completion(on.commands, note, &ended), ANYMPS_OK);
        assert_int_equal(anymps_command_buffer_commit(on.commands), ANYMPS_OK);
        assert_int_equal(anymps_command_buffer_wait(on.commands), ANYMPS_OK);
        const struct timespec settle = {.tv_sec = 0, .tv_nsec = SETTLE_NS};
        (void)nanosleep(&settle, NULL);
        const double before = processor_s();
        const struct timespec idle = {.tv_sec = IDLE_S, .tv_nsec = 0};
        (void)nanosleep(&idle, NULL);
        assert_true(processor_s() - before < idle_limit_s);
        assert_int_equal(anymps_command_buffer_on_completion(on.commands, NULL, NULL), ANYMPS_OK);
    }
    assert_int_equal(atomic_load(&ended), 2);
    tear_down(&on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_allocated_again),
        cmocka_unit_test(idle_threads_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
