/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/dlpack.h: DLPack tensors (NumPy, PyTorch, CuPy, JAX, MLX, …) in and out without a copy.
 *
 * The structs are only forward-declared: include dlpack/dlpack.h yourself where you fill them in. Its
 * DLTensor is a typedef of a struct without a name, so C wants a cast: (const struct DLTensor *)&tensor.
 * Source: dmlc/dlpack 1.1, include/dlpack/dlpack.h.
 *
 * A tensor can be a matrix if it has 2 dimensions (3: a batch) whose last stride is 1, or 2 dimensions
 * whose first stride is 1: then it is the transpose of a matrix, the matrix is made and `*transposed`
 * set. 1 dimension is a vector; 2 dimensions whose last stride is 1 may also be several vectors. Matrices
 * of a batch lie one after the other or side by side within each row (matrix.h). Dimensions of size 1 may
 * have any stride; a tensor without elements may have no data. Strides may be NULL (compact). byte_offset counts on every device.
 * Refused, with the remedy in the message: other strides ("make it contiguous"), more dimensions
 * ("reshape"), lanes other than 1, a type that anymps lacks, memory of another device ("move it to …"), elements not aligned to their size ("copy").
 * Devices: cpu takes DLPack's CPU and CUDAHost memory, cuda:N CUDA of device N, CUDAHost and CUDAManaged,
 * metal:N Metal of device N.
 *
 * Streams and queues: CPU tensors are ready when you have them. CUDA: by DLPack's rule the producer
 * was given the consumer's stream; anymps reads in the stream of the queue that you commit to, so
 * pass that stream (anymps_queue_native) to `__dlpack__(stream=…)`, or synchronise the producer. Metal:
 * the producer's queue must have completed.
 *
 * Example:
 *
 *     anymps_matrix *borrowed = NULL;                         // `managed` came out of __dlpack__()
 *     bool transposed = false;
 *     anymps_status status = anymps_matrix_from_dlpack(device, managed, &borrowed, &transposed);
 *     if (status != ANYMPS_OK)                                // "…: strides 8, 2: make it contiguous"
 *         return status;
 *     anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
 *     desc.transpose_left = transposed;
 *     status = anymps_matmul(&desc, borrowed, right, result);
 *     anymps_matrix_release(borrowed);                        // calls the tensor's deleter
 *     return status;
 */
#ifndef ANYMPS_DLPACK_H
#define ANYMPS_DLPACK_H

#include <anymps/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

/* DLPack's own structs, defined in dlpack/dlpack.h. */
struct DLTensor;
struct DLManagedTensor;
struct DLManagedTensorVersioned;

/* What a tensor would become. */
typedef struct anymps_dlpack_info {
    size_t struct_size;
    bool is_vector;                 /* one dimension */
    bool transposed;                /* the matrix is the tensor's transpose */
    anymps_dtype dtype;             /* of every element */
    size_t rows, columns, matrices; /* of the matrix; a vector has columns elements and 1 row */
    size_t row_bytes, matrix_bytes; /* from a row, a matrix to the next */
    size_t needed_bytes;            /* from the first element to the last */
} anymps_dlpack_info;
#define ANYMPS_DLPACK_INFO_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(anymps_dlpack_info), false, false, ANYMPS_DTYPE_INVALID, 0, 0, 0, 0, 0, 0                               \
    }

