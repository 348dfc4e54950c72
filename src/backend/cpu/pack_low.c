/* SPDX-License-Identifier: Apache-2.0 */
/* pack_low.c: see pack_low.h. */
#include "backend/cpu/pack_low.h"

#include "base/checked.h"

#include <assert.h>
#include <string.h>

/* STAGE words of STAGE_LINES lines are turned around at a time; rows are interleaved RUN words of k at a time, so that
   the pages that a run touches stay in the first level of the TLB or close by. */
enum { STAGE_LINES = 16, STAGE = 128, RUN = 32, WORD_BYTES = 4 };
/* The largest step and panel of `step` microkernels. */
enum { STEP_WORDS = 32, STEP_ROWS = 32 };

/* One panel: `count` elements across from `x` on, k from `k` on, `interior` of them. */
typedef struct block {
    const amps_low_layout *layout;
    const amps_pack_source *source;
    size_t x, count, k, interior;
    uint32_t *to; /* behind the head */
} block;

static const unsigned char *element(const block *b, size_t x, size_t k)
{
    const amps_pack_source *s = b->source;
    return s->base + ((b->x + x) * s->across + (b->k + k) * s->along) * b->layout->low->element;
}

/* n elements of `lines` lines from x and k on as words in the stage; where those of a line do not lie side by side they
   are collected first. */
static void take_lines(const block *b, size_t x, size_t lines, size_t k, size_t n, uint32_t *stage)
{
    const amps_low_ukr *low = b->layout->low;
    unsigned char collected[STAGE * WORD_BYTES];
    if (b->source->along == 1 && low->lines != NULL) {
        low->lines(element(b, x, k), b->source->across * low->element, lines, stage, STAGE, n);
        return;
    }
    for (size_t l = 0; l < lines; l++, stage += STAGE) {
        if (b->source->along == 1) {
            memcpy(collected, element(b, x + l, k), n * low->element);
        }
        for (size_t i = 0; i < n && b->source->along != 1; i++) {
            memcpy(collected + i * low->element, element(b, x + l, k + i), low->element);
        }
        if (low->lines != NULL) {
            low->lines(collected, 0, 1, stage, STAGE, n);
        } else {
            stage[(n - 1) / low->group] = 0;
            memcpy(stage, collected, n * low->element);
        }
    }
}

/* Lines along k, turned around in blocks by way of the stage. */
static void panel_staged(const block *b, size_t first_k)
{
    const amps_low_layout *layout = b->layout;
    const size_t group = layout->low->group;
    uint32_t stage[STAGE_LINES * STAGE];
    for (size_t k = first_k; k < b->interior; k += STAGE * group) {
        const size_t n = amps_min(STAGE * group, b->interior - k);
        for (size_t x = 0; x < b->count; x += STAGE_LINES) {
            const size_t lines = amps_min(STAGE_LINES, b->count - x);
            take_lines(b, x, lines, k, n, stage);
            layout->ukr->transpose((const float *)(const void *)stage, STAGE,
                                   (float *)(void *)(b->to + k / group * layout->width + x), layout->width, lines,
                                   (n + group - 1) / group);
        }
    }
}

/* The same where whole words lie in the operand at distances of whole words. */
static void panel_along(const block *b)
{
    const amps_low_layout *layout = b->layout;
    const size_t row_bytes = b->source->across * layout->low->element;
    size_t whole = 0;
    if (b->source->along == 1 && layout->low->lines == NULL && row_bytes % WORD_BYTES == 0) {
        whole = b->interior / layout->low->group;
        layout->ukr->transpose((const float *)(const void *)element(b, 0, 0), row_bytes / WORD_BYTES,
                               (float *)(void *)b->to, layout->width, b->count, whole);
    }
    panel_staged(b, whole * layout->low->group);
}

