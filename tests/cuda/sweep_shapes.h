/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_shapes.h: the products that sweep_matmul.c times, those of docs/performance.md, and those whose results it compares.
 * Included by it alone.
 */
#ifndef SWEEP_SHAPES_H
#define SWEEP_SHAPES_H

#include "backend/cuda/ops/gemm_engines.h"

typedef struct sweep_shape {
    amps_gemm_kind kind;
    const char *name;
    int64_t rows, columns, interior;
    bool transposed, reduced; /* the right operand; TF32 */
} sweep_shape;

static const sweep_shape sweep_shapes[] = {
    {AMPS_GEMM_F16_F16, "f16", 64, 64, 64, false, false},
    {AMPS_GEMM_F16_F16, "f16", 128, 128, 128, false, false},
    {AMPS_GEMM_F16_F16, "f16", 256, 256, 256, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 256, 256, 256, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 512, 512, 512, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 1024, 1024, 1024, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 2048, 2048, 2048, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 4096, 4096, 4096, false, false},
    {AMPS_GEMM_F16_F16, "f16", 4096, 4096, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 4096, 4096, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 8192, 8192, 8192, false, false},
    {AMPS_GEMM_F16_F16, "f16", 512, 512, 512, false, false},
    {AMPS_GEMM_F16_F16, "f16", 1024, 1024, 1024, false, false},
    {AMPS_GEMM_F16_F16, "f16", 2048, 2048, 2048, false, false},
    {AMPS_GEMM_F16_F16, "f16", 8192, 8192, 8192, false, false},
    {AMPS_GEMM_F16_F16, "f16", 8, 4096, 4096, true, false},
    {AMPS_GEMM_F16_F16, "f16", 64, 4096, 4096, true, false},
    {AMPS_GEMM_F16_F16, "f16", 128, 14336, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 1, 4096, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 1, 4096, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 1, 14336, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 1, 14336, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 8, 4096, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 8, 4096, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 8, 14336, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 8, 14336, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 16, 4096, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 16, 14336, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 64, 4096, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 64, 4096, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 64, 14336, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 64, 14336, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 128, 4096, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 128, 4096, 4096, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 128, 14336, 4096, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 128, 14336, 4096, false, false},
    {AMPS_GEMM_F32_F32, "f32", 1, 14336, 4096, false, false},
    {AMPS_GEMM_F32_F32, "f32", 1, 4096, 4096, false, false},
    {AMPS_GEMM_F32_F32, "f32", 1, 14336, 4096, true, false},
    {AMPS_GEMM_F32_F32, "f32", 1, 4096, 14336, true, false},
    {AMPS_GEMM_F32_F32, "f32", 1, 4096, 14336, false, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 1, 4096, 14336, true, false},
    {AMPS_GEMM_BF16_BF16, "bf16", 1, 4096, 14336, false, false},
    {AMPS_GEMM_I8_I32, "i8", 1, 14336, 4096, true, false},
    {AMPS_GEMM_I8_I32, "i8", 1, 4096, 14336, true, false},
    {AMPS_GEMM_I8_I32, "i8", 1, 4096, 14336, false, false},
    {AMPS_GEMM_I8_I32, "i8", 1024, 1024, 1024, true, false},
    {AMPS_GEMM_I8_I32, "i8", 4096, 4096, 4096, true, false},
    {AMPS_GEMM_I8_I32, "i8", 16, 4096, 4096, true, false},
    {AMPS_GEMM_F32_F32, "f32 reduced", 512, 512, 512, false, true},
    {AMPS_GEMM_F32_F32, "f32 reduced", 1024, 1024, 1024, false, true},
    {AMPS_GEMM_F32_F32, "f32 reduced", 2048, 2048, 2048, false, true},
    {AMPS_GEMM_F32_F32, "f32 reduced", 4096, 4096, 4096, false, true},
    {AMPS_GEMM_F32_F32, "f32", 64, 64, 64, false, false},
    {AMPS_GEMM_F32_F32, "f32", 128, 128, 128, false, false},
    {AMPS_GEMM_F32_F32, "f32", 256, 256, 256, false, false},
    {AMPS_GEMM_F32_F32, "f32", 512, 512, 512, false, false},
};
enum { SWEEP_SHAPES = sizeof sweep_shapes / sizeof sweep_shapes[0] };

/* Rows, columns, interior: around the edges of tiles; the last are for one row of int8. */
static const int64_t sweep_odd[][3] = {{64, 64, 64},    {1, 264, 72},     {8, 520, 1000},   {16, 328, 512},
                                       {77, 136, 200},  {128, 256, 64},   {200, 264, 1032}, {300, 520, 328},
                                       {8, 8, 8},       {513, 1000, 264}, {96, 160, 528},   {131, 77, 333},
                                       {1, 1000, 1000}, {1, 528, 272},    {1, 272, 528},    {1, 2064, 8208}};
enum { SWEEP_ODD = sizeof sweep_odd / sizeof sweep_odd[0] };

#endif /* SWEEP_SHAPES_H */
