/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.h: a file that appears whole or not at all, and the elements of matrices and vectors as a run of
 * bytes. Used by npy_write.c and safetensors_write.c.
 *
 *     ANYMPS_TRY(amps_write_begin(&w, "npy_write", path));
 *     status = amps_write_bytes(&w, …);  …
 *     return amps_write_end(&w, status);   // renames, or removes what was begun; gives `status` or its own
 */
#ifndef AMPS_WRITE_H
#define AMPS_WRITE_H

#include <anymps/matrix.h>

typedef struct amps_write {
    const char *operation; /* for messages */
    const char *path;      /* borrowed */
    char *target;          /* what `path` leads to, NULL where it is no symbolic link */
    char *temporary;       /* written beside the place; NULL: that is no regular file, written straight */
    unsigned char *stage;  /* small writes are gathered here */
    size_t staged_bytes;
    int descriptor;
} amps_write;

anymps_status amps_write_begin(amps_write *w, const char *operation, const char *path);
anymps_status amps_write_bytes(amps_write *w, const void *bytes, size_t length_bytes);
anymps_status amps_write_end(amps_write *w, anymps_status status);

/* A matrix or vector as a file sees it: rank 1 … 3, slowest first. */
typedef struct amps_tensor_view {
    anymps_buffer *buffer; /* borrowed */
    size_t offset_bytes;
    size_t rank;
    size_t shape[3];
    size_t rows, columns, matrices, row_bytes, matrix_bytes; /* as in anymps_matrix_desc */
    anymps_dtype dtype;
} amps_tensor_view;

amps_tensor_view amps_view_matrix(const anymps_matrix *matrix);
amps_tensor_view amps_view_vector(const anymps_vector *vector);

/* Its elements, C order, without padding, as `dtype`. */
anymps_status amps_write_elements(amps_write *w, const amps_tensor_view *view, anymps_dtype dtype);

#endif /* AMPS_WRITE_H */
