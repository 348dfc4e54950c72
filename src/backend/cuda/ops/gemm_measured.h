/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_measured.h: what measurements on this user's GPU found fastest, kept in a file of the user's cache directory.
 * Called by gemm_choice.c (find) and cuda_gemm.c (put); gemm_measured.c reads and writes the file, gemm_measure.c measures.
 */
#ifndef AMPS_GEMM_MEASURED_H
#define AMPS_GEMM_MEASURED_H

#include "backend/cuda/ops/gemm_engines.h"

/* The products that one measurement speaks for. All members are of one width, so that keys can be compared by bytes. */
typedef struct amps_measured_key {
    int64_t kind, reduced;
    int64_t plain; /* beta 0, no bias, no activation, dense rows of the result */
    int64_t left_rows_dense, right_interior_dense;
    int64_t follows; /* the left operand is made earlier in the same commit: products cannot overlap */
    int64_t rows, columns, interior, batch;
} amps_measured_key;

typedef struct amps_measured_entry {
    amps_measured_key key;
    amps_gemm_choice choice;
    int64_t nanoseconds;
} amps_measured_entry;

amps_measured_key amps_measured_key_of(const amps_gemm *gemm);

/* The entry for the key, from the table of the device, which is read at the first call. */
bool amps_measured_find(amps_cuda_device *device, const amps_measured_key *key, amps_measured_entry *entry);

/* Remembers it in the table and the file; false, with the reason in the thread's error, if the file was not written. */
bool amps_measured_put(amps_cuda_device *device, const amps_measured_entry *entry);

/* Gives the table back. */
void amps_measured_close(amps_cuda_device *device);

/* gemm_measure.c: times every way to run the product on operands of its own and gives the fastest. The context need not be
   entered. Fails with OUT_OF_MEMORY or what a launch said. */
anymps_status amps_gemm_measure(amps_cuda_device *device, const amps_gemm *gemm, amps_measured_entry *entry);

#endif /* AMPS_GEMM_MEASURED_H */
