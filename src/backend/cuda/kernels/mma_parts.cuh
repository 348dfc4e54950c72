/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mma_parts.cuh: f32 on Hopper's tensor cores for 16 rows at a time (lora_mma.cu, gemm_few.cu; parts of it in
 * lora_rows.cu and lora_up.cu): tiles into shared memory, a value cut into TF32 parts, the products of the parts,
 * messages between the blocks of a cluster.
 *
 * value = high + low, 11 digits each; 2^-23 of it is lost, and 2^-22 of a product where low*low is left out. Three of the
 * four products of the parts stay inside the bound (docs/numerics.md).
 */
#pragma once
#include "barriers.cuh"

namespace amps {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

enum { MMA_ROWS = 16, MMA_THREADS = 256 };

/* `rows` × `columns` elements, dense along the columns, into rows of `pitch`; zeros up to `all_rows` × `all_columns`. */
template <typename T>
__device__ inline void stage(T *to, int pitch, const T *from, int64_t step, int rows, int columns, int all_rows, int all_columns,
                             bool vector)
{
    constexpr int V = 16 / sizeof(T);
    if (vector) {
        /* A power of two of threads beside one another on a row: no division. */
        const int packs = all_columns / V, shift = packs > 16 ? 5 : packs > 8 ? 4 : packs > 4 ? 3 : 2;
        for (int i = threadIdx.x >> shift; i < all_rows; i += MMA_THREADS >> shift) {
            for (int j = (threadIdx.x & ((1 << shift) - 1)) * V; j < all_columns; j += V << shift) {
                const int left = i < rows ? max(0, min(V, columns - j)) : 0;
                const T *const source = left > 0 ? from + i * step + j : from;
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to + i * pitch + j)),
                             "l"(source), "r"((int)(left * sizeof(T)))
                             : "memory");
            }
        }
    } else {
        for (int n = threadIdx.x; n < all_rows * all_columns; n += MMA_THREADS) {
            const int i = n / all_columns, j = n % all_columns;
            to[i * pitch + j] = i < rows && j < columns ? from[i * step + j] : from_f32<T>(0.0f);
        }
    }
}

/* value = high + low, each with TF32's 11 digits. Outside of the range where that holds `odd` becomes true. */
__device__ inline void cut(float value, unsigned *high, unsigned *low, bool *odd)
{
    const float size = fabsf(value);
    *odd |= !(size < 0x1p126f) || (size < 0x1p-90f && size > 0.0f);
    *high = (__float_as_uint(value) + 0x1000u) & 0xffffe000u;
    *low = __float_as_uint(value - __uint_as_float(*high));
}

/* d (16 × 8) += a (16 × 8) * b (8 × 8) */
__device__ inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/* 16 rows of f32 as pairs of parts; `rows` of both are apart by a pitch of 4 more than a multiple of 16. */
__device__ inline void cut_rows(float2 *pairs, const float *from, int pitch, int columns, bool *odd)
{
    for (int i = threadIdx.x / 32; i < MMA_ROWS; i += MMA_THREADS / 32) {
        for (int at = i * pitch + threadIdx.x % 32; at < i * pitch + columns; at += 32) {
            unsigned high, low;
            cut(from[at], &high, &low, odd);
            pairs[at] = make_float2(__uint_as_float(high), __uint_as_float(low));
        }
    }
}

/* A 16 × 8 tile of pairs as an operand on the left. */
__device__ inline void load_left(const float2 *at, int pitch, unsigned (&high)[4], unsigned (&low)[4])
{
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float2 pair = at[(lane / 4 + i % 2 * 8) * pitch + lane % 4 + i / 2 * 4];
        high[i] = __float_as_uint(pair.x), low[i] = __float_as_uint(pair.y);
    }
}

/* An 8 × 8 tile of the right operand: element (k, n) at k*k_step + n*n_step. 16-bit elements are TF32 as they are. What the low
   parts add is summed apart: two short chains of instructions instead of a long one. */
template <typename T>
__device__ inline void multiply_cut(float (&d)[4], float (&small)[4], const unsigned (&high)[4], const unsigned (&low)[4], const T *at, int k_step,
                                    int n_step, bool *odd)
{
    const int lane = threadIdx.x % 32;
    unsigned right[2], rest[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const float value = to_f32(at[(lane % 4 + i * 4) * k_step + lane / 4 * n_step]);
        if constexpr (sizeof(T) == 4) {
            cut(value, &right[i], &rest[i], odd);
        } else {
            right[i] = __float_as_uint(value);
            *odd |= !(fabsf(value) < CUDART_INF_F); /* times a low part of 0 it would be NaN */
        }
    }
    if constexpr (sizeof(T) == 4) {
        mma_tf32(small, high, rest);
    }
    mma_tf32(small, low, right);
    mma_tf32(d, high, right);
}

/* Two floats to the same place in block `to` of the cluster, counted by the barrier there. */
__device__ inline void send_pair(const void *at, float2 value, int to, unsigned barrier)
{
    unsigned address, counted;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared_address(at)), "r"(to));
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(counted) : "r"(barrier), "r"(to));
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(address),
                 "f"(value.x), "f"(value.y), "r"(counted)
                 : "memory");
}

/* Every block tells the others of its cluster that its barriers are ready; await_cluster waits for theirs. */
__device__ inline void ready_barriers(uint64_t *barriers, int count)
{
    if (threadIdx.x == 0) {
        for (int i = 0; i < count; i++) {
            barrier_init(shared_address(&barriers[i]), 1);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncwarp();
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
__device__ inline void await_cluster()
{
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ inline void close_group()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int LEFT> __device__ inline void wait_group()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

#endif

} // namespace amps
