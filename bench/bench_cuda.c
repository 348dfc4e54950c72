/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_cuda.c: times the operators on one GPU through the public API only. tools/gpu-run runs it beside PyTorch
 * (tools/gpu_peers.py), and docs/performance.md records what came out.
 *
 *     bench_cuda [--only TEXT] [--own 1] [--chain 1]
 *
 * Columns: `call` is reset + encode + commit + wait of one operation, seen from the host; `again` is commit + wait of
 * one recorded operation; `each` is the GPU's time of a re-committed command buffer of N operations, per
 * operation. Medians; p10 and p90 of `each` behind it. Operands are random.
 */
#include "timing.h"

#include <anymps/anymps.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static anymps_device *device;
static anymps_queue *queue;
static anymps_algorithm algorithm = ANYMPS_ALGORITHM_AUTO;
static uint32_t options;
static const char *only = "";
static bool chain; /* every operation reads what the one before wrote */

static void must(anymps_status status)
{
    if (status != ANYMPS_OK) {
        (void)fprintf(stderr, "bench_cuda: %s\n", anymps_last_error()->message);
        exit(1);
    }
}

/* ---- One case --------------------------------------------------------------------------------- */

typedef struct bench_case {
    anymps_kernel *kernel;
    anymps_matrix *at[5];
    anymps_vector *vectors[5];
    anymps_status (*encode)(const struct bench_case *each, anymps_command_buffer *commands);
    int result; /* `at[result]` is written; with --chain it and `at[0]` take turns */
} bench_case;

static uint32_t seed = 1;

static float random_value(void)
{
    seed = seed * 1664525u + 1013904223u;
    const float a = (float)(seed >> 8) / 16777216.0f;
    return 2.0f * a - 1.0f;
}

/* Random bytes that are ordinary numbers in the type; large buffers repeat a block. */
static void fill(anymps_buffer *buffer, anymps_dtype dtype)
{
    enum { BLOCK = 1 << 20 };
    static unsigned char block[BLOCK];
    for (size_t i = 0; i < BLOCK / anymps_dtype_bytes(dtype); i++) {
        const float value = random_value();
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (dtype == ANYMPS_DTYPE_F32) {
            memcpy(block + 4 * i, &bits, 4);
        } else if (dtype == ANYMPS_DTYPE_BF16) {
            const uint16_t high = (uint16_t)(bits >> 16);
            memcpy(block + 2 * i, &high, 2);
        } else if (dtype == ANYMPS_DTYPE_F16) { /* |value| in 0.5 … 1 or so: exponent 14, random digits */
            const uint16_t half = (uint16_t)((bits >> 16 & 0x8000u) | 0x3400u | (bits >> 8 & 0x7ffu));
            memcpy(block + 2 * i, &half, 2);
        } else {
            block[i] = (unsigned char)(bits >> 9);
        }
    }
    const size_t length = anymps_buffer_length(buffer);
    for (size_t at = 0; at < length; at += BLOCK) {
        must(anymps_buffer_write(buffer, at, block, length - at < BLOCK ? length - at : BLOCK));
    }
}

static anymps_matrix *matrix(size_t rows, size_t columns, anymps_dtype dtype)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    anymps_buffer *buffer = NULL;
    anymps_matrix *made = NULL;
    must(anymps_buffer_create(device, rows * columns * anymps_dtype_bytes(dtype), ANYMPS_STORAGE_PRIVATE, &buffer));
    fill(buffer, dtype);
    must(anymps_matrix_create(buffer, 0, &desc, &made));
    anymps_buffer_release(buffer);
    return made;
}

static anymps_vector *vector(size_t length, anymps_dtype dtype)
{
    anymps_vector_desc desc = anymps_vector_desc_make(length, dtype);
    anymps_buffer *buffer = NULL;
    anymps_vector *made = NULL;
    must(anymps_buffer_create(device, length * anymps_dtype_bytes(dtype), ANYMPS_STORAGE_PRIVATE, &buffer));
    fill(buffer, dtype);
    must(anymps_vector_create(buffer, 0, &desc, &made));
    anymps_buffer_release(buffer);
    return made;
}

static void drop(bench_case *each)
{
    for (int i = 0; i < 5; i++) {
        anymps_matrix_release(each->at[i]);
        anymps_vector_release(each->vectors[i]);
    }
    anymps_kernel_release(each->kernel);
}

static double median_of(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return values[count / 2];
}

static double time_call(const bench_case *each, int runs)
{
    static double us[2000];
    anymps_command_buffer *commands = NULL;
    must(anymps_command_buffer_create(queue, &commands));
    for (int i = -20; i < runs; i++) {
        const double begin = now_us();
        must(anymps_command_buffer_reset(commands));
        must(each->encode(each, commands));
        must(anymps_command_buffer_commit(commands));
        must(anymps_command_buffer_wait(commands));
        if (i >= 0) {
            us[i] = now_us() - begin;
        }
    }
    anymps_command_buffer_release(commands);
    return median_of(us, runs);
}

