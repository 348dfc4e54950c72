/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cuda_ops.c: the host side of every CUDA operator on the fake driver and the fake cuBLASLt: which kernel is chosen,
 * its grid, its tensor maps and scratch, for shapes of every size class, type and layout, with and without the
 * vendor's library; then with each call of either failing in turn. Values are not computed there; tools/gpu-run has them.
 */
#include "backend/cuda/kernels/params.h"
#include "expect.h"
#include "fake_cublaslt.h"
#include "fake_cuda.h"

#include <anymps/anymps.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

/* The operands of one case, released together. */
typedef struct operands {
    anymps_device *device;
    anymps_matrix *matrices[MOST];
    anymps_vector *vectors[MOST];
    size_t matrix_count, vector_count;
    anymps_status status; /* of the first that could not be made */
} operands;

/* A matrix from byte `offset` of a block of device memory; `padding` bytes after each row. */
static anymps_matrix *matrix(operands *self, size_t matrices, size_t rows, size_t columns, anymps_dtype dtype,
                             size_t offset, size_t padding)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    anymps_buffer *buffer = NULL;
    anymps_matrix *made = NULL;
    size_t bytes = 0;
    desc.matrices = matrices;
    desc.row_bytes = columns * anymps_dtype_bytes(dtype) + padding;
    if (self->status == ANYMPS_OK) {
        self->status = anymps_matrix_desc_resolve(&desc, &bytes);
    }
    if (self->status == ANYMPS_OK) {
        self->status = anymps_buffer_create(self->device, offset + bytes, ANYMPS_STORAGE_PRIVATE, &buffer);
    }
    if (self->status == ANYMPS_OK) {
        self->status = anymps_matrix_create(buffer, offset, &desc, &made);
    }
    anymps_buffer_release(buffer);
    self->matrices[self->matrix_count++] = made;
    return made;
}

static anymps_vector *vector(operands *self, size_t vectors, size_t length, anymps_dtype dtype)
{
    anymps_vector_desc desc = anymps_vector_desc_make(length, dtype);
    anymps_vector *made = NULL;
    desc.vectors = vectors;
    if (self->status == ANYMPS_OK) {
        self->status = anymps_vector_create_on(self->device, &desc, &made);
    }
    self->vectors[self->vector_count++] = made;
    return made;
}

static void drop(operands *self)
{
    for (size_t i = 0; i < MOST; i++) {
        anymps_matrix_release(self->matrices[i]);
        anymps_vector_release(self->vectors[i]);
    }
    *self = (operands){.device = self->device};
}

/* The operands' own status, or the operator's. */
#define RUN(self, call) ((self).status != ANYMPS_OK ? (self).status : (call))

/* Something was launched for it. */
static void expect_work(anymps_status status, const char *what, size_t a, size_t b, size_t c)
{
    const fake_cuda_launches launched = fake_cuda_launched(true);
    const long vendor = fake_cublaslt_products();
    fake_cublaslt_fail_at(0);
    (void)expect_true(status == ANYMPS_OK, __FILE__, __LINE__, "%s %zu %zu %zu: %s", what, a, b, c,
                      status == ANYMPS_OK ? "" : anymps_last_error()->message);
    (void)expect_true(launched.kernels + launched.captured + vendor > 0, __FILE__, __LINE__,
                      "%s %zu %zu %zu launched nothing", what, a, b, c);
}

/* ---- Products ---------------------------------------------------------------------------------- */

typedef struct product_types {
    anymps_dtype operand, result;
} product_types;

static const product_types types[] = {
    {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32},   {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16},  {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32},
    {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BF16}, {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F32}, {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F32},
    {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_F16},    {ANYMPS_DTYPE_I8, ANYMPS_DTYPE_I32},   {ANYMPS_DTYPE_I16, ANYMPS_DTYPE_F32},
};

