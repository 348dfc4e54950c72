/* SPDX-License-Identifier: Apache-2.0 */
/*
 * large_strides.c: rows and matrices further apart than 2^31 bytes, so that no path computes an offset in
 * 32 bits. The memory between the rows is never touched: on the CPU it costs nothing. Small whole numbers, so
 * that results are exact. Public API only.
 *
 *     large_strides [--device cpu] [--isa avx2]
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROWS = 2, COLUMNS = 19, INTERIOR = 21 };

/* Beyond 2^31, no power of two, and a multiple of the element size. */
static const size_t STRIDE = ((size_t)1 << 31) + 4096 + 12;

static size_t failures;

static void expect(bool holds, const char *what)
{
    if (!holds) {
        printf("FAIL: %s (%s)\n", what, anymps_last_error()->message);
        failures++;
    }
}

/* One stretch of memory that holds two far rows, and a device's view of it. */
typedef struct far_memory {
    anymps_buffer *buffer;
    void *pages;
    size_t bytes;
} far_memory;

/* On the CPU the caller's own pages, which need not exist before they are touched. */
static bool open_far(far_memory *self, anymps_device *device, bool is_cpu)
{
    *self = (far_memory){.bytes = STRIDE + 65536};
    if (!is_cpu) {
        return anymps_buffer_create(device, self->bytes, ANYMPS_STORAGE_SHARED, &self->buffer) == ANYMPS_OK;
    }
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE;
#endif
    self->pages = mmap(NULL, self->bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (self->pages == MAP_FAILED) {
        self->pages = NULL;
        return false;
    }
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    wrap.bytes = self->pages;
    wrap.length_bytes = self->bytes;
    return anymps_buffer_wrap(device, &wrap, &self->buffer) == ANYMPS_OK;
}

static void close_far(far_memory *self)
{
    anymps_buffer_release(self->buffer);
    if (self->pages != NULL) {
        (void)munmap(self->pages, self->bytes);
    }
}

static anymps_matrix *far_matrix(const far_memory *in, size_t rows, size_t columns, size_t matrices, size_t row_bytes,
                                 size_t matrix_bytes)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    anymps_matrix *made = NULL;
    desc.matrices = matrices;
    desc.row_bytes = row_bytes;
    desc.matrix_bytes = matrix_bytes;
    expect(anymps_matrix_create(in->buffer, 0, &desc, &made) == ANYMPS_OK, "a view with far rows");
    return made;
}

/* Row `r` of far memory: value(r, j) for j < columns. */
static void put_row(const far_memory *in, size_t r, size_t columns, const float *values)
{
    expect(anymps_buffer_write(in->buffer, r * STRIDE, values, columns * sizeof(float)) == ANYMPS_OK,
           "write a far row");
}

static float left_at(size_t i, size_t k)
{
    return (float)((i * 5 + k * 3) % 7) - 3.0f;
}

static float right_at(size_t k, size_t j)
{
    return (float)((k * 2 + j) % 5) - 2.0f;
}

static float product_at(size_t i, size_t j)
{
    float sum = 0.0f;
    for (size_t k = 0; k < INTERIOR; k++) {
        sum += left_at(i, k) * right_at(k, j);
    }
    return sum;
}

/* A row of the result, and the untouched word after it. */
static void check_row(const far_memory *in, size_t r, const float *wanted, size_t columns, const char *what)
{
    float got[COLUMNS + 1];
    expect(anymps_buffer_read(in->buffer, r * STRIDE, got, (columns + 1) * sizeof(float)) == ANYMPS_OK,
           "read a far row");
    expect(memcmp(got, wanted, columns * sizeof(float)) == 0, what);
    expect(got[columns] == 0.0f, "the word after a far row is untouched");
}

static anymps_matrix *tight_right(anymps_device *device)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(INTERIOR, COLUMNS, ANYMPS_DTYPE_F32);
    float values[INTERIOR * COLUMNS];
    anymps_matrix *made = NULL;
    for (size_t k = 0; k < INTERIOR; k++) {
        for (size_t j = 0; j < COLUMNS; j++) {
            values[k * COLUMNS + j] = right_at(k, j);
        }
    }
    expect(anymps_matrix_create_on(device, &desc, &made) == ANYMPS_OK, "right");
    expect(anymps_buffer_write(anymps_matrix_buffer(made), 0, values, sizeof values) == ANYMPS_OK, "write right");
    return made;
}

static void put_left(const far_memory *in)
{
    for (size_t i = 0; i < ROWS; i++) {
        float row[INTERIOR];
        for (size_t k = 0; k < INTERIOR; k++) {
            row[k] = left_at(i, k);
        }
        put_row(in, i, INTERIOR, row);
    }
}

static void check_product(const far_memory *in, const char *what)
{
    for (size_t i = 0; i < ROWS; i++) {
        float wanted[COLUMNS];
        for (size_t j = 0; j < COLUMNS; j++) {
            wanted[j] = product_at(i, j);
        }
        check_row(in, i, wanted, COLUMNS, what);
    }
}

