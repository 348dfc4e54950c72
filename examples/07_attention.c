/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 07_attention.c: attention heads as they lie in a network's activations, side by side within each row. A
 * descriptor whose matrix_bytes is one head's width makes a batch of them; nothing is moved.
 */
#include <anymps/auto.h>
#include <stdio.h>

enum { TOKENS = 3, HEADS = 2, WIDTH = 2, ROW = HEADS * WIDTH };

static int fail(void)
{
    fprintf(stderr, "%s\n", anymps_last_error()->message);
    return 1;
}

/* Tokens x (heads side by side): head h of token t is at column h * WIDTH of row t. */
static anymps_status heads(anymps_device *device, const float *values, anymps_matrix **matrix)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(TOKENS, WIDTH, ANYMPS_DTYPE_F32);
    desc.matrices = HEADS;
    desc.row_bytes = ROW * sizeof(float);
    desc.matrix_bytes = WIDTH * sizeof(float);
    const anymps_status status = anymps_matrix_create_on(device, &desc, matrix);
    return status ? status
                  : anymps_buffer_write(anymps_matrix_buffer(*matrix), 0, values, TOKENS * ROW * sizeof *values);
}

int main(void)
{
    const float q[TOKENS * ROW] = {4, 0, 0, 4, 0, 4, 4, 0, 4, 4, 0, 0};
    const float k[TOKENS * ROW] = {9, 0, 0, 9, 0, 9, 9, 0, -9, -9, -9, -9};
    const float v[TOKENS * ROW] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const float nothing[TOKENS * ROW] = {0};
    float out[TOKENS * ROW];
    anymps_matrix_desc square = anymps_matrix_desc_make(TOKENS, TOKENS, ANYMPS_DTYPE_F32);
    anymps_matmul_desc scores_desc = ANYMPS_MATMUL_DESC_INIT;
    square.matrices = HEADS;
    scores_desc.transpose_right = true;
    scores_desc.alpha = 0.70710678118654752; /* 1 / sqrt(WIDTH) */

    ANYMPS_AUTO(anymps_device) device = NULL;
    ANYMPS_AUTO(anymps_matrix) queries = NULL;
    ANYMPS_AUTO(anymps_matrix) keys = NULL;
    ANYMPS_AUTO(anymps_matrix) values = NULL;
    ANYMPS_AUTO(anymps_matrix) scores = NULL;
    ANYMPS_AUTO(anymps_matrix) result = NULL;
    if (anymps_device_open(NULL, &device) || heads(device, q, &queries) || heads(device, k, &keys) ||
        heads(device, v, &values) || heads(device, nothing, &result) ||
        anymps_matrix_create_on(device, &square, &scores)) {
        return fail();
    }
    /* softmax(Q K^T / sqrt(width)) V, all heads at once. */
    if (anymps_matmul(&scores_desc, queries, keys, scores) || anymps_softmax(NULL, scores, scores) ||
        anymps_matmul(NULL, scores, values, result) ||
        anymps_buffer_read(anymps_matrix_buffer(result), 0, out, sizeof out)) {
        return fail();
    }
    for (int t = 0; t < TOKENS; t++) {
        printf("%.3f %.3f | %.3f %.3f\n", (double)out[ROW * t], (double)out[ROW * t + 1], (double)out[ROW * t + 2],
               (double)out[ROW * t + 3]);
    }
    return 0;
}
