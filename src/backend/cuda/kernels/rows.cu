/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.cu: softmax, log-softmax, RMS norm, layer norm. Launched by ops/cuda_softmax.c and cuda_norm.c.
 *
 * A row is read once into the registers of one warp, one block or one cluster (NV packs of V elements per
 * thread) and written once. Aligned rows beyond that are held in shared memory (rows_held.cu); others take the *_long
 * kernels, which read them twice.
 */
#include "rows.cuh"

using namespace amps;

/* Registers hold 32 words a thread; two blocks of 512 threads leave the compiler 64 registers each. */
static const int MAX_THREADS = 512;

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

/*
 * From 1,024 columns on the bound of kernels.h, (columns/2 + 8)*2^-24, leaves room for a rounding of x*factor - top*factor with
 * factor = scale*log2(e), and of the factor: together 2*2^-24 of an exponent of at most 126 for results that are no subnormals,
 * 175 units. The kernels with many elements a thread do only that; the host gives them no shorter rows and no scale that
 * is 0 or huge. `top` is the row's largest element, with a negative scale its smallest. An error of top*factor is the same for
 * the whole row and cancels, as long as it is small: rows of huge elements become x - top first. (In 16 bits that rounds, but
 * what is not 0 then is beyond where exponentials vanish; only logarithms need the elements again.)
 */
static const int QUICK_FROM = 1024;
static const float FAR_FROM = 1048576.0f;

template <typename T, int V, int NV>
__device__ __forceinline__ void softmax_quick(const amps_softmax_params &p, row_data<T, V, NV> &data, float top, const T *source,
                                              T *result, int first, int step, float *slots, float *ranks)
{
    const bool far_row = !(fabsf(top * p.scale) < FAR_FROM);
    const float factor = p.scale * 1.44269504f;
    float x[V], sum = 0.0f;
    if (far_row) {
#pragma unroll
        for (int n = 0; n < NV; n++) {
            data.get(n, x);
#pragma unroll
            for (int i = 0; i < V; i++) {
                x[i] -= top;
            }
            data.set(n, x);
        }
    }
    const float offset = far_row ? 0.0f : -top * factor;
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            sum += exp2_of(fmaf(x[i], factor, offset));
        }
    }
    sum = reduce_row<op_sum>(sum, slots, ranks);
    if ((p.settled & AMPS_SETTLED_SOURCE) != 0) {
        wait_previous();
    }
    if (p.log) {
        const float less = logf(sum);
        const bool again = far_row && row_data<T, V, NV>::PACKED;
        const float shift = far_row && !again ? 0.0f : top;
#pragma unroll
        for (int n = 0; n < NV; n++) {
            if (again) {
                data.load(n, source, first + n * step, p.columns, 0.0f);
            }
            data.get(n, x);
#pragma unroll
            for (int i = 0; i < V; i++) {
                x[i] = fmaf(x[i] - shift, p.scale, -less);
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
            x[i] = exp2_of(fmaf(x[i], factor, offset)) * share;
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
    if ((p.settled & AMPS_SETTLED_SOURCE) != 0) {
        wait_previous();
    }
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
    launch_next();
    const int64_t r = row_index();
    if (r >= p.all_rows) {
        return;
    }
    const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows, row = r - matrix * p.rows;
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    T *result = (T *)p.result + matrix * p.result_matrix + row * p.result_row;
    const int first = row_thread(), step = row_threads();
    const float fill = p.scale < 0.0f ? CUDART_INF_F : -CUDART_INF_F;
    constexpr bool many = V == 1 ? NV > 4 : NV > 2;
    const bool quick = many || (p.columns >= QUICK_FROM && p.scale == 1.0f && p.scale_rest == 0.0f);
    const float unit = quick ? copysignf(1.0f, p.scale) : p.scale;
    row_data<T, V, NV> data;
    float x[V], m = -CUDART_INF_F;
    if ((p.settled & AMPS_SETTLED_SOURCE) == 0) {
        wait_previous();
    }
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
            m = fmaxf(m, unit * x[i]);
        }
    }
    m = reduce_row<op_max>(m, slots[0], ranks[0]);
    if (quick) {
        softmax_quick<T, V, NV>(p, data, unit * m, source, result, first, step, slots[1], ranks[1]);
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

/* Weights and bias of this thread's packs, asked for together with the row: after its sum they would be a second journey. */
template <typename T, int V, int NV> struct norm_vectors {
    static constexpr bool HELD = V * sizeof(T) == 16 && NV * row_data<T, V, NV>::WORDS <= 8;
    row_data<T, V, HELD ? NV : 1> weight, bias;

    __device__ void load(const amps_norm_params &p, int64_t matrix, int first, int step)
    {
        if constexpr (HELD) {
#pragma unroll
            for (int n = 0; n < NV; n++) {
                if (p.weight != 0) {
                    weight.load(n, (const T *)p.weight + matrix * p.weight_matrix, first + n * step, p.columns, 0.0f);
                }
                if (p.bias != 0) {
                    bias.load(n, (const T *)p.bias + matrix * p.bias_matrix, first + n * step, p.columns, 0.0f);
                }
            }
        }
    }
};

template <typename T, int V>
__device__ inline void get_vector(uint64_t vector, int64_t offset, int64_t at, int64_t columns, float *x)
{
    load_pack<T, V>((const T *)vector + offset, at, columns, 0.0f, x);
}

template <typename T, int V, int NV>
__device__ inline void store_norm(const amps_norm_params &p, const norm_vectors<T, V, NV> &vectors, int n, int64_t matrix,
                                  int64_t row, int64_t at, float *x)
{
    float y[V];
    if (p.weight != 0) {
        if constexpr (norm_vectors<T, V, NV>::HELD) {
            vectors.weight.get(n, y);
        } else {
            get_vector<T, V>(p.weight, matrix * p.weight_matrix, at, p.columns, y);
        }
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] *= y[i];
        }
    }
    if (p.bias != 0) {
        if constexpr (norm_vectors<T, V, NV>::HELD) {
            vectors.bias.get(n, y);
        } else {
            get_vector<T, V>(p.bias, matrix * p.bias_matrix, at, p.columns, y);
        }
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] += y[i];
        }
    }
    store_pack<T, V>((T *)p.result + matrix * p.result_matrix + row * p.result_row, at, p.columns, x);
}