static double time_encode(const bench_case *each)
{
    static double us[50];
    anymps_command_buffer *commands = NULL;
    must(anymps_command_buffer_create(queue, &commands));
    for (int i = -5; i < 50; i++) {
        must(anymps_command_buffer_reset(commands));
        const double begin = now_us();
        for (int n = 0; n < 64; n++) {
            must(each->encode(each, commands));
        }
        if (i >= 0) {
            us[i] = (now_us() - begin) / 64.0;
        }
    }
    anymps_command_buffer_release(commands);
    return median_of(us, 50);
}

/* Ten commits warm the chip up; `operations` of them in one graph. */
static double time_batch(const bench_case *each, int operations, int runs, double *low, double *high, double *again)
{
    static double us[2000], host[2000];
    anymps_command_buffer *commands = NULL;
    must(anymps_command_buffer_create(queue, &commands));
    bench_case turned = *each;
    turned.at[0] = each->at[each->result];
    turned.at[each->result] = each->at[0];
    for (int n = 0; n < operations; n++) {
        must(each->encode(chain && n % 2 == 1 ? &turned : each, commands));
    }
    for (int i = -5; i < runs; i++) {
        const double begin = now_us();
        must(anymps_command_buffer_commit(commands));
        must(anymps_command_buffer_wait(commands));
        if (i >= 0) {
            host[i] = now_us() - begin;
        }
    }
    *again = median_of(host, runs) / operations;
    must(anymps_command_buffer_enable_timings(commands, true));
    for (int i = -5; i < runs; i++) {
        anymps_timings times = ANYMPS_TIMINGS_INIT;
        must(anymps_command_buffer_commit(commands));
        must(anymps_command_buffer_wait(commands));
        must(anymps_command_buffer_get_timings(commands, &times));
        if (i >= 0) {
            us[i] = (double)times.device_ns * 1e-3 / operations;
        }
    }
    anymps_command_buffer_release(commands);
    const double middle = median_of(us, runs);
    *low = us[runs / 10];
    *high = us[runs - 1 - runs / 10];
    return middle;
}

static void report(const char *name, bench_case *each, double flops, double bytes)
{
    double low, high, again, wall;
    double estimate = flops / 4e8 + bytes / 2.5e6; /* µs, roughly */
    const bool small = estimate < 20.0;
    const int operations = small ? 64 : estimate < 500.0 ? 8 : 2;
    const double middle = time_batch(each, operations, small ? 100 : 12, &low, &high, &wall);
    double one_low, one_high;
    (void)time_batch(each, 1, small ? 400 : 10, &one_low, &one_high, &again);
    const double call = time_call(each, small ? 400 : 10);
    printf("%-34s call %9.2f  again %9.2f  host/op %9.2f  each %9.3f us (p10 %.3f p90 %.3f)", name, call, again, wall,
           middle, low, high);
    if (flops > 0) {
        printf("  %8.1f TFLOP/s", flops / middle / 1e6);
    }
    if (bytes > 0) {
        printf("  %6.3f TB/s", bytes / middle / 1e6);
    }
    printf("  [%s]\n", anymps_kernel_explain(each->kernel));
    (void)fflush(stdout);
    drop(each);
}

static bool wanted(const char *name)
{
    return strstr(name, only) != NULL;
}

/* ---- The operators ---------------------------------------------------------------------------- */

static const char *type_name(anymps_dtype dtype)
{
    return anymps_dtype_name(dtype);
}

static anymps_status encode_matmul(const bench_case *each, anymps_command_buffer *commands)
{
    return anymps_matmul_encode(each->kernel, commands, each->at[0], each->at[1], each->at[2], NULL);
}

