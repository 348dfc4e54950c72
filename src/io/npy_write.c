/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npy_write.c: writes matrices and vectors as .npy version 1.0, little-endian, C order (format: npy.c).
 *
 * Called by users (anymps/io.h). Calls write.c for the file and the elements.
 */
#include "base/ref.h"
#include "base/status.h"
#include "io/write.h"

#include <anymps/io.h>
#include <stdio.h>
#include <string.h>

/* Magic, version and length come first; the whole is filled up to a multiple of 64, so that the elements
   are aligned in a mapped file. Three sizes of 20 digits stay far below. */
enum { PREFIX_BYTES = 10, HEADER_BYTES = 192, DATA_ALIGNMENT = 64 };

static const char *descr(anymps_dtype dtype)
{
    switch (dtype) {
    case ANYMPS_DTYPE_F16: return "<f2";
    case ANYMPS_DTYPE_F32: return "<f4";
    case ANYMPS_DTYPE_F64: return "<f8";
    case ANYMPS_DTYPE_I8: return "|i1";
    case ANYMPS_DTYPE_I16: return "<i2";
    case ANYMPS_DTYPE_I32: return "<i4";
    case ANYMPS_DTYPE_I64: return "<i8";
    case ANYMPS_DTYPE_U8: return "|u1";
    case ANYMPS_DTYPE_U16: return "<u2";
    case ANYMPS_DTYPE_U32: return "<u4";
    case ANYMPS_DTYPE_U64: return "<u8";
    case ANYMPS_DTYPE_BOOL: return "|b1";
    default: return "";
    }
}

static size_t put_shape(char *text, size_t size, const amps_tensor_view *view)
{
    size_t used = 0;
    for (size_t i = 0; i < view->rank; i++) {
        used += (size_t)snprintf(text + used, size - used, i == 0 ? "%zu" : ", %zu", view->shape[i]);
    }
    if (view->rank == 1) {
        used += (size_t)snprintf(text + used, size - used, ",");
    }
    return used;
}

static anymps_status write_header(amps_write *w, const amps_tensor_view *view, anymps_dtype dtype)
{
    static const char prefix[8] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0};
    char header[HEADER_BYTES];
    char shape[80];
    (void)put_shape(shape, sizeof shape, view);
    memset(header, ' ', sizeof header);
    memcpy(header, prefix, sizeof prefix);
    const size_t length =
        (size_t)snprintf(header + PREFIX_BYTES, sizeof header - PREFIX_BYTES,
                         "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr(dtype), shape);
    /* One more for the line feed at the very end. */
    const size_t total = (PREFIX_BYTES + length + 1 + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    header[PREFIX_BYTES + length] = ' '; /* where snprintf put its zero */
    header[total - 1] = '\n';
    header[8] = (char)((total - PREFIX_BYTES) & 0xff);
    header[9] = (char)((total - PREFIX_BYTES) >> 8);
    return amps_write_bytes(w, header, total);
}

static anymps_status write_npy(const char *operation, const char *path, const amps_tensor_view *view)
{
    const anymps_dtype dtype = view->dtype == ANYMPS_DTYPE_BF16 ? ANYMPS_DTYPE_F32 : view->dtype;
    amps_write w;
    ANYMPS_TRY(amps_write_begin(&w, operation, path));
    anymps_status status = write_header(&w, view, dtype);
    if (status == ANYMPS_OK) {
        status = amps_write_elements(&w, view, dtype);
    }
    return amps_write_end(&w, status);
}

anymps_status anymps_npy_write(const char *path, const anymps_matrix *matrix)
{
    ANYMPS_FAIL_IF(path == NULL || !amps_is(matrix, AMPS_KIND_MATRIX), ANYMPS_INVALID_ARGUMENT,
                   "npy_write: path must not be NULL and matrix be a matrix");
    const amps_tensor_view view = amps_view_matrix(matrix);
    return write_npy("npy_write", path, &view);
}

anymps_status anymps_npy_write_vector(const char *path, const anymps_vector *vector)
{
    ANYMPS_FAIL_IF(path == NULL || !amps_is(vector, AMPS_KIND_VECTOR), ANYMPS_INVALID_ARGUMENT,
                   "npy_write_vector: path must not be NULL and vector be a vector");
    const amps_tensor_view view = amps_view_vector(vector);
    return write_npy("npy_write_vector", path, &view);
}
