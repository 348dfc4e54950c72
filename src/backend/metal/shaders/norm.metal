// SPDX-License-Identifier: Apache-2.0
// norm.metal: RMSNorm and layer norm of rows, with an optional residual that is added first and written back.
// One threadgroup works on one row. Launched by ops/metal_rms_norm.c with the grid {rows, batch, 1}.

struct norm_params {
    ulong source_row, source_matrix; // elements
    ulong residual_row, residual_matrix;
    ulong result_row, result_matrix;
    ulong weight_matrix, bias_matrix;
    uint columns;
    float epsilon;
    uint centred;      // 1: layer norm
    uint has_residual; // 1: residual += source first, and the sum, rounded to the type, is what is normalised
    uint has_weight, has_bias;
};

// A square is formed as (x/n)*x, so that it overflows only if the mean square does. In a result that is the
// residual's very view each thread reads its elements before it writes them.
template <typename io>
static inline void norm_row(device const uchar *source, device uchar *residual, device const uchar *weight,
                            device const uchar *bias, device uchar *result, constant norm_params &p,
                            threadgroup float *partial, uint3 group, uint index, uint threads, uint lane, uint simd,
                            uint simds)
{
    const ulong from = ulong(group.x) * p.source_row + ulong(group.y) * p.source_matrix;
    const ulong beside = ulong(group.x) * p.residual_row + ulong(group.y) * p.residual_matrix;
    const ulong to = ulong(group.x) * p.result_row + ulong(group.y) * p.result_matrix;
    const float inverse = 1.0f / float(p.columns);
    float mean = 0.0f;
    for (uint j = index; j < p.columns; j += threads) {
        float x = io::load(source, from + j);
        if (p.has_residual != 0) {
            x += io::load(residual, beside + j);
            io::store(residual, beside + j, x);
            x = io::load(residual, beside + j);
        }
        mean += x * inverse;
    }
    mean = p.centred != 0 ? group_sum(mean, partial, lane, simd, simds) : 0.0f;
    float squares = 0.0f;
    for (uint j = index; j < p.columns; j += threads) {
        const float x = p.has_residual != 0 ? io::load(residual, beside + j) : io::load(source, from + j);
        const float d = x - mean;
        squares = fma(d * inverse, d, squares);
    }
    squares = group_sum(squares, partial, lane, simd, simds);
    const float deviation = precise::sqrt(squares + p.epsilon);
    for (uint j = index; j < p.columns; j += threads) {
        const float x = p.has_residual != 0 ? io::load(residual, beside + j) : io::load(source, from + j);
        float y = (x - mean) / deviation;
        if (p.has_weight != 0) {
            y *= io::load(weight, ulong(group.y) * p.weight_matrix + j);
        }
        if (p.has_bias != 0) {
            y += io::load(bias, ulong(group.y) * p.bias_matrix + j);
        }
        io::store(result, to + j, y);
    }
}

kernel void norm_f32(device const uchar *source [[buffer(0)]],
                    device uchar *residual [[buffer(1)]],
                    device const uchar *weight [[buffer(2)]],
                    device const uchar *bias [[buffer(3)]],
                    device uchar *result [[buffer(4)]],
                    constant norm_params &p [[buffer(5)]],
                    uint3 group [[threadgroup_position_in_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]],
                    uint simd [[simdgroup_index_in_threadgroup]],
                    uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[64];
    norm_row<f32_io>(source, residual, weight, bias, result, p, partial, group, index, 256, lane, simd, simds);
}

kernel void norm_f16(device const uchar *source [[buffer(0)]],
                    device uchar *residual [[buffer(1)]],
                    device const uchar *weight [[buffer(2)]],
                    device const uchar *bias [[buffer(3)]],
                    device uchar *result [[buffer(4)]],
                    constant norm_params &p [[buffer(5)]],
                    uint3 group [[threadgroup_position_in_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]],
                    uint simd [[simdgroup_index_in_threadgroup]],
                    uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[64];
    norm_row<f16_io>(source, residual, weight, bias, result, p, partial, group, index, 256, lane, simd, simds);
}

kernel void norm_bf16(device const uchar *source [[buffer(0)]],
                    device uchar *residual [[buffer(1)]],
                    device const uchar *weight [[buffer(2)]],
                    device const uchar *bias [[buffer(3)]],
                    device uchar *result [[buffer(4)]],
                    constant norm_params &p [[buffer(5)]],
                    uint3 group [[threadgroup_position_in_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]],
                    uint simd [[simdgroup_index_in_threadgroup]],
                    uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[64];
    norm_row<bf16_io>(source, residual, weight, bias, result, p, partial, group, index, 256, lane, simd, simds);
}
