/* SPDX-License-Identifier: Apache-2.0 */
/* test_load.c: when bytes are used as they lie and when they are copied, lifetimes, shapes, bad arguments. */
#include "files.h"

#include <unistd.h>

static anymps_device *device;

/* Bytes of an .npy file of this type and shape, with elements k = 0, 1, …; `shift` moves its beginning off
   the alignment that malloc gives. */
static unsigned char *make_npy(const char *descr, const char *order, const char *shape, const void *data,
                               size_t data_bytes, size_t shift, size_t *length)
{
    char header[128];
    (void)snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': %s, 'shape': %s}", descr, order, shape);
    unsigned char *const bytes = malloc(shift + 128 + data_bytes);
    memset(bytes, ' ', shift + 128);
    memcpy(bytes + shift, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(bytes + shift + 10, header, strlen(header));
    memcpy(bytes + shift + 128, data, data_bytes);
    *length = 128 + data_bytes;
    return bytes;
}

static const float numbers[6] = {0, 1, 2, 3, 4, 5};

/* Aligned, right type, right order: the matrix lies in the file's own bytes and is read-only. */
static void check_in_place(void)
{
    size_t length;
    unsigned char *const bytes = make_npy("<f4", "False", "(2, 3)", numbers, sizeof numbers, 0, &length);
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    anymps_file *file = NULL;
    anymps_matrix *matrix = NULL;
    bool transposed = true;
    desc.forbid_copy = true;
    desc.flags = ANYMPS_CONSTANT;
    EXPECT_OK(anymps_file_open_bytes(bytes, length, &file));
    EXPECT_OK(anymps_file_load_matrix(file, 0, device, &desc, &matrix, &transposed));
    const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
    EXPECT(!transposed && d.rows == 2 && d.columns == 3 && d.matrices == 1 && d.dtype == ANYMPS_DTYPE_F32);
    EXPECT(d.flags == ANYMPS_CONSTANT);
    EXPECT(anymps_matrix_contents(matrix) == bytes + 128);
    EXPECT(anymps_buffer_copy_reason(anymps_matrix_buffer(matrix)) == NULL);
    EXPECT(anymps_buffer_is_read_only(anymps_matrix_buffer(matrix)));
    EXPECT(anymps_live_counts().wrapped == 1);
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_buffer_write(anymps_matrix_buffer(matrix), 0, numbers, 4));
    /* The matrix keeps the file. */
    anymps_file_release(file);
    EXPECT(((const float *)anymps_matrix_contents(matrix))[5] == 5.0f);
    anymps_matrix_release(matrix);
    EXPECT(anymps_live_counts().wrapped == 0);
    free(bytes);
}

typedef struct copy_case {
    const char *descr;
    size_t shift;
    anymps_dtype convert_to;
    const char *reason;
} copy_case;

static void check_copies(void)
{
    static const unsigned char big[24] = {0, 0,    0,    0, 0x3f, 0x80, 0,    0, 0x40, 0,    0,
                                          0, 0x40, 0x40, 0, 0,    0x40, 0x80, 0, 0,    0x40, 0xa0};
    static const copy_case cases[] = {
        {"<f4", 0, ANYMPS_DTYPE_F64, "converted"},
        {">f4", 0, ANYMPS_DTYPE_INVALID, "byte order"},
        {"<f4", 1, ANYMPS_DTYPE_INVALID, "aligned"},
        {"<f4", 0, ANYMPS_DTYPE_F32, NULL}, /* the type it has: nothing to do */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const copy_case *const c = &cases[i];
        size_t length;
        unsigned char *const bytes = make_npy(c->descr, "False", "(2, 3)",
                                              c->descr[0] == '>' ? (const void *)big : numbers, 24, c->shift, &length);
        anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
        anymps_file *file = NULL;
        anymps_matrix *matrix = NULL, *none = NULL;
        bool transposed = false;
        desc.convert_to = c->convert_to;
        EXPECT_OK(anymps_file_open_bytes(bytes + c->shift, length, &file));
        EXPECT_OK(anymps_file_load_matrix(file, 0, device, &desc, &matrix, &transposed));
        const char *const reason = anymps_buffer_copy_reason(anymps_matrix_buffer(matrix));
        EXPECT(c->reason == NULL ? reason == NULL : reason != NULL && strstr(reason, c->reason) != NULL);
        EXPECT(anymps_buffer_is_read_only(anymps_matrix_buffer(matrix)));
        desc.forbid_copy = true;
        if (c->reason != NULL) {
            EXPECT_STATUS(ANYMPS_UNSUPPORTED, anymps_file_load_matrix(file, 0, device, &desc, &none, &transposed));
            EXPECT_MESSAGE(c->reason);
            EXPECT(none == NULL);
        }
        const double last = anymps_matrix_get_desc(matrix).dtype == ANYMPS_DTYPE_F64
                                ? f64_at(matrix, 0, 1, 2)
                                : (double)((const float *)anymps_matrix_contents(matrix))[5];
        EXPECT(last == 5.0);
        /* A copy needs the file no longer, but keeps its own memory. */
        anymps_file_release(file);
        anymps_matrix_release(matrix);
        free(bytes);
    }
}

