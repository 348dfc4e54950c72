/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_few.cu: matmul of f32 with few rows or small matrices on Hopper's tensor cores, inside the bound of f32. Launched by
 * ops/gemm_few.c.
 *
 * A cluster makes 16 rows and 64 columns; its blocks share the interior, send their sums to the blocks that own the rows, and
 * these finish them.
 */
#include "gemm_end.cuh"
#include "mma_parts.cuh"

using namespace amps;

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

/* The host counts with these: ops/gemm_few.c. Rows of tiles are apart so that no two lanes of a warp meet in a bank. */
enum { WIDE = 64, DEPTH = 128, LEFT_PITCH = DEPTH + 4, ALONG_PITCH = WIDE + 8, ACROSS_PITCH = DEPTH + 4 };
enum { RIGHT_FLOATS = DEPTH * ALONG_PITCH, LEFT_FLOATS = MMA_ROWS * LEFT_PITCH };
static_assert(RIGHT_FLOATS >= WIDE * ACROSS_PITCH, "a tile of either layout fits");

struct few_memory {
    float left[2][LEFT_FLOATS], right[2][RIGHT_FLOATS];
    float2 pairs[LEFT_FLOATS];
    float received[MMA_ROWS * WIDE];
    uint64_t met;
};

struct few_block {
    const amps_few_params &few;
    const amps_gemm_params &p;
    few_memory &memory;
    int blocks, block, rows, columns, tiles;
    int64_t matrix, i0, j0, k_begin, k_end;
    bool along; /* rows of the right operand are dense */

    __device__ few_block(const amps_few_params &params, few_memory &shared)
        : few(params), p(params.gemm), memory(shared), along(params.gemm.right_column == 1)
    {
        auto cluster = cooperative_groups::this_cluster();
        blocks = cluster.num_blocks(), block = cluster.block_rank();
        const int64_t across = (p.columns + WIDE - 1) / WIDE, down = (p.rows + MMA_ROWS - 1) / MMA_ROWS;
        const int64_t unit = blockIdx.x / blocks;
        matrix = unit / (across * down);
        i0 = (unit - matrix * across * down) / across * MMA_ROWS;
        j0 = unit % across * WIDE;
        rows = (int)min((int64_t)MMA_ROWS, p.rows - i0), columns = (int)min((int64_t)WIDE, p.columns - j0);
        k_begin = min((int64_t)block * few.slice, p.interior), k_end = min(k_begin + few.slice, p.interior);
        tiles = (int)((k_end - k_begin + DEPTH - 1) / DEPTH);
    }
    __device__ const float *left_at(int64_t k) const
    {
        return (const float *)p.left + matrix * p.left_matrix + i0 * p.left_row + k;
    }
    __device__ const float *right_at(int64_t k) const
    {
        return (const float *)p.right + matrix * p.right_matrix + j0 * p.right_column + k * p.right_row;
    }
    __device__ void load_left_tile(int n) const
    {
        if (n < tiles) {
            const int64_t k = k_begin + (int64_t)n * DEPTH;
            stage<float>(memory.left[n % 2], LEFT_PITCH, left_at(k), p.left_row, rows, (int)min((int64_t)DEPTH, k_end - k),
                         MMA_ROWS, DEPTH, few.left_packs);
        }
    }
    __device__ void load_right_tile(int n) const
    {
        if (n < tiles) {
            const int64_t k = k_begin + (int64_t)n * DEPTH;
            const int deep = (int)min((int64_t)DEPTH, k_end - k);
            if (along) {
                stage<float>(memory.right[n % 2], ALONG_PITCH, right_at(k), p.right_row, deep, columns, DEPTH, WIDE,
                             few.right_packs);
            } else {
                stage<float>(memory.right[n % 2], ACROSS_PITCH, right_at(k), p.right_column, columns, deep, WIDE, DEPTH,
                             few.right_packs);
            }
        }
    }

