// SPDX-License-Identifier: Apache-2.0
// matmul.metal: result = f(alpha * op(left) * op(right) + beta * result + bias) on any GPU, without
// simdgroup matrices. 128 threads make a tile of 32 x 32; a thread has 8 rows of one column. Launched by
// metal_gemm.c with the grid {columns / 32, rows / 32, batch}.

struct matmul_params {
    ulong left_row, left_column, left_matrix; // elements between rows, columns, matrices of op(left)
    ulong right_row, right_column, right_matrix;
    ulong result_row, result_matrix, bias_matrix, prelu_matrix;
    uint rows, columns, interior;
    float alpha, beta;
    uint has_beta;          // 0: the result is not read
    uint has_bias, neuron;  // neuron: anymps_neuron_type
    float a, b, c;
};

// A tile of op(left), 32 x 16, and one of op(right), 16 x 32, both row-major, with zeros beyond the edges. The
// threads walk along the direction in which memory is contiguous.
template <typename left_io, typename right_io>
static inline void load_tiles(device const uchar *left, device const uchar *right, constant matmul_params &p,
                              threadgroup float *left_tile, threadgroup float *right_tile, uint3 group, uint index,
                              uint first)
{
    const ulong l = ulong(group.z) * p.left_matrix;
    const ulong r = ulong(group.z) * p.right_matrix;
    for (uint at = index; at < 512; at += 128) {
        const uint i = p.left_column == 1 ? at / 16 : at % 32;
        const uint k = p.left_column == 1 ? at % 16 : at / 32;
        const uint row = group.y * 32 + i;
        const bool inside = row < p.rows && first + k < p.interior;
        left_tile[i * 16 + k] =
            inside ? left_io::load(left, l + ulong(row) * p.left_row + ulong(first + k) * p.left_column) : 0.0f;
    }
    for (uint at = index; at < 512; at += 128) {
        const uint k = p.right_column == 1 ? at / 32 : at % 16;
        const uint j = p.right_column == 1 ? at % 32 : at / 16;
        const uint column = group.x * 32 + j;
        const bool inside = column < p.columns && first + k < p.interior;
        right_tile[k * 32 + j] =
            inside ? right_io::load(right, r + ulong(first + k) * p.right_row + ulong(column) * p.right_column) : 0.0f;
    }
}

// One element of the result from its sum, if it lies inside.
template <typename result_io>
static inline void finish(device const uchar *bias, device const uchar *prelu, device uchar *result,
                          constant matmul_params &p, uint3 group, uint i, uint j, float sum)
{
    const uint row = group.y * 32 + i;
    const uint column = group.x * 32 + j;
    if (row >= p.rows || column >= p.columns) {
        return;
    }
    const ulong at = ulong(group.z) * p.result_matrix + ulong(row) * p.result_row + column;
    float y = p.alpha * sum;
    if (p.has_beta != 0) {
        y = fma(p.alpha, sum, p.beta * result_io::load(result, at)); // the sum, once rounded, is not rounded again
    }
    if (p.has_bias != 0) {
        y += result_io::load(bias, ulong(group.z) * p.bias_matrix + column);
    }
    const float a = p.neuron == 10 ? result_io::load(prelu, ulong(group.z) * p.prelu_matrix + column) : p.a;
    result_io::store(result, at, neuron_of(p.neuron, y, a, p.b, p.c));
}

