// SPDX-License-Identifier: Apache-2.0
// lora_simdgroup.metal: the same as lora.metal, Y = [Y +] X*op(W) + s*(X*op(A))*op(B) in one launch, on simdgroup
// matrices (Apple7 and later, simdgroups of 32). A threadgroup of 8 simdgroups makes a tile of 32 x 64 of Y. X is read
// once for W and for 32 ranks of A; X*A of the tile's rows stays in threadgroup memory, in f32, and is multiplied by B
// there. Further ranks read X again. Launched by ops/metal_lora.c with the grid {columns / 64, rows / 32, batch}.

struct lora_params {
    ulong source_row, source_matrix; // elements; a transposed operand has its strides exchanged
    ulong weights_row, weights_column, weights_matrix;
    ulong down_row, down_column, down_matrix;
    ulong up_row, up_column, up_matrix;
    ulong result_row, result_matrix;
    uint rows, inputs, rank, outputs;
    uint has_weights, accumulate;
    float scale;
};

// The threadgroup's 4096 floats, by use. While k advances: X 32 x 16, W 16 x 64, A 16 x 32, all row-major, from 0 on;
// then B 32 x 64 in their place. X*A 32 x 32 behind them. At the end both sums of the tile, 32 x 64 each.
constant uint lora_weights_at = 512;
constant uint lora_down_at = 1536;
constant uint lora_product_at = 2048;
constant uint lora_delta_at = 2048;

// `height` x `width` elements of an operand from (row, column) on, zeros beyond its edges. The threads walk along the
// direction in which memory is contiguous.
template <typename io>
static inline void load_block(device const uchar *bytes, ulong matrix, ulong row_stride, ulong column_stride, uint rows,
                              uint columns, uint row, uint column, threadgroup float *block, uint height, uint width,
                              uint index)
{
    for (uint at = index; at < height * width; at += 256) {
        const uint i = column_stride == 1 ? at / width : at % height;
        const uint j = column_stride == 1 ? at % width : at / height;
        const bool inside = row + i < rows && column + j < columns;
        block[i * width + j] =
            inside ? io::load(bytes, matrix + ulong(row + i) * row_stride + ulong(column + j) * column_stride) : 0.0f;
    }
}

