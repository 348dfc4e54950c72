/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_hostile.c: files that are not what they say are refused when opened, and no byte outside them is read
 * (which the sanitizers see: every file lies in a block of exactly its length).
 */
#include "files.h"

#include <errno.h>
#include <unistd.h>

static anymps_device *device;

/* Whatever was opened can be read to the end, or is refused. */
static void read_everything(anymps_file *file)
{
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    desc.convert_to = ANYMPS_DTYPE_F64;
    for (size_t i = 0; i < anymps_file_count(file); i++) {
        anymps_matrix *matrix = NULL;
        bool transposed = false;
        const anymps_status status = anymps_file_load_matrix(file, i, device, &desc, &matrix, &transposed);
        EXPECT((status == ANYMPS_OK) == (matrix != NULL));
        anymps_matrix_release(matrix);
    }
}

static anymps_status open_copy(const unsigned char *bytes, size_t length, anymps_file **file, unsigned char **copy)
{
    *copy = malloc(length > 0 ? length : 1);
    memcpy(*copy, bytes, length);
    return anymps_file_open_bytes(*copy, length, file);
}

static void truncate_and_flip(const char *name)
{
    char path[512];
    size_t length = 0;
    (void)snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
    unsigned char *const bytes = read_whole(path, &length);
    EXPECT(bytes != NULL && length > 0);
    for (size_t cut = 0; cut < length; cut++) {
        anymps_file *file = NULL;
        unsigned char *copy = NULL;
        const anymps_status status = open_copy(bytes, cut, &file, &copy);
        (void)expect_true(status == ANYMPS_BAD_FORMAT && file == NULL, __FILE__, __LINE__, "%s cut to %zu bytes: %s",
                          name, cut, anymps_status_name(status));
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * length; bit++) {
        anymps_file *file = NULL;
        unsigned char *copy = NULL;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (open_copy(bytes, length, &file, &copy) == ANYMPS_OK) {
            read_everything(file);
            anymps_file_release(file);
        }
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        free(copy);
    }
    /* One byte too many is as wrong as one too few. */
    unsigned char *const longer = calloc(length + 1, 1);
    anymps_file *file = NULL;
    memcpy(longer, bytes, length);
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes(longer, length + 1, &file));
    free(longer);
    free(bytes);
}

typedef struct text_case {
    const char *header;
    size_t data_bytes;
    anymps_status status;
} text_case;

/* Headers of version 1.0 with their data; each refusal has one reason. */
static const text_case npy_cases[] = {
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8, ANYMPS_OK},
    {"{\"shape\":(2,),\"fortran_order\":True,\"descr\":\"<f4\"}\n", 8, ANYMPS_OK},
    {"  {'descr': 'f4', 'fortran_order': False, 'shape': (2L, 1L)}", 8, ANYMPS_OK},
    {"{'descr': '=i2', 'fortran_order': False, 'shape': ()}", 2, ANYMPS_OK},
    {"{'descr': '|f4', 'fortran_order': False, 'shape': (2,3,)}", 24, ANYMPS_OK},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", 4, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", 24, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': [2]}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905,)}", 4, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296)}", 0, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,2,0)}", 0, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False}", 4, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'des\\x63r': '<f4', 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': 4, 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<q4', 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '', 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_BAD_FORMAT},
    {"{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}", 6, ANYMPS_UNSUPPORTED},
    {"{'descr': '<f16', 'fortran_order': False, 'shape': (2,)}", 32, ANYMPS_UNSUPPORTED},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", 8, ANYMPS_UNSUPPORTED},
    {"", 0, ANYMPS_BAD_FORMAT},
    {"{}", 0, ANYMPS_BAD_FORMAT},
};

static void check_npy_headers(void)
{
    for (size_t i = 0; i < sizeof npy_cases / sizeof npy_cases[0]; i++) {
        const text_case *const c = &npy_cases[i];
        const size_t text = strlen(c->header), length = 10 + text + c->data_bytes;
        unsigned char *const bytes = calloc(length, 1);
        anymps_file *file = NULL;
        memcpy(bytes, "\x93NUMPY\x01", 7);
        bytes[8] = (unsigned char)text;
        memcpy(bytes + 10, c->header, text);
        const anymps_status status = anymps_file_open_bytes(bytes, length, &file);
        (void)expect_true(status == c->status, __FILE__, __LINE__, "%s: %s", c->header, anymps_status_name(status));
        anymps_file_release(file);
        free(bytes);
    }
}

