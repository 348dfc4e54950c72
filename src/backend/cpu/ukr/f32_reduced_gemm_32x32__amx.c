/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_reduced_gemm_32x32__amx.c: f32 matmul on tdpbf16ps where reduced precision is allowed: each element is cut into
 * two bf16, x = h + l but for 2^-17 |x|, and h*h, h*l and l*h are added up; what is left out is 2^-15 |x y| at most,
 * but for roundings (docs/numerics.md). Called by gemm_low.c through low_ukr.h; the kernel is amx_parts.h.
 */
#define AMX_PARTS 2

/* h is a multiple of 2^(f - 7), so products are multiples of 2^(e + f - 254 - 30), no subnormal sums if that is -126 or
   more. */
enum { SUM_LEAST = 158 };

#include "amx_parts.h"

const amps_low_ukr amps_f32_reduced_gemm_32x32__amx = AMX_PARTS_UKR("f32_reduced_gemm_32x32__amx");
