/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_low.h: products of narrow types (gemm_low.c), for gemm_plan.c, gemm.c and gemm_packed.c. */
#ifndef AMPS_GEMM_LOW_H
#define AMPS_GEMM_LOW_H

#include "backend/cpu/gemm_job.h"

/* Layouts of packed copies (amps_packed_key.layout); that of a left operand is LEFT plus what tells its kernel. */
enum { AMPS_GEMM_LAYOUT_F32 = 0, AMPS_GEMM_LAYOUT_LOW = 1, AMPS_GEMM_LAYOUT_LEFT = 16, AMPS_GEMM_LAYOUT_TILES = 1024 };

/* The microkernel for operands of these types, or NULL. */
const amps_low_ukr *amps_gemm_low_choose(const amps_cpu_device *device, anymps_dtype a_dtype, anymps_dtype b_dtype);

/* Does a job whose strides are resolved run this way? */
bool amps_gemm_low_takes(const amps_gemm_job *job);

/* Is it one row or column of i8, or a few, whose sums stay exact in i32, or are asked for modulo 2^32? */
bool amps_gemm_low_takes_vector(const amps_gemm_job *job);

/* Block sizes, before tasks are cut; then the scratch of one thread, false if it exceeds size_t. */
void amps_gemm_low_block(amps_gemm_job *job);
bool amps_gemm_low_scratch(amps_gemm_job *job);

/* The kept copy of a constant A: interior blocks of kc words one after the other, in each the panels of all rows. NULL: pack
   for this call. */
const uint32_t *amps_gemm_low_packed_a(const amps_gemm_job *job);

/* As amps_gemm_packed_b. */
const void *amps_gemm_low_packed_b(const amps_gemm_job *job);

/* Packs for all tasks what they would pack again and again, into the first shared_bytes of the scratch. */
void amps_gemm_low_share(amps_gemm_job *job, void *scratch);

void amps_gemm_low_task(const amps_gemm_job *job, size_t task, void *scratch);

#endif /* AMPS_GEMM_LOW_H */
