/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_engines.h: the engines behind cuda_gemm.c. Each looks at a problem and either declines or says what it would
 * launch. Files gemm_<engine>.c, kernels <engine>.cu. Called by cuda_gemm.c, gemm_choice.c and gemm_measure.c.
 */
#ifndef AMPS_GEMM_ENGINES_H
#define AMPS_GEMM_ENGINES_H

#include "backend/cuda/ops/cuda_ops.h"

typedef enum amps_gemm_engine {
    AMPS_ENGINE_NONE, /* nothing to do */
    AMPS_ENGINE_SKINNY, /* few rows, one large matrix, ordinary units or mma.sync; variant: blocks of a cluster, 0 usual */
    AMPS_ENGINE_TENSOR, /* mma.sync; variant: log2(tile/32) + 1, 0 usual */
    AMPS_ENGINE_PARTS,  /* f32 in bf16 parts */
    AMPS_ENGINE_VENDOR, /* cuBLASLt; variant: which of its algorithms */
    AMPS_ENGINE_WGMMA,  /* multiplication by warpgroup; variant: amps_wgmma_variant */
    AMPS_ENGINE_ANY,    /* ordinary units, every layout */
    AMPS_ENGINE_FEW,    /* f32 in TF32 parts: few rows, small products */
    AMPS_ENGINES
} amps_gemm_engine;

/* Rows of gemm_wgmma.c's table: kernels that stay and take tile after tile, and those of one tile a block. */
typedef enum amps_wgmma_variant {
    AMPS_LARGE_128_256,
    AMPS_LARGE_128_128,
    AMPS_TILE_64_16,
    AMPS_TILE_64_32,
    AMPS_TILE_64_64,
    AMPS_TILE_64_128,
    AMPS_TILE_128_16,
    AMPS_TILE_128_64,
    AMPS_TILE_128_128
} amps_wgmma_variant;

/* One way to run a product. Bytes, so that it can be compared and written down. */
typedef struct amps_gemm_choice {
    uint8_t engine; /* amps_gemm_engine */
    uint8_t variant;
    uint8_t turned; /* WGMMA: the transposed product */
    uint8_t splits; /* WGMMA, tiles: blocks that share the interior */
    uint8_t group;  /* WGMMA: rows of tiles walked together (large), blocks a multiprocessor (tiles) */
} amps_gemm_choice;

typedef struct amps_gemm_launch {
    amps_cuda_function function;
    amps_cuda_shape shape;
    amps_gemm_params params;
    const char *name; /* for explanations; lives for ever */
} amps_gemm_launch;

/* AMPS_SETTLED_… of the operands, or, `turned`, of the transposed product's. */
static inline int32_t amps_gemm_settled(const amps_gemm *gemm, bool turned)
{
    const bool left = turned ? gemm->right_settled : gemm->left_settled;
    const bool right = turned ? gemm->left_settled : gemm->right_settled;
    return (left ? AMPS_SETTLED_LEFT : 0) | (right ? AMPS_SETTLED_RIGHT : 0);
}

/* Up to 16 rows (or columns; of int8 one row) and a large matrix: read once, at memory speed. */
bool amps_gemm_skinny(const amps_cuda_device *device, const amps_gemm *gemm, unsigned clusters,
                      amps_gemm_launch *launch);

/* f32 with up to 64 rows, and small products: cut into parts on the tensor cores, the interior shared by a cluster. */
bool amps_gemm_few_can(const amps_cuda_device *device, const amps_gemm *gemm);
anymps_status amps_gemm_few_emit(amps_cuda_emitter *out, const amps_gemm *gemm);

/* f16 and bf16 of every aligned layout, on the tensor cores. */
bool amps_gemm_tensor(const amps_cuda_device *device, const amps_gemm *gemm, unsigned variant,
                      amps_gemm_launch *launch);

/* cuBLASLt; scratch of AMPS_LT_WORKSPACE_BYTES. */
bool amps_gemm_vendor_can(amps_cuda_device *device, const amps_gemm *gemm, unsigned which);
anymps_status amps_gemm_vendor_emit(amps_cuda_emitter *out, const amps_gemm *gemm, unsigned which);
/* Which of its algorithms has this tile, cluster and custom option, in the library's numbers; AMPS_GEMM_NO_ALGORITHM: none. */
typedef struct amps_gemm_named {
    int16_t tile, cluster, custom;
} amps_gemm_named;
enum { AMPS_GEMM_NO_ALGORITHM = 255 };
unsigned amps_gemm_vendor_find(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_named wanted);
/* What its algorithm is, in words for measurements. */
void amps_gemm_vendor_name(amps_cuda_device *device, const amps_gemm *gemm, unsigned which, char *text, size_t size);

/* Large f32 products in bf16 parts on the tensor cores, inside f32's bound; `ordinary` launches the kernel for
   values that cannot be cut. */
bool amps_gemm_parts_can(const amps_cuda_device *device, const amps_gemm *gemm);
size_t amps_gemm_parts_scratch(const amps_gemm *gemm);
anymps_status amps_gemm_parts_emit(amps_cuda_emitter *out, const amps_gemm *gemm,
                                   anymps_status (*ordinary)(amps_cuda_emitter *, const amps_gemm *));

/* f16, bf16 and int8 by warpgroups (sm_90a). */
bool amps_gemm_wgmma_can(const amps_cuda_device *device, const amps_gemm *gemm, const amps_gemm_choice *choice);
anymps_status amps_gemm_wgmma_emit(amps_cuda_emitter *out, const amps_gemm *gemm, const amps_gemm_choice *choice);
size_t amps_gemm_wgmma_scratch(const amps_gemm *gemm, const amps_gemm_choice *choice);
/* Writes up to `room` choices that can run; returns how many there are. */
size_t amps_gemm_wgmma_list(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *list, size_t room);
bool amps_gemm_wgmma_packs(const amps_gemm *gemm);
/* The one that is usually fastest (measured on an H100); false if none can. */
bool amps_gemm_wgmma_usual(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *choice);
/* The one that is soonest done where the next kernel waits for few columns; false if none can without copying operands. */
bool amps_gemm_wgmma_soon(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *choice);
void amps_gemm_wgmma_name(const amps_gemm_choice *choice, char *text, size_t size);

/* gemm_choice.c: every way that can run the product, the usual one first; at most `room`. */
size_t amps_choice_list(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *list, size_t room);
/* gemm_choice.c: can this way run the product? */
bool amps_choice_can(amps_cuda_device *device, const amps_gemm *gemm, const amps_gemm_choice *choice);
/* gemm_choice.c: what runs it where nothing was measured: needs no file. */
amps_gemm_choice amps_choice_usual(amps_cuda_device *device, const amps_gemm *gemm);
/* gemm_named.c: what runs it, if the table there knows the product. */
bool amps_choice_named(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *choice);
/* gemm_choice.c: what runs it: the measured one if there is one, else the usual one. */
amps_gemm_choice amps_choice_of(amps_cuda_device *device, const amps_gemm *gemm, bool *from_measurement);
void amps_choice_name(const amps_gemm_choice *choice, char *text, size_t size);

/* cuda_gemm.c: runs it in this way, which must be able to. */
size_t amps_choice_scratch(const amps_gemm *gemm, const amps_gemm_choice *choice);
anymps_status amps_choice_run(amps_cuda_emitter *out, const amps_gemm *gemm, const amps_gemm_choice *choice);

#endif /* AMPS_GEMM_ENGINES_H */
