/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_wgmma.c: the engine that multiplies f16, bf16 and int8 by warpgroups on Hopper: `large` kernels that stay and take
 * tile after tile (gemm_large.cuh), and `tile` kernels with one tile a block, whose interior a cluster may share
 * (gemm_tile.cuh). Makes the tensor maps. Called by gemm_choice.c and cuda_gemm.c.
 */
#include "backend/cuda/ops/gemm_engines.h"

#include <stdio.h>
#include <string.h>

enum { NONE = AMPS_CUDA_FUNCTIONS };
enum { TYPE_F16, TYPE_BF16, TYPE_I8, TYPES };
/* As in the kernels: bytes of the interior in a stage, what is left for a block, what a warp stores at once. */
enum { STAGE_DEPTH = 128, PIECE = 64, SPARE_BYTES = 2048, SLAB_BYTES = 2048 };
enum { STAGES_LARGE = 8, STAGES_TILE = 16, MOST_SPLITS = 8, MOST_GRID = 65535 /* along y and z */ };
enum { SHARED_BYTES = 228 << 10, MOST_BLOCKS = 3 }; /* of a multiprocessor; blocks of a tile that may share one */

typedef struct variant {
    const char *name;
    bool large;
    int rows, columns;                         /* of a tile */
    amps_cuda_function functions[TYPES][2][2]; /* left, right dense along the interior or not */
} variant;

