/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cuda_gpu.c: what only a GPU can show, run by tools/gpu-run: long command buffers whose kernels overlap give the bits of
 * the same operations one by one, and a real fault loses its device and nothing else. Public API only.
 *
 *     test_cuda_gpu        exit 77 (skipped) without a CUDA device
 */
#include <anymps/anymps.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77, FAULT_COLUMNS = 256, RANK = 8, BUFFERS = 6, OPERATIONS = 40, COMMITS = 4 };
enum { SIDE_MOST = 2048, BYTES_MOST = SIDE_MOST * SIDE_MOST * 2 };

static int failures;
static anymps_device *device;
static anymps_queue *queue;

/* Of the chain that runs: square matrices of one type. The sides reach each kind of our kernels for products. */
static const struct {
    anymps_dtype dtype;
    size_t side;
    int rounds;
} chains[] = {{ANYMPS_DTYPE_F32, 64, 30},  {ANYMPS_DTYPE_BF16, 64, 30}, {ANYMPS_DTYPE_F16, 256, 10},
              {ANYMPS_DTYPE_BF16, 512, 5}, {ANYMPS_DTYPE_F16, 1024, 2}, {ANYMPS_DTYPE_BF16, SIDE_MOST, 1}};
static anymps_dtype dtype;
static size_t side, bytes;

static void check(bool good, const char *what, int line)
{
    if (!good) {
        failures++;
        (void)fprintf(stderr, "line %d: %s (last error: %s)\n", line, what, anymps_last_error()->message);
    }
}
#define CHECK(condition) check(condition, #condition, __LINE__)
#define MUST(call)       CHECK((call) == ANYMPS_OK)

static uint32_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % limit;
}

/* ---- Chains ------------------------------------------------------------------------------------ */

typedef struct kernels {
    anymps_kernel *softmax, *rms, *layer, *lora, *product, *dense;
} kernels;

/* One operation: which, and on which buffers. Weights are views of buffers that other operations write. */
typedef struct operation {
    uint32_t kind, source, first, second, result;
} operation;

static kernels make_kernels(void)
{
    kernels k = {0};
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
    anymps_lora_desc lora = ANYMPS_LORA_DESC_INIT;
    anymps_matmul_desc product = ANYMPS_MATMUL_DESC_INIT;
    anymps_fully_connected_desc dense = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    softmax.dtype = norm.dtype = lora.dtype = dense.dtype = dtype;
    norm.epsilon = 1e-3;
    lora.scale = product.alpha = dense.alpha = 1.0 / (double)side;
    product.rows = product.columns = product.interior = side;
    product.left_dtype = product.right_dtype = product.result_dtype = dtype;
    product.algorithm = ANYMPS_ALGORITHM_OWN;
    MUST(anymps_softmax_create(device, &softmax, &k.softmax));
    MUST(anymps_rms_norm_create(device, &norm, &k.rms));
    MUST(anymps_layer_norm_create(device, &norm, &k.layer));
    MUST(anymps_lora_create(device, &lora, &k.lora));
    MUST(anymps_matmul_create(device, &product, &k.product));
    MUST(anymps_fully_connected_create(device, &dense, &k.dense));
    return k;
}

static void drop_kernels(kernels *k)
{
    anymps_kernel *const all[] = {k->softmax, k->rms, k->layer, k->lora, k->product, k->dense};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_kernel_release(all[i]);
    }
}

static anymps_matrix *view(anymps_buffer *buffer, size_t rows, size_t columns)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    anymps_matrix *made = NULL;
    MUST(anymps_matrix_create(buffer, 0, &desc, &made));
    return made;
}

static anymps_vector *row_of(anymps_buffer *buffer, size_t row)
{
    const anymps_vector_desc desc = anymps_vector_desc_make(side, dtype);
    anymps_vector *made = NULL;
    MUST(anymps_vector_create(buffer, row * side * anymps_dtype_bytes(dtype), &desc, &made));
    return made;
}

