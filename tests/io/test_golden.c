/* SPDX-License-Identifier: Apache-2.0 */
/* test_golden.c: files that NumPy and the safetensors package wrote are read as they meant them. */
#include "files.h"

static anymps_device *device;

/* Element k of every golden tensor (tests/golden/make.py). */
static double golden(size_t k, anymps_dtype dtype)
{
    const double value = (double)(7 * k % 23);
    switch (dtype) {
    case ANYMPS_DTYPE_BOOL: return fmod(value, 2.0);
    case ANYMPS_DTYPE_U8:
    case ANYMPS_DTYPE_U16:
    case ANYMPS_DTYPE_U32:
    case ANYMPS_DTYPE_U64: return value;
    default: return value - 5.0;
    }
}

/* Loads the tensor as f64 and compares every element. Ranks above 3 are no matrix. */
static void check_values(anymps_file *file, size_t index, const char *name)
{
    anymps_file_tensor t = ANYMPS_FILE_TENSOR_INIT;
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    anymps_matrix *matrix = NULL;
    bool transposed = false;
    EXPECT_OK(anymps_file_get_tensor(file, index, &t));
    desc.convert_to = ANYMPS_DTYPE_F64;
    if (!EXPECT_OK(anymps_file_load_matrix(file, index, device, &desc, &matrix, &transposed))) {
        printf("%s\n", name);
        return;
    }
    const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
    const size_t rows = transposed ? d.columns : d.rows, columns = transposed ? d.rows : d.columns;
    EXPECT(transposed == t.column_major);
    EXPECT(d.matrices * rows * columns == tensor_elements(&t));
    size_t k = 0, wrong = 0;
    for (size_t b = 0; b < d.matrices; b++) {
        for (size_t i = 0; i < rows; i++) {
            for (size_t j = 0; j < columns; j++, k++) {
                const double seen = transposed ? f64_at(matrix, b, j, i) : f64_at(matrix, b, i, j);
                wrong += seen == golden(k, t.dtype) ? 0 : 1;
            }
        }
    }
    (void)expect_true(wrong == 0, __FILE__, __LINE__, "%s, tensor '%s': %zu elements differ", name, t.name, wrong);
    anymps_matrix_release(matrix);
}

typedef struct npy_case {
    const char *name;
    anymps_dtype dtype;
    size_t rank;
    size_t shape[3];
    bool column_major;
    bool swapped;
} npy_case;

static const npy_case npy_cases[] = {
    {"f2_le", ANYMPS_DTYPE_F16, 2, {3, 5}, false, false},    {"f2_be", ANYMPS_DTYPE_F16, 2, {3, 5}, false, true},
    {"f4_le", ANYMPS_DTYPE_F32, 2, {3, 5}, false, false},    {"f4_be", ANYMPS_DTYPE_F32, 2, {3, 5}, false, true},
    {"f8_le", ANYMPS_DTYPE_F64, 2, {3, 5}, false, false},    {"f8_be", ANYMPS_DTYPE_F64, 2, {3, 5}, false, true},
    {"i1_le", ANYMPS_DTYPE_I8, 2, {3, 5}, false, false},     {"i2_le", ANYMPS_DTYPE_I16, 2, {3, 5}, false, false},
    {"i2_be", ANYMPS_DTYPE_I16, 2, {3, 5}, false, true},     {"i4_le", ANYMPS_DTYPE_I32, 2, {3, 5}, false, false},
    {"i4_be", ANYMPS_DTYPE_I32, 2, {3, 5}, false, true},     {"i8_le", ANYMPS_DTYPE_I64, 2, {3, 5}, false, false},
    {"i8_be", ANYMPS_DTYPE_I64, 2, {3, 5}, false, true},     {"u1_le", ANYMPS_DTYPE_U8, 2, {3, 5}, false, false},
    {"u2_le", ANYMPS_DTYPE_U16, 2, {3, 5}, false, false},    {"u2_be", ANYMPS_DTYPE_U16, 2, {3, 5}, false, true},
    {"u4_le", ANYMPS_DTYPE_U32, 2, {3, 5}, false, false},    {"u4_be", ANYMPS_DTYPE_U32, 2, {3, 5}, false, true},
    {"u8_le", ANYMPS_DTYPE_U64, 2, {3, 5}, false, false},    {"u8_be", ANYMPS_DTYPE_U64, 2, {3, 5}, false, true},
    {"b1_le", ANYMPS_DTYPE_BOOL, 2, {3, 5}, false, false},   {"fortran", ANYMPS_DTYPE_F32, 2, {3, 5}, true, false},
    {"fortran_be", ANYMPS_DTYPE_F64, 2, {3, 5}, true, true}, {"scalar", ANYMPS_DTYPE_F32, 0, {0}, false, false},
    {"vector", ANYMPS_DTYPE_F32, 1, {7}, false, false},      {"batch", ANYMPS_DTYPE_F32, 3, {2, 3, 4}, false, false},
    {"empty", ANYMPS_DTYPE_F32, 2, {0, 4}, false, false},    {"narrow", ANYMPS_DTYPE_F32, 2, {4, 0}, false, false},
    {"version2", ANYMPS_DTYPE_F32, 2, {3, 5}, false, false}, {"version3", ANYMPS_DTYPE_F32, 2, {3, 5}, false, false},
};

