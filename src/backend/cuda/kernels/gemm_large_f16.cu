/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_large_f16.cu: the kernels of gemm_large.cuh for f16. Layouts: n dense along the interior, t along rows or columns. */
#include "gemm_large.cuh"

using namespace amps;

LARGE(f16, f16, false, false, nn, 256)
LARGE(f16, f16, false, false, nn, 128)
LARGE(f16, f16, false, true, nt, 256)
LARGE(f16, f16, false, true, nt, 128)
LARGE(f16, f16, true, false, tn, 256)
LARGE(f16, f16, true, false, tn, 128)
LARGE(f16, f16, true, true, tt, 256)
LARGE(f16, f16, true, true, tt, 128)
