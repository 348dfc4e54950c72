/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dlpack.c: which tensors are taken and where their elements then lie, who calls the deleter and when, what is
 * handed out. The operators on tensors: test_tensors.c.
 */
#include "expect.h"
#include "seeded.h"
#include "tensors.h"

#include <anymps/anymps.h>
#include <string.h>

static anymps_device *device;

/* ---- Layouts ----------------------------------------------------------------------------------- */

typedef struct layout_case {
    int rank;
    int64_t shape[4];
    int64_t strides[4]; /* all zero: NULL */
    anymps_status status;
    bool vector, transposed;
    size_t matrices, rows, columns, row, matrix, needed; /* the last three in elements */
} layout_case;

static const layout_case layouts[] = {
    /* One dimension. */
    {1, {5}, {0}, ANYMPS_OK, true, false, 1, 1, 5, 5, 5, 5},
    {1, {5}, {1}, ANYMPS_OK, true, false, 1, 1, 5, 5, 5, 5},
    {1, {1}, {9}, ANYMPS_OK, true, false, 1, 1, 1, 1, 1, 1},
    {1, {5}, {2}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {1, {5}, {-1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {1, {0}, {1}, ANYMPS_OK, true, false, 1, 1, 0, 0, 0, 0},
    /* Row-major, padded, a part of a wider one. */
    {2, {3, 4}, {0}, ANYMPS_OK, false, false, 1, 3, 4, 4, 12, 12},
    {2, {3, 4}, {4, 1}, ANYMPS_OK, false, false, 1, 3, 4, 4, 12, 12},
    {2, {3, 4}, {9, 1}, ANYMPS_OK, false, false, 1, 3, 4, 9, 27, 22},
    /* The transpose of one. */
    {2, {3, 4}, {1, 3}, ANYMPS_OK, false, true, 1, 4, 3, 3, 12, 12},
    {2, {3, 4}, {1, 8}, ANYMPS_OK, false, true, 1, 4, 3, 8, 32, 27},
    /* Single rows and columns: their own stride does not matter. */
    {2, {1, 4}, {77, 1}, ANYMPS_OK, false, false, 1, 1, 4, 4, 4, 4},
    {2, {1, 4}, {1, 1}, ANYMPS_OK, false, false, 1, 1, 4, 4, 4, 4},
    {2, {1, 4}, {1, 6}, ANYMPS_OK, false, true, 1, 4, 1, 6, 24, 19},
    {2, {3, 1}, {1, 77}, ANYMPS_OK, false, false, 1, 3, 1, 1, 3, 3},
    {2, {3, 1}, {5, 1}, ANYMPS_OK, false, false, 1, 3, 1, 5, 15, 11},
    {2, {1, 1}, {-3, 0}, ANYMPS_OK, false, false, 1, 1, 1, 1, 1, 1},
    /* Neither. */
    {2, {3, 4}, {8, 2}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {3, 4}, {0, 1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {3, 4}, {3, 1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {3, 4}, {-4, 1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {3, 4}, {1, 2}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {3, 4}, {1, 1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    /* Without elements any strides will do. */
    {2, {0, 4}, {-7, 3}, ANYMPS_OK, false, false, 1, 0, 4, 4, 0, 0},
    {2, {3, 0}, {0, 0}, ANYMPS_OK, false, false, 1, 3, 0, 0, 0, 0},
    {3, {2, 0, 4}, {1, 1, 1}, ANYMPS_OK, false, false, 2, 0, 4, 4, 0, 0},
    {3, {0, 3, 4}, {0}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    /* Batches: one after the other, with a gap, side by side, one row each. */
    {3, {2, 3, 4}, {0}, ANYMPS_OK, false, false, 2, 3, 4, 4, 12, 24},
    {3, {2, 3, 4}, {30, 6, 1}, ANYMPS_OK, false, false, 2, 3, 4, 6, 30, 46},
    {3, {2, 3, 4}, {4, 8, 1}, ANYMPS_OK, false, false, 2, 3, 4, 8, 4, 24},
    {3, {2, 3, 4}, {5, 11, 1}, ANYMPS_OK, false, false, 2, 3, 4, 11, 5, 31},
    {3, {2, 1, 4}, {7, 1, 1}, ANYMPS_OK, false, false, 2, 1, 4, 7, 7, 11},
    {3, {1, 3, 4}, {-5, 4, 1}, ANYMPS_OK, false, false, 1, 3, 4, 4, 12, 12},
    {3, {2, 3, 1}, {3, 1, 9}, ANYMPS_OK, false, false, 2, 3, 1, 1, 3, 6},
    {3, {2, 3, 4}, {0, 4, 1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {3, {2, 3, 4}, {13, 4, 1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {3, {2, 3, 4}, {12, 1, 3}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {3, {3, 3, 4}, {4, 8, 1}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    /* Other ranks. */
    {0, {0}, {0}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {4, {1, 1, 1, 1}, {0}, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, 0, 0, 0, 0, 0},
    {-1, {0}, {0}, ANYMPS_INVALID_ARGUMENT, 0, 0, 0, 0, 0, 0, 0, 0},
    /* Sizes that no memory has. */
    {2, {-3, 4}, {0}, ANYMPS_INVALID_ARGUMENT, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {INT64_MAX, 4}, {0}, ANYMPS_INVALID_ARGUMENT, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {3, 4}, {INT64_MAX, 1}, ANYMPS_INVALID_ARGUMENT, 0, 0, 0, 0, 0, 0, 0, 0},
    {2, {3, 4}, {INT64_MAX / 4, 1}, ANYMPS_INVALID_ARGUMENT, 0, 0, 0, 0, 0, 0, 0, 0},
    {1, {INT64_MAX}, {0}, ANYMPS_INVALID_ARGUMENT, 0, 0, 0, 0, 0, 0, 0, 0},
};

static bool is_layout(const anymps_dlpack_info *info, const layout_case *c)
{
    return info->is_vector == c->vector && info->transposed == c->transposed && info->matrices == c->matrices &&
           info->rows == c->rows && info->columns == c->columns && info->row_bytes == 4 * c->row &&
           info->matrix_bytes == 4 * c->matrix && info->needed_bytes == 4 * c->needed &&
           info->dtype == ANYMPS_DTYPE_F32;
}

static void check_layouts(void)
{
    static float data[64];
    static const int64_t none[4];
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        const layout_case *const c = &layouts[i];
        tensor t;
        anymps_dlpack_info info = ANYMPS_DLPACK_INFO_INIT;
        const anymps_dlpack_info untouched = info;
        make(&t, data, c->rank > 0 ? c->rank : 0, c->shape,
             memcmp(c->strides, none, sizeof none) == 0 ? NULL : c->strides);
        t.dl.ndim = c->rank;
        const anymps_status status = anymps_dlpack_validate(device, &t.dl, &info);
        (void)expect_true(status == c->status, __FILE__, __LINE__, "layout %zu gives %s: %s", i,
                          anymps_status_name(status), status == ANYMPS_OK ? "" : anymps_last_error()->message);
        if (status == ANYMPS_OK && c->status == ANYMPS_OK) {
            (void)expect_true(is_layout(&info, c), __FILE__, __LINE__,
                              "layout %zu is %zu of %zu x %zu, row %zu, matrix %zu, needed %zu bytes", i, info.matrices,
                              info.rows, info.columns, info.row_bytes, info.matrix_bytes, info.needed_bytes);
        } else {
            EXPECT(memcmp(&info, &untouched, sizeof info) == 0);
        }
    }
}

/* Random shapes and strides: taken or refused as the rule says, told in another way: some order of the dimensions
   in which each is at least as wide as all that is within it. */
static void check_random_layouts(void)
{
    static float data[4096];
    seeded random = seeded_from_text("layouts");
    size_t taken = 0;
    for (size_t i = 0; i < 20000; i++) {
        tensor t;
        const int64_t shape[2] = {(int64_t)(1 + seeded_below(&random, 5)), (int64_t)(1 + seeded_below(&random, 5))};
        const int64_t strides[2] = {(int64_t)seeded_below(&random, 8), (int64_t)seeded_below(&random, 8)};
        const int64_t s0 = shape[0] == 1 ? 1000 : strides[0], s1 = shape[1] == 1 ? 1000 : strides[1];
        const bool row_major = (s1 == 1 || shape[1] == 1) && (shape[0] == 1 || s0 >= shape[1]);
        const bool transposed = (s0 == 1 || shape[0] == 1) && (shape[1] == 1 || s1 >= shape[0]);
        const bool possible = row_major || transposed;
        make(&t, data, 2, shape, strides);
        anymps_dlpack_info info = ANYMPS_DLPACK_INFO_INIT;
        const anymps_status status = anymps_dlpack_validate(device, &t.dl, &info);
        if (status != (possible ? ANYMPS_OK : ANYMPS_SHAPE_MISMATCH) || (possible && info.transposed == row_major)) {
            (void)expect_true(false, __FILE__, __LINE__, "shape %lld, %lld strides %lld, %lld: %s", (long long)shape[0],
                              (long long)shape[1], (long long)strides[0], (long long)strides[1],
                              anymps_status_name(status));
        }
        taken += status == ANYMPS_OK ? 1 : 0;
    }
    EXPECT(taken > 1000 && taken < 19000);
}

static void check_refusals(void)
{
    static float data[16];
    tensor t;
    anymps_dlpack_info info = ANYMPS_DLPACK_INFO_INIT;
    make(&t, data, 2, SHAPE(2, 3), SHAPE(6, 2));
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_MESSAGE("strides 6, 2 of shape 2, 3 are no matrix: make the tensor contiguous");
    make(&t, data, 1, SHAPE(3), SHAPE(2));
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_MESSAGE("stride 2 of 3 elements is no vector: make the tensor contiguous");
    make(&t, data, 0, SHAPE(0), NULL);
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_MESSAGE("reshape");
    make(&t, data, 2, SHAPE(2, 3), NULL);
    t.dl.dtype.lanes = 4;
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_MESSAGE("4 lanes");
    t.dl.dtype = (amps_dl_dtype){5, 64, 1};
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_MESSAGE("convert the tensor");
    t.dl.dtype = (amps_dl_dtype){AMPS_DL_FLOAT, 8, 1};
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_dlpack_validate(device, &t.dl, NULL));
    t.dl.dtype = f32;
    t.dl.device.type = AMPS_DL_CUDA;
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_MESSAGE("move it to cpu");
    t.dl.device.type = AMPS_DL_METAL;
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_dlpack_validate(device, &t.dl, NULL));
    t.dl.device = (amps_dl_device){AMPS_DL_CUDA_HOST, 0};
    EXPECT_OK(anymps_dlpack_validate(device, &t.dl, NULL));
    t.dl.device = (amps_dl_device){AMPS_DL_CPU, 3}; /* host memory has no number */
    EXPECT_OK(anymps_dlpack_validate(device, &t.dl, NULL));
    t.dl.byte_offset = 2;
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_MESSAGE("aligned");
    t.dl.byte_offset = UINT64_MAX - 3;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_dlpack_validate(device, &t.dl, NULL));
    t.dl.byte_offset = 0;
    t.dl.data = NULL;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_dlpack_validate(device, &t.dl, NULL));
    t.dl.shape = NULL;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_dlpack_validate(device, &t.dl, NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_dlpack_validate(NULL, &t.dl, NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_dlpack_validate(device, NULL, NULL));
    make(&t, data, 2, SHAPE(2, 3), NULL);
    info.struct_size = 0;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_dlpack_validate(device, &t.dl, &info));
}

static void check_types(void)
{
    static const struct {
        amps_dl_dtype dl;
        anymps_dtype dtype;
    } types[] = {
        {{AMPS_DL_FLOAT, 16, 1}, ANYMPS_DTYPE_F16}, {{AMPS_DL_FLOAT, 32, 1}, ANYMPS_DTYPE_F32},
        {{AMPS_DL_FLOAT, 64, 1}, ANYMPS_DTYPE_F64}, {{AMPS_DL_BFLOAT, 16, 1}, ANYMPS_DTYPE_BF16},
        {{AMPS_DL_INT, 8, 1}, ANYMPS_DTYPE_I8},     {{AMPS_DL_INT, 16, 1}, ANYMPS_DTYPE_I16},
        {{AMPS_DL_INT, 32, 1}, ANYMPS_DTYPE_I32},   {{AMPS_DL_INT, 64, 1}, ANYMPS_DTYPE_I64},
        {{AMPS_DL_UINT, 8, 1}, ANYMPS_DTYPE_U8},    {{AMPS_DL_UINT, 16, 1}, ANYMPS_DTYPE_U16},
        {{AMPS_DL_UINT, 32, 1}, ANYMPS_DTYPE_U32},  {{AMPS_DL_UINT, 64, 1}, ANYMPS_DTYPE_U64},
        {{AMPS_DL_BOOL, 8, 1}, ANYMPS_DTYPE_BOOL},
    };
    static double data[8];
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        tensor t;
        anymps_dlpack_info info = ANYMPS_DLPACK_INFO_INIT;
        anymps_matrix *matrix = NULL;
        struct DLManagedTensor *out = NULL;
        const anymps_matrix_desc desc = anymps_matrix_desc_make(2, 3, types[i].dtype);
        make(&t, data, 2, SHAPE(2, 3), NULL);
        t.dl.dtype = types[i].dl;
        EXPECT_OK(anymps_dlpack_validate(device, &t.dl, &info));
        EXPECT(info.dtype == types[i].dtype && info.needed_bytes == 6 * anymps_dtype_bytes(info.dtype));
        EXPECT_OK(anymps_matrix_create_on(device, &desc, &matrix));
        EXPECT_OK(anymps_matrix_to_dlpack(matrix, &out));
        EXPECT(memcmp(&out->dl_tensor.dtype, &types[i].dl, sizeof types[i].dl) == 0);
        out->deleter(out);
        anymps_matrix_release(matrix);
    }
}

/* ---- Import ------------------------------------------------------------------------------------ */

static int deletions;

static void delete_plain(struct DLManagedTensor *self)
{
    EXPECT(self->manager_ctx == &deletions);
    deletions++;
}

static void delete_versioned(struct DLManagedTensorVersioned *self)
{
    EXPECT(self->manager_ctx == &deletions);
    deletions++;
}

static void check_import(void)
{
    static float data[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    tensor t;
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    bool transposed = false;
    make(&t, data, 2, SHAPE(3, 2), SHAPE(1, 4));
    t.dl.byte_offset = 8;
    struct DLManagedTensor plain = {t.dl, &deletions, delete_plain};
    EXPECT_OK(anymps_matrix_from_dlpack(device, &plain, &matrix, &transposed));
    const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
    EXPECT(transposed && d.rows == 2 && d.columns == 3 && d.row_bytes == 16);
    EXPECT(anymps_matrix_contents(matrix) == &data[2]); /* the same address: no copy */
    EXPECT(!anymps_buffer_is_read_only(anymps_matrix_buffer(matrix)));
    EXPECT(deletions == 0);
    anymps_buffer *const buffer = anymps_buffer_retain(anymps_matrix_buffer(matrix));
    anymps_matrix_release(matrix);
    EXPECT(deletions == 0); /* the buffer still uses the memory */
    anymps_buffer_release(buffer);
    EXPECT(deletions == 1);

    make(&t, data, 1, SHAPE(12), NULL);
    plain = (struct DLManagedTensor){t.dl, &deletions, delete_plain};
    EXPECT_OK(anymps_vector_from_dlpack(device, &plain, &vector));
    EXPECT(anymps_vector_contents(vector) == data && anymps_vector_get_desc(vector).length == 12);
    anymps_vector_release(vector);
    EXPECT(deletions == 2);

    make(&t, data, 2, SHAPE(2, 3), SHAPE(6, 1));              /* two vectors */
    plain = (struct DLManagedTensor){t.dl, &deletions, NULL}; /* nobody to tell */
    EXPECT_OK(anymps_vector_from_dlpack(device, &plain, &vector));
    EXPECT(anymps_vector_get_desc(vector).vectors == 2 && anymps_vector_get_desc(vector).vector_bytes == 24);
    anymps_vector_release(vector);
    EXPECT(deletions == 2);
}

static void check_import_versioned(void)
{
    static float data[12];
    tensor t;
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    bool transposed = true;
    make(&t, data, 3, SHAPE(2, 3, 2), NULL);
    struct DLManagedTensorVersioned managed = {.version = {1, 9},
                                               .manager_ctx = &deletions,
                                               .deleter = delete_versioned,
                                               .flags = AMPS_DL_READ_ONLY | 2,
                                               .dl_tensor = t.dl};
    deletions = 0;
    EXPECT_OK(anymps_matrix_from_dlpack_versioned(device, &managed, &matrix, &transposed));
    EXPECT(!transposed && anymps_matrix_get_desc(matrix).matrices == 2);
    EXPECT(anymps_buffer_is_read_only(anymps_matrix_buffer(matrix)));
    anymps_matrix_release(matrix);
    EXPECT(deletions == 1);
    matrix = NULL;
    managed.flags = 0;
    managed.version.major = 2;
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_matrix_from_dlpack_versioned(device, &managed, &matrix, &transposed));
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_vector_from_dlpack_versioned(device, &managed, &vector));
    managed.version.major = 1;
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_vector_from_dlpack_versioned(device, &managed, &vector)); /* rank 3 */
    EXPECT(matrix == NULL && vector == NULL && deletions == 1);
    make(&t, data, 1, SHAPE(12), NULL);
    managed.dl_tensor = t.dl;
    EXPECT_OK(anymps_vector_from_dlpack_versioned(device, &managed, &vector));
    EXPECT(!anymps_buffer_is_read_only(anymps_vector_buffer(vector)));
    anymps_vector_release(vector);
    EXPECT(deletions == 2);
}

/* A failing import leaves the tensor to the caller: no deleter, nothing live. */
static void check_failed_import(void)
{
    static float data[12];
    tensor t;
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    bool transposed = true;
    const anymps_live before = anymps_live_counts();
    deletions = 0;
    make(&t, data, 2, SHAPE(3, 2), SHAPE(4, 2));
    struct DLManagedTensor plain = {t.dl, &deletions, delete_plain};
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_matrix_from_dlpack(device, &plain, &matrix, &transposed));
    make(&t, data, 1, SHAPE(3), NULL);
    plain.dl_tensor = t.dl;
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_matrix_from_dlpack(device, &plain, &matrix, &transposed));
    EXPECT_MESSAGE("reshape it to 1 x 3");
    make(&t, data, 2, SHAPE(3, 2), SHAPE(1, 3));
    plain.dl_tensor = t.dl;
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_vector_from_dlpack(device, &plain, &vector));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_from_dlpack(device, NULL, &matrix, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_from_dlpack(device, &plain, NULL, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_from_dlpack(device, &plain, &matrix, NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_from_dlpack(NULL, &plain, &matrix, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_from_dlpack_versioned(device, NULL, &matrix, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_vector_from_dlpack(device, NULL, &vector));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_vector_from_dlpack_versioned(device, NULL, &vector));
    const anymps_live after = anymps_live_counts();
    EXPECT(matrix == NULL && vector == NULL && transposed && deletions == 0);
    EXPECT(before.blocks == after.blocks && before.objects == after.objects && before.wrapped == after.wrapped);
}

static void check_empty(void)
{
    tensor t;
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    bool transposed = true;
    deletions = 0;
    make(&t, NULL, 2, SHAPE(0, 3), NULL); /* DLPack: no elements, data NULL */
    struct DLManagedTensor plain = {t.dl, &deletions, delete_plain};
    EXPECT_OK(anymps_matrix_from_dlpack(device, &plain, &matrix, &transposed));
    EXPECT(!transposed && anymps_matrix_get_desc(matrix).rows == 0 && anymps_matrix_get_desc(matrix).columns == 3);
    EXPECT(deletions == 0);
    struct DLManagedTensor *out = NULL;
    EXPECT_OK(anymps_matrix_to_dlpack(matrix, &out));
    EXPECT(out->dl_tensor.data == NULL && out->dl_tensor.shape[0] == 0 && out->dl_tensor.shape[1] == 3);
    anymps_matrix_release(matrix);
    EXPECT(deletions == 0); /* the tensor that went out keeps it */
    out->deleter(out);
    EXPECT(deletions == 1);
    make(&t, NULL, 1, SHAPE(0), NULL);
    plain.dl_tensor = t.dl;
    EXPECT_OK(anymps_vector_from_dlpack(device, &plain, &vector));
    anymps_vector_release(vector);
    EXPECT(deletions == 2);
}

/* ---- Export ------------------------------------------------------------------------------------ */

static void check_export(void)
{
    static float data[64];
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    anymps_buffer *buffer = NULL;
    anymps_matrix *matrix = NULL, *batch = NULL, *back = NULL;
    anymps_matrix_desc desc = anymps_matrix_desc_make(3, 4, ANYMPS_DTYPE_F32);
    struct DLManagedTensor *plain = NULL;
    struct DLManagedTensorVersioned *versioned = NULL;
    bool transposed = true;
    wrap.bytes = data;
    wrap.length_bytes = sizeof data;
    EXPECT_OK(anymps_buffer_wrap(device, &wrap, &buffer));
    desc.row_bytes = 24;
    EXPECT_OK(anymps_matrix_create(buffer, 16, &desc, &matrix));
    EXPECT_OK(anymps_matrix_to_dlpack(matrix, &plain));
    const struct DLTensor *const t = &plain->dl_tensor;
    EXPECT((unsigned char *)t->data + t->byte_offset == (unsigned char *)&data[4]);
    EXPECT(t->ndim == 2 && t->shape[0] == 3 && t->shape[1] == 4 && t->strides[0] == 6 && t->strides[1] == 1);
    EXPECT(t->device.type == AMPS_DL_CPU && t->device.id == 0);
    /* There and back is the same memory. */
    EXPECT_OK(anymps_matrix_from_dlpack(device, plain, &back, &transposed));
    EXPECT(anymps_matrix_contents(back) == anymps_matrix_contents(matrix) &&
           anymps_matrix_get_desc(back).row_bytes == 24);
    anymps_matrix_release(back);
    desc.matrices = 2;
    desc.matrix_bytes = 72;
    EXPECT_OK(anymps_matrix_create(buffer, 0, &desc, &batch));
    EXPECT_OK(anymps_matrix_to_dlpack_versioned(batch, &versioned));
    const struct DLTensor *const v = &versioned->dl_tensor;
    EXPECT(versioned->version.major == 1 && versioned->version.minor == 1 && versioned->flags == 0);
    EXPECT(v->ndim == 3 && v->shape[0] == 2 && v->shape[1] == 3 && v->shape[2] == 4);
    EXPECT(v->strides[0] == 18 && v->strides[1] == 6 && v->strides[2] == 1);
    /* The tensor keeps the memory after everything else has gone. */
    anymps_matrix_release(batch);
    anymps_matrix_release(matrix);
    anymps_buffer_release(buffer);
    EXPECT(anymps_live_counts().wrapped == 1);
    versioned->deleter(versioned);
    EXPECT(anymps_live_counts().wrapped == 0);
}

static void check_export_vectors(void)
{
    static float data[16];
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    anymps_buffer *buffer = NULL;
    anymps_vector_desc desc = anymps_vector_desc_make(5, ANYMPS_DTYPE_F32);
    anymps_vector *one = NULL, *two = NULL;
    struct DLManagedTensor *plain = NULL;
    struct DLManagedTensorVersioned *versioned = NULL;
    wrap.bytes = data;
    wrap.length_bytes = sizeof data;
    wrap.read_only = true;
    EXPECT_OK(anymps_buffer_wrap(device, &wrap, &buffer));
    EXPECT_OK(anymps_vector_create(buffer, 4, &desc, &one));
    desc.vectors = 2;
    desc.vector_bytes = 28;
    EXPECT_OK(anymps_vector_create(buffer, 0, &desc, &two));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_vector_to_dlpack(one, &plain)); /* could not say read-only */
    EXPECT_MESSAGE("read-only");
    EXPECT_OK(anymps_vector_to_dlpack_versioned(one, &versioned));
    EXPECT(versioned->flags == AMPS_DL_READ_ONLY && versioned->dl_tensor.ndim == 1 &&
           versioned->dl_tensor.shape[0] == 5);
    EXPECT((unsigned char *)versioned->dl_tensor.data + versioned->dl_tensor.byte_offset == (unsigned char *)&data[1]);
    versioned->deleter(versioned);
    EXPECT_OK(anymps_vector_to_dlpack_versioned(two, &versioned));
    EXPECT(versioned->dl_tensor.ndim == 2 && versioned->dl_tensor.shape[0] == 2 &&
           versioned->dl_tensor.strides[0] == 7);
    versioned->deleter(versioned);
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_vector_to_dlpack(NULL, &plain));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_vector_to_dlpack_versioned(one, NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_to_dlpack(NULL, &plain));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_to_dlpack_versioned((anymps_matrix *)(void *)one, &versioned));
    EXPECT(plain == NULL);
    anymps_vector_release(one);
    anymps_vector_release(two);
    anymps_buffer_release(buffer);
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    EXPECT_OK(anymps_device_open(&desc, &device));
    check_layouts();
    check_random_layouts();
    check_refusals();
    check_types();
    check_import();
    check_import_versioned();
    check_failed_import();
    check_empty();
    check_export();
    check_export_vectors();
    anymps_device_release(device);
    EXPECT_NOTHING_LIVE();
    return expect_result("dlpack");
}
