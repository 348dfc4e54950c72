/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wgmma.cuh: Hopper's parts for the matmul kernels that multiply by warpgroup (sm_90a): the bulk tensor
 * copy engine, the descriptors of operands in shared memory and the instruction itself.
 * Included by gemm_large.cuh and gemm_tile.cuh; knows no operator.
 *
 * An operand of a stage has 128 bytes of the interior (64 elements of 16 bits, 128 of 8), swizzled by 128 bytes:
 *
 *     dense along the interior     [rows][128 bytes]               8 rows are one pattern of 1024 bytes
 *     dense along the rows         [rows/64][64 deep][128 bytes]   16-bit types only; a piece has 8192 bytes
 */
#pragma once
#include "barriers.cuh"
#include "gemm_end.cuh"

#include <cuda.h>

namespace amps {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { STAGE_DEPTH_BYTES = 128, PIECE_BYTES = 64 * STAGE_DEPTH_BYTES, STEPS_PER_STAGE = 4 };

/* ---- Clusters --------------------------------------------------------------------------------- */

__device__ inline void cluster_sync()
{
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/* For the last time: what was written need not be visible to the others, so nothing waits for the stores. */
__device__ inline void cluster_leave()
{
    asm volatile("barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

/* This block's place in its cluster, and its cluster's along the grid's x; without clusters 0 and blockIdx.x. */
__device__ inline int cluster_rank()
{
    unsigned rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return (int)rank;
}
__device__ inline int cluster_number()
{
    unsigned number;
    asm("mov.u32 %0, %%clusterid.x;" : "=r"(number));
    return (int)number;
}

/* ---- Copies ----------------------------------------------------------------------------------- */

__device__ inline void copy_in(unsigned to, const void *map, int inner, int outer, int matrix, unsigned barrier)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to), "l"(map), "r"(inner), "r"(outer), "r"(matrix), "r"(barrier)
                 : "memory");
}

/* One stage of an operand of ROWS rows from `row` on, DENSE along them or along the interior. */
template <bool DENSE, int ROWS>
__device__ inline void load_operand(unsigned to, const void *map, int k, int row, int matrix, unsigned barrier)
{
#pragma unroll
    for (int piece = 0; piece < (DENSE ? ROWS / 64 : 1); piece++) {
        copy_in(to + piece * PIECE_BYTES, map, DENSE ? row + piece * 64 : k, DENSE ? k : row, matrix, barrier);
    }
}

__device__ inline void copy_out(const void *map, unsigned from, int inner, int outer, int matrix)
{
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map), "r"(from),
                 "r"(inner), "r"(outer), "r"(matrix)
                 : "memory");
}

