/* SPDX-License-Identifier: Apache-2.0 */
/* operand.c: see operand.h. Calls the public API and the C library. */
#include "operand.h"

#include "number.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD_BYTES = 96 };

const char *operand_layout_name(operand_layout layout)
{
    static const char *const names[LAYOUT_COUNT] = {"tight", "edge", "pad", "origin", "stack", "side"};
    return names[layout];
}

static bool allocate(operand *self, size_t offset, size_t needed, seeded *random)
{
    const size_t lead = self->at_edge ? 0 : GUARD_BYTES;
    self->offset_bytes = lead + offset;
    /* An empty operand still needs a buffer, which may not be empty. */
    const size_t body = needed == 0 && self->at_edge ? anymps_dtype_bytes(self->dtype) : needed;
    self->bytes = self->offset_bytes + body + (self->at_edge ? 0 : GUARD_BYTES);
    self->before = malloc(self->bytes);
    self->after = malloc(self->bytes);
    if (self->before == NULL || self->after == NULL) {
        operand_free(self);
        return false;
    }
    number_poison(self->before, self->bytes, (unsigned)seeded_below(random, 61));
    memcpy(self->after, self->before, self->bytes);
    return true;
}

/* Strides of the layout, for a stored matrix of the descriptor's rows and columns. */
static size_t lay_out(anymps_matrix_desc *desc, operand_layout layout, size_t element, seeded *random)
{
    const size_t padding = (1 + seeded_below(random, 7)) * element;
    desc->row_bytes = desc->columns * element;
    if (layout == LAYOUT_PADDED || layout == LAYOUT_STACKED || layout == LAYOUT_ORIGIN) {
        desc->row_bytes += padding;
    }
    desc->matrix_bytes = desc->rows * desc->row_bytes;
    if (layout == LAYOUT_STACKED) {
        desc->matrix_bytes += seeded_below(random, 2) * desc->row_bytes;
    }
    if (layout == LAYOUT_SIDE && desc->matrices > 1) {
        desc->matrix_bytes = desc->columns * element + padding;
        desc->row_bytes = desc->matrices * desc->matrix_bytes + seeded_below(random, 3) * element;
    }
    return layout == LAYOUT_PADDED || layout == LAYOUT_SIDE ? (1 + seeded_below(random, 5)) * element : 0;
}

static size_t needed_bytes(const anymps_matrix_desc *desc, size_t element)
{
    if (desc->rows == 0 || desc->columns == 0) {
        return 0;
    }
    return (desc->matrices - 1) * desc->matrix_bytes + (desc->rows - 1) * desc->row_bytes + desc->columns * element;
}

bool operand_init(operand *self, anymps_dtype dtype, size_t rows, size_t columns, size_t matrices,
                  operand_layout layout, seeded *random)
{
    const size_t element = anymps_dtype_bytes(dtype);
    const bool batched = layout == LAYOUT_STACKED || layout == LAYOUT_SIDE;
    *self = (operand){.used = true, .dtype = dtype, .rows = rows, .columns = columns};
    self->matrices = batched ? matrices : 1;
    self->at_edge = layout == LAYOUT_EDGE;
    self->desc = anymps_matrix_desc_make(rows, columns, dtype);
    self->desc.matrices = self->matrices;
    if (layout == LAYOUT_ORIGIN) {
        self->origin = (anymps_origin){seeded_below(random, 4), seeded_below(random, 6)};
        self->desc.rows += self->origin.row + seeded_below(random, 3);
        self->desc.columns += self->origin.column + seeded_below(random, 4);
    }
    const size_t offset = lay_out(&self->desc, layout, element, random);
    return allocate(self, offset, needed_bytes(&self->desc, element), random);
}

bool operand_init_vector(operand *self, anymps_dtype dtype, size_t length, size_t vectors, operand_layout layout,
                         seeded *random)
{
    const size_t element = anymps_dtype_bytes(dtype);
    const bool batched = layout == LAYOUT_STACKED || layout == LAYOUT_SIDE;
    *self = (operand){.used = true, .is_vector = true, .dtype = dtype, .rows = 1, .columns = length};
    self->matrices = batched ? vectors : 1;
    self->at_edge = layout == LAYOUT_EDGE;
    if (layout == LAYOUT_ORIGIN) {
        self->origin.row = seeded_below(random, 5); /* a vector's first element */
    }
    self->desc = anymps_matrix_desc_make(1, self->origin.row + length, dtype);
    self->desc.matrices = self->matrices;
    self->desc.row_bytes = self->desc.columns * element;
    self->desc.matrix_bytes = self->desc.row_bytes + (batched ? seeded_below(random, 4) * element : 0);
    const size_t offset = layout == LAYOUT_PADDED ? (1 + seeded_below(random, 5)) * element : 0;
    return allocate(self, offset, needed_bytes(&self->desc, element), random);
}

