/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apple_scene.h: a Metal device with operands for every operator, for the programs that count and assert.
 * Public API only.
 */
#ifndef APPLE_SCENE_H
#define APPLE_SCENE_H

#include <anymps/anymps.h>

enum { SCENE_SIDE = 64, SCENE_RANK = 8, SCENE_OPERATORS = 9 };

typedef struct apple_scene {
    anymps_device *device;
    anymps_queue *queue;
    anymps_matrix *left, *right, *result, *down, *up;
    anymps_vector *vector, *answer;
    anymps_kernel *kernels[SCENE_OPERATORS]; /* in the order of anymps_operator_name */
} apple_scene;

/* Prints the reason and returns false on failure. `algorithm` of every kernel that has it. */
bool apple_scene_open(apple_scene *scene, anymps_algorithm algorithm);
void apple_scene_close(apple_scene *scene);

/* Encodes operator `index` once. */
anymps_status apple_scene_encode(const apple_scene *scene, size_t index, anymps_command_buffer *commands);

#endif /* APPLE_SCENE_H */
