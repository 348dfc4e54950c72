/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compute.h: arithmetic of the MPS kernels on views of memory, in plain C.
 *
 * Filled in by mps_*.m at encode, run by compute.c on the stand-in's thread. Knows no object.
 */
#ifndef FAKE_COMPUTE_H
#define FAKE_COMPUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_F32 = 0x10000020, FAKE_F16 = 0x10000010, FAKE_I8 = 0x20000008, FAKE_I16 = 0x20000010 };

/* Element (i, j) of matrix b is at base + b*matrix_bytes + i*row_bytes + j*element size. */
typedef struct fake_view {
    void *buffer; /* a FakeBuffer; `base` is found when the operation runs */
    size_t offset;
    size_t rows, columns, row_bytes, matrix_bytes;
    uint32_t type;
} fake_view;

typedef enum fake_kind { FAKE_PRODUCT, FAKE_SOFTMAX, FAKE_LOG_SOFTMAX, FAKE_NEURON, FAKE_LAYER } fake_kind;

enum { FAKE_MAX_VIEWS = 4 };

/*
 * PRODUCT: views left, right, result.  SOFTMAX, LOG_SOFTMAX: source, result.
 * NEURON: source, bias (or absent), result.  LAYER: source, weights, bias (or absent), result.
 */
typedef struct fake_arithmetic {
    fake_kind kind;
    fake_view views[FAKE_MAX_VIEWS];
    size_t view_count;
    size_t batch;
    bool transpose_left, transpose_right;
    size_t rows, columns, interior;
    double alpha, beta;
    int neuron;
    float a, b, c;
    float *slopes;    /* PReLU: one per column; owned */
    unsigned defects; /* a sum of fake_defect */
} fake_arithmetic;

/* `bases[i]` is where view i's buffer begins in memory. */
void fake_compute(const fake_arithmetic *arithmetic, unsigned char *const bases[FAKE_MAX_VIEWS]);

size_t fake_element_bytes(uint32_t type);

#endif /* FAKE_COMPUTE_H */