static anymps_status open_golden(const char *name, const char *kind, anymps_file **file)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s.%s", GOLDEN_DIR, name, kind);
    return anymps_file_open(path, file);
}

static void check_npy(const npy_case *c)
{
    anymps_file *file = NULL;
    anymps_file_tensor t = ANYMPS_FILE_TENSOR_INIT;
    size_t index = 9;
    if (!EXPECT_OK(open_golden(c->name, "npy", &file))) {
        return;
    }
    EXPECT(anymps_file_count(file) == 1);
    EXPECT_OK(anymps_file_find(file, NULL, &index));
    EXPECT_OK(anymps_file_find(file, "", &index));
    EXPECT_OK(anymps_file_get_tensor(file, index, &t));
    const bool as_meant = strcmp(t.name, "") == 0 && t.dtype == c->dtype && t.rank == c->rank &&
                          memcmp(t.shape, c->shape, c->rank * sizeof t.shape[0]) == 0 &&
                          t.column_major == c->column_major && t.swapped == c->swapped &&
                          t.length_bytes == tensor_elements(&t) * anymps_dtype_bytes(t.dtype);
    (void)expect_true(as_meant, __FILE__, __LINE__, "%s is described wrongly", c->name);
    check_values(file, index, c->name);
    anymps_file_release(file);
}

static void check_other_npy(void)
{
    anymps_file *file = NULL;
    anymps_matrix *matrix = NULL;
    bool transposed = false;
    static const char *const refused[] = {"refused_object", "refused_complex", "refused_structured",
                                          "refused_text",   "refused_date",    "refused_nine"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        EXPECT_STATUS(ANYMPS_UNSUPPORTED, open_golden(refused[i], "npy", &file));
    }
    EXPECT(file == NULL);
    EXPECT_OK(open_golden("deep", "npy", &file));
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_file_load_matrix(file, 0, device, NULL, &matrix, &transposed));
    anymps_file_release(file);
    EXPECT_OK(open_golden("fortran_batch", "npy", &file));
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_file_load_matrix(file, 0, device, NULL, &matrix, &transposed));
    EXPECT(matrix == NULL);
    anymps_file_release(file);
}

static void check_all_safetensors(void)
{
    static const char *const names[] = {"f2", "f4", "f8",     "i1",    "i2",
                                        "i4", "i8", "u1",     "u2",    "u4",
                                        "u8", "b1", "scalar", "empty", "naïve ☃ \"quoted\\name\""};
    anymps_file *file = NULL;
    if (!EXPECT_OK(open_golden("all", "safetensors", &file))) {
        return;
    }
    EXPECT(anymps_file_count(file) == sizeof names / sizeof names[0]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t index = 0;
        if (EXPECT_OK(anymps_file_find(file, names[i], &index))) {
            check_values(file, index, "all.safetensors");
        }
    }
    size_t index = 77;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_find(file, "naive", &index));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_find(file, NULL, &index));
    EXPECT_MESSAGE("15 tensors");
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_find(file, "scaler", &index));
    EXPECT_MESSAGE("'scalar'");
    EXPECT(index == 77);
    anymps_file_release(file);
}

static void check_other_safetensors(void)
{
    anymps_file *file = NULL;
    anymps_file_tensor t = ANYMPS_FILE_TENSOR_INIT;
    size_t index = 77;
    EXPECT_OK(open_golden("bf16", "safetensors", &file));
    EXPECT_OK(anymps_file_find(file, "bf16", &index));
    EXPECT_OK(anymps_file_get_tensor(file, index, &t));
    EXPECT(t.dtype == ANYMPS_DTYPE_BF16 && t.rank == 2);
    check_values(file, 0, "bf16.safetensors");
    check_values(file, 1, "bf16.safetensors");
    anymps_file_release(file);
    EXPECT_OK(open_golden("one", "safetensors", &file));
    EXPECT_OK(anymps_file_find(file, NULL, &index));
    EXPECT(index == 0);
    anymps_file_release(file);
    EXPECT_OK(open_golden("none", "safetensors", &file));
    EXPECT(anymps_file_count(file) == 0);
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_find(file, "w", &index));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_find(file, NULL, &index));
    anymps_file_release(file);
    EXPECT_STATUS(ANYMPS_UNSUPPORTED, open_golden("refused_f8", "safetensors", &file));
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    EXPECT_OK(anymps_device_open(&desc, &device));
    for (size_t i = 0; i < sizeof npy_cases / sizeof npy_cases[0]; i++) {
        check_npy(&npy_cases[i]);
    }
    check_other_npy();
    check_all_safetensors();
    check_other_safetensors();
    anymps_device_release(device);
    EXPECT_NOTHING_LIVE();
    return expect_result("golden");
}
