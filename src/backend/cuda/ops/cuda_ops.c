/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_ops.c: the table of operators, and what their files share (cuda_ops.h). Called by cuda.c, plan.c and
 * the operators; calls nothing.
 */
#include "backend/cuda/ops/cuda_ops.h"

#include "base/checked.h"

const amps_cuda_operator *const amps_cuda_operators[AMPS_OP_COUNT] = {
#define AMPS_CUDA_OPERATOR(name, object) [AMPS_OP_##name] = &object,
#include "backend/cuda/ops.def"
#undef AMPS_CUDA_OPERATOR
};

int amps_cuda_float_index(anymps_dtype dtype)
{
    return dtype == ANYMPS_DTYPE_F32 ? 0 : dtype == ANYMPS_DTYPE_F16 ? 1 : dtype == ANYMPS_DTYPE_BF16 ? 2 : -1;
}

anymps_status amps_cuda_supports_float(const anymps_dtype *dtypes, size_t count)
{
    ANYMPS_FAIL_IF(count != 1 || amps_cuda_float_index(dtypes[0]) < 0, ANYMPS_UNSUPPORTED,
                   "supports: CUDA runs this operator on f32, f16 and bf16, not on %s",
                   count == 1 ? anymps_dtype_name(dtypes[0]) : "this many types");
    return ANYMPS_OK;
}

bool amps_view_is_aligned(const amps_view *view)
{
    return view->memory == NULL ||
           (amps_view_address(view) % 16 == 0 && view->row_bytes % 16 == 0 && view->matrix_bytes % 16 == 0);
}

/* ---- Rows over threads ------------------------------------------------------------------------ */

enum {
    WARP = 32,
    THREADS_USUAL = 256, /* several blocks a multiprocessor keep more loads in flight than one large block */
    THREADS_FEW = 128,
    THREADS_MOST = 512, /* the kernels' launch bound */
    CLUSTER_USUAL = 8,  /* what every sm_90 can place */
    CLUSTER_MOST = 16
};

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static size_t whole_warps(size_t threads)
{
    return ceil_div(threads, WARP) * WARP;
}

/* Packs a thread: the smallest kernel with which `threads` threads hold the row, else the largest. */
static size_t packs_for(const size_t *sizes, size_t count, size_t packs, size_t threads, size_t *which)
{
    *which = 0;
    while (*which + 1 < count && ceil_div(packs, sizes[*which]) > threads) {
        ++*which;
    }
    return sizes[*which];
}

int amps_cuda_row_long(const amps_cuda_device *device, size_t all_rows, amps_cuda_shape *shape)
{
    const unsigned blocks = device->has_sm90a ? CLUSTER_USUAL : 1;
    *shape = (amps_cuda_shape){.grid_x = all_rows * blocks, .block_x = THREADS_MOST, .block_y = 1, .cluster_x = blocks};
    return AMPS_ROW_LONG;
}

/* As in rows_held.cu. */
enum { HELD_THREADS = 256, HELD_OWN_BYTES = 1024 };
/* Shorter rows do as well in registers; a few of up to 64 KiB are sooner done there. Rows too long for 16 such slices have
   longer ones, up to what a block can hold (measured on an H100; docs/performance.md, "CUDA"). */
enum { HELD_FROM_BYTES = 32 << 10, HELD_ALWAYS_BYTES = 64 << 10, SLICE_BYTES = 64 << 10, HELD_BLOCKS = 3 };

int32_t amps_cuda_row_held(const amps_cuda_device *device, size_t row_bytes, size_t all_rows, amps_cuda_shape *shape)
{
    const bool many = all_rows >= HELD_BLOCKS * (size_t)device->multiprocessors;
    const size_t room = (size_t)device->shared_limit - HELD_OWN_BYTES;
    size_t blocks = 1;
    while (blocks < CLUSTER_MOST && row_bytes > SLICE_BYTES * blocks) {
        blocks *= 2;
    }
    const size_t packs = ceil_div(row_bytes / 16, blocks);
    if (!device->has_sm90a || row_bytes < (many ? HELD_FROM_BYTES : HELD_ALWAYS_BYTES) || packs * 16 > room) {
        return 0;
    }
    *shape = (amps_cuda_shape){.grid_x = all_rows * blocks,
                               .block_x = HELD_THREADS,
                               .cluster_x = (unsigned)blocks,
                               .shared_bytes = (unsigned)(packs * 16 + HELD_OWN_BYTES)};
    return (int32_t)packs;
}

int amps_cuda_row_choice(const amps_cuda_device *device, size_t element_bytes, bool aligned, bool few_packs,
                         size_t columns, size_t all_rows, amps_cuda_shape *shape)
{
    static const size_t single[] = {4, 32}, wide[] = {1, 2, 4, 8};
    const size_t *const sizes = aligned ? wide : single;
    const size_t most = !aligned ? 2 : element_bytes == 4 ? 4 : 3;
    const size_t count = few_packs ? (aligned ? 2 : 1) : most;
    const int first = aligned ? AMPS_ROW_N1 : AMPS_ROW_V1_N4;
    const size_t packs = ceil_div(columns, aligned ? 16 / element_bytes : 1);
    const size_t many = (size_t)device->multiprocessors * 16;
    size_t which;
    *shape = (amps_cuda_shape){.grid_x = all_rows, .block_y = 1, .cluster_x = 1};
    if (all_rows >= many && packs <= WARP * sizes[count - 1]) {
        /* One warp a row, or, of short rows, as many lanes as have something to do. */
        const size_t wanted = ceil_div(packs, packs_for(sizes, count, packs, WARP, &which));
        size_t lanes = 1;
        while (lanes < wanted) {
            lanes *= 2;
        }
        shape->block_x = (unsigned)lanes;
        shape->block_y = (unsigned)(THREADS_FEW / lanes);
        shape->grid_x = ceil_div(all_rows, shape->block_y);
        return first + (int)which;
    }
    /* Few rows: what counts is how soon one is done, and four warps meet sooner than eight. Many rows: more packs a
       thread keep more loads in flight. Both say few threads. */
    const size_t each = packs_for(sizes, count, packs, THREADS_FEW, &which);
    const size_t clusters = device->has_sm90a ? CLUSTER_MOST : 1;
    size_t blocks = 1;
    while (blocks < clusters && ceil_div(packs, each * blocks) > THREADS_MOST) {
        blocks *= 2;
    }
    const size_t needed = ceil_div(packs, each * blocks);
    if (needed > THREADS_MOST) { /* longer than the registers of a cluster */
        return amps_cuda_row_long(device, all_rows, shape);
    }
    shape->block_x = (unsigned)whole_warps(needed == 0 ? 1 : needed);
    shape->cluster_x = (unsigned)blocks;
    shape->grid_x = all_rows * blocks;
    return first + (int)which;
}
