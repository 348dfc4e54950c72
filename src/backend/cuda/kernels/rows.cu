/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.cu: softmax, log-softmax, RMS norm, layer norm. Launched by ops/cuda_softmax.c and cuda_norm.c.
 *
 * A row is read once into the registers of one warp, one block or one cluster (NV packs of V elements per
 * thread) and written once. Rows beyond that take the *_long kernels, which read it twice.
 */
#include "common.cuh"

using namespace amps;

/* Registers hold 32 words a thread; two blocks of 512 threads leave the compiler 64 registers each. */
static const int MAX_THREADS = 512;

/* Pack `n` of a row of `columns` elements, which are a multiple of V; a pack past the end becomes `fill`. */
template <typename T, int V> __device__ inline void load_pack(const T *row, int n, int64_t columns, float fill, float *x)
{
    if (n * V < columns) {
        unpack<T, V>(row + n * V, x);
    } else {
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = fill;
        }
    }
}

template <typename T, int V> __device__ inline void store_pack(T *row, int64_t n, int64_t columns, const float *x)
{
    if (n * V < columns) {
        repack<T, V>(row + n * V, x);
    }
}

/*
 * What a thread keeps of a row: NV packs of V elements. 16-bit elements stay packed, two in a register, and are unpacked
 * for each pass: twice the bytes in flight for the same registers.
 */
template <typename T, int V, int NV> struct row_data {
    static constexpr bool PACKED = sizeof(T) == 2 && V == 8;
    static constexpr int WORDS = PACKED ? V / 2 : V;
    unsigned words[NV * WORDS];

    __device__ void get(int n, float *x) const
    {
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            unsigned word = words[n * WORDS + i];
            asm volatile("" : "+r"(word)); /* else the compiler keeps what it made of it for the next pass */
            if constexpr (PACKED) {
                unpack_two(word, x + 2 * i, T());
            } else {
                x[i] = __uint_as_float(word);
            }
        }
    }
    __device__ void set(int n, const float *x)
    {
#pragma unroll
        for (int i = 0; i < WORDS; i++) {
            if constexpr (PACKED) {
                words[n * WORDS + i] = pack_two(x[2 * i], x[2 * i + 1], T());
            } else {
                words[n * WORDS + i] = __float_as_uint(x[i]);
            }
        }
    }
    /* Pack `at` of the row straight from memory. */
    __device__ void load(int n, const T *row, int64_t at, int64_t columns, float fill)
    {
        if constexpr (V * sizeof(T) == 16) {
            const unsigned empty = PACKED ? pack_two(fill, fill, T()) : __float_as_uint(fill);
            uint4 got = make_uint4(empty, empty, empty, empty);
            if (at * V < columns) {
                got = *reinterpret_cast<const uint4 *>(row + at * V);
            }
            words[n * 4] = got.x, words[n * 4 + 1] = got.y, words[n * 4 + 2] = got.z, words[n * 4 + 3] = got.w;
        } else {
            float x[V];
            load_pack<T, V>(row, at, columns, fill, x);
            set(n, x);
        }
    }
};

/* ---- softmax ---------------------------------------------------------------------------------- */

/* s*x as p + rest, exact to 48 bits. */
__device__ inline float scaled(const amps_softmax_params &p, float x, float *rest)
{
    const float y = p.scale * x;
    const float e = fmaf(p.scale_rest, x, fmaf(p.scale, x, -y));
    *rest = e == e ? e : 0.0f; /* infinities have no rest */
    return y;
}

/* (y + rest) - m as d + rest: the difference may round by 2^-18 for d near -88, which exp would show. */
__device__ inline float shifted(float y, float m, float *rest)
{
    const float d = y - m;
    const float back = d - y;
    const float e = (y - (d - back)) + (-m - back);
    *rest = d > -128.0f ? *rest + e : 0.0f;
    return d;
}

__device__ inline float exp_of(float d, float rest)
{
    const float e = expf(d);
    return fmaf(e, rest, e);
}

/* 2^t by the special function unit. */
__device__ inline float exp2_of(float t)
{
    float y;
    asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(t));
    return y;
}