static void bench_matmul(size_t rows, size_t columns, size_t interior, anymps_dtype from, anymps_dtype to,
                         bool transpose)
{
    char name[96];
    (void)snprintf(name, sizeof name, "matmul %s%s %zux%zux%zu%s", type_name(from),
                   (options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0 ? "/reduced" : "", rows, columns, interior,
                   transpose ? " T" : "");
    if (!wanted(name)) {
        return;
    }
    bench_case each = {.encode = encode_matmul};
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = rows;
    desc.columns = columns;
    desc.interior = interior;
    desc.transpose_right = transpose;
    desc.left_dtype = desc.right_dtype = from;
    desc.result_dtype = to;
    desc.algorithm = algorithm;
    desc.options = options;
    if (anymps_matmul_create(device, &desc, &each.kernel) != ANYMPS_OK) {
        return;
    }
    each.at[0] = matrix(rows, interior, from);
    each.at[1] = transpose ? matrix(columns, interior, from) : matrix(interior, columns, from);
    each.at[2] = matrix(rows, columns, to);
    const double flops = 2.0 * (double)rows * (double)columns * (double)interior;
    const double bytes = (double)anymps_dtype_bytes(from) * (double)interior * (double)columns;
    report(name, &each, flops, rows <= 16 ? bytes : 0.0);
}

static anymps_status encode_vector(const bench_case *each, anymps_command_buffer *commands)
{
    return anymps_matrix_vector_encode(each->kernel, commands, each->at[0], each->vectors[0], each->vectors[1], NULL);
}

static void bench_vector(size_t rows, size_t columns, anymps_dtype dtype, bool transpose)
{
    char name[96];
    (void)snprintf(name, sizeof name, "matvec %s %zux%zu%s", type_name(dtype), rows, columns, transpose ? " T" : "");
    if (!wanted(name)) {
        return;
    }
    bench_case each = {.encode = encode_vector};
    anymps_matrix_vector_desc desc = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    desc.rows = transpose ? columns : rows;
    desc.columns = transpose ? rows : columns;
    desc.transpose = transpose;
    desc.matrix_dtype = desc.vector_dtype = desc.result_dtype = dtype;
    must(anymps_matrix_vector_create(device, &desc, &each.kernel));
    each.at[0] = matrix(rows, columns, dtype);
    each.vectors[0] = vector(desc.columns, dtype);
    each.vectors[1] = vector(desc.rows, dtype);
    report(name, &each, 0.0, (double)anymps_dtype_bytes(dtype) * (double)rows * (double)columns);
}

static anymps_status encode_softmax(const bench_case *each, anymps_command_buffer *commands)
{
    return anymps_softmax_encode(each->kernel, commands, each->at[0], each->at[1], NULL);
}

static void bench_softmax(size_t rows, size_t columns, anymps_dtype dtype)
{
    char name[96];
    (void)snprintf(name, sizeof name, "softmax %s %zux%zu", type_name(dtype), rows, columns);
    if (!wanted(name)) {
        return;
    }
    bench_case each = {.encode = encode_softmax};
    anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
    desc.dtype = dtype;
    must(anymps_softmax_create(device, &desc, &each.kernel));
    each.at[0] = matrix(rows, columns, dtype);
    each.at[1] = matrix(rows, columns, dtype);
    each.result = 1;
    report(name, &each, 0.0, 2.0 * (double)anymps_dtype_bytes(dtype) * (double)rows * (double)columns);
}

static anymps_status encode_norm(const bench_case *each, anymps_command_buffer *commands)
{
    return anymps_rms_norm_encode(each->kernel, commands, each->at[0], NULL, each->vectors[0], NULL, each->at[1], NULL);
}

static anymps_status encode_layer_norm(const bench_case *each, anymps_command_buffer *commands)
{
    return anymps_layer_norm_encode(each->kernel, commands, each->at[0], NULL, each->vectors[0], NULL, each->at[1],
                                    NULL);
}

static void bench_norm(size_t rows, size_t columns, anymps_dtype dtype, bool layer)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s %s %zux%zu", layer ? "layer_norm" : "rms_norm", type_name(dtype), rows,
                   columns);
    if (!wanted(name)) {
        return;
    }
    bench_case each = {.encode = layer ? encode_layer_norm : encode_norm};
    anymps_norm_desc desc = ANYMPS_NORM_DESC_INIT;
    desc.dtype = dtype;
    must(layer ? anymps_layer_norm_create(device, &desc, &each.kernel)
               : anymps_rms_norm_create(device, &desc, &each.kernel));
    each.at[0] = matrix(rows, columns, dtype);
    each.at[1] = matrix(rows, columns, dtype);
    each.vectors[0] = vector(columns, dtype);
    each.result = 1;
    report(name, &each, 0.0, 2.0 * (double)anymps_dtype_bytes(dtype) * (double)rows * (double)columns);
}

static anymps_status encode_lora(const bench_case *each, anymps_command_buffer *commands)
{
    return anymps_lora_encode(each->kernel, commands, each->at[0], NULL, each->at[1], each->at[2], each->at[3], NULL);
}

static void bench_lora(size_t rows, size_t width, size_t rank, anymps_dtype dtype)
{
    char name[96];
    (void)snprintf(name, sizeof name, "lora %s %zux%zu r%zu", type_name(dtype), rows, width, rank);
    if (!wanted(name)) {
        return;
    }
    bench_case each = {.encode = encode_lora};
    anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    desc.dtype = dtype;
    desc.scale = chain ? 0.0 : 2.0; /* a chain of products would leave the type's range */
    must(anymps_lora_create(device, &desc, &each.kernel));
    each.at[0] = matrix(rows, width, dtype);
    each.at[1] = matrix(width, rank, dtype);
    each.at[2] = matrix(rank, width, dtype);
    each.at[3] = matrix(rows, width, dtype);
    each.result = 3;
    report(name, &each, 0.0, 0.0);
}

