/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_held.cu: softmax, log-softmax and RMS norm over long rows. Launched by ops/cuda_softmax.c and cuda_norm.c.
 *
 * A row lies in the shared memory of one block or, a slice a block, of a cluster: the copy engine brings it, all threads
 * read it twice, first for the sum, then for the result, which takes its place and leaves through the copy engine. A
 * block has one row and ends: three of them to a multiprocessor cover each other's phases, and whichever multiprocessor is
 * first done gets the next row. Blocks that stay and take every n-th row were slower, since some multiprocessors have
 * less of the memory's bandwidth than others and end last.
 */
#include "barriers.cuh"
#include "rows.cuh"

using namespace amps;

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

/* The host counts with these: cuda_ops.c. */
enum { CHUNK_BYTES = 16 << 10, MOST_CHUNKS = 16, MOST_BLOCKS = 16, THREADS = 256, WARPS = THREADS / 32 };
enum { MEETINGS = 3, CHUNK_PACKS = CHUNK_BYTES / 16, WARP_PACKS = CHUNK_PACKS / WARPS };

__device__ inline void copy_in(void *to, const void *from, unsigned bytes, uint64_t *barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}
__device__ inline void copy_out(void *to, const void *from, unsigned bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;\n"
                 "cp.async.bulk.commit_group;" ::"l"(to),
                 "r"(shared_address(from)), "r"(bytes)
                 : "memory");
}

/* What a block keeps behind its slice. */
struct held_block {
    uint64_t full[MOST_CHUNKS], met[MEETINGS];
    float2 slots[MEETINGS][WARPS], ranks[MEETINGS][MOST_BLOCKS];
};

