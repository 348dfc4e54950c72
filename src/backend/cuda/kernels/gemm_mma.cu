/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_mma.cu: matmul of f16 and bf16 on the tensor cores by mma.sync, for every pair of layouts with 16-byte rows.
 * Launched by ops/gemm_tensor.c. Small tiles and four or five stages of cp.async: made for matrices up to a few hundred,
 * and for chips before Hopper.
 *
 * An operand lies in shared memory as it lies in device memory, in chunks of 16 bytes that are permuted within their row
 * so that ldmatrix reads eight rows from all 32 banks:
 *
 *     dense along the interior    [rows][64]     chunk c of row r at c ^ (r % 8)
 *     dense along the rows        [64][rows]     chunk c of row r at c ^ (r % 8), or c ^ (r/2 % 4) in rows of 4 chunks
 */
#include "gemm_end.cuh"
#include "mma.cuh"

using namespace amps;

enum { DEPTH = 64 };

template <int INNER> __device__ inline int chunk_place(int row, int chunk)
{
    constexpr int chunks = INNER / 8;
    return row * chunks + (chunk ^ (chunks >= 8 ? row & 7 : (row >> 1) & 3));
}

/*
 * One thread's share of copying [OUTER][INNER] elements: one chunk of every ROWS-th row. What lies outside of the
 * operand becomes zero.
 */
template <typename T, int OUTER, int INNER, int THREADS> struct tile_copy {
    static constexpr int CHUNKS = INNER / 8, ROWS = THREADS / CHUNKS, COUNT = OUTER / ROWS;
    const T *at;
    int64_t step; /* elements from one of its rows to the next */
    int row, chunk;

    __device__ tile_copy(const T *from, int64_t pitch)
        : step(pitch * ROWS), row(threadIdx.x / CHUNKS), chunk(threadIdx.x % CHUNKS)
    {
        at = from + row * pitch + chunk * 8;
    }
    /* `outer` rows and `inner` elements of each are left from here. */
    __device__ void run(unsigned to, int outer, int inner) const
    {
        const int bytes = min(max((inner - chunk * 8) * 2, 0), 16);
        const T *from = at;
#pragma unroll
        for (int i = 0; i < COUNT; i++, from += step) {
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to + 16 * chunk_place<INNER>(row + i * ROWS, chunk)),
                         "l"(from), "r"(row + i * ROWS < outer ? bytes : 0)
                         : "memory");
        }
    }
};

/* Only alpha to apply, an even number of columns, pairs aligned. */
template <typename R, int WM, int WN>
__device__ inline void store_simple(const amps_gemm_params &p, int64_t matrix, int64_t i0, int64_t j0, const float (*sum)[WN / 8][4])
{
    const int lane = threadIdx.x % 32;
    R *to = (R *)p.result + matrix * p.result_matrix + (i0 + lane / 4) * p.result_row + j0 + lane % 4 * 2;
    const int rows = (int)min((int64_t)WM, p.rows - i0) - lane / 4, columns = (int)min((int64_t)WN, p.columns - j0) - lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < WM / 16; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            R *row = to + (m * 16 + half * 8) * p.result_row;
#pragma unroll
            for (int n = 0; n < WN / 8; n++) {
                if (m * 16 + half * 8 < rows && n * 8 < columns) {
                    const float a = p.alpha * sum[m][n][half * 2], b = p.alpha * sum[m][n][half * 2 + 1];
                    if constexpr (sizeof(R) == 4) {
                        *reinterpret_cast<float2 *>(row + n * 8) = make_float2(a, b);
                    } else {
                        *reinterpret_cast<unsigned *>(row + n * 8) = pack_two(a, b, R());
                    }
                }
            }
        }
    }
}

/* Anything else: the sums go through shared memory, so that a short loop serves all elements in their order. */
template <typename T, typename R, int TM, int TN, int THREADS>
__device__ inline void store_any(const amps_gemm_params &p, int64_t matrix, int64_t i0, int64_t j0, const float *tile)
{
#pragma unroll 1
    for (int n = threadIdx.x; n < TM * TN; n += THREADS) {
        const int64_t i = i0 + n / TN, j = j0 + n % TN;
        if (i < p.rows && j < p.columns) {
            gemm_end<T, R>(p, matrix, i, j, tile[n]);
        }
    }
}