/* rows, columns, interior of each size class: one element, skinny either way, odd, tiles ± 1, few tiles with a long sum. */
static const size_t shapes[][3] = {{1, 1, 1},       {1, 512, 512},    {512, 1, 512},   {8, 640, 512},
                                   {16, 512, 96},   {17, 33, 5},      {64, 64, 64},    {65, 127, 31},
                                   {128, 128, 128}, {64, 512, 8},     {128, 64, 4096}, {256, 256, 256},
                                   {300, 200, 100}, {512, 1024, 128}, {1024, 1024, 64}};

/* Form bits: 1, 2 transposed operands; 4 unaligned rows; 8 alpha and beta; 16 a batch; 32 reduced precision. */
static anymps_status product(operands *self, product_types t, const size_t *shape, unsigned form)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    const size_t m = shape[0], n = shape[1], k = shape[2], batch = (form & 16) != 0 ? 3 : 1;
    const size_t element = anymps_dtype_bytes(t.operand), odd = (form & 4) != 0 ? element : 0;
    desc.transpose_left = (form & 1) != 0;
    desc.transpose_right = (form & 2) != 0;
    desc.alpha = (form & 8) != 0 ? 0.5 : 1.0;
    desc.beta = (form & 8) != 0 ? 2.0 : 0.0;
    desc.options = (form & 32) != 0 ? ANYMPS_ALLOW_REDUCED_PRECISION : 0;
    anymps_matrix *const left =
        matrix(self, batch, desc.transpose_left ? k : m, desc.transpose_left ? m : k, t.operand, odd, odd);
    anymps_matrix *const right =
        matrix(self, 1, desc.transpose_right ? n : k, desc.transpose_right ? k : n, t.operand, odd, odd);
    anymps_matrix *const result = matrix(self, batch, m, n, t.result, 0, 0);
    return RUN(*self, anymps_matmul(&desc, left, right, result));
}

static void check_products(operands *self)
{
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            for (unsigned form = 0; form < 64; form++) {
                const anymps_status status = product(self, types[t], shapes[s], form);
                expect_work(status, anymps_dtype_name(types[t].operand), shapes[s][0], shapes[s][1], shapes[s][2]);
                drop(self);
            }
        }
    }
}

/* ---- What a kernel may read before its predecessor has ended ------------------------------------ */

static int settled_of[4]; /* AMPS_SETTLED_… of the products launched since, as the caller's left and right */
static size_t settled_count;

static void note_settled(const char *name, const void *params)
{
    int settled = -1;
    bool turned = false;
    if (strncmp(name, "mma_", 4) == 0) {
        settled = ((const amps_gemm_params *)params)->settled;
    } else if (strncmp(name, "tile_", 5) == 0 || strncmp(name, "large_", 6) == 0) {
        settled = ((const amps_wgmma_params *)params)->settled;
        turned = ((const amps_wgmma_params *)params)->turned != 0;
    }
    if (settled >= 0 && settled_count < 4) {
        const int swapped = (settled & AMPS_SETTLED_LEFT) * 2 + (settled & AMPS_SETTLED_RIGHT) / 2;
        settled_of[settled_count++] = turned ? swapped : settled;
    }
}

/* settled_of: what each product of the commit may read early. */
static void run_noted(anymps_command_buffer *commands)
{
    settled_count = 0;
    fake_cuda_watch(note_settled);
    EXPECT_OK(anymps_command_buffer_commit(commands));
    EXPECT_OK(anymps_command_buffer_wait(commands));
    fake_cuda_watch(NULL);
}

