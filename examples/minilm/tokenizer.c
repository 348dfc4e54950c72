/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.c: uncased BERT's WordPiece. See tokenizer.h.
 *
 * Characters are normalised one by one and gathered into words; a blank, a punctuation mark or a CJK character ends
 * a word, which is then cut greedily into the longest pieces that the vocabulary has. Pieces behind the first are
 * looked up with "##" in front.
 */
#include "tokenizer.h"

#include "unicode_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words with more characters are [UNK] as a whole; the reference has the same bound. */
enum { MOST_CHARACTERS = 100, MOST_WORD_BYTES = 4 * MOST_CHARACTERS };

typedef struct slot {
    const char *text; /* NULL: free */
    size_t length;
    int32_t id;
} slot;

struct tokenizer {
    char *text;  /* the file, tokens ended by zeros */
    slot *slots; /* open addressing, `mask` + 1 of them */
    size_t mask;
    size_t count;
    int32_t begin, end, unknown; /* [CLS], [SEP], [UNK] */
};

/* ---- Vocabulary -------------------------------------------------------------------------------- */

/* FNV-1a over "##" (if `inside`) and the text. */
static uint64_t hash(bool inside, const char *text, size_t length)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < (inside ? 2u : 0u); i++) {
        h = (h ^ (unsigned char)'#') * 0x100000001b3u;
    }
    for (size_t i = 0; i < length; i++) {
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    }
    return h;
}

/* The number of a token, or -1. `inside`: as if "##" stood before the text. */
static int32_t find(const tokenizer *t, bool inside, const char *text, size_t length)
{
    const size_t skip = inside ? 2 : 0;
    for (size_t i = (size_t)hash(inside, text, length) & t->mask; t->slots[i].text != NULL; i = (i + 1) & t->mask) {
        const slot *const s = &t->slots[i];
        if (s->length == length + skip && memcmp(s->text, "##", skip) == 0 &&
            memcmp(s->text + skip, text, length) == 0) {
            return s->id;
        }
    }
    return -1;
}

static void add(tokenizer *t, const char *text, size_t length)
{
    size_t i = (size_t)hash(false, text, length) & t->mask;
    while (t->slots[i].text != NULL) {
        i = (i + 1) & t->mask;
    }
    t->slots[i] = (slot){text, length, (int32_t)t->count};
}

static char *read_text(const char *path, size_t *length)
{
    FILE *const file = fopen(path, "rb");
    char *text = NULL;
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0) {
        rewind(file);
        text = malloc((size_t)size + 1);
        if (text != NULL && fread(text, 1, (size_t)size, file) != (size_t)size) {
            free(text);
            text = NULL;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    *length = size >= 0 ? (size_t)size : 0;
    return text;
}

static size_t count_lines(const char *text, size_t length)
{
    size_t lines = 0;
    for (size_t i = 0; i < length; i++) {
        lines += text[i] == '\n' ? 1 : 0;
    }
    return lines + (length > 0 && text[length - 1] != '\n' ? 1 : 0);
}

static bool fill(tokenizer *t, size_t length)
{
    size_t slots = 16;
    while (slots < 2 * count_lines(t->text, length)) {
        slots *= 2;
    }
    t->slots = calloc(slots, sizeof *t->slots);
    t->mask = slots - 1;
    if (t->slots == NULL) {
        return false;
    }
    for (size_t at = 0; at < length; t->count++) {
        const char *const line = t->text + at;
        const char *const stop = memchr(line, '\n', length - at);
        const size_t bytes = stop != NULL ? (size_t)(stop - line) : length - at;
        add(t, line, bytes > 0 && line[bytes - 1] == '\r' ? bytes - 1 : bytes);
        at += bytes + 1;
    }
    return true;
}

tokenizer *tokenizer_open(const char *path, const char **why)
{
    tokenizer *const t = calloc(1, sizeof *t);
    size_t length = 0;
    *why = "cannot be read";
    if (t == NULL) {
        return NULL;
    }
    t->text = read_text(path, &length);
    if (t->text != NULL && fill(t, length)) {
        t->begin = find(t, false, "[CLS]", 5);
        t->end = find(t, false, "[SEP]", 5);
        t->unknown = find(t, false, "[UNK]", 5);
        if (t->begin >= 0 && t->end >= 0 && t->unknown >= 0) {
            return t;
        }
        *why = "lacks [CLS], [SEP] or [UNK]";
    }
    tokenizer_close(t);
    return NULL;
}

void tokenizer_close(tokenizer *t)
{
    if (t != NULL) {
        free(t->text);
        free(t->slots);
        free(t);
    }
}

size_t tokenizer_size(const tokenizer *t)
{
    return t->count;
}

/* ---- Characters -------------------------------------------------------------------------------- */

/* The next character and its bytes; 0xfffd for what is no UTF-8. `left` > 0. */
static uint32_t decode(const unsigned char *s, size_t left, size_t *bytes)
{
    const unsigned lead = s[0];
    const size_t more = lead < 0x80                   ? 0
                        : lead >= 0xc2 && lead < 0xe0 ? 1
                        : (lead & 0xf0) == 0xe0       ? 2
                        : lead >= 0xf0 && lead < 0xf5 ? 3
                                                      : 4;
    *bytes = 1;
    if (more == 0) {
        return lead;
    }
    if (more == 4 || more >= left) {
        return 0xfffd;
    }
    uint32_t c = lead & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0xfffd;
        }
        c = c << 6 | (s[i] & 0x3fu);
    }
    if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c < 0xe000)) {
        return 0xfffd;
    }
    *bytes = more + 1;
    return c;
}