#define FOUR(kind, type, suffix)                                                                                       \
    {                                                                                                                  \
        {AMPS_FN_##kind##_##type##_nn_##suffix, AMPS_FN_##kind##_##type##_nt_##suffix},                                \
            {AMPS_FN_##kind##_##type##_tn_##suffix, AMPS_FN_##kind##_##type##_tt_##suffix},                            \
    }
#define TWO(kind, type, suffix)                                                                                        \
    {                                                                                                                  \
        {AMPS_FN_##kind##_##type##_nn_##suffix, (amps_cuda_function)NONE},                                             \
            {AMPS_FN_##kind##_##type##_tn_##suffix, (amps_cuda_function)NONE},                                         \
    }
#define ONE(function)                                                                                                  \
    {                                                                                                                  \
        {function, (amps_cuda_function)NONE}, {(amps_cuda_function)NONE, (amps_cuda_function)NONE},                    \
    }

/* The rows' numbers stand in files of measurements: who changes them counts KERNELS_VERSION in gemm_measured.c. */
static const variant variants[] = {
    [AMPS_LARGE_128_256] = {"large 128x256",
                            true,
                            128,
                            256,
                            {FOUR(large, f16, 256), FOUR(large, bf16, 256), ONE(AMPS_FN_large_i8_nn_256)}},
    [AMPS_LARGE_128_128] = {"large 128x128",
                            true,
                            128,
                            128,
                            {FOUR(large, f16, 128), FOUR(large, bf16, 128), ONE(AMPS_FN_large_i8_nn_128)}},
    [AMPS_TILE_64_16] =
        {"tile 64x16", false, 64, 16, {TWO(tile, f16, 64x16), TWO(tile, bf16, 64x16), ONE(AMPS_FN_tile_i8_nn_64x16)}},
    [AMPS_TILE_64_32] =
        {"tile 64x32", false, 64, 32, {TWO(tile, f16, 64x32), TWO(tile, bf16, 64x32), ONE((amps_cuda_function)NONE)}},
    [AMPS_TILE_64_64] =
        {"tile 64x64", false, 64, 64, {FOUR(tile, f16, 64x64), FOUR(tile, bf16, 64x64), ONE(AMPS_FN_tile_i8_nn_64x64)}},
    [AMPS_TILE_64_128] = {"tile 64x128",
                          false,
                          64,
                          128,
                          {FOUR(tile, f16, 64x128), FOUR(tile, bf16, 64x128), ONE((amps_cuda_function)NONE)}},
    [AMPS_TILE_128_16] = {"tile 128x16",
                          false,
                          128,
                          16,
                          {TWO(tile, f16, 128x16), TWO(tile, bf16, 128x16), ONE((amps_cuda_function)NONE)}},
    [AMPS_TILE_128_64] = {"tile 128x64",
                          false,
                          128,
                          64,
                          {FOUR(tile, f16, 128x64), FOUR(tile, bf16, 128x64), ONE(AMPS_FN_tile_i8_nn_128x64)}},
    [AMPS_TILE_128_128] = {"tile 128x128",
                           false,
                           128,
                           128,
                           {FOUR(tile, f16, 128x128), FOUR(tile, bf16, 128x128), ONE(AMPS_FN_tile_i8_nn_128x128)}},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };
/* Rows of tiles that are walked together; interior that is worth a block of its own. */
enum { GROUP_USUAL = 8, LEAST_SPLIT = 512 };

/* ---- Operands --------------------------------------------------------------------------------- */

/* One operand as the tile sees it: `across` steps along its rows, `deep` along the interior. */
typedef struct side {
    uint64_t address;
    int64_t across, deep, matrix, count;
    bool rows_dense;
    bool packed; /* must be copied first; the members above become those of the copy */
} side;

typedef struct problem {
    int type;
    int64_t element; /* bytes */
    int64_t interior, batch;
    side left, right;
} problem;

/* One direction is dense, and the copy engine can step the others: whole 16 bytes. */
static bool is_loadable(const side *s, const problem *of)
{
    const bool rows_dense = s->deep != 1;
    const int64_t dense = rows_dense ? s->across : s->deep, step = (rows_dense ? s->deep : s->across) * of->element;
    const int64_t matrix = s->matrix * of->element, most = (int64_t)1 << 40;
    return s->address % 16 == 0 && dense == 1 && step > 0 && step % 16 == 0 && matrix % 16 == 0 && step < most &&
           matrix < most && !(of->type == TYPE_I8 && rows_dense);
}

static int64_t packed_depth(const problem *of)
{
    const int64_t unit = 16 / of->element;
    return (of->interior + unit - 1) / unit * unit;
}

static bool is_batched(const side *s, const problem *of)
{
    return of->batch > 1 && s->matrix != 0;
}

/* Bytes of the copy of a side; 0: it is read where it lies. */
static int64_t packed_bytes(const side *s, const problem *of)
{
    const int64_t bytes = s->count * packed_depth(of) * of->element * (is_batched(s, of) ? of->batch : 1);
    return s->packed ? (bytes + 255) / 256 * 256 : 0;
}

static void set_side(side *s, const problem *of)
{
    s->packed = !is_loadable(s, of);
    s->rows_dense = !s->packed && s->deep != 1;
}

static bool state(const amps_gemm *gemm, bool turned, problem *to)
{
    const amps_gemm_params *const p = &gemm->params;
    switch (gemm->kind) {
    case AMPS_GEMM_F16_F16:
    case AMPS_GEMM_F16_F32: to->type = TYPE_F16; break;
    case AMPS_GEMM_BF16_BF16:
    case AMPS_GEMM_BF16_F32: to->type = TYPE_BF16; break;
    case AMPS_GEMM_I8_I32: to->type = TYPE_I8; break;
    default: return false;
    }
    to->element = to->type == TYPE_I8 ? 1 : 2;
    to->interior = p->interior;
    to->batch = p->batch;
    const side left = {p->left, p->left_row, p->left_column, p->left_matrix, p->rows, false, false};
    const side right = {p->right, p->right_column, p->right_row, p->right_matrix, p->columns, false, false};
    to->left = turned ? right : left;
    to->right = turned ? left : right;
    set_side(&to->left, to);
    set_side(&to->right, to);
    return p->interior > 0 && p->rows > 0 && p->columns > 0 && p->batch > 0 && p->interior < INT32_MAX / 2 &&
           p->rows < INT32_MAX / 2 && p->columns < INT32_MAX / 2 && p->batch < INT32_MAX / 2;
}

static int64_t result_bytes(const amps_gemm *gemm)
{
    return gemm->kind == AMPS_GEMM_F16_F16 || gemm->kind == AMPS_GEMM_BF16_BF16 ? 2 : 4;
}

/* Rows of the result start on 16 bytes. */
static bool is_aligned(const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    const int64_t bytes = result_bytes(gemm);
    return p->result_column == 1 && p->result % 16 == 0 && p->result_row * bytes % 16 == 0 &&
           p->result_matrix * bytes % 16 == 0 && p->result_row > 0;
}

/* Only alpha to apply to them. */
static bool is_simple(const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    return is_aligned(gemm) && p->beta == 0.0f && p->bias == 0 && p->neuron.type == 0 &&
           !(gemm->kind == AMPS_GEMM_I8_I32 && (p->exact_alpha != 1.0 || p->exact_beta != 0.0));
}

/* A tile's elements of 16-bit operands can be finished eight at a time. */
static bool in_eights(const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    return is_aligned(gemm) && p->columns % 8 == 0 && p->bias % 16 == 0 && p->bias_matrix % 8 == 0 &&
           p->prelu % 16 == 0 && p->prelu_matrix % 8 == 0;
}

/* ---- Sizes ------------------------------------------------------------------------------------ */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t steps_of(const problem *of)
{
    return ceil_div(of->interior * of->element, STAGE_DEPTH);
}

static int64_t stage_bytes(const variant *v)
{
    return (int64_t)(v->rows + v->columns) * STAGE_DEPTH;
}

/* Two of each warp. */
static int64_t slabs_bytes(const variant *v)
{
    return v->rows / 16 * 2 * SLAB_BYTES;
}

/* Bytes of the sums of a tile in shared memory, with the kernel's padding. */
static int64_t sums_bytes(const variant *v, bool turned)
{
    return turned ? (int64_t)v->columns * (v->rows + 4) * 4 : (int64_t)v->rows * (v->columns + 8) * 4;
}

static int64_t stages_of(const amps_cuda_device *device, const variant *v, const amps_gemm_choice *choice,
                         int64_t steps)
{
    const int64_t room = device->shared_limit - SPARE_BYTES;
    if (v->large) {
        return lesser(STAGES_LARGE, (room - slabs_bytes(v)) / stage_bytes(v));
    }
    const int64_t mine = lesser(room, SHARED_BYTES / choice->group - 2 * SPARE_BYTES);
    return lesser(lesser(STAGES_TILE, ceil_div(steps, choice->splits)), mine / stage_bytes(v));
}

bool amps_gemm_wgmma_can(const amps_cuda_device *device, const amps_gemm *gemm, const amps_gemm_choice *choice)
{
    problem of;
    if (!device->has_sm90a || choice->variant >= VARIANTS || choice->turned > 1 || choice->group == 0 ||
        choice->splits == 0 || choice->splits > MOST_SPLITS || (choice->splits & (choice->splits - 1)) != 0 ||
        !state(gemm, choice->turned == 1, &of)) {
        return false;
    }
    const variant *const v = &variants[choice->variant];
    const int64_t items = ceil_div(of.left.count, v->rows) * ceil_div(of.right.count, v->columns);
    return v->functions[of.type][of.left.rows_dense][of.right.rows_dense] != (amps_cuda_function)NONE &&
           (v->large ? is_simple(gemm) && choice->splits == 1 && choice->turned == 0 : choice->group <= MOST_BLOCKS) &&
           (v->large || (ceil_div(of.right.count, v->columns) <= MOST_GRID && of.batch <= MOST_GRID)) &&
           steps_of(&of) >= choice->splits && stages_of(device, v, choice, steps_of(&of)) >= 1 &&
           items < INT32_MAX / 16 / of.batch;
}

/* ---- Launching -------------------------------------------------------------------------------- */

/* Boxes of a stage's interior and `rows` rows, or, of an operand dense along its rows, of 64 of them. */
static anymps_status make_map(uint64_t *map, const problem *of, const side *s, int rows)
{
    const cuuint32_t depth = (cuuint32_t)(STAGE_DEPTH / of->element);
    const int64_t step = s->rows_dense ? s->deep : s->across;
    const bool batched = is_batched(s, of);
    const cuuint64_t sizes[3] = {(cuuint64_t)(s->rows_dense ? s->count : of->interior),
                                 (cuuint64_t)(s->rows_dense ? of->interior : s->count),
                                 (cuuint64_t)(batched ? of->batch : 1)};
    const cuuint64_t steps[2] = {(cuuint64_t)(step * of->element),
                                 (cuuint64_t)((batched ? s->matrix : step) * of->element)};
    const cuuint32_t box[3] = {s->rows_dense ? PIECE : depth, s->rows_dense ? depth : (cuuint32_t)rows, 1};
    const cuuint32_t ones[3] = {1, 1, 1};
    CUtensorMap made;
    AMPS_CU_TRY(amps_cu.TensorMapEncodeTiled(
                    &made, of->element == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_UINT16, 3,
                    (void *)(uintptr_t)s->address, sizes, steps, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
                    CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                "matmul: cuTensorMapEncodeTiled");
    memcpy(map, &made, sizeof made);
    return ANYMPS_OK;
}

/* Boxes of 16 rows of 128 bytes: what a warp stores at once. */
static anymps_status make_result_map(uint64_t *map, const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    const int64_t bytes = result_bytes(gemm);
    const bool batched = p->batch > 1 && p->result_matrix != 0;
    const cuuint64_t sizes[3] = {(cuuint64_t)p->columns, (cuuint64_t)p->rows, (cuuint64_t)(batched ? p->batch : 1)};
    const cuuint64_t steps[2] = {(cuuint64_t)(p->result_row * bytes),
                                 (cuuint64_t)((batched ? p->result_matrix : p->result_row) * bytes)};
    const cuuint32_t box[3] = {(cuuint32_t)(STAGE_DEPTH / bytes), 16, 1}, ones[3] = {1, 1, 1};
    CUtensorMap made;
    AMPS_CU_TRY(amps_cu.TensorMapEncodeTiled(
                    &made, bytes == 2 ? CU_TENSOR_MAP_DATA_TYPE_UINT16 : CU_TENSOR_MAP_DATA_TYPE_UINT32, 3,
                    (void *)(uintptr_t)p->result, sizes, steps, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE,
                    CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                "matmul: cuTensorMapEncodeTiled");
    memcpy(map, &made, sizeof made);
    return ANYMPS_OK;
}

/* Copies a side to `*at` of the scratch, if it must be, and describes the copy. */
static anymps_status pack(amps_cuda_emitter *out, const problem *of, side *s, CUdeviceptr *at)
{
    enum { PACKED = 64 }; /* as in gemm_pack.cu */
    if (!s->packed) {
        return ANYMPS_OK;
    }
    const amps_pack_params copy = {.from = s->address,
                                   .to = (uint64_t)*at,
                                   .across = s->across,
                                   .deep = s->deep,
                                   .matrix = s->matrix,
                                   .count = s->count,
                                   .interior = of->interior,
                                   .depth = packed_depth(of)};
    const int64_t matrices = is_batched(s, of) ? of->batch : 1;
    const amps_cuda_shape shape = {
        .grid_x = (size_t)(ceil_div(copy.depth, PACKED) * ceil_div(s->count, PACKED) * matrices), .block_x = 256};
    *at += (CUdeviceptr)packed_bytes(s, of);
    s->address = copy.to;
    s->across = copy.depth;
    s->deep = 1;
    s->matrix = matrices > 1 ? s->count * copy.depth : 0;
    return amps_cuda_launch(out, of->element == 1 ? AMPS_FN_pack_8 : AMPS_FN_pack_16, &shape, &copy);
}

size_t amps_gemm_wgmma_scratch(const amps_gemm *gemm, const amps_gemm_choice *choice)
{
    problem of;
    return state(gemm, choice->turned == 1, &of) ? (size_t)(packed_bytes(&of.left, &of) + packed_bytes(&of.right, &of))
                                                 : 0;
}

anymps_status amps_gemm_wgmma_emit(amps_cuda_emitter *out, const amps_gemm *gemm, const amps_gemm_choice *choice)
{
    const variant *const v = &variants[choice->variant];
    problem of;
    ANYMPS_FAIL_IF(!state(gemm, choice->turned == 1, &of), ANYMPS_INTERNAL, "matmul: not a product for warpgroups");
    amps_wgmma_params to = {
        .gemm = gemm->params, .splits = choice->splits, .turned = choice->turned, .group = choice->group};
    to.gemm.wide = gemm->kind == AMPS_GEMM_F16_F32 || gemm->kind == AMPS_GEMM_BF16_F32;
    CUdeviceptr scratch = out->scratch;
    ANYMPS_TRY(pack(out, &of, &of.left, &scratch));
    ANYMPS_TRY(pack(out, &of, &of.right, &scratch));
    ANYMPS_TRY(make_map(to.left_map, &of, &of.left, v->rows));
    ANYMPS_TRY(make_map(to.right_map, &of, &of.right, v->columns));
    to.down = (int32_t)ceil_div(of.left.count, v->rows);
    to.along = (int32_t)ceil_div(of.right.count, v->columns);
    to.items = (int32_t)(to.down * to.along * of.batch);
    to.steps = (int32_t)steps_of(&of);
    to.stages = (int32_t)stages_of(out->device, v, choice, to.steps);
    to.simple = in_eights(gemm);
    to.left_batched = is_batched(&of.left, &of);
    to.right_batched = is_batched(&of.right, &of);
    to.settled = amps_gemm_settled(gemm, choice->turned == 1) & ~(of.left.packed ? AMPS_SETTLED_LEFT : 0) &
                 ~(of.right.packed ? AMPS_SETTLED_RIGHT : 0); /* a copy has just been written */
    const int64_t stages = to.stages * stage_bytes(v), sums = sums_bytes(v, choice->turned);
    amps_cuda_shape shape = {.block_x = (unsigned)v->rows * 2 + (v->columns == 256 ? 128u : 32u),
                             .cluster_x = choice->splits};
    if (v->large) {
        ANYMPS_TRY(make_result_map(to.result_map, gemm));
        shape.grid_x = (size_t)lesser(to.items, out->device->multiprocessors);
        shape.shared_bytes = (unsigned)(stages + slabs_bytes(v) + 1024);
    } else {
        shape.grid_x = (size_t)to.down * choice->splits;
        shape.grid_y = (size_t)to.along;
        shape.grid_z = (size_t)of.batch;
        shape.shared_bytes = (unsigned)((stages > sums ? stages : sums) + 1024);
    }
    return amps_cuda_launch(out, v->functions[of.type][of.left.rows_dense][of.right.rows_dense], &shape, &to);
}

/* ---- Choosing --------------------------------------------------------------------------------- */

size_t amps_gemm_wgmma_list(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *list, size_t room)
{
    static const uint8_t splits[] = {1, 2, 4, 8}, groups_large[] = {4, 8, 16}, groups_tile[] = {1, 2, 3};
    const int64_t few = lesser(gemm->params.rows, gemm->params.columns);
    size_t count = 0;
    for (unsigned v = 0; v < VARIANTS; v++) {
        const bool large = variants[v].large;
        const uint8_t *const groups = large ? groups_large : groups_tile;
        for (unsigned n = 0; n < (large ? 3u : 24u); n++) {
            const amps_gemm_choice choice = {.engine = AMPS_ENGINE_WGMMA,
                                             .variant = (uint8_t)v,
                                             .turned = (uint8_t)(large ? 0 : n / 12),
                                             .splits = (uint8_t)(large ? 1 : splits[n % 4]),
                                             .group = groups[large ? n : n / 4 % 3]};
            const int64_t tiles =
                ceil_div(choice.turned ? gemm->params.columns : gemm->params.rows, variants[v].rows) *
                ceil_div(choice.turned ? gemm->params.rows : gemm->params.columns, variants[v].columns);
            const bool sensible =
                large ? few >= 128 : few <= 1024 && tiles * choice.splits <= 16 * device->multiprocessors;
            if (count < room && sensible && amps_gemm_wgmma_can(device, gemm, &choice)) {
                list[count++] = choice;
            }
        }
    }
    return count;
}

/* A few rows (or columns) times a large matrix: the smallest tile that holds them, and blocks for every multiprocessor. */
static amps_gemm_choice flat_choice(const amps_cuda_device *device, const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    const int64_t few = lesser(p->rows, p->columns), tiles = ceil_div(p->rows + p->columns - few, 64) * p->batch;
    const bool many = tiles > device->multiprocessors, whole = gemm->kind == AMPS_GEMM_I8_I32;
    const uint8_t tile = few <= 16                 ? ((many || few == 1) && !whole ? AMPS_TILE_128_16 : AMPS_TILE_64_16)
                         : few <= 32               ? AMPS_TILE_64_32
                         : few <= 64               ? AMPS_TILE_128_64
                         : many && is_simple(gemm) ? AMPS_LARGE_128_128
                                                   : AMPS_TILE_64_128;
    if (tile == AMPS_LARGE_128_128) {
        return (amps_gemm_choice){AMPS_ENGINE_WGMMA, AMPS_LARGE_128_128, 0, 1, GROUP_USUAL};
    }
    amps_gemm_choice choice = {
        .engine = AMPS_ENGINE_WGMMA, .variant = tile, .turned = p->rows < p->columns, .splits = 1};
    const int64_t places = device->multiprocessors / (few > 64 ? 4 : 2);
    while (choice.splits < MOST_SPLITS && tiles * choice.splits <= places &&
           p->interior >= (int64_t)choice.splits * 2 * LEAST_SPLIT) {
        choice.splits = (uint8_t)(choice.splits * 2);
    }
    /* Where two fit a multiprocessor the next product's block is there before this one's has ended. */
    choice.group = (tile == AMPS_TILE_64_16 || tile == AMPS_TILE_64_32) && (few > 1 || many) ? 2 : 1;
    return choice;
}

/* Without scratch: one tile's way, and small ones, each shared by as many blocks as there is room for: how soon one product is done, not how
   many of them run side by side. */
bool amps_gemm_wgmma_soon(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *choice)
{
    enum { SIDE = 64 };
    const amps_gemm_params *const p = &gemm->params;
    const int64_t tiles = ceil_div(p->rows, SIDE) * ceil_div(p->columns, SIDE) * p->batch;
    *choice = (amps_gemm_choice){AMPS_ENGINE_WGMMA, AMPS_TILE_64_64, 0, 1, 1};
    while (choice->splits < MOST_SPLITS && tiles * choice->splits * 2 <= device->multiprocessors &&
           p->interior >= (int64_t)choice->splits * 2 * LEAST_SPLIT) {
        choice->splits = (uint8_t)(choice->splits * 2);
    }
    return tiles <= device->multiprocessors && gemm->algorithm != ANYMPS_ALGORITHM_VENDOR &&
           !amps_gemm_wgmma_packs(gemm) && amps_gemm_wgmma_can(device, gemm, choice);
}

/* The largest tile that still gives nine of ten multiprocessors one, else the smallest that can. Of the kernels that stay
   four of ten are enough: where one product leaves multiprocessors free, the next one is there already. */
bool amps_gemm_wgmma_usual(const amps_cuda_device *device, const amps_gemm *gemm, amps_gemm_choice *choice)
{
    static const uint8_t order[] = {AMPS_LARGE_128_256, AMPS_LARGE_128_128, AMPS_TILE_128_128, AMPS_TILE_128_64,
                                    AMPS_TILE_64_64,    AMPS_TILE_64_32,    AMPS_TILE_64_16};
    const amps_gemm_params *const p = &gemm->params;
    const int64_t few = lesser(p->rows, p->columns);
    bool found = false;
    if (few <= 128 && p->rows + p->columns >= 16 * few) {
        *choice = flat_choice(device, gemm);
        if (amps_gemm_wgmma_can(device, gemm, choice)) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof order; i++) {
        const variant *const v = &variants[order[i]];
        for (int turned = v->large ? 0 : 1; turned >= 0; turned--) {
            const amps_gemm_choice next = {AMPS_ENGINE_WGMMA, order[i], (uint8_t)turned, 1, v->large ? GROUP_USUAL : 1};
            const int64_t rows = turned != 0 ? p->columns : p->rows, columns = turned != 0 ? p->rows : p->columns;
            const int64_t tiles = ceil_div(rows, v->rows) * ceil_div(columns, v->columns) * p->batch;
            /* int8 is through with a tile in half the time: fewer and larger ones. */
            const int64_t tenths = v->large || gemm->kind == AMPS_GEMM_I8_I32 ? 4 : 9;
            if (amps_gemm_wgmma_can(device, gemm, &next)) {
                *choice = next;
                found = true;
                if (tiles >= device->multiprocessors * tenths / 10) {
                    return true;
                }
                break;
            }
        }
    }
    return found;
}

/* An operand would be copied first. */
bool amps_gemm_wgmma_packs(const amps_gemm *gemm)
{
    problem of;
    return state(gemm, false, &of) && (of.left.packed || of.right.packed);
}

void amps_gemm_wgmma_name(const amps_gemm_choice *choice, char *text, size_t size)
{
    const variant *const v = &variants[choice->variant < VARIANTS ? choice->variant : 0];
    if (v->large) {
        (void)snprintf(text, size, "wgmma %s, groups of %d", v->name, choice->group);
    } else {
        (void)snprintf(text, size, "wgmma %s%s, interior in %d, %d a multiprocessor", v->name,
                       choice->turned ? " turned" : "", choice->splits, choice->group);
    }
}
