/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.cuh: what every kernel file needs: element types as f32, the wait for the predecessor, reductions
 * over a warp, a block and a cluster, and the activation functions.
 */
#pragma once
#include "params.h"

#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <float.h>
#include <math_constants.h>

namespace amps {

using f16 = __half;
using bf16 = __nv_bfloat16;

/* What instructions take that name shared memory by number. */
__device__ inline unsigned shared_address(const void *at)
{
    return (unsigned)__cvta_generic_to_shared(at);
}

__device__ inline float to_f32(float x) { return x; }
__device__ inline float to_f32(f16 x) { return __half2float(x); }
__device__ inline float to_f32(bf16 x) { return __bfloat162float(x); }
__device__ inline float to_f32(int8_t x) { return (float)x; }
__device__ inline float to_f32(int16_t x) { return (float)x; }

template <typename T> __device__ inline T from_f32(float x);
template <> __device__ inline float from_f32<float>(float x) { return x; }
template <> __device__ inline f16 from_f32<f16>(float x) { return __float2half_rn(x); }
template <> __device__ inline bf16 from_f32<bf16>(float x) { return __float2bfloat16_rn(x); }

/* Lets the next kernel of the stream be set up while this one runs. */
__device__ inline void launch_next()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* Waits until the kernel before has ended and its writes are visible. Every kernel calls it before it writes, and before
   it reads what an earlier launch of the same commit may have written: all but what the host calls settled. */
__device__ inline void wait_previous()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* Both: for kernels that read nothing before. */
__device__ inline void begin_kernel()
{
    launch_next();
    wait_previous();
}

__device__ inline void unpack_two(unsigned word, float *x, bf16)
{
    x[0] = __uint_as_float(word << 16);
    x[1] = __uint_as_float(word & 0xffff0000u);
}
__device__ inline void unpack_two(unsigned word, float *x, f16)
{
    const float2 both = __half22float2(*reinterpret_cast<const __half2 *>(&word));
    x[0] = both.x, x[1] = both.y;
}
__device__ inline void unpack_two(unsigned, float *, float) {}
__device__ inline unsigned pack_two(float low, float high, bf16)
{
    const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const unsigned *>(&both);
}
__device__ inline unsigned pack_two(float low, float high, f16)
{
    const __half2 both = __floats2half2_rn(low, high);
    return *reinterpret_cast<const unsigned *>(&both);
}
__device__ inline unsigned pack_two(float, float, float) { return 0; }

/*
 * V elements as f32, and back. The 16-bit types go through words: as arrays of a class type the compiler would load
 * them one by one.
 */
template <typename T, int V> __device__ inline void unpack(const T *at, float *x)
{
    if constexpr (V == 1) {
        x[0] = to_f32(*at);
    } else if constexpr (sizeof(T) == 4) {
        const float4 got = *reinterpret_cast<const float4 *>(at);
        x[0] = got.x, x[1] = got.y, x[2] = got.z, x[3] = got.w;
    } else {
        unsigned words[V / 2];
        if constexpr (V == 8) {
            const uint4 got = *reinterpret_cast<const uint4 *>(at);
            words[0] = got.x, words[1] = got.y, words[2] = got.z, words[3] = got.w;
        } else {
            const uint2 got = *reinterpret_cast<const uint2 *>(at);
            words[0] = got.x, words[1] = got.y;
        }
#pragma unroll
        for (int i = 0; i < V / 2; i++) {
            unpack_two(words[i], x + 2 * i, T());
        }
    }
}

template <typename T, int V> __device__ inline void repack(T *at, const float *x)
{
    if constexpr (V == 1) {
        *at = from_f32<T>(x[0]);
    } else if constexpr (sizeof(T) == 4) {
        *reinterpret_cast<float4 *>(at) = make_float4(x[0], x[1], x[2], x[3]);
    } else {
        unsigned words[V / 2];
#pragma unroll
        for (int i = 0; i < V / 2; i++) {
            words[i] = pack_two(x[2 * i], x[2 * i + 1], T());
        }
        if constexpr (V == 8) {
            *reinterpret_cast<uint4 *>(at) = make_uint4(words[0], words[1], words[2], words[3]);
        } else {
            *reinterpret_cast<uint2 *>(at) = make_uint2(words[0], words[1]);
        }
    }
}

struct op_max {
    static __device__ float apply(float a, float b) { return fmaxf(a, b); }
    static __device__ float none() { return -CUDART_INF_F; }
};
struct op_sum {
    static __device__ float apply(float a, float b) { return a + b; }
    static __device__ float none() { return 0.0f; }
};

template <typename OP> __device__ inline float reduce_warp(float x)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        x = OP::apply(x, __shfl_xor_sync(0xffffffffu, x, step));
    }
    return x;
}

