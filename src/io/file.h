/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h: what the readers of this folder share: the opened file and the list of its tensors.
 *
 * file.c opens, asks npy.c or safetensors.c to fill the list in, and answers questions; load.c makes
 * matrices of it. Knows buffers and matrices only through the public API.
 */
#ifndef AMPS_FILE_H
#define AMPS_FILE_H

#include <anymps/io.h>

#include "base/ref.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file readers and writers take the host to be little-endian"
#endif

/* No header may be longer: the bound of the safetensors format, kept for .npy as well. */
enum { AMPS_FILE_MAX_HEADER = 100000000 };

struct anymps_file {
    amps_object object;
    const unsigned char *bytes; /* the whole file */
    size_t length_bytes;
    bool mapped;                       /* bytes come from mmap, so that they begin on a page */
    char *names;                       /* all names, one after the other, each with its zero */
    anymps_file_tensor *tensors;       /* [count], in the file's order */
    const anymps_file_tensor **sorted; /* [count], by name */
    size_t count;
};

/* Gives the file room for `count` tensors and `names_bytes` bytes of names; all zero. */
anymps_status amps_file_reserve(anymps_file *file, size_t count, size_t names_bytes);

/* elements of the shape * element size; false if that, or the product of the sizes that are not zero,
   overflows. */
bool amps_file_tensor_bytes(const anymps_file_tensor *tensor, size_t *bytes);

/* Do the first bytes say .npy? */
bool amps_npy_is(const unsigned char *bytes, size_t length);

/* Check the file and fill its list in. On failure the file is only good for being destroyed. */
anymps_status amps_npy_read(anymps_file *file);
anymps_status amps_safetensors_read(anymps_file *file);

#endif /* AMPS_FILE_H */
