/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lora_up.cu: result = [addend] + [result] + scale * product * up in bf16 for many rows on Hopper's tensor cores, where
 * product = source * down has been made before, in f32. Launched by ops/cuda_lora.c behind that product.
 *
 * Each f32 of the product is high + low of bf16's 8 digits each, so that two of bf16's products make one
 * (docs/numerics.md). A block stays with its rows: a warp keeps 16 of them as operands in registers, from memory straight
 * to where the instruction wants them, while tiles of `up` pass through three buffers. Sums change lanes in fours, so
 * that 16 bytes are stored at a time.
 */
#include "mma.cuh"
#include "mma_parts.cuh"

using namespace amps;

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

enum { DEPTH = 64 /* of the rank at a time */, STEPS = DEPTH / 16, BUFFERS = 3 };

/* The four lanes of a group turn their 4 × 4 words: word i of lane k becomes word k of lane i. */
__device__ inline void turn(unsigned (&w)[4])
{
    const bool one = threadIdx.x & 1, two = threadIdx.x & 2;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        const unsigned got = __shfl_xor_sync(0xffffffffu, one ? w[i] : w[i + 1], 1);
        w[i] = one ? got : w[i], w[i + 1] = one ? w[i + 1] : got;
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const unsigned got = __shfl_xor_sync(0xffffffffu, two ? w[i] : w[i + 2], 2);
        w[i] = two ? got : w[i], w[i + 2] = two ? w[i + 2] : got;
    }
}

/* ROWS × outputs_per_block of the result, in tiles of COLUMNS. ALONG: `up` is dense along the outputs, else along the
   rank. */
