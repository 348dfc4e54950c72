/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 02_command_buffer.c: encode once, commit many times. A hidden layer and a softmax are recorded in one
 * command buffer; each commit runs both on what the matrices then hold, and one wait ends the chain.
 */
#include <anymps/auto.h>
#include <stdio.h>

enum { ROWS = 2, INPUTS = 3, OUTPUTS = 4 };

static int fail(void)
{
    fprintf(stderr, "%s\n", anymps_last_error()->message);
    return 1;
}

/* Called when a commit has ended, perhaps on another thread. */
static void count_up(void *context, anymps_command_buffer *command_buffer, anymps_status status)
{
    (void)command_buffer;
    *(int *)context += status == ANYMPS_OK;
}

int main(void)
{
    const float weights[INPUTS * OUTPUTS] = {1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1};
    float x[ROWS * INPUTS] = {1, 2, 3, -1, 0, 1}, y[ROWS * OUTPUTS] = {0};
    const anymps_matrix_desc in = anymps_matrix_desc_make(ROWS, INPUTS, ANYMPS_DTYPE_F32);
    const anymps_matrix_desc between = anymps_matrix_desc_make(INPUTS, OUTPUTS, ANYMPS_DTYPE_F32);
    const anymps_matrix_desc out = anymps_matrix_desc_make(ROWS, OUTPUTS, ANYMPS_DTYPE_F32);
    anymps_fully_connected_desc layer_desc = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    anymps_softmax_desc softmax_desc = ANYMPS_SOFTMAX_DESC_INIT;
    layer_desc.neuron = ANYMPS_NEURON_RELU;
    layer_desc.dtype = softmax_desc.dtype = ANYMPS_DTYPE_F32;

    ANYMPS_AUTO(anymps_device) device = NULL;
    ANYMPS_AUTO(anymps_matrix) source = NULL;
    ANYMPS_AUTO(anymps_matrix) matrix = NULL;
    ANYMPS_AUTO(anymps_matrix) result = NULL;
    ANYMPS_AUTO(anymps_kernel) layer = NULL;
    ANYMPS_AUTO(anymps_kernel) softmax = NULL;
    ANYMPS_AUTO(anymps_queue) queue = NULL;
    ANYMPS_AUTO(anymps_command_buffer) commands = NULL;
    int completed = 0;

    /* Slow steps, once: device, matrices, kernels. */
    if (anymps_device_open(NULL, &device) || anymps_matrix_create_on(device, &in, &source) ||
        anymps_matrix_create_on(device, &between, &matrix) || anymps_matrix_create_on(device, &out, &result) ||
        anymps_buffer_write(anymps_matrix_buffer(matrix), 0, weights, sizeof weights) ||
        anymps_fully_connected_create(device, &layer_desc, &layer) ||
        anymps_softmax_create(device, &softmax_desc, &softmax) || anymps_queue_create(device, &queue) ||
        anymps_command_buffer_create(queue, &commands)) {
        return fail();
    }
    /* Recording runs nothing. A softmax may work in place. */
    if (anymps_command_buffer_on_completion(commands, count_up, &completed) ||
        anymps_fully_connected_encode(layer, commands, source, matrix, NULL, NULL, result, NULL) ||
        anymps_softmax_encode(softmax, commands, result, result, NULL)) {
        return fail();
    }
    for (int step = 0; step < 3; step++) {
        x[0] = (float)step;
        if (anymps_buffer_write(anymps_matrix_buffer(source), 0, x, sizeof x) ||
            anymps_command_buffer_commit(commands) || anymps_command_buffer_wait(commands) ||
            anymps_buffer_read(anymps_matrix_buffer(result), 0, y, sizeof y)) {
            return fail();
        }
        printf("step %d: %.4f %.4f %.4f %.4f\n", step, (double)y[0], (double)y[1], (double)y[2], (double)y[3]);
    }
    printf("%zu operations recorded, %d commits completed\n", anymps_command_buffer_count(commands), completed);
    return 0;
}
