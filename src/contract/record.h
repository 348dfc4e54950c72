/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h: one resolved operation, as the front end hands it to a backend.
 *
 * Made by src/ops (encode), kept by src/core/command.c, read by the backends. Everything in it has been
 * checked: shapes fit, origins and batch are applied, every range lies in its memory, results do not
 * alias. A backend repeats no check.
 */
#ifndef AMPS_RECORD_H
#define AMPS_RECORD_H

#include <anymps/kernels.h>

#include <stdatomic.h>

typedef enum amps_operator {
#define AMPS_OPERATOR(name, desc_type, operand_count, dtype_count) AMPS_OP_##name,
#include "contract/ops.def"
#undef AMPS_OPERATOR
    AMPS_OP_COUNT
} amps_operator;

struct amps_memory;
struct amps_kernel;

/* Room for a backend's rearranged copy of a constant matrix (ANYMPS_CONSTANT). Lives in the matrix
   object; the backend fills `data` (a list of its own, keyed as it likes) under a lock of its own and the
   matrix calls `release` when it goes. */
typedef struct amps_constant {
    _Atomic(void *) data;
    void (*release)(void *data);
} amps_constant;

/*
 * The part of one operand that takes part. Element (i, j) of matrix b of the batch is at byte
 * offset_bytes + b*matrix_bytes + i*row_bytes + j*element size of `memory`. Shapes are as stored, before
 * any transposition. A vector is one row. matrix_bytes is 0 for an operand that serves the whole batch.
 */
typedef struct amps_view {
    struct amps_memory *memory; /* NULL: operand not given */
    size_t offset_bytes;
    size_t rows;
    size_t columns;
    size_t row_bytes;
    size_t matrix_bytes;
    anymps_dtype dtype;
    amps_constant *constant; /* NULL: the bytes may change between commits */
} amps_view;

/* One operation. Kernel, matrices and buffers are kept alive by the command buffer. */
typedef struct amps_record {
    amps_operator op;
    const struct amps_kernel *kernel; /* what the backend's `prepare` made */
    const void *desc;                 /* the operator's public descriptor, complete */
    size_t batch;                     /* ≥ 0; 0: nothing to do */
    size_t operand_count;
    const amps_view *operands; /* `operand_count` of them */
} amps_record;

#endif /* AMPS_RECORD_H */
