/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.cu: softmax, log-softmax, RMS norm, layer norm. Launched by ops/cuda_softmax.c and cuda_norm.c.
 *
 * A row is read once into the registers of one warp, one block or one cluster (NV packs of V elements per
 * thread) and written once. Rows beyond that take the *_long kernels, which read it twice.
 */
#include "common.cuh"

using namespace amps;

/* Registers hold 32 elements a thread; 512 threads leave the compiler 128 registers each. */
static const int MAX_THREADS = 512;

/* Pack `n` of a row of `columns` elements; elements past the end become `fill`. */
template <typename T, int V> __device__ inline void load_pack(const T *row, int64_t n, int64_t columns, float fill, float *x)
{
    if ((n + 1) * V <= columns) {
        unpack<T, V>(row + n * V, x);
    } else {
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = n * V + i < columns ? to_f32(row[n * V + i]) : fill;
        }
    }
}

template <typename T, int V> __device__ inline void store_pack(T *row, int64_t n, int64_t columns, const float *x)
{
    if ((n + 1) * V <= columns) {
        repack<T, V>(row + n * V, x);
    } else {
#pragma unroll
        for (int i = 0; i < V; i++) {
            if (n * V + i < columns) {
                row[n * V + i] = from_f32<T>(x[i]);
            }
        }
    }
}

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
    float x[NV * V], m = -CUDART_INF_F, sum = 0.0f;
#pragma unroll
    for (int n = 0; n < NV; n++) {
        load_pack<T, V>(source, first + (int64_t)n * step, p.columns, p.scale < 0.0f ? CUDART_INF_F : -CUDART_INF_F, x + n * V);
    }
    constexpr bool many = V == 1 ? NV > 4 : NV > 2;
    begin_exchange();
    if (many || (p.columns >= QUICK_FROM && p.scale == 1.0f && p.scale_rest == 0.0f)) {
        const float log2e = 1.44269504f, factor = p.scale * log2e;
#pragma unroll
        for (int i = 0; i < NV * V; i++) {
            m = fmaxf(m, p.scale * x[i]);
        }
        m = reduce_row<op_max>(m, slots[0], ranks[0]);
        const float less2 = -m * log2e;
#pragma unroll
        for (int i = 0; i < NV * V; i++) {
            const float e = exp2_of(fmaf(x[i], factor, less2));
            sum += e;
            x[i] = p.log ? fmaf(x[i], p.scale, -m) : e;
        }
    } else {
        const bool plain = p.scale == 1.0f && p.scale_rest == 0.0f;
        const bool empty = p.scale == 0.0f; /* then the fill must not become 0*inf */
#pragma unroll
        for (int i = 0; i < NV * V; i++) {
            m = fmaxf(m, plain ? x[i] : p.scale * x[i]);
        }
        m = reduce_row<op_max>(m, slots[0], ranks[0]);
#pragma unroll
        for (int n = 0; n < NV; n++) {
#pragma unroll
            for (int i = 0; i < V; i++) {
                float rest = 0.0f;
                const float y = plain ? x[n * V + i] : scaled(p, x[n * V + i], &rest);
                const float d = shifted(y, m, &rest);
                const bool inside = (first + (int64_t)n * step) * V + i < p.columns;
                const float e = exp_of(d, rest);
                sum += (!empty || inside) ? e : 0.0f;
                x[n * V + i] = p.log ? d + rest : e;
            }
        }
    }
    sum = reduce_row<op_sum>(sum, slots[1], ranks[1]);
    const float factor = p.log ? 1.0f : 1.0f / sum, less = p.log ? logf(sum) : 0.0f;
#pragma unroll
    for (int n = 0; n < NV; n++) {
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[n * V + i] = fmaf(x[n * V + i], factor, -less);
        }
        store_pack<T, V>(result, first + (int64_t)n * step, p.columns, x + n * V);
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
        load_sum<T, V>(p, matrix, row, first + (int64_t)n * step, x + n * V);
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
                const bool inside = (first + (int64_t)n * step) * V + i < p.columns;
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
        store_norm<T, V>(p, matrix, row, first + (int64_t)n * step, x + n * V);
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
    extern "C" __global__ void __launch_bounds__(MAX_THREADS, v == 1 || nv * v == 32 ? 1 : 2)      \
        norm_##name##_v##v##_n##nv(const __grid_constant__ amps_norm_params p)                     \
    {                                                                                              \
        norm_rows<type, v, nv>(p);                                                                 \
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
LONG(float, f32)
LONG(f16, f16)
LONG(bf16, bf16)
