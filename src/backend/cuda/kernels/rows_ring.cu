/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows_ring.cu: softmax, log-softmax and RMS norm over long rows. Launched by ops/cuda_softmax.c and cuda_norm.c.
 *
 * A row is held in the shared memory of one block or of a cluster, a slice a block. Blocks stay and take row after row: a
 * ring of chunks is filled by the copy engine, which one warp feeds; the other warps read a slice twice, first for the sum,
 * then for the result, and hand each chunk back, so that the next row arrives while this one is written. Blocks of a
 * cluster send each other one pair of floats a row; they never meet at a barrier.
 */
#include "rows.cuh"

using namespace amps;

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

/* The host counts with these: cuda_ops.c. */
enum { CHUNK_BYTES = 16 << 10, MOST_CHUNKS = 16, FEEDER = 32, MOST_BLOCKS = 16, MOST_WARPS = 16 };

__device__ inline void barrier_init(uint64_t *barrier, unsigned count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
__device__ inline void barrier_expect(uint64_t *barrier, unsigned bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}
__device__ inline void barrier_arrive(uint64_t *barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
__device__ inline void barrier_wait(uint64_t *barrier, unsigned parity)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}\n" ::"r"(shared_address(barrier)),
                 "r"(parity)
                 : "memory");
}
__device__ inline void copy_in(void *to, const void *from, unsigned bytes, uint64_t *barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}

/* What one block keeps. The chunks of the ring and the block's slice of the weights lie behind it. */
struct ring_block {
    uint64_t full[MOST_CHUNKS], empty[MOST_CHUNKS], weights, met[2];
    float2 slots[2][MOST_WARPS], ranks[2][MOST_BLOCKS];
};

/* A place in the ring: the chunk and how often the ring has been passed, as the barriers count it. */
struct ring_place {
    int chunk = 0;
    unsigned turn = 0;
    __device__ void step(int chunks)
    {
        if (++chunk == chunks) {
            chunk = 0, turn ^= 1;
        }
    }
};

template <typename T> struct row_slice {
    int block, blocks, packs, chunks; /* of the cluster; packs of 16 bytes and chunks of this block's slice */
    int64_t at;                       /* first element */
    ring_block *ring;
    unsigned char *data, *weights;

    __device__ row_slice(const amps_ring_shape &shape, int64_t columns)
    {
        extern __shared__ __align__(128) unsigned char memory[];
        auto cluster = cooperative_groups::this_cluster();
        constexpr int V = 16 / sizeof(T);
        block = cluster.block_rank(), blocks = cluster.num_blocks();
        const int all = (int)(columns / V), first = min(block * shape.slice_packs, all);
        packs = min(shape.slice_packs, all - first);
        at = (int64_t)first * V;
        chunks = (packs * 16 + CHUNK_BYTES - 1) / CHUNK_BYTES;
        data = memory;
        weights = data + shape.chunks * CHUNK_BYTES;
        ring = (ring_block *)(weights + shape.weight_bytes);
    }

    /* Thread 0 prepares the barriers; blocks of a cluster may write to one another only after that. */
    __device__ void begin(const amps_ring_shape &shape)
    {
        if (threadIdx.x == 0) {
            for (int i = 0; i < shape.chunks; i++) {
                barrier_init(&ring->full[i], 1);
                barrier_init(&ring->empty[i], (blockDim.x - FEEDER) / 32);
            }
            barrier_init(&ring->weights, 1);
            barrier_init(&ring->met[0], 1);
            barrier_init(&ring->met[1], 1);
            asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        }
        cooperative_groups::this_cluster().sync();
    }

    __device__ unsigned chunk_bytes(int chunk) const { return min(CHUNK_BYTES, packs * 16 - chunk * CHUNK_BYTES); }

    /* The feeder's part of one row. */
    __device__ void feed(const T *row, int ring_chunks, ring_place &place)
    {
        for (int chunk = 0; chunk < chunks; chunk++) {
            barrier_wait(&ring->empty[place.chunk], place.turn ^ 1);
            barrier_expect(&ring->full[place.chunk], chunk_bytes(chunk));
            copy_in(data + place.chunk * CHUNK_BYTES, (const unsigned char *)(row + at) + chunk * CHUNK_BYTES,
                    chunk_bytes(chunk), &ring->full[place.chunk]);
            place.step(ring_chunks);
        }
    }

    /* Calls use(x, n) for this thread's packs of a row; n counts packs of the slice. */
    template <bool LAST, typename USE> __device__ void each(int ring_chunks, ring_place &place, USE use)
    {
        constexpr int V = 16 / sizeof(T);
        const int threads = blockDim.x - FEEDER;
        for (int chunk = 0; chunk < chunks; chunk++) {
            const uint4 *const from = (const uint4 *)(data + place.chunk * CHUNK_BYTES);
            const int count = (int)chunk_bytes(chunk) / 16;
            if (!LAST) {
                barrier_wait(&ring->full[place.chunk], place.turn);
            }
#pragma unroll 2
            for (int n = threadIdx.x; n < count; n += threads) {
                float x[V];
                unpack<T, V>((const T *)(from + n), x);
                use(x, chunk * (CHUNK_BYTES / 16) + n);
            }
            if (LAST) {
                __syncwarp();
                if (threadIdx.x % 32 == 0) {
                    barrier_arrive(&ring->empty[place.chunk]);
                }
            }
            place.step(ring_chunks);
        }
    }

    /* Combines a value of each thread of the cluster; everyone gets the same bits. `count` numbers the calls. */
    template <typename COMBINE> __device__ float2 meet(float2 v, unsigned &count, COMBINE combine)
    {
        const int side = count & 1, lane = threadIdx.x % 32, warps = (blockDim.x - FEEDER) / 32;
        v = combine(v);
        if (lane == 0) {
            ring->slots[side][threadIdx.x / 32] = v;
        }
        asm volatile("bar.sync 1, %0;" ::"r"(blockDim.x - FEEDER) : "memory");
        v = combine(lane < warps ? ring->slots[side][lane] : make_float2(-FLT_MAX, 0.0f));
        if (blocks > 1) {
            if ((int)threadIdx.x < blocks) {
                unsigned to, met;
                asm("mapa.shared::cluster.u32 %0, %1, %2;"
                    : "=r"(to)
                    : "r"(shared_address(&ring->ranks[side][block])), "r"((int)threadIdx.x));
                asm("mapa.shared::cluster.u32 %0, %1, %2;"
                    : "=r"(met)
                    : "r"(shared_address(&ring->met[side])), "r"((int)threadIdx.x));
                asm volatile(
                    "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(to),
                    "f"(v.x), "f"(v.y), "r"(met)
                    : "memory");
            }
            if (threadIdx.x == 0) {
                barrier_expect(&ring->met[side], blocks * sizeof(float2));
            }
            barrier_wait(&ring->met[side], count >> 1 & 1);
            v = combine(lane < blocks ? ring->ranks[side][lane] : make_float2(-FLT_MAX, 0.0f));
        }
        count++;
        return v;
    }
};