template <typename T> struct row_slice {
    static constexpr int V = 16 / sizeof(T);
    int block, blocks, packs, chunks; /* of the cluster; packs of 16 bytes and chunks of this block's slice */
    int64_t row, matrix, at;          /* at: the slice's first element */
    held_block *own;
    unsigned char *data;

    template <typename PARAMS> __device__ row_slice(const PARAMS &p)
    {
        extern __shared__ __align__(128) unsigned char memory[];
        auto cluster = cooperative_groups::this_cluster();
        block = cluster.block_rank(), blocks = cluster.num_blocks();
        const int64_t r = blockIdx.x / blocks;
        matrix = p.rows == p.all_rows ? 0 : r / p.rows;
        row = r - matrix * p.rows;
        const int all = (int)(p.columns / V), first = min(block * p.slice_packs, all);
        packs = min(p.slice_packs, all - first);
        at = (int64_t)first * V;
        chunks = (packs + CHUNK_PACKS - 1) / CHUNK_PACKS;
        data = memory;
        own = (held_block *)(data + p.slice_packs * 16);
    }

    __device__ T *place(uint64_t base, int64_t row_step, int64_t matrix_step) const
    {
        return (T *)base + matrix * matrix_step + row * row_step + at;
    }
    __device__ int chunk_packs(int chunk) const { return min((int)CHUNK_PACKS, packs - chunk * CHUNK_PACKS); }

    /* Thread 0 prepares the barriers; blocks of a cluster may write to one another only after that (see meet). */
    __device__ void begin() const
    {
        if (threadIdx.x == 0) {
            for (int i = 0; i < chunks; i++) {
                barrier_init(shared_address(&own->full[i]), 1);
            }
            for (int i = 0; i < MEETINGS; i++) {
                barrier_init(shared_address(&own->met[i]), 1);
            }
            asm volatile("fence.mbarrier_init.release.cluster;\n"
                         "fence.proxy.async.shared::cta;" ::
                             : "memory");
        }
        if (blocks > 1) {
            __syncwarp();
            asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
        }
    }
    __device__ void load(const T *from) const
    {
        if (threadIdx.x == 0) {
            for (int chunk = 0; chunk < chunks; chunk++) {
                barrier_expect(shared_address(&own->full[chunk]), chunk_packs(chunk) * 16);
                copy_in(data + chunk * CHUNK_BYTES, (const unsigned char *)from + chunk * CHUNK_BYTES,
                        chunk_packs(chunk) * 16, &own->full[chunk]);
            }
        }
        __syncthreads();
    }

    /* Calls use(x) for this thread's packs, as they come. */
    template <typename USE> __device__ void each(USE use) const
    {
        for (int chunk = 0; chunk < chunks; chunk++) {
            const T *const from = (const T *)(data + chunk * CHUNK_BYTES);
            const int count = chunk_packs(chunk);
            barrier_wait_once(shared_address(&own->full[chunk]));
#pragma unroll 4
            for (int n = threadIdx.x; n < count; n += THREADS) {
                float x[V];
                unpack<T, V>(from + n * V, x);
                use(x);
            }
        }
    }

    /* Calls make(x, n) for each pack, n counted from the slice's first, and writes x to the result. A warp has packs
       that lie side by side and sends them off together. */
    template <typename MAKE> __device__ void finish(T *result, MAKE make) const
    {
        const int lane = threadIdx.x % 32, first = threadIdx.x / 32 * WARP_PACKS;
        for (int chunk = 0; chunk < chunks; chunk++) {
            T *const here = (T *)(data + chunk * CHUNK_BYTES);
            const int last = min(first + WARP_PACKS, chunk_packs(chunk));
#pragma unroll 4
            for (int n = first + lane; n < last; n += 32) {
                float x[V];
                unpack<T, V>(here + n * V, x);
                make(x, chunk * CHUNK_PACKS + n);
                repack<T, V>(here + n * V, x);
            }
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            __syncwarp();
            if (lane == 0 && first < last) {
                copy_out(result + (int64_t)(chunk * CHUNK_PACKS + first) * V, here + first * V, (last - first) * 16);
            }
        }
        asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); /* shared memory must outlive its readers */
    }

    /* Combines a value of each thread of the cluster; everyone gets the same bits. `which` numbers a kernel's meetings.
       No block ends before it has heard of all others, so none writes into one that has gone. */
    template <typename COMBINE> __device__ float2 meet(float2 v, int which, COMBINE combine) const
    {
        const int lane = threadIdx.x % 32;
        v = combine(v);
        if (lane == 0) {
            own->slots[which][threadIdx.x / 32] = v;
        }
        __syncthreads();
        v = combine(lane < WARPS ? own->slots[which][lane] : make_float2(-FLT_MAX, 0.0f));
        if (blocks == 1) {
            return v;
        }
        if (which == 0) {
            asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
        }
        if ((int)threadIdx.x < blocks) {
            unsigned to, met;
            asm("mapa.shared::cluster.u32 %0, %1, %2;"
                : "=r"(to)
                : "r"(shared_address(&own->ranks[which][block])), "r"((int)threadIdx.x));
            asm("mapa.shared::cluster.u32 %0, %1, %2;"
                : "=r"(met)
                : "r"(shared_address(&own->met[which])), "r"((int)threadIdx.x));
            asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(
                             to),
                         "f"(v.x), "f"(v.y), "r"(met)
                         : "memory");
        }
        if (threadIdx.x == 0) {
            barrier_expect(shared_address(&own->met[which]), blocks * sizeof(float2));
        }
        barrier_wait_once(shared_address(&own->met[which]));
        return combine(lane < blocks ? own->ranks[which][lane] : make_float2(-FLT_MAX, 0.0f));
    }
};

template <typename T> __device__ __forceinline__ void softmax_held(const amps_softmax_params &p)
{
    constexpr int V = row_slice<T>::V;
    const row_slice<T> slice(p);
    launch_next();
    slice.begin();
    if ((p.settled & AMPS_SETTLED_SOURCE) == 0) {
        wait_previous();
    }
    slice.load(slice.place(p.source, p.source_row, p.source_matrix));
    const float factor = p.scale * 1.44269504f;
    const auto combine = [&](float2 v) { /* the larger top; the sums relative to it */
        const float top = reduce_warp<op_max>(v.x);
        return make_float2(top, reduce_warp<op_sum>(v.y * exp2_of((v.x - top) * factor)));
    };
    float top = -FLT_MAX, sum = 0.0f;
    slice.each([&](const float(&x)[V]) {
        float most = x[0];
#pragma unroll
        for (int i = 1; i < V; i++) {
            most = fmaxf(most, x[i]);
        }
        if (most > top) {
            sum *= exp2_of((top - most) * factor);
            top = most;
        }
#pragma unroll
        for (int i = 0; i < V; i++) {
            sum += exp2_of((x[i] - top) * factor);
        }
    });
    const float2 all = slice.meet(make_float2(top, sum), 0, combine);
    top = all.x;
    const float share = 1.0f / all.y, less = logf(all.y);
    if ((p.settled & AMPS_SETTLED_SOURCE) != 0) {
        wait_previous();
    }
    slice.finish(slice.place(p.result, p.result_row, p.result_matrix), [&](float(&x)[V], int) {
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = p.log ? fmaf(x[i] - top, p.scale, -less) : exp2_of((x[i] - top) * factor) * share;
        }
    });
}

