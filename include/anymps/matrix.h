/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/matrix.h: descriptors, matrices and vectors as views of buffers.
 *
 * A matrix object is one or more equally shaped row-major matrices in a buffer (MPSMatrix); a vector
 * object one or more vectors (MPSVector). Making one copies nothing and proves that every element lies
 * in the buffer. Element (i, j) of matrix k is at byte
 *
 *     offset_bytes + k * matrix_bytes + i * row_bytes + j * element size
 *
 * Example:
 *
 *     anymps_matrix_desc desc = anymps_matrix_desc_make(64, 32, ANYMPS_DTYPE_F16);
 *     anymps_matrix *heads = NULL;                            // 12 heads of 64 x 32, side by side in rows of 384
 *     desc.matrices = 12;
 *     desc.row_bytes = 12 * 32 * 2;
 *     desc.matrix_bytes = 32 * 2;
 *     anymps_status status = anymps_matrix_create(buffer, 0, &desc, &heads);
 *     anymps_matrix_release(heads);
 *     return status;
 */
#ifndef ANYMPS_MATRIX_H
#define ANYMPS_MATRIX_H

#include <anymps/buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct anymps_matrix anymps_matrix; /* a view of a buffer as matrices; counted */
typedef struct anymps_vector anymps_vector; /* a view of a buffer as vectors; counted */

/* Flags of a descriptor. */
enum {
    /* The bytes will not change while the matrix object lives (weights). A device may then keep a
       rearranged copy beside it. Changing the bytes all the same gives old or new values. On the CPU that is the
       right operand of a product with two rows or more: its copy (of the elements as f32) is made by the first
       product, counted as a block, and goes with the matrix; all copies of a device take at most
       ANYMPS_PACKED_BYTES, else a quarter of the memory, and without room products run as if it were not there,
       with the same bits. The flag itself may choose another order of summation. */
    ANYMPS_CONSTANT = 1u
};

/*
 * Shape and layout of a matrix (MPSMatrixDescriptor). A plain struct: copy it, keep it, compare it.
 *
 * Rules, checked when a matrix is made from it:
 *   - `row_bytes` is a multiple of the element size and at least columns * element size;
 *   - several matrices lie either one after the other: `matrix_bytes` is a multiple of `row_bytes` and
 *     at least rows * row_bytes (as MPS has it), or side by side within each row: `matrix_bytes` is a
 *     multiple of the element size, at least columns * element size, and matrices * matrix_bytes is at
 *     most `row_bytes` (attention heads; MPS lacks this form, the Metal device runs it matrix by matrix);
 *   - the bytes needed are (matrices-1)*matrix_bytes + (rows-1)*row_bytes + columns*element size: the
 *     last row needs no padding.
 * Zero rows or columns are allowed: such a matrix has no elements and operators on it do what their
 * formula says for empty sums.
 */
typedef struct anymps_matrix_desc {
    size_t struct_size;
    size_t rows;         /* of each matrix */
    size_t columns;      /* of each matrix */
    size_t matrices;     /* 0 means 1 */
    size_t row_bytes;    /* bytes from a row to the next; 0 means columns * element size */
    size_t matrix_bytes; /* bytes from a matrix to the next; 0 means rows * row_bytes */
    anymps_dtype dtype;  /* of every element */
    uint32_t flags;      /* ANYMPS_CONSTANT or 0 */
} anymps_matrix_desc;
#define ANYMPS_MATRIX_DESC_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(anymps_matrix_desc), 0, 0, 1, 0, 0, ANYMPS_DTYPE_F32, 0                                                 \
    }

/* Shape and layout of a vector (MPSVectorDescriptor): element i of vector k is at byte
   offset_bytes + k * vector_bytes + i * element size. `vector_bytes` is a multiple of the element size
   and at least length * element size. */
typedef struct anymps_vector_desc {
    size_t struct_size;
    size_t length;       /* elements of each vector */
    size_t vectors;      /* 0 means 1 */
    size_t vector_bytes; /* bytes from a vector to the next; 0 means length * element size */
    anymps_dtype dtype;  /* of every element */
    uint32_t flags;      /* ANYMPS_CONSTANT or 0 */
} anymps_vector_desc;
#define ANYMPS_VECTOR_DESC_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(anymps_vector_desc), 0, 1, 0, ANYMPS_DTYPE_F32, 0                                                       \
    }

/* A tight descriptor of one rows × columns matrix. Since: 0.1. */
static inline anymps_matrix_desc anymps_matrix_desc_make(size_t rows, size_t columns, anymps_dtype dtype)
{
    anymps_matrix_desc desc = ANYMPS_MATRIX_DESC_INIT;
    desc.rows = rows;
    desc.columns = columns;
    desc.dtype = dtype;
    return desc;
}

/* A tight descriptor of one vector. Since: 0.1. */
static inline anymps_vector_desc anymps_vector_desc_make(size_t length, anymps_dtype dtype)
{
    anymps_vector_desc desc = ANYMPS_VECTOR_DESC_INIT;
    desc.length = length;
    desc.dtype = dtype;
    return desc;
}