/* Far rows on the left and in the result; then the same memory as a batch of far matrices of one row. */
static void test_products(anymps_device *device, bool is_cpu)
{
    far_memory left, result;
    if (!open_far(&left, device, is_cpu) || !open_far(&result, device, is_cpu)) {
        printf("no memory for far rows: %s\n", anymps_last_error()->message);
        exit(TEST_SKIPPED);
    }
    anymps_matrix *const right = tight_right(device);
    put_left(&left);
    anymps_matrix *const far_left = far_matrix(&left, ROWS, INTERIOR, 1, STRIDE, 0);
    anymps_matrix *const far_result = far_matrix(&result, ROWS, COLUMNS, 1, STRIDE, 0);
    expect(anymps_matmul(NULL, far_left, right, far_result) == ANYMPS_OK, "matmul of far rows");
    check_product(&result, "a product of far rows");
    for (size_t i = 0; i < ROWS; i++) {
        expect(anymps_buffer_fill(result.buffer, i * STRIDE, COLUMNS * sizeof(float), 0xff) == ANYMPS_OK, "fill");
    }
    anymps_matrix *const batch_left = far_matrix(&left, 1, INTERIOR, ROWS, STRIDE, STRIDE);
    anymps_matrix *const batch_result = far_matrix(&result, 1, COLUMNS, ROWS, STRIDE, STRIDE);
    expect(anymps_matmul(NULL, batch_left, right, batch_result) == ANYMPS_OK, "matmul of far matrices");
    check_product(&result, "a product of far matrices");
    anymps_matrix *const all[] = {right, far_left, far_result, batch_left, batch_result};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
    close_far(&left);
    close_far(&result);
}

/* The transposed operand's far rows are the interior. */
static void test_transposed(anymps_device *device, bool is_cpu)
{
    far_memory left;
    if (!open_far(&left, device, is_cpu)) {
        return;
    }
    const float one[ROWS] = {1.0f, 2.0f}, two[ROWS] = {3.0f, 4.0f}, identity[4] = {1.0f, 0.0f, 0.0f, 1.0f};
    const float wanted[4] = {1.0f, 3.0f, 2.0f, 4.0f};
    const anymps_matrix_desc square = anymps_matrix_desc_make(2, 2, ANYMPS_DTYPE_F32);
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    anymps_matrix *right = NULL, *result = NULL;
    float got[4] = {0};
    put_row(&left, 0, 2, one);
    put_row(&left, 1, 2, two);
    anymps_matrix *const far_left = far_matrix(&left, 2, 2, 1, STRIDE, 0);
    desc.transpose_left = true;
    expect(anymps_matrix_create_on(device, &square, &right) == ANYMPS_OK, "identity");
    expect(anymps_matrix_create_on(device, &square, &result) == ANYMPS_OK, "result");
    expect(anymps_buffer_write(anymps_matrix_buffer(right), 0, identity, sizeof identity) == ANYMPS_OK, "write");
    expect(anymps_matmul(&desc, far_left, right, result) == ANYMPS_OK, "matmul of a far transpose");
    expect(anymps_buffer_read(anymps_matrix_buffer(result), 0, got, sizeof got) == ANYMPS_OK, "read");
    expect(memcmp(got, wanted, sizeof got) == 0, "a far transpose");
    anymps_matrix_release(far_left);
    anymps_matrix_release(right);
    anymps_matrix_release(result);
    close_far(&left);
}

/* Operators that work row by row, in place. */
static void test_rows(anymps_device *device, bool is_cpu)
{
    far_memory memory;
    if (!open_far(&memory, device, is_cpu)) {
        return;
    }
    const float equal[4] = {5.0f, 5.0f, 5.0f, 5.0f}, quarters[4] = {0.25f, 0.25f, 0.25f, 0.25f};
    const float signs[4] = {-1.0f, 2.0f, -3.0f, 4.0f}, positive[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    anymps_neuron_desc absolute = ANYMPS_NEURON_DESC_INIT;
    anymps_matrix *const rows = far_matrix(&memory, ROWS, 4, 1, STRIDE, 0);
    absolute.neuron = ANYMPS_NEURON_ABSOLUTE;
    put_row(&memory, 0, 4, equal);
    put_row(&memory, 1, 4, equal);
    expect(anymps_softmax(NULL, rows, rows) == ANYMPS_OK, "softmax of far rows");
    check_row(&memory, 0, quarters, 4, "softmax of a near row");
    check_row(&memory, 1, quarters, 4, "softmax of a far row");
    put_row(&memory, 0, 4, signs);
    put_row(&memory, 1, 4, signs);
    expect(anymps_neuron(&absolute, rows, NULL, NULL, rows) == ANYMPS_OK, "absolute of far rows");
    check_row(&memory, 1, positive, 4, "absolute of a far row");
    anymps_matrix_release(rows);
    close_far(&memory);
}

int main(int count, char **words)
{
    machine on;
    const int opened = machine_open_from(&on, count, words);
    if (opened != TEST_PASSED) {
        return opened;
    }
    test_products(on.devices[0], on.is_cpu);
    test_transposed(on.devices[0], on.is_cpu);
    test_rows(on.devices[0], on.is_cpu);
    machine_close(&on);
    printf("large strides: %zu failures\n", failures);
    return failures == 0 ? TEST_PASSED : TEST_FAILED;
}
