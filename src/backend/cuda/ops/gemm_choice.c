/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_choice.c: which engine runs a product: a table of what was fastest on an H100 (docs/performance.md, "CUDA").
 * Called by cuda_gemm.c; asks the engines whether they can.
 */
#include "backend/cuda/ops/gemm_measured.h"

#include <stdio.h>

static bool is_empty(const amps_gemm *gemm)
{
    return gemm->params.rows == 0 || gemm->params.columns == 0 || gemm->params.batch == 0;
}

static double size_of(const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    return (double)p->rows * (double)p->columns * (double)p->interior * (double)p->batch;
}

static double cube(double x)
{
    return x * x * x;
}

static bool is_16_bit(amps_gemm_kind kind)
{
    return kind == AMPS_GEMM_F16_F16 || kind == AMPS_GEMM_F16_F32 || kind == AMPS_GEMM_BF16_BF16 ||
           kind == AMPS_GEMM_BF16_F32;
}

/* ---- The usual way, as measured on an H100 ---------------------------------------------------- */

/* What can run the product at all, asked once. */
typedef struct offers {
    bool skinny, tensor, few, parts, vendor, wgmma;
    amps_gemm_choice by_groups; /* of wgmma */
} offers;

static offers ask(amps_cuda_device *device, const amps_gemm *gemm)
{
    const bool own = gemm->algorithm != ANYMPS_ALGORITHM_VENDOR;
    amps_gemm_launch launch;
    offers can = {.skinny = own && amps_gemm_skinny(device, gemm, 0, &launch),
                  .tensor = own && amps_gemm_tensor(device, gemm, 0, &launch),
                  .parts = own && amps_gemm_parts_can(device, gemm),
                  .few = own && amps_gemm_few_can(device, gemm),
                  .vendor = gemm->algorithm != ANYMPS_ALGORITHM_OWN && amps_gemm_vendor_can(device, gemm, 0)};
    can.wgmma = own && amps_gemm_wgmma_usual(device, gemm, &can.by_groups);
    return can;
}

/* One row or column times a matrix. Where the interior is dense our dot products are ahead of everything, but for int8 of
   large matrices, which go by warpgroup; where the columns are, cuBLASLt is for f32 and up to some size, then tiles by
   warpgroup. cuBLASLt has no int8 of dense columns. */
static amps_gemm_engine engine_for_one(const amps_gemm *gemm, const offers *can)
{
    const amps_gemm_params *const p = &gemm->params;
    const bool dense_interior = p->rows == 1 ? p->right_row == 1 : p->left_column == 1;
    const bool wide = p->rows + p->columns >= 4096 && p->interior >= 2048;
    const bool whole = gemm->kind == AMPS_GEMM_I8_I32;
    if (can->wgmma && whole && dense_interior && wide) {
        return AMPS_ENGINE_WGMMA;
    }
    if (can->skinny && (dense_interior || whole || size_of(gemm) < cube(100))) {
        return AMPS_ENGINE_SKINNY;
    }
    if (can->vendor && !(can->wgmma && wide && is_16_bit(gemm->kind))) {
        return AMPS_ENGINE_VENDOR;
    }
    if (can->wgmma && size_of(gemm) >= cube(100)) {
        return AMPS_ENGINE_WGMMA;
    }
    return can->skinny ? AMPS_ENGINE_SKINNY : can->tensor ? AMPS_ENGINE_TENSOR : AMPS_ENGINE_ANY;
}

/* Multiplication by warpgroup against cuBLASLt's algorithms, 16-bit types: ahead up to 512 cubed, at 1024 cubed, from 2048
   cubed on, and with up to 128 rows and 4096 columns or more; not measured between. int8: ahead up to 2048 cubed. */
static bool groups_win(const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    const int64_t few = p->rows < p->columns ? p->rows : p->columns, many = p->rows + p->columns - few;
    if (!is_16_bit(gemm->kind)) {
        return size_of(gemm) < cube(2048);
    }
    const int64_t least = few < p->interior ? few : p->interior;
    return size_of(gemm) <= cube(640) || least >= 2048 || (least >= 896 && size_of(gemm) <= cube(1100)) ||
           (few <= 128 && p->interior >= 2048 && many >= 4096);
}

static amps_gemm_engine engine_for(const amps_gemm *gemm, const offers *can)
{
    const double size = size_of(gemm);
    if (gemm->params.rows == 1 || gemm->params.columns == 1) {
        return engine_for_one(gemm, can);
    }
    if (can->skinny && gemm->kind == AMPS_GEMM_F32_F32) {
        return AMPS_ENGINE_SKINNY;
    }
    if (can->few) {
        return AMPS_ENGINE_FEW;
    }
    if (can->parts) {
        return AMPS_ENGINE_PARTS;
    }
    if (can->tensor && size <= cube(200)) {
        return AMPS_ENGINE_TENSOR; /* mma.sync with small tiles */
    }
    /* Copying an operand first costs two launches more; the ordinary kernel is no better than that for long. */
    const bool groups = can->wgmma && size >= cube(amps_gemm_wgmma_packs(gemm) ? 256 : 100);
    if (groups && (!can->vendor || groups_win(gemm))) {
        return AMPS_ENGINE_WGMMA;
    }
    if (can->vendor) {
        return AMPS_ENGINE_VENDOR;
    }
    return can->tensor ? AMPS_ENGINE_TENSOR : can->skinny ? AMPS_ENGINE_SKINNY : AMPS_ENGINE_ANY;
}