/* What each x is multiplied with, before the weights: from the sum of (x*shrink)^2, or once more with another
   `shrink`. */
template <typename T>
__device__ __forceinline__ float2 rms_factors(const amps_norm_params &p, const row_slice<T> &slice)
{
    constexpr int V = row_slice<T>::V;
    const auto add = [](float2 v) { return make_float2(0.0f, reduce_warp<op_sum>(v.y)); };
    const auto greater = [](float2 v) { return make_float2(0.0f, reduce_warp<op_max>(v.y)); };
    float shrink = p.shrink, sum = 0.0f, greatest = 0.0f;
    const auto square = [&](const float(&x)[V]) {
#pragma unroll
        for (int i = 0; i < V; i++) {
            const float y = x[i] * shrink;
            sum = fmaf(y, y, sum);
        }
    };
    slice.each(square);
    sum = slice.meet(make_float2(0.0f, sum), 0, add).y;
    if (needs_rescue(p, sum)) { /* the same answer in every thread of the row */
        slice.each([&](const float(&x)[V]) {
#pragma unroll
            for (int i = 0; i < V; i++) {
                greatest = fmaxf(greatest, fabsf(x[i]));
            }
        });
        shrink = rescue_scale(p, slice.meet(make_float2(0.0f, greatest), 1, greater).y);
        sum = 0.0f;
        slice.each(square);
        sum = slice.meet(make_float2(0.0f, sum), 2, add).y;
    }
    return make_float2(shrink, norm_factor(p, sum, shrink));
}

template <typename T> __device__ __forceinline__ void rms_held(const amps_norm_params &p)
{
    constexpr int V = row_slice<T>::V;
    const row_slice<T> slice(p);
    const bool early = p.settled == (AMPS_SETTLED_SOURCE | AMPS_SETTLED_WEIGHTS);
    launch_next();
    slice.begin();
    if (!early) {
        wait_previous();
    }
    slice.load(slice.place(p.source, p.source_row, p.source_matrix));
    const float2 factors = rms_factors<T>(p, slice);
    const T *const weight = (const T *)p.weight + slice.matrix * p.weight_matrix + slice.at;
    const T *const bias = (const T *)p.bias + slice.matrix * p.bias_matrix + slice.at;
    if (early) {
        wait_previous();
    }
    slice.finish(slice.place(p.result, p.result_row, p.result_matrix), [&](float(&x)[V], int n) {
        float y[V];
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = x[i] * factors.x * factors.y;
        }
        if (p.weight != 0) {
            unpack<T, V>(weight + (int64_t)n * V, y);
#pragma unroll
            for (int i = 0; i < V; i++) {
                x[i] *= y[i];
            }
        }
        if (p.bias != 0) {
            unpack<T, V>(bias + (int64_t)n * V, y);
#pragma unroll
            for (int i = 0; i < V; i++) {
                x[i] += y[i];
            }
        }
    });
}

#define CODE(call) call
#else
#define CODE(call) /* only Hopper has the copy engine; the host launches these nowhere else */
#endif

#define HELD(type, name)                                                                           \
    extern "C" __global__ void __launch_bounds__(256, 3)                                           \
        softmax_##name##_held(const __grid_constant__ amps_softmax_params p)                       \
    {                                                                                              \
        CODE(softmax_held<type>(p));                                                               \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256, 3)                                           \
        rms_##name##_held(const __grid_constant__ amps_norm_params p)                              \
    {                                                                                              \
        CODE(rms_held<type>(p));                                                                   \
    }

HELD(float, f32)
HELD(f16, f16)
HELD(bf16, bf16)
