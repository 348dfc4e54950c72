// SPDX-License-Identifier: Apache-2.0
// lora.metal: Y = [Y +] X*op(W) + s*(X*op(A))*op(B) in one launch. A threadgroup of 256 threads makes a tile of
// 4 rows x 64 columns of Y. The product X*A of its 4 rows is formed in threadgroup memory, in f32, 64 ranks at a
// time, each rank by several threads that share out its inputs. Launched by ops/metal_lora.c with the grid
// {columns / 64, rows / 4, batch}.

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

template <typename io>
static inline void lora_tile(device const uchar *source, device const uchar *weights, device const uchar *down,
                             device const uchar *up, device uchar *result, constant lora_params &p,
                             threadgroup float *product, threadgroup float *partial, uint3 group, uint index)
{
    const ulong x = ulong(group.z) * p.source_matrix;
    const ulong a = ulong(group.z) * p.down_matrix;
    const ulong b = ulong(group.z) * p.up_matrix;
    const ulong w = ulong(group.z) * p.weights_matrix;
    const uint i = group.y * 4 + index / 64;
    const uint j = group.x * 64 + index % 64;
    const bool mine = i < p.rows && j < p.outputs;
    float base = 0.0f;
    if (mine && p.has_weights != 0) {
        for (uint k = 0; k < p.inputs; k++) {
            base = fma(io::load(source, x + ulong(i) * p.source_row + k),
                       io::load(weights, w + ulong(k) * p.weights_row + ulong(j) * p.weights_column), base);
        }
    }
    float delta = 0.0f;
    for (uint first = 0; first < p.rank; first += 64) {
        const uint ranks = min(p.rank - first, 64u);
        const uint pairs = 4 * ranks;   // (row, rank)
        const uint slices = 256 / pairs; // threads that share one pair
        const uint pair = index % pairs;
        const uint row = group.y * 4 + pair / ranks;
        const uint rank = first + pair % ranks;
        float sum = 0.0f;
        if (index < pairs * slices && row < p.rows) {
            for (uint k = index / pairs; k < p.inputs; k += slices) {
                sum = fma(io::load(source, x + ulong(row) * p.source_row + k),
                          io::load(down, a + ulong(k) * p.down_row + ulong(rank) * p.down_column), sum);
            }
        }
        partial[index] = sum;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (index < pairs) {
            float whole = partial[index];
            for (uint slice = 1; slice < slices; slice++) {
                whole += partial[slice * pairs + index];
            }
            product[index] = whole;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (mine) {
            for (uint q = 0; q < ranks; q++) {
                delta = fma(product[index / 64 * ranks + q],
                            io::load(up, b + ulong(first + q) * p.up_row + ulong(j) * p.up_column), delta);
            }
        }
        // No barrier here: the next pass writes partial, which nobody reads now, and product only after its own first.
    }
    if (mine) {
        const ulong at = ulong(group.z) * p.result_matrix + ulong(i) * p.result_row + j;
        float y = fma(p.scale, delta, base);
        if (p.accumulate != 0) {
            y += io::load(result, at);
        }
        io::store(result, at, y);
    }
}

kernel void lora_f32(device const uchar *source [[buffer(0)]],
                    device const uchar *weights [[buffer(1)]],
                    device const uchar *down [[buffer(2)]],
                    device const uchar *up [[buffer(3)]],
                    device uchar *result [[buffer(4)]],
                    constant lora_params &p [[buffer(5)]],
                    uint3 group [[threadgroup_position_in_grid]],
                    uint index [[thread_index_in_threadgroup]])
{
    threadgroup float product[256];
    threadgroup float partial[256];
    lora_tile<f32_io>(source, weights, down, up, result, p, product, partial, group, index);
}

kernel void lora_f16(device const uchar *source [[buffer(0)]],
                    device const uchar *weights [[buffer(1)]],
                    device const uchar *down [[buffer(2)]],
                    device const uchar *up [[buffer(3)]],
                    device uchar *result [[buffer(4)]],
                    constant lora_params &p [[buffer(5)]],
                    uint3 group [[threadgroup_position_in_grid]],
                    uint index [[thread_index_in_threadgroup]])
{
    threadgroup float product[256];
    threadgroup float partial[256];
    lora_tile<f16_io>(source, weights, down, up, result, p, product, partial, group, index);
}

kernel void lora_bf16(device const uchar *source [[buffer(0)]],
                    device const uchar *weights [[buffer(1)]],
                    device const uchar *down [[buffer(2)]],
                    device const uchar *up [[buffer(3)]],
                    device uchar *result [[buffer(4)]],
                    constant lora_params &p [[buffer(5)]],
                    uint3 group [[threadgroup_position_in_grid]],
                    uint index [[thread_index_in_threadgroup]])
{
    threadgroup float product[256];
    threadgroup float partial[256];
    lora_tile<bf16_io>(source, weights, down, up, result, p, product, partial, group, index);
}
