/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lora.cu: result = [addend] + [result] + scale * (source * down) * up in one launch. Launched by ops/cuda_lora.c.
 *
 * A block of 256 threads takes R rows and up to 1024 columns of the result. It makes its rows of source*down in
 * shared memory, 256 of the rank at a time, then each thread adds up to 4 columns. Blocks that share rows repeat
 * the first product: it is small (rank columns), and waiting for one another would cost more.
 *
 * On Hopper, for rank up to 256, a cluster takes R rows instead: each block multiplies its part of the inputs, all
 * exchange their sums through shared memory, and each makes its part of the outputs.
 */
#include "common.cuh"

using namespace amps;

enum { THREADS = 256, RANKS = 256, WIDE = 4 };

/* Rank along the lanes: `down` is dense along the rank. Each group of Q lanes takes every (256/Q)-th input. */
template <typename T, int R, int Q>
__device__ inline void product_by_rank(const amps_lora_params &p, const T *source, const T *down, int rows, int q0,
                                       int ranks, float (*product)[RANKS], float (*part)[R][32])
{
    const int q = q0 + threadIdx.x % Q, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const bool inside = q < ranks;
    float sum[R] = {};
#pragma unroll 8
    for (int64_t k = threadIdx.x / Q; k < p.inputs; k += THREADS / Q) {
        const float d = inside ? to_f32(down[k * p.down_row + q * p.down_column]) : 0.0f;
#pragma unroll
        for (int r = 0; r < R; r++) {
            sum[r] = fmaf(r < rows ? to_f32(source[r * p.source_row + k]) : 0.0f, d, sum[r]);
        }
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
#pragma unroll
        for (int step = Q; step < 32; step *= 2) {
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], step);
        }
        if (lane < Q) {
            part[warp][r][lane] = sum[r];
        }
    }
    __syncthreads();
    for (int n = threadIdx.x; n < R * Q; n += THREADS) {
        float all = 0.0f;
#pragma unroll
        for (int w = 0; w < THREADS / 32; w++) {
            all += part[w][n / Q][n % Q];
        }
        if (q0 + n % Q < RANKS) {
            product[n / Q][q0 + n % Q] = all;
        }
    }
    __syncthreads();
}

/* Inputs along the lanes: `down` is dense along the inputs. Each warp takes every 8th of the rank. */
template <typename T, int R>
__device__ inline void product_by_input(const amps_lora_params &p, const T *source, const T *down, int rows, int ranks,
                                        float (*product)[RANKS])
{
    const int lane = threadIdx.x % 32;
    for (int q = threadIdx.x / 32; q < ranks; q += THREADS / 32) {
        float sum[R] = {};
#pragma unroll 8
        for (int64_t k = lane; k < p.inputs; k += 32) {
            const float d = to_f32(down[k * p.down_row + q * p.down_column]);
#pragma unroll
            for (int r = 0; r < R; r++) {
                sum[r] = fmaf(r < rows ? to_f32(source[r * p.source_row + k]) : 0.0f, d, sum[r]);
            }
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            sum[r] = reduce_warp<op_sum>(sum[r]);
            if (lane == 0) {
                product[r][q] = sum[r];
            }
        }
    }
    __syncthreads();
}