static void bench_all(void)
{
    const anymps_dtype f32 = ANYMPS_DTYPE_F32, f16 = ANYMPS_DTYPE_F16, bf16 = ANYMPS_DTYPE_BF16;
    const anymps_dtype floats[] = {f32, f16, bf16};
    for (size_t width = 512; width <= 2048; width *= 2) {
        bench_lora(64, width, 8, f32);
        bench_lora(64, width, 8, bf16);
    }
    const size_t ranks[] = {16, 32, 64, 128, 256};
    for (size_t n = 0; n < sizeof ranks / sizeof ranks[0]; n++) {
        bench_lora(64, 1024, ranks[n], f32);
        bench_lora(64, 1024, ranks[n], bf16);
    }
    bench_lora(64, 4096, 64, bf16);
    static const size_t many[] = {128, 256, 512};
    for (size_t n = 0; n < sizeof many / sizeof many[0]; n++) {
        bench_lora(many[n], 1024, 16, bf16);
        bench_lora(many[n], 1024, 16, f32);
        bench_lora(many[n], 4096, 64, bf16);
        bench_lora(many[n], 4096, 64, f32);
    }
    bench_lora(4096, 4096, 64, bf16);
    for (int i = 0; i < 3; i += 2) {
        bench_softmax(128, 1024, floats[i]);
        bench_norm(128, 1024, floats[i], false);
        bench_norm(128, 1024, floats[i], true);
        const size_t shapes[][2] = {{4096, 4096},   {16384, 8192}, {16384, 1024},
                                    {16384, 16384}, {8192, 32768}, {1024, 131072}};
        for (size_t n = 0; n < sizeof shapes / sizeof shapes[0]; n++) {
            bench_softmax(shapes[n][0], shapes[n][1], floats[i]);
            bench_norm(shapes[n][0], shapes[n][1], floats[i], false);
        }
        bench_vector(4096, 4096, floats[i], false);
        bench_vector(14336, 4096, floats[i], false);
        bench_vector(4096, 14336, floats[i], false);
        bench_vector(4096, 14336, floats[i], true);
    }
    for (int i = 0; i < 3; i++) {
        for (size_t n = 64; n <= (i == 0 ? 4096u : 8192u); n *= 2) {
            bench_matmul(n, n, n, floats[i], floats[i], false);
        }
    }
    bench_matmul(1024, 1024, 1024, ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I32, true);
    for (size_t rows = 1; rows <= 128; rows *= rows == 1 ? 8 : rows == 16 ? 4 : 2) {
        bench_matmul(rows, 4096, 4096, bf16, bf16, true);
        bench_matmul(rows, 14336, 4096, bf16, bf16, true);
        bench_matmul(rows, 4096, 4096, bf16, bf16, false);
    }
    options = ANYMPS_ALLOW_REDUCED_PRECISION;
    for (size_t n = 512; n <= 4096; n *= 2) {
        bench_matmul(n, n, n, f32, f32, false);
    }
}

int main(int count, char **words)
{
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--only") == 0) {
            only = words[i + 1];
        } else if (strcmp(words[i], "--chain") == 0) {
            chain = words[i + 1][0] == '1';
        } else if (strcmp(words[i], "--own") == 0) {
            algorithm = words[i + 1][0] == '1' ? ANYMPS_ALGORITHM_OWN : ANYMPS_ALGORITHM_VENDOR;
        }
    }
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cuda";
    if (anymps_device_open(&desc, &device) != ANYMPS_OK) {
        printf("bench_cuda: %s\n", anymps_last_error()->message);
        return 77;
    }
    must(anymps_queue_create(device, &queue));
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    must(anymps_device_get_properties(device, &properties));
    printf("%s (%s)\n", properties.name, properties.architecture);
    bench_case empty = {.encode = encode_lora};
    const anymps_dtype f32 = ANYMPS_DTYPE_F32;
    anymps_lora_desc lora = ANYMPS_LORA_DESC_INIT;
    lora.dtype = f32;
    must(anymps_lora_create(device, &lora, &empty.kernel));
    empty.at[0] = matrix(64, 512, f32);
    empty.at[1] = matrix(512, 8, f32);
    empty.at[2] = matrix(8, 512, f32);
    empty.at[3] = matrix(64, 512, f32);
    printf("encode of one operation: %.3f us\n", time_encode(&empty));
    drop(&empty);
    bench_all();
    anymps_queue_release(queue);
    anymps_device_release(device);
    return 0;
}
