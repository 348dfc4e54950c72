/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apple_scene.c: one kernel of each operator with f32 operands of 64 × 64 on the Metal device.
 */
#include "apple_scene.h"

#include <stdio.h>

static anymps_matrix *matrix(anymps_device *device, size_t rows, size_t columns)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    anymps_matrix *made = NULL;
    return anymps_matrix_create_on(device, &desc, &made) == ANYMPS_OK ? made : NULL;
}

static anymps_vector *vector(anymps_device *device)
{
    const anymps_vector_desc desc = anymps_vector_desc_make(SCENE_SIDE, ANYMPS_DTYPE_F32);
    anymps_vector *made = NULL;
    return anymps_vector_create_on(device, &desc, &made) == ANYMPS_OK ? made : NULL;
}

static anymps_status create_products(apple_scene *s, anymps_algorithm algorithm)
{
    anymps_matmul_desc matmul = ANYMPS_MATMUL_DESC_INIT;
    matmul.rows = matmul.columns = matmul.interior = SCENE_SIDE;
    matmul.left_dtype = matmul.right_dtype = matmul.result_dtype = ANYMPS_DTYPE_F32;
    matmul.algorithm = algorithm;
    anymps_matrix_vector_desc matvec = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    matvec.rows = matvec.columns = SCENE_SIDE;
    matvec.matrix_dtype = matvec.vector_dtype = matvec.result_dtype = ANYMPS_DTYPE_F32;
    matvec.algorithm = algorithm;
    anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    layer.dtype = ANYMPS_DTYPE_F32;
    layer.algorithm = algorithm;
    anymps_status status = anymps_matmul_create(s->device, &matmul, &s->kernels[0]);
    status = status == ANYMPS_OK ? anymps_matrix_vector_create(s->device, &matvec, &s->kernels[1]) : status;
    return status == ANYMPS_OK ? anymps_fully_connected_create(s->device, &layer, &s->kernels[2]) : status;
}

static anymps_status create_rows(apple_scene *s, anymps_algorithm algorithm)
{
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    neuron.neuron = ANYMPS_NEURON_GELU;
    neuron.dtype = ANYMPS_DTYPE_F32;
    neuron.algorithm = algorithm;
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    softmax.algorithm = algorithm;
    anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
    norm.dtype = ANYMPS_DTYPE_F32;
    anymps_lora_desc lora = ANYMPS_LORA_DESC_INIT;
    lora.dtype = ANYMPS_DTYPE_F32;
    anymps_status status = anymps_neuron_create(s->device, &neuron, &s->kernels[3]);
    status = status == ANYMPS_OK ? anymps_softmax_create(s->device, &softmax, &s->kernels[4]) : status;
    status = status == ANYMPS_OK ? anymps_log_softmax_create(s->device, &softmax, &s->kernels[5]) : status;
    status = status == ANYMPS_OK ? anymps_rms_norm_create(s->device, &norm, &s->kernels[6]) : status;
    status = status == ANYMPS_OK ? anymps_layer_norm_create(s->device, &norm, &s->kernels[7]) : status;
    return status == ANYMPS_OK ? anymps_lora_create(s->device, &lora, &s->kernels[8]) : status;
}

bool apple_scene_open(apple_scene *s, anymps_algorithm algorithm)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "metal";
    *s = (apple_scene){.device = NULL};
    if (anymps_device_open(&desc, &s->device) != ANYMPS_OK || anymps_queue_create(s->device, &s->queue) != ANYMPS_OK) {
        printf("FAIL: %s\n", anymps_last_error()->message);
        return false;
    }
    s->left = matrix(s->device, SCENE_SIDE, SCENE_SIDE);
    s->right = matrix(s->device, SCENE_SIDE, SCENE_SIDE);
    s->result = matrix(s->device, SCENE_SIDE, SCENE_SIDE);
    s->down = matrix(s->device, SCENE_SIDE, SCENE_RANK);
    s->up = matrix(s->device, SCENE_RANK, SCENE_SIDE);
    s->vector = vector(s->device);
    s->answer = vector(s->device);
    if (create_products(s, algorithm) != ANYMPS_OK || create_rows(s, algorithm) != ANYMPS_OK) {
        printf("FAIL: %s\n", anymps_last_error()->message);
        return false;
    }
    return true;
}

void apple_scene_close(apple_scene *s)
{
    for (size_t i = 0; i < SCENE_OPERATORS; i++) {
        anymps_kernel_release(s->kernels[i]);
    }
    anymps_matrix_release(s->left);
    anymps_matrix_release(s->right);
    anymps_matrix_release(s->result);
    anymps_matrix_release(s->down);
    anymps_matrix_release(s->up);
    anymps_vector_release(s->vector);
    anymps_vector_release(s->answer);
    anymps_queue_release(s->queue);
    anymps_device_release(s->device);
}

anymps_status apple_scene_encode(const apple_scene *s, size_t index, anymps_command_buffer *commands)
{
    anymps_kernel *const kernel = s->kernels[index];
    switch (index) {
    case 0: return anymps_matmul_encode(kernel, commands, s->left, s->right, s->result, NULL);
    case 1: return anymps_matrix_vector_encode(kernel, commands, s->left, s->vector, s->answer, NULL);
    case 2: return anymps_fully_connected_encode(kernel, commands, s->left, s->right, s->vector, NULL, s->result, NULL);
    case 3: return anymps_neuron_encode(kernel, commands, s->left, s->vector, NULL, s->result, NULL);
    case 4: return anymps_softmax_encode(kernel, commands, s->left, s->result, NULL);
    case 5: return anymps_log_softmax_encode(kernel, commands, s->left, s->result, NULL);
    case 6: return anymps_rms_norm_encode(kernel, commands, s->left, NULL, s->vector, NULL, s->result, NULL);
    case 7: return anymps_layer_norm_encode(kernel, commands, s->left, NULL, s->vector, s->vector, s->result, NULL);
    default: return anymps_lora_encode(kernel, commands, s->left, s->right, s->down, s->up, s->result, NULL);
    }
}
