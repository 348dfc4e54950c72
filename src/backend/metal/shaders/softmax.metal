// SPDX-License-Identifier: Apache-2.0
// softmax.metal: softmax and log-softmax of rows. One threadgroup works on one row: its maximum, the sum of its
// exponentials, the results. Launched by ops/metal_softmax.c with the grid {rows, batch, 1}.

struct softmax_params {
    ulong source_row, source_matrix; // elements
    ulong result_row, result_matrix;
    uint columns;
    float scale;
    uint logarithm; // 1: log-softmax
};

// scale*x - most in two floats, whose sum is right to 2^-46: the exponential turns an absolute error of its
// argument into a relative one of the result, and the argument may be -80.
struct shifted {
    float high, low;
};

static inline shifted shift(float x, float scale, float most)
{
    const float product = scale * x;
    const float product_error = fma(scale, x, -product);
    const float difference = product - most;
    const float back = difference + most;
    const float difference_error = (product - back) - (most - (back - difference)) + product_error;
    shifted d;
    d.high = difference;
    d.low = isfinite(difference_error) ? difference_error : 0.0f;
    return d;
}

static inline float exponential(shifted d)
{
    const float e = precise::exp(d.high);
    return fma(e, d.low, e);
}

template <typename io>
static inline void softmax_row(device const uchar *source, device uchar *result, constant softmax_params &p,
                               threadgroup float *partial, uint3 group, uint index, uint threads, uint lane, uint simd,
                               uint simds)
{
    const ulong from = ulong(group.x) * p.source_row + ulong(group.y) * p.source_matrix;
    const ulong to = ulong(group.x) * p.result_row + ulong(group.y) * p.result_matrix;
    float most = as_type<float>(0xff800000u); // -infinity
    for (uint j = index; j < p.columns; j += threads) {
        most = max(most, p.scale * io::load(source, from + j));
    }
    most = group_max(most, partial, lane, simd, simds);
    float sum = 0.0f;
    for (uint j = index; j < p.columns; j += threads) {
        sum += exponential(shift(io::load(source, from + j), p.scale, most));
    }
    sum = group_sum(sum, partial, lane, simd, simds);
    const float logarithm = precise::log(sum);
    for (uint j = index; j < p.columns; j += threads) {
        const shifted d = shift(io::load(source, from + j), p.scale, most);
        io::store(result, to + j, p.logarithm != 0 ? (d.high - logarithm) + d.low : exponential(d) / sum);
    }
}

kernel void softmax_f32(device const uchar *source [[buffer(0)]],
                        device uchar *result [[buffer(1)]],
                        constant softmax_params &p [[buffer(2)]],
                        uint3 group [[threadgroup_position_in_grid]],
                        uint index [[thread_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]],
                        uint simd [[simdgroup_index_in_threadgroup]],
                        uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[64];
    softmax_row<f32_io>(source, result, p, partial, group, index, 256, lane, simd, simds);
}

kernel void softmax_f16(device const uchar *source [[buffer(0)]],
                        device uchar *result [[buffer(1)]],
                        constant softmax_params &p [[buffer(2)]],
                        uint3 group [[threadgroup_position_in_grid]],
                        uint index [[thread_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]],
                        uint simd [[simdgroup_index_in_threadgroup]],
                        uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[64];
    softmax_row<f16_io>(source, result, p, partial, group, index, 256, lane, simd, simds);
}

kernel void softmax_bf16(device const uchar *source [[buffer(0)]],
                         device uchar *result [[buffer(1)]],
                         constant softmax_params &p [[buffer(2)]],
                         uint3 group [[threadgroup_position_in_grid]],
                         uint index [[thread_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]],
                         uint simd [[simdgroup_index_in_threadgroup]],
                         uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[64];
    softmax_row<bf16_io>(source, result, p, partial, group, index, 256, lane, simd, simds);
}
