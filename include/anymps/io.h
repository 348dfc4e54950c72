/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/io.h: NumPy .npy and .safetensors files as matrices and vectors.
 *
 * A file is opened once, memory-mapped, and lists named tensors; each can become a matrix or a vector
 * over the mapped bytes without a copy. A file that is not what it says is refused when opened, before
 * any tensor is used. .npy holds one tensor, named "". Source: NumPy's numpy.lib.format, versions 1.0 to
 * 3.0; the safetensors format description.
 *
 * Example:
 *
 *     anymps_file *file = NULL;
 *     anymps_matrix *embeddings = NULL;
 *     size_t index = 0;
 *     bool transposed = false;                                // true for an array in Fortran order
 *     anymps_status status = anymps_file_open("model.safetensors", &file);
 *     if (status == ANYMPS_OK)
 *         status = anymps_file_find(file, "embeddings.word_embeddings.weight", &index);
 *     if (status == ANYMPS_OK)
 *         status = anymps_file_load_matrix(file, index, device, NULL, &embeddings, &transposed);
 *     anymps_matrix_release(embeddings);                      // keeps the file mapped until here
 *     anymps_file_release(file);
 *     return status;
 */
#ifndef ANYMPS_IO_H
#define ANYMPS_IO_H

#include <anymps/matrix.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct anymps_file anymps_file; /* an opened file of tensors; counted */

/* Most dimensions of a tensor that a file may hold. */
enum { ANYMPS_FILE_MAX_RANK = 8 };

/* What a tensor of a file is. `name` lives as long as the file. */
typedef struct anymps_file_tensor {
    size_t struct_size;
    const char *name;                   /* UTF-8; "" in an .npy file */
    anymps_dtype dtype;                 /* the element type as stored */
    size_t rank;                        /* 0 (a scalar) … ANYMPS_FILE_MAX_RANK */
    size_t shape[ANYMPS_FILE_MAX_RANK]; /* slowest first */
    bool column_major;                  /* .npy Fortran order: read as the transposed view */
    bool swapped;                       /* the other byte order: reading copies */
    size_t offset_bytes;                /* of the first element in the file */
    size_t length_bytes;                /* of all elements in the file */
} anymps_file_tensor;
#define ANYMPS_FILE_TENSOR_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(anymps_file_tensor), NULL, ANYMPS_DTYPE_INVALID, 0, {0}, false, false, 0, 0                             \
    }

/*
 * Opens and checks a file; the kind is told from its first bytes, not from its name.
 *
 * INVALID_ARGUMENT: null. IO: cannot be opened or mapped (backend_code is errno). BAD_FORMAT: neither
 * kind, truncated, trailing bytes, header over 100 MB, bad JSON, unknown type, ranges that overlap,
 * leave gaps or pass the end, names given twice. UNSUPPORTED: a type that anymps lacks (NumPy: object,
 * complex, structured, …; safetensors: F8, F4, C64, …), more than ANYMPS_FILE_MAX_RANK dimensions.
 * OUT_OF_MEMORY. Changing the file while it is open is undefined, as with every
 * memory map. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_file_open(const char *path, anymps_file **file);
/* As anymps_file_open over bytes in memory, which are borrowed until the file and every matrix of it
   are released. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_file_open_bytes(const void *bytes, size_t length_bytes,
                                                                anymps_file **file);
ANYMPS_API anymps_file *anymps_file_retain(anymps_file *file);
/* Gives a reference back; NULL is allowed; matrices over its bytes keep the file. Since: 0.1. */
ANYMPS_API void anymps_file_release(anymps_file *file);

/* How many tensors it holds; 0 for NULL. Since: 0.1. */
ANYMPS_API size_t anymps_file_count(const anymps_file *file);
/* Describes tensor `index`. INVALID_ARGUMENT: null, struct_size, index. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_file_get_tensor(const anymps_file *file, size_t index,
                                                                anymps_file_tensor *tensor);
/* Finds a tensor by name; a file with one tensor finds it also under NULL. INVALID_ARGUMENT: null, or
   no such name (the message has the nearest). Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_file_find(const anymps_file *file, const char *name, size_t *index);

/* How a tensor becomes a matrix. */
typedef struct anymps_load_desc {
    size_t struct_size;
    anymps_dtype convert_to; /* INVALID: keep the stored type; else convert, which copies: one rounding
                                to nearest even; integers clamp, NaN becomes 0 in them; floats beyond
                                the type become infinity. The only way to read f64 for an operator. */
    bool forbid_copy;        /* UNSUPPORTED instead of a copy (conversion, byte order, alignment) */
    uint32_t flags;          /* ANYMPS_CONSTANT or 0, for the matrix descriptor */
} anymps_load_desc;
#define ANYMPS_LOAD_DESC_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(anymps_load_desc), ANYMPS_DTYPE_INVALID, false, 0                                                       \
    }

/*
 * Makes a matrix (rank 2; rank 3: a batch; rank 1: one row; rank 0: 1 × 1) or a vector (rank 1, or rank
 * 2: a batch of vectors) of tensor `index` on `device`. `desc` may be NULL.
 *
 * The buffer is read-only and without a copy where the element type needs none and the bytes are
 * aligned to the element; anymps_buffer_copy_reason of its buffer tells otherwise. A column-major 2-D
 * tensor gives the matrix of its transpose and sets `*transposed` (not NULL), which callers hand to
 * transpose flags.
 * INVALID_ARGUMENT: null, index. SHAPE_MISMATCH: the rank does not fit; column-major of rank 3 (vectors:
 * of rank 2); a batch of none. UNSUPPORTED: a copy would be needed and may not. OUT_OF_MEMORY. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_file_load_matrix(anymps_file *file, size_t index, anymps_device *device,
                                                                 const anymps_load_desc *desc, anymps_matrix **matrix,
                                                                 bool *transposed);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_file_load_vector(anymps_file *file, size_t index, anymps_device *device,
                                                                 const anymps_load_desc *desc, anymps_vector **vector);

/*
 * Writes a matrix (rank 2; several matrices: rank 3) as .npy version 1.0, little-endian, C order; bf16,
 * which NumPy lacks, is widened to f32. The file appears whole or not at all: it is written beside its
 * place, flushed and renamed. A symbolic link stays, what it names is replaced. A device, a pipe and a path below
 * /dev (/dev/stdout) are written straight.
 * INVALID_ARGUMENT: null. IO: as errno says. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_npy_write(const char *path, const anymps_matrix *matrix);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_npy_write_vector(const char *path, const anymps_vector *vector);

/* One tensor to write: exactly one of `matrix` and `vector` is not NULL. */
typedef struct anymps_safetensors_entry {
    const char *name;
    const anymps_matrix *matrix;
    const anymps_vector *vector;
} anymps_safetensors_entry;

/*
 * Writes `count` tensors as one .safetensors file, in the given order, whole or not at all.
 * INVALID_ARGUMENT: null, a name twice, reserved ("__metadata__") or not UTF-8. IO. OUT_OF_MEMORY.
 * Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_safetensors_write(const char *path,
                                                                  const anymps_safetensors_entry *entries,
                                                                  size_t count);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_IO_H */
