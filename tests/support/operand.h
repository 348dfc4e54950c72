/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operand.h: one operand of a test case: where it lies, what its bytes were before and are after.
 *
 * The bytes of the whole buffer are kept twice, before and after the run. All that takes no part (guard
 * zones, row padding, what lies outside the origin, the gaps between matrices) is NaN poison, so that a
 * read of it spoils the result and a write of it is seen.
 *
 *     | guard | offset | row 0 … | padding | row 1 … | … last row | guard |
 *
 * An operand at the edge has no guard: its last byte is the last of a page, and the page after it may not
 * be touched. Public API only.
 */
#ifndef TEST_OPERAND_H
#define TEST_OPERAND_H

#include <anymps/anymps.h>

#include "seeded.h"

/* How operands lie in their buffers; the words of case names. */
typedef enum operand_layout {
    LAYOUT_TIGHT,   /* one matrix, no padding */
    LAYOUT_EDGE,    /* tight, ending where memory ends */
    LAYOUT_PADDED,  /* rows padded, odd offset */
    LAYOUT_ORIGIN,  /* part of a larger matrix */
    LAYOUT_STACKED, /* several matrices one after the other, with a gap */
    LAYOUT_SIDE,    /* several matrices side by side in each row */
    LAYOUT_COUNT
} operand_layout;

typedef struct operand {
    bool used;      /* false: NULL is encoded */
    bool is_vector; /* one row per vector */
    bool is_result; /* may change where it takes part */
    anymps_dtype dtype;
    size_t rows, columns; /* of the part that takes part, as stored */
    size_t matrices;      /* 1: serves the whole batch */
    anymps_origin origin;
    size_t offset_bytes; /* of the descriptor's element (0, 0) */
    anymps_matrix_desc desc;
    bool at_edge;

    size_t bytes;          /* of the buffer */
    unsigned char *before; /* what is uploaded */
    unsigned char *after;  /* what is read back */
} operand;

/*
 * Lays an operand of rows × columns (as stored) out and fills `before` with poison. `matrices` is made 1
 * by layouts that have one matrix. Sizes vary with `random`. False if memory is short.
 */
bool operand_init(operand *self, anymps_dtype dtype, size_t rows, size_t columns, size_t matrices,
                  operand_layout layout, seeded *random);

/* As operand_init, for `vectors` vectors of `length` elements. */
bool operand_init_vector(operand *self, anymps_dtype dtype, size_t length, size_t vectors, operand_layout layout,
                         seeded *random);

void operand_free(operand *self);

/* Byte of element (i, j) of the part that takes part, of matrix `b`. */
size_t operand_place(const operand *self, size_t b, size_t i, size_t j);

/* Its value before or after; matrix 0 serves every `b` if there is one. */
double operand_before(const operand *self, size_t b, size_t i, size_t j);
double operand_after(const operand *self, size_t b, size_t i, size_t j);
void operand_set(operand *self, size_t b, size_t i, size_t j, double value);

/* Values in [low, high) wherever it takes part, rounded to the type. */
void operand_fill(operand *self, double low, double high, seeded *random);

/*
 * Did only what may change change? Elements of matrices [first, first + count) of a result may; nothing
 * else. `*where` receives the first byte that did.
 */
bool operand_untouched(const operand *self, size_t first, size_t count, size_t *where);

/* An operand's objects on one device. */
typedef struct placed {
    anymps_buffer *buffer;
    anymps_matrix *matrix;
    anymps_vector *vector;
    void *pages; /* of an operand at the edge */
    size_t pages_bytes;
} placed;

/* Makes buffer and view on a device. The status is the library's. */
anymps_status operand_place_on(const operand *self, anymps_device *device, placed *at);
anymps_status operand_upload(const operand *self, const placed *at);
anymps_status operand_download(const placed *at, unsigned char *bytes, size_t length);
void placed_release(placed *at);

const char *operand_layout_name(operand_layout layout);

#endif /* TEST_OPERAND_H */
