/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_pack.cu: copies an operand that the bulk copy engine cannot read (an address or a row that is not whole 16 bytes, or
 * int8 dense along its rows) to rows dense along the interior. Launched by ops/gemm_wgmma.c before the multiplication.
 *
 *     result    [matrices][count][depth], depth = interior rounded up to 16 bytes, filled with zeros
 */
#include "common.cuh"

using namespace amps;

enum { PIECE = 64 };

/* A block copies 64 × 64 elements through shared memory; threads run along what is dense on each side. */
template <typename T> __device__ __forceinline__ void pack(const amps_pack_params &p)
{
    __shared__ T piece[PIECE][PIECE + 4 / sizeof(T)];
    const int64_t along = (p.depth + PIECE - 1) / PIECE, per_matrix = along * ((p.count + PIECE - 1) / PIECE);
    const int64_t matrix = blockIdx.x / per_matrix, index = blockIdx.x - matrix * per_matrix;
    const int64_t i0 = index / along * PIECE, k0 = index % along * PIECE;
    const T *from = (const T *)p.from + matrix * p.matrix;
    T *to = (T *)p.to + matrix * p.count * p.depth;
    begin_kernel();
#pragma unroll 8
    for (int n = threadIdx.x; n < PIECE * PIECE; n += 256) {
        const int i = p.deep == 1 ? n / PIECE : n % PIECE, k = p.deep == 1 ? n % PIECE : n / PIECE;
        const bool inside = i0 + i < p.count && k0 + k < p.interior;
        piece[i][k] = inside ? from[(i0 + i) * p.across + (k0 + k) * p.deep] : (T)0;
    }
    __syncthreads();
#pragma unroll 8
    for (int n = threadIdx.x; n < PIECE * PIECE; n += 256) {
        const int i = n / PIECE, k = n % PIECE;
        if (i0 + i < p.count && k0 + k < p.depth) {
            to[(i0 + i) * p.depth + k0 + k] = piece[i][k];
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) pack_8(const __grid_constant__ amps_pack_params p)
{
    pack<uint8_t>(p);
}
extern "C" __global__ void __launch_bounds__(256) pack_16(const __grid_constant__ amps_pack_params p)
{
    pack<uint16_t>(p);
}