static void encode(const kernels *k, const operation *o, anymps_buffer *const *buffers, anymps_command_buffer *commands)
{
    anymps_matrix *const source = view(buffers[o->source], side, side);
    anymps_matrix *const result = view(buffers[o->result], side, side);
    anymps_matrix *const square = view(buffers[o->first], side, side);
    anymps_matrix *const down = view(buffers[o->first], side, RANK), *const up = view(buffers[o->second], RANK, side);
    anymps_vector *const weight = row_of(buffers[o->first], 3), *const bias = row_of(buffers[o->second], 5);
    anymps_status status = ANYMPS_OK;
    switch (o->kind) {
    case 0: status = anymps_softmax_encode(k->softmax, commands, source, result, NULL); break;
    case 1: status = anymps_rms_norm_encode(k->rms, commands, source, NULL, weight, bias, result, NULL); break;
    case 2: status = anymps_layer_norm_encode(k->layer, commands, source, NULL, weight, bias, result, NULL); break;
    case 3: status = anymps_lora_encode(k->lora, commands, source, NULL, down, up, result, NULL); break;
    case 4: status = anymps_matmul_encode(k->product, commands, source, square, result, NULL); break;
    default:
        status = anymps_fully_connected_encode(k->dense, commands, source, square, bias, NULL, result, NULL);
        break;
    }
    MUST(status);
    anymps_matrix_release(source);
    anymps_matrix_release(result);
    anymps_matrix_release(square);
    anymps_matrix_release(down);
    anymps_matrix_release(up);
    anymps_vector_release(weight);
    anymps_vector_release(bias);
}

/* Results alias no other operand; those may be one buffer. */
static void draw(operation *operations)
{
    for (int i = 0; i < OPERATIONS; i++) {
        operation *const o = &operations[i];
        *o = (operation){random_below(6), random_below(BUFFERS), random_below(BUFFERS), random_below(BUFFERS), 0};
        do {
            o->result = random_below(BUFFERS);
        } while (o->result == o->source || o->result == o->first || o->result == o->second);
    }
}

static void start(anymps_buffer *const *buffers, const unsigned char *values)
{
    for (int i = 0; i < BUFFERS; i++) {
        MUST(anymps_buffer_write(buffers[i], 0, values + (size_t)i * bytes, bytes));
    }
}

/* Numbers of either sign, 0.25 to 2 in size, by their bits. */
static void fill(unsigned char *values)
{
    for (size_t at = 0; at < BUFFERS * bytes; at += 4) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t word = seed ^ seed >> 15;
        word = dtype == ANYMPS_DTYPE_F32   ? (word & 0x80ffffffu) | 0x3f000000u
               : dtype == ANYMPS_DTYPE_F16 ? (word & 0x87ff87ffu) | 0x38003800u
                                           : (word & 0x80ff80ffu) | 0x3f003f00u;
        memcpy(values + at, &word, 4);
    }
}

static void run(anymps_command_buffer *commands)
{
    MUST(anymps_command_buffer_commit(commands));
    MUST(anymps_command_buffer_wait(commands));
}

static void compare(anymps_buffer *const *buffers, const unsigned char *wanted, int round, int commit)
{
    static unsigned char seen[BYTES_MOST];
    for (int i = 0; i < BUFFERS; i++) {
        MUST(anymps_buffer_read(buffers[i], 0, seen, bytes));
        if (memcmp(seen, wanted + (size_t)i * bytes, bytes) != 0) {
            (void)fprintf(stderr, "%s %zu: round %d, commit %d, buffer %d differs\n", anymps_dtype_name(dtype), side,
                          round, commit, i);
            failures++;
        }
    }
}

static void test_chain(const kernels *k, anymps_buffer *const *buffers, int round)
{
    static unsigned char values[BUFFERS * BYTES_MOST], wanted[BUFFERS * BYTES_MOST];
    operation operations[OPERATIONS];
    anymps_command_buffer *one = NULL, *all = NULL;
    seed = (uint32_t)round + 1;
    draw(operations);
    fill(values);
    MUST(anymps_command_buffer_create(queue, &one));
    MUST(anymps_command_buffer_create(queue, &all));
    start(buffers, values);
    for (int i = 0; i < OPERATIONS; i++) {
        MUST(anymps_command_buffer_reset(one));
        encode(k, &operations[i], buffers, one);
        encode(k, &operations[i], buffers, all);
        run(one);
    }
    for (int i = 0; i < BUFFERS; i++) {
        MUST(anymps_buffer_read(buffers[i], 0, wanted + (size_t)i * bytes, bytes));
    }
    for (int commit = 0; commit < COMMITS; commit++) { /* launches, then a graph of them */
        start(buffers, values);
        run(all);
        compare(buffers, wanted, round, commit);
    }
    anymps_command_buffer_release(one);
    anymps_command_buffer_release(all);
}

