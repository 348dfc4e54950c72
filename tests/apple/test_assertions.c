/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_assertions.c: the list of what Metal and MPS answer by ending the process, and the proof that no call of the
 * public API brings a program there: each is either refused by the front end before a single message is sent, or
 * the backend goes another way and the call works. The stand-in ends this test if one of them is sent all the same.
 */
#include "apple_scene.h"
#include "fake_client.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct world {
    apple_scene s;
    anymps_buffer *buffer; /* 64 × 64 floats, the left matrix's */
    anymps_command_buffer *commands;
    anymps_matrix *out; /* never set: what refused calls would have written to */
} world;

/* ---- Refused before the first message --------------------------------------------------------- */

static anymps_status make_matrix(world *w, size_t offset, size_t rows, size_t row_bytes, size_t matrices,
                                 size_t matrix_bytes, anymps_dtype dtype)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, 16, dtype);
    desc.row_bytes = row_bytes;
    desc.matrices = matrices;
    desc.matrix_bytes = matrix_bytes;
    return anymps_matrix_create(w->buffer, offset, &desc, &w->out);
}
static anymps_status row_bytes_odd(world *w)
{
    return make_matrix(w, 0, 4, 66, 1, 0, ANYMPS_DTYPE_F32);
}
static anymps_status row_bytes_small(world *w)
{
    return make_matrix(w, 0, 4, 60, 1, 0, ANYMPS_DTYPE_F32);
}
static anymps_status matrix_bytes_small(world *w)
{
    return make_matrix(w, 0, 4, 64, 2, 192, ANYMPS_DTYPE_F32);
}
static anymps_status matrix_bytes_uneven(world *w)
{
    return make_matrix(w, 0, 4, 64, 2, 260, ANYMPS_DTYPE_F32);
}
static anymps_status past_the_end(world *w)
{
    return make_matrix(w, 4, SCENE_SIDE * 4, 64, 1, 0, ANYMPS_DTYPE_F32);
}
static anymps_status offset_odd(world *w)
{
    return make_matrix(w, 2, 4, 64, 1, 0, ANYMPS_DTYPE_F32);
}
static anymps_status size_overflows(world *w)
{
    return make_matrix(w, 0, SIZE_MAX / 2, 64, 1, 0, ANYMPS_DTYPE_F32);
}
static anymps_status type_unknown(world *w)
{
    return make_matrix(w, 0, 4, 64, 1, 0, (anymps_dtype)0x10000018);
}
static anymps_status vector_bytes_small(world *w)
{
    anymps_vector_desc desc = anymps_vector_desc_make(16, ANYMPS_DTYPE_F32);
    anymps_vector *none = NULL;
    desc.vectors = 2;
    desc.vector_bytes = 60;
    return anymps_vector_create(w->buffer, 0, &desc, &none);
}
static anymps_status buffer_empty(world *w)
{
    anymps_buffer *none = NULL;
    return anymps_buffer_create(w->s.device, 0, ANYMPS_STORAGE_SHARED, &none);
}
static anymps_status buffer_too_large(world *w)
{
    anymps_buffer *none = NULL;
    return anymps_buffer_create(w->s.device, ((size_t)1 << 32) + 4, ANYMPS_STORAGE_SHARED, &none);
}
static anymps_status storage_unknown(world *w)
{
    anymps_buffer *none = NULL;
    return anymps_buffer_create(w->s.device, 64, (anymps_storage)3, &none);
}
static anymps_status blit_past_the_end(world *w)
{
    float out[4];
    return anymps_buffer_read(w->buffer, SCENE_SIDE * SCENE_SIDE * 4 - 8, out, sizeof out);
}
static anymps_status create_product(world *w, anymps_dtype left, anymps_dtype right, anymps_dtype result)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    anymps_kernel *none = NULL;
    desc.rows = desc.columns = desc.interior = 4;
    desc.left_dtype = left;
    desc.right_dtype = right;
    desc.result_dtype = result;
    return anymps_matmul_create(w->s.device, &desc, &none);
}
static anymps_status types_mixed(world *w)
{
    return create_product(w, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32);
}
static anymps_status types_narrowed(world *w)
{
    return create_product(w, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F16);
}
static anymps_status types_wide(world *w)
{
    return create_product(w, ANYMPS_DTYPE_F64, ANYMPS_DTYPE_F64, ANYMPS_DTYPE_F64);
}
static anymps_status types_integer(world *w)
{
    return create_product(w, ANYMPS_DTYPE_I32, ANYMPS_DTYPE_I32, ANYMPS_DTYPE_F32);
}
static anymps_status softmax_of_integers(world *w)
{
    anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
    anymps_kernel *none = NULL;
    desc.dtype = ANYMPS_DTYPE_I32;
    return anymps_softmax_create(w->s.device, &desc, &none);
}
static anymps_status neuron_unknown(world *w)
{
    anymps_neuron_desc desc = ANYMPS_NEURON_DESC_INIT;
    anymps_kernel *none = NULL;
    desc.dtype = ANYMPS_DTYPE_F32;
    desc.neuron = (anymps_neuron_type)16;
    return anymps_neuron_create(w->s.device, &desc, &none);
}
static anymps_status encode(world *w, anymps_matrix *left, anymps_matrix *right, anymps_matrix *result,
                            anymps_range range)
{
    return anymps_matmul_encode(w->s.kernels[0], w->commands, left, right, result, &range);
}
static anymps_status operand_missing(world *w)
{
    return encode(w, w->s.left, NULL, w->s.result, (anymps_range)ANYMPS_RANGE_INIT);
}
static anymps_status rows_too_few(world *w)
{
    return encode(w, w->s.up, w->s.right, w->s.result, (anymps_range)ANYMPS_RANGE_INIT);
}
static anymps_status columns_too_few(world *w)
{
    return encode(w, w->s.left, w->s.down, w->s.result, (anymps_range)ANYMPS_RANGE_INIT);
}
static anymps_status result_too_small(world *w)
{
    return encode(w, w->s.left, w->s.right, w->s.down, (anymps_range)ANYMPS_RANGE_INIT);
}
static anymps_status origin_outside(world *w)
{
    anymps_range range = ANYMPS_RANGE_INIT;
    range.primary.row = SCENE_SIDE + 1;
    return encode(w, w->s.left, w->s.right, w->s.result, range);
}
static anymps_status origin_leaves_too_little(world *w)
{
    anymps_range range = ANYMPS_RANGE_INIT;
    range.result.column = 1;
    return encode(w, w->s.left, w->s.right, w->s.result, range);
}
static anymps_status vector_origin_column(world *w)
{
    anymps_range range = ANYMPS_RANGE_INIT;
    range.secondary.column = 1;
    return anymps_matrix_vector_encode(w->s.kernels[1], w->commands, w->s.left, w->s.vector, w->s.answer, &range);
}
static anymps_status batch_outside(world *w)
{
    anymps_range range = ANYMPS_RANGE_INIT;
    range.batch_start = 1;
    range.batch_size = 1;
    return encode(w, w->s.left, w->s.right, w->s.result, range);
}
static anymps_status result_overlaps(world *w)
{
    return encode(w, w->s.left, w->s.right, w->s.left, (anymps_range)ANYMPS_RANGE_INIT);
}
static anymps_status slopes_missing(world *w)
{
    return anymps_neuron_encode(w->s.kernels[3], w->commands, w->s.left, NULL, w->s.vector, w->s.result, NULL);
}
static anymps_status wait_uncommitted(world *w)
{
    return anymps_command_buffer_wait(w->commands);
}

