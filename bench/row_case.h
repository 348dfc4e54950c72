/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_case.h: one operation of the kind that reads its operands about once (rows, matrix-vector, adapters), made with
 * random operands and run by this library, by oneDNN or as a plain copy of the same bytes. bench/rows_peers.py loads
 * it as librow_bench.so and runs PyTorch and MLX on the same memory, in turns.
 */
#ifndef ANYMPS_BENCH_ROW_CASE_H
#define ANYMPS_BENCH_ROW_CASE_H

#include <anymps/anymps.h>

/* Source or matrix; weight, down or the vector; bias or up; result. */
enum { ROW_OPERANDS = 4, ROW_ONEDNN_COUNT = 2 };

typedef struct row_onednn row_onednn;

typedef struct row_case {
    char op[16]; /* softmax, log_softmax, rms_norm, layer_norm, gelu, lora, matvec, matvec_t */
    size_t rows, columns, rank;
    anymps_dtype dtype;
    size_t threads, inner; /* `inner` operations are one run */
    anymps_device *device;
    anymps_queue *queue;
    anymps_matrix *matrices[ROW_OPERANDS]; /* vectors are matrices of one row here, and `vectors` over their memory */
    anymps_vector *vectors[ROW_OPERANDS];
    anymps_kernel *kernel;
    anymps_command_buffer *commands;
    row_onednn *peers[ROW_ONEDNN_COUNT];
} row_case;

/* A recorded case, or NULL with a message on standard error. `op` and `dtype` by name. */
row_case *row_case_open(const char *op, size_t rows, size_t columns, size_t rank, const char *dtype, size_t threads,
                        size_t inner);
void row_case_close(row_case *self);

/* The bytes of operand `index`, or NULL. */
void *row_case_operand(const row_case *self, size_t index);

/* Commits the `inner` recorded operations and waits; 0 for success. */
int row_case_run(const row_case *self);

/* Copies the source's bytes to the result, or only reads the matrix of a matrix-vector product, `inner` times on the
   case's threads: what the memory allows. Returns something that depends on all bytes read. */
uint64_t row_case_roof(const row_case *self);

/* oneDNN on the same operands, the one on SYCL (0) or on OpenMP (1): 0 if it can be had, and then `inner` operations. */
int row_onednn_open(row_case *self, size_t which);
int row_onednn_run(const row_case *self, size_t which);
void row_onednn_close(row_onednn *peer);

#endif /* ANYMPS_BENCH_ROW_CASE_H */
