/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensor.h: what a DLPack tensor becomes, for dlpack.c (import, export) and dlpack_ops.c (operators).
 */
#ifndef AMPS_TENSOR_H
#define AMPS_TENSOR_H

#include <anymps/dlpack.h>

#include "interop/dlpack_abi.h"

/* A tensor as seen from a device, checked. */
typedef struct amps_tensor {
    anymps_dlpack_info info;
    const char *operation; /* for messages */
    void *bytes;           /* what to wrap: host address, device address or id<MTLBuffer> */
    bool native;           /* by anymps_buffer_wrap_native */
    size_t wrap_bytes;     /* length to wrap; 0: the tensor has no element */
    size_t offset_bytes;   /* of the first element in the buffer */
} amps_tensor;

anymps_status amps_tensor_check(const char *operation, anymps_device *device, const struct DLTensor *tensor,
                                amps_tensor *out);

/* The DLPack type of one of ours; all zero for none. */
amps_dl_dtype amps_tensor_dtype(anymps_dtype dtype);
/* The number behind the colon of a device id such as "cuda:1"; 0 without one. */
long amps_tensor_device_number(const char *id);

/* Makes a buffer over the memory of a checked tensor. For one without elements, a byte of `spare` is
   wrapped instead. `release` as in anymps_wrap_desc: not called on failure. */
anymps_status amps_tensor_wrap(anymps_device *device, const amps_tensor *tensor, bool read_only, void *spare,
                               anymps_release_callback release, void *context, anymps_buffer **buffer);

anymps_status amps_tensor_matrix(const amps_tensor *tensor, anymps_buffer *buffer, anymps_matrix **matrix);
anymps_status amps_tensor_vector(const amps_tensor *tensor, anymps_buffer *buffer, anymps_vector **vector);

/* Can it be a vector (1 dimension) or several (2 dimensions, row-major)? */
anymps_status amps_tensor_expect_vector(const amps_tensor *tensor);
/* Can it be a matrix (2 or 3 dimensions)? */
anymps_status amps_tensor_expect_matrix(const amps_tensor *tensor);

#endif /* AMPS_TENSOR_H */