static const struct {
    const char *rule, *source;
    anymps_status (*attempt)(world *w);
} refused[] = {
    {"rowBytes is a multiple of the element size", "MPSMatrix.h", row_bytes_odd},
    {"rowBytes holds a row", "MPSMatrix.h", row_bytes_small},
    {"matrixBytes holds a matrix", "MPSMatrix.h", matrix_bytes_small},
    {"matrixBytes is a multiple of rowBytes", "MPSMatrix.h", matrix_bytes_uneven},
    {"vectorBytes holds a vector", "MPSMatrix.h", vector_bytes_small},
    {"the buffer holds the matrix", "MPSMatrix.h", past_the_end},
    {"offsets fall on elements", "MPSMatrix.h", offset_odd},
    {"sizes do not overflow", "MPSMatrix.h", size_overflows},
    {"the data type is one", "MPSCoreTypes.h", type_unknown},
    {"a buffer has bytes", "MTLDevice newBufferWithLength:options:", buffer_empty},
    {"a buffer is at most maxBufferLength", "MTLDevice maxBufferLength", buffer_too_large},
    {"the storage mode is one of three", "MTLResource.h", storage_unknown},
    {"copies stay inside the buffer", "MTLBlitCommandEncoder", blit_past_the_end},
    {"factors have one type", "MPSMatrixMultiplication", types_mixed},
    {"the result is not narrower than f32 factors", "MPSMatrixMultiplication", types_narrowed},
    {"no f64", "MPSMatrixMultiplication", types_wide},
    {"no i32 factors", "MPSMatrixMultiplication", types_integer},
    {"softmax of f32 or f16", "MPSMatrixSoftMax", softmax_of_integers},
    {"the neuron type is one", "MPSCNNNeuronType.h", neuron_unknown},
    {"no operand is nil", "MPSMatrixMultiplication", operand_missing},
    {"op(A) offers M x K", "MPSMatrixMultiplication", rows_too_few},
    {"op(B) offers K x N", "MPSMatrixMultiplication", columns_too_few},
    {"C offers M x N", "MPSMatrixMultiplication", result_too_small},
    {"an origin lies inside its matrix", "MPSMatrixMultiplication", origin_outside},
    {"the origin leaves enough", "MPSMatrixMultiplication", origin_leaves_too_little},
    {"a vector's origin has no y", "MPSMatrixVectorMultiplication", vector_origin_column},
    {"operands contain the batch", "MPSMatrixTypes.h", batch_outside},
    {"the result does not overlap an operand", "MPSMatrixMultiplication", result_overlaps},
    {"PReLU's parameters come with PReLU", "MPSMatrixNeuron", slopes_missing},
    {"waiting needs a commit", "MTLCommandBuffer", wait_uncommitted},
};