/*
 * From 1,024 columns on the bound of kernels.h, (columns/2 + 8)*2^-24, leaves room for one rounding of
 * x*factor - m*factor with factor = scale*log2(e), at most 2^-17 for results that are no subnormals, and for that of
 * the factor: together 150 units. An error of m*factor itself is the same for the whole row and cancels. The kernels
 * with many elements a thread do only that; the host gives them no shorter rows and no scale that is 0 or huge.
 */
static const int QUICK_FROM = 1024;

template <typename T, int V, int NV>
__device__ __forceinline__ void softmax_quick(const amps_softmax_params &p, const row_data<T, V, NV> &data, float m, T *result,
                                              int first, int step, float *slots, float *ranks)
{
    const float log2e = 1.44269504f, factor = p.scale * log2e, less2 = -m * log2e;
    float x[V], sum = 0.0f;
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            sum += exp2_of(fmaf(x[i], factor, less2));
        }
    }
    sum = reduce_row<op_sum>(sum, slots, ranks);
    if (p.log) {
        const float less = logf(sum);
#pragma unroll
        for (int n = 0; n < NV; n++) {
            data.get(n, x);
#pragma unroll
            for (int i = 0; i < V; i++) {
                x[i] = fmaf(x[i], p.scale, -m) - less;
            }
            store_pack<T, V>(result, first + n * step, p.columns, x);
        }
        return;
    }
    const float share = 1.0f / sum;
#pragma unroll
    for (int n = 0; n < NV; n++) { /* a second exponential costs less than registers for the first */
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = exp2_of(fmaf(x[i], factor, less2)) * share;
        }
        store_pack<T, V>(result, first + n * step, p.columns, x);
    }
}

template <typename T, int V, int NV>
__device__ __forceinline__ void softmax_exact(const amps_softmax_params &p, const row_data<T, V, NV> &data, float m, T *result,
                                              int first, int step, float *slots, float *ranks)
{
    float x[V], sum = 0.0f;
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            float rest;
            const float y = scaled(p, x[i], &rest), d = shifted(y, m, &rest);
            const bool inside = (first + n * step) * V < p.columns; /* a scale of 0 spoils the fill */
            sum += inside ? exp_of(d, rest) : 0.0f;
        }
    }
    sum = reduce_row<op_sum>(sum, slots, ranks);
    const float share = 1.0f / sum, less = p.log ? logf(sum) : 0.0f;
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            float rest;
            const float y = scaled(p, x[i], &rest), d = shifted(y, m, &rest);
            x[i] = p.log ? d + rest - less : exp_of(d, rest) * share;
        }
        store_pack<T, V>(result, first + n * step, p.columns, x);
    }
}

template <typename T, int V, int NV> __device__ __forceinline__ void softmax_rows(const amps_softmax_params &p)
{
    __shared__ float slots[2][32], ranks[2][16];
    begin_kernel();
    const int64_t r = row_index();
    if (r >= p.all_rows) {
        return;
    }
    const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows, row = r - matrix * p.rows;
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    T *result = (T *)p.result + matrix * p.result_matrix + row * p.result_row;
    const int first = row_thread(), step = row_threads();
    const float fill = p.scale < 0.0f ? CUDART_INF_F : -CUDART_INF_F;
    row_data<T, V, NV> data;
    float x[V], m = -CUDART_INF_F, sum = 0.0f;
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.load(n, source, first + n * step, p.columns, fill);
    }
    begin_exchange();
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            m = fmaxf(m, p.scale * x[i]);
        }
    }
    m = reduce_row<op_max>(m, slots[0], ranks[0]);
    constexpr bool many = V == 1 ? NV > 4 : NV > 2;
    if (many || (p.columns >= QUICK_FROM && p.scale == 1.0f && p.scale_rest == 0.0f)) {
        softmax_quick<T, V, NV>(p, data, m, result, first, step, slots[1], ranks[1]);
    } else {
        softmax_exact<T, V, NV>(p, data, m, result, first, step, slots[1], ranks[1]);
    }
}