template <typename T, int R> __device__ __forceinline__ void lora(const amps_lora_params &p)
{
    __shared__ float product[R][RANKS], part[THREADS / 32][R][32];
    begin_kernel();
    const int64_t slices = (p.outputs + p.outputs_per_block - 1) / p.outputs_per_block;
    const int64_t groups = (p.rows + R - 1) / R;
    const int64_t group = blockIdx.x / slices, matrix = group / groups;
    const int64_t row = (group - matrix * groups) * R, column = (blockIdx.x - group * slices) * p.outputs_per_block;
    const int rows = (int)min((int64_t)R, p.rows - row);
    const int64_t end = min(column + p.outputs_per_block, p.outputs);
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    const T *up = (const T *)p.up + matrix * p.up_matrix;
    float sum[WIDE][R] = {};
    for (int64_t q0 = 0; q0 < p.rank; q0 += RANKS) {
        const T *down = (const T *)p.down + matrix * p.down_matrix + q0 * p.down_column;
        const int ranks = (int)min((int64_t)RANKS, p.rank - q0);
        if (p.product != 0) {
            const float *made = (const float *)p.product + (matrix * p.rows + row) * p.rank + q0;
            for (int n = threadIdx.x; n < rows * ranks; n += THREADS) {
                product[n / ranks][n % ranks] = made[(n / ranks) * p.rank + n % ranks];
            }
            __syncthreads();
        } else if (p.down_column != 1 && p.down_row == 1) {
            product_by_input<T, R>(p, source, down, rows, ranks, product);
        } else if (ranks <= 8) {
            product_by_rank<T, R, 8>(p, source, down, rows, 0, ranks, product, part);
        } else if (ranks <= 16) {
            product_by_rank<T, R, 16>(p, source, down, rows, 0, ranks, product, part);
        } else {
            for (int q = 0; q < ranks; q += 32) {
                product_by_rank<T, R, 32>(p, source, down, rows, q, ranks, product, part);
            }
        }
#pragma unroll
        for (int w = 0; w < WIDE; w++) {
            const int64_t j = column + threadIdx.x + w * THREADS;
            if (j < end) {
                const T *at = up + q0 * p.up_row + j * p.up_column;
#pragma unroll 8
                for (int q = 0; q < ranks; q++) {
                    const float u = to_f32(at[q * p.up_row]);
#pragma unroll
                    for (int r = 0; r < R; r++) {
                        sum[w][r] = fmaf(product[r][q], u, sum[w][r]);
                    }
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int w = 0; w < WIDE; w++) {
        const int64_t j = column + threadIdx.x + w * THREADS;
#pragma unroll
        for (int r = 0; r < R; r++) {
            if (j < end && r < rows) {
                T *to = (T *)p.result + matrix * p.result_matrix + (row + r) * p.result_row + j;
                float y = p.scale * sum[w][r];
                if (p.addend != 0) {
                    y += ((const float *)p.addend)[(matrix * p.rows + row + r) * p.outputs + j];
                }
                *to = from_f32<T>(p.accumulate ? y + to_f32(*to) : y);
            }
        }
    }
}

/* ---- One cluster for R rows ------------------------------------------------------------------- */

template <typename T> __device__ inline void load_ranks(const amps_lora_params &p, const T *at, int64_t left, float *d)
{
    if (p.vector) {
        constexpr int each = 16 / sizeof(T);
#pragma unroll
        for (int i = 0; i < 8; i += each) {
            unpack<T, each>(at + i, d + i);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            d[i] = i < left ? to_f32(at[i * p.down_column]) : 0.0f;
        }
    }
}

template <typename T, int R> __device__ __forceinline__ void lora_cluster(const amps_lora_params &p)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    constexpr int WARPS = THREADS / 32, V = R * 8, AHEAD = 2, BATCH = 2;
    __shared__ float part[RANKS / 8][V], mine[R][RANKS], product[R][RANKS];
    launch_next();
    auto cluster = cooperative_groups::this_cluster();
    const int blocks = cluster.num_blocks(), block = cluster.block_rank();
    /* Blocks that are no cluster may share rows too: `splits` of them repeat the first product. */
    const int64_t unit = blockIdx.x / blocks, groups = (p.rows + R - 1) / R, group = unit / p.splits, matrix = group / groups;
    const int64_t row = (group - matrix * groups) * R;
    const int rows = (int)min((int64_t)R, p.rows - row), slice = block + (int)(unit % p.splits), slices = blocks * p.splits;
    const int64_t inputs = (p.inputs + blocks - 1) / blocks, outputs = (p.outputs + slices - 1) / slices;
    const int64_t k_end = min((block + 1) * inputs, p.inputs), j_end = min((slice + 1) * outputs, p.outputs);
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    const T *down = (const T *)p.down + matrix * p.down_matrix;
    const T *up = (const T *)p.up + matrix * p.up_matrix;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const bool early_source = (p.settled & AMPS_SETTLED_SOURCE) != 0, early_weights = (p.settled & AMPS_SETTLED_WEIGHTS) != 0;
    /* Eight of the rank are a tile. Many tiles: each warp takes whole ones; few: several warps share one along the
       inputs, and `part` has their sums behind each other. */
    const int tiles = (int)(p.rank + 7) / 8, share = tiles >= WARPS ? 1 : tiles > 4 ? 1 : tiles > 2 ? 2 : tiles > 1 ? 4 : 8;
    const int64_t k_begin = block * inputs + warp % share * 32 + lane;
    float d[BATCH][8], x[BATCH][R];
    const auto load_down = [&](int tile, int64_t k0) {
#pragma unroll
        for (int u = 0; u < BATCH; u++) { /* one past the end repeats the first and counts 0 */
            const int64_t k = k0 + u * share * 32 < k_end ? k0 + u * share * 32 : k0;
            load_ranks<T>(p, down + k * p.down_row + tile * 8 * p.down_column, p.rank - tile * 8, d[u]);
        }
    };
    if (!early_weights) {
        wait_previous();
    }
    /* The first columns of `up` and rows of `down` travel while the kernel before ends, if it does not write them. */
    float ahead[AHEAD][8];
    const int64_t j0 = slice * outputs + threadIdx.x;
#pragma unroll
    for (int w = 0; w < AHEAD; w++) {
#pragma unroll
        for (int q = 0; q < 8; q++) {
            const int64_t j = j0 + w * THREADS;
            ahead[w][q] = j < j_end && q < p.rank ? to_f32(up[q * p.up_row + j * p.up_column]) : 0.0f;
        }
    }
    if (warp / share < tiles && k_begin < k_end) {
        load_down(warp / share, k_begin);
    }
    if (early_weights && !early_source) {
        wait_previous();
    }
    for (int tile = warp / share; tile < tiles; tile += WARPS / share) {
        float sum[V] = {};
        for (int64_t k0 = k_begin; k0 < k_end; k0 += BATCH * share * 32) {
            if (k0 != k_begin || tile != warp / share) {
                load_down(tile, k0);
            }
#pragma unroll
            for (int u = 0; u < BATCH; u++) {
                const bool inside = k0 + u * share * 32 < k_end;
                const int64_t k = inside ? k0 + u * share * 32 : k0;
#pragma unroll
                for (int r = 0; r < R; r++) {
                    const float got = to_f32(source[min(r, rows - 1) * p.source_row + k]);
                    x[u][r] = inside && r < rows ? got : 0.0f;
                }
            }
#pragma unroll
            for (int u = 0; u < BATCH; u++) {
#pragma unroll
                for (int r = 0; r < R; r++) {
#pragma unroll
                    for (int q = 0; q < 8; q++) {
                        sum[r * 8 + q] = fmaf(x[u][r], d[u][q], sum[r * 8 + q]);
                    }
                }
            }
        }
        reduce_scatter<V>(sum);
        if (lane % (32 / V) == 0) {
            part[tile * share + warp % share][lane / (32 / V)] = sum[0];
        }
    }
    __syncthreads();
    float(*const sums)[RANKS] = blocks > 1 ? mine : product;
    for (int n = threadIdx.x; n < tiles * V; n += THREADS) {
        float all = 0.0f;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            all += w < share ? part[n / V * share + w][n % V] : 0.0f;
        }
        sums[n % V / 8][n / V * 8 + n % 8] = all;
    }
    if (blocks > 1) {
        cluster.sync();
        for (int n = threadIdx.x; n < R * p.rank; n += THREADS) {
            const int r = n / (int)p.rank, q = n % (int)p.rank;
            float all = 0.0f;
#pragma unroll
            for (int other = 0; other < 8; other++) {
                all += other < blocks ? cluster.map_shared_rank(&mine[0][0], other)[r * RANKS + q] : 0.0f;
            }
            product[r][q] = all;
        }
        asm volatile("barrier.cluster.arrive.aligned;" ::: "memory"); /* done with the others' shared memory */
    }
    __syncthreads();
    if (early_source) {
        wait_previous();
    }
    auto finish = [&](int64_t j, const float(&first)[8]) {
        float sum[R] = {};
        const T *at = up + j * p.up_column;
#pragma unroll
        for (int q = 0; q < 8; q++) {
#pragma unroll
            for (int r = 0; r < R; r++) {
                sum[r] = fmaf(q < p.rank ? product[r][q] : 0.0f, first[q], sum[r]);
            }
        }
#pragma unroll 8
        for (int q = 8; q < p.rank; q++) {
            const float u = to_f32(at[q * p.up_row]);
#pragma unroll
            for (int r = 0; r < R; r++) {
                sum[r] = fmaf(product[r][q], u, sum[r]);
            }
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            if (r < rows) {
                T *to = (T *)p.result + matrix * p.result_matrix + (row + r) * p.result_row + j;
                float y = p.scale * sum[r];
                if (p.addend != 0) {
                    y += ((const float *)p.addend)[(matrix * p.rows + row + r) * p.outputs + j];
                }
                *to = from_f32<T>(p.accumulate ? y + to_f32(*to) : y);
            }
        }
    };
#pragma unroll
    for (int w = 0; w < AHEAD; w++) {
        if (j0 + w * THREADS < j_end) {
            finish(j0 + w * THREADS, ahead[w]);
        }
    }
    for (int64_t j = j0 + AHEAD * THREADS; j < j_end; j += THREADS) {
        float first[8];
#pragma unroll
        for (int q = 0; q < 8; q++) {
            first[q] = q < p.rank ? to_f32(up[j * p.up_column + q * p.up_row]) : 0.0f;
        }
        finish(j, first);
    }
    if (blocks > 1) {
        asm volatile("barrier.cluster.wait.aligned;" ::: "memory"); /* nobody leaves while others read */
    }
#endif
}

#define LORA(type, name, r)                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        lora_##name##_r##r(const __grid_constant__ amps_lora_params p)                             \
    {                                                                                              \
        lora<type, r>(p);                                                                          \
    }
#define CLUSTER(type, name, r)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        lora_##name##_c##r(const __grid_constant__ amps_lora_params p)                             \
    {                                                                                              \
        lora_cluster<type, r>(p);                                                                  \
    }

LORA(float, f32, 1)
LORA(float, f32, 4)
LORA(f16, f16, 1)
LORA(f16, f16, 4)
LORA(bf16, bf16, 1)
LORA(bf16, bf16, 4)
CLUSTER(float, f32, 1)
CLUSTER(float, f32, 2)
CLUSTER(float, f32, 4)
CLUSTER(f16, f16, 1)
CLUSTER(f16, f16, 2)
CLUSTER(f16, f16, 4)
CLUSTER(bf16, bf16, 1)
CLUSTER(bf16, bf16, 2)
CLUSTER(bf16, bf16, 4)
