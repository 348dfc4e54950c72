/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_split.cu: matmul of f32 on the tensor cores within the error bound of f32 (sm_90a). Launched by
 * ops/gemm_parts.c.
 *
 * Each f32 x is cut into three bf16 parts, x = x0 + x1 + x2 to 24 bits. Of the nine products of parts six matter; the
 * other three lie below 2^-24. The tensor core's own long sums truncate, so after every 256 of the interior the partial
 * sums are added to f32 registers. Parts of very small values would be subnormal and products of large ones could
 * overflow where the plain sum does not; the cutting pass raises a flag on such values, infinities and NaN, then this
 * kernel does nothing and gemm_any, launched behind it, does the work.
 *
 *     parts of left    [3][rows][depth]      bf16, depth = interior rounded up to 64, filled with zeros
 *     parts of right   [3][columns][depth]
 *
 * A block makes 128 × 128 of the result: two warpgroups of 64 × 128 multiply, one thread of a third loads, 64 of the
 * interior and all six parts at a time, by the bulk tensor copy engine.
 */
#include "barriers.cuh"
#include "gemm_end.cuh"

#include <cuda.h>

using namespace amps;

/* ---- Cutting ---------------------------------------------------------------------------------- */

enum { CUT = 64 }; /* a block cuts 64 × 64 elements */

/* Ordinary sizes: parts and products stay normal numbers, and sums of any length finite. */
__device__ inline bool is_odd(float x)
{
    const float size = fabsf(x);
    return !(size == 0.0f || (size > 0x1p-40f && size < 0x1p50f));
}

/* Operand 0 is the left (i runs over rows), 1 the right (i runs over columns); both are cut along the interior. */
__device__ __forceinline__ void cut_tile(const amps_split_params &p, const float (*tile)[CUT + 1], bf16 *to, int64_t i0,
                                         int64_t k0, int64_t count)
{
    for (int n = threadIdx.x; n < CUT * CUT / 8; n += 256) {
        const int i = n / (CUT / 8), k = n % (CUT / 8) * 8;
        if (i0 + i < count) {
            unsigned words[3][4];
#pragma unroll
            for (int w = 0; w < 4; w++) {
                float a = tile[i][k + 2 * w], b = tile[i][k + 2 * w + 1];
#pragma unroll
                for (int part = 0; part < 3; part++) {
                    const unsigned both = pack_two(a, b, bf16());
                    words[part][w] = both;
                    a -= __uint_as_float(both << 16);
                    b -= __uint_as_float(both & 0xffff0000u);
                }
            }
#pragma unroll
            for (int part = 0; part < 3; part++) {
                *reinterpret_cast<uint4 *>(to + (part * count + i0 + i) * p.depth + k0 + k) =
                    make_uint4(words[part][0], words[part][1], words[part][2], words[part][3]);
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) split_parts(const __grid_constant__ amps_split_params p)
{
    __shared__ float tile[CUT][CUT + 1];
    begin_kernel();
    const int64_t steps = p.depth / CUT, left_tiles = (p.rows + CUT - 1) / CUT * steps;
    const bool right = blockIdx.x >= left_tiles;
    const int64_t index = right ? blockIdx.x - left_tiles : blockIdx.x;
    const int64_t i0 = index / steps * CUT, k0 = index % steps * CUT;
    const float *from = (const float *)(right ? p.right : p.left);
    const int64_t across = right ? p.right_column : p.left_row, along = right ? p.right_row : p.left_column;
    const int64_t count = right ? p.columns : p.rows;
    bool odd = false;
#pragma unroll 4
    for (int n = threadIdx.x; n < CUT * CUT; n += 256) {
        const int i = along == 1 ? n / CUT : n % CUT, k = along == 1 ? n % CUT : n / CUT;
        const float x = i0 + i < count && k0 + k < p.interior ? from[(i0 + i) * across + (k0 + k) * along] : 0.0f;
        odd = odd || is_odd(x);
        tile[i][k] = x;
    }
    if (__syncthreads_or(odd) && threadIdx.x == 0) {
        *(volatile int *)p.flag = 1;
    }
    cut_tile(p, tile, (bf16 *)(right ? p.right_parts : p.left_parts), i0, k0, count);
}

/* ---- Multiplying ------------------------------------------------------------------------------ */

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { TILE = 128, DEPTH = 64, STAGES = 2, PROMOTE = 4 /* stages of 64: 256 of the interior */ };
enum { PART_BYTES = TILE * DEPTH * 2, OPERAND_BYTES = 3 * PART_BYTES, STAGE_BYTES = 2 * OPERAND_BYTES };

/* All three parts of 128 rows and 64 of the interior, swizzled in 128-byte rows. */
__device__ inline void load_parts(unsigned to, const CUtensorMap *map, int k, int row, unsigned barrier)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
                 "l"(map), "r"(k), "r"(row), "r"(0), "r"(barrier)
                 : "memory");
}

/* Rows of 128 bytes in 8-row groups of 1024 bytes, 128-byte swizzle. */
__device__ inline uint64_t describe(unsigned at)
{
    return (uint64_t)((at & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

#define R4(a, i) "+f"(a[i]), "+f"(a[i + 1]), "+f"(a[i + 2]), "+f"(a[i + 3])
#define R16(a, i) R4(a, i), R4(a, i + 4), R4(a, i + 8), R4(a, i + 12)

/* d (64 × 128 of a warpgroup) = a * b, plus d if `add`. */
__device__ inline void multiply(float (&d)[64], uint64_t a, uint64_t b, int add)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63},"
                 " %64, %65, p, 1, 1, 0, 0;\n}"
                 : R16(d, 0), R16(d, 16), R16(d, 32), R16(d, 48)
                 : "l"(a), "l"(b), "r"(add));
}

/* The six products of one stage, small ones first. */
__device__ inline void multiply_stage(float (&d)[64], unsigned left, unsigned right, bool fresh)
{
    constexpr int pairs[6][2] = {{1, 1}, {0, 2}, {2, 0}, {0, 1}, {1, 0}, {0, 0}};
#pragma unroll
    for (int n = 0; n < 6; n++) {
        const uint64_t a = describe(left + pairs[n][0] * PART_BYTES), b = describe(right + pairs[n][1] * PART_BYTES);
#pragma unroll
        for (int k = 0; k < DEPTH / 16; k++) { /* 16 elements are 32 bytes: 2 of the descriptor's units */
            multiply(d, a + 2 * k, b + 2 * k, n > 0 || k > 0 || !fresh);
        }
    }
}

struct tile_place {
    int row, column;
};

/* Tiles in groups of 8 rows of tiles, so that blocks that run together share operands in the L2 cache. */
__device__ inline tile_place place_of(int tile, int down, int along)
{
    const int group = tile / (8 * along), first = group * 8, height = min(8, down - first);
    const int inside = tile - group * 8 * along;
    return {(first + inside % height) * TILE, inside / height * TILE};
}

__device__ inline void load_all(const amps_split_gemm_params &p, unsigned memory, unsigned full, unsigned empty, int tiles,
                                int down, int along, int steps)
{
    int stage = 0;
    unsigned phase = 1;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const tile_place at = place_of(tile, down, along);
        for (int step = 0; step < steps; step++) {
            barrier_wait(empty + 8 * stage, phase);
            const unsigned to = memory + stage * STAGE_BYTES, barrier = full + 8 * stage;
            barrier_expect(barrier, STAGE_BYTES);
            load_parts(to, (const CUtensorMap *)&p.left_map, step * DEPTH, at.row, barrier);
            load_parts(to + OPERAND_BYTES, (const CUtensorMap *)&p.right_map, step * DEPTH, at.column, barrier);
            if (++stage == STAGES) {
                stage = 0;
                phase ^= 1;
            }
        }
    }
}

