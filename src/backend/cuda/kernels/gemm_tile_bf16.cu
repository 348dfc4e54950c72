/* SPDX-License-Identifier: Apache-2.0 */
/* gemm_tile_bf16.cu: the kernels of gemm_tile.cuh for bf16. Layouts: n dense along the interior, t along rows or columns. */
#include "gemm_tile.cuh"

using namespace amps;

TILE(bf16, bf16, false, false, nn, 1, 16, 64x16)
TILE(bf16, bf16, false, false, nn, 1, 32, 64x32)
TILE(bf16, bf16, false, false, nn, 1, 64, 64x64)
TILE(bf16, bf16, false, false, nn, 1, 128, 64x128)
TILE(bf16, bf16, false, false, nn, 2, 16, 128x16)
TILE(bf16, bf16, false, false, nn, 2, 64, 128x64)
TILE(bf16, bf16, false, false, nn, 2, 128, 128x128)
TILE(bf16, bf16, false, true, nt, 1, 64, 64x64)
TILE(bf16, bf16, false, true, nt, 1, 128, 64x128)
TILE(bf16, bf16, false, true, nt, 2, 64, 128x64)
TILE(bf16, bf16, false, true, nt, 2, 128, 128x128)
TILE(bf16, bf16, true, false, tn, 1, 16, 64x16)
TILE(bf16, bf16, true, false, tn, 1, 32, 64x32)
TILE(bf16, bf16, true, false, tn, 1, 64, 64x64)
TILE(bf16, bf16, true, false, tn, 1, 128, 64x128)
TILE(bf16, bf16, true, false, tn, 2, 16, 128x16)
TILE(bf16, bf16, true, false, tn, 2, 64, 128x64)
TILE(bf16, bf16, true, false, tn, 2, 128, 128x128)
TILE(bf16, bf16, true, true, tt, 1, 64, 64x64)
TILE(bf16, bf16, true, true, tt, 1, 128, 64x128)
TILE(bf16, bf16, true, true, tt, 2, 64, 128x64)
TILE(bf16, bf16, true, true, tt, 2, 128, 128x128)