/* Products of which each reads what those before have written, or has not: a b, c b, b c, c d, into c, d, e, e. */
static void check_settled(operands *self, anymps_dtype dtype, size_t side, size_t offset)
{
    static const int wanted[4] = {AMPS_SETTLED_BOTH, AMPS_SETTLED_RIGHT, AMPS_SETTLED_LEFT, 0};
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    anymps_kernel *kernel = NULL;
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    anymps_matrix *m[5];
    for (int i = 0; i < 5; i++) {
        m[i] = matrix(self, 1, side, side, dtype, i < 2 ? offset : 0, 0);
    }
    desc.left_dtype = desc.right_dtype = desc.result_dtype = dtype;
    desc.rows = desc.columns = desc.interior = side;
    desc.algorithm = ANYMPS_ALGORITHM_OWN;
    EXPECT_OK(self->status);
    EXPECT_OK(anymps_matmul_create(self->device, &desc, &kernel));
    EXPECT_OK(anymps_queue_create(self->device, &queue));
    EXPECT_OK(anymps_command_buffer_create(queue, &commands));
    EXPECT_OK(anymps_matmul_encode(kernel, commands, m[0], m[1], m[2], NULL));
    EXPECT_OK(anymps_matmul_encode(kernel, commands, m[2], m[1], m[3], NULL));
    EXPECT_OK(anymps_matmul_encode(kernel, commands, m[1], m[2], m[4], NULL));
    EXPECT_OK(anymps_matmul_encode(kernel, commands, m[2], m[3], m[4], NULL));
    run_noted(commands);
    EXPECT(settled_count == 4);
    for (size_t i = 0; i < settled_count; i++) {
        /* An operand that lies unaligned is copied first: its copy has just been written. */
        (void)expect_true(settled_of[i] == (offset != 0 && i == 0 ? 0
                                            : offset != 0         ? settled_of[i] & wanted[i]
                                                                  : wanted[i]),
                          __FILE__, __LINE__, "side %zu: product %zu may read %d early", side, i, settled_of[i]);
    }
    anymps_command_buffer_release(commands);
    anymps_queue_release(queue);
    anymps_kernel_release(kernel);
    drop(self);
}

/* Of two products, the second of which reads what the first has written: the first is ours, the second is that algorithm of
   cuBLASLt which the table names, the fake's second, or ours where there is none. */
static void check_named(operands *self)
{
    const bool vendor = getenv("ANYMPS_CUDA_CUBLASLT") == NULL;
    const size_t side = 1024;
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    anymps_kernel *kernel = NULL;
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    anymps_matrix *m[4];
    for (int i = 0; i < 4; i++) {
        m[i] = matrix(self, 1, side, side, ANYMPS_DTYPE_BF16, 0, 0);
    }
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_BF16;
    desc.rows = desc.columns = desc.interior = side;
    EXPECT_OK(self->status);
    EXPECT_OK(anymps_matmul_create(self->device, &desc, &kernel));
    EXPECT_OK(anymps_queue_create(self->device, &queue));
    EXPECT_OK(anymps_command_buffer_create(queue, &commands));
    EXPECT_OK(anymps_matmul_encode(kernel, commands, m[0], m[1], m[2], NULL));
    EXPECT_OK(anymps_matmul_encode(kernel, commands, m[2], m[1], m[3], NULL));
    fake_cublaslt_fail_at(0);
    run_noted(commands);
    EXPECT(settled_count == (vendor ? 1 : 2) && settled_of[0] == AMPS_SETTLED_BOTH);
    EXPECT(fake_cublaslt_products() == (vendor ? 1 : 0) && (!vendor || fake_cublaslt_latest() == 2));
    anymps_command_buffer_release(commands);
    anymps_queue_release(queue);
    anymps_kernel_release(kernel);
    drop(self);
}

static anymps_status times_vector(operands *self, product_types t, size_t rows, size_t columns, bool transpose)
{
    anymps_matrix_vector_desc desc = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    desc.transpose = transpose;
    anymps_matrix *const left =
        matrix(self, 1, transpose ? columns : rows, transpose ? rows : columns, t.operand, 0, 0);
    anymps_vector *const right = vector(self, 1, columns, t.operand);
    anymps_vector *const result = vector(self, 1, rows, t.result);
    return RUN(*self, anymps_matrix_vector(&desc, left, right, result));
}

static void check_vectors(operands *self)
{
    static const size_t sizes[][2] = {{1, 1}, {7, 9}, {512, 640}, {4096, 256}, {256, 4096}};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        for (size_t s = 0; s < 2 * (sizeof sizes / sizeof sizes[0]); s++) {
            const size_t *const size = sizes[s / 2];
            expect_work(times_vector(self, types[t], size[0], size[1], s % 2 != 0), "matrix_vector", size[0], size[1],
                        1);
            drop(self);
        }
    }
}

