// SPDX-License-Identifier: Apache-2.0
// neuron.metal: result = f(alpha * source + bias), one thread for each element. Launched by ops/metal_neuron.c
// and, as the second half of a layer, by ops/metal_fully_connected.c; grid {columns / 256, rows, batch}.

struct neuron_params {
    ulong source_row, source_matrix; // elements
    ulong result_row, result_matrix;
    ulong bias_matrix, prelu_matrix;
    uint columns;
    uint neuron; // anymps_neuron_type
    uint has_bias;
    float alpha, a, b, c;
};

template <typename io>
static inline void neuron_element(device const uchar *source, device const uchar *bias, device const uchar *prelu,
                                  device uchar *result, constant neuron_params &p, uint3 group, uint index)
{
    const uint j = group.x * 256 + index;
    if (j >= p.columns) {
        return;
    }
    const float offset = p.has_bias != 0 ? io::load(bias, ulong(group.z) * p.bias_matrix + j) : 0.0f;
    const float x = io::load(source, ulong(group.y) * p.source_row + ulong(group.z) * p.source_matrix + j);
    const float a = p.neuron == 10 ? io::load(prelu, ulong(group.z) * p.prelu_matrix + j) : p.a;
    io::store(result, ulong(group.y) * p.result_row + ulong(group.z) * p.result_matrix + j,
              neuron_of(p.neuron, fma(p.alpha, x, offset), a, p.b, p.c));
}

kernel void neuron_f32(device const uchar *source [[buffer(0)]],
                      device const uchar *bias [[buffer(1)]],
                      device const uchar *prelu [[buffer(2)]],
                      device uchar *result [[buffer(3)]],
                      constant neuron_params &p [[buffer(4)]],
                      uint3 group [[threadgroup_position_in_grid]],
                      uint index [[thread_index_in_threadgroup]])
{
    neuron_element<f32_io>(source, bias, prelu, result, p, group, index);
}

kernel void neuron_f16(device const uchar *source [[buffer(0)]],
                      device const uchar *bias [[buffer(1)]],
                      device const uchar *prelu [[buffer(2)]],
                      device uchar *result [[buffer(3)]],
                      constant neuron_params &p [[buffer(4)]],
                      uint3 group [[threadgroup_position_in_grid]],
                      uint index [[thread_index_in_threadgroup]])
{
    neuron_element<f16_io>(source, bias, prelu, result, p, group, index);
}

kernel void neuron_bf16(device const uchar *source [[buffer(0)]],
                      device const uchar *bias [[buffer(1)]],
                      device const uchar *prelu [[buffer(2)]],
                      device uchar *result [[buffer(3)]],
                      constant neuron_params &p [[buffer(4)]],
                      uint3 group [[threadgroup_position_in_grid]],
                      uint index [[thread_index_in_threadgroup]])
{
    neuron_element<bf16_io>(source, bias, prelu, result, p, group, index);
}