/* Any length: a first pass keeps each thread's maximum and the sum relative to it, a second one writes. */
template <typename T> __device__ __forceinline__ void softmax_long(const amps_softmax_params &p)
{
    __shared__ float slots[2][32], ranks[2][16];
    begin_kernel();
    const int64_t r = row_index();
    const int64_t matrix = r / p.rows, row = r - matrix * p.rows;
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    T *result = (T *)p.result + matrix * p.result_matrix + row * p.result_row;
    const int first = row_thread(), step = row_threads();
    float mine = -CUDART_INF_F, sum = 0.0f, rest;
    for (int64_t j = first; j < p.columns; j += step) {
        const float y = scaled(p, to_f32(source[j]), &rest);
        if (y == -CUDART_INF_F) {
            continue;
        }
        if (y > mine) { /* a NaN that is in the sum already must stay */
            sum *= mine == -CUDART_INF_F ? 1.0f : expf(mine - y);
            mine = y;
        }
        const float d = shifted(y, mine, &rest);
        sum += exp_of(d, rest);
    }
    begin_exchange();
    const float m = reduce_row<op_max>(mine, slots[0], ranks[0]);
    sum *= mine == -CUDART_INF_F ? 1.0f : expf(mine - m);
    sum = reduce_row<op_sum>(sum, slots[1], ranks[1]);
    const float factor = 1.0f / sum, less = p.log ? logf(sum) : 0.0f;
    for (int64_t j = first; j < p.columns; j += step) {
        const float y = scaled(p, to_f32(source[j]), &rest);
        const float d = shifted(y, m, &rest);
        result[j] = from_f32<T>(p.log ? d + rest - less : exp_of(d, rest) * factor);
    }
}

/* ---- norms ------------------------------------------------------------------------------------ */

/* x of the formula: source, plus the residual rounded to the type and written back. */
template <typename T, int V>
__device__ inline void load_sum(const amps_norm_params &p, int64_t matrix, int64_t row, int64_t n, float *x)
{
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    load_pack<T, V>(source, n, p.columns, 0.0f, x);
    if (p.residual != 0) {
        float more[V];
        T *residual = (T *)p.residual + matrix * p.residual_matrix + row * p.residual_row;
        load_pack<T, V>(residual, n, p.columns, 0.0f, more);
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = to_f32(from_f32<T>(x[i] + more[i]));
        }
        store_pack<T, V>(residual, n, p.columns, x);
    }
}

template <typename T, int V>
__device__ inline void store_norm(const amps_norm_params &p, int64_t matrix, int64_t row, int64_t n, float *x)
{
    if (p.weight != 0) {
        float w[V];
        load_pack<T, V>((const T *)p.weight + matrix * p.weight_matrix, n, p.columns, 0.0f, w);
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] *= w[i];
        }
    }
    if (p.bias != 0) {
        float b[V];
        load_pack<T, V>((const T *)p.bias + matrix * p.bias_matrix, n, p.columns, 0.0f, b);
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] += b[i];
        }
    }
    store_pack<T, V>((T *)p.result + matrix * p.result_matrix + row * p.result_row, n, p.columns, x);
}

/* From the sum of (shrink*x)^2 over the row: what each x*shrink is multiplied with. */
__device__ inline float norm_factor(const amps_norm_params &p, float sum, float shrink)
{
    if (sum == 0.0f && p.epsilon_positive) {
        return 0.0f;
    }
    return 1.0f / sqrtf(fmaf(p.epsilon * shrink, shrink, sum / (float)p.columns));
}

/* A power of two near 1/greatest, so that squares neither overflow nor vanish; 1 if that cannot help. */
__device__ inline float rescue_scale(const amps_norm_params &p, float greatest)
{
    const float exponent = -(float)ilogbf(greatest);
    /* epsilon is scaled too, by the square, and must stay finite */
    return greatest > 0.0f && greatest < CUDART_INF_F ? exp2f(fminf(exponent, p.epsilon_positive ? 60.0f : 120.0f)) : 1.0f;
}

/* Sums of squares outside of this range have lost digits or overflowed: the row is done again, rescaled. */
__device__ inline bool needs_rescue(const amps_norm_params &p, float sum)
{
    return sum > 1e38f || sum != sum || (sum < 1e-26f && p.epsilon < 1e-20f);
}

