// SPDX-License-Identifier: Apache-2.0
// matvec.metal: result = alpha * op(matrix) * vector + beta * result. 128 threads work on a block of rows: where a row of
// op(matrix) is contiguous, on 4 rows, a simdgroup on each; else on 32 rows, each by 4 threads that add up every fourth
// element, so that neighbours read neighbours. Launched by metal_gemm.c with the grid {1, rows / block, batch}.

struct matmul_params {
    ulong left_row, left_column, left_matrix; // elements between rows, columns, matrices of op(left)
    ulong right_row, right_column, right_matrix;
    ulong result_row, result_matrix, bias_matrix, prelu_matrix;
    uint rows, columns, interior;
    float alpha, beta;
    uint has_beta; // 0: the result is not read
    uint has_bias, neuron;
    float a, b, c;
};

// One element of the result from its sum.
template <typename result_io>
static inline void finish(device uchar *result, constant matmul_params &p, uint3 group, uint row, float sum)
{
    const ulong at = ulong(group.z) * p.result_matrix + ulong(row) * p.result_row;
    float y = p.alpha * sum;
    if (p.has_beta != 0) {
        y = fma(p.alpha, sum, p.beta * result_io::load(result, at)); // the sum, once rounded, is not rounded again
    }
    result_io::store(result, at, y);
}

// The part of a row's sum that begins at element `first` and takes every `step`-th.
template <typename io>
static inline float part_of_row(device const uchar *left, device const uchar *right, constant matmul_params &p,
                                uint3 group, uint row, uint first, uint step)
{
    const ulong l = ulong(group.z) * p.left_matrix + ulong(row) * p.left_row;
    const ulong r = ulong(group.z) * p.right_matrix;
    float sum = 0.0f;
    for (ulong k = first; k < ulong(p.interior); k += step) {
        sum = fma(io::load(left, l + k * p.left_column), io::load(right, r + k * p.right_row), sum);
    }
    return sum;
}

template <typename io, typename result_io>
static inline void matvec_rows(device const uchar *left, device const uchar *right, device uchar *result,
                               constant matmul_params &p, threadgroup float *partial, uint3 group, uint index,
                               uint lane, uint simd, uint simds)
{
    if (p.left_column == 1) {
        for (uint i = simd; i < 4; i += simds) { // any width: fewer simdgroups take more rows each
            const uint row = group.y * 4 + i;
            const float part = row < p.rows ? part_of_row<io>(left, right, p, group, row, lane, 128 / simds) : 0.0f;
            const float sum = simd_sum(part);
            if (lane == 0 && row < p.rows) {
                finish<result_io>(result, p, group, row, sum);
            }
        }
        return;
    }
    const uint row = group.y * 32 + index % 32;
    partial[index] = row < p.rows ? part_of_row<io>(left, right, p, group, row, index / 32, 4) : 0.0f;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (index < 32 && row < p.rows) {
        const float sum = (partial[index] + partial[index + 32]) + (partial[index + 64] + partial[index + 96]);
        finish<result_io>(result, p, group, row, sum);
    }
}

kernel void matvec_f32_f32(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device uchar *result [[buffer(2)]],
                           constant matmul_params &p [[buffer(3)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]],
                           uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<f32_io, f32_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}

kernel void matvec_f16_f16(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device uchar *result [[buffer(2)]],
                           constant matmul_params &p [[buffer(3)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]],
                           uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<f16_io, f16_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}

kernel void matvec_f16_f32(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device uchar *result [[buffer(2)]],
                           constant matmul_params &p [[buffer(3)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]],
                           uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<f16_io, f32_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}

kernel void matvec_bf16_bf16(device const uchar *left [[buffer(0)]],
                             device const uchar *right [[buffer(1)]],
                             device uchar *result [[buffer(2)]],
                             constant matmul_params &p [[buffer(3)]],
                             uint3 group [[threadgroup_position_in_grid]],
                             uint index [[thread_index_in_threadgroup]],
                             uint lane [[thread_index_in_simdgroup]],
                             uint simd [[simdgroup_index_in_threadgroup]],
                             uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<bf16_io, bf16_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}

kernel void matvec_bf16_f32(device const uchar *left [[buffer(0)]],
                            device const uchar *right [[buffer(1)]],
                            device uchar *result [[buffer(2)]],
                            constant matmul_params &p [[buffer(3)]],
                            uint3 group [[threadgroup_position_in_grid]],
                            uint index [[thread_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]],
                            uint simd [[simdgroup_index_in_threadgroup]],
                            uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<bf16_io, f32_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}

kernel void matvec_i8_f32(device const uchar *left [[buffer(0)]],
                          device const uchar *right [[buffer(1)]],
                          device uchar *result [[buffer(2)]],
                          constant matmul_params &p [[buffer(3)]],
                          uint3 group [[threadgroup_position_in_grid]],
                          uint index [[thread_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]],
                          uint simd [[simdgroup_index_in_threadgroup]],
                          uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<i8_io, f32_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}

kernel void matvec_i8_f16(device const uchar *left [[buffer(0)]],
                          device const uchar *right [[buffer(1)]],
                          device uchar *result [[buffer(2)]],
                          constant matmul_params &p [[buffer(3)]],
                          uint3 group [[threadgroup_position_in_grid]],
                          uint index [[thread_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]],
                          uint simd [[simdgroup_index_in_threadgroup]],
                          uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<i8_io, f16_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}

kernel void matvec_i16_f32(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device uchar *result [[buffer(2)]],
                           constant matmul_params &p [[buffer(3)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]],
                           uint simds [[simdgroups_per_threadgroup]])
{
    threadgroup float partial[128];
    matvec_rows<i16_io, f32_io>(left, right, result, p, partial, group, index, lane, simd, simds);
}