static const anymps_dtype floats[] = {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_BF16};

static anymps_status layer(operands *self, anymps_dtype dtype, const size_t *shape, anymps_neuron_type neuron,
                           bool with_bias)
{
    anymps_fully_connected_desc desc = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    desc.neuron = neuron;
    desc.transpose_weights = shape[0] % 2 == 0;
    const bool across = desc.transpose_weights, prelu = neuron == ANYMPS_NEURON_PRELU;
    anymps_matrix *const source = matrix(self, 1, shape[0], shape[2], dtype, 0, 0);
    anymps_matrix *const weights =
        matrix(self, 1, across ? shape[1] : shape[2], across ? shape[2] : shape[1], dtype, 0, 0);
    anymps_vector *const bias = with_bias ? vector(self, 1, shape[1], dtype) : NULL;
    anymps_vector *const slopes = prelu ? vector(self, 1, shape[1], dtype) : NULL;
    anymps_matrix *const result = matrix(self, 1, shape[0], shape[1], dtype, 0, 0);
    return RUN(*self, anymps_fully_connected(&desc, source, weights, bias, slopes, result));
}

static void check_layers(operands *self)
{
    static const anymps_neuron_type neurons[] = {ANYMPS_NEURON_NONE, ANYMPS_NEURON_GELU, ANYMPS_NEURON_PRELU};
    for (size_t i = 0; i < 9 * (sizeof shapes / sizeof shapes[0]); i++) {
        const size_t *const shape = shapes[i / 9];
        expect_work(layer(self, floats[i % 3], shape, neurons[i / 3 % 3], true), "fully_connected", shape[0], shape[1],
                    shape[2]);
        drop(self);
    }
}

/* Fewer outputs than rows: the kernel of few rows, which turns such a product, has no slopes or bias along the rows. */
static void check_tall_layers(operands *self)
{
    static const size_t tall[][3] = {{64, 1, 256}, {40, 3, 256}};
    for (size_t i = 0; i < 12; i++) {
        const bool plain = i % 2 == 0;
        (void)fake_cuda_launched(true);
        EXPECT_OK(layer(self, floats[i / 2 % 3], tall[i / 6], plain ? ANYMPS_NEURON_NONE : ANYMPS_NEURON_PRELU, false));
        const bool few = strncmp(fake_cuda_launched(false).last, "skinny", 6) == 0;
        EXPECT(plain || !few);
        EXPECT(few || !plain || i / 6 != 0); /* without slopes it is what runs one output */
        drop(self);
    }
}

static anymps_status adapter(operands *self, anymps_dtype dtype, const size_t *size, unsigned form)
{
    anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    desc.scale = 0.5;
    desc.accumulate = (form & 1) != 0;
    desc.transpose_down = (form & 2) != 0;
    desc.transpose_up = (form & 2) != 0;
    const size_t rows = size[0], width = size[1], rank = size[2], odd = (form & 4) != 0 ? anymps_dtype_bytes(dtype) : 0;
    anymps_matrix *const source = matrix(self, 1, rows, width, dtype, odd, odd);
    anymps_matrix *const weights = (form & 8) != 0 ? matrix(self, 1, width, width, dtype, odd, odd) : NULL;
    anymps_matrix *const down =
        matrix(self, 1, desc.transpose_down ? rank : width, desc.transpose_down ? width : rank, dtype, odd, odd);
    anymps_matrix *const up =
        matrix(self, 1, desc.transpose_up ? width : rank, desc.transpose_up ? rank : width, dtype, odd, odd);
    anymps_matrix *const result = matrix(self, 1, rows, width, dtype, odd, odd);
    return RUN(*self, anymps_lora(&desc, source, weights, down, up, result));
}

