#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden embeddings and token numbers of this folder with PyTorch, transformers and tokenizers.

    pip install torch==2.15.0 transformers==5.23.0 tokenizers==0.23.3 numpy
    python3 tests/golden/minilm/make.py [MODEL_DIR]      (default: where tools/get-minilm puts it, with tokenizer.json)

sentences.txt     one sentence a line (the first line is empty), in several languages, 2 to 256 tokens
embeddings.npy    f32, a row of 384 for each, in one padded batch, mean over the true tokens, length 1
token_texts.txt   lines for the tokenizer alone: scripts, accents, emoji, punctuation, long words
token_ids.txt     their numbers, one line each
"""
import os
import pathlib
import random
import sys

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertModel

HERE = pathlib.Path(__file__).parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
MODEL = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE / "anymps" / "minilm"
MOST_TOKENS = 256

SENTENCES = [
    "",
    "a",
    "Matrix multiplication is fast.",
    "The quick brown fox jumps over the lazy dog.",
    "Der Zug nach München fährt um 17:45 Uhr von Gleis 3 ab.",
    "Où est la bibliothèque? Elle est fermée aujourd'hui, hélas!",
    "El niño comió una manzana roja mientras llovía.",
    "Кошка спит на тёплой печке.",
    "東京は日本の首都です。",
    "人工智能正在改变世界",
    "서울은 대한민국의 수도이다.",
    "Η θάλασσα είναι γαλάζια σήμερα.",
    "هذا كتاب جديد عن الرياضيات",
    "यह एक छोटा वाक्य है।",
    "İstanbul'da hava bugün çok güzel; Boğaz pırıl pırıl.",
    "Emoji 😀🚀 and symbols: €100 ± 5%, x² ≥ y₁ → ∞ (c) \u2014 \u201cquoted\u201d\u2026",
    "int main(void) { return printf(\"%d\\n\", 0x7fffffff); } // C11",
    "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and "
    "should act towards one another in a spirit of brotherhood.",
    " ".join(f"In the year {1900 + 3 * i} the committee met in room {i} to discuss the budget." for i in range(7)),
    " ".join("The history of computing is longer than the history of computers." for _ in range(40)),
]


def token_texts():
    """Fixed awkward lines, then random ones from many blocks of Unicode."""
    generator = random.Random(20)
    lines = [
        "", " ", "a" * 100, "b" * 101, "ab" * 300, "don't", "e\u0301a\u0300", "ﬁne ﬀ ß ẞ ǅ İ ı Σίσυφος ΟΔΟΣ", "漢字かな交じり文",
        "half\u00adhyphen zero\u200bwidth\u200djoin", "tab\there", "a\u00a0b\u3000c\u2028d", "\ufeffbom \ufffd \u0000 zero", "각 한글 가힣",
        "豈更車 \U0002f800\U0002f9f4", "ก็ ไม่ เป็นไร", "ேர் தமிழ் ொ", "Ṩ ẛ̣ Å Ω", "🏳️‍🌈 👩🏽‍🚀 🫠 🪿", "½ ² ₃ ① Ⅷ", "¡¿«»„“”‚‘’‹›—–…‰",
        "nation-state's e-mail@example.com http://a.b/c?d=e#f", "1,234,567.89 $5 50% 3+4=7 a<b a^b `x` ~y |z|", "\U0001d160 \U0001d15e",
        "naïve façade coöperate Zürich smörgåsbord", "unaffable antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    ]
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x250, 0x400), (0x400, 0x600), (0x600, 0x900), (0x900, 0xE00), (0xE00, 0x1200),
              (0x1E00, 0x2000), (0x2000, 0x2C00), (0x3000, 0x3400), (0x4E00, 0x5000), (0xAC00, 0xD7A4), (0xF900, 0xFB00),
              (0xFE00, 0x10000), (0x1F300, 0x1FB00), (0x20000, 0x20100), (0x2F800, 0x2FA20)]
    for _ in range(200):
        low, high = generator.choice(blocks)
        points = [generator.randrange(low, high) if generator.random() < 0.8 else 0x20 for _ in range(24)]
        lines.append("".join(map(chr, points)))
    return [line.translate({10: 32, 13: 32}) for line in lines]


def write_lines(name, lines):
    (HERE / name).write_bytes("".join(f"{line}\n" for line in lines).encode())


def main():
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.no_padding()
    texts = token_texts()
    write_lines("token_texts.txt", texts)
    write_lines("token_ids.txt", [" ".join(map(str, tokenizer.encode(text).ids)) for text in texts])

    tokenizer.enable_padding()
    batch = tokenizer.encode_batch(SENTENCES)
    ids = torch.tensor([encoding.ids for encoding in batch])
    mask = torch.tensor([encoding.attention_mask for encoding in batch])
    print("lengths:", mask.sum(1).tolist())
    model = BertModel.from_pretrained(MODEL, attn_implementation="eager").eval()
    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).float()
    mean = (states * weights).sum(1) / weights.sum(1)
    write_lines("sentences.txt", SENTENCES)
    np.save(HERE / "embeddings.npy", torch.nn.functional.normalize(mean, dim=1).numpy())


if __name__ == "__main__":
    main()
