/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter.h: C = alpha * (X * A) * B + beta * C with a short side between the two products, for ops/cpu_lora.c. X * A
 * of a block of rows stays in the first cache and is multiplied at once; or the caller has made all of it before, and
 * only the second product is left.
 */
#ifndef AMPS_ADAPTER_H
#define AMPS_ADAPTER_H

#include "backend/cpu/cpu.h"

/* A matrix of any floating type; element (i, j) of matrix b at at + b*batch_bytes + i*row_bytes + j*column_bytes. */
typedef struct amps_adapter_operand {
    unsigned char *at;
    size_t batch_bytes, row_bytes, column_bytes;
    anymps_dtype dtype;
} amps_adapter_operand;

/* X: rows × inputs with its columns side by side; A: inputs × rank; B: rank × outputs; C: rows × outputs, its columns
   side by side. alpha and beta act in f32; beta 0: C is not read. */
typedef struct amps_adapter {
    const amps_cpu_device *device;
    size_t batch, rows, inputs, rank, outputs;
    amps_adapter_operand x, a, b, c;
    float alpha, beta;
    bool given;         /* X * A has been made before, x and a do not count: */
    const float *inner; /* batch × rows × rank, tight */
} amps_adapter;

/* Is this the way for these sizes? It looks at nothing else. */
bool amps_adapter_takes(size_t rows, size_t inputs, size_t rank);

/* Bytes of scratch; false if they exceed size_t. Does not look at addresses. */
bool amps_adapter_scratch(const amps_adapter *self, size_t *bytes);

void amps_adapter_run(const amps_adapter *self, void *scratch);

#endif /* AMPS_ADAPTER_H */