/* The rank decides the shape; column-major becomes the transpose. */
static void check_shapes(void)
{
    static const struct {
        const char *order, *shape;
        size_t bytes;
        anymps_status matrix_status;
        size_t matrices, rows, columns;
        bool transposed;
        anymps_status vector_status;
        size_t vectors, elements;
    } cases[] = {
        {"False", "()", 4, ANYMPS_OK, 1, 1, 1, false, ANYMPS_SHAPE_MISMATCH, 0, 0},
        {"False", "(6,)", 24, ANYMPS_OK, 1, 1, 6, false, ANYMPS_OK, 1, 6},
        {"True", "(6,)", 24, ANYMPS_OK, 1, 1, 6, false, ANYMPS_OK, 1, 6},
        {"False", "(2,3)", 24, ANYMPS_OK, 1, 2, 3, false, ANYMPS_OK, 2, 3},
        {"True", "(2,3)", 24, ANYMPS_OK, 1, 3, 2, true, ANYMPS_SHAPE_MISMATCH, 0, 0},
        {"False", "(3,2,1)", 24, ANYMPS_OK, 3, 2, 1, false, ANYMPS_SHAPE_MISMATCH, 0, 0},
        {"True", "(3,2,1)", 24, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, false, ANYMPS_SHAPE_MISMATCH, 0, 0},
        {"False", "(1,1,1,6)", 24, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, false, ANYMPS_SHAPE_MISMATCH, 0, 0},
        {"False", "(0,)", 0, ANYMPS_OK, 1, 1, 0, false, ANYMPS_OK, 1, 0},
        {"False", "(0,3)", 0, ANYMPS_OK, 1, 0, 3, false, ANYMPS_SHAPE_MISMATCH, 0, 0},
        {"False", "(3,0)", 0, ANYMPS_OK, 1, 3, 0, false, ANYMPS_OK, 3, 0},
        {"False", "(2,0,3)", 0, ANYMPS_OK, 2, 0, 3, false, ANYMPS_SHAPE_MISMATCH, 0, 0},
        {"False", "(0,2,3)", 0, ANYMPS_SHAPE_MISMATCH, 0, 0, 0, false, ANYMPS_SHAPE_MISMATCH, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t length;
        unsigned char *const bytes =
            make_npy("<f4", cases[i].order, cases[i].shape, numbers, cases[i].bytes, 0, &length);
        anymps_file *file = NULL;
        anymps_matrix *matrix = NULL;
        anymps_vector *vector = NULL;
        bool transposed = !cases[i].transposed;
        EXPECT_OK(anymps_file_open_bytes(bytes, length, &file));
        EXPECT_STATUS(cases[i].matrix_status, anymps_file_load_matrix(file, 0, device, NULL, &matrix, &transposed));
        EXPECT_STATUS(cases[i].vector_status, anymps_file_load_vector(file, 0, device, NULL, &vector));
        const anymps_matrix_desc m = anymps_matrix_get_desc(matrix);
        const anymps_vector_desc v = anymps_vector_get_desc(vector);
        const bool right = m.rows == cases[i].rows && m.columns == cases[i].columns &&
                           m.matrices == cases[i].matrices && (matrix == NULL || transposed == cases[i].transposed) &&
                           v.length == cases[i].elements && v.vectors == cases[i].vectors;
        (void)expect_true(right, __FILE__, __LINE__, "%s has the wrong shape", cases[i].shape);
        if (matrix == NULL) {
            EXPECT(transposed == !cases[i].transposed); /* outputs are untouched on failure */
        }
        anymps_matrix_release(matrix);
        anymps_vector_release(vector);
        anymps_file_release(file);
        free(bytes);
    }
}

/* A mapped file: without a copy, and alive until its last matrix is released. */
static void check_mapped(void)
{
    size_t length;
    unsigned char *const bytes = make_npy("<f4", "False", "(6,)", numbers, sizeof numbers, 0, &length);
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    anymps_file *file = NULL;
    anymps_vector *first = NULL, *second = NULL;
    desc.forbid_copy = true;
    EXPECT(write_whole("mapped.npy", bytes, length));
    EXPECT_OK(anymps_file_open("mapped.npy", &file));
    (void)unlink("mapped.npy");
    EXPECT(anymps_file_retain(file) == file);
    anymps_file_release(file);
    EXPECT_OK(anymps_file_load_vector(file, 0, device, &desc, &first));
    EXPECT_OK(anymps_file_load_vector(file, 0, device, &desc, &second));
    EXPECT(anymps_vector_contents(first) == anymps_vector_contents(second));
    anymps_file_release(file);
    anymps_vector_release(first);
    EXPECT(memcmp(anymps_vector_contents(second), numbers, sizeof numbers) == 0);
    anymps_vector_release(second);
    free(bytes);
}

static void check_bad_calls(void)
{
    size_t length;
    unsigned char *const bytes = make_npy("<f4", "False", "(2, 3)", numbers, sizeof numbers, 0, &length);
    anymps_file *file = NULL;
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    anymps_file_tensor tensor = ANYMPS_FILE_TENSOR_INIT;
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    bool transposed = false;
    size_t index = 0;
    EXPECT_OK(anymps_file_open_bytes(bytes, length, &file));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(NULL, 0, device, NULL, &matrix, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(file, 1, device, NULL, &matrix, &transposed));
    EXPECT_MESSAGE("index is 1, the file has 1");
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(file, 0, NULL, NULL, &matrix, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(file, 0, device, NULL, NULL, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(file, 0, device, NULL, &matrix, NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_vector(file, 0, device, NULL, NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT,
                  anymps_file_load_vector(file, 0, (anymps_device *)(void *)file, NULL, &vector));
    desc.struct_size = 0;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(file, 0, device, &desc, &matrix, &transposed));
    desc = (anymps_load_desc)ANYMPS_LOAD_DESC_INIT;
    desc.convert_to = (anymps_dtype)12345;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(file, 0, device, &desc, &matrix, &transposed));
    desc = (anymps_load_desc)ANYMPS_LOAD_DESC_INIT;
    desc.flags = 0x80;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_load_matrix(file, 0, device, &desc, &matrix, &transposed));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_get_tensor(file, 1, &tensor));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_get_tensor(NULL, 0, &tensor));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_get_tensor(file, 0, NULL));
    tensor.struct_size = 0;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_get_tensor(file, 0, &tensor));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_find(NULL, "", &index));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_find(file, "", NULL));
    EXPECT(matrix == NULL && vector == NULL);
    EXPECT(anymps_file_count(NULL) == 0 && anymps_file_retain(NULL) == NULL);
    anymps_file_release(NULL);
    anymps_file_release(file);
    free(bytes);
}

/* f64 on request becomes f32 with one rounding. */
static void check_narrowing(void)
{
    static const double values[3] = {1.0 + 0x1p-24 + 0x1p-50, -1e300, 0.1};
    size_t length;
    unsigned char *const bytes = make_npy("<f8", "False", "(3,)", values, sizeof values, 0, &length);
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    anymps_file *file = NULL;
    anymps_vector *vector = NULL;
    desc.convert_to = ANYMPS_DTYPE_F32;
    EXPECT_OK(anymps_file_open_bytes(bytes, length, &file));
    EXPECT_OK(anymps_file_load_vector(file, 0, device, &desc, &vector));
    const float *const seen = anymps_vector_contents(vector);
    EXPECT(seen[0] == 1.0f + 0x1p-23f && isinf(seen[1]) && seen[1] < 0.0f && seen[2] == 0.1f);
    anymps_vector_release(vector);
    anymps_file_release(file);
    free(bytes);
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    EXPECT_OK(anymps_device_open(&desc, &device));
    check_in_place();
    check_copies();
    check_shapes();
    check_mapped();
    check_bad_calls();
    check_narrowing();
    anymps_device_release(device);
    EXPECT_NOTHING_LIVE();
    return expect_result("load");
}
