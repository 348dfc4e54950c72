/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elementwise.cu: activation functions over matrices (the operator neuron). Launched by ops/cuda_neuron.c.
 * One block covers 256 packs of V elements of one row.
 */
#include "common.cuh"

using namespace amps;

template <typename T, int V> __device__ __forceinline__ void map_rows(const amps_map_params &p)
{
    begin_kernel();
    const int64_t chunks = (p.columns + 256 * V - 1) / (256 * V);
    const int64_t r = blockIdx.x / chunks, matrix = r / p.rows, row = r - matrix * p.rows;
    const int64_t j = ((blockIdx.x - r * chunks) * 256 + threadIdx.x) * V;
    if (j >= p.columns) { /* with V > 1 columns are a multiple of V */
        return;
    }
    const T *source = (const T *)p.source + matrix * p.source_matrix + row * p.source_row;
    T *result = (T *)p.result + matrix * p.result_matrix + row * p.result_row;
    const T *bias = (const T *)p.bias + matrix * p.bias_matrix;
    const T *prelu = (const T *)p.prelu + matrix * p.prelu_matrix;
    float in[V], out[V];
    unpack<T, V>(source + j, in);
#pragma unroll
    for (int i = 0; i < V; i++) {
        const float add = p.bias != 0 ? to_f32(bias[j + i]) : 0.0f;
        const float x = fmaf(p.alpha, in[i], add);
        out[i] = neuron(p.neuron, x, p.prelu != 0 ? to_f32(prelu[j + i]) : 0.0f);
    }
    repack<T, V>(result + j, out);
}

#define MAP(type, name, v)                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                              \
        map_##name##_v##v(const __grid_constant__ amps_map_params p)                               \
    {                                                                                              \
        map_rows<type, v>(p);                                                                      \
    }

MAP(float, f32, 1)
MAP(float, f32, 4)
MAP(f16, f16, 1)
MAP(f16, f16, 8)
MAP(bf16, bf16, 1)
MAP(bf16, bf16, 8)
