/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_descriptors.c: descriptors of matrices, vectors and kernels with any values whatever.
 *
 * Nothing may crash; whatever a resolve accepts must hold the rules of matrix.h; a view that is made must
 * lie in its buffer; failures have a message. Public API only.
 */
#include <anymps/anymps.h>

#include "fuzz_input.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort(); /* what a fuzzer takes for a find */
    }
}

static anymps_dtype any_dtype(fuzz_input *in)
{
    static const anymps_dtype types[] = {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_I8,
                                         ANYMPS_DTYPE_I16, ANYMPS_DTYPE_I32, ANYMPS_DTYPE_F64,  ANYMPS_DTYPE_INVALID,
                                         ANYMPS_DTYPE_U8,  ANYMPS_DTYPE_BOOL};
    return fuzz_below(in, 16) == 15 ? (anymps_dtype)(int)fuzz_byte(in) : types[fuzz_below(in, 10)];
}

static anymps_matrix_desc any_matrix(fuzz_input *in)
{
    anymps_matrix_desc desc = ANYMPS_MATRIX_DESC_INIT;
    desc.dtype = any_dtype(in);
    desc.rows = fuzz_size(in);
    desc.columns = fuzz_size(in);
    desc.matrices = fuzz_size(in);
    const size_t element = anymps_dtype_bytes(desc.dtype) + (fuzz_below(in, 8) == 0 ? 1 : 0);
    desc.row_bytes = fuzz_size(in) * (element == 0 ? 1 : element);
    desc.matrix_bytes = fuzz_size(in) * (fuzz_below(in, 2) == 0 ? desc.row_bytes : element);
    desc.flags = fuzz_below(in, 8) == 0 ? fuzz_byte(in) : 0;
    desc.struct_size = fuzz_below(in, 16) == 0 ? fuzz_size(in) : sizeof desc;
    return desc;
}

/* The rules of matrix.h, said again. */
static void check_resolved(const anymps_matrix_desc *desc, size_t needed)
{
    const size_t element = anymps_dtype_bytes(desc->dtype);
    require(element != 0 && desc->matrices != 0 && desc->row_bytes % element == 0);
    require(desc->row_bytes / element >= desc->columns);
    if (desc->rows == 0 || desc->columns == 0) {
        return;
    }
    const bool stacked = desc->row_bytes != 0 && desc->matrix_bytes % desc->row_bytes == 0 &&
                         desc->matrix_bytes / desc->row_bytes >= desc->rows;
    const bool beside = desc->matrix_bytes % element == 0 && desc->matrix_bytes / element >= desc->columns &&
                        desc->row_bytes / desc->matrix_bytes >= desc->matrices;
    require(desc->matrices == 1 || stacked || beside);
    require(needed >= desc->columns * element && needed / desc->row_bytes >= desc->rows - 1);
}

static void try_matrix(fuzz_input *in, anymps_buffer *buffer)
{
    anymps_matrix_desc desc = any_matrix(in);
    const anymps_matrix_desc given = desc;
    const size_t offset = fuzz_size(in);
    size_t needed = 12345;
    anymps_matrix *matrix = NULL;
    const anymps_status resolved = anymps_matrix_desc_resolve(&desc, &needed);
    const anymps_status made = anymps_matrix_create(buffer, offset, &given, &matrix);
    if (resolved == ANYMPS_OK && given.struct_size < sizeof desc) {
        /* An older version of the struct: only the fields that it has are filled in. */
    } else if (resolved == ANYMPS_OK) {
        check_resolved(&desc, needed);
    } else {
        require(needed == 12345 && memcmp(&given, &desc, sizeof given) == 0);
        require(made != ANYMPS_OK && anymps_last_error()->message[0] != '\0');
    }
    if (made == ANYMPS_OK) {
        require(offset <= anymps_buffer_length(buffer) && needed <= anymps_buffer_length(buffer) - offset);
        require(anymps_matrix_offset_bytes(matrix) == offset);
    } else {
        require(matrix == NULL);
    }
    anymps_matrix_release(matrix);
}

static void try_vector(fuzz_input *in, anymps_buffer *buffer)
{
    anymps_vector_desc desc = ANYMPS_VECTOR_DESC_INIT;
    desc.dtype = any_dtype(in);
    desc.length = fuzz_size(in);
    desc.vectors = fuzz_size(in);
    desc.vector_bytes = fuzz_size(in) * (1 + fuzz_below(in, 4));
    const size_t offset = fuzz_size(in);
    size_t needed = 0;
    anymps_vector *vector = NULL;
    if (anymps_vector_create(buffer, offset, &desc, &vector) == ANYMPS_OK) {
        require(anymps_vector_desc_resolve(&desc, &needed) == ANYMPS_OK);
        require(offset <= anymps_buffer_length(buffer) && needed <= anymps_buffer_length(buffer) - offset);
    }
    anymps_vector_release(vector);
}

/* Kernels of any descriptor: made or refused, never both. */
static void try_kernel(fuzz_input *in, anymps_device *device)
{
    anymps_kernel *kernel = NULL;
    anymps_status status = ANYMPS_OK;
    anymps_matmul_desc matmul = ANYMPS_MATMUL_DESC_INIT;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    switch (fuzz_below(in, 3)) {
    case 0:
        matmul.rows = fuzz_size(in);
        matmul.columns = fuzz_size(in);
        matmul.interior = fuzz_size(in);
        matmul.left_dtype = any_dtype(in);
        matmul.right_dtype = fuzz_below(in, 4) == 0 ? any_dtype(in) : matmul.left_dtype;
        matmul.result_dtype = any_dtype(in);
        matmul.options = fuzz_below(in, 8) == 0 ? fuzz_byte(in) : 0;
        matmul.algorithm = (anymps_algorithm)fuzz_below(in, 5);
        matmul.struct_size = fuzz_below(in, 8) == 0 ? fuzz_below(in, 200) : sizeof matmul;
        status = anymps_matmul_create(device, &matmul, &kernel);
        break;
    case 1:
        neuron.rows = fuzz_size(in);
        neuron.columns = fuzz_size(in);
        neuron.neuron = (anymps_neuron_type)((int)fuzz_below(in, 32) + (fuzz_below(in, 4) == 0 ? 990 : 0));
        neuron.dtype = any_dtype(in);
        status = anymps_neuron_create(device, &neuron, &kernel);
        break;
    default:
        softmax.rows = fuzz_size(in);
        softmax.columns = fuzz_size(in);
        softmax.dtype = any_dtype(in);
        status = anymps_softmax_create(device, &softmax, &kernel);
        break;
    }
    require((status == ANYMPS_OK) == (kernel != NULL));
    require(status == ANYMPS_OK || anymps_last_error()->status == status);
    anymps_kernel_release(kernel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size, 0};
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = FUZZ_DEVICE;
    desc.threads = 1;
    anymps_device *device = NULL;
    anymps_buffer *buffer = NULL;
    require(anymps_device_open(&desc, &device) == ANYMPS_OK);
    require(anymps_buffer_create(device, 4096, ANYMPS_STORAGE_SHARED, &buffer) == ANYMPS_OK);
    while (fuzz_more(&in)) {
        switch (fuzz_below(&in, 3)) {
        case 0: try_matrix(&in, buffer); break;
        case 1: try_vector(&in, buffer); break;
        default: try_kernel(&in, device); break;
        }
    }
    anymps_buffer_release(buffer);
    anymps_device_release(device);
    require(anymps_live_counts().objects == 0 && anymps_live_counts().blocks == 0);
    return 0;
}