/* All panels of rows that lie side by side across. */
static void panels_across(const block *b, size_t panel_words)
{
    const amps_low_layout *layout = b->layout;
    const size_t run = RUN * layout->low->group, row_bytes = b->source->along * layout->low->element;
    for (size_t k = 0; k < b->interior; k += run) {
        uint32_t *to = b->to + k / layout->low->group * layout->width;
        for (size_t x = 0; x < b->count; x += layout->width, to += panel_words) {
            layout->low->interleave(element(b, x, k), row_bytes, amps_min(run, b->interior - k), to, layout->width,
                                    amps_min(layout->width, b->count - x));
        }
    }
}

/* Where operands do not lie along k: a step of a panel of A. */
static void step_of_rows(const block *b, size_t k, size_t n, uint32_t *to)
{
    const amps_low_ukr *low = b->layout->low;
    uint32_t stage[STEP_WORDS * STEP_ROWS];
    if (b->source->across == 1) {
        low->interleave(element(b, 0, k), b->source->along * low->element, n, stage, low->rows, b->count);
        b->layout->ukr->transpose((const float *)(const void *)stage, low->rows, (float *)(void *)to, low->step,
                                  (n + low->group - 1) / low->group, b->count);
        return;
    }
    for (size_t x = 0; x < b->count; x++, to += low->step) {
        for (size_t i = 0; i < n; i++) {
            memcpy((unsigned char *)to + i * low->element, element(b, x, k + i), low->element);
        }
    }
}

/* A panel of A for tiles. */
static void panel_of_rows(const block *b)
{
    const amps_low_ukr *low = b->layout->low;
    const size_t step_words = low->step * low->rows, elements = low->step * low->group;
    assert(low->step <= STEP_WORDS && low->rows <= STEP_ROWS);
    if (b->source->along == 1) {
        low->pack_rows(element(b, 0, 0), b->source->across * low->element, b->count, b->interior * low->element, b->to);
        return;
    }
    uint32_t *to = b->to;
    for (size_t k = 0; k < b->interior; k += elements, to += step_words) {
        const size_t n = amps_min(elements, b->interior - k);
        if (n < elements || b->count < low->rows) {
            memset(to, 0, step_words * sizeof *to);
        }
        step_of_rows(b, k, n, to);
    }
}

/* Zeros where words or elements of panels of B are missing. */
static void fill_up(const block *b, size_t words, size_t panel_words)
{
    const size_t width = b->layout->width, filled = amps_low_filled(b->layout->low, words);
    const size_t whole = b->count / width;
    uint32_t *to = b->to;
    for (size_t p = 0; p < whole && filled > words; p++, to += panel_words) {
        memset(to + words * width, 0, (filled - words) * width * sizeof *to);
    }
    if (whole * width < b->count) {
        memset(b->to + whole * panel_words, 0, filled * width * sizeof *to);
    }
}

void amps_low_pack(const amps_low_layout *layout, const amps_pack_source *source, size_t x0, size_t count, size_t w0,
                   size_t words, uint32_t *to)
{
    const amps_low_ukr *low = layout->low;
    const size_t group = low->group, width = layout->width;
    const size_t panel_words = amps_low_panel_words(low, width, words);
    const size_t behind = width * (1 + amps_low_room(low, words) - amps_low_filled(low, words));
    const bool rows = layout->left && low->step != 0;
    block b = {layout,     source, x0, count, w0 * group, amps_min(words * group, layout->interior - w0 * group),
               to + behind};
    if (!rows) {
        fill_up(&b, words, panel_words);
    }
    if (source->across == 1 && !rows) {
        panels_across(&b, panel_words);
    }
    for (size_t x = 0; x < count; x += width, to += panel_words) {
        b.x = x0 + x;
        b.count = amps_min(width, count - x);
        b.to = to + behind;
        if (rows) {
            panel_of_rows(&b);
        } else if (source->across != 1) {
            panel_along(&b);
        }
        if (low->seal != NULL) {
            low->seal(to, width, words, layout->left);
        }
    }
}
