/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_input.c: everything that a caller can get wrong is refused with the right status and a message that
 * has both numbers, and changes nothing. Hostile files: tests/io. Public API only.
 *
 *     bad_input [--device cpu] [--isa avx2]
 */
#include "machine.h"
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 5, COLUMNS = 7, INTERIOR = 6, CELLS = 64 };

static size_t failures, checks;

static void expect(bool holds, const char *what)
{
    checks++;
    if (!holds) {
        printf("FAIL: %s\n", what);
        failures++;
    }
}

/* A refusal: the status, the detail's status, "operation: …" and two words of the message (or NULL). */
static void refused(const char *what, anymps_status got, anymps_status wanted, const char *first, const char *second)
{
    const anymps_error *const error = anymps_last_error();
    const size_t operation = strlen(error->operation);
    checks++;
    if (got != wanted || error->status != wanted) {
        printf("FAIL: %s: got %s, detail %s, wanted %s (%s)\n", what, anymps_status_name(got),
               anymps_status_name(error->status), anymps_status_name(wanted), error->message);
        failures++;
    } else if (operation == 0 || strncmp(error->message, error->operation, operation) != 0 ||
               error->message[operation] != ':') {
        printf("FAIL: %s: the message does not begin with its operation: %s\n", what, error->message);
        failures++;
    } else if ((first != NULL && strstr(error->message, first) == NULL) ||
               (second != NULL && strstr(error->message, second) == NULL)) {
        printf("FAIL: %s: '%s' and '%s' are not in: %s\n", what, first != NULL ? first : "",
               second != NULL ? second : "", error->message);
        failures++;
    }
    anymps_clear_error();
}

/* What most checks need: a device, another one, operands that fit, a kernel, a command buffer. */
typedef struct stage {
    anymps_device *device, *other;
    anymps_buffer *buffer;
    anymps_matrix *left, *right, *result, *foreign;
    anymps_vector *vector;
    anymps_kernel *matmul, *softmax;
    anymps_queue *queue;
    anymps_command_buffer *commands;
} stage;

static void must(anymps_status status)
{
    if (status != ANYMPS_OK) {
        printf("FAIL: setting up: %s\n", anymps_last_error()->message);
        exit(TEST_FAILED);
    }
}

static anymps_matrix *matrix_on(anymps_device *device, size_t rows, size_t columns, anymps_dtype dtype)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    anymps_matrix *matrix = NULL;
    must(anymps_matrix_create_on(device, &desc, &matrix));
    return matrix;
}

static anymps_vector *vector_on(anymps_device *device, size_t length, anymps_dtype dtype)
{
    const anymps_vector_desc desc = anymps_vector_desc_make(length, dtype);
    anymps_vector *vector = NULL;
    must(anymps_vector_create_on(device, &desc, &vector));
    return vector;
}

static anymps_matmul_desc matmul_desc(void)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = ROWS;
    desc.columns = COLUMNS;
    desc.interior = INTERIOR;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    return desc;
}