template <typename io>
static inline void lora_tile(device const uchar *source, device const uchar *weights, device const uchar *down,
                             device const uchar *up, device uchar *result, constant lora_params &p,
                             threadgroup float *memory, uint3 group, uint index, uint simd)
{
    const uint row = group.y * 32;
    const uint column = group.x * 64;
    const ulong x = ulong(group.z) * p.source_matrix;
    const ulong w = ulong(group.z) * p.weights_matrix;
    const ulong a = ulong(group.z) * p.down_matrix;
    const ulong b = ulong(group.z) * p.up_matrix;
    const uint top = simd / 4 * 16; // this simdgroup's 16 x 16 of the tile
    const uint from = simd % 4 * 16;
    const uint product_top = simd / 2 * 8; // and its 8 x 16 of X*A
    const uint product_from = simd % 2 * 16;
    simdgroup_float8x8 base[2][2], delta[2][2];
    for (uint i = 0; i < 2; i++) {
        for (uint j = 0; j < 2; j++) {
            base[i][j] = simdgroup_float8x8(0.0f);
            delta[i][j] = simdgroup_float8x8(0.0f);
        }
    }
    for (uint first = 0; first == 0 || first < p.rank; first += 32) {
        const uint ranks = min(p.rank - first, 32u);
        const bool with_weights = first == 0 && p.has_weights != 0;
        simdgroup_float8x8 product[2];
        product[0] = simdgroup_float8x8(0.0f);
        product[1] = simdgroup_float8x8(0.0f);
        for (uint k = 0; k < p.inputs; k += 16) {
            load_block<io>(source, x, p.source_row, 1, p.rows, p.inputs, row, k, memory, 32, 16, index);
            load_block<io>(down, a, p.down_row, p.down_column, p.inputs, p.rank, k, first, memory + lora_down_at, 16,
                           32, index);
            if (with_weights) {
                load_block<io>(weights, w, p.weights_row, p.weights_column, p.inputs, p.outputs, k, column,
                               memory + lora_weights_at, 16, 64, index);
            }
            threadgroup_barrier(mem_flags::mem_threadgroup);
            for (uint inner = 0; inner < 16; inner += 8) {
                simdgroup_float8x8 l[2], r[2];
                if (with_weights) {
                    for (uint i = 0; i < 2; i++) {
                        simdgroup_load(l[i], memory + (top + 8 * i) * 16 + inner, 16);
                        simdgroup_load(r[i], memory + lora_weights_at + inner * 64 + from + 8 * i, 64);
                    }
                    for (uint i = 0; i < 2; i++) {
                        for (uint j = 0; j < 2; j++) {
                            simdgroup_multiply_accumulate(base[i][j], l[i], r[j], base[i][j]);
                        }
                    }
                }
                simdgroup_load(l[0], memory + product_top * 16 + inner, 16);
                for (uint j = 0; j < 2; j++) {
                    if (product_from + 8 * j < ranks) {
                        simdgroup_load(r[j], memory + lora_down_at + inner * 32 + product_from + 8 * j, 32);
                        simdgroup_multiply_accumulate(product[j], l[0], r[j], product[j]);
                    }
                }
            }
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
        for (uint j = 0; j < 2; j++) {
            simdgroup_store(product[j], memory + lora_product_at + product_top * 32 + product_from + 8 * j, 32);
        }
        load_block<io>(up, b, p.up_row, p.up_column, p.rank, p.outputs, first, column, memory, 32, 64, index);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        // Where X is infinite, a rank that does not exist is NaN by now: infinity times the zeros beyond A's edge.
        for (uint at = index; at < 1024; at += 256) {
            if (at % 32 >= ranks) {
                memory[lora_product_at + at] = 0.0f;
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint rank = 0; rank < ranks; rank += 8) {
            simdgroup_float8x8 l[2], r[2];
            for (uint i = 0; i < 2; i++) {
                simdgroup_load(l[i], memory + lora_product_at + (top + 8 * i) * 32 + rank, 32);
                simdgroup_load(r[i], memory + rank * 64 + from + 8 * i, 64);
            }
            for (uint i = 0; i < 2; i++) {
                for (uint j = 0; j < 2; j++) {
                    simdgroup_multiply_accumulate(delta[i][j], l[i], r[j], delta[i][j]);
                }
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    for (uint i = 0; i < 2; i++) {
        for (uint j = 0; j < 2; j++) {
            simdgroup_store(base[i][j], memory + (top + 8 * i) * 64 + from + 8 * j, 64);
            simdgroup_store(delta[i][j], memory + lora_delta_at + (top + 8 * i) * 64 + from + 8 * j, 64);
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint at = index; at < 2048; at += 256) {
        const uint i = row + at / 64;
        const uint j = column + at % 64;
        if (i < p.rows && j < p.outputs) {
            const ulong to = ulong(group.z) * p.result_matrix + ulong(i) * p.result_row + j;
            float y = fma(p.scale, memory[lora_delta_at + at], memory[at]);
            if (p.accumulate != 0) {
                y += io::load(result, to);
            }
            io::store(result, to, y);
        }
    }
}

kernel void lora_simdgroup_f32(device const uchar *source [[buffer(0)]],
                              device const uchar *weights [[buffer(1)]],
                              device const uchar *down [[buffer(2)]],
                              device const uchar *up [[buffer(3)]],
                              device uchar *result [[buffer(4)]],
                              constant lora_params &p [[buffer(5)]],
                              uint3 group [[threadgroup_position_in_grid]],
                              uint index [[thread_index_in_threadgroup]],
                              uint simd [[simdgroup_index_in_threadgroup]])
{
    threadgroup float memory[4096];
    lora_tile<f32_io>(source, weights, down, up, result, p, memory, group, index, simd);
}

kernel void lora_simdgroup_f16(device const uchar *source [[buffer(0)]],
                              device const uchar *weights [[buffer(1)]],
                              device const uchar *down [[buffer(2)]],
                              device const uchar *up [[buffer(3)]],
                              device uchar *result [[buffer(4)]],
                              constant lora_params &p [[buffer(5)]],
                              uint3 group [[threadgroup_position_in_grid]],
                              uint index [[thread_index_in_threadgroup]],
                              uint simd [[simdgroup_index_in_threadgroup]])
{
    threadgroup float memory[4096];
    lora_tile<f16_io>(source, weights, down, up, result, p, memory, group, index, simd);
}

kernel void lora_simdgroup_bf16(device const uchar *source [[buffer(0)]],
                              device const uchar *weights [[buffer(1)]],
                              device const uchar *down [[buffer(2)]],
                              device const uchar *up [[buffer(3)]],
                              device uchar *result [[buffer(4)]],
                              constant lora_params &p [[buffer(5)]],
                              uint3 group [[threadgroup_position_in_grid]],
                              uint index [[thread_index_in_threadgroup]],
                              uint simd [[simdgroup_index_in_threadgroup]])
{
    threadgroup float memory[4096];
    lora_tile<bf16_io>(source, weights, down, up, result, p, memory, group, index, simd);
}
