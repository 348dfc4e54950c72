/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lora_rows.cu: result = [addend] + [result] + scale * product * up for many rows on Hopper's tensor cores, where product =
 * source * down has been made before, in f32. Launched by ops/cuda_lora.c behind that product.
 *
 * A block makes 64 × 128 of the result, each of its warps 32 × 32. Product and `up` come in pieces of 64 of the rank, the
 * product cut into TF32 parts on its way (mma_parts.cuh). The sums then pass through shared memory, so that addend and result
 * are read and written 16 bytes at a time.
 */
#include "mma_parts.cuh"

using namespace amps;

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

enum { ROWS = 64, COLUMNS = 128, DEPTH = 64, PRODUCT_PITCH = DEPTH + 4, SUM_PITCH = COLUMNS + 4 };
enum { PRODUCT_PAIRS = ROWS * PRODUCT_PITCH, UP_ELEMENTS = COLUMNS * (DEPTH + 8) };

template <typename T> struct rows_block {
    static constexpr bool NARROW = sizeof(T) == 2;
    const amps_lora_params &p;
    float2 *pairs; /* a piece of the product in parts */
    float *sums;   /* later in the same place */
    T *ups;        /* a piece of `up`, or two in turn */
    bool along; /* `up` is dense along the outputs */
    int up_pitch;
    int64_t matrix, row, column;
    int rows, columns; /* of this tile */

    __device__ rows_block(const amps_lora_params &params) : p(params)
    {
        extern __shared__ __align__(128) unsigned char memory[];
        const int64_t across = (p.outputs + COLUMNS - 1) / COLUMNS, down = (p.rows + ROWS - 1) / ROWS;
        const int64_t place = blockIdx.x / across;
        matrix = place / down;
        row = (place - matrix * down) * ROWS;
        column = (blockIdx.x - place * across) * COLUMNS;
        rows = (int)min((int64_t)ROWS, p.rows - row), columns = (int)min((int64_t)COLUMNS, p.outputs - column);
        pairs = (float2 *)memory;
        sums = (float *)memory;
        ups = (T *)(pairs + PRODUCT_PAIRS);
        along = p.up_column == 1;
        /* Apart by 4 or 8 banks more than a multiple of 32: no two lanes meet in one. */
        up_pitch = along ? COLUMNS + 8 : NARROW ? DEPTH + 8 : DEPTH + 4;
    }

    __device__ T *up_at(int n) const { return ups + n % 2 * UP_ELEMENTS; }
    __device__ int pieces() const { return (int)((p.rank + DEPTH - 1) / DEPTH); }
    /* Of piece n: what there is of the rank, and in whole steps of an instruction. */
    __device__ int depth(int n) const { return (int)min((int64_t)DEPTH, p.rank - (int64_t)n * DEPTH); }
    __device__ int steps(int n) const { return (depth(n) + 7) / 8; }

    __device__ void load_up(int n) const
    {
        if (n >= pieces()) {
            return;
        }
        const T *const from = (const T *)p.up + matrix * p.up_matrix + n * DEPTH * p.up_row + column * p.up_column;
        if (along) {
            stage<T>(up_at(n), up_pitch, from, p.up_row, depth(n), columns, steps(n) * 8, COLUMNS, p.up_packs);
        } else {
            stage<T>(up_at(n), up_pitch, from, p.up_column, columns, depth(n), COLUMNS, steps(n) * 8, p.up_packs);
        }
    }
    /* Piece n of the product, cut; zeros where there is none. */
    __device__ void cut_product(int n, bool *odd) const
    {
        const float *const from = (const float *)p.product + (matrix * p.rows + row) * p.rank + n * DEPTH;
        const int all = steps(n) * 8, deep = depth(n);
        if (p.product_packs) { /* then `deep` is whole packs, too */
            const int k = threadIdx.x % (DEPTH / 4) * 4;
#pragma unroll
            for (int i = threadIdx.x / (DEPTH / 4); i < ROWS; i += MMA_THREADS / (DEPTH / 4)) {
                if (k < all) {
                    float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                    if (i < rows && k < deep) {
                        x = *(const float4 *)(from + i * p.rank + k);
                    }
                    put_pair(i, k, x.x, odd), put_pair(i, k + 1, x.y, odd);
                    put_pair(i, k + 2, x.z, odd), put_pair(i, k + 3, x.w, odd);
                }
            }
        } else {
            for (int m = threadIdx.x; m < ROWS * DEPTH; m += MMA_THREADS) {
                const int i = m / DEPTH, k = m % DEPTH;
                if (k < all) {
                    put_pair(i, k, i < rows && k < deep ? from[i * p.rank + k] : 0.0f, odd);
                }
            }
        }
    }
    __device__ void put_pair(int i, int k, float value, bool *odd) const
    {
        unsigned high, low;
        cut(value, &high, &low, odd);
        pairs[i * PRODUCT_PITCH + k] = make_float2(__uint_as_float(high), __uint_as_float(low));
    }

    /* An 8 × 8 tile on the right; 16-bit elements are TF32 as they are. */
    __device__ void load_right(const T *at, int k_step, int n_step, unsigned (&right)[2], unsigned (&rest)[2], bool *odd) const
    {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const float value = to_f32(at[(lane % 4 + i * 4) * k_step + lane / 4 * n_step]);
            if constexpr (NARROW) {
                right[i] = __float_as_uint(value); /* an infinity meets high and low, and may leave a NaN: see put */
            } else {
                cut(value, &right[i], &rest[i], odd);
            }
        }
    }

    /* One piece of the rank: sum, and apart from it what the low parts add. */
    __device__ void multiply(float (&sum)[2][4][4], float (&small)[2][4][4], int n, bool *odd) const
    {
        const int warp = threadIdx.x / 32;
        const float2 *const left = pairs + warp / 4 * 32 * PRODUCT_PITCH;
        const int k_step = along ? up_pitch : 1, n_step = along ? 1 : up_pitch;
        const T *const up = up_at(n) + warp % 4 * 32 * n_step;
        for (int k = 0; k < steps(n) * 8; k += 8) {
            unsigned high[2][4], low[2][4];
            load_left(left + k, PRODUCT_PITCH, high[0], low[0]);
            load_left(left + 16 * PRODUCT_PITCH + k, PRODUCT_PITCH, high[1], low[1]);
#pragma unroll
            for (int t = 0; t < 4; t++) {
                unsigned right[2], rest[2];
                load_right(up + k * k_step + t * 8 * n_step, k_step, n_step, right, rest, odd);
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    if constexpr (!NARROW) {
                        mma_tf32(small[m][t], high[m], rest);
                    }
                    mma_tf32(small[m][t], low[m], right);
                    mma_tf32(sum[m][t], high[m], right);
                }
            }
        }
    }

    /* The sums the plain way: values that TF32 parts cannot hold. */
    __device__ void multiply_plainly() const
    {
        const float *const product = (const float *)p.product + (matrix * p.rows + row) * p.rank;
        const T *const up = (const T *)p.up + matrix * p.up_matrix + column * p.up_column;
        for (int n = threadIdx.x; n < rows * COLUMNS; n += MMA_THREADS) {
            const int i = n / COLUMNS, j = n % COLUMNS;
            float sum = 0.0f;
            for (int64_t q = 0; q < p.rank && j < columns; q++) {
                sum = fmaf(product[i * p.rank + q], to_f32(up[q * p.up_row + j * p.up_column]), sum);
            }
            sums[i * SUM_PITCH + j] = sum;
        }
    }
    /* The sums to where `store` finds them; true if one is no number: its parts may be to blame. */
    __device__ bool put(const float (&sum)[2][4][4], const float (&small)[2][4][4]) const
    {
        bool odd = false;
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int t = 0; t < 4; t++) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int i = warp / 4 * 32 + m * 16 + half * 8 + lane / 4, j = warp % 4 * 32 + t * 8 + lane % 4 * 2;
                    const float x = sum[m][t][half * 2] + small[m][t][half * 2];
                    const float y = sum[m][t][half * 2 + 1] + small[m][t][half * 2 + 1];
                    odd |= x != x || y != y;
                    *(float2 *)(sums + i * SUM_PITCH + j) = make_float2(x, y);
                }
            }
        }
        return odd;
    }

    /* V neighbours of a row from their sums. */
    template <int V> __device__ void store(int i, int j) const
    {
        T *const to = (T *)p.result + matrix * p.result_matrix + (row + i) * p.result_row + column + j;
        float x[V], old[V];
#pragma unroll
        for (int n = 0; n < V; n++) {
            x[n] = p.scale * sums[i * SUM_PITCH + j + n];
        }
        if (p.addend != 0) {
            const float *const addend = (const float *)p.addend + (matrix * p.rows + row + i) * p.outputs + column + j;
#pragma unroll
            for (int n = 0; n < V; n++) {
                x[n] += addend[n];
            }
        }
        if (p.accumulate) {
            unpack<T, V>(to, old);
#pragma unroll
            for (int n = 0; n < V; n++) {
                x[n] += old[n];
            }
        }
        repack<T, V>(to, x);
    }
    __device__ void store_all() const
    {
        constexpr int V = 16 / sizeof(T), PACKS = COLUMNS / V;
        if (p.result_packs) {
#pragma unroll 4
            for (int n = threadIdx.x; n < rows * PACKS; n += MMA_THREADS) {
                if (n % PACKS * V < columns) {
                    store<V>(n / PACKS, n % PACKS * V);
                }
            }
        } else {
            for (int n = threadIdx.x; n < rows * COLUMNS; n += MMA_THREADS) {
                if (n % COLUMNS < columns) {
                    store<1>(n / COLUMNS, n % COLUMNS);
                }
            }
        }
    }
};