static size_t encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    const uint32_t lead = more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0;
    out[0] = (char)(lead | c >> (6 * more));
    for (size_t i = 1; i <= more; i++) {
        out[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    }
    return more + 1;
}

static bool in_ranges(const range *ranges, size_t count, uint32_t c)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > ranges[middle].last) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && c >= ranges[low].first;
}
#define IN(ranges, c) in_ranges((ranges), sizeof(ranges) / sizeof((ranges)[0]), (c))

/* A Hangul syllable is a leading consonant, a vowel and perhaps a trailing consonant, in this arithmetic.
   Source: The Unicode Standard, section 3.12. */
static size_t decompose_hangul(uint32_t c, uint32_t *out)
{
    const uint32_t index = c - 0xac00, trailing = index % 28;
    out[0] = 0x1100 + index / (21 * 28);
    out[1] = 0x1161 + index % (21 * 28) / 28;
    out[2] = 0x11a7 + trailing;
    return trailing != 0 ? 3 : 2;
}

static int by_from(const void *key, const void *entry)
{
    const uint32_t c = *(const uint32_t *)key;
    const mapping *const m = entry;
    return c < m->from ? -1 : c > m->from;
}

/* What becomes of a character: 0 to 3 others. Blanks become ' '. */
static size_t normalise(uint32_t c, uint32_t *out)
{
    out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0x20 && c < 0x7f) {
        return 1;
    }
    if (c >= 0xac00 && c <= 0xd7a3) {
        return decompose_hangul(c, out);
    }
    if (IN(blanks, c)) {
        out[0] = ' ';
        return 1;
    }
    if (IN(dropped, c)) {
        return 0;
    }
    const mapping *const m = bsearch(&c, mapped, sizeof mapped / sizeof mapped[0], sizeof mapped[0], by_from);
    if (m == NULL) {
        return 1;
    }
    memcpy(out, m->to, sizeof m->to);
    return m->to[1] == 0 ? 1 : m->to[2] == 0 ? 2 : 3;
}

/* ---- Words ------------------------------------------------------------------------------------- */

/* The word being gathered and the numbers found so far. */
typedef struct state {
    const tokenizer *t;
    char word[MOST_WORD_BYTES];
    size_t bytes;
    size_t characters;
    int32_t *ids;
    size_t count;
    size_t room; /* for words, without [SEP] */
} state;

static void put(state *s, int32_t id)
{
    if (s->count < s->room) {
        s->ids[s->count++] = id;
    }
}

/* Greedy: the longest piece that fits, again and again; a rest that nothing fits makes the whole word unknown. */
static void end_word(state *s)
{
    int32_t pieces[MOST_CHARACTERS];
    size_t found = 0, at = 0;
    const bool too_long = s->characters > MOST_CHARACTERS;
    while (!too_long && at < s->bytes) {
        size_t end = s->bytes;
        int32_t id = -1;
        while (end > at && (id = find(s->t, at > 0, s->word + at, end - at)) < 0) {
            do {
                end--; /* back to the beginning of a character */
            } while (end > at && ((unsigned char)s->word[end] & 0xc0) == 0x80);
        }
        if (id < 0) {
            break;
        }
        pieces[found++] = id;
        at = end;
    }
    if (too_long || at < s->bytes) {
        put(s, s->t->unknown);
    } else {
        for (size_t i = 0; i < found; i++) {
            put(s, pieces[i]);
        }
    }
    s->bytes = 0;
    s->characters = 0;
}

/* Of the ASCII that normalise lets through, all but letters, digits and the blank. */
static bool stands_alone(uint32_t c)
{
    if (c < 0x80) {
        return c > ' ' && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9');
    }
    return IN(punctuation, c) || IN(apart, c);
}

static void take(state *s, uint32_t c)
{
    const bool alone = stands_alone(c);
    if (c == ' ' || alone) {
        end_word(s);
    }
    if (c == ' ') {
        return;
    }
    if (s->characters < MOST_CHARACTERS) {
        s->bytes += encode(c, s->word + s->bytes);
    }
    s->characters++;
    if (alone) {
        end_word(s);
    }
}

size_t tokenizer_encode(const tokenizer *t, const char *text, size_t length, int32_t *ids, size_t most)
{
    state s = {.t = t, .ids = ids, .room = most - 1};
    size_t at = 0;
    put(&s, t->begin);
    while (at < length && s.count < s.room) {
        uint32_t out[3];
        size_t bytes;
        const uint32_t c = decode((const unsigned char *)text + at, length - at, &bytes);
        const size_t count = normalise(c, out);
        for (size_t i = 0; i < count; i++) {
            take(&s, out[i]);
        }
        at += bytes;
    }
    end_word(&s);
    ids[s.count] = t->end;
    return s.count + 1;
}
