/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_input_encode.c: what can be wrong when kernels meet operands: handles, shapes, ranges, batches, aliases; and with
 * the states of a command buffer. Called by bad_input.c. Public API only.
 */
#include "bad_input.h"

/* ---- Encode ---- */

void test_handles(const stage *s)
{
    anymps_kernel *const k = s->matmul;
    anymps_command_buffer *const c = s->commands;
    refused("no kernel", anymps_matmul_encode(NULL, c, s->left, s->right, s->result, NULL), ANYMPS_INVALID_ARGUMENT,
            "kernel", NULL);
    refused("no command buffer", anymps_matmul_encode(k, NULL, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "command buffer", NULL);
    refused("no left", anymps_matmul_encode(k, c, NULL, s->right, s->result, NULL), ANYMPS_INVALID_ARGUMENT, "left",
            NULL);
    refused("no right", anymps_matmul_encode(k, c, s->left, NULL, s->result, NULL), ANYMPS_INVALID_ARGUMENT, "right",
            NULL);
    refused("no result", anymps_matmul_encode(k, c, s->left, s->right, NULL, NULL), ANYMPS_INVALID_ARGUMENT, "result",
            NULL);
    refused("a vector for a matrix",
            anymps_matmul_encode(k, c, (anymps_matrix *)(void *)s->vector, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "left", NULL);
    refused("a matrix for a kernel",
            anymps_matmul_encode((anymps_kernel *)(void *)s->left, c, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "kernel", NULL);
    refused("a kernel of another operator", anymps_matmul_encode(s->softmax, c, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "softmax", NULL);
    refused("an operand of another device", anymps_matmul_encode(k, c, s->left, s->foreign, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "right", "device");
    anymps_kernel *foreign = NULL;
    const anymps_matmul_desc desc = matmul_desc();
    must(anymps_matmul_create(s->other, &desc, &foreign));
    refused("a kernel of another device", anymps_matmul_encode(foreign, c, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "device", NULL);
    anymps_kernel_release(foreign);
}

/* Each operand in turn one short, in each direction, or of another type. */
void test_shapes(const stage *s)
{
    anymps_kernel *const k = s->matmul;
    anymps_command_buffer *const c = s->commands;
    anymps_matrix *const short_left = matrix_on(s->device, ROWS - 1, INTERIOR, ANYMPS_DTYPE_F32);
    anymps_matrix *const thin_left = matrix_on(s->device, ROWS, INTERIOR - 1, ANYMPS_DTYPE_F32);
    anymps_matrix *const short_right = matrix_on(s->device, INTERIOR - 1, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_matrix *const thin_right = matrix_on(s->device, INTERIOR, COLUMNS - 1, ANYMPS_DTYPE_F32);
    anymps_matrix *const short_result = matrix_on(s->device, ROWS - 1, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_matrix *const thin_result = matrix_on(s->device, ROWS, COLUMNS - 1, ANYMPS_DTYPE_F32);
    anymps_matrix *const half = matrix_on(s->device, INTERIOR, COLUMNS, ANYMPS_DTYPE_F16);
    refused("left too short", anymps_matmul_encode(k, c, short_left, s->right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "left has 4", "5");
    refused("left too thin", anymps_matmul_encode(k, c, thin_left, s->right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "left has 5", "6");
    refused("right too short", anymps_matmul_encode(k, c, s->left, short_right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "right has 5", "6");
    refused("right too thin", anymps_matmul_encode(k, c, s->left, thin_right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "right has 6", "7");
    refused("result too short", anymps_matmul_encode(k, c, s->left, s->right, short_result, NULL),
            ANYMPS_SHAPE_MISMATCH, "result has 4", "5");
    refused("result too thin", anymps_matmul_encode(k, c, s->left, s->right, thin_result, NULL), ANYMPS_SHAPE_MISMATCH,
            "result has 6", "7");
    refused("right of another type", anymps_matmul_encode(k, c, s->left, half, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "f16", "f32");
    refused("one call, left and right apart", anymps_matmul(NULL, thin_left, s->right, s->result),
            ANYMPS_SHAPE_MISMATCH, "5", "6");
    refused("one call, a result too short", anymps_matmul(NULL, s->left, s->right, short_result), ANYMPS_SHAPE_MISMATCH,
            "4", "5");
    refused("one call, types apart", anymps_matmul(NULL, s->left, half, s->result), ANYMPS_UNSUPPORTED, "f16", "f32");
    refused("softmax, result too short", anymps_softmax(NULL, s->result, short_result), ANYMPS_SHAPE_MISMATCH, "4",
            "5");
    refused("softmax of NULL", anymps_softmax(NULL, NULL, s->result), ANYMPS_INVALID_ARGUMENT, "source", NULL);
    anymps_matrix *const all[] = {short_left, thin_left, short_right, thin_right, short_result, thin_result, half};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
}

/* Vectors and the operands of the other operators. */
void test_other_operands(const stage *s)
{
    anymps_vector *const longer = vector_on(s->device, INTERIOR, ANYMPS_DTYPE_F32);
    anymps_vector *const output = vector_on(s->device, ROWS, ANYMPS_DTYPE_F32);
    anymps_matrix *const rank = matrix_on(s->device, INTERIOR, 3, ANYMPS_DTYPE_F32);
    anymps_matrix *const up = matrix_on(s->device, 2, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    refused("a vector too long for the matrix", anymps_matrix_vector(NULL, s->left, s->vector, output),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("a result vector too short", anymps_matrix_vector(NULL, s->left, longer, longer), ANYMPS_SHAPE_MISMATCH,
            "6", "5");
    refused("a bias too short", anymps_fully_connected(&layer, s->left, s->right, longer, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("weights too short", anymps_fully_connected(&layer, s->left, s->result, NULL, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "5", "6");
    neuron.neuron = ANYMPS_NEURON_PRELU;
    refused("prelu without its vector", anymps_neuron(&neuron, s->result, NULL, NULL, s->result),
            ANYMPS_INVALID_ARGUMENT, "prelu", NULL);
    neuron.neuron = ANYMPS_NEURON_RELU;
    refused("relu with a vector", anymps_neuron(&neuron, s->result, NULL, s->vector, s->result),
            ANYMPS_INVALID_ARGUMENT, "relu", NULL);
    refused("a weight too short", anymps_rms_norm(NULL, s->result, NULL, longer, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("a residual too short", anymps_layer_norm(NULL, s->result, s->left, NULL, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("ranks apart", anymps_lora(NULL, s->left, s->right, rank, up, s->result), ANYMPS_SHAPE_MISMATCH, "3", "2");
    refused("no down", anymps_lora(NULL, s->left, s->right, NULL, up, s->result), ANYMPS_INVALID_ARGUMENT, "down",
            NULL);
    anymps_vector_release(longer);
    anymps_vector_release(output);
    anymps_matrix_release(rank);
    anymps_matrix_release(up);
}

void test_ranges(const stage *s)
{
    anymps_kernel *const k = s->matmul;
    anymps_command_buffer *const c = s->commands;
    anymps_range range = ANYMPS_RANGE_INIT;
    range.primary.row = ROWS + 1;
    refused("an origin past the rows", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "6", "5");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.secondary.column = COLUMNS + 1;
    refused("an origin past the columns", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "8", "7");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.result.row = SIZE_MAX;
    refused("an origin at the end of numbers", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "18446744073709551615", "5");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.result.row = 1;
    refused("an origin that leaves too little", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_SHAPE_MISMATCH, "4", "5");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.batch_start = 2;
    refused("a batch that starts too late", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "2", "1");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.batch_size = 2;
    refused("a batch too long", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "2", "1");
    range.batch_start = SIZE_MAX;
    refused("a batch that overflows", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.struct_size = 0;
    refused("a range of size 0", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "struct_size", NULL);
}

/* A batch of three on the left, two on the right. */
void test_batches(const stage *s)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(ROWS, INTERIOR, ANYMPS_DTYPE_F32);
    anymps_matrix *three = NULL, *results = NULL;
    desc.matrices = 2;
    must(anymps_matrix_create_on(s->device, &desc, &three));
    desc = anymps_matrix_desc_make(ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    desc.matrices = 3;
    must(anymps_matrix_create_on(s->device, &desc, &results));
    refused("two for three", anymps_matmul_encode(s->matmul, s->commands, three, s->right, results, NULL),
            ANYMPS_SHAPE_MISMATCH, "2", "left");
    anymps_range range = ANYMPS_RANGE_INIT;
    range.batch_size = 3;
    refused("two for a range of three", anymps_matmul_encode(s->matmul, s->commands, three, s->right, results, &range),
            ANYMPS_SHAPE_MISMATCH, "2", "3");
    anymps_matrix_release(three);
    anymps_matrix_release(results);
}

/* Two buffers over the same memory hide an alias from whoever compares buffers. */
void test_shared_memory(const stage *s)
{
    static float memory[CELLS];
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    anymps_buffer *whole = NULL, *tail = NULL;
    anymps_matrix *left = NULL, *result = NULL;
    const anymps_matrix_desc desc = anymps_matrix_desc_make(4, 4, ANYMPS_DTYPE_F32);
    wrap.bytes = memory;
    wrap.length_bytes = sizeof memory;
    wrap.forbid_copy = true;
    if (anymps_buffer_wrap(s->device, &wrap, &whole) == ANYMPS_UNSUPPORTED) {
        return; /* a device that needs whole pages would copy: no alias */
    }
    wrap.bytes = memory + 15;
    wrap.length_bytes = 16 * sizeof(float);
    if (anymps_buffer_wrap(s->device, &wrap, &tail) == ANYMPS_UNSUPPORTED) {
        anymps_buffer_release(whole);
        return; /* nor is there one where the same page cannot be pinned twice */
    }
    must(anymps_matrix_create(whole, 0, &desc, &left));
    must(anymps_matrix_create(tail, 0, &desc, &result));
    refused("one element shared by two buffers", anymps_matmul(NULL, left, left, result), ANYMPS_INVALID_ARGUMENT,
            "overlaps left", "same memory");
    anymps_matrix_release(left);
    anymps_matrix_release(result);
    anymps_buffer_release(whole);
    anymps_buffer_release(tail);
}

/* Views of one buffer: the result over the left, shifted by an element, interleaved with it, beside it. */
void test_aliasing(const stage *s)
{
    anymps_matrix *left = NULL, *result = NULL, *beside = NULL;
    anymps_matrix_desc desc = anymps_matrix_desc_make(4, 4, ANYMPS_DTYPE_F32);
    anymps_kernel *kernel = NULL;
    anymps_matmul_desc matmul = matmul_desc();
    matmul.rows = matmul.columns = matmul.interior = 4;
    desc.row_bytes = 32;
    must(anymps_matmul_create(s->device, &matmul, &kernel));
    must(anymps_matrix_create(s->buffer, 0, &desc, &left));
    must(anymps_matrix_create(s->buffer, 12, &desc, &result));
    must(anymps_matrix_create(s->buffer, 16, &desc, &beside));
    refused("the result is the left", anymps_matmul_encode(kernel, s->commands, left, beside, left, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "left");
    refused("the result is the right", anymps_matmul_encode(kernel, s->commands, left, beside, beside, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "right");
    refused("the result shares a column", anymps_matmul_encode(kernel, s->commands, left, left, result, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "left");
    refused("softmax onto a shifted view", anymps_softmax_encode(s->softmax, s->commands, left, result, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "source");
    anymps_command_buffer *apart = NULL;
    must(anymps_command_buffer_create(s->queue, &apart));
    expect(anymps_matmul_encode(kernel, apart, left, left, beside, NULL) == ANYMPS_OK,
           "columns beside one another are no alias");
    expect(anymps_softmax_encode(s->softmax, apart, left, left, NULL) == ANYMPS_OK, "softmax works in place");
    anymps_command_buffer_release(apart);
    anymps_matrix_release(left);
    anymps_matrix_release(result);
    anymps_matrix_release(beside);
    anymps_kernel_release(kernel);
}

/* ---- States ---- */

void test_states(const stage *s)
{
    anymps_command_buffer *c = NULL;
    anymps_timings timings = ANYMPS_TIMINGS_INIT;
    anymps_matrix *const result = matrix_on(s->device, ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    refused("a command buffer of no queue", anymps_command_buffer_create(NULL, &c), ANYMPS_INVALID_ARGUMENT, NULL,
            NULL);
    refused("a queue of no device", anymps_queue_create(NULL, &(anymps_queue *){NULL}), ANYMPS_INVALID_ARGUMENT, NULL,
            NULL);
    must(anymps_command_buffer_create(s->queue, &c));
    refused("waiting before a commit", anymps_command_buffer_wait(c), ANYMPS_INVALID_STATE, "never committed", NULL);
    refused("timings before a commit", anymps_command_buffer_get_timings(c, &timings), ANYMPS_INVALID_STATE, NULL,
            NULL);
    must(anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL));
    must(anymps_command_buffer_commit(c));
    refused("encoding after a commit", anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL),
            ANYMPS_INVALID_STATE, "committed", NULL);
    must(anymps_command_buffer_wait(c));
    refused("encoding after it ended", anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL),
            ANYMPS_INVALID_STATE, "committed", NULL);
    expect(anymps_command_buffer_count(c) == 1, "the records are as before");
    must(anymps_command_buffer_reset(c));
    expect(anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL) == ANYMPS_OK, "encoding after a reset");
    refused("committing NULL", anymps_command_buffer_commit(NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("waiting for NULL", anymps_command_buffer_wait(NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("resetting NULL", anymps_command_buffer_reset(NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    anymps_command_buffer_release(c);
    anymps_matrix_release(result);
}

/* Work that takes long enough to be still in flight after commit returns, on any device of today. */
void test_in_flight(const stage *s, bool is_cpu)
{
    enum { SIDE = 512, TRIES = 20 };
    anymps_matrix *const square = matrix_on(s->device, SIDE, SIDE, ANYMPS_DTYPE_F32);
    anymps_matrix *const result = matrix_on(s->device, SIDE, SIDE, ANYMPS_DTYPE_F32);
    anymps_matmul_desc desc = matmul_desc();
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *c = NULL;
    size_t seen = 0;
    desc.rows = desc.columns = desc.interior = SIDE;
    must(anymps_matmul_create(s->device, &desc, &kernel));
    must(anymps_command_buffer_create(s->queue, &c));
    for (size_t i = 0; i < 4; i++) {
        must(anymps_matmul_encode(kernel, c, square, square, result, NULL));
    }
    for (size_t i = 0; i < TRIES && seen == 0; i++) {
        must(anymps_command_buffer_commit(c));
        if (anymps_command_buffer_commit(c) == ANYMPS_INVALID_STATE) {
            refused("committing in flight", ANYMPS_INVALID_STATE, ANYMPS_INVALID_STATE, "in flight", NULL);
            seen++;
        }
        if (anymps_command_buffer_reset(c) == ANYMPS_INVALID_STATE) {
            refused("resetting in flight", ANYMPS_INVALID_STATE, ANYMPS_INVALID_STATE, "in flight", NULL);
        }
        must(anymps_command_buffer_wait(c));
        if (anymps_command_buffer_count(c) == 0) { /* it had ended: encode anew */
            must(anymps_matmul_encode(kernel, c, square, square, result, NULL));
        }
    }
    expect(seen != 0 || !is_cpu, "a second commit in flight is refused");
    anymps_command_buffer_release(c);
    anymps_kernel_release(kernel);
    anymps_matrix_release(square);
    anymps_matrix_release(result);
}
