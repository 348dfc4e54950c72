/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lora_mma.cu: result = [addend] + [result] + scale * (source * down) * up on Hopper's tensor cores, rank up to 256, in one
 * launch. Launched by ops/cuda_lora.c.
 *
 * A cluster takes 16 rows. Each block multiplies its slice of the inputs, sends the sums of every row to the block that
 * owns the row, receives the finished product of all 16 rows and multiplies it with its slice of `up`. Tiles of `down`,
 * then of `up`, go through two buffers in turn, so that the first of each is on its way before anything is known.
 *
 * f16 and bf16: the first product's terms are exact in f32. f32, and the second product always: TF32 parts (mma_parts.cuh).
 */
#include "mma.cuh"
#include "mma_parts.cuh"

using namespace amps;

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

enum { ROWS = MMA_ROWS, THREADS = MMA_THREADS, WARPS = THREADS / 32, MOST_TILES = 4 /* of 8 ranks or outputs, of a warp */ };

template <typename T> struct lora_block {
    static constexpr bool NARROW = sizeof(T) == 2;
    static constexpr int STEP = NARROW ? 16 : 8; /* of the interior in one instruction of the first product */
    const amps_lora_params &p;
    T *tiles, *rows_from; /* two of each, in turn */
    float *product, *received;
    float2 *pairs; /* of a tile of the source (f32), later of the product */
    uint64_t *met;
    int rank, down_pitch, up_pitch, source_pitch, product_pitch; /* rank rounded up to 16 */
    int blocks, block, rows;
    int64_t matrix, row, k_begin, k_end, j_begin, j_end;
    int downs, ups; /* tiles of `down` and of `up` */

    __device__ lora_block(const amps_lora_params &params) : p(params)
    {
        extern __shared__ __align__(128) unsigned char memory[];
        auto cluster = cooperative_groups::this_cluster();
        blocks = cluster.num_blocks(), block = cluster.block_rank();
        rank = ((int)p.rank + 15) / 16 * 16;
        const int64_t unit = blockIdx.x / blocks, groups = (p.rows + ROWS - 1) / ROWS;
        matrix = unit / groups;
        row = (unit - matrix * groups) * ROWS;
        rows = (int)min((int64_t)ROWS, p.rows - row);
        k_begin = min((int64_t)block * p.slice_inputs, p.inputs), k_end = min(k_begin + p.slice_inputs, p.inputs);
        j_begin = min((int64_t)block * p.slice_outputs, p.outputs), j_end = min(j_begin + p.slice_outputs, p.outputs);
        downs = (int)((k_end - k_begin + p.tile - 1) / p.tile), ups = (int)((j_end - j_begin + p.tile - 1) / p.tile);
        /* Rows of a tile are apart by 4 or 8 banks more than a multiple of 32: no two lanes meet in one. */
        const int along_rank = NARROW ? (rank + 63) / 64 * 64 + 8 : (rank + 31) / 32 * 32 + 8;
        const int across = p.tile + 8, across_rank = NARROW ? rank + 8 : (rank + 31) / 32 * 32 + 4;
        down_pitch = p.down_column == 1 ? along_rank : NARROW ? across : p.tile + 4;
        up_pitch = p.up_column == 1 ? across : across_rank;
        source_pitch = NARROW ? p.tile + 8 : p.tile + 4;
        product_pitch = (rank + 31) / 32 * 32 + 4;
        product = (float *)memory;
        received = product + ROWS * product_pitch;
        pairs = (float2 *)(received + p.received_floats);
        met = (uint64_t *)(pairs + ROWS * max(source_pitch * !NARROW, product_pitch));
        rows_from = (T *)(met + 2);
        tiles = rows_from + 2 * ROWS * source_pitch;
    }

    __device__ T *tile_at(int n) const { return tiles + n % 2 * p.tile_elements; }
    __device__ T *source_at(int n) const { return rows_from + n % 2 * ROWS * source_pitch; }

    /* Asks for tile n: those of `down` first. */
    __device__ void load_weights(int n) const
    {
        T *const to = tile_at(n);
        if (n < downs) {
            const int64_t k = k_begin + (int64_t)n * p.tile;
            const int many = (int)min((int64_t)p.tile, k_end - k);
            const T *const from = (const T *)p.down + matrix * p.down_matrix + k * p.down_row;
            if (p.down_column == 1) {
                stage<T>(to, down_pitch, from, p.down_row, many, (int)p.rank, p.tile, rank, p.down_packs);
            } else {
                stage<T>(to, down_pitch, from, p.down_column, (int)p.rank, many, rank, p.tile, p.down_packs);
            }
        } else if (n < downs + ups) {
            const int64_t j = j_begin + (int64_t)(n - downs) * p.tile;
            const int many = (int)min((int64_t)p.tile, j_end - j);
            const T *const from = (const T *)p.up + matrix * p.up_matrix + j * p.up_column;
            if (p.up_column == 1) {
                stage<T>(to, up_pitch, from, p.up_row, (int)p.rank, many, rank, p.tile, p.up_packs);
            } else {
                stage<T>(to, up_pitch, from, p.up_column, many, (int)p.rank, p.tile, rank, p.up_packs);
            }
        }
    }
    __device__ void load_source(int n) const
    {
        if (n < downs) {
            const int64_t k = k_begin + (int64_t)n * p.tile;
            const T *const from = (const T *)p.source + matrix * p.source_matrix + row * p.source_row + k;
            stage<T>(source_at(n), source_pitch, from, p.source_row, rows, (int)min((int64_t)p.tile, k_end - k), ROWS, p.tile,
                     p.source_packs);
        }
    }

    /* One tile of the interior: sums (16 × 8 each) += source (16 × tile) * down (tile × 8). */
    __device__ void multiply(float (&sum)[MOST_TILES][4], int n, int tile, int share, int shares, int stride, bool *odd) const
    {
        const int lane = threadIdx.x % 32;
        const bool along = p.down_column == 1;
        const T *const source = source_at(n), *const down = tile_at(n);
        float small[MOST_TILES][4] = {};
#pragma unroll 4
        for (int k = share * STEP; k < p.tile; k += shares * STEP) {
            unsigned left[4], low[4], right[2];
            if constexpr (NARROW) {
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                             : "=r"(left[0]), "=r"(left[1]), "=r"(left[2]), "=r"(left[3])
                             : "r"(shared_address(source + lane % 16 * source_pitch + k + lane / 16 * 8)));
            } else {
                load_left(pairs + k, source_pitch, left, low);
            }
#pragma unroll
            for (int i = 0; i < MOST_TILES; i++) {
                const int q = (tile + i * stride) * 8;
                if (q >= rank) {
                    break;
                }
                if constexpr (!NARROW) {
                    multiply_cut<T>(sum[i], small[i], left, low, down + (along ? k * down_pitch + q : q * down_pitch + k),
                                    along ? down_pitch : 1, along ? 1 : down_pitch, odd);
                } else if (along) {
                    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                                 : "=r"(right[0]), "=r"(right[1])
                                 : "r"(shared_address(down + (k + lane % 16) * down_pitch + q)));
                } else {
                    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                                 : "=r"(right[0]), "=r"(right[1])
                                 : "r"(shared_address(down + (q + lane % 8) * down_pitch + k + lane / 8 % 2 * 8)));
                }
                if constexpr (NARROW) {
                    mma_16x8x16(sum[i], left, right[0], right[1], T());
                }
            }
        }
        add_parts(sum, small);
    }
    __device__ static void add_parts(float (&sum)[MOST_TILES][4], const float (&small)[MOST_TILES][4])
    {
#pragma unroll
        for (int i = 0; i < MOST_TILES; i++) {
#pragma unroll
            for (int n = 0; n < 4; n++) {
                sum[i][n] += small[i][n];
            }
        }
    }

    /* The first product of this block's slice the plain way: values that TF32 parts cannot hold. */
    __device__ void product_plainly(float (&sum)[MOST_TILES][4], int tile, int share, int stride) const
    {
        const int lane = threadIdx.x % 32;
        const T *const source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
        const T *const down = (const T *)p.down + matrix * p.down_matrix;
#pragma unroll
        for (int n = 0; n < MOST_TILES; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int r = lane / 4 + i / 2 * 8, q = (tile + n * stride) * 8 + lane % 4 * 2 + i % 2;
                sum[n][i] = 0.0f;
                for (int64_t k = k_begin; share == 0 && r < rows && q < p.rank && k < k_end; k++) {
                    sum[n][i] = fmaf(to_f32(source[r * p.source_row + k]), to_f32(down[k * p.down_row + q * p.down_column]),
                                     sum[n][i]);
                }
            }
        }
    }

    /* Messages exist only between blocks of a real cluster. */
    __device__ void send(float *at, float2 value, int to, int which) const
    {
        if (blocks == 1) {
            *(float2 *)at = value;
        } else {
            send_pair(at, value, to, shared_address(&met[which]));
        }
    }
    __device__ void wait_met(int which) const
    {
        if (blocks == 1) {
            __syncthreads();
        } else {
            barrier_wait_once(shared_address(&met[which]));
        }
    }

    /* Sends sums to the owners of their rows, sums what comes in, sends that to all: then everyone has the product. */
    __device__ void exchange(const float (&sum)[MOST_TILES][4], int tile, int share, int shares, int stride) const
    {
        const int lane = threadIdx.x % 32, own = ROWS / blocks;
        if (blocks > 1 && threadIdx.x == 0) {
            barrier_expect(shared_address(&met[0]), shares * ROWS * rank * 4);
            barrier_expect(shared_address(&met[1]), ROWS * rank * 4);
        }
#pragma unroll
        for (int n = 0; n < MOST_TILES; n++) {
            const int q = (tile + n * stride) * 8;
#pragma unroll
            for (int half = 0; half < 2 && q < rank; half++) {
                const int r = lane / 4 + half * 8;
                send(received + ((block * shares + share) * own + r % own) * rank + q + lane % 4 * 2,
                     make_float2(sum[n][half * 2], sum[n][half * 2 + 1]), r / own, 0);
            }
        }
        wait_met(0);
        for (int n = threadIdx.x; n < own * rank / 2; n += THREADS) {
            const int r = n * 2 / rank, q = n * 2 % rank;
            float2 all = make_float2(0.0f, 0.0f);
            for (int from = 0; from < blocks * shares; from++) {
                const float2 part = *(const float2 *)(received + (from * own + r) * rank + q);
                all.x += part.x, all.y += part.y;
            }
            all.x = q < p.rank ? all.x : 0.0f, all.y = q + 1 < p.rank ? all.y : 0.0f;
            for (int to = 0; to < blocks; to++) {
                send(product + (block * own + r) * product_pitch + q, all, to, 1);
            }
        }
        wait_met(1);
    }

    /* Element (r, j) of the result from its sum. */
    __device__ float finished(int r, int64_t j, const T *to, float sum) const
    {
        float y = p.scale * sum;
        if (p.addend != 0) {
            y += ((const float *)p.addend)[(matrix * p.rows + row + r) * p.outputs + j];
        }
        return p.accumulate ? y + to_f32(*to) : y;
    }
    __device__ void store_pair(int r, int64_t j, float first, float second) const
    {
        if (r >= rows || j >= j_end) {
            return;
        }
        T *const to = (T *)p.result + matrix * p.result_matrix + (row + r) * p.result_row + j;
        const bool both = j + 1 < j_end;
        const float y = finished(r, j, to, first), z = both ? finished(r, j + 1, to + 1, second) : 0.0f;
        if (p.result_pairs && both) {
            if constexpr (NARROW) {
                *(unsigned *)to = pack_two(y, z, T());
            } else {
                *(float2 *)to = make_float2(y, z);
            }
        } else {
            to[0] = from_f32<T>(y);
            if (both) {
                to[1] = from_f32<T>(z);
            }
        }
    }

    /* One tile of the outputs, from column j0 on. `plainly`: the product does not fit TF32 parts. */
    __device__ void finish(int n, int64_t j0, bool plainly) const
    {
        const int lane = threadIdx.x % 32, first = threadIdx.x / 32 * 8;
        const bool along = p.up_column == 1;
        const T *const up = tile_at(n);
        float sum[MOST_TILES][4] = {}, small[MOST_TILES][4] = {};
        bool odd = plainly;
#pragma unroll 2
        for (int q = 0; q < rank; q += 8) {
            unsigned high[4], low[4];
            load_left(pairs + q, product_pitch, high, low);
#pragma unroll
            for (int i = 0; i < MOST_TILES; i++) {
                const int j = first + i * WARPS * 8;
                if (j < p.tile) {
                    multiply_cut<T>(sum[i], small[i], high, low, up + (along ? q * up_pitch + j : j * up_pitch + q), along ? up_pitch : 1,
                                    along ? 1 : up_pitch, &odd);
                }
            }
        }
        add_parts(sum, small);
        odd = __any_sync(0xffffffffu, odd);
#pragma unroll
        for (int i = 0; i < MOST_TILES; i++) {
            const int j = first + i * WARPS * 8;
            if (j >= p.tile || j0 + j >= j_end) {
                break;
            }
            if (odd) {
                finish_plainly(sum[i], up, j);
            }
            store_pair(lane / 4, j0 + j + lane % 4 * 2, sum[i][0], sum[i][1]);
            store_pair(lane / 4 + 8, j0 + j + lane % 4 * 2, sum[i][2], sum[i][3]);
        }
    }
    __device__ void finish_plainly(float (&sum)[4], const T *up, int j) const
    {
        const int lane = threadIdx.x % 32;
        const bool along = p.up_column == 1;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int at = j + lane % 4 * 2 + i % 2;
            sum[i] = 0.0f;
            for (int q = 0; q < p.rank; q++) {
                sum[i] = fmaf(product[(lane / 4 + i / 2 * 8) * product_pitch + q],
                              to_f32(up[along ? q * up_pitch + at : at * up_pitch + q]), sum[i]);
            }
        }
    }
};