__device__ inline int64_t first_ring_row()
{
    return blockIdx.x / cooperative_groups::this_cluster().num_blocks();
}
__device__ inline int64_t ring_row_step()
{
    return gridDim.x / cooperative_groups::this_cluster().num_blocks();
}

template <typename T> __device__ __forceinline__ void softmax_ring(const amps_softmax_params &p)
{
    constexpr int V = 16 / sizeof(T);
    row_slice<T> slice(p.ring, p.columns);
    launch_next();
    slice.begin(p.ring);
    ring_place place;
    const auto row_of = [&](uint64_t base, int64_t r, int64_t row_step, int64_t matrix_step) {
        const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows;
        return (T *)base + matrix * matrix_step + (r - matrix * p.rows) * row_step;
    };
    if (threadIdx.x >= blockDim.x - FEEDER) {
        if ((p.settled & AMPS_SETTLED_SOURCE) == 0) {
            wait_previous();
        }
        if (threadIdx.x == blockDim.x - FEEDER) {
            for (int64_t r = first_ring_row(); r < p.all_rows; r += ring_row_step()) {
                slice.feed(row_of(p.source, r, p.source_row, p.source_matrix), p.ring.chunks, place);
            }
        }
        return;
    }
    wait_previous();
    const float factor = p.scale * 1.44269504f;
    unsigned count = 0;
    const auto combine = [&](float2 v) { /* the larger top; the sums relative to it */
        const float top = reduce_warp<op_max>(v.x);
        return make_float2(top, reduce_warp<op_sum>(v.y * exp2_of((v.x - top) * factor)));
    };
    for (int64_t r = first_ring_row(); r < p.all_rows; r += ring_row_step()) {
        ring_place again = place;
        float top = -FLT_MAX, sum = 0.0f;
        slice.template each<false>(p.ring.chunks, again, [&](const float(&x)[V], int) {
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
        const float2 all = slice.meet(make_float2(top, sum), count, combine);
        top = all.x;
        const float share = 1.0f / all.y, less = logf(all.y);
        T *const result = row_of(p.result, r, p.result_row, p.result_matrix) + slice.at;
        slice.template each<true>(p.ring.chunks, place, [&](float(&x)[V], int n) {
#pragma unroll
            for (int i = 0; i < V; i++) {
                x[i] = p.log ? fmaf(x[i] - top, p.scale, -less) : exp2_of((x[i] - top) * factor) * share;
            }
            repack<T, V>(result + (int64_t)n * V, x);
        });
    }
}

template <typename T> __device__ __forceinline__ void rms_ring(const amps_norm_params &p)
{
    constexpr int V = 16 / sizeof(T);
    row_slice<T> slice(p.ring, p.columns);
    launch_next();
    slice.begin(p.ring);
    ring_place place;
    const auto row_of = [&](uint64_t base, int64_t r, int64_t row_step, int64_t matrix_step) {
        const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows;
        return (T *)base + matrix * matrix_step + (r - matrix * p.rows) * row_step;
    };
    const bool held = p.weight != 0 && p.ring.weight_bytes > 0; /* one vector of weights for all rows */
    if (threadIdx.x >= blockDim.x - FEEDER) {
        if (p.settled != (AMPS_SETTLED_SOURCE | AMPS_SETTLED_WEIGHTS)) {
            wait_previous();
        }
        if (threadIdx.x == blockDim.x - FEEDER) {
            if (held) {
                barrier_expect(&slice.ring->weights, slice.packs * 16);
                for (int chunk = 0; chunk < slice.chunks; chunk++) {
                    copy_in(slice.weights + chunk * CHUNK_BYTES,
                            (const unsigned char *)((const T *)p.weight + slice.at) + chunk * CHUNK_BYTES,
                            slice.chunk_bytes(chunk), &slice.ring->weights);
                }
            }
            for (int64_t r = first_ring_row(); r < p.all_rows; r += ring_row_step()) {
                slice.feed(row_of(p.source, r, p.source_row, p.source_matrix), p.ring.chunks, place);
            }
        }
        return;
    }
    wait_previous();
    unsigned count = 0;
    const auto add = [](float2 v) { return make_float2(0.0f, reduce_warp<op_sum>(v.y)); };
    const auto greater = [](float2 v) { return make_float2(0.0f, reduce_warp<op_max>(v.y)); };
    for (int64_t r = first_ring_row(); r < p.all_rows; r += ring_row_step()) {
        ring_place again = place;
        float shrink = p.shrink, sum = 0.0f, greatest = 0.0f;
        const auto square = [&](const float(&x)[V], int) {
#pragma unroll
            for (int i = 0; i < V; i++) {
                const float y = x[i] * shrink;
                sum = fmaf(y, y, sum);
            }
        };
        slice.template each<false>(p.ring.chunks, again, square);
        sum = slice.meet(make_float2(0.0f, sum), count, add).y;
        if (needs_rescue(p, sum)) { /* the same answer in every thread of the row */
            again = place;
            slice.template each<false>(p.ring.chunks, again, [&](const float(&x)[V], int) {
#pragma unroll
                for (int i = 0; i < V; i++) {
                    greatest = fmaxf(greatest, fabsf(x[i]));
                }
            });
            shrink = rescue_scale(p, slice.meet(make_float2(0.0f, greatest), count, greater).y);
            again = place;
            sum = 0.0f;
            slice.template each<false>(p.ring.chunks, again, square);
            sum = slice.meet(make_float2(0.0f, sum), count, add).y;
        }
        const float factor = norm_factor(p, sum, shrink);
        const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows;
        const T *const weight = (const T *)p.weight + matrix * p.weight_matrix + slice.at;
        const T *const bias = (const T *)p.bias + matrix * p.bias_matrix + slice.at;
        T *const result = row_of(p.result, r, p.result_row, p.result_matrix) + slice.at;
        if (held && r == first_ring_row()) {
            barrier_wait(&slice.ring->weights, 0);
        }
        slice.template each<true>(p.ring.chunks, place, [&](float(&x)[V], int n) {
            float y[V];
#pragma unroll
            for (int i = 0; i < V; i++) {
                x[i] = x[i] * shrink * factor;
            }
            if (p.weight != 0) {
                if (held) {
                    unpack<T, V>((const T *)slice.weights + n * V, y);
                } else {
                    unpack<T, V>(weight + (int64_t)n * V, y);
                }
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
            repack<T, V>(result + (int64_t)n * V, x);
        });
    }
}

#define CODE(call) call
#else
#define CODE(call) /* only Hopper has the copy engine; the host launches these nowhere else */
#endif

#define RING(type, name)                                                                           \
    extern "C" __global__ void __launch_bounds__(544, 1)                                           \
        softmax_##name##_ring(const __grid_constant__ amps_softmax_params p)                       \
    {                                                                                              \
        CODE(softmax_ring<type>(p));                                                               \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(544, 1)                                           \
        rms_##name##_ring(const __grid_constant__ amps_norm_params p)                              \
    {                                                                                              \
        CODE(rms_ring<type>(p));                                                                   \
    }

RING(float, f32)
RING(f16, f16)
RING(bf16, bf16)
