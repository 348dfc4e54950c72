#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes unicode_tables.h by asking the reference tokenizer what it does to every character.

    pip install tokenizers==0.23.3 && python3 examples/minilm/make_tables.py

The uncased BERT normalizer drops control characters and accents, decomposes, lower-cases and sets CJK characters
apart; it does so character by character, so that a table per character says all of it. Hangul syllables are left
out: tokenizer.c decomposes them by arithmetic.
"""
import pathlib

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

HEAD = """/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unicode_tables.h: what the uncased BERT normalizer does to each character; for tokenizer.c only.
 * Written by make_tables.py from the reference tokenizer's behaviour; a table, hence its length.
 */
/* clang-format off */
#ifndef MINILM_UNICODE_TABLES_H
#define MINILM_UNICODE_TABLES_H

#include <stdint.h>

typedef struct range {
    uint32_t first;
    uint32_t last;
} range;

/* A character and what becomes of it: one to three characters, then zeros. */
typedef struct mapping {
    uint32_t from;
    uint32_t to[3];
} mapping;
"""


def characters():
    return (cp for cp in range(0x110000) if not 0xD800 <= cp < 0xE000 and not 0xAC00 <= cp <= 0xD7A3)


def classify():
    normalizer = BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    drop, space, apart, maps = [], [], set(), []
    for cp in characters():
        text = normalizer.normalize_str(chr(cp))
        if text == "":
            drop.append(cp)
        elif text == " ":
            space.append(cp)
        else:
            bare = text.strip(" ")
            if bare != text:
                apart.add(ord(bare))
            if bare != chr(cp):
                maps.append((cp, [ord(c) for c in bare]))
            assert len(bare) <= 3
    # Setting apart is decided after mapping here, before it in the reference: the sets must agree.
    for cp in characters():
        text = normalizer.normalize_str(chr(cp))
        bare = text.strip(" ")
        assert (len(bare) == 1 and ord(bare) in apart) == (bare != text and bare != ""), hex(cp)
    return drop, space, sorted(apart), maps


def punctuation():
    splitter = BertPreTokenizer()
    return [cp for cp in characters() if not chr(cp).isspace() and len(splitter.pre_tokenize_str(f"a{chr(cp)}a")) == 3]


def ranges(points):
    out = []
    for point in points:
        if out and out[-1][1] == point - 1:
            out[-1][1] = point
        else:
            out.append([point, point])
    return out


def pairs(points):
    return [(hex(first), hex(last)) for first, last in ranges(points)]


def write(file, kind, name, comment, rows):
    file.write(f"\n/* {comment} */\nstatic const {kind} {name}[] = {{\n")
    line = "   "
    for row in rows:
        item = " {" + ", ".join(row) + "},"
        if len(line) + len(item) > 118:
            file.write(line + "\n")
            line = "   "
        line += item
    file.write(line + "\n};\n")


def main():
    drop, space, apart, maps = classify()
    with open(pathlib.Path(__file__).parent / "unicode_tables.h", "w", encoding="ascii") as file:
        file.write(HEAD)
        write(file, "range", "dropped", "Control characters and accents.", pairs(drop))
        write(file, "range", "blanks", "Become a blank.", pairs(space))
        write(file, "range", "apart", "CJK: a word each.", pairs(apart))
        write(file, "range", "punctuation", "A word each.", pairs(punctuation()))
        write(file, "mapping", "mapped", "Decomposed, without accents, in lower case.", [(hex(cp), "{" + ", ".join(map(hex, t)) + "}") for cp, t in maps])
        file.write("\n#endif /* MINILM_UNICODE_TABLES_H */\n")


if __name__ == "__main__":
    main()