    /* A warp has 8 columns. */
    __device__ void multiply(float (&sum)[4], int n, bool *odd) const
    {
        const int j = threadIdx.x / 32 * 8, deep = (int)min((int64_t)DEPTH, k_end - k_begin - (int64_t)n * DEPTH);
        const float *const right = memory.right[n % 2];
        float small[4] = {};
#pragma unroll 4
        for (int k = 0; k < deep; k += 8) {
            unsigned high[4], low[4];
            load_left(memory.pairs + k, LEFT_PITCH, high, low);
            multiply_cut<float>(sum, small, high, low, right + (along ? k * ALONG_PITCH + j : j * ACROSS_PITCH + k),
                                along ? ALONG_PITCH : 1, along ? 1 : ACROSS_PITCH, odd);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            sum[i] += small[i];
        }
    }
    /* For values that TF32 parts cannot hold. */
    __device__ void multiply_plainly(float (&sum)[4]) const
    {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int n = 0; n < 4; n++) {
            const int i = lane / 4 + n / 2 * 8, j = threadIdx.x / 32 * 8 + lane % 4 * 2 + n % 2;
            sum[n] = 0.0f;
            for (int64_t k = k_begin; i < rows && j < columns && k < k_end; k++) {
                sum[n] = fmaf(left_at(k)[i * p.left_row], right_at(k)[j * p.right_column], sum[n]);
            }
        }
    }

    __device__ void finish(const float (&sum)[4]) const
    {
        const int lane = threadIdx.x % 32, own = MMA_ROWS / blocks;
        if (blocks > 1 && threadIdx.x == 0) {
            barrier_expect(shared_address(&memory.met), MMA_ROWS * WIDE * 4);
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int r = lane / 4 + half * 8;
            float *const at = memory.received + (block * own + r % own) * WIDE + threadIdx.x / 32 * 8 + lane % 4 * 2;
            const float2 pair = make_float2(sum[half * 2], sum[half * 2 + 1]);
            if (blocks > 1) {
                send_pair(at, pair, r / own, shared_address(&memory.met));
            } else {
                *(float2 *)at = pair;
            }
        }
        if (blocks > 1) {
            barrier_wait_once(shared_address(&memory.met));
        } else {
            __syncthreads();
        }
        for (int n = threadIdx.x; n < own * WIDE; n += MMA_THREADS) {
            const int i = block * own + n / WIDE, j = n % WIDE;
            float all = 0.0f;
            for (int from = 0; from < blocks; from++) {
                all += memory.received[from * own * WIDE + n];
            }
            if (i < rows && j < columns) {
                gemm_end<float, float>(p, matrix, i0 + i, j0 + j, all);
            }
        }
    }
};

__device__ __forceinline__ void gemm_few(const amps_few_params &few)
{
    extern __shared__ __align__(128) unsigned char shared[];
    few_memory &memory = *(few_memory *)shared;
    const few_block b(few, memory);
    launch_next();
    ready_barriers(&memory.met, 1);
    if (!few.right_settled) {
        wait_previous();
    }
    b.load_right_tile(0);
    b.load_right_tile(1);
    if (few.right_settled) {
        wait_previous();
    }
    b.load_left_tile(0);
    close_group();
    b.load_left_tile(1);
    close_group();
    float sum[4] = {};
    bool odd = false;
    for (int n = 0; n < b.tiles; n++) {
        wait_group<1>();
        __syncthreads();
        cut_rows(memory.pairs, memory.left[n % 2], LEFT_PITCH, DEPTH, &odd);
        __syncthreads();
        b.multiply(sum, n, &odd);
        __syncthreads();
        b.load_right_tile(n + 2);
        b.load_left_tile(n + 2);
        close_group();
    }
    if (__syncthreads_or(odd)) {
        b.multiply_plainly(sum);
    }
    await_cluster();
    b.finish(sum);
}

#define CODE(call) call
#else
#define CODE(call) /* clusters and their messages exist from Hopper on; the host launches this nowhere else */
#endif

extern "C" __global__ void __launch_bounds__(256, 1) gemm_few_f32(const __grid_constant__ amps_few_params p)
{
    CODE(gemm_few(p));
}
