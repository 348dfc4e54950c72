/* SPDX-License-Identifier: Apache-2.0 */
/* pack_low.c: see pack_low.h. */
#include "backend/cpu/pack_low.h"

#include "base/checked.h"

#include <string.h>

/* STAGE words of STAGE_LINES lines are turned around at a time; rows are interleaved RUN words of k at a time, so that
   the pages that a run touches stay in the first level of the TLB or close by. */
enum { STAGE_LINES = 16, STAGE = 128, RUN = 32, WORD_BYTES = 4 };

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

void amps_low_pack(const amps_low_layout *layout, const amps_pack_source *source, size_t x0, size_t count, size_t w0,
                   size_t words, uint32_t *to)
{
    const size_t group = layout->low->group, width = layout->width;
    const size_t panel_words = amps_low_panel_words(width, words), rest = count % width;
    block b = {layout,    source, x0, count, w0 * group, amps_min(words * group, layout->interior - w0 * group),
               to + width};
    if (rest != 0) {
        memset(b.to + count / width * panel_words, 0, (panel_words - width) * sizeof *to);
    }
    if (source->across == 1) {
        panels_across(&b, panel_words);
    }
    for (size_t x = 0; x < count; x += width, to += panel_words) {
        if (source->across != 1) {
            b.x = x0 + x;
            b.count = amps_min(width, count - x);
            b.to = to + width;
            panel_along(&b);
        }
        if (layout->low->seal != NULL) {
            layout->low->seal(to, width, words, layout->left);
        }
    }
}