template <int ROWS, int COLUMNS, bool ALONG> struct up_block {
    /* Warps along the rows; columns and tiles of a warp. */
    static constexpr int DOWN = ROWS / 16, WIDTH = COLUMNS * DOWN / 8, TILES = WIDTH / 8;
    /* Rows of a tile are apart by 4 banks more than a multiple of 32: ldmatrix meets each bank once. */
    static constexpr int PITCH = ALONG ? COLUMNS + 8 : DEPTH + 8, ELEMENTS = (ALONG ? DEPTH : COLUMNS) * PITCH;
    const amps_lora_params &p;
    bf16 *ups;
    int64_t matrix, row, column;
    int rows, columns, pieces, tiles, lane, line, side; /* of this block; the warp's first row and column in a tile */

    __device__ up_block(const amps_lora_params &params) : p(params)
    {
        extern __shared__ __align__(128) unsigned char memory[];
        const int64_t across = (p.outputs + p.outputs_per_block - 1) / p.outputs_per_block;
        const int64_t down = (p.rows + ROWS - 1) / ROWS;
        const int64_t place = blockIdx.x / across;
        ups = (bf16 *)memory;
        matrix = place / down;
        row = (place - matrix * down) * ROWS;
        column = (blockIdx.x - place * across) * p.outputs_per_block;
        rows = (int)min((int64_t)ROWS, p.rows - row);
        columns = (int)min((int64_t)p.outputs_per_block, p.outputs - column);
        pieces = ((int)p.rank + DEPTH - 1) / DEPTH;
        tiles = (columns + COLUMNS - 1) / COLUMNS;
        lane = threadIdx.x % 32;
        line = threadIdx.x / 32 % DOWN * 16, side = threadIdx.x / 32 / DOWN * WIDTH;
    }

    __device__ int depth(int piece) const { return min((int)DEPTH, (int)p.rank - piece * DEPTH); }

    /* Asks for the n-th piece of all: those of a tile one behind the other. */
    __device__ void load_up(int n) const
    {
        if (n < tiles * pieces) {
            const int tile = n / pieces, piece = n - tile * pieces, deep = depth(piece), whole = (deep + 15) / 16 * 16;
            const int wide = min(COLUMNS, columns - tile * COLUMNS);
            const bf16 *const from = (const bf16 *)p.up + matrix * p.up_matrix + (int64_t)piece * DEPTH * p.up_row +
                                     (column + tile * COLUMNS) * p.up_column;
            bf16 *const to = ups + n % BUFFERS * ELEMENTS;
            if constexpr (ALONG) {
                stage<bf16>(to, PITCH, from, p.up_row, deep, wide, whole, COLUMNS, true);
            } else {
                stage<bf16>(to, PITCH, from, p.up_column, wide, deep, COLUMNS, whole, true);
            }
        }
        close_group();
    }

    /* This lane's elements of the product. Rows past the end repeat the last and are not stored. */
    __device__ void load_product(int piece, unsigned (&high)[STEPS][4], unsigned (&low)[STEPS][4], bool *odd) const
    {
        const int deep = depth(piece);
        const float *const from = (const float *)p.product + (matrix * p.rows + row) * p.rank + piece * DEPTH;
        float2 x[STEPS][4];
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int r = min(line + lane / 4 + i % 2 * 8, rows - 1), k = s * 16 + lane % 4 * 2 + i / 2 * 8;
                x[s][i] = make_float2(0.0f, 0.0f);
                if (k < deep) {
                    x[s][i] = *(const float2 *)(from + r * (int)p.rank + k);
                }
            }
        }
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float h[2];
                *odd |= is_odd(x[s][i].x) | is_odd(x[s][i].y);
                high[s][i] = pack_two(x[s][i].x, x[s][i].y, bf16());
                unpack_two(high[s][i], h, bf16());
                low[s][i] = pack_two(x[s][i].x - h[0], x[s][i].y - h[1], bf16());
            }
        }
    }
    /* Beyond what two parts hold; NaN shows in the sums. */
    __device__ static bool is_odd(float x)
    {
        const float size = fabsf(x);
        return size >= 0x1p126f || (size < 0x1p-90f && size > 0.0f);
    }

    /* One piece of the rank: sums (16 × 8 each) += product (16 × 64) * up (64 × 8). */
    __device__ void multiply(float (&sum)[TILES][4], const unsigned (&high)[STEPS][4], const unsigned (&low)[STEPS][4],
                             int n, int deep) const
    {
        const int along = lane % 16 * PITCH + side + lane / 16 * 8;
        const int across = (side + lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 8;
        const bf16 *const at = ups + n % BUFFERS * ELEMENTS + (ALONG ? along : across);
#pragma unroll
        for (int s = 0; s < STEPS; s++) {
            if (s * 16 >= deep) {
                break;
            }
#pragma unroll
            for (int t = 0; t < TILES; t += 2) {
                unsigned b[4];
                const bf16 *const tiles = ALONG ? at + s * 16 * PITCH + t * 8 : at + t * 8 * PITCH + s * 16;
                load_matrices<ALONG>(b, shared_address(tiles));
                mma_16x8x16(sum[t], high[s], b[0], b[1], bf16());
                mma_16x8x16(sum[t + 1], high[s], b[2], b[3], bf16());
                mma_16x8x16(sum[t], low[s], b[0], b[1], bf16());
                mma_16x8x16(sum[t + 1], low[s], b[2], b[3], bf16());
            }
        }
    }

    /* An infinity in `up` may have met a low part of 0: true if a sum of the warp is no number. */
    __device__ static bool are_odd(const float (&sum)[TILES][4])
    {
        float all = 0.0f;
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            all = fmaf(sum[t][0] + sum[t][1], 0.0f, fmaf(sum[t][2] + sum[t][3], 0.0f, all));
        }
        return all != all;
    }
    /* y[0] and y[1] at (r, j) += what is there already. */
    __device__ void add_more(float (&y)[2], int r, int64_t j, const bf16 *to) const
    {
        float more[2];
        if (p.addend != 0) {
            const float2 got = *(const float2 *)((const float *)p.addend + (matrix * p.rows + row + r) * p.outputs + j);
            y[0] += got.x, y[1] += got.y;
        }
        if (p.accumulate) {
            unpack_two(*(const unsigned *)(to + j), more, bf16());
            y[0] += more[0], y[1] += more[1];
        }
    }
    /* The warp's part of a tile the plain way. */
    __device__ void store_plainly(int tile) const
    {
        const float *const product = (const float *)p.product + (matrix * p.rows + row) * p.rank;
        const bf16 *const up = (const bf16 *)p.up + matrix * p.up_matrix;
#pragma unroll 1
        for (int n = lane; n < 16 * WIDTH; n += 32) {
            const int r = line + n / WIDTH, j = tile * COLUMNS + side + n % WIDTH;
            if (r >= rows || j >= columns) {
                continue;
            }
            float sum = 0.0f;
#pragma unroll 1
            for (int64_t q = 0; q < p.rank; q++) {
                sum = fmaf(product[r * p.rank + q], to_f32(up[q * p.up_row + (column + j) * p.up_column]), sum);
            }
            bf16 *const to = (bf16 *)p.result + matrix * p.result_matrix + (row + r) * p.result_row + column + j;
            sum *= p.scale;
            if (p.addend != 0) {
                sum += ((const float *)p.addend)[(matrix * p.rows + row + r) * p.outputs + column + j];
            }
            *to = from_f32<bf16>(p.accumulate ? sum + to_f32(*to) : sum);
        }
    }
    template <bool MORE> __device__ void store(const float (&sum)[TILES][4], int tile) const
    {
        const int j0 = tile * COLUMNS + side;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int r = line + lane / 4 + half * 8;
            bf16 *const to = (bf16 *)p.result + matrix * p.result_matrix + (row + r) * p.result_row;
#pragma unroll
            for (int t = 0; t < TILES; t += 4) {
                unsigned w[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float y[2] = {p.scale * sum[t + i][half * 2], p.scale * sum[t + i][half * 2 + 1]};
                    const int j = j0 + (t + i) * 8 + lane % 4 * 2;
                    if (MORE && r < rows && j < columns) {
                        add_more(y, r, column + j, to);
                    }
                    w[i] = pack_two(y[0], y[1], bf16());
                }
                turn(w);
                const int j = j0 + (t + lane % 4) * 8;
                if (r < rows && j < columns) {
                    *(uint4 *)(to + column + j) = make_uint4(w[0], w[1], w[2], w[3]);
                }
            }
        }
    }
};