void operand_free(operand *self)
{
    free(self->before);
    free(self->after);
    *self = (operand){.used = false};
}

size_t operand_place(const operand *self, size_t b, size_t i, size_t j)
{
    const size_t matrix = self->matrices == 1 ? 0 : b;
    const size_t start = self->offset_bytes + matrix * self->desc.matrix_bytes;
    if (self->is_vector) {
        return start + (self->origin.row + j) * anymps_dtype_bytes(self->dtype);
    }
    return start + (self->origin.row + i) * self->desc.row_bytes +
           (self->origin.column + j) * anymps_dtype_bytes(self->dtype);
}

double operand_before(const operand *self, size_t b, size_t i, size_t j)
{
    return number_get(self->dtype, self->before + operand_place(self, b, i, j));
}

double operand_after(const operand *self, size_t b, size_t i, size_t j)
{
    return number_get(self->dtype, self->after + operand_place(self, b, i, j));
}

void operand_set(operand *self, size_t b, size_t i, size_t j, double value)
{
    number_put(self->dtype, self->before + operand_place(self, b, i, j), value);
}

void operand_fill(operand *self, double low, double high, seeded *random)
{
    for (size_t b = 0; b < self->matrices; b++) {
        for (size_t i = 0; i < self->rows; i++) {
            for (size_t j = 0; j < self->columns; j++) {
                operand_set(self, b, i, j, seeded_between(random, low, high));
            }
        }
    }
}

bool operand_untouched(const operand *self, size_t first, size_t count, size_t *where)
{
    /* A copy of `before` with the result's own elements taken from `after` must equal `after`. */
    unsigned char *allowed = malloc(self->bytes);
    if (allowed == NULL) {
        *where = 0;
        return false;
    }
    memcpy(allowed, self->before, self->bytes);
    const size_t row_length = self->columns * anymps_dtype_bytes(self->dtype);
    const size_t end = self->matrices == 1 ? (count > 0 ? 1 : 0) : first + count;
    for (size_t b = self->matrices == 1 ? 0 : first; self->is_result && b < end; b++) {
        for (size_t i = 0; i < self->rows && self->columns > 0; i++) {
            const size_t at = operand_place(self, b, i, 0);
            memcpy(allowed + at, self->after + at, row_length);
        }
    }
    size_t at = 0;
    while (at < self->bytes && allowed[at] == self->after[at]) {
        at++;
    }
    free(allowed);
    *where = at;
    return at == self->bytes;
}

/* Memory whose last byte is followed by a page that may not be touched. */
static anymps_status wrap_at_edge(const operand *self, anymps_device *device, placed *at)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t body = (self->bytes + page - 1) / page * page;
    at->pages_bytes = body + page;
    at->pages = mmap(NULL, at->pages_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at->pages == MAP_FAILED) {
        at->pages = NULL;
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (mprotect((unsigned char *)at->pages + body, page, PROT_NONE) != 0) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    wrap.bytes = (unsigned char *)at->pages + body - self->bytes;
    wrap.length_bytes = self->bytes;
    return anymps_buffer_wrap(device, &wrap, &at->buffer);
}

anymps_status operand_place_on(const operand *self, anymps_device *device, placed *at)
{
    *at = (placed){.buffer = NULL};
    if (!self->used) {
        return ANYMPS_OK;
    }
    anymps_status status = self->at_edge
                               ? wrap_at_edge(self, device, at)
                               : anymps_buffer_create(device, self->bytes, ANYMPS_STORAGE_SHARED, &at->buffer);
    if (status == ANYMPS_OK && self->is_vector) {
        anymps_vector_desc desc = anymps_vector_desc_make(self->desc.columns, self->dtype);
        desc.vectors = self->matrices;
        desc.vector_bytes = self->desc.matrix_bytes;
        status = anymps_vector_create(at->buffer, self->offset_bytes, &desc, &at->vector);
    } else if (status == ANYMPS_OK) {
        status = anymps_matrix_create(at->buffer, self->offset_bytes, &self->desc, &at->matrix);
    }
    if (status != ANYMPS_OK) {
        placed_release(at);
    }
    return status;
}

anymps_status operand_upload(const operand *self, const placed *at)
{
    return self->used ? anymps_buffer_write(at->buffer, 0, self->before, self->bytes) : ANYMPS_OK;
}

anymps_status operand_download(const placed *at, unsigned char *bytes, size_t length)
{
    return at->buffer != NULL ? anymps_buffer_read(at->buffer, 0, bytes, length) : ANYMPS_OK;
}

void placed_release(placed *at)
{
    anymps_matrix_release(at->matrix);
    anymps_vector_release(at->vector);
    anymps_buffer_release(at->buffer);
    if (at->pages != NULL) {
        (void)munmap(at->pages, at->pages_bytes);
    }
    *at = (placed){.buffer = NULL};
}