#define ONE(range) "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" range "}}"
#define TWO(first, second)                                                                                             \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" first "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],"      \
    "\"data_offsets\":" second "}}"
static const text_case safetensors_cases[] = {
    {ONE("[0,8]"), 8, ANYMPS_OK},
    {ONE("[0,8]") "  \n\t", 8, ANYMPS_OK},
    {TWO("[0,8]", "[8,12]"), 12, ANYMPS_OK},
    {TWO("[4,12]", "[0,4]"), 12, ANYMPS_OK},
    {"{\"__metadata__\":{\"k\":\"v\"}}", 0, ANYMPS_OK},
    {"{}", 0, ANYMPS_OK},
    {TWO("[0,8]", "[4,8]"), 8, ANYMPS_BAD_FORMAT},     /* overlap */
    {TWO("[0,8]", "[4,8]"), 12, ANYMPS_BAD_FORMAT},    /* overlap, and the end is not covered */
    {TWO("[0,8]", "[12,16]"), 16, ANYMPS_BAD_FORMAT},  /* gap */
    {TWO("[4,12]", "[12,16]"), 16, ANYMPS_BAD_FORMAT}, /* gap at the beginning */
    {TWO("[0,8]", "[8,12]"), 16, ANYMPS_BAD_FORMAT},   /* trailing bytes */
    {ONE("[0,8]"), 7, ANYMPS_BAD_FORMAT},              /* past the end */
    {ONE("[8,0]"), 8, ANYMPS_BAD_FORMAT},
    {ONE("[0,4]"), 4, ANYMPS_BAD_FORMAT}, /* two f32 are 8 bytes */
    {ONE("[0,9007199254740994]"), 8, ANYMPS_BAD_FORMAT},
    {ONE("[-8,0]"), 8, ANYMPS_BAD_FORMAT},
    {ONE("[0.5,8.5]"), 9, ANYMPS_BAD_FORMAT},
    {ONE("[0,8,8]"), 8, ANYMPS_BAD_FORMAT},
    {ONE("[0]"), 8, ANYMPS_BAD_FORMAT},
    {ONE("8"), 8, ANYMPS_BAD_FORMAT},
    {ONE("[\"0\",\"8\"]"), 8, ANYMPS_BAD_FORMAT},
    {ONE("[0,8]") "x", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[],"
     "\"data_offsets\":[4,8]}}",
     8, ANYMPS_BAD_FORMAT}, /* the same name twice */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[],"
     "\"data_offsets\":[4,8]}}",
     8, ANYMPS_BAD_FORMAT}, /* the same name written in two ways */
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"a\\u0000\":{\"dtype\":\"F32\",\"shape\":[],"
     "\"data_offsets\":[4,8]}}",
     8, ANYMPS_BAD_FORMAT}, /* a zero within a name */
    {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\\\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     ANYMPS_OK}, /* an escaped backslash */
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, ANYMPS_BAD_FORMAT},
    {"{\"__metadata__\":{\"k\":1}}", 0, ANYMPS_BAD_FORMAT},
    {"{\"__metadata__\":[]}", 0, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, ANYMPS_UNSUPPORTED},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,0]}}", 0, ANYMPS_BAD_FORMAT},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, ANYMPS_UNSUPPORTED},
    {"{\"a\":[]}", 0, ANYMPS_BAD_FORMAT},
    {"{\"a\":null}", 0, ANYMPS_BAD_FORMAT},
    {"{\"\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT}, /* not UTF-8 */
    {"{\"\xed\xa0\x80\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{\"\xc0\x80\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ANYMPS_BAD_FORMAT},
    {"{", 0, ANYMPS_BAD_FORMAT},
    {" {}", 0, ANYMPS_BAD_FORMAT},
    {"[]", 0, ANYMPS_BAD_FORMAT},
};

static unsigned char *safetensors_bytes(const text_case *c, size_t *length)
{
    const size_t text = strlen(c->header);
    *length = 8 + text + c->data_bytes;
    unsigned char *const bytes = calloc(*length, 1);
    bytes[0] = (unsigned char)(text & 0xff);
    bytes[1] = (unsigned char)(text >> 8);
    memcpy(bytes + 8, c->header, text);
    return bytes;
}

static void check_safetensors_headers(void)
{
    for (size_t i = 0; i < sizeof safetensors_cases / sizeof safetensors_cases[0]; i++) {
        const text_case *const c = &safetensors_cases[i];
        size_t length;
        unsigned char *const bytes = safetensors_bytes(c, &length);
        anymps_file *file = NULL;
        const anymps_status status = anymps_file_open_bytes(bytes, length, &file);
        (void)expect_true(status == c->status, __FILE__, __LINE__, "%s: %s (%s)", c->header, anymps_status_name(status),
                          status == ANYMPS_OK ? "" : anymps_last_error()->message);
        anymps_file_release(file);
        free(bytes);
    }
}

/* A header of more than 100 MB is refused before it is looked at: the file need not even be that long. */
static void check_bounds(void)
{
    anymps_file *file = NULL;
    const unsigned char huge[16] = {0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'};
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes(huge, sizeof huge, &file));
    EXPECT_MESSAGE("100000001");
    const unsigned char endless[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'};
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes(endless, sizeof endless, &file));
    unsigned char npy[16] = {0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 0x01, 0xe1, 0xf5, 0x05};
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes(npy, sizeof npy, &file));
    EXPECT_MESSAGE("100000001");
    npy[6] = 4;
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes(npy, sizeof npy, &file));
    EXPECT_MESSAGE("version 4.0");
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes("what is this", 12, &file));
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes("", 0, &file));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_open_bytes(NULL, 4, &file));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_open_bytes("", 0, NULL));
    EXPECT(file == NULL);
}