template <typename T, int V, int NV> __device__ __forceinline__ void norm_rows(const amps_norm_params &p)
{
    __shared__ float slots[4][32], ranks[4][16];
    begin_kernel();
    const int64_t r = row_index();
    if (r >= p.all_rows) {
        return;
    }
    const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows, row = r - matrix * p.rows;
    const int first = row_thread(), step = row_threads();
    float x[NV * V];
#pragma unroll
    for (int n = 0; n < NV; n++) {
        load_sum<T, V>(p, matrix, row, first + n * step, x + n * V);
    }
    begin_exchange();
    if (p.layer) {
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < NV * V; i++) {
            sum += x[i];
        }
        const float mean = reduce_row<op_sum>(sum, slots[0], ranks[0]) / (float)p.columns;
#pragma unroll
        for (int n = 0; n < NV; n++) {
#pragma unroll
            for (int i = 0; i < V; i++) {
                const bool inside = (first + n * step) * V + i < p.columns;
                x[n * V + i] = inside ? x[n * V + i] - mean : 0.0f;
            }
        }
    }
    float shrink = p.shrink, sum = 0.0f;
#pragma unroll
    for (int i = 0; i < NV * V; i++) {
        const float y = x[i] * shrink;
        sum = fmaf(y, y, sum);
    }
    sum = reduce_row<op_sum>(sum, slots[1], ranks[1]);
    if (needs_rescue(p, sum)) { /* the same answer in every thread of the row */
        float greatest = 0.0f;
#pragma unroll
        for (int i = 0; i < NV * V; i++) {
            greatest = fmaxf(greatest, fabsf(x[i]));
        }
        shrink = rescue_scale(p, reduce_row<op_max>(greatest, slots[2], ranks[2]));
        sum = 0.0f;
#pragma unroll
        for (int i = 0; i < NV * V; i++) {
            const float y = x[i] * shrink;
            sum = fmaf(y, y, sum);
        }
        sum = reduce_row<op_sum>(sum, slots[3], ranks[3]);
    }
    const float factor = norm_factor(p, sum, shrink);
#pragma unroll
    for (int n = 0; n < NV; n++) {
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[n * V + i] = x[n * V + i] * shrink * factor;
        }
        store_norm<T, V>(p, matrix, row, first + n * step, x + n * V);
    }
}

/* This thread's sum of (x*shrink)^2. */
template <typename T, int V, int NV> __device__ __forceinline__ float square_sum(const row_data<T, V, NV> &data, float shrink)
{
    float x[V], sum = 0.0f;
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            const float y = x[i] * shrink;
            sum = fmaf(y, y, sum);
        }
    }
    return sum;
}

/* RMS norm without a residual: the elements stay as they came, so that fewer registers hold more of a row. */
template <typename T, int V, int NV> __device__ __forceinline__ void rms_rows(const amps_norm_params &p)
{
    __shared__ float slots[3][32], ranks[3][16];
    begin_kernel();
    const int64_t r = row_index();
    if (r >= p.all_rows) {
        return;
    }
    const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows, row = r - matrix * p.rows;
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    const int first = row_thread(), step = row_threads();
    row_data<T, V, NV> data;
    float x[V];
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.load(n, source, first + n * step, p.columns, 0.0f);
    }
    begin_exchange();
    float shrink = p.shrink;
    float sum = reduce_row<op_sum>(square_sum<T, V, NV>(data, shrink), slots[0], ranks[0]);
    if (needs_rescue(p, sum)) { /* the same answer in every thread of the row */
        float greatest = 0.0f;
#pragma unroll
        for (int n = 0; n < NV; n++) {
            data.get(n, x);
#pragma unroll
            for (int i = 0; i < V; i++) {
                greatest = fmaxf(greatest, fabsf(x[i]));
            }
        }
        shrink = rescue_scale(p, reduce_row<op_max>(greatest, slots[1], ranks[1]));
        sum = reduce_row<op_sum>(square_sum<T, V, NV>(data, shrink), slots[2], ranks[2]);
    }
    const float factor = norm_factor(p, sum, shrink);
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = x[i] * shrink * factor;
        }
        store_norm<T, V>(p, matrix, row, first + n * step, x);
    }
}

