/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dlpack.c: any tensor struct: refused, or every element of the matrix lies where the tensor's strides say.
 *
 * The tensor's memory is real and as long as `needed_bytes` claims, so that ASan sees an address beyond. The input
 * is read as numbers; when it ends the rest is zero.
 */
#include "fuzz_file.h"
#include "interop/dlpack_abi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_MEMORY = 1 << 20 };

typedef struct reader {
    const uint8_t *at;
    size_t left;
} reader;

static uint8_t next_byte(reader *r)
{
    if (r->left == 0) {
        return 0;
    }
    r->left--;
    return *r->at++;
}

/* Mostly small, sometimes anything that 64 bits hold. */
static int64_t next_size(reader *r)
{
    const uint8_t kind = next_byte(r);
    if (kind < 0xf0) {
        return kind % 17;
    }
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | next_byte(r);
    }
    int64_t as_signed;
    memcpy(&as_signed, &value, sizeof as_signed);
    return as_signed;
}

static int deleted;

static void count_deletion(struct DLManagedTensorVersioned *self)
{
    (void)self;
    deleted++;
}

/* Compares addresses of all elements, as the matrix and as the tensor have them. */
static void compare(const struct DLTensor *t, const anymps_matrix *matrix, bool transposed)
{
    const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
    const size_t element = anymps_dtype_bytes(d.dtype);
    unsigned char *const base = anymps_matrix_contents(matrix);
    const bool batch = t->ndim == 3;
    const int64_t rows = t->shape[batch ? 1 : 0], columns = t->shape[batch ? 2 : 1];
    const int64_t compact[3] = {batch ? rows * columns : columns, batch ? columns : 1, 1};
    const int64_t *const strides = t->strides != NULL ? t->strides : compact;
    for (int64_t b = 0; b < (batch ? t->shape[0] : 1); b++) {
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < columns; j++) {
                const int64_t at =
                    (batch ? b * strides[0] : 0) + i * strides[batch ? 1 : 0] + j * strides[batch ? 2 : 1];
                const size_t row = (size_t)(transposed ? j : i), column = (size_t)(transposed ? i : j);
                const unsigned char *const seen =
                    base + (size_t)b * d.matrix_bytes + row * d.row_bytes + column * element;
                fuzz_require(seen == (unsigned char *)t->data + t->byte_offset + (size_t)at * element);
                volatile unsigned char last = seen[element - 1]; /* must be ours to read */
                (void)last;
            }
        }
    }
}

static void import_tensor(struct DLTensor *t, bool empty, uint64_t flags)
{
    struct DLManagedTensorVersioned managed = {
        .version = {1, 1}, .deleter = count_deletion, .flags = flags, .dl_tensor = *t};
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    bool transposed = false;
    deleted = 0;
    if (t->ndim > 1 &&
        anymps_matrix_from_dlpack_versioned(fuzz_device(), &managed, &matrix, &transposed) == ANYMPS_OK) {
        if (!empty) {
            compare(t, matrix, transposed);
        }
        fuzz_require(deleted == 0);
        anymps_matrix_release(matrix);
        fuzz_require(deleted == 1);
    }
    deleted = 0;
    if (anymps_vector_from_dlpack_versioned(fuzz_device(), &managed, &vector) == ANYMPS_OK) {
        anymps_vector_release(vector);
        fuzz_require(deleted == 1);
    } else {
        fuzz_require(deleted == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char nothing[1];
    reader r = {data, size};
    int64_t shape[4] = {0}, strides[4] = {0};
    struct DLTensor t = {.data = nothing, .device = {AMPS_DL_CPU, 0}, .shape = shape, .dtype = {.lanes = 1}};
    const uint8_t options = next_byte(&r);
    t.ndim = options % 8 == 7 ? -1 : options % 8 % 5;
    t.strides = (options & 8) != 0 ? NULL : strides;
    t.dtype.code = next_byte(&r) % 8;
    t.dtype.bits = (uint8_t)(8u << next_byte(&r) % 4);
    t.dtype.lanes = next_byte(&r) == 0xff ? 2 : 1;
    t.device.type = next_byte(&r) == 0xff ? AMPS_DL_CUDA : AMPS_DL_CPU;
    const int64_t offset = next_size(&r);
    memcpy(&t.byte_offset, &offset, sizeof offset);
    for (int i = 0; i < 4; i++) {
        shape[i] = next_size(&r);
        strides[i] = next_size(&r);
    }
    anymps_dlpack_info info = ANYMPS_DLPACK_INFO_INIT;
    if (anymps_dlpack_validate(fuzz_device(), &t, &info) != ANYMPS_OK) {
        fuzz_require(anymps_last_error()->message[0] != '\0' && info.rows == 0);
        return 0;
    }
    if (info.needed_bytes > MOST_MEMORY || t.byte_offset > MOST_MEMORY) {
        return 0;
    }
    t.data = malloc(t.byte_offset + info.needed_bytes + 1);
    if (t.data != NULL) {
        import_tensor(&t, info.needed_bytes == 0, (options & 16) != 0 ? AMPS_DL_READ_ONLY : 0);
        free(t.data);
    }
    return 0;
}