static void check_adapters(operands *self)
{
    static const size_t sizes[][3] = {{1, 1, 1},     {64, 512, 8},  {64, 2048, 8},   {64, 1024, 16},
                                      {33, 100, 7},  {64, 512, 64}, {128, 768, 256}, {300, 260, 300},
                                      {96, 512, 64}, {256, 96, 9},  {1000, 2048, 4}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (unsigned form = 0; form < 48; form++) {
            expect_work(adapter(self, floats[form % 3], sizes[s], form / 3), "lora", sizes[s][0], sizes[s][1],
                        sizes[s][2]);
            drop(self);
        }
    }
}

/* ---- Rows -------------------------------------------------------------------------------------- */

enum row_operator { SOFTMAX, LOG_SOFTMAX, RMS_NORM, LAYER_NORM, NEURON, ROW_OPERATORS };

/* Form bits: 1 residual, 2 weight and bias, 4 unaligned rows. */
static anymps_status row(operands *self, enum row_operator op, anymps_dtype dtype, const size_t *size, unsigned form)
{
    const size_t odd = (form & 4) != 0 ? anymps_dtype_bytes(dtype) : 0;
    anymps_matrix *const source = matrix(self, 1, size[0], size[1], dtype, odd, odd);
    anymps_matrix *const result = matrix(self, 1, size[0], size[1], dtype, odd, odd);
    const bool norm = op == RMS_NORM || op == LAYER_NORM;
    anymps_matrix *const residual = norm && (form & 1) != 0 ? matrix(self, 1, size[0], size[1], dtype, odd, odd) : NULL;
    anymps_vector *const weight = norm && (form & 2) != 0 ? vector(self, 1, size[1], dtype) : NULL;
    anymps_vector *const bias = !norm || (form & 2) != 0 ? vector(self, 1, size[1], dtype) : NULL;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    neuron.neuron = ANYMPS_NEURON_SIGMOID;
    if (self->status != ANYMPS_OK) {
        return self->status;
    }
    switch (op) {
    case SOFTMAX: return anymps_softmax(NULL, source, result);
    case LOG_SOFTMAX: return anymps_log_softmax(NULL, source, result);
    case RMS_NORM: return anymps_rms_norm(NULL, source, residual, weight, bias, result);
    case LAYER_NORM: return anymps_layer_norm(NULL, source, residual, weight, bias, result);
    default: return anymps_neuron(&neuron, source, bias, NULL, result);
    }
}

static void check_rows(operands *self)
{
    static const char *const names[] = {"softmax", "log_softmax", "rms_norm", "layer_norm", "neuron"};
    /* Row lengths of every form: a few lanes, a warp, a block's registers, shared memory, a cluster, several passes. */
    static const size_t sizes[][2] = {{1, 1},     {3, 31},     {128, 1024}, {7, 1000},  {2, 8192},  {3, 32768},
                                      {2, 50000}, {1, 131072}, {1, 300001}, {2000, 16}, {9000, 24}, {5000, 3}};
    for (int op = 0; op < ROW_OPERATORS; op++) {
        for (size_t i = 0; i < 24 * (sizeof sizes / sizeof sizes[0]); i++) {
            const size_t *const size = sizes[i / 24];
            expect_work(row(self, (enum row_operator)op, floats[i % 3], size, i / 3 % 8), names[op], size[0], size[1],
                        1);
            drop(self);
        }
    }
}

/* ---- Faults ------------------------------------------------------------------------------------ */

/* One case of each operator, on a device of its own; the first status that is not OK. */
static anymps_status tour(void)
{
    static const size_t large[3] = {256, 512, 128}, skinny[3] = {8, 512, 256}, low_rank[3] = {64, 512, 64},
                        rows[2] = {4, 50000};
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    operands self = {0};
    desc.id = "cuda:0";
    anymps_status status = anymps_device_open(&desc, &self.device);
    for (int step = 0; step < 12 && status == ANYMPS_OK; step++) {
        switch (step) {
        case 0: status = product(&self, types[0], large, 0); break;
        case 1: status = product(&self, types[3], large, 2); break;
        case 2: status = product(&self, types[3], large, 2); break; /* what was learnt is used again */
        case 3: status = product(&self, types[1], skinny, 0); break;
        case 4: status = product(&self, types[7], large, 2); break;
        case 5: status = times_vector(&self, types[0], 512, 512, false); break;
        case 6: status = layer(&self, ANYMPS_DTYPE_F16, large, ANYMPS_NEURON_GELU, true); break;
        case 7: status = adapter(&self, ANYMPS_DTYPE_F32, low_rank, 8); break;
        default: status = row(&self, (enum row_operator)(step - 8), ANYMPS_DTYPE_F32, rows, 3); break;
        }
        drop(&self);
    }
    anymps_device_release(self.device);
    return status;
}

