/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weights.h: the tensors of all-MiniLM-L6-v2, by the names they have in model.safetensors. Called by encoder.c.
 *
 * With the type of the file (f32) every matrix is a view of the mapped file: nothing is copied or converted. Dense
 * weights are stored outputs × inputs and stay so (`transpose_weights`).
 */
#ifndef MINILM_WEIGHTS_H
#define MINILM_WEIGHTS_H

#include "encoder.h"

typedef struct dense {
    anymps_matrix *weight; /* outputs × inputs */
    anymps_vector *bias;   /* outputs */
} dense;

typedef struct norm {
    anymps_vector *weight;
    anymps_vector *bias;
} norm;

typedef struct layer {
    dense heads;     /* 3·width × width: query, key and value of head 0, of head 1, …: one product for all */
    dense attention; /* width × width */
    norm attention_norm;
    dense inner;  /* inner × width */
    dense output; /* width × inner */
    norm output_norm;
} layer;

typedef struct weights {
    anymps_file *file;
    anymps_matrix *words;     /* vocabulary × width, on the CPU: rows are looked up on the host */
    anymps_matrix *positions; /* 512 × width, f32, on the CPU */
    anymps_matrix *types;     /* 2 × width, likewise */
    norm norm;
    layer layers[MINILM_LAYERS];
} weights;

/* All zero on failure. `cpu` holds what the host looks up, `device` the rest: in place where it shares the host's memory,
   else in its own, since reading weights through a bus at every product would cost more than the products. */
anymps_status weights_open(const char *path, anymps_device *cpu, anymps_device *device, anymps_dtype dtype, weights *w);
void weights_close(weights *w);

#endif /* MINILM_WEIGHTS_H */
