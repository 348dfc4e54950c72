/* SPDX-License-Identifier: Apache-2.0 */
/*
 * params.h: the argument structs of the CUDA kernels, one by value per launch. Read by nvcc (C++) and by the
 * host files in ops/ (C11). Addresses are device addresses; strides and sizes count elements unless a name
 * says bytes; 0 as an address means "operand not given".
 */
#ifndef AMPS_CUDA_PARAMS_H
#define AMPS_CUDA_PARAMS_H

#include <stdint.h>

#if defined(__cplusplus)
#define AMPS_ALIGN_MAP alignas(128)
#else
#define AMPS_ALIGN_MAP _Alignas(128)
#endif

/* What no earlier launch of the same commit writes, so that a kernel may read it before its predecessor has ended. */
enum { AMPS_SETTLED_SOURCE = 1, AMPS_SETTLED_WEIGHTS = 2 /* every other operand that is only read */ };
/* The same of a product: its kernels read such an operand before they wait for their predecessor. */
enum { AMPS_SETTLED_LEFT = 1, AMPS_SETTLED_RIGHT = 2, AMPS_SETTLED_BOTH = 3 };

/* rows.cu, rows_held.cu: softmax and log-softmax. Row r of the launch is row r % rows of matrix r / rows. */
typedef struct amps_softmax_params {
    uint64_t source, result;
    int64_t source_row, source_matrix;
    int64_t result_row, result_matrix;
    int64_t rows, all_rows; /* of one matrix; rows times batch */
    int64_t columns;
    float scale, scale_rest; /* scale = scale + scale_rest to 48 bits */
    int32_t log;
    int32_t settled;     /* AMPS_SETTLED_SOURCE or 0 */
    int32_t slice_packs; /* rows_held.cu: packs of 16 bytes of a row in each block */
} amps_softmax_params;

/* rows.cu, rows_held.cu: RMS norm and layer norm. */
typedef struct amps_norm_params {
    uint64_t source, residual, weight, bias, result;
    int64_t source_row, source_matrix;
    int64_t residual_row, residual_matrix;
    int64_t weight_matrix, bias_matrix; /* from a vector of the batch to the next */
    int64_t result_row, result_matrix;
    int64_t rows, all_rows;
    int64_t columns;
    float epsilon;
    float shrink;  /* a power of two: sums of squares are taken of x*shrink, so that they cannot overflow */
    int32_t layer; /* layer norm: subtract the mean */
    int32_t epsilon_positive;
    int32_t settled;     /* AMPS_SETTLED_…; the residual, which is written, counts with the source */
    int32_t slice_packs; /* as above */
} amps_norm_params;

/* An activation function. */
typedef struct amps_neuron_params {
    int32_t type; /* anymps_neuron_type */
    float a, b, c;
} amps_neuron_params;

/* elementwise.cu: result = f(alpha * source + bias). */
typedef struct amps_map_params {
    uint64_t source, bias, prelu, result;
    int64_t source_row, source_matrix;
    int64_t bias_matrix, prelu_matrix;
    int64_t result_row, result_matrix;
    int64_t rows, columns, batch;
    float alpha;
    amps_neuron_params neuron;
} amps_map_params;

/* Every matmul kernel: result[i][j] = f(alpha * sum_k left[i][k]*right[k][j] + beta*result[i][j] + bias[j]).
   Transposition is in the strides: `_row` steps i (left), k (right), i (result); `_column` the other. */
typedef struct amps_gemm_params {
    uint64_t left, right, result, bias, prelu;
    int64_t left_row, left_column, left_matrix;
    int64_t right_row, right_column, right_matrix;
    int64_t result_row, result_column, result_matrix;
    int64_t bias_matrix, prelu_matrix;
    int64_t rows, columns, interior, batch;
    float alpha, beta;
    double exact_alpha, exact_beta; /* integer results */
    amps_neuron_params neuron;
    int32_t wide;    /* the result is f32 though the operands are narrower */
    int32_t settled; /* skinny.cu, gemm_mma.cu: AMPS_SETTLED_… of left and right */
    uint64_t guard;  /* address of a word: the kernel runs only while it is not 0; 0: always */
} amps_gemm_params;

