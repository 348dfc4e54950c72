/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_named.c: the products of which a certain algorithm of cuBLASLt, not its first, or a certain tile of ours was the
 * fastest on an H100 (docs/performance.md, "CUDA"). Most are those whose left operand is made earlier in the same commit, as
 * in a network: only the right operand can be read early, so that other ways win than where products overlap. Algorithms are
 * named by what they are, not by their place in the library's answer, which changes with its version. Called by
 * gemm_choice.c; asks the engines whether they can.
 */
#include "backend/cuda/ops/gemm_engines.h"

enum types { F16 = 1, BF16 = 2, NARROW = 3, TF32 = 4 };
enum layout { ANY, DENSE_INTERIOR, DENSE_COLUMNS }; /* of the right operand */

typedef struct range {
    int32_t least, most;
} range;

typedef struct row {
    unsigned types; /* F16, BF16, TF32 */
    enum layout right;
    range rows, columns, interior;
    amps_gemm_named vendor; /* tile 0: the choice below */
    amps_gemm_choice own;
    bool always; /* also where the left operand is settled */
} row;

#define MANY INT32_MAX
#define OWN(tile, splits)                                                                                              \
    {                                                                                                                  \
        AMPS_ENGINE_WGMMA, tile, 1, splits, 1                                                                          \
    }

/* The first row that has the product and whose way can run it. Few rows: weights of 4096 × 4096 come from memory or from the
   L2 cache; a row's way is the one with the best product of both ratios to cuBLASLt's best. */
static const row table[] = {
    {NARROW, ANY, {384, 640}, {384, 640}, {384, 640}, {13, 5, 3}, {0}, false},
    {NARROW, ANY, {896, 1100}, {896, 1100}, {896, 1100}, {17, 3, 0}, {0}, false},
    {BF16, ANY, {1536, 3071}, {1536, 3071}, {1536, 3071}, {20, 3, 1}, {0}, false},
    {BF16, ANY, {3072, 6143}, {3072, 6143}, {3072, 6143}, {20, 3, 1}, {0}, true},
    {BF16, ANY, {6144, MANY}, {6144, MANY}, {6144, MANY}, {495, 5, 7}, {0}, true},
    {TF32, ANY, {896, 1100}, {896, 1100}, {896, 1100}, {18, 3, 0}, {0}, true},
    {NARROW, DENSE_COLUMNS, {1, 8}, {2048, 8191}, {2048, 8191}, {10, 4, 1}, {0}, false},
    {NARROW, ANY, {1, 1}, {2048, 8191}, {8192, MANY}, {0}, OWN(AMPS_TILE_64_16, 2), false},
    {NARROW, DENSE_INTERIOR, {2, 8}, {2048, 8191}, {2048, MANY}, {0}, OWN(AMPS_TILE_64_16, 2), false},
    {NARROW, ANY, {9, 16}, {2048, 8191}, {2048, 8191}, {10, 5, 3}, {0}, false},
    {NARROW, ANY, {33, 64}, {2048, 8191}, {2048, 8191}, {13, 5, 3}, {0}, false},
    {NARROW, DENSE_COLUMNS, {33, 64}, {8192, MANY}, {2048, 8191}, {35, 7, 3}, {0}, false},
    {NARROW, ANY, {65, 128}, {2048, 8191}, {2048, 8191}, {134, 7, 2}, {0}, false},
    {NARROW, ANY, {65, 128}, {2048, 8191}, {2048, 8191}, {0}, OWN(AMPS_TILE_64_128, 2), false},
    {NARROW, DENSE_COLUMNS, {65, 128}, {8192, MANY}, {2048, 8191}, {21, 7, 3}, {0}, false},
};

static bool holds(range r, int64_t value)
{
    return r.least <= value && value <= r.most;
}

static unsigned type_of(const amps_gemm *gemm)
{
    switch (gemm->kind) {
    case AMPS_GEMM_F16_F16: return F16;
    case AMPS_GEMM_BF16_BF16: return BF16;
    case AMPS_GEMM_F32_F32: return (gemm->options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0 ? TF32 : 0;
    default: return 0;
    }
}

static bool is_for(const row *self, const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    const enum layout right = p->right_row == 1 ? DENSE_INTERIOR : DENSE_COLUMNS;
    return (self->types & type_of(gemm)) != 0 && (self->always || !gemm->left_settled) &&
           (self->right == ANY || self->right == right) && holds(self->rows, p->rows) &&
           holds(self->columns, p->columns) && holds(self->interior, p->interior);
}

bool amps_choice_named(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *choice)
{
    if (gemm->algorithm != ANYMPS_ALGORITHM_AUTO || gemm->params.batch != 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const row *const r = &table[i];
        if (!is_for(r, gemm)) {
            continue;
        }
        if (r->vendor.tile == 0 && amps_gemm_wgmma_can(device, gemm, &r->own)) {
            *choice = r->own;
            return true;
        }
        const unsigned which =
            r->vendor.tile != 0 ? amps_gemm_vendor_find(device, gemm, r->vendor) : AMPS_GEMM_NO_ALGORITHM;
        if (which != AMPS_GEMM_NO_ALGORITHM) {
            *choice = (amps_gemm_choice){.engine = AMPS_ENGINE_VENDOR, .variant = (uint8_t)which};
            return true;
        }
    }
    return false;
}