static stage set_up(anymps_device *device, anymps_device *other)
{
    stage s = {.device = device, .other = other};
    const anymps_matmul_desc desc = matmul_desc();
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    must(anymps_buffer_create(device, CELLS * sizeof(float), ANYMPS_STORAGE_SHARED, &s.buffer));
    s.left = matrix_on(device, ROWS, INTERIOR, ANYMPS_DTYPE_F32);
    s.right = matrix_on(device, INTERIOR, COLUMNS, ANYMPS_DTYPE_F32);
    s.result = matrix_on(device, ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    s.foreign = matrix_on(other, INTERIOR, COLUMNS, ANYMPS_DTYPE_F32);
    s.vector = vector_on(device, COLUMNS, ANYMPS_DTYPE_F32);
    must(anymps_buffer_fill(anymps_matrix_buffer(s.result), 0, ROWS * COLUMNS * sizeof(float), 0x5a));
    must(anymps_matmul_create(device, &desc, &s.matmul));
    must(anymps_softmax_create(device, &softmax, &s.softmax));
    must(anymps_queue_create(device, &s.queue));
    must(anymps_command_buffer_create(s.queue, &s.commands));
    return s;
}

/* Nothing that was refused may have left a trace. */
static void tear_down(stage *s)
{
    unsigned char bytes[ROWS * COLUMNS * sizeof(float)];
    must(anymps_buffer_read(anymps_matrix_buffer(s->result), 0, bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (bytes[i] != 0x5a) {
            expect(false, "a refused call changed the result");
            break;
        }
    }
    expect(anymps_command_buffer_count(s->commands) == 0, "a refused encode recorded nothing");
    anymps_matrix_release(s->left);
    anymps_matrix_release(s->right);
    anymps_matrix_release(s->result);
    anymps_matrix_release(s->foreign);
    anymps_vector_release(s->vector);
    anymps_kernel_release(s->matmul);
    anymps_kernel_release(s->softmax);
    anymps_command_buffer_release(s->commands);
    anymps_queue_release(s->queue);
    anymps_buffer_release(s->buffer);
}

/* ---- Devices, buffers ---- */

static void test_devices(const stage *s)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *none = NULL;
    const anymps_dtype types[3] = {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32};
    refused("open into NULL", anymps_device_open(NULL, NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    desc.id = "abacus";
    refused("open an unknown id", anymps_device_open(&desc, &none), ANYMPS_INVALID_ARGUMENT, "abacus", "cpu");
    desc.id = "cpu";
    desc.isa = "mmx";
    refused("open an unknown isa", anymps_device_open(&desc, &none), ANYMPS_INVALID_ARGUMENT, "mmx", NULL);
    expect(none == NULL, "a refused open leaves the pointer");
    refused("describe past the last", anymps_device_describe(1000, &properties), ANYMPS_INVALID_ARGUMENT, "1000", NULL);
    refused("describe NULL", anymps_device_describe(0, NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    properties.struct_size = 0;
    refused("describe into a struct of size 0", anymps_device_get_properties(s->device, &properties),
            ANYMPS_INVALID_ARGUMENT, "struct_size", NULL);
    refused("properties of NULL", anymps_device_get_properties(NULL, &properties), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("supports an unknown operator", anymps_device_supports(s->device, "matmull", types, 3),
            ANYMPS_INVALID_ARGUMENT, "matmull", "matmul");
    refused("supports too few types", anymps_device_supports(s->device, "matmul", types, 2), ANYMPS_INVALID_ARGUMENT,
            "2", "3");
    refused("supports NULL", anymps_device_supports(NULL, "matmul", types, 3), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("parse an unknown type", anymps_dtype_parse("f33", &(anymps_dtype){ANYMPS_DTYPE_F32}),
            ANYMPS_INVALID_ARGUMENT, "f33", "f32");
    refused("parse NULL", anymps_dtype_parse(NULL, NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
}

static void test_buffers(const stage *s)
{
    anymps_buffer *none = NULL;
    char byte = 0;
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    must(anymps_device_get_properties(s->device, &properties));
    refused("a buffer of no bytes", anymps_buffer_create(s->device, 0, ANYMPS_STORAGE_SHARED, &none),
            ANYMPS_INVALID_ARGUMENT, "0", NULL);
    refused("a buffer of too many bytes", anymps_buffer_create(s->device, SIZE_MAX, ANYMPS_STORAGE_SHARED, &none),
            ANYMPS_INVALID_ARGUMENT, "18446744073709551615", NULL);
    refused("a storage that is none", anymps_buffer_create(s->device, 64, (anymps_storage)9, &none),
            ANYMPS_INVALID_ARGUMENT, "9", NULL);
    refused("a buffer on NULL", anymps_buffer_create(NULL, 64, ANYMPS_STORAGE_SHARED, &none), ANYMPS_INVALID_ARGUMENT,
            NULL, NULL);
    refused("a buffer into NULL", anymps_buffer_create(s->device, 64, ANYMPS_STORAGE_SHARED, NULL),
            ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("a buffer of NULL bytes",
            anymps_buffer_create_with_bytes(s->device, NULL, 64, ANYMPS_STORAGE_SHARED, &none), ANYMPS_INVALID_ARGUMENT,
            NULL, NULL);
    refused("a buffer on a matrix",
            anymps_buffer_create((anymps_device *)(void *)s->left, 64, ANYMPS_STORAGE_SHARED, &none),
            ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    wrap.length_bytes = 64;
    refused("wrapping NULL", anymps_buffer_wrap(s->device, &wrap, &none), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    wrap.bytes = &byte;
    wrap.length_bytes = 0;
    refused("wrapping nothing", anymps_buffer_wrap(s->device, &wrap, &none), ANYMPS_INVALID_ARGUMENT, "0", NULL);
    wrap.length_bytes = 1;
    wrap.struct_size = 0;
    refused("a wrap struct of size 0", anymps_buffer_wrap(s->device, &wrap, &none), ANYMPS_INVALID_ARGUMENT,
            "struct_size", NULL);
    refused("wrapping without a struct", anymps_buffer_wrap(s->device, NULL, &none), ANYMPS_INVALID_ARGUMENT, NULL,
            NULL);
    expect(none == NULL, "refused buffers leave the pointer");
    const size_t length = anymps_buffer_length(s->buffer);
    refused("reading one byte too far", anymps_buffer_read(s->buffer, length, &byte, 1), ANYMPS_INVALID_ARGUMENT,
            "1 byte", "of 256");
    refused("writing one byte too far", anymps_buffer_write(s->buffer, length - 3, "wxyz", 4), ANYMPS_INVALID_ARGUMENT,
            "253", "256");
    refused("filling with an overflow", anymps_buffer_fill(s->buffer, 8, SIZE_MAX - 3, 1), ANYMPS_INVALID_ARGUMENT,
            "256", NULL);
    refused("copying too far", anymps_buffer_copy(s->buffer, 200, s->buffer, 0, 57), ANYMPS_INVALID_ARGUMENT, "57",
            "256");
    refused("copying from too far", anymps_buffer_copy(s->buffer, 0, s->buffer, 200, 57), ANYMPS_INVALID_ARGUMENT, "57",
            "256");
    refused("reading NULL", anymps_buffer_read(NULL, 0, &byte, 1), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("reading into NULL", anymps_buffer_read(s->buffer, 0, NULL, 1), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("publishing too far", anymps_buffer_did_modify(s->buffer, 1, length), ANYMPS_INVALID_ARGUMENT, "256", NULL);
}

/* A buffer that was wrapped read-only is no result and no target. */
static void test_read_only(const stage *s)
{
    static float memory[ROWS * COLUMNS];
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    anymps_buffer *buffer = NULL;
    anymps_matrix *matrix = NULL;
    const anymps_matrix_desc desc = anymps_matrix_desc_make(ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    wrap.bytes = memory;
    wrap.length_bytes = sizeof memory;
    wrap.read_only = true;
    must(anymps_buffer_wrap(s->device, &wrap, &buffer));
    must(anymps_matrix_create(buffer, 0, &desc, &matrix));
    refused("writing a read-only buffer", anymps_buffer_write(buffer, 0, "x", 1), ANYMPS_INVALID_ARGUMENT, "read-only",
            NULL);
    refused("filling a read-only buffer", anymps_buffer_fill(buffer, 0, 1, 1), ANYMPS_INVALID_ARGUMENT, "read-only",
            NULL);
    refused("a read-only result", anymps_matmul_encode(s->matmul, s->commands, s->left, s->right, matrix, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "read-only");
    anymps_matrix_release(matrix);
    anymps_buffer_release(buffer);
}

/* ---- Matrices and vectors ---- */

typedef struct broken_desc {
    const char *what;
    anymps_matrix_desc desc;
    size_t offset;
    anymps_status status;
    const char *first, *second;
} broken_desc;

static void test_matrices(const stage *s)
{
    const size_t size = sizeof(anymps_matrix_desc), most = SIZE_MAX;
    const anymps_dtype f32 = ANYMPS_DTYPE_F32;
    const broken_desc cases[] = {
        {"row_bytes of half an element", {size, 2, 3, 1, 14, 0, f32, 0}, 0, ANYMPS_INVALID_ARGUMENT, "14", "4"},
        {"row_bytes too short", {size, 2, 3, 1, 8, 0, f32, 0}, 0, ANYMPS_INVALID_ARGUMENT, "8", "12"},
        {"matrix_bytes of half an element", {size, 2, 3, 2, 12, 26, f32, 0}, 0, ANYMPS_INVALID_ARGUMENT, "26", NULL},
        {"matrix_bytes too short", {size, 2, 3, 2, 12, 12, f32, 0}, 0, ANYMPS_INVALID_ARGUMENT, "12", "2"},
        {"too many side by side", {size, 2, 3, 3, 24, 12, f32, 0}, 0, ANYMPS_INVALID_ARGUMENT, "12", "24"},
        {"columns that overflow",
         {size, 2, most / 2, 1, 0, 0, f32, 0},
         0,
         ANYMPS_INVALID_ARGUMENT,
         "9223372036854775807",
         "4"},
        {"rows that overflow",
         {size, most / 8, 3, 1, 0, 0, f32, 0},
         0,
         ANYMPS_INVALID_ARGUMENT,
         "2305843009213693951",
         "12"},
        {"matrices that overflow",
         {size, 2, 3, most, 0, 0, f32, 0},
         0,
         ANYMPS_INVALID_ARGUMENT,
         "18446744073709551615",
         "24"},
        {"no type", {size, 2, 3, 1, 0, 0, (anymps_dtype)77, 0}, 0, ANYMPS_INVALID_ARGUMENT, "4d", NULL},
        {"unknown flags", {size, 2, 3, 1, 0, 0, f32, 6}, 0, ANYMPS_INVALID_ARGUMENT, "6", NULL},
        {"struct_size 0", {0, 2, 3, 1, 0, 0, f32, 0}, 0, ANYMPS_INVALID_ARGUMENT, "struct_size", NULL},
        {"an offset of half an element", {size, 2, 3, 1, 0, 0, f32, 0}, 2, ANYMPS_INVALID_ARGUMENT, "2", "4"},
        {"one element past the buffer", {size, 5, 13, 1, 0, 0, f32, 0}, 0, ANYMPS_SHAPE_MISMATCH, "260", "256"},
        {"an offset past the buffer", {size, 8, 8, 1, 0, 0, f32, 0}, 4, ANYMPS_SHAPE_MISMATCH, "byte 4", "256"},
        {"one byte past the buffer",
         {size, 1, 250, 1, 0, 0, ANYMPS_DTYPE_I8, 0},
         7,
         ANYMPS_SHAPE_MISMATCH,
         "250",
         "256"},
        {"an offset that overflows", {size, 2, 3, 1, 0, 0, f32, 0}, most - 3, ANYMPS_SHAPE_MISMATCH, "256", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        anymps_matrix *none = NULL;
        refused(cases[i].what, anymps_matrix_create(s->buffer, cases[i].offset, &cases[i].desc, &none), cases[i].status,
                cases[i].first, cases[i].second);
        expect(none == NULL, "a refused matrix leaves the pointer");
    }
    anymps_matrix *none = NULL;
    const anymps_matrix_desc desc = anymps_matrix_desc_make(2, 2, f32);
    refused("a matrix of no buffer", anymps_matrix_create(NULL, 0, &desc, &none), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("a matrix of a device", anymps_matrix_create((anymps_buffer *)(void *)s->device, 0, &desc, &none),
            ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("a matrix without a descriptor", anymps_matrix_create(s->buffer, 0, NULL, &none), ANYMPS_INVALID_ARGUMENT,
            NULL, NULL);
    refused("a matrix into NULL", anymps_matrix_create(s->buffer, 0, &desc, NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("a matrix on NULL", anymps_matrix_create_on(NULL, &desc, &none), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    expect(none == NULL, "refused matrices leave the pointer");
}

static void test_vectors(const stage *s)
{
    anymps_vector *none = NULL;
    anymps_vector_desc desc = anymps_vector_desc_make(65, ANYMPS_DTYPE_F32);
    refused("a vector past the buffer", anymps_vector_create(s->buffer, 0, &desc, &none), ANYMPS_SHAPE_MISMATCH, "260",
            "256");
    desc.length = 8;
    desc.vectors = 2;
    desc.vector_bytes = 28;
    refused("vector_bytes too short", anymps_vector_create(s->buffer, 0, &desc, &none), ANYMPS_INVALID_ARGUMENT, "28",
            NULL);
    desc.vector_bytes = 33;
    refused("vector_bytes of parts", anymps_vector_create(s->buffer, 0, &desc, &none), ANYMPS_INVALID_ARGUMENT, "33",
            "4");
    desc.vector_bytes = 0;
    desc.length = SIZE_MAX / 2;
    refused("a length that overflows", anymps_vector_create(s->buffer, 0, &desc, &none), ANYMPS_INVALID_ARGUMENT,
            "overflow", NULL);
    refused("a vector of no buffer", anymps_vector_create(NULL, 0, &desc, &none), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    expect(none == NULL, "refused vectors leave the pointer");
}

/* ---- Kernels ---- */

static void test_kernels(const stage *s)
{
    anymps_kernel *none = NULL;
    anymps_matmul_desc desc = matmul_desc();
    refused("a kernel on NULL", anymps_matmul_create(NULL, &desc, &none), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("a kernel of no descriptor", anymps_matmul_create(s->device, NULL, &none), ANYMPS_INVALID_ARGUMENT, NULL,
            NULL);
    refused("a kernel into NULL", anymps_matmul_create(s->device, &desc, NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    desc.rows = ANYMPS_ALL;
    refused("a matmul without rows", anymps_matmul_create(s->device, &desc, &none), ANYMPS_INVALID_ARGUMENT, "rows",
            NULL);
    desc = matmul_desc();
    desc.right_dtype = ANYMPS_DTYPE_F16;
    refused("f32 times f16", anymps_matmul_create(s->device, &desc, &none), ANYMPS_UNSUPPORTED, "f32", "f16");
    desc.right_dtype = ANYMPS_DTYPE_INVALID;
    refused("a matmul without a type", anymps_matmul_create(s->device, &desc, &none), ANYMPS_INVALID_ARGUMENT, "type",
            NULL);
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F64;
    refused("f64", anymps_matmul_create(s->device, &desc, &none), ANYMPS_UNSUPPORTED, "f64", NULL);
    desc = matmul_desc();
    desc.options = 0x100u;
    refused("an unknown option", anymps_matmul_create(s->device, &desc, &none), ANYMPS_INVALID_ARGUMENT, "100", NULL);
    desc = matmul_desc();
    desc.algorithm = (anymps_algorithm)7;
    refused("an unknown algorithm", anymps_matmul_create(s->device, &desc, &none), ANYMPS_INVALID_ARGUMENT, "7", NULL);
    desc.struct_size = 0;
    refused("a descriptor of size 0", anymps_matmul_create(s->device, &desc, &none), ANYMPS_INVALID_ARGUMENT,
            "struct_size", NULL);
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    neuron.dtype = ANYMPS_DTYPE_F32;
    neuron.neuron = (anymps_neuron_type)99;
    refused("an unknown neuron", anymps_neuron_create(s->device, &neuron, &none), ANYMPS_INVALID_ARGUMENT, "99", NULL);
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_I32;
    refused("a softmax of integers", anymps_softmax_create(s->device, &softmax, &none), ANYMPS_UNSUPPORTED, "i32",
            "f32");
    anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
    norm.dtype = ANYMPS_DTYPE_F32;
    norm.epsilon = -1.0;
    refused("a negative epsilon", anymps_rms_norm_create(s->device, &norm, &none), ANYMPS_INVALID_ARGUMENT, "-1", NULL);
    refused("a negative epsilon", anymps_layer_norm_create(s->device, &norm, &none), ANYMPS_INVALID_ARGUMENT, "-1",
            NULL);
    expect(none == NULL, "refused kernels leave the pointer");
}

/* ---- Encode ---- */

static void test_handles(const stage *s)
{
    anymps_kernel *const k = s->matmul;
    anymps_command_buffer *const c = s->commands;
    refused("no kernel", anymps_matmul_encode(NULL, c, s->left, s->right, s->result, NULL), ANYMPS_INVALID_ARGUMENT,
            "kernel", NULL);
    refused("no command buffer", anymps_matmul_encode(k, NULL, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "command buffer", NULL);
    refused("no left", anymps_matmul_encode(k, c, NULL, s->right, s->result, NULL), ANYMPS_INVALID_ARGUMENT, "left",
            NULL);
    refused("no right", anymps_matmul_encode(k, c, s->left, NULL, s->result, NULL), ANYMPS_INVALID_ARGUMENT, "right",
            NULL);
    refused("no result", anymps_matmul_encode(k, c, s->left, s->right, NULL, NULL), ANYMPS_INVALID_ARGUMENT, "result",
            NULL);
    refused("a vector for a matrix",
            anymps_matmul_encode(k, c, (anymps_matrix *)(void *)s->vector, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "left", NULL);
    refused("a matrix for a kernel",
            anymps_matmul_encode((anymps_kernel *)(void *)s->left, c, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "kernel", NULL);
    refused("a kernel of another operator", anymps_matmul_encode(s->softmax, c, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "softmax", NULL);
    refused("an operand of another device", anymps_matmul_encode(k, c, s->left, s->foreign, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "right", "device");
    anymps_kernel *foreign = NULL;
    const anymps_matmul_desc desc = matmul_desc();
    must(anymps_matmul_create(s->other, &desc, &foreign));
    refused("a kernel of another device", anymps_matmul_encode(foreign, c, s->left, s->right, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "device", NULL);
    anymps_kernel_release(foreign);
}

/* Each operand in turn one short, in each direction, or of another type. */
static void test_shapes(const stage *s)
{
    anymps_kernel *const k = s->matmul;
    anymps_command_buffer *const c = s->commands;
    anymps_matrix *const short_left = matrix_on(s->device, ROWS - 1, INTERIOR, ANYMPS_DTYPE_F32);
    anymps_matrix *const thin_left = matrix_on(s->device, ROWS, INTERIOR - 1, ANYMPS_DTYPE_F32);
    anymps_matrix *const short_right = matrix_on(s->device, INTERIOR - 1, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_matrix *const thin_right = matrix_on(s->device, INTERIOR, COLUMNS - 1, ANYMPS_DTYPE_F32);
    anymps_matrix *const short_result = matrix_on(s->device, ROWS - 1, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_matrix *const thin_result = matrix_on(s->device, ROWS, COLUMNS - 1, ANYMPS_DTYPE_F32);
    anymps_matrix *const half = matrix_on(s->device, INTERIOR, COLUMNS, ANYMPS_DTYPE_F16);
    refused("left too short", anymps_matmul_encode(k, c, short_left, s->right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "left has 4", "5");
    refused("left too thin", anymps_matmul_encode(k, c, thin_left, s->right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "left has 5", "6");
    refused("right too short", anymps_matmul_encode(k, c, s->left, short_right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "right has 5", "6");
    refused("right too thin", anymps_matmul_encode(k, c, s->left, thin_right, s->result, NULL), ANYMPS_SHAPE_MISMATCH,
            "right has 6", "7");
    refused("result too short", anymps_matmul_encode(k, c, s->left, s->right, short_result, NULL),
            ANYMPS_SHAPE_MISMATCH, "result has 4", "5");
    refused("result too thin", anymps_matmul_encode(k, c, s->left, s->right, thin_result, NULL), ANYMPS_SHAPE_MISMATCH,
            "result has 6", "7");
    refused("right of another type", anymps_matmul_encode(k, c, s->left, half, s->result, NULL),
            ANYMPS_INVALID_ARGUMENT, "f16", "f32");
    refused("one call, left and right apart", anymps_matmul(NULL, thin_left, s->right, s->result),
            ANYMPS_SHAPE_MISMATCH, "5", "6");
    refused("one call, a result too short", anymps_matmul(NULL, s->left, s->right, short_result), ANYMPS_SHAPE_MISMATCH,
            "4", "5");
    refused("one call, types apart", anymps_matmul(NULL, s->left, half, s->result), ANYMPS_UNSUPPORTED, "f16", "f32");
    refused("softmax, result too short", anymps_softmax(NULL, s->result, short_result), ANYMPS_SHAPE_MISMATCH, "4",
            "5");
    refused("softmax of NULL", anymps_softmax(NULL, NULL, s->result), ANYMPS_INVALID_ARGUMENT, "source", NULL);
    anymps_matrix *const all[] = {short_left, thin_left, short_right, thin_right, short_result, thin_result, half};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
}

/* Vectors and the operands of the other operators. */
static void test_other_operands(const stage *s)
{
    anymps_vector *const longer = vector_on(s->device, INTERIOR, ANYMPS_DTYPE_F32);
    anymps_vector *const output = vector_on(s->device, ROWS, ANYMPS_DTYPE_F32);
    anymps_matrix *const rank = matrix_on(s->device, INTERIOR, 3, ANYMPS_DTYPE_F32);
    anymps_matrix *const up = matrix_on(s->device, 2, COLUMNS, ANYMPS_DTYPE_F32);
    anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    refused("a vector too long for the matrix", anymps_matrix_vector(NULL, s->left, s->vector, output),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("a result vector too short", anymps_matrix_vector(NULL, s->left, longer, longer), ANYMPS_SHAPE_MISMATCH,
            "6", "5");
    refused("a bias too short", anymps_fully_connected(&layer, s->left, s->right, longer, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("weights too short", anymps_fully_connected(&layer, s->left, s->result, NULL, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "5", "6");
    neuron.neuron = ANYMPS_NEURON_PRELU;
    refused("prelu without its vector", anymps_neuron(&neuron, s->result, NULL, NULL, s->result),
            ANYMPS_INVALID_ARGUMENT, "prelu", NULL);
    neuron.neuron = ANYMPS_NEURON_RELU;
    refused("relu with a vector", anymps_neuron(&neuron, s->result, NULL, s->vector, s->result),
            ANYMPS_INVALID_ARGUMENT, "relu", NULL);
    refused("a weight too short", anymps_rms_norm(NULL, s->result, NULL, longer, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("a residual too short", anymps_layer_norm(NULL, s->result, s->left, NULL, NULL, s->result),
            ANYMPS_SHAPE_MISMATCH, "6", "7");
    refused("ranks apart", anymps_lora(NULL, s->left, s->right, rank, up, s->result), ANYMPS_SHAPE_MISMATCH, "3", "2");
    refused("no down", anymps_lora(NULL, s->left, s->right, NULL, up, s->result), ANYMPS_INVALID_ARGUMENT, "down",
            NULL);
    anymps_vector_release(longer);
    anymps_vector_release(output);
    anymps_matrix_release(rank);
    anymps_matrix_release(up);
}

static void test_ranges(const stage *s)
{
    anymps_kernel *const k = s->matmul;
    anymps_command_buffer *const c = s->commands;
    anymps_range range = ANYMPS_RANGE_INIT;
    range.primary.row = ROWS + 1;
    refused("an origin past the rows", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "6", "5");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.secondary.column = COLUMNS + 1;
    refused("an origin past the columns", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "8", "7");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.result.row = SIZE_MAX;
    refused("an origin at the end of numbers", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "18446744073709551615", "5");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.result.row = 1;
    refused("an origin that leaves too little", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_SHAPE_MISMATCH, "4", "5");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.batch_start = 2;
    refused("a batch that starts too late", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "2", "1");
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.batch_size = 2;
    refused("a batch too long", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "2", "1");
    range.batch_start = SIZE_MAX;
    refused("a batch that overflows", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    range = (anymps_range)ANYMPS_RANGE_INIT;
    range.struct_size = 0;
    refused("a range of size 0", anymps_matmul_encode(k, c, s->left, s->right, s->result, &range),
            ANYMPS_INVALID_ARGUMENT, "struct_size", NULL);
}

/* A batch of three on the left, two on the right. */
static void test_batches(const stage *s)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(ROWS, INTERIOR, ANYMPS_DTYPE_F32);
    anymps_matrix *three = NULL, *results = NULL;
    desc.matrices = 2;
    must(anymps_matrix_create_on(s->device, &desc, &three));
    desc = anymps_matrix_desc_make(ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    desc.matrices = 3;
    must(anymps_matrix_create_on(s->device, &desc, &results));
    refused("two for three", anymps_matmul_encode(s->matmul, s->commands, three, s->right, results, NULL),
            ANYMPS_SHAPE_MISMATCH, "2", "left");
    anymps_range range = ANYMPS_RANGE_INIT;
    range.batch_size = 3;
    refused("two for a range of three", anymps_matmul_encode(s->matmul, s->commands, three, s->right, results, &range),
            ANYMPS_SHAPE_MISMATCH, "2", "3");
    anymps_matrix_release(three);
    anymps_matrix_release(results);
}

/* Views of one buffer: the result over the left, shifted by an element, interleaved with it, beside it. */
static void test_aliasing(const stage *s)
{
    anymps_matrix *left = NULL, *result = NULL, *beside = NULL;
    anymps_matrix_desc desc = anymps_matrix_desc_make(4, 4, ANYMPS_DTYPE_F32);
    anymps_kernel *kernel = NULL;
    anymps_matmul_desc matmul = matmul_desc();
    matmul.rows = matmul.columns = matmul.interior = 4;
    desc.row_bytes = 32;
    must(anymps_matmul_create(s->device, &matmul, &kernel));
    must(anymps_matrix_create(s->buffer, 0, &desc, &left));
    must(anymps_matrix_create(s->buffer, 12, &desc, &result));
    must(anymps_matrix_create(s->buffer, 16, &desc, &beside));
    refused("the result is the left", anymps_matmul_encode(kernel, s->commands, left, beside, left, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "left");
    refused("the result is the right", anymps_matmul_encode(kernel, s->commands, left, beside, beside, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "right");
    refused("the result shares a column", anymps_matmul_encode(kernel, s->commands, left, left, result, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "left");
    refused("softmax onto a shifted view", anymps_softmax_encode(s->softmax, s->commands, left, result, NULL),
            ANYMPS_INVALID_ARGUMENT, "result", "source");
    anymps_command_buffer *apart = NULL;
    must(anymps_command_buffer_create(s->queue, &apart));
    expect(anymps_matmul_encode(kernel, apart, left, left, beside, NULL) == ANYMPS_OK,
           "columns beside one another are no alias");
    expect(anymps_softmax_encode(s->softmax, apart, left, left, NULL) == ANYMPS_OK, "softmax works in place");
    anymps_command_buffer_release(apart);
    anymps_matrix_release(left);
    anymps_matrix_release(result);
    anymps_matrix_release(beside);
    anymps_kernel_release(kernel);
}

/* ---- States ---- */

static void test_states(const stage *s)
{
    anymps_command_buffer *c = NULL;
    anymps_timings timings = ANYMPS_TIMINGS_INIT;
    anymps_matrix *const result = matrix_on(s->device, ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    refused("a command buffer of no queue", anymps_command_buffer_create(NULL, &c), ANYMPS_INVALID_ARGUMENT, NULL,
            NULL);
    refused("a queue of no device", anymps_queue_create(NULL, &(anymps_queue *){NULL}), ANYMPS_INVALID_ARGUMENT, NULL,
            NULL);
    must(anymps_command_buffer_create(s->queue, &c));
    refused("waiting before a commit", anymps_command_buffer_wait(c), ANYMPS_INVALID_STATE, "never committed", NULL);
    refused("timings before a commit", anymps_command_buffer_get_timings(c, &timings), ANYMPS_INVALID_STATE, NULL,
            NULL);
    must(anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL));
    must(anymps_command_buffer_commit(c));
    refused("encoding after a commit", anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL),
            ANYMPS_INVALID_STATE, "committed", NULL);
    must(anymps_command_buffer_wait(c));
    refused("encoding after it ended", anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL),
            ANYMPS_INVALID_STATE, "committed", NULL);
    expect(anymps_command_buffer_count(c) == 1, "the records are as before");
    must(anymps_command_buffer_reset(c));
    expect(anymps_matmul_encode(s->matmul, c, s->left, s->right, result, NULL) == ANYMPS_OK, "encoding after a reset");
    refused("committing NULL", anymps_command_buffer_commit(NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("waiting for NULL", anymps_command_buffer_wait(NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    refused("resetting NULL", anymps_command_buffer_reset(NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    anymps_command_buffer_release(c);
    anymps_matrix_release(result);
}

/* Work that takes long enough to be still in flight after commit returns, on any device of today. */
static void test_in_flight(const stage *s, bool is_cpu)
{
    enum { SIDE = 512, TRIES = 20 };
    anymps_matrix *const square = matrix_on(s->device, SIDE, SIDE, ANYMPS_DTYPE_F32);
    anymps_matrix *const result = matrix_on(s->device, SIDE, SIDE, ANYMPS_DTYPE_F32);
    anymps_matmul_desc desc = matmul_desc();
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *c = NULL;
    size_t seen = 0;
    desc.rows = desc.columns = desc.interior = SIDE;
    must(anymps_matmul_create(s->device, &desc, &kernel));
    must(anymps_command_buffer_create(s->queue, &c));
    for (size_t i = 0; i < 4; i++) {
        must(anymps_matmul_encode(kernel, c, square, square, result, NULL));
    }
    for (size_t i = 0; i < TRIES && seen == 0; i++) {
        must(anymps_command_buffer_commit(c));
        if (anymps_command_buffer_commit(c) == ANYMPS_INVALID_STATE) {
            refused("committing in flight", ANYMPS_INVALID_STATE, ANYMPS_INVALID_STATE, "in flight", NULL);
            seen++;
        }
        if (anymps_command_buffer_reset(c) == ANYMPS_INVALID_STATE) {
            refused("resetting in flight", ANYMPS_INVALID_STATE, ANYMPS_INVALID_STATE, "in flight", NULL);
        }
        must(anymps_command_buffer_wait(c));
        if (anymps_command_buffer_count(c) == 0) { /* it had ended: encode anew */
            must(anymps_matmul_encode(kernel, c, square, square, result, NULL));
        }
    }
    expect(seen != 0 || !is_cpu, "a second commit in flight is refused");
    anymps_command_buffer_release(c);
    anymps_kernel_release(kernel);
    anymps_matrix_release(square);
    anymps_matrix_release(result);
}

/* NULL is allowed where the headers say so, and getters of NULL are harmless. */
static void test_null_is_harmless(void)
{
    anymps_device_release(NULL);
    anymps_buffer_release(NULL);
    anymps_matrix_release(NULL);
    anymps_vector_release(NULL);
    anymps_kernel_release(NULL);
    anymps_queue_release(NULL);
    anymps_command_buffer_release(NULL);
    expect(anymps_buffer_contents(NULL) == NULL && anymps_buffer_length(NULL) == 0, "getters of no buffer");
    expect(anymps_matrix_get_desc(NULL).rows == 0 && anymps_matrix_buffer(NULL) == NULL, "getters of no matrix");
    expect(anymps_vector_get_desc(NULL).length == 0 && anymps_vector_contents(NULL) == NULL, "getters of no vector");
    expect(anymps_command_buffer_get_state(NULL) == ANYMPS_COMMAND_BUFFER_RECORDING, "state of no command buffer");
    expect(anymps_device_retain(NULL) == NULL && anymps_kernel_retain(NULL) == NULL, "retaining NULL");
}

int main(int count, char **words)
{
    machine on, beside;
    const int opened = machine_open_from(&on, count, words);
    if (opened != TEST_PASSED || machine_open_from(&beside, count, words) != TEST_PASSED) {
        return opened;
    }
    stage s = set_up(on.devices[0], beside.devices[0]);
    test_devices(&s);
    test_buffers(&s);
    test_read_only(&s);
    test_matrices(&s);
    test_vectors(&s);
    test_kernels(&s);
    test_handles(&s);
    test_shapes(&s);
    test_other_operands(&s);
    test_ranges(&s);
    test_batches(&s);
    test_aliasing(&s);
    test_states(&s);
    test_in_flight(&s, on.is_cpu);
    test_null_is_harmless();
    tear_down(&s);
    machine_close(&on);
    machine_close(&beside);
    char alive[160];
    expect(!anything_alive(alive, sizeof alive), "nothing is alive at the end");
    printf("bad input: %zu checks, %zu failures\n", checks, failures);
    return failures == 0 ? TEST_PASSED : TEST_FAILED;
}
