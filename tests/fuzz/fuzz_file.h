/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_file.h: what fuzz_npy.c and fuzz_safetensors.c do with the bytes of a file. Public API only. */
#ifndef FUZZ_FILE_H
#define FUZZ_FILE_H

#include <anymps/anymps.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void fuzz_require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* One device for all inputs: opening one is not what is tried here. */
static inline anymps_device *fuzz_device(void)
{
    static anymps_device *device;
    if (device == NULL) {
        anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
        desc.id = "cpu";
        desc.threads = 1;
        fuzz_require(anymps_device_open(&desc, &device) == ANYMPS_OK);
    }
    return device;
}

/* Loads tensor `index` in both ways and as f64; what is described lies within the file. */
static inline void fuzz_tensor(anymps_file *file, size_t index, size_t length)
{
    anymps_file_tensor t = ANYMPS_FILE_TENSOR_INIT;
    anymps_load_desc wide = ANYMPS_LOAD_DESC_INIT;
    size_t found = SIZE_MAX;
    fuzz_require(anymps_file_get_tensor(file, index, &t) == ANYMPS_OK);
    fuzz_require(t.rank <= ANYMPS_FILE_MAX_RANK && t.offset_bytes <= length &&
                 t.length_bytes <= length - t.offset_bytes);
    fuzz_require(anymps_file_find(file, t.name, &found) == ANYMPS_OK && found == index);
    wide.convert_to = ANYMPS_DTYPE_F64;
    for (int i = 0; i < 2; i++) {
        anymps_matrix *matrix = NULL;
        anymps_vector *vector = NULL;
        bool transposed = false;
        const anymps_load_desc *const desc = i == 0 ? NULL : &wide;
        if (anymps_file_load_matrix(file, index, fuzz_device(), desc, &matrix, &transposed) == ANYMPS_OK) {
            const anymps_buffer *const buffer = anymps_matrix_buffer(matrix);
            unsigned char *const copy = malloc(anymps_buffer_length(buffer));
            if (copy != NULL) {
                fuzz_require(anymps_buffer_read(buffer, 0, copy, anymps_buffer_length(buffer)) == ANYMPS_OK);
            }
            free(copy);
        }
        if (anymps_file_load_vector(file, index, fuzz_device(), desc, &vector) == ANYMPS_OK) {
            fuzz_require(anymps_vector_get_desc(vector).length <= length + 1 || t.length_bytes == 0);
        }
        anymps_matrix_release(matrix);
        anymps_vector_release(vector);
    }
}

static inline void fuzz_file(const unsigned char *bytes, size_t length)
{
    anymps_file *file = NULL;
    (void)fuzz_device(); /* its own objects do not count below */
    const size_t live = anymps_live_counts().blocks;
    unsigned char *const exact = malloc(length > 0 ? length : 1); /* so that ASan sees the end */
    if (exact == NULL) {
        return;
    }
    memcpy(exact, bytes, length);
    if (anymps_file_open_bytes(exact, length, &file) == ANYMPS_OK) {
        for (size_t i = 0; i < anymps_file_count(file); i++) {
            fuzz_tensor(file, i, length);
        }
        anymps_file_release(file);
    } else {
        fuzz_require(file == NULL && anymps_last_error()->message[0] != '\0');
    }
    free(exact);
    fuzz_require(anymps_live_counts().blocks == live);
}

#endif /* FUZZ_FILE_H */
