/* SPDX-License-Identifier: Apache-2.0 */
/* tensors.h: DLPack tensors over arrays, for the tests of this folder. */
#ifndef TEST_TENSORS_H
#define TEST_TENSORS_H

#include "interop/dlpack_abi.h"

#include <string.h>

typedef struct tensor {
    struct DLTensor dl;
    int64_t shape[4];
    int64_t strides[4];
} tensor;

static const amps_dl_dtype f32 = {AMPS_DL_FLOAT, 32, 1};

/* Compact when `strides` is NULL. */
static inline void make(tensor *t, void *data, int rank, const int64_t *shape, const int64_t *strides)
{
    *t = (tensor){.dl = {.data = data, .device = {AMPS_DL_CPU, 0}, .ndim = rank, .dtype = f32}};
    t->dl.shape = t->shape;
    memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
    if (strides != NULL) {
        memcpy(t->strides, strides, (size_t)rank * sizeof *strides);
        t->dl.strides = t->strides;
    }
}

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

#endif /* TEST_TENSORS_H */
