/* SPDX-License-Identifier: Apache-2.0 */
/* pack.c: see pack.h. */
#include "backend/cpu/pack.h"

#include "base/checked.h"

#include <string.h>

/* Elements of k that are widened at a time before they are turned around; 32 KiB with 16 lines. */
enum { STAGE_LINES = 16, STAGE = 256 };

/* Rows of f32 are fetched so many rows before they are copied. */
enum { FETCH_ROWS = 4, LINE_FLOATS = 16 };

static const unsigned char *element(const amps_pack_source *s, size_t x, size_t k)
{
    return s->base + (x * s->across + k * s->along) * anymps_dtype_bytes(s->dtype);
}

/* n elements side by side, widened; i8 and i16 are exact in f32. */
static void widen(const amps_row_ukr *rows, anymps_dtype dtype, const unsigned char *from, float *to, size_t n)
{
    if (dtype == ANYMPS_DTYPE_F32) {
        memcpy(to, from, n * sizeof *to);
    } else if (dtype == ANYMPS_DTYPE_F16) {
        rows->f16_to_f32((const uint16_t *)(const void *)from, to, n);
    } else if (dtype == ANYMPS_DTYPE_BF16) {
        rows->bf16_to_f32((const uint16_t *)(const void *)from, to, n);
    } else if (dtype == ANYMPS_DTYPE_I8) {
        const int8_t *x = (const int8_t *)(const void *)from;
        for (size_t i = 0; i < n; i++) {
            to[i] = (float)x[i];
        }
    } else {
        const int16_t *x = (const int16_t *)(const void *)from;
        for (size_t i = 0; i < n; i++) {
            to[i] = (float)x[i];
        }
    }
}

void amps_pack_line(const amps_row_ukr *rows, anymps_dtype dtype, const unsigned char *from, size_t step, float *to,
                    size_t n)
{
    const size_t size = anymps_dtype_bytes(dtype);
    if (step == 1) {
        widen(rows, dtype, from, to, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        widen(rows, dtype, from + i * step * size, to + i, 1);
    }
}

/* A row that is copied soon: rows lie too far apart for the processor to foresee them. */
static void fetch_row(const float *row, size_t n)
{
    for (size_t i = 0; i < n; i += LINE_FLOATS) {
        __builtin_prefetch(row + i, 0, 3);
    }
}

/* Elements side by side across: line by line through all panels, so that memory is read in its order. */
static void panels_across(const amps_gemm_ukr *ukr, const amps_row_ukr *rows, const amps_pack_source *s, size_t x,
                          size_t count, size_t k0, size_t interior, size_t width, float *to)
{
    const size_t whole = count / width, rest = count % width;
    float *last = to + whole * width * interior;
    for (size_t k = 0; k < interior; k++, to += width, last += width) {
        const unsigned char *from = element(s, x, k0 + k);
        if (s->dtype == ANYMPS_DTYPE_F32) {
            const float *line = (const float *)(const void *)from;
            if (k + FETCH_ROWS < interior) {
                fetch_row(line + FETCH_ROWS * s->along, count);
            }
            ukr->copy(line, width, to, width * interior, whole, width);
            ukr->copy(line + whole * width, 0, last, 0, 1, rest);
            continue;
        }
        const size_t size = anymps_dtype_bytes(s->dtype);
        for (size_t p = 0; p < whole; p++) {
            widen(rows, s->dtype, from + p * width * size, to + p * width * interior, width);
        }
        widen(rows, s->dtype, from + whole * width * size, last, rest);
    }
}

/* A panel whose elements lie side by side along k: turned around in blocks. */
static void panel_along(const amps_gemm_ukr *ukr, const amps_row_ukr *rows, const amps_pack_source *s, size_t x,
                        size_t count, size_t k0, size_t interior, size_t width, float *to)
{
    if (s->dtype == ANYMPS_DTYPE_F32) {
        ukr->transpose((const float *)(const void *)element(s, x, k0), s->across, to, width, count, interior);
        return;
    }
    float stage[STAGE_LINES * STAGE];
    for (size_t k = 0; k < interior; k += STAGE) {
        const size_t length = amps_min(STAGE, interior - k);
        for (size_t i = 0; i < count; i += STAGE_LINES) {
            const size_t lines = amps_min(STAGE_LINES, count - i);
            for (size_t l = 0; l < lines; l++) {
                widen(rows, s->dtype, element(s, x + i + l, k0 + k), stage + l * STAGE, length);
            }
            ukr->transpose(stage, STAGE, to + k * width + i, width, lines, length);
        }
    }
}

static void panel_any(const amps_row_ukr *rows, const amps_pack_source *s, size_t x, size_t count, size_t k0,
                      size_t interior, size_t width, float *to)
{
    for (size_t k = 0; k < interior; k++) {
        amps_pack_line(rows, s->dtype, element(s, x, k0 + k), s->across, to + k * width, count);
    }
}

void amps_pack(const amps_gemm_ukr *ukr, const amps_row_ukr *rows, const amps_pack_source *source, size_t x0,
               size_t count, size_t k0, size_t interior, size_t width, float *to)
{
    if (source->across == 1) {
        panels_across(ukr, rows, source, x0, count, k0, interior, width, to);
        return;
    }
    for (size_t x = 0; x < count; x += width, to += width * interior) {
        const size_t here = amps_min(width, count - x);
        if (source->along == 1) {
            panel_along(ukr, rows, source, x0 + x, here, k0, interior, width, to);
        } else {
            panel_any(rows, source, x0 + x, here, k0, interior, width, to);
        }
    }
}