template <typename T> __device__ __forceinline__ void lora_mma(const amps_lora_params &p)
{
    lora_block<T> b(p);
    const int warp = threadIdx.x / 32;
    const bool early_source = (p.settled & AMPS_SETTLED_SOURCE) != 0, early_weights = (p.settled & AMPS_SETTLED_WEIGHTS) != 0;
    launch_next();
    ready_barriers(b.met, 2);
    if (!early_weights) {
        wait_previous();
    }
    b.load_weights(0);
    b.load_weights(1);
    if (early_weights && !early_source) {
        wait_previous();
    }
    b.load_source(0);
    close_group();
    b.load_source(1);
    close_group();
    /* Few tiles of the rank: several warps share one along the interior. */
    const int all = (b.rank + 7) / 8, shares = all > 4 ? 1 : all > 2 ? 2 : 4, stride = WARPS / shares;
    const int tile = warp / shares, share = warp % shares;
    float sum[MOST_TILES][4] = {};
    bool odd = false;
    for (int n = 0; n < b.downs; n++) {
        wait_group<1>();
        __syncthreads();
        if constexpr (sizeof(T) == 4) {
            cut_rows(b.pairs, b.source_at(n), b.source_pitch, p.tile, &odd);
            __syncthreads();
        }
        b.multiply(sum, n, tile, share, shares, stride, &odd);
        __syncthreads();
        b.load_weights(n + 2);
        b.load_source(n + 2);
        close_group();
    }
    if constexpr (sizeof(T) == 4) {
        if (__syncthreads_or(odd)) {
            b.product_plainly(sum, tile, share, stride);
        }
    }
    await_cluster();
    b.exchange(sum, tile, share, shares, stride);
    odd = false;
    cut_rows(b.pairs, b.product, b.product_pitch, b.rank, &odd);
    const bool plainly = __syncthreads_or(odd);
    if (early_source) {
        wait_previous();
    }
    for (int n = b.downs; n < b.downs + b.ups; n++) {
        wait_group<1>();
        __syncthreads();
        b.finish(n, b.j_begin + (int64_t)(n - b.downs) * p.tile, plainly);
        __syncthreads();
        b.load_weights(n + 2);
        close_group();
    }
}

#define CODE(call) call
#else
#define CODE(call) /* clusters and their messages exist from Hopper on; the host launches these nowhere else */
#endif

#define LORA(type, name)                                                                           \
    extern "C" __global__ void __launch_bounds__(256, 1)                                            \
        lora_##name##_mma(const __grid_constant__ amps_lora_params p)                              \
    {                                                                                              \
        CODE(lora_mma<type>(p));                                                                   \
    }

LORA(float, f32)
LORA(f16, f16)
LORA(bf16, bf16)