__device__ inline void store_tile(const amps_gemm_params &p, const float (&sum)[64], int row, int column)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int64_t i = row + warp * 16 + lane / 4 + half * 8;
#pragma unroll
        for (int n = 0; n < 16; n++) {
            const int64_t j = column + n * 8 + lane % 4 * 2;
            if (i < p.rows && j < p.columns) {
                gemm_end<float, float>(p, 0, i, j, sum[n * 4 + half * 2]);
            }
            if (i < p.rows && j + 1 < p.columns) {
                gemm_end<float, float>(p, 0, i, j + 1, sum[n * 4 + half * 2 + 1]);
            }
        }
    }
}

__device__ inline void multiply_all(const amps_split_gemm_params &p, unsigned memory, unsigned full, unsigned empty,
                                    int tiles, int down, int along, int steps)
{
    const int group = threadIdx.x / 128;
    int stage = 0;
    unsigned phase = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        float part[64], sum[64];
#pragma unroll
        for (int i = 0; i < 64; i++) {
            sum[i] = 0.0f;
        }
        for (int step = 0; step < steps; step++) {
            barrier_wait(full + 8 * stage, phase);
            const unsigned at = memory + stage * STAGE_BYTES;
            asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
            multiply_stage(part, at + group * (64 * DEPTH * 2), at + OPERAND_BYTES, step % PROMOTE == 0);
            asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
            asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
            if (threadIdx.x % 128 == 0) {
                barrier_arrive(empty + 8 * stage);
            }
            if (step % PROMOTE == PROMOTE - 1 || step == steps - 1) {
#pragma unroll
                for (int i = 0; i < 64; i++) {
                    sum[i] += part[i];
                }
            }
            if (++stage == STAGES) {
                stage = 0;
                phase ^= 1;
            }
        }
        const tile_place place = place_of(tile, down, along);
        store_tile(p.gemm, sum, place.row + group * 64, place.column);
    }
}

#endif

extern "C" __global__ void __launch_bounds__(384, 1) split_gemm(const __grid_constant__ amps_split_gemm_params p)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ unsigned char dynamic[];
    __shared__ uint64_t barriers[2 * STAGES];
    const unsigned memory = (shared_address(dynamic) + 1023) & ~1023u;
    const unsigned full = shared_address(barriers), empty = full + 8 * STAGES;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, 2); /* one arrival of each multiplying warpgroup */
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    begin_kernel();
    if (*(const volatile int *)p.flag != 0) {
        return;
    }
    const int down = (int)((p.gemm.rows + TILE - 1) / TILE), along = (int)((p.gemm.columns + TILE - 1) / TILE);
    const int tiles = down * along, steps = (int)(p.depth / DEPTH);
    if (threadIdx.x >= 256) {
        if (threadIdx.x == 256) {
            load_all(p, memory, full, empty, tiles, down, along, steps);
        }
    } else {
        multiply_all(p, memory, full, empty, tiles, down, along, steps);
    }
#endif
}
