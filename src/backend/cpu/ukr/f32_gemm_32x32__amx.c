/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32_gemm_32x32__amx.c: strict f32 matmul on tdpbf16ps: each element is cut into three bf16, x = h + m + l exactly,
 * and six of the nine products are added up; m*l, l*m and l*l are at most (2^-24 + 2^-34) |x y| together, inside the
 * bound of f32 (docs/numerics.md). Called by gemm_low.c through low_ukr.h; the kernel is amx_parts.h.
 */
#define AMX_PARTS 3

/* m may be as small as l, so products are multiples of 2^(e + f - 254 - 46), no subnormal sums if that is -126 or
   more. */
enum { SUM_LEAST = 174 };

#include "amx_parts.h"

const amps_low_ukr amps_f32_gemm_32x32__amx = AMX_PARTS_UKR("f32_gemm_32x32__amx");