static void expect_clean(const char *what, long n)
{
    const fake_cuda_live live = fake_cuda_count();
    const anymps_live ours = anymps_live_counts();
    (void)expect_true(live.device_blocks == 0 && live.pinned_blocks == 0 && live.streams == 0 && live.events == 0 &&
                          live.graphs == 0 && live.executables == 0 && live.modules == 0 && live.contexts == 0,
                      __FILE__, __LINE__, "%s %ld: the driver still holds something", what, n);
    (void)expect_true(ours.objects == 0 && ours.device_bytes == 0, __FILE__, __LINE__, "%s %ld: %zu objects live", what,
                      n, ours.objects);
    (void)expect_true(fake_cublaslt_live() == 0, __FILE__, __LINE__, "%s %ld: %ld objects of cuBLASLt live", what, n,
                      fake_cublaslt_live());
}

static void check_driver_faults(CUresult result, bool sticky)
{
    long n = 1;
    for (bool more = true; more && n < 3000; n++) {
        fake_cuda_fail_at(n, result, sticky);
        const anymps_status status = tour();
        more = fake_cuda_has_failed();
        EXPECT(more || status == ANYMPS_OK);
        EXPECT(status == ANYMPS_OK || status == ANYMPS_OUT_OF_MEMORY || status == ANYMPS_EXECUTION_FAILED ||
               status == ANYMPS_DEVICE_LOST);
        fake_cuda_fail_at(0, CUDA_SUCCESS, false);
        expect_clean("driver call", n);
    }
    EXPECT(n > 100 && n < 3000);
}

/* The vendor's library is one engine among others: without an algorithm of its own the product is ours; only a
   product that it has begun and refuses is an error. */
static void check_vendor_faults(void)
{
    long n = 1, most = 1000;
    for (; n <= most; n++) {
        fake_cublaslt_fail_at(n);
        const anymps_status status = tour();
        const long calls = fake_cublaslt_calls();
        EXPECT(status == ANYMPS_OK || status == ANYMPS_EXECUTION_FAILED);
        expect_clean("vendor call", n);
        most = calls < n ? n : most; /* the fault was not reached: the last run */
        EXPECT(calls >= n || status == ANYMPS_OK);
    }
    EXPECT(n > 10 && n < 1000);
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    operands self = {0};
    desc.id = "cuda:0";
    fake_cublaslt_fail_at(0);
    EXPECT_OK(anymps_device_open(&desc, &self.device));
    if (self.device != NULL) {
        check_products(&self);
        check_settled(&self, ANYMPS_DTYPE_F16, 64, 0);
        check_settled(&self, ANYMPS_DTYPE_BF16, 256, 0);
        check_settled(&self, ANYMPS_DTYPE_BF16, 256, 2);
        check_settled(&self, ANYMPS_DTYPE_F16, 2048, 0);
        check_named(&self);
        check_vectors(&self);
        check_tall_layers(&self);
        check_layers(&self);
        check_adapters(&self);
        check_rows(&self);
    }
    anymps_device_release(self.device);
    expect_clean("all shapes", 0);
    check_driver_faults(CUDA_ERROR_UNKNOWN, false);
    check_driver_faults(CUDA_ERROR_OUT_OF_MEMORY, false);
    check_driver_faults(CUDA_ERROR_ILLEGAL_ADDRESS, true);
    if (fake_cublaslt_products() >= 0 && getenv("ANYMPS_CUDA_CUBLASLT") == NULL) {
        check_vendor_faults();
    }
    return expect_result("cuda ops");
}