static void test_chains(int rounds)
{
    kernels k = make_kernels();
    anymps_buffer *buffers[BUFFERS] = {NULL};
    for (int i = 0; i < BUFFERS; i++) {
        MUST(anymps_buffer_create(device, bytes, ANYMPS_STORAGE_PRIVATE, &buffers[i]));
    }
    for (int round = 0; round < rounds && failures == 0; round++) {
        test_chain(&k, buffers, round);
    }
    for (int i = 0; i < BUFFERS; i++) {
        anymps_buffer_release(buffers[i]);
    }
    drop_kernels(&k);
}

/* ---- A fault ----------------------------------------------------------------------------------- */

/* Runs softmax over a row of `buffer` in place. */
static anymps_status softmax_over(anymps_device *on, anymps_buffer *buffer, size_t offset, anymps_error *error)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(1, FAULT_COLUMNS, ANYMPS_DTYPE_F32);
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    anymps_queue *own = NULL;
    anymps_kernel *kernel = NULL;
    anymps_matrix *matrix = NULL;
    anymps_command_buffer *commands = NULL;
    softmax.dtype = ANYMPS_DTYPE_F32;
    MUST(anymps_queue_create(on, &own));
    MUST(anymps_softmax_create(on, &softmax, &kernel));
    MUST(anymps_matrix_create(buffer, offset, &desc, &matrix));
    MUST(anymps_command_buffer_create(own, &commands));
    MUST(anymps_softmax_encode(kernel, commands, matrix, matrix, NULL));
    anymps_status status = anymps_command_buffer_commit(commands);
    status = status != ANYMPS_OK ? status : anymps_command_buffer_wait(commands);
    *error = *anymps_last_error();
    anymps_command_buffer_release(commands);
    anymps_matrix_release(matrix);
    anymps_kernel_release(kernel);
    anymps_queue_release(own);
    return status;
}

/* A wrapped buffer that claims far more than was allocated: the GPU's own fault, not a refusal of ours. Last, since the
   process has lost the GPU then. */
static void test_fault(void)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    anymps_device_desc cpu_desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *cpu = NULL;
    anymps_buffer *real = NULL, *false_one = NULL, *later = NULL, *host = NULL;
    anymps_error error;
    MUST(anymps_device_get_properties(device, &properties));
    const size_t far_away = properties.max_buffer_bytes / 4 * 3 / 4096 * 4096;
    MUST(anymps_buffer_create(device, 1024, ANYMPS_STORAGE_PRIVATE, &real));
    desc.bytes = anymps_buffer_native(real);
    desc.length_bytes = far_away + 1024;
    MUST(anymps_buffer_wrap_native(device, &desc, &false_one));
    CHECK(softmax_over(device, false_one, far_away, &error) == ANYMPS_DEVICE_LOST);
    (void)printf("fault: %s\n", error.message);
    CHECK(strstr(error.message, "CUDA_ERROR") != NULL);
    const anymps_status refused = anymps_buffer_create(device, 64 << 20, ANYMPS_STORAGE_PRIVATE, &later);
    CHECK(refused == ANYMPS_DEVICE_LOST && later == NULL);
    cpu_desc.id = "cpu";
    MUST(anymps_device_open(&cpu_desc, &cpu));
    MUST(anymps_buffer_create(cpu, 1024, ANYMPS_STORAGE_SHARED, &host));
    MUST(softmax_over(cpu, host, 0, &error));
    anymps_buffer_release(host);
    anymps_device_release(cpu);
    anymps_buffer_release(later);
    anymps_buffer_release(false_one);
    anymps_buffer_release(real);
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cuda";
    if (anymps_device_open(&desc, &device) != ANYMPS_OK) {
        (void)printf("skipped: %s\n", anymps_last_error()->message);
        return SKIPPED;
    }
    MUST(anymps_queue_create(device, &queue));
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        dtype = chains[i].dtype;
        side = chains[i].side;
        bytes = side * side * anymps_dtype_bytes(dtype);
        test_chains(chains[i].rounds);
    }
    test_fault();
    anymps_queue_release(queue);
    anymps_device_release(device);
    const anymps_live live = anymps_live_counts();
    CHECK(live.objects == 0 && live.wrapped == 0);
    (void)printf("%d failures\n", failures);
    return failures != 0;
}