/* The waits of a norm: before the vectors, the row and the result, each as late as what is settled allows. */
__device__ inline void wait_for_vectors(const amps_norm_params &p)
{
    if ((p.settled & AMPS_SETTLED_WEIGHTS) == 0) {
        wait_previous();
    }
}
__device__ inline void wait_for_source(const amps_norm_params &p)
{
    if ((p.settled & AMPS_SETTLED_SOURCE) == 0 && (p.settled & AMPS_SETTLED_WEIGHTS) != 0) {
        wait_previous();
    }
}
__device__ inline void wait_for_result(const amps_norm_params &p)
{
    if ((p.settled & AMPS_SETTLED_SOURCE) != 0) {
        wait_previous();
    }
}

template <typename T, int V, int NV> __device__ __forceinline__ void norm_rows(const amps_norm_params &p)
{
    __shared__ float slots[4][32], ranks[4][16];
    launch_next();
    const int64_t r = row_index();
    if (r >= p.all_rows) {
        return;
    }
    const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows, row = r - matrix * p.rows;
    const int first = row_thread(), step = row_threads();
    float x[NV * V];
    norm_vectors<T, V, NV> vectors;
    wait_for_vectors(p);
    vectors.load(p, matrix, first, step);
    wait_for_source(p);
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
    wait_for_result(p);
#pragma unroll
    for (int n = 0; n < NV; n++) {
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[n * V + i] = x[n * V + i] * shrink * factor;
        }
        store_norm<T, V, NV>(p, vectors, n, matrix, row, first + n * step, x + n * V);
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
    launch_next();
    const int64_t r = row_index();
    if (r >= p.all_rows) {
        return;
    }
    const int64_t matrix = p.rows == p.all_rows ? 0 : r / p.rows, row = r - matrix * p.rows;
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    const int first = row_thread(), step = row_threads();
    row_data<T, V, NV> data;
    float x[V];
    norm_vectors<T, V, NV> vectors;
    wait_for_vectors(p);
    vectors.load(p, matrix, first, step);
    wait_for_source(p);
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
    wait_for_result(p);
#pragma unroll
    for (int n = 0; n < NV; n++) {
        data.get(n, x);
#pragma unroll
        for (int i = 0; i < V; i++) {
            x[i] = x[i] * shrink * factor;
        }
        store_norm<T, V, NV>(p, vectors, n, matrix, row, first + n * step, x);
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
        store_norm<T, 1, 1>(p, norm_vectors<T, 1, 1>(), 0, matrix, row, j, &x);
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
RMS(f16, f16, 8, 1)
RMS(f16, f16, 8, 2)
RMS(f16, f16, 8, 4)
RMS(bf16, bf16, 8, 1)
RMS(bf16, bf16, 8, 2)
RMS(bf16, bf16, 8, 4)
LONG(float, f32)
LONG(f16, f16)
LONG(bf16, bf16)