template <typename left_io, typename right_io, typename result_io>
static inline void matmul_tile(device const uchar *left, device const uchar *right, device const uchar *bias,
                               device const uchar *prelu, device uchar *result, constant matmul_params &p,
                               threadgroup float *left_tile, threadgroup float *right_tile, uint3 group, uint index)
{
    const uint j = index % 32;
    const uint top = index / 32 * 8;
    float sum[8];
    for (uint i = 0; i < 8; i++) {
        sum[i] = 0.0f;
    }
    for (uint first = 0; first < p.interior; first += 16) {
        load_tiles<left_io, right_io>(left, right, p, left_tile, right_tile, group, index, first);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint k = 0; k < 16; k++) {
            const float r = right_tile[k * 32 + j];
            for (uint i = 0; i < 8; i++) {
                sum[i] = fma(left_tile[(top + i) * 16 + k], r, sum[i]);
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    for (uint i = 0; i < 8; i++) {
        finish<result_io>(bias, prelu, result, p, group, top + i, j, sum[i]);
    }
}

kernel void matmul_f32_f32(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device const uchar *bias [[buffer(2)]],
                           device const uchar *prelu [[buffer(3)]],
                           device uchar *result [[buffer(4)]],
                           constant matmul_params &p [[buffer(5)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<f32_io, f32_io, f32_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}

kernel void matmul_f16_f16(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device const uchar *bias [[buffer(2)]],
                           device const uchar *prelu [[buffer(3)]],
                           device uchar *result [[buffer(4)]],
                           constant matmul_params &p [[buffer(5)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<f16_io, f16_io, f16_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}

kernel void matmul_f16_f32(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device const uchar *bias [[buffer(2)]],
                           device const uchar *prelu [[buffer(3)]],
                           device uchar *result [[buffer(4)]],
                           constant matmul_params &p [[buffer(5)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<f16_io, f16_io, f32_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}

kernel void matmul_bf16_bf16(device const uchar *left [[buffer(0)]],
                             device const uchar *right [[buffer(1)]],
                             device const uchar *bias [[buffer(2)]],
                             device const uchar *prelu [[buffer(3)]],
                             device uchar *result [[buffer(4)]],
                             constant matmul_params &p [[buffer(5)]],
                             uint3 group [[threadgroup_position_in_grid]],
                             uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<bf16_io, bf16_io, bf16_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}

kernel void matmul_bf16_f32(device const uchar *left [[buffer(0)]],
                            device const uchar *right [[buffer(1)]],
                            device const uchar *bias [[buffer(2)]],
                            device const uchar *prelu [[buffer(3)]],
                            device uchar *result [[buffer(4)]],
                            constant matmul_params &p [[buffer(5)]],
                            uint3 group [[threadgroup_position_in_grid]],
                            uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<bf16_io, bf16_io, f32_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}

kernel void matmul_i8_f32(device const uchar *left [[buffer(0)]],
                          device const uchar *right [[buffer(1)]],
                          device const uchar *bias [[buffer(2)]],
                          device const uchar *prelu [[buffer(3)]],
                          device uchar *result [[buffer(4)]],
                          constant matmul_params &p [[buffer(5)]],
                          uint3 group [[threadgroup_position_in_grid]],
                          uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<i8_io, i8_io, f32_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}

kernel void matmul_i8_f16(device const uchar *left [[buffer(0)]],
                          device const uchar *right [[buffer(1)]],
                          device const uchar *bias [[buffer(2)]],
                          device const uchar *prelu [[buffer(3)]],
                          device uchar *result [[buffer(4)]],
                          constant matmul_params &p [[buffer(5)]],
                          uint3 group [[threadgroup_position_in_grid]],
                          uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<i8_io, i8_io, f16_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}

kernel void matmul_i16_f32(device const uchar *left [[buffer(0)]],
                           device const uchar *right [[buffer(1)]],
                           device const uchar *bias [[buffer(2)]],
                           device const uchar *prelu [[buffer(3)]],
                           device uchar *result [[buffer(4)]],
                           constant matmul_params &p [[buffer(5)]],
                           uint3 group [[threadgroup_position_in_grid]],
                           uint index [[thread_index_in_threadgroup]])
{
    threadgroup float left_tile[512];
    threadgroup float right_tile[512];
    matmul_tile<i16_io, i16_io, f32_io>(left, right, bias, prelu, result, p, left_tile, right_tile, group, index);
}