template <typename T> __device__ __forceinline__ void lora_rows(const amps_lora_params &p)
{
    rows_block<T> b(p);
    launch_next();
    if ((p.settled & AMPS_SETTLED_WEIGHTS) == 0) {
        wait_previous();
    }
    b.load_up(0);
    if ((p.settled & AMPS_SETTLED_WEIGHTS) != 0) {
        wait_previous();
    }
    close_group();
    float sum[2][4][4] = {}, small[2][4][4] = {};
    bool odd = false;
    for (int n = 0; n < b.pieces(); n++) {
        b.load_up(n + 1);
        close_group();
        b.cut_product(n, &odd);
        wait_group<1>();
        __syncthreads();
        b.multiply(sum, small, n, &odd);
        __syncthreads();
    }
    odd |= b.put(sum, small);
    if (__syncthreads_or(odd)) {
        b.multiply_plainly();
        __syncthreads();
    }
    b.store_all();
}

#define CODE(call) call
#else
#define CODE(call) /* the host launches these on Hopper only */
#endif

#define LORA(type, name)                                                                           \
    extern "C" __global__ void __launch_bounds__(256, 2)                                            \
        lora_##name##_rows(const __grid_constant__ amps_lora_params p)                             \
    {                                                                                              \
        CODE(lora_rows<type>(p));                                                                  \
    }

LORA(float, f32)
LORA(f16, f16)
LORA(bf16, bf16)