/* Any length. With a residual the sum is read back from where the same thread has written it. */
template <typename T> __device__ __forceinline__ void norm_long(const amps_norm_params &p)
{
    __shared__ float slots[4][32], ranks[4][16];
    begin_kernel();
    const int64_t r = row_index();
    const int64_t matrix = r / p.rows, row = r - matrix * p.rows;
    const int first = row_thread(), step = row_threads();
    const T *again = p.residual != 0 ? (const T *)p.residual + matrix * p.residual_matrix + row * p.residual_row
                                     : (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    float sum = 0.0f, x;
    for (int64_t j = first; j < p.columns; j += step) {
        load_sum<T, 1>(p, matrix, row, j, &x);
        sum += x;
    }
    begin_exchange();
    const float mean = p.layer ? reduce_row<op_sum>(sum, slots[0], ranks[0]) / (float)p.columns : 0.0f;
    float greatest = 0.0f;
    for (int64_t j = first; j < p.columns; j += step) {
        greatest = fmaxf(greatest, fabsf(to_f32(again[j]) - mean));
    }
    const float shrink = rescue_scale(p, reduce_row<op_max>(greatest, slots[1], ranks[1])) * p.shrink;
    sum = 0.0f;
    for (int64_t j = first; j < p.columns; j += step) {
        const float y = (to_f32(again[j]) - mean) * shrink;
        sum = fmaf(y, y, sum);
    }
    sum = reduce_row<op_sum>(sum, slots[2], ranks[2]);
    const float factor = norm_factor(p, sum, shrink);
    for (int64_t j = first; j < p.columns; j += step) {
        x = (to_f32(again[j]) - mean) * shrink * factor;
        store_norm<T, 1>(p, matrix, row, j, &x);
    }
}

/* ---- What the host launches ------------------------------------------------------------------- */

/* A kernel needs an extern "C" name for cuModuleGetFunction. The list is kernels.def's. */
#define ROWS(type, name, v, nv)                                                                    \
    extern "C" __global__ void __launch_bounds__(MAX_THREADS, v == 1 ? 1 : 2)                      \
        softmax_##name##_v##v##_n##nv(const __grid_constant__ amps_softmax_params p)               \
    {                                                                                              \
        softmax_rows<type, v, nv>(p);                                                              \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(MAX_THREADS, v == 1 || nv == 8 ? 1 : 2)           \
        norm_##name##_v##v##_n##nv(const __grid_constant__ amps_norm_params p)                     \
    {                                                                                              \
        norm_rows<type, v, nv>(p);                                                                 \
    }
#define RMS(type, name, v, nv)                                                                     \
    extern "C" __global__ void __launch_bounds__(MAX_THREADS, 2)                                   \
        rms_##name##_v##v##_n##nv(const __grid_constant__ amps_norm_params p)                      \
    {                                                                                              \
        rms_rows<type, v, nv>(p);                                                                  \
    }
#define LONG(type, name)                                                                           \
    extern "C" __global__ void __launch_bounds__(MAX_THREADS)                                      \
        softmax_##name##_long(const __grid_constant__ amps_softmax_params p)                       \
    {                                                                                              \
        softmax_long<type>(p);                                                                     \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(MAX_THREADS)                                      \
        norm_##name##_long(const __grid_constant__ amps_norm_params p)                             \
    {                                                                                              \
        norm_long<type>(p);                                                                        \
    }

ROWS(float, f32, 1, 4)
ROWS(float, f32, 1, 32)
ROWS(float, f32, 4, 1)
ROWS(float, f32, 4, 2)
ROWS(float, f32, 4, 4)
ROWS(float, f32, 4, 8)
ROWS(f16, f16, 1, 4)
ROWS(f16, f16, 1, 32)
ROWS(f16, f16, 8, 1)
ROWS(f16, f16, 8, 2)
ROWS(f16, f16, 8, 4)
ROWS(bf16, bf16, 1, 4)
ROWS(bf16, bf16, 1, 32)
ROWS(bf16, bf16, 8, 1)
ROWS(bf16, bf16, 8, 2)
ROWS(bf16, bf16, 8, 4)
RMS(float, f32, 4, 1)
RMS(float, f32, 4, 2)
RMS(float, f32, 4, 4)
RMS(float, f32, 4, 8)
RMS(f16, f16, 8, 1)
RMS(f16, f16, 8, 2)
RMS(f16, f16, 8, 4)
RMS(bf16, bf16, 8, 1)
RMS(bf16, bf16, 8, 2)
RMS(bf16, bf16, 8, 4)
LONG(float, f32)
LONG(f16, f16)
LONG(bf16, bf16)
