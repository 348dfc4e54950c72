/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_wgmma_i8.cu: the kernels of gemm_large.cuh and gemm_tile.cuh for int8 with 32-bit sums; both operands dense along the
   interior, which is all that the instruction takes. */
#include "gemm_large.cuh"
#include "gemm_tile.cuh"

using namespace amps;

LARGE(int8_t, i8, false, false, nn, 256)
LARGE(int8_t, i8, false, false, nn, 128)
TILE(int8_t, i8, false, false, nn, 1, 16, 64x16)
TILE(int8_t, i8, false, false, nn, 1, 64, 64x64)
TILE(int8_t, i8, false, false, nn, 2, 64, 128x64)
TILE(int8_t, i8, false, false, nn, 2, 128, 128x128)