/*
 * The recommended distance between rows: the row's bytes rounded up to 64, so that rows start on a
 * cache line. Advice for speed, never a requirement. 0 if the type is none or the size overflows.
 * Source: +[MPSMatrixDescriptor rowBytesForColumns:dataType:]. Since: 0.1.
 */
ANYMPS_API size_t anymps_matrix_row_bytes(size_t columns, anymps_dtype dtype);

/*
 * Fills the zero fields in as documented above and checks the rules; `needed_bytes` (may be NULL)
 * receives the bytes from the first element to the last. Nothing is changed on failure.
 * INVALID_ARGUMENT: null, no type, a stride that breaks a rule, sizes that overflow. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_desc_resolve(anymps_matrix_desc *desc, size_t *needed_bytes);

/* The same for a vector's descriptor. Statuses as anymps_matrix_desc_resolve. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_vector_desc_resolve(anymps_vector_desc *desc, size_t *needed_bytes);

/*
 * Makes a matrix over `buffer` from byte `offset_bytes` on; the buffer is kept until the matrix goes.
 *
 * INVALID_ARGUMENT: null; a broken descriptor rule; `offset_bytes` not a multiple of the element size.
 * SHAPE_MISMATCH: the last element lies past the end of the buffer (the message has both numbers).
 * Source: -[MPSMatrix initWithBuffer:offset:descriptor:]. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_create(anymps_buffer *buffer, size_t offset_bytes,
                                                              const anymps_matrix_desc *desc, anymps_matrix **matrix);

/*
 * Makes a matrix with a zeroed SHARED buffer of its own (MANAGED where the device has no shared
 * memory worth using is never chosen for you). Statuses as anymps_matrix_create, OUT_OF_MEMORY.
 * Source: -[MPSMatrix initWithDevice:descriptor:]. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_create_on(anymps_device *device, const anymps_matrix_desc *desc,
                                                                 anymps_matrix **matrix);

/* Adds a reference and returns `matrix`. NULL stays NULL. Since: 0.1. */
ANYMPS_API anymps_matrix *anymps_matrix_retain(anymps_matrix *matrix);

/* Gives a reference back; NULL is allowed; work in flight keeps the matrix. Since: 0.1. */
ANYMPS_API void anymps_matrix_release(anymps_matrix *matrix);

/* The resolved descriptor: no zero strides. All zero for NULL. Since: 0.1. */
ANYMPS_API anymps_matrix_desc anymps_matrix_get_desc(const anymps_matrix *matrix);

/* The buffer, borrowed. Since: 0.1. */
ANYMPS_API anymps_buffer *anymps_matrix_buffer(const anymps_matrix *matrix);

/* Byte of the buffer at which element (0, 0) of the first matrix lies. Since: 0.1. */
ANYMPS_API size_t anymps_matrix_offset_bytes(const anymps_matrix *matrix);

/* Address of element (0, 0) for the host; NULL where the buffer has no contents. Since: 0.1. */
ANYMPS_API void *anymps_matrix_contents(const anymps_matrix *matrix);

/*
 * Makes a vector object over `buffer` from byte `offset_bytes` on; the buffer is kept until it goes.
 *
 * INVALID_ARGUMENT: null; a broken descriptor rule; `offset_bytes` not a multiple of the element size.
 * SHAPE_MISMATCH: the last element lies past the end of the buffer (the message has both numbers).
 * Source: -[MPSVector initWithBuffer:offset:descriptor:]. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_vector_create(anymps_buffer *buffer, size_t offset_bytes,
                                                              const anymps_vector_desc *desc, anymps_vector **vector);

/*
 * Makes a vector object with a zeroed SHARED buffer of its own. Statuses as anymps_vector_create,
 * OUT_OF_MEMORY. Source: -[MPSVector initWithDevice:descriptor:]. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_vector_create_on(anymps_device *device, const anymps_vector_desc *desc,
                                                                 anymps_vector **vector);

/* Adds a reference and returns `vector`. NULL stays NULL. Since: 0.1. */
ANYMPS_API anymps_vector *anymps_vector_retain(anymps_vector *vector);

/* Gives a reference back; NULL is allowed; work in flight keeps the vector. Since: 0.1. */
ANYMPS_API void anymps_vector_release(anymps_vector *vector);

/* The resolved descriptor: no zero stride. All zero for NULL. Since: 0.1. */
ANYMPS_API anymps_vector_desc anymps_vector_get_desc(const anymps_vector *vector);

/* The buffer, borrowed. Since: 0.1. */
ANYMPS_API anymps_buffer *anymps_vector_buffer(const anymps_vector *vector);

/* Byte of the buffer at which element 0 of the first vector lies. Since: 0.1. */
ANYMPS_API size_t anymps_vector_offset_bytes(const anymps_vector *vector);

/* Address of element 0 for the host; NULL where the buffer has no contents. Since: 0.1. */
ANYMPS_API void *anymps_vector_contents(const anymps_vector *vector);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_MATRIX_H */