template <int ROWS, int COLUMNS, bool ALONG> __device__ __forceinline__ void lora_up(const amps_lora_params &p)
{
    using block = up_block<ROWS, COLUMNS, ALONG>;
    const block b(p);
    const bool early = (p.settled & AMPS_SETTLED_WEIGHTS) != 0;
    launch_next();
    if (!early) {
        wait_previous();
    }
    b.load_up(0);
    b.load_up(1);
    if (early) {
        wait_previous();
    }
    unsigned high[STEPS][4], low[STEPS][4];
    bool odd = false;
    b.load_product(0, high, low, &odd);
    for (int tile = 0; tile < b.tiles; tile++) {
        float sum[block::TILES][4] = {};
        for (int piece = 0; piece < b.pieces; piece++) {
            const int n = tile * b.pieces + piece;
            if (b.pieces > 1 && n > 0) {
                b.load_product(piece, high, low, &odd);
            }
            wait_group<1>();
            __syncthreads();
            b.load_up(n + 2); /* where piece n - 1 was */
            b.multiply(sum, high, low, n, b.depth(piece));
        }
        if (__any_sync(0xffffffffu, odd || block::are_odd(sum))) {
            b.store_plainly(tile);
        } else if (p.addend != 0 || p.accumulate) {
            b.template store<true>(sum, tile);
        } else {
            b.template store<false>(sum, tile);
        }
    }
}

#define CODE(call) call
#else
#define CODE(call) /* the host launches these on Hopper only */
#endif

#define UP(rows, columns, name, along)                                                             \
    extern "C" __global__ void __launch_bounds__(256, 2)                                           \
        lora_up_##rows##x##columns##_##name(const __grid_constant__ amps_lora_params p)            \
    {                                                                                              \
        CODE((lora_up<rows, columns, along>(p)));                                                  \
    }

UP(64, 64, n, true)
UP(64, 64, t, false)
UP(128, 128, n, true)
UP(128, 128, t, false)
