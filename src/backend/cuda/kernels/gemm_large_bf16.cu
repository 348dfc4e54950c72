/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_large_bf16.cu: the kernels of gemm_large.cuh for bf16. Layouts: n dense along the interior, t along rows or columns. */
#include "gemm_large.cuh"

using namespace amps;

LARGE(bf16, bf16, false, false, nn, 256)
LARGE(bf16, bf16, false, false, nn, 128)
LARGE(bf16, bf16, false, true, nt, 256)
LARGE(bf16, bf16, false, true, nt, 128)
LARGE(bf16, bf16, true, false, tn, 256)
LARGE(bf16, bf16, true, false, tn, 128)
LARGE(bf16, bf16, true, true, tt, 256)
LARGE(bf16, bf16, true, true, tt, 128)