/* LT: the left operand is dense along the rows; RT: the right one is dense along the columns. */
template <typename T, bool LT, bool RT, int TM, int TN, int WM, int WN, int STAGES>
__device__ __forceinline__ void gemm_mma(const amps_gemm_params &p)
{
    constexpr int THREADS = TM / WM * (TN / WN) * 32;
    constexpr int LEFT_BYTES = TM * DEPTH * 2, STAGE_BYTES = LEFT_BYTES + TN * DEPTH * 2;
    extern __shared__ __align__(128) unsigned char dynamic[];
    const unsigned memory = (unsigned)__cvta_generic_to_shared(dynamic);
    /* Where and from where, in 32 bits (the grid's own range), before the wait: it need not wait. */
    const unsigned along = (unsigned)((p.columns + TN - 1) / TN), per_matrix = along * (unsigned)((p.rows + TM - 1) / TM);
    const unsigned whole_matrix = blockIdx.x / per_matrix, tile = blockIdx.x - whole_matrix * per_matrix, down = tile / along;
    const int64_t matrix = whole_matrix, i0 = (int64_t)down * TM, j0 = (int64_t)(tile - down * along) * TN;
    const T *left = (const T *)p.left + matrix * p.left_matrix + i0 * p.left_row;
    const T *right = (const T *)p.right + matrix * p.right_matrix + j0 * p.right_column;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int wi = warp / (TN / WN) * WM, wj = warp % (TN / WN) * WN;
    const int steps = (int)((p.interior + DEPTH - 1) / DEPTH);

    /* An operand dense along the interior has it inside its rows in shared memory, else outside. */
    tile_copy<T, LT ? DEPTH : TM, LT ? TM : DEPTH, THREADS> left_copy(left, LT ? p.left_column : p.left_row);
    tile_copy<T, RT ? DEPTH : TN, RT ? TN : DEPTH, THREADS> right_copy(right, RT ? p.right_row : p.right_column);
    const int64_t left_step = LT ? p.left_column * DEPTH : DEPTH, right_step = RT ? p.right_row * DEPTH : DEPTH;
    const int left_rows = (int)min((int64_t)TM, p.rows - i0), right_columns = (int)min((int64_t)TN, p.columns - j0);
    launch_next();

    auto fetch_left = [&](int step) {
        if (step < steps) {
            const int k = (int)min(p.interior - (int64_t)step * DEPTH, (int64_t)DEPTH);
            left_copy.run(memory + step % STAGES * STAGE_BYTES, LT ? k : left_rows, LT ? left_rows : k);
            left_copy.at += left_step;
        }
    };
    auto fetch_right = [&](int step) {
        if (step < steps) {
            const int k = (int)min(p.interior - (int64_t)step * DEPTH, (int64_t)DEPTH);
            right_copy.run(memory + step % STAGES * STAGE_BYTES + LEFT_BYTES, RT ? k : right_columns, RT ? right_columns : k);
            right_copy.at += right_step;
        }
    };

    float sum[WM / 16][WN / 8][4] = {};
    /* What is settled is fetched while the kernel before still runs; all copies until a commit are one group. */
    const bool early_left = p.settled & AMPS_SETTLED_LEFT, early_right = p.settled & AMPS_SETTLED_RIGHT;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (early_left) {
            fetch_left(s);
        }
        if (early_right) {
            fetch_right(s);
        }
        if (early_left && early_right) {
            asm volatile("cp.async.commit_group;" ::: "memory");
        }
    }
    if (!(early_left && early_right)) {
        wait_previous();
#pragma unroll
        for (int s = 0; s < STAGES - 1; s++) {
            if (!early_left) {
                fetch_left(s);
            }
            if (!early_right) {
                fetch_right(s);
            }
            asm volatile("cp.async.commit_group;" ::: "memory");
        }
    }
    for (int step = 0; step < steps; step++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();
        fetch_left(step + STAGES - 1);
        fetch_right(step + STAGES - 1);
        asm volatile("cp.async.commit_group;" ::: "memory");
        const unsigned a_at = memory + step % STAGES * STAGE_BYTES, b_at = a_at + LEFT_BYTES;
        const int q = lane / 8, r = lane % 8; /* this lane addresses row r of the q-th 8 × 8 matrix */
#pragma unroll
        for (int k = 0; k < DEPTH; k += 16) {
            unsigned a[WM / 16][4], b[WN / 16][4];
#pragma unroll
            for (int m = 0; m < WM / 16; m++) {
                const int i = wi + m * 16;
                load_matrices<LT>(a[m], a_at + 16 * (LT ? chunk_place<TM>(k + q / 2 * 8 + r, i / 8 + q % 2)
                                                        : chunk_place<DEPTH>(i + q % 2 * 8 + r, k / 8 + q / 2)));
            }
#pragma unroll
            for (int n = 0; n < WN / 16; n++) {
                const int j = wj + n * 16;
                load_matrices<RT>(b[n], b_at + 16 * (RT ? chunk_place<TN>(k + q % 2 * 8 + r, j / 8 + q / 2)
                                                        : chunk_place<DEPTH>(j + q / 2 * 8 + r, k / 8 + q % 2)));
            }
#pragma unroll
            for (int m = 0; m < WM / 16; m++) {
#pragma unroll
                for (int n = 0; n < WN / 8; n++) {
                    mma_16x8x16(sum[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1], T());
                }
            }
        }
    }
    wait_previous();
    const int64_t size = p.wide ? 4 : 2;
    const bool paired = p.result_column == 1 && p.result % (2 * size) == 0 && p.result_row % 2 == 0 && p.result_matrix % 2 == 0;
    const bool simple = paired && p.beta == 0.0f && p.bias == 0 && p.neuron.type == 0 && p.columns % 2 == 0;
    if (simple && p.wide) {
        store_simple<float, WM, WN>(p, matrix, i0 + wi, j0 + wj, sum);
        return;
    }
    if (simple) {
        store_simple<T, WM, WN>(p, matrix, i0 + wi, j0 + wj, sum);
        return;
    }
    float *const whole = reinterpret_cast<float *>(dynamic);
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
#pragma unroll
    for (int m = 0; m < WM / 16; m++) {
#pragma unroll
        for (int n = 0; n < WN / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                whole[(wi + m * 16 + lane / 4 + i / 2 * 8) * TN + wj + n * 8 + lane % 4 * 2 + i % 2] = sum[m][n][i];
            }
        }
    }
    __syncthreads();
    if (p.wide) {
        store_any<T, float, TM, TN, THREADS>(p, matrix, i0, j0, whole);
    } else {
        store_any<T, T, TM, TN, THREADS>(p, matrix, i0, j0, whole);
    }
}

#define MMA(type, name, lt, rt, layouts)                                                           \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        mma_##name##_##layouts##_32(const __grid_constant__ amps_gemm_params p)                    \
    {                                                                                              \
        gemm_mma<type, lt, rt, 32, 32, 16, 16, 5>(p);                                                 \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        mma_##name##_##layouts##_64(const __grid_constant__ amps_gemm_params p)                    \
    {                                                                                              \
        gemm_mma<type, lt, rt, 64, 64, 32, 32, 4>(p);                                                 \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256)                                              \
        mma_##name##_##layouts##_128(const __grid_constant__ amps_gemm_params p)                   \
    {                                                                                              \
        gemm_mma<type, lt, rt, 128, 128, 64, 32, 4>(p);                                               \
    }

/* n: dense along the interior; t: dense along rows (left) or columns (right) */
MMA(f16, f16, false, false, nn)
MMA(f16, f16, false, true, nt)
MMA(f16, f16, true, false, tn)
MMA(f16, f16, true, true, tt)
MMA(bf16, bf16, false, false, nn)
MMA(bf16, bf16, false, true, nt)
MMA(bf16, bf16, true, false, tn)
MMA(bf16, bf16, true, true, tt)
