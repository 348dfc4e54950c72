/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_input_objects.c: what can be wrong with devices, buffers, matrices, vectors and kernels when they are made or
 * used by themselves. Called by bad_input.c. Public API only.
 */
#include "bad_input.h"

#include <math.h>
#include <string.h>

/* ---- Devices, buffers ---- */

void test_devices(const stage *s)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *none = NULL;
    const anymps_dtype types[3] = {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32};
    refused("open into NULL", anymps_device_open(NULL, NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    desc.id = "abacus";
    refused("open an unknown id", anymps_device_open(&desc, &none), ANYMPS_INVALID_ARGUMENT, "abacus", "cpu");
    desc.id = "cpu:1";
    refused("open a second CPU", anymps_device_open(&desc, &none), ANYMPS_INVALID_ARGUMENT, "cpu:1", "cpu");
    desc.id = "cpu";
    desc.isa = "mmx";
    refused("open an unknown isa", anymps_device_open(&desc, &none), ANYMPS_INVALID_ARGUMENT, "mmx", NULL);
    expect(none == NULL, "a refused open leaves the pointer");
    refused("describe past the last", anymps_device_describe(1000, &properties), ANYMPS_INVALID_ARGUMENT, "1000", NULL);
    refused("describe NULL", anymps_device_describe(0, NULL), ANYMPS_INVALID_ARGUMENT, NULL, NULL);
    properties.struct_size = 0;
    refused("describe into a struct of size 0", anymps_device_get_properties(s->device, &properties),
            ANYMPS_INVALID_ARGUMENT, "struct_size", NULL);
    properties.struct_size = 3;
    refused("describe into a struct too short", anymps_device_get_properties(s->device, &properties),
            ANYMPS_INVALID_ARGUMENT, "3", "at least");
    struct {
        anymps_device_properties known;
        unsigned char later[16]; /* what a newer caller's struct has beyond ours */
    } longer = {ANYMPS_DEVICE_PROPERTIES_INIT, "fifteen letters"};
    longer.known.struct_size = sizeof longer;
    must(anymps_device_get_properties(s->device, &longer.known));
    expect(longer.known.struct_size == sizeof longer.known && longer.known.id[0] != '\0', "a longer struct is filled");
    expect(memcmp(longer.later, "fifteen letters", 16) == 0, "what the library does not know is left alone");
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

void test_buffers(const stage *s)
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
    wrap.struct_size = sizeof wrap - 1;
    refused("a wrap struct one byte short", anymps_buffer_wrap(s->device, &wrap, &none), ANYMPS_INVALID_ARGUMENT,
            "struct_size", NULL);
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
void test_read_only(const stage *s)
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
    anymps_matrix *const other = matrix_on(s->device, ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    refused("a read-only residual, which is written", anymps_rms_norm(NULL, other, matrix, NULL, NULL, s->result),
            ANYMPS_INVALID_ARGUMENT, "residual", "read-only");
    anymps_matrix_release(other);
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

void test_matrices(const stage *s)
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

void test_vectors(const stage *s)
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

void test_kernels(const stage *s)
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
    refused("f64", anymps_matmul_create(s->device, &desc, &none), ANYMPS_UNSUPPORTED, "f64", "there are f32 to f32");
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

/* Factors and parameters that are no number would poison every element. */
void test_factors(const stage *s)
{
    const double wrong[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        anymps_kernel *none = NULL;
        anymps_matmul_desc alpha = matmul_desc(), beta = matmul_desc();
        anymps_matrix_vector_desc vector = ANYMPS_MATRIX_VECTOR_DESC_INIT;
        anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
        anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
        anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
        anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
        anymps_lora_desc lora = ANYMPS_LORA_DESC_INIT;
        alpha.alpha = beta.beta = vector.alpha = layer.alpha = softmax.scale = norm.epsilon = lora.scale = wrong[i];
        neuron.b = (float)wrong[i];
        vector.rows = vector.columns = 1;
        vector.matrix_dtype = vector.vector_dtype = vector.result_dtype = ANYMPS_DTYPE_F32;
        neuron.dtype = layer.dtype = softmax.dtype = norm.dtype = lora.dtype = ANYMPS_DTYPE_F32;
        const anymps_status got[] = {
            anymps_matmul_create(s->device, &alpha, &none),          anymps_matmul_create(s->device, &beta, &none),
            anymps_matrix_vector_create(s->device, &vector, &none),  anymps_neuron_create(s->device, &neuron, &none),
            anymps_fully_connected_create(s->device, &layer, &none), anymps_softmax_create(s->device, &softmax, &none),
            anymps_log_softmax_create(s->device, &softmax, &none),   anymps_rms_norm_create(s->device, &norm, &none),
            anymps_layer_norm_create(s->device, &norm, &none),       anymps_lora_create(s->device, &lora, &none),
        };
        for (size_t k = 0; k < sizeof got / sizeof got[0]; k++) {
            expect(got[k] == ANYMPS_INVALID_ARGUMENT, "a factor that is not finite is refused by every operator");
        }
        refused("a scale that is not finite", anymps_lora_create(s->device, &lora, &none), ANYMPS_INVALID_ARGUMENT,
                "scale", "finite");
        expect(none == NULL, "a kernel with such a factor");
    }
}