/* ---- Gone around ------------------------------------------------------------------------------ */

static anymps_status finish(world *w, anymps_status status)
{
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_commit(w->commands);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_wait(w->commands);
    }
    const anymps_status reset = anymps_command_buffer_reset(w->commands);
    return status != ANYMPS_OK ? status : reset;
}

static anymps_status wrap(world *w, char *bytes, size_t length)
{
    anymps_buffer *wrapped = NULL;
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = bytes;
    desc.length_bytes = length;
    const anymps_status status = anymps_buffer_wrap(w->s.device, &desc, &wrapped);
    anymps_buffer_release(wrapped);
    return status;
}
static anymps_status wrap_off_page(world *w)
{
    static char bytes[128];
    return wrap(w, bytes + 1, 100);
}
static anymps_status wrap_part_of_page(world *w)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = aligned_alloc(page, page);
    const anymps_status status = memory != NULL ? wrap(w, memory, 100) : ANYMPS_OUT_OF_MEMORY;
    free(memory);
    return status;
}
static anymps_status private_odd_bytes(world *w)
{
    anymps_buffer *buffer = NULL;
    char text[8] = "";
    anymps_status status = anymps_buffer_create(w->s.device, 13, ANYMPS_STORAGE_PRIVATE, &buffer);
    status = status == ANYMPS_OK ? anymps_buffer_write(buffer, 3, "seven.", 7) : status;
    status = status == ANYMPS_OK ? anymps_buffer_fill(buffer, 5, 1, 'V') : status;
    status = status == ANYMPS_OK ? anymps_buffer_read(buffer, 3, text, 7) : status;
    anymps_buffer_release(buffer);
    return status == ANYMPS_OK && strcmp(text, "seVen.") != 0 ? ANYMPS_INTERNAL : status;
}
static anymps_status managed_by_range(world *w)
{
    anymps_buffer *buffer = NULL;
    anymps_status status = anymps_buffer_create(w->s.device, 64, ANYMPS_STORAGE_MANAGED, &buffer);
    status = status == ANYMPS_OK ? anymps_buffer_did_modify(buffer, 3, 5) : status;
    status = status == ANYMPS_OK ? anymps_buffer_synchronize(buffer, 3, 5) : status;
    status = status == ANYMPS_OK ? anymps_buffer_did_modify(w->buffer, 0, 4) : status; /* shared: nothing to do */
    anymps_buffer_release(buffer);
    return status;
}
static anymps_status product_empty(world *w)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    anymps_status status = ANYMPS_OK;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    for (int i = 0; i < 3 && status == ANYMPS_OK; i++) {
        anymps_kernel *kernel = NULL;
        desc.rows = i == 0 ? 0 : 4;
        desc.columns = i == 1 ? 0 : 4;
        desc.interior = i == 2 ? 0 : 4;
        status = anymps_matmul_create(w->s.device, &desc, &kernel);
        if (status == ANYMPS_OK) {
            status = anymps_matmul_encode(kernel, w->commands, w->s.left, w->s.right, w->s.result, NULL);
        }
        anymps_kernel_release(kernel);
    }
    return finish(w, status);
}
static anymps_status product_of_bfloat16(world *w)
{
    const anymps_matrix_desc shape = anymps_matrix_desc_make(8, 8, ANYMPS_DTYPE_BF16);
    anymps_matrix *m[3] = {NULL, NULL, NULL};
    anymps_status status = ANYMPS_OK;
    for (int i = 0; i < 3 && status == ANYMPS_OK; i++) {
        status = anymps_matrix_create_on(w->s.device, &shape, &m[i]);
    }
    status = status == ANYMPS_OK ? anymps_matmul(NULL, m[0], m[1], m[2]) : status;
    for (int i = 0; i < 3; i++) {
        anymps_matrix_release(m[i]);
    }
    return status;
}
/* Three matrices on the left and in the result, one on the right; stacked, then side by side. */
static anymps_status batch_of(world *w, size_t row_bytes, size_t matrix_bytes)
{
    anymps_matrix_desc many = anymps_matrix_desc_make(8, 8, ANYMPS_DTYPE_F32);
    const anymps_matrix_desc single = many;
    anymps_matrix *m[3] = {NULL, NULL, NULL};
    many.matrices = 3;
    many.row_bytes = row_bytes;
    many.matrix_bytes = matrix_bytes;
    anymps_status status = anymps_matrix_create_on(w->s.device, &many, &m[0]);
    status = status == ANYMPS_OK ? anymps_matrix_create_on(w->s.device, &single, &m[1]) : status;
    status = status == ANYMPS_OK ? anymps_matrix_create_on(w->s.device, &many, &m[2]) : status;
    status = status == ANYMPS_OK ? anymps_matmul(NULL, m[0], m[1], m[2]) : status;
    for (int i = 0; i < 3; i++) {
        anymps_matrix_release(m[i]);
    }
    return status;
}
static anymps_status batch_broadcast(world *w)
{
    return batch_of(w, 32, 256);
}
static anymps_status batch_side_by_side(world *w)
{
    return batch_of(w, 96, 32);
}
static anymps_status row_begins_with_infinity(world *w)
{
    float row[SCENE_SIDE], out[SCENE_SIDE];
    for (int i = 0; i < SCENE_SIDE; i++) {
        row[i] = i == 0 ? -INFINITY : 0.0f;
    }
    anymps_status status = anymps_buffer_write(w->buffer, 0, row, sizeof row);
    status = status == ANYMPS_OK ? anymps_softmax(NULL, w->s.left, w->s.result) : status;
    status = status == ANYMPS_OK ? anymps_buffer_read(anymps_matrix_buffer(w->s.result), 0, out, sizeof out) : status;
    row[0] = 0.0f;
    const anymps_status undone = anymps_buffer_write(w->buffer, 0, row, sizeof row);
    const bool right = out[0] <= 0.0f && fabsf(out[1] - 1.0f / 63.0f) < 1e-6f;
    return status == ANYMPS_OK && !right ? ANYMPS_INTERNAL : status == ANYMPS_OK ? undone : status;
}
static anymps_status released_before_the_end(world *w)
{
    anymps_command_buffer *commands = NULL;
    anymps_status status = anymps_command_buffer_create(w->s.queue, &commands);
    const anymps_matrix_desc shape = anymps_matrix_desc_make(SCENE_SIDE, SCENE_SIDE, ANYMPS_DTYPE_F32);
    anymps_matrix *result = NULL;
    status = status == ANYMPS_OK ? anymps_matrix_create_on(w->s.device, &shape, &result) : status;
    if (status == ANYMPS_OK) {
        status = anymps_matmul_encode(w->s.kernels[0], commands, w->s.left, w->s.right, result, NULL);
    }
    status = status == ANYMPS_OK ? anymps_command_buffer_commit(commands) : status;
    anymps_matrix_release(result);
    anymps_command_buffer_release(commands);
    return status;
}
static anymps_status abandoned(world *w)
{
    anymps_command_buffer *commands = NULL;
    anymps_status status = anymps_command_buffer_create(w->s.queue, &commands);
    status = status == ANYMPS_OK ? apple_scene_encode(&w->s, 6, commands) : status;
    anymps_command_buffer_release(commands);
    return status;
}
static anymps_status encoder_then_mps(world *w)
{
    anymps_status status = ANYMPS_OK;
    for (size_t i = 0; i < 2 * SCENE_OPERATORS && status == ANYMPS_OK; i++) {
        status = apple_scene_encode(&w->s, i * 7 % SCENE_OPERATORS, w->commands);
    }
    return finish(w, status);
}
static void *use_one_kernel(void *argument)
{
    world *const w = argument;
    static anymps_status failed = ANYMPS_INTERNAL;
    const anymps_matrix_desc shape = anymps_matrix_desc_make(SCENE_SIDE, SCENE_SIDE, ANYMPS_DTYPE_F32);
    anymps_command_buffer *commands = NULL;
    anymps_matrix *result = NULL;
    bool good = anymps_command_buffer_create(w->s.queue, &commands) == ANYMPS_OK &&
                anymps_matrix_create_on(w->s.device, &shape, &result) == ANYMPS_OK;
    for (int i = 0; i < 50 && good; i++) {
        good = anymps_matmul_encode(w->s.kernels[0], commands, w->s.left, w->s.right, result, NULL) == ANYMPS_OK &&
               anymps_command_buffer_commit(commands) == ANYMPS_OK &&
               anymps_command_buffer_wait(commands) == ANYMPS_OK && anymps_command_buffer_reset(commands) == ANYMPS_OK;
    }
    anymps_matrix_release(result);
    anymps_command_buffer_release(commands);
    return good ? NULL : &failed;
}
static anymps_status threads_in_one_kernel(world *w)
{
    pthread_t threads[4];
    anymps_status status = ANYMPS_OK;
    for (int i = 0; i < 4; i++) {
        if (pthread_create(&threads[i], NULL, use_one_kernel, w) != 0) {
            abort();
        }
    }
    for (int i = 0; i < 4; i++) {
        void *answer = NULL;
        pthread_join(threads[i], &answer);
        status = answer != NULL ? ANYMPS_INTERNAL : status;
    }
    return status;
}

