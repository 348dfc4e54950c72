/* SPDX-License-Identifier: Apache-2.0 */
/*
 * barriers.cuh: barriers in shared memory (mbarrier) by which one thread's bulk copies and others' work wait for each
 * other within a block, or blocks of a cluster for each other's messages. Included by wgmma.cuh, gemm_split.cu,
 * mma_parts.cuh and rows_held.cu; a barrier is its address in shared memory.
 */
#pragma once
#include "common.cuh"

namespace amps {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

__device__ inline void barrier_init(unsigned barrier, unsigned count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

__device__ inline void barrier_wait(unsigned barrier, unsigned phase)
{
    asm volatile("{\n.reg .pred p;\nagain:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
                 "@p bra done;\nbra again;\ndone:\n}" ::"r"(barrier), "r"(phase) : "memory");
}

__device__ inline void barrier_arrive(unsigned barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ inline void barrier_expect(unsigned barrier, unsigned bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/* The first time that the barrier is used. What has come by it is seen, also from other blocks of the cluster. */
__device__ inline void barrier_wait_once(unsigned barrier)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], 0;\n"
                 "@!done bra again;\n"
                 "}\n" ::"r"(barrier)
                 : "memory");
}

#endif

} // namespace amps