__device__ inline void prefetch_map(const void *map)
{
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/* ---- Multiplication --------------------------------------------------------------------------- */

/* `rows_dense`: pieces of 64 rows lie 8192 bytes apart and 8 of the interior 1024; else 8 rows lie 1024 bytes apart. */
template <bool ROWS_DENSE> __device__ inline uint64_t describe(unsigned at)
{
    constexpr uint64_t leading = ROWS_DENSE ? PIECE_BYTES >> 4 : 1;
    return (uint64_t)((at & 0x3ffff) >> 4) | leading << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

/* From one step of 32 bytes of the interior to the next, in the descriptor's unit of 16 bytes. */
template <bool ROWS_DENSE> constexpr uint64_t step_units = ROWS_DENSE ? 16 * 128 / 16 : 2;

__device__ inline void multiply_begin()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void multiply_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int LEFT> __device__ inline void multiply_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

template <typename T> struct sums_of {
    using type = float;
};
template <> struct sums_of<int8_t> {
    using type = int;
};

#define AMPS_4(c, i) "+" #c(d[i]), "+" #c(d[i + 1]), "+" #c(d[i + 2]), "+" #c(d[i + 3])
#define AMPS_8(c, i) AMPS_4(c, i), AMPS_4(c, i + 4)

/*
 * d (64 rows of a warpgroup × 2·length columns) = a * b, plus d if `add`; AT, BT: dense along its rows or columns. Thread
 * t holds of row 16*(t/32) + t%32/4 and the one 8 below: d[4*n + 2*half + i] is column 8*n + 2*(t%4) + i.
 */
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[8], uint64_t a, uint64_t b, int add, f16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %10, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7"
                 "}, %8, %9, p, 1, 1, %11, %12;\n}"
                 : AMPS_8(f, 0)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[8], uint64_t a, uint64_t b, int add, bf16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %10, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7"
                 "}, %8, %9, p, 1, 1, %11, %12;\n}"
                 : AMPS_8(f, 0)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[16], uint64_t a, uint64_t b, int add, f16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %18, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
                 "}, %16, %17, p, 1, 1, %19, %20;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[16], uint64_t a, uint64_t b, int add, bf16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %18, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
                 "}, %16, %17, p, 1, 1, %19, %20;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[32], uint64_t a, uint64_t b, int add, f16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
                 "}, %32, %33, p, 1, 1, %35, %36;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8), AMPS_8(f, 16), AMPS_8(f, 24)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[32], uint64_t a, uint64_t b, int add, bf16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
                 "}, %32, %33, p, 1, 1, %35, %36;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8), AMPS_8(f, 16), AMPS_8(f, 24)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[64], uint64_t a, uint64_t b, int add, f16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
                 "}, %64, %65, p, 1, 1, %67, %68;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8), AMPS_8(f, 16), AMPS_8(f, 24),
                   AMPS_8(f, 32), AMPS_8(f, 40), AMPS_8(f, 48), AMPS_8(f, 56)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[64], uint64_t a, uint64_t b, int add, bf16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
                 "}, %64, %65, p, 1, 1, %67, %68;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8), AMPS_8(f, 16), AMPS_8(f, 24),
                   AMPS_8(f, 32), AMPS_8(f, 40), AMPS_8(f, 48), AMPS_8(f, 56)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[128], uint64_t a, uint64_t b, int add, f16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
                 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"
                 "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
                 "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"
                 "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
                 "}, %128, %129, p, 1, 1, %131, %132;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8), AMPS_8(f, 16), AMPS_8(f, 24),
                   AMPS_8(f, 32), AMPS_8(f, 40), AMPS_8(f, 48), AMPS_8(f, 56),
                   AMPS_8(f, 64), AMPS_8(f, 72), AMPS_8(f, 80), AMPS_8(f, 88),
                   AMPS_8(f, 96), AMPS_8(f, 104), AMPS_8(f, 112), AMPS_8(f, 120)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(float (&d)[128], uint64_t a, uint64_t b, int add, bf16)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
                 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"
                 "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
                 "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"
                 "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
                 "}, %128, %129, p, 1, 1, %131, %132;\n}"
                 : AMPS_8(f, 0), AMPS_8(f, 8), AMPS_8(f, 16), AMPS_8(f, 24),
                   AMPS_8(f, 32), AMPS_8(f, 40), AMPS_8(f, 48), AMPS_8(f, 56),
                   AMPS_8(f, 64), AMPS_8(f, 72), AMPS_8(f, 80), AMPS_8(f, 88),
                   AMPS_8(f, 96), AMPS_8(f, 104), AMPS_8(f, 112), AMPS_8(f, 120)
                 : "l"(a), "l"(b), "r"(add), "n"(AT), "n"(BT));
}
template <bool AT, bool BT> __device__ inline void multiply(int (&d)[8], uint64_t a, uint64_t b, int add, int8_t)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %10, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n16k32.s32.s8.s8 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7"
                 "}, %8, %9, p;\n}"
                 : AMPS_8(r, 0)
                 : "l"(a), "l"(b), "r"(add));
}
template <bool AT, bool BT> __device__ inline void multiply(int (&d)[32], uint64_t a, uint64_t b, int add, int8_t)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
                 "}, %32, %33, p;\n}"
                 : AMPS_8(r, 0), AMPS_8(r, 8), AMPS_8(r, 16), AMPS_8(r, 24)
                 : "l"(a), "l"(b), "r"(add));
}
template <bool AT, bool BT> __device__ inline void multiply(int (&d)[64], uint64_t a, uint64_t b, int add, int8_t)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
                 "}, %64, %65, p;\n}"
                 : AMPS_8(r, 0), AMPS_8(r, 8), AMPS_8(r, 16), AMPS_8(r, 24),
                   AMPS_8(r, 32), AMPS_8(r, 40), AMPS_8(r, 48), AMPS_8(r, 56)
                 : "l"(a), "l"(b), "r"(add));
}
template <bool AT, bool BT> __device__ inline void multiply(int (&d)[128], uint64_t a, uint64_t b, int add, int8_t)
{
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8 {"
                 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
                 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
                 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
                 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
                 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"
                 "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
                 "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"
                 "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
                 "}, %128, %129, p;\n}"
                 : AMPS_8(r, 0), AMPS_8(r, 8), AMPS_8(r, 16), AMPS_8(r, 24),
                   AMPS_8(r, 32), AMPS_8(r, 40), AMPS_8(r, 48), AMPS_8(r, 56),
                   AMPS_8(r, 64), AMPS_8(r, 72), AMPS_8(r, 80), AMPS_8(r, 88),
                   AMPS_8(r, 96), AMPS_8(r, 104), AMPS_8(r, 112), AMPS_8(r, 120)
                 : "l"(a), "l"(b), "r"(add));
}

#undef AMPS_4
#undef AMPS_8

/* One stage: four steps of 32 bytes of the interior. */
template <typename T, bool AT, bool BT, typename S, int N>
__device__ inline void multiply_stage(S (&d)[N], unsigned left, unsigned right, bool fresh)
{
    const uint64_t a = describe<AT>(left), b = describe<BT>(right);
#pragma unroll
    for (int k = 0; k < STEPS_PER_STAGE; k++) {
        multiply<AT, BT>(d, a + k * step_units<AT>, b + k * step_units<BT>, k > 0 || !fresh, T());
    }
}

#endif

} // namespace amps