static const struct {
    const char *rule, *source;
    anymps_status (*attempt)(world *w);
} avoided[] = {
    {"memory in place begins on a page", "newBufferWithBytesNoCopy:", wrap_off_page},
    {"memory in place is whole pages", "newBufferWithBytesNoCopy:", wrap_part_of_page},
    {"blits move multiples of four", "MTLBlitCommandEncoder", private_odd_bytes},
    {"only managed memory is synchronised", "MTLResource.h", managed_by_range},
    {"M, N, K are not 0", "MPSMatrixMultiplication", product_empty},
    {"no bfloat16", "MPSMatrixMultiplication", product_of_bfloat16},
    {"every operand has the whole batch", "MPSMatrixTypes.h", batch_broadcast},
    {"matrixBytes is at least rows * rowBytes", "MPSMatrix.h", batch_side_by_side},
    {"a softmax row does not begin with -inf", "known defect", row_begins_with_infinity},
    {"objects live until completion", "MTLCommandBuffer", released_before_the_end},
    {"an encoder is ended before it goes", "MTLCommandEncoder", abandoned},
    {"no encoder is open when MPS encodes", "MPSKernel.h", encoder_then_mps},
    {"one thread at a time in a kernel", "MPSKernel.h", threads_in_one_kernel},
};