amps_gemm_choice amps_choice_usual(amps_cuda_device *device, const amps_gemm *gemm)
{
    amps_gemm_choice choice = {.engine = AMPS_ENGINE_NONE};
    if (!is_empty(gemm) && !amps_choice_named(device, gemm, &choice)) {
        const offers can = ask(device, gemm);
        choice.engine = (uint8_t)engine_for(gemm, &can);
        if (choice.engine == AMPS_ENGINE_WGMMA) {
            return can.by_groups;
        }
    }
    return choice;
}

/* ---- The measured way ------------------------------------------------------------------------- */

bool amps_choice_can(amps_cuda_device *device, const amps_gemm *gemm, const amps_gemm_choice *choice)
{
    amps_gemm_launch launch;
    switch (choice->engine) {
    case AMPS_ENGINE_SKINNY: return amps_gemm_skinny(device, gemm, choice->variant, &launch);
    case AMPS_ENGINE_TENSOR: return amps_gemm_tensor(device, gemm, choice->variant, &launch);
    case AMPS_ENGINE_PARTS: return amps_gemm_parts_can(device, gemm);
    case AMPS_ENGINE_VENDOR: return amps_gemm_vendor_can(device, gemm, choice->variant);
    case AMPS_ENGINE_WGMMA: return amps_gemm_wgmma_can(device, gemm, choice);
    case AMPS_ENGINE_FEW: return amps_gemm_few_can(device, gemm);
    default: return choice->engine == AMPS_ENGINE_ANY;
    }
}

/* A plain product's measurement also speaks for one with beta, bias or activation, if its way can do that. */
static bool measured(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *choice)
{
    amps_measured_entry entry;
    amps_measured_key key = amps_measured_key_of(gemm);
    bool found = amps_measured_find(device, &key, &entry);
    if (!found && key.plain == 0) {
        key.plain = 1;
        found = amps_measured_find(device, &key, &entry);
    }
    if (found) {
        *choice = entry.choice;
    }
    return found && amps_choice_can(device, gemm, choice);
}

amps_gemm_choice amps_choice_of(amps_cuda_device *device, const amps_gemm *gemm, bool *from_measurement)
{
    amps_gemm_choice choice;
    *from_measurement = gemm->algorithm == ANYMPS_ALGORITHM_AUTO && !is_empty(gemm) && measured(device, gemm, &choice);
    return *from_measurement ? choice : amps_choice_usual(device, gemm);
}

static void add(amps_gemm_choice *list, size_t room, size_t *count, unsigned engine, unsigned variant)
{
    if (*count < room) {
        list[(*count)++] = (amps_gemm_choice){.engine = (uint8_t)engine, .variant = (uint8_t)variant};
    }
}

size_t amps_choice_list(amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *list, size_t room)
{
    amps_gemm_launch launch;
    size_t count = 0;
    const amps_gemm_choice first = amps_choice_usual(device, gemm);
    if (room > 0) {
        list[count++] = first;
    }
    if (first.engine == AMPS_ENGINE_NONE) {
        return count;
    }
    if (amps_gemm_skinny(device, gemm, 0, &launch)) {
        add(list, room, &count, AMPS_ENGINE_SKINNY, 0);
    }
    for (unsigned clusters = 2; clusters <= 8; clusters *= 2) {
        if (amps_gemm_skinny(device, gemm, clusters, &launch)) {
            add(list, room, &count, AMPS_ENGINE_SKINNY, clusters);
        }
    }
    for (unsigned variant = 1; variant <= 3; variant++) {
        if (amps_gemm_tensor(device, gemm, variant, &launch)) {
            add(list, room, &count, AMPS_ENGINE_TENSOR, variant);
        }
    }
    if (amps_gemm_few_can(device, gemm)) {
        add(list, room, &count, AMPS_ENGINE_FEW, 0);
    }
    if (amps_gemm_parts_can(device, gemm)) {
        add(list, room, &count, AMPS_ENGINE_PARTS, 0);
    }
    for (unsigned which = 0; amps_gemm_vendor_can(device, gemm, which); which++) {
        add(list, room, &count, AMPS_ENGINE_VENDOR, which);
    }
    count += amps_gemm_wgmma_list(device, gemm, list + count, room - count);
    add(list, room, &count, AMPS_ENGINE_ANY, 0);
    return count;
}

void amps_choice_name(const amps_gemm_choice *choice, char *text, size_t size)
{
    static const char *const names[AMPS_ENGINES] = {
        "nothing to do", "own skinny", "own mma",      "own split_gemm (bf16 parts, f32 bound)",
        "cuBLASLt",      "",           "own gemm_any", "own gemm_few (TF32 parts, f32 bound)"};
    if (choice->engine == AMPS_ENGINE_WGMMA) {
        char name[96];
        amps_gemm_wgmma_name(choice, name, sizeof name);
        (void)snprintf(text, size, "own %s", name);
    } else if (choice->variant == 0) {
        (void)snprintf(text, size, "%s", names[choice->engine]);
    } else {
        (void)snprintf(text, size, "%s %d", names[choice->engine], choice->variant);
    }
}
