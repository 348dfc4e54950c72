/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lora_eight.cu: result = [result] + scale * (source * down) * up for rank 8 and up to 2048 inputs, in one launch of
 * blocks that never wait for each other. Launched by ops/cuda_lora.c.
 *
 * A block takes R rows and 512 * P columns of the result. A thread asks for everything it will need at once: K rows of
 * `down` with their inputs, and P pairs of columns of `up`; one journey to memory instead of one for every step. Blocks
 * that share rows repeat the first product.
 */
#include "common.cuh"

using namespace amps;

enum { THREADS = 256, WARPS = THREADS / 32, RANK = 8 };

/* What a thread needs of the operands. 8 elements of `down` are WORDS packs of 16 bytes, two of `up` WORDS words. */
template <typename T, int R, int K, int P> struct eight_block {
    static constexpr int WORDS = sizeof(T) / 2, V = R * RANK;
    const amps_lora_params &p;
    int64_t matrix, row;
    int rows, inputs, outputs, first; /* first: this thread's first column */
    uint4 down[K][WORDS];
    unsigned up[P][RANK][WORDS];
    float x[K][R];

    __device__ eight_block(const amps_lora_params &params) : p(params)
    {
        const int unit = blockIdx.x / p.splits, split = blockIdx.x - unit * p.splits;
        const int groups = ((int)p.rows + R - 1) / R;
        matrix = unit / groups;
        row = (unit - (int)matrix * groups) * R;
        rows = min(R, (int)(p.rows - row)), inputs = (int)p.inputs, outputs = (int)p.outputs;
        first = (split * P * THREADS + threadIdx.x) * 2;
    }
    __device__ int column(int n) const { return first + n * 2 * THREADS; }

    __device__ void load_down()
    {
        const T *const from = (const T *)p.down + matrix * p.down_matrix;
#pragma unroll
        for (int i = 0; i < K; i++) {
            const int k = threadIdx.x + i * THREADS;
#pragma unroll
            for (int w = 0; w < WORDS; w++) {
                down[i][w] = make_uint4(0, 0, 0, 0);
                if (k < inputs) {
                    down[i][w] = *((const uint4 *)(from + k * p.down_row) + w);
                }
            }
        }
    }
    __device__ void load_source()
    {
        const T *const from = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
#pragma unroll
        for (int i = 0; i < K; i++) {
            const int k = threadIdx.x + i * THREADS;
#pragma unroll
            for (int r = 0; r < R; r++) {
                x[i][r] = 0.0f;
                if (k < inputs) {
                    x[i][r] = to_f32(from[min(r, rows - 1) * p.source_row + k]);
                }
            }
        }
    }
    __device__ void load_up()
    {
        const T *const from = (const T *)p.up + matrix * p.up_matrix;
#pragma unroll
        for (int n = 0; n < P; n++) {
#pragma unroll
            for (int q = 0; q < RANK; q++) {
                const T *const at = from + q * p.up_row + min(column(n), outputs - 2);
                if constexpr (WORDS == 1) {
                    up[n][q][0] = *(const unsigned *)at;
                } else {
                    const uint2 two = *(const uint2 *)at;
                    up[n][q][0] = two.x, up[n][q][1] = two.y;
                }
            }
        }
    }

    /* Two neighbours from their words. */
    __device__ static void two(const unsigned *words, float *y)
    {
        if constexpr (WORDS == 1) {
            unpack_two(words[0], y, T());
        } else {
            y[0] = __uint_as_float(words[0]), y[1] = __uint_as_float(words[1]);
        }
    }

    /* This thread's part of the first product: sum[r * 8 + q]. */
    __device__ void multiply(float (&sum)[V]) const
    {
#pragma unroll
        for (int i = 0; i < K; i++) {
            float y[RANK];
#pragma unroll
            for (int q = 0; q < RANK; q += 2) {
                two((const unsigned *)down[i] + q / 2 * WORDS, y + q);
            }
#pragma unroll
            for (int r = 0; r < R; r++) {
#pragma unroll
                for (int q = 0; q < RANK; q++) {
                    sum[r * RANK + q] = fmaf(x[i][r], y[q], sum[r * RANK + q]);
                }
            }
        }
    }

    /* Row r of the result from its product, which is scaled. */
    __device__ void store(int r, const float (&product)[RANK]) const
    {
        T *const to = (T *)p.result + matrix * p.result_matrix + (row + r) * p.result_row;
#pragma unroll
        for (int n = 0; n < P; n++) {
            const int j = column(n);
            float y[2] = {}, u[2];
#pragma unroll
            for (int q = 0; q < RANK; q++) {
                two(up[n][q], u);
                y[0] = fmaf(product[q], u[0], y[0]), y[1] = fmaf(product[q], u[1], y[1]);
            }
            if (r < rows && j < outputs) {
                if (p.accumulate) {
                    y[0] += to_f32(to[j]), y[1] += to_f32(to[j + 1]);
                }
                if constexpr (WORDS == 1) {
                    *(unsigned *)(to + j) = pack_two(y[0], y[1], T());
                } else {
                    *(float2 *)(to + j) = make_float2(y[0], y[1]);
                }
            }
        }
    }
};

