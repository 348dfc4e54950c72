/* SPDX-License-Identifier: Apache-2.0 */
/* files.h: what the tests of this folder share: whole files in memory and elements of tensors as double. */
#ifndef TEST_FILES_H
#define TEST_FILES_H

#include <anymps/anymps.h>

#include "expect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file's bytes in a block of exactly its length, so that reading past its end is seen by ASan. */
static inline unsigned char *read_whole(const char *path, size_t *length)
{
    FILE *const file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    *length = 0;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        *length = (size_t)ftell(file);
        bytes = malloc(*length > 0 ? *length : 1);
        rewind(file);
        if (bytes != NULL && fread(bytes, 1, *length, file) != *length) {
            *length = 0;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

static inline bool write_whole(const char *path, const void *bytes, size_t length)
{
    FILE *const file = fopen(path, "wb");
    const bool written = file != NULL && fwrite(bytes, 1, length, file) == length;
    return file != NULL && fclose(file) == 0 && written;
}

static inline size_t tensor_elements(const anymps_file_tensor *tensor)
{
    size_t count = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        count *= tensor->shape[i];
    }
    return count;
}

/* Element (row, column) of matrix b of an f64 matrix. */
static inline double f64_at(const anymps_matrix *matrix, size_t b, size_t row, size_t column)
{
    const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
    double value;
    const unsigned char *const base = anymps_matrix_contents(matrix);
    memcpy(&value, base + b * d.matrix_bytes + row * d.row_bytes + column * sizeof value, sizeof value);
    return value;
}

#endif /* TEST_FILES_H */
