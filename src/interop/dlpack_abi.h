/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dlpack_abi.h: the memory layout of DLPack 1.1, in our own words, for dlpack.c and its tests.
 *
 * The struct tags are those that anymps/dlpack.h forward-declares; a program that fills them in includes
 * dlpack/dlpack.h instead, never both. Source: dmlc/dlpack, include/dlpack/dlpack.h.
 */
#ifndef AMPS_DLPACK_ABI_H
#define AMPS_DLPACK_ABI_H

#include <stdint.h>

enum { AMPS_DL_MAJOR = 1, AMPS_DL_MINOR = 1 };

/* DLDeviceType; the others are named by nobody here. */
enum { AMPS_DL_CPU = 1, AMPS_DL_CUDA = 2, AMPS_DL_CUDA_HOST = 3, AMPS_DL_METAL = 8, AMPS_DL_CUDA_MANAGED = 13 };

/* DLDataTypeCode. */
enum { AMPS_DL_INT = 0, AMPS_DL_UINT = 1, AMPS_DL_FLOAT = 2, AMPS_DL_BFLOAT = 4, AMPS_DL_BOOL = 6 };

/* Flags of a versioned tensor. */
enum { AMPS_DL_READ_ONLY = 1 };

typedef struct amps_dl_device {
    int32_t type; /* a C enum in DLPack, 32 bits on every platform of this library */
    int32_t id;
} amps_dl_device;

typedef struct amps_dl_dtype {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
} amps_dl_dtype;

struct DLTensor {
    void *data; /* CUDA: device address; Metal: id<MTLBuffer> */
    amps_dl_device device;
    int32_t ndim;
    amps_dl_dtype dtype;
    int64_t *shape;   /* [ndim] */
    int64_t *strides; /* [ndim], in elements; NULL: C order without gaps */
    uint64_t byte_offset;
};

struct DLManagedTensor {
    struct DLTensor dl_tensor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensor *self); /* may be NULL */
};

struct DLManagedTensorVersioned {
    struct {
        uint32_t major;
        uint32_t minor;
    } version;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensorVersioned *self); /* may be NULL */
    uint64_t flags;
    struct DLTensor dl_tensor;
};

#endif /* AMPS_DLPACK_ABI_H */