/* ---- Both lists ------------------------------------------------------------------------------- */

static size_t check_refused(world *w, const fake_client *fake)
{
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const uint64_t before = fake->counts().messages;
        const anymps_status status = refused[i].attempt(w);
        const uint64_t sent = fake->counts().messages - before;
        const bool good = status != ANYMPS_OK && sent == 0 && w->out == NULL;
        printf("%-46s %-40s %s\n", refused[i].rule, refused[i].source,
               good ? anymps_last_error()->message : "NOT REFUSED");
        wrong += !good;
    }
    return wrong;
}

static size_t check_avoided(world *w)
{
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof avoided / sizeof avoided[0]; i++) {
        const anymps_status status = avoided[i].attempt(w);
        printf("%-46s %-40s %s\n", avoided[i].rule, avoided[i].source,
               status == ANYMPS_OK ? "gone around" : anymps_last_error()->message);
        wrong += status != ANYMPS_OK;
    }
    return wrong;
}

int main(void)
{
    fake_client fake;
    world w = {.out = NULL};
    if (!fake_client_open(&fake) || !apple_scene_open(&w.s, ANYMPS_ALGORITHM_AUTO) ||
        anymps_command_buffer_create(w.s.queue, &w.commands) != ANYMPS_OK) {
        return 1;
    }
    w.buffer = anymps_matrix_buffer(w.s.left);
    const size_t wrong = check_refused(&w, &fake) + check_avoided(&w);
    anymps_command_buffer_release(w.commands);
    apple_scene_close(&w.s);
    printf("%zu rules, %zu not kept\n", sizeof refused / sizeof refused[0] + sizeof avoided / sizeof avoided[0], wrong);
    return wrong != 0;
}
