/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_ops.h: what the operator files of this folder share: their objects, strides in elements, and the way
 * rows are spread over threads.
 */
#ifndef AMPS_CUDA_OPS_H
#define AMPS_CUDA_OPS_H

#include "backend/cuda/cuda_device.h"
#include "backend/cuda/kernels/params.h"

#define AMPS_CUDA_OPERATOR(name, object) extern const amps_cuda_operator object;
#include "backend/cuda/ops.def"
#undef AMPS_CUDA_OPERATOR

/* 0, 1, 2 for f32, f16, bf16: the order of all kernel tables; -1 for others. */
int amps_cuda_float_index(anymps_dtype dtype);

/* One type, which must be f32, f16 or bf16. */
anymps_status amps_cuda_supports_float(const anymps_dtype *dtypes, size_t count);

/* Distances in elements. */
static inline int64_t amps_view_row(const amps_view *view)
{
    return (int64_t)(view->row_bytes / anymps_dtype_bytes(view->dtype));
}

static inline int64_t amps_view_matrix(const amps_view *view)
{
    return view->memory == NULL ? 0 : (int64_t)(view->matrix_bytes / anymps_dtype_bytes(view->dtype));
}

/* True if every row of every matrix starts on a 16-byte boundary; true for an operand not given. */
bool amps_view_is_aligned(const amps_view *view);

/* The kernels of one row operator and type, by packs a thread: packs of one element (4, 32 of them), of 16
   bytes (1, 2, 4, 8), and the one for rows of any length. */
enum {
    AMPS_ROW_V1_N4,
    AMPS_ROW_V1_N32,
    AMPS_ROW_N1,
    AMPS_ROW_N2,
    AMPS_ROW_N4,
    AMPS_ROW_N8,
    AMPS_ROW_LONG,
    AMPS_ROW_KERNELS
};

/* Picks a kernel of the above and how it is launched; `few_packs` leaves out those with many packs a thread. */
int amps_cuda_row_choice(const amps_cuda_device *device, size_t element_bytes, bool aligned, bool few_packs,
                         size_t columns, size_t all_rows, amps_cuda_shape *shape);
/* The kernels of rows_held.cu: how many packs of 16 bytes of a row each block has, if they are the ones for such rows, which
   start at 16 bytes; else 0. */
int32_t amps_cuda_row_held(const amps_cuda_device *device, size_t row_bytes, size_t all_rows, amps_cuda_shape *shape);
/* The kernel for rows of any length. */
int amps_cuda_row_long(const amps_cuda_device *device, size_t all_rows, amps_cuda_shape *shape);

/* ---- matmul, shared by matmul, matrix_vector, fully_connected and lora ------------------------ */

/* The type combinations, in the order of the kernel tables. */
typedef enum amps_gemm_kind {
    AMPS_GEMM_F32_F32,
    AMPS_GEMM_F16_F16,
    AMPS_GEMM_F16_F32,
    AMPS_GEMM_BF16_BF16,
    AMPS_GEMM_BF16_F32,
    AMPS_GEMM_I8_F32,
    AMPS_GEMM_I8_F16,
    AMPS_GEMM_I8_I32,
    AMPS_GEMM_I16_F32,
    AMPS_GEMM_KINDS
} amps_gemm_kind;

/* AMPS_GEMM_KINDS if there is no such combination. */
amps_gemm_kind amps_gemm_kind_of(anymps_dtype left, anymps_dtype right, anymps_dtype result);

typedef struct amps_gemm {
    amps_gemm_kind kind;
    uint32_t options;
    anymps_algorithm algorithm;
    bool left_settled, right_settled; /* amps_cuda_is_settled of the operands */
    amps_gemm_params params;
} amps_gemm;

/* Sets operands from views; transposition swaps the strides. */
void amps_gemm_set_left(amps_gemm *gemm, const amps_view *view, bool transpose);
void amps_gemm_set_right(amps_gemm *gemm, const amps_view *view, bool transpose);

size_t amps_cuda_gemm_scratch(amps_cuda_device *device, const amps_gemm *gemm);
anymps_status amps_cuda_gemm_emit(amps_cuda_emitter *out, const amps_gemm *gemm);
/* Dense operands of the problem's sizes, as an explanation before any operand is known assumes them. */
void amps_gemm_set_dense(amps_gemm *gemm, bool transpose_left, bool transpose_right);
/* Writes what would run such operands in one line; UNSUPPORTED if the algorithm asked for is not there. */
anymps_status amps_cuda_gemm_prepare(amps_cuda_device *device, const amps_gemm *gemm, char *text, size_t size);

#endif /* AMPS_CUDA_OPS_H */