/* A load that stands where it is written: the compiler moves no ordinary one across the wait. */
__device__ inline uint4 load_now(const void *at)
{
    uint4 x;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(at) : "memory");
    return x;
}

/*
 * Adds V values over the lanes of a warp. In each step a lane hands half of its values to its partner and keeps the
 * other half; in the end v[0] is the sum of value lane / (32/V).
 */
template <int V> __device__ inline void reduce_scatter(float (&v)[V])
{
    const int lane = threadIdx.x % 32;
    int n = V;
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        if (n > 1) {
            n /= 2;
            const bool upper = (lane & step) != 0;
#pragma unroll
            for (int i = 0; i < V / 2; i++) {
                if (i < n) {
                    const float give = upper ? v[i] : v[i + n], keep = upper ? v[i + n] : v[i];
                    v[i] = keep + __shfl_xor_sync(0xffffffffu, give, step);
                }
            }
        } else {
            v[0] += __shfl_xor_sync(0xffffffffu, v[0], step);
        }
    }
}

/* Over blockDim.x lanes beside one another, a power of two below 32; the warp's others may be elsewhere. */
template <typename OP> __device__ inline float reduce_lanes(float x)
{
    const int lanes = blockDim.x, first = threadIdx.y * lanes % 32;
    const unsigned mine = ((1u << lanes) - 1) << first;
    for (int step = lanes / 2; step > 0; step /= 2) {
        x = OP::apply(x, __shfl_xor_sync(mine, x, step));
    }
    return x;
}

/*
 * Reduces over all threads that share a row and gives the result to each, in a fixed order. They are some lanes of a
 * warp (blockDim.x < 32), one warp (32), one block, or the blocks of a cluster. `slots` are 32 floats of the block, `ranks` 16;
 * each call of a kernel takes its own pair, so that one barrier per level is enough.
 */
template <typename OP> __device__ inline float reduce_row(float x, float *slots, float *ranks)
{
    if (blockDim.x < 32) {
        return reduce_lanes<OP>(x);
    }
    x = reduce_warp<OP>(x);
    if (blockDim.x == 32) {
        return x;
    }
    const int warps = blockDim.x / 32, lane = threadIdx.x % 32;
    if (lane == 0) {
        slots[threadIdx.x / 32] = x;
    }
    __syncthreads();
    x = reduce_warp<OP>(lane < warps ? slots[lane] : OP::none());
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    auto cluster = cooperative_groups::this_cluster();
    const int blocks = cluster.num_blocks();
    if (blocks > 1) {
        if ((int)threadIdx.x < blocks) {
            cluster.map_shared_rank(ranks, threadIdx.x)[cluster.block_rank()] = x;
        }
        cluster.sync();
        x = reduce_warp<OP>(lane < blocks ? ranks[lane] : OP::none());
    }
#endif
    return x;
}

/* A block may write into another's shared memory only once that one has started: all
   of a cluster meet here before the first reduce_row. */
__device__ inline void begin_exchange()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (cooperative_groups::this_cluster().num_blocks() > 1) {
        asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
        asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
    }