/*
 * Would this tensor be taken on `device`? Makes nothing. `info` may be NULL.
 * OK: yes. INVALID_ARGUMENT: null, sizes that overflow, a negative size. SHAPE_MISMATCH: cannot be a
 * matrix or vector. UNSUPPORTED: type, lanes or device. The message has the reason. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_dlpack_validate(anymps_device *device, const struct DLTensor *tensor,
                                                                anymps_dlpack_info *info);

/*
 * Makes a matrix over the tensor's memory, which is never copied. On success the tensor belongs to the
 * matrix's buffer and its deleter is called exactly once after the last use; on failure it stays the
 * caller's. `transposed` must not be NULL. A reference goes to `*matrix`.
 *
 * Statuses as anymps_dlpack_validate; OUT_OF_MEMORY. SHAPE_MISMATCH also for a tensor of one dimension, which
 * is a vector. Thread-safety: any thread; the deleter runs on the thread of the last release. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_from_dlpack(anymps_device *device,
                                                                   struct DLManagedTensor *tensor,
                                                                   anymps_matrix **matrix, bool *transposed);

/*
 * The same for a versioned tensor: honours the read-only flag (the buffer then refuses to be a result) and refuses another
 * major version (UNSUPPORTED). Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_from_dlpack_versioned(anymps_device *device,
                                                                             struct DLManagedTensorVersioned *tensor,
                                                                             anymps_matrix **matrix, bool *transposed);

/*
 * Makes a vector object: 1 dimension is one vector, 2 dimensions whose last stride is 1 are one vector a row. Ownership
 * and statuses as anymps_matrix_from_dlpack. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_vector_from_dlpack(anymps_device *device,
                                                                   struct DLManagedTensor *tensor,
                                                                   anymps_vector **vector);

/* The same for a versioned tensor, as anymps_matrix_from_dlpack_versioned has it. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_vector_from_dlpack_versioned(anymps_device *device,
                                                                             struct DLManagedTensorVersioned *tensor,
                                                                             anymps_vector **vector);

/*
 * Hands a matrix out as a tensor over the same memory: 2 dimensions, 3 for several matrices. The tensor is the
 * caller's, who calls its deleter once; until then it keeps the buffer.
 *
 * INVALID_ARGUMENT: null; a read-only buffer, which this form could not tell. OUT_OF_MEMORY. Thread-safety: any
 * thread; the deleter may run on any thread. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_to_dlpack(anymps_matrix *matrix,
                                                                 struct DLManagedTensor **tensor);

/* The same as a tensor of version 1.1, with the read-only flag of a read-only buffer. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_to_dlpack_versioned(anymps_matrix *matrix,
                                                                           struct DLManagedTensorVersioned **tensor);

/* Hands a vector out: 1 dimension, 2 for several vectors. Else as anymps_matrix_to_dlpack. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_vector_to_dlpack(anymps_vector *vector,
                                                                 struct DLManagedTensor **tensor);

/* The same as a tensor of version 1.1. Else as anymps_matrix_to_dlpack_versioned. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_vector_to_dlpack_versioned(anymps_vector *vector,
                                                                           struct DLManagedTensorVersioned **tensor);

/*
 * The one-call forms of kernels.h on tensors: validate, wrap, run, wait. Nothing is taken over: the
 * tensors stay the caller's, and no deleter is called. A transposed operand is read through the
 * transpose flag of the operator where it has one and refused (SHAPE_MISMATCH) where it has none;
 * results must be row-major. `desc` may be NULL: the operator's defaults. Operands that the operator's section
 * in kernels.h allows to be NULL may be NULL here. Bounds, edge cases and aliasing are those of the section.
 *
 * Statuses as anymps_dlpack_validate for each tensor, then as the operator's one-call form. Thread-safety: any
 * thread. Since: 0.1, all of them.
 */
/* result = alpha·op(left)·op(right) + beta·result; a transposed left or right is read where it lies. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matmul_tensors(anymps_device *device, const anymps_matmul_desc *desc,
                                                               const struct DLTensor *left,
                                                               const struct DLTensor *right,
                                                               const struct DLTensor *result);

/* result = alpha·op(matrix)·vector + beta·result; a transposed matrix is read where it lies. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_vector_tensors(anymps_device *device,
                                                                      const anymps_matrix_vector_desc *desc,
                                                                      const struct DLTensor *matrix,
                                                                      const struct DLTensor *vector,
                                                                      const struct DLTensor *result);

/* result = f(alpha·source + bias). */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_neuron_tensors(anymps_device *device, const anymps_neuron_desc *desc,
                                                               const struct DLTensor *source,
                                                               const struct DLTensor *bias,
                                                               const struct DLTensor *prelu,
                                                               const struct DLTensor *result);

/* result = f(alpha·source·weights + bias). */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_fully_connected_tensors(
    anymps_device *device, const anymps_fully_connected_desc *desc, const struct DLTensor *source,
    const struct DLTensor *weights, const struct DLTensor *bias, const struct DLTensor *prelu,
    const struct DLTensor *result);

/* Each row of the result is the softmax of the source's row. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_softmax_tensors(anymps_device *device, const anymps_softmax_desc *desc,
                                                                const struct DLTensor *source,
                                                                const struct DLTensor *result);

/* Each row of the result is the logarithm of the softmax of the source's row. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_log_softmax_tensors(anymps_device *device,
                                                                    const anymps_softmax_desc *desc,
                                                                    const struct DLTensor *source,
                                                                    const struct DLTensor *result);

/* Root-mean-square normalisation of each row; a given residual is added first and receives the sum. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_rms_norm_tensors(
    anymps_device *device, const anymps_norm_desc *desc, const struct DLTensor *source, const struct DLTensor *residual,
    const struct DLTensor *weight, const struct DLTensor *bias, const struct DLTensor *result);

/* Layer normalisation of each row; a given residual is added first and receives the sum. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_layer_norm_tensors(
    anymps_device *device, const anymps_norm_desc *desc, const struct DLTensor *source, const struct DLTensor *residual,
    const struct DLTensor *weight, const struct DLTensor *bias, const struct DLTensor *result);

/* result = source·weights + scale·(source·down)·up. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_lora_tensors(anymps_device *device, const anymps_lora_desc *desc,
                                                             const struct DLTensor *source,
                                                             const struct DLTensor *weights,
                                                             const struct DLTensor *down, const struct DLTensor *up,
                                                             const struct DLTensor *result);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_DLPACK_H */