/* A thousand nested arrays end cJSON's patience, not our stack. */
static void check_nesting(void)
{
    enum { DEPTH = 100000 };
    unsigned char *const bytes = malloc(8 + DEPTH);
    anymps_file *file = NULL;
    memset(bytes, '[', 8 + DEPTH);
    memset(bytes, 0, 8);
    bytes[0] = DEPTH & 0xff;
    bytes[1] = DEPTH >> 8 & 0xff;
    bytes[2] = DEPTH >> 16;
    memcpy(bytes + 8, "{\"a\":", 5);
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open_bytes(bytes, 8 + DEPTH, &file));
    free(bytes);
}

static void check_paths(void)
{
    anymps_file *file = NULL;
    EXPECT_STATUS(ANYMPS_IO, anymps_file_open("no such file.npy", &file));
    EXPECT(anymps_last_error()->backend_code == ENOENT);
    EXPECT_MESSAGE("no such file.npy");
    EXPECT_STATUS(ANYMPS_IO, anymps_file_open(".", &file));
    EXPECT(anymps_last_error()->backend_code == EISDIR);
    EXPECT_STATUS(ANYMPS_IO, anymps_file_open("/dev/null", &file));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_open(NULL, &file));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_file_open("x", NULL));
    EXPECT(write_whole("empty.npy", "", 0));
    EXPECT_STATUS(ANYMPS_BAD_FORMAT, anymps_file_open("empty.npy", &file));
    (void)unlink("empty.npy");
    EXPECT(file == NULL);
}

int main(void)
{
    static const char *const files[] = {"f4_le.npy",       "f8_be.npy",        "b1_le.npy",      "fortran.npy",
                                        "deep.npy",        "version2.npy",     "version3.npy",   "scalar.npy",
                                        "all.safetensors", "bf16.safetensors", "one.safetensors"};
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    EXPECT_OK(anymps_device_open(&desc, &device));
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        truncate_and_flip(files[i]);
    }
    check_npy_headers();
    check_safetensors_headers();
    check_bounds();
    check_nesting();
    check_paths();
    anymps_device_release(device);
    EXPECT_NOTHING_LIVE();
    return expect_result("hostile");
}