#endif
}

/* This thread's index among those that share its row, and how many they are. */
__device__ inline int row_threads()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    return blockDim.x * cooperative_groups::this_cluster().num_blocks();
#else
    return blockDim.x;
#endif
}
__device__ inline int row_thread()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    return threadIdx.x + blockDim.x * cooperative_groups::this_cluster().block_rank();
#else
    return threadIdx.x;
#endif
}
__device__ inline int64_t row_index()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    const int64_t block = blockIdx.x / cooperative_groups::this_cluster().num_blocks();
#else
    const int64_t block = blockIdx.x;
#endif
    return block * blockDim.y + threadIdx.y;
}

/*
 * x * phi(x), phi the normal distribution: its tail is exp(-x^2/2) * R(|x|) with R smooth, here t times a polynomial in
 * t = 1/(1 + 0.3|x|), error 5e-9. No branch, so that several of them run at once. The roundings of t and of the exponent stay
 * below a unit in the last place of x, as the tail is small where they are large.
 */
__device__ __forceinline__ float gelu(float x)
{
    const float size = fabsf(x);
    const float t = __fdividef(1.0f, fmaf(0.3f, size, 1.0f));
    float q = fmaf(-0.02098467f, t, 0.114402115f);
    q = fmaf(q, t, -0.23283549f);
    q = fmaf(q, t, 0.19792165f);
    q = fmaf(q, t, -0.084481284f);
    q = fmaf(q, t, 0.09883084f);
    q = fmaf(q, t, 0.07748577f);
    q = fmaf(q, t, 0.1104232f);
    q = fmaf(q, t, 0.11955012f);
    q = fmaf(q, t, 0.11968775f);
    const float tail = exp2f(-0.72134752f * x * x) * (q * t);
    return x * (x < 0.0f ? tail : 1.0f - tail);
}

/* The numbers are those of anymps_neuron_type (include/anymps/kernels.h). `slope` is PRELU's a of this column.
   Not inlined: the matmul kernels call it once per element at their end. */
enum { NEURON_GELU = 15 };
__device__ __noinline__ inline float neuron(const amps_neuron_params &f, float x, float slope)
{
    switch (f.type) {
    case 1: return x >= 0.0f ? x : f.a * x;
    case 2: return fmaf(f.a, x, f.b);
    case 3: return 1.0f / (1.0f + expf(-x));
    case 4: {
        const float y = fmaf(f.a, x, f.b);
        return y != y ? y : fminf(fmaxf(y, 0.0f), 1.0f);
    }
    case 5: return f.a * tanhf(f.b * x);
    case 6: return fabsf(x);
    case 7: {
        const float y = f.b * x;
        return f.a * (y > 0.0f ? y + log1pf(expf(-y)) : log1pf(expf(y)));
    }
    case 8: return fabsf(x) == CUDART_INF_F ? copysignf(CUDART_NAN_F, x) : x / (1.0f + fabsf(x));
    case 9: return x >= 0.0f ? x : f.a * expm1f(x);
    case 10: return x >= 0.0f ? x : slope * x;
    case 11: {
        const float y = x >= 0.0f ? x : f.a * x;
        return y != y ? y : fminf(y, f.b);
    }
    case 12: return powf(fmaf(f.a, x, f.b), f.c);
    case 13: return powf(f.c, fmaf(f.a, x, f.b));
    case 14: return logf(fmaf(f.a, x, f.b)) / logf(f.c);
    case NEURON_GELU: return gelu(x);
    case 1000: {
        /* (1 + tanh u)/2 = 1/(1 + exp(-2u)), which keeps its digits where tanh is near -1. */
        const float u = 0.79788456080286536f * fmaf(0.044715f * x * x, x, x);
        return x / (1.0f + expf(-2.0f * u));
    }
    case 1001: return x / (1.0f + expf(-x));
    default: return x;
    }
}

} // namespace amps
