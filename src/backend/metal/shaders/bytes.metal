// SPDX-License-Identifier: Apache-2.0
// bytes.metal: copies bytes between buffers where a blit cannot, since it wants multiples of four. One thread a
// byte, grid {length / 256, 1, 1}. Launched by metal_memory.c.

struct bytes_params {
    ulong source_offset, destination_offset, length;
};

kernel void copy_bytes(device const uchar *source [[buffer(0)]],
                       device uchar *destination [[buffer(1)]],
                       constant bytes_params &p [[buffer(2)]],
                       uint3 group [[threadgroup_position_in_grid]],
                       uint index [[thread_index_in_threadgroup]])
{
    const ulong i = ulong(group.x) * 256 + index;
    if (i < p.length) {
        destination[p.destination_offset + i] = source[p.source_offset + i];
    }
}