/* gemm_few.cu: left rows and right rows or columns are dense. */
typedef struct amps_few_params {
    amps_gemm_params gemm;
    int32_t slice;                   /* of the interior for each block of a cluster */
    int32_t left_packs, right_packs; /* dense directions start at 16 bytes */
    int32_t right_settled;           /* no earlier launch of the same commit writes the right operand */
} amps_few_params;

/* gemm_split.cu: cuts the operands of a gemm into bf16 parts. */
typedef struct amps_split_params {
    uint64_t left, right, left_parts, right_parts;
    uint64_t flag; /* a word that becomes 1 if a value cannot be cut */
    int64_t left_row, left_column, right_row, right_column;
    int64_t rows, columns, interior;
    int64_t depth; /* interior rounded up to 64 */
} amps_split_params;

/* gemm_split.cu: multiplies the parts. The maps are CUtensorMap, which wants 128-byte alignment. */
typedef struct amps_split_gemm_params {
    AMPS_ALIGN_MAP uint64_t left_map[16];
    AMPS_ALIGN_MAP uint64_t right_map[16];
    amps_gemm_params gemm;
    uint64_t flag;
    int64_t depth;
} amps_split_gemm_params;

/* gemm_large.cuh and gemm_tile.cuh: a gemm by warpgroup multiplication. "left" and "right" of this struct's own members
   are the tile's: the gemm's, or, `turned`, its right and left transposed. The maps are CUtensorMap. */
typedef struct amps_wgmma_params {
    AMPS_ALIGN_MAP uint64_t left_map[16];
    AMPS_ALIGN_MAP uint64_t right_map[16];
    AMPS_ALIGN_MAP uint64_t result_map[16]; /* gemm_large only */
    amps_gemm_params gemm;
    int32_t down, along; /* tiles along the tile's rows and columns, per matrix */
    int32_t items;       /* down * along * batch */
    int32_t steps;       /* of 128 bytes of the interior */
    int32_t stages;      /* in shared memory */
    int32_t group;       /* gemm_large: rows of tiles that are walked together */
    int32_t splits;      /* gemm_tile: blocks of the cluster, which share the interior */
    int32_t turned;
    int32_t simple; /* gemm_tile: rows of the result, bias and slopes in whole, aligned 16 bytes */
    int32_t left_batched, right_batched;
    int32_t settled; /* AMPS_SETTLED_… of the tile's left and right */
} amps_wgmma_params;

/* gemm_pack.cu: copies an operand to rows dense along the interior. */
typedef struct amps_pack_params {
    uint64_t from, to;
    int64_t across, deep, matrix; /* steps of `from` */
    int64_t count, interior;      /* of each matrix */
    int64_t depth;                /* of the copy's rows: interior rounded up to 16 bytes */
} amps_pack_params;

/* lora.cu, lora_eight.cu, lora_mma.cu, lora_rows.cu, lora_up.cu: result = [addend] + [result] + scale * (source * down) * up. */
typedef struct amps_lora_params {
    uint64_t source, down, up, result;
    uint64_t addend;  /* f32, tight rows × outputs per matrix; 0: none */
    uint64_t product; /* f32, tight rows × rank per matrix: source * down, made before; 0: made here */
    int64_t source_row, source_matrix;
    int64_t down_row, down_column, down_matrix; /* steps along inputs, along rank */
    int64_t up_row, up_column, up_matrix;       /* steps along rank, along outputs */
    int64_t result_row, result_matrix;
    int64_t rows, inputs, rank, outputs, batch;
    float scale;
    int32_t accumulate;
    int32_t outputs_per_block; /* lora.cu, lora_up.cu */
    int32_t splits;            /* blocks without a cluster that share rows, along the outputs; 1 with a cluster */
    int32_t vector;            /* rows of down start at 16 bytes and hold a multiple of 8 */
    int32_t settled;           /* AMPS_SETTLED_… */
    /* lora_mma.cu alone: */
    int32_t slice_inputs, slice_outputs;        /* of each block of a cluster */
    int32_t tile, tile_elements;                /* inputs or outputs a tile; its size in shared memory */
    int32_t received_floats;                    /* room for the sums of the other blocks */
    int32_t source_packs, down_packs, up_packs; /* rows start at 16 bytes */
    int32_t result_pairs;                       /* rows start at two elements */
    int32_t product_packs,
        result_packs; /* lora_rows.cu and lora_up.cu, with up_packs: rows are whole, aligned 16 bytes */
} amps_lora_params;

#endif /* AMPS_CUDA_PARAMS_H */