/* The block's sum of value lane % V. */
template <int V> __device__ inline float sum_of_block(float (&v)[V])
{
    __shared__ float part[WARPS][V];
    const int lane = threadIdx.x % 32;
    reduce_scatter<V>(v);
    if (lane % (32 / V) == 0) {
        part[threadIdx.x / 32][lane / (32 / V)] = v[0];
    }
    __syncthreads();
    float all = 0.0f;
#pragma unroll
    for (int w = 0; w < WARPS; w += 32 / V) {
        all += part[w + lane / V][lane % V];
    }
#pragma unroll
    for (int step = V; step < 32; step *= 2) {
        all += __shfl_xor_sync(0xffffffffu, all, step);
    }
    return all;
}

template <typename T, int R, int K, int P> __device__ __forceinline__ void lora_eight(const amps_lora_params &p)
{
    eight_block<T, R, K, P> b(p);
    launch_next();
    if ((p.settled & AMPS_SETTLED_WEIGHTS) == 0) {
        wait_previous();
    }
    b.load_down();
    if (p.settled == AMPS_SETTLED_WEIGHTS) {
        wait_previous();
    }
    b.load_source();
    b.load_up();
    float sum[R * RANK] = {};
    b.multiply(sum);
    const float all = sum_of_block<R * RANK>(sum);
    if (p.settled == (AMPS_SETTLED_WEIGHTS | AMPS_SETTLED_SOURCE)) {
        wait_previous();
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
        float product[RANK];
#pragma unroll
        for (int q = 0; q < RANK; q++) {
            product[q] = p.scale * __shfl_sync(0xffffffffu, all, r * RANK + q);
        }
        b.store(r, product);
    }
}

/* By rows a block and 256 inputs. */
#define EIGHT(type, name, r, k, pairs)                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                       \
        lora_##name##_eight_r##r##_k##k(const __grid_constant__ amps_lora_params p)                \
    {                                                                                              \
        lora_eight<type, r, k, pairs>(p);                                                          \
    }
#define EIGHTS(type, name)                                                                         \
    EIGHT(type, name, 1, 2, 1)                                                                     \
    EIGHT(type, name, 1, 4, 2)                                                                     \
    EIGHT(type, name, 1, 8, 2)                                                                     \
    EIGHT(type, name, 4, 2, 1)                                                                     \
    EIGHT(type, name, 4, 4, 2)                                                                     \
    EIGHT(type, name, 4, 8, 2)

EIGHTS(float, f32)
EIGHTS(f16, f16)
EIGHTS(bf16, bf16)
