#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MiniLM on one NVIDIA GPU beside PyTorch, eager and as CUDA graphs, in one process and in turns.

    cmake --preset cuda && cmake --build --preset cuda --target minilm_shared
    python3 bench/minilm_cuda.py build/cuda/examples/minilm/libminilm_shared.so [FOLDER]

FOLDER (else ~/.cache/anymps/minilm) holds vocab.txt, and model.safetensors from tools/get-minilm; if the latter is missing,
random weights of the same shapes are written there: the time does not depend on them. Needs torch, transformers, safetensors.

All are timed from token numbers to embeddings on the host, ours from text too. PyTorch gets no mask, since the sentences of a
batch are of one length. Medians, in milliseconds.
"""
import ctypes
import pathlib
import statistics
import sys
import time

import numpy as np
import torch

from minilm_model import WIDTH, WORDS, Desc, make_model, sentences_of

TYPES = {torch.float32: 0x10000020, torch.float16: 0x10000010}
SHORT = "A sentence of sixteen pieces has fourteen words between its two marks now ."
FOLDER = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path.home() / ".cache/anymps/minilm"


class Times(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("load", "tokens", "rows", "encode", "run", "count", "commits", "plans")]


class Ours:
    def __init__(self, path, dtype):
        self.lib = ctypes.CDLL(path)
        self.lib.encoder_get_times.restype = Times
        self.encoder = ctypes.c_void_p()
        why = ctypes.create_string_buffer(256)
        desc = Desc(str(FOLDER).encode(), b"cuda", 0, TYPES[dtype])
        if self.lib.encoder_open(ctypes.byref(desc), ctypes.byref(self.encoder), why) != 0:
            sys.exit(why.value.decode())

    def from_text(self, texts, ids):
        sentences = sentences_of(texts)
        out = np.empty((len(texts), WIDTH), np.float32)
        begin = time.perf_counter()
        status = self.lib.encoder_run(self.encoder, sentences, ctypes.c_size_t(len(texts)), ctypes.c_void_p(out.ctypes.data))
        spent = time.perf_counter() - begin
        assert status == 0
        return out, spent

    def __call__(self, texts, ids):
        numbers = ids.to(torch.int32).numpy()
        lengths = (ctypes.c_size_t * len(texts))(*[ids.shape[1]] * len(texts))
        out = np.empty((len(texts), WIDTH), np.float32)
        begin = time.perf_counter()
        status = self.lib.encoder_run_tokens(self.encoder, ctypes.c_void_p(numbers.ctypes.data), lengths,
                                             ctypes.c_size_t(len(texts)), ctypes.c_void_p(out.ctypes.data))
        spent = time.perf_counter() - begin
        assert status == 0
        return out, spent

    def shares(self, texts, ids):
        """One call's milliseconds: WordPiece, embedding rows, from commit to result; and the commits."""
        before = self.lib.encoder_get_times(self.encoder)
        self.from_text(texts, ids)
        after = self.lib.encoder_get_times(self.encoder)
        times = [(getattr(after, name) - getattr(before, name)) / 1e6 for name in ("tokens", "rows", "run")]
        return *times, after.commits - before.commits


class Eager:
    def __init__(self, model):
        self.model = model

    def embed(self, ids):
        states = self.model(input_ids=ids).last_hidden_state
        return torch.nn.functional.normalize(states.float().mean(1), dim=1)

    def __call__(self, texts, ids):
        begin = time.perf_counter()
        with torch.inference_mode():
            out = self.embed(ids.to("cuda")).cpu().numpy()
        return out, time.perf_counter() - begin


class Graphs(Eager):
    def __init__(self, model, ids):
        super().__init__(model)
        self.ids = ids.to("cuda")
        side = torch.cuda.Stream()
        with torch.inference_mode():
            with torch.cuda.stream(side):
                for _ in range(3):
                    self.embed(self.ids)
            torch.cuda.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.out = self.embed(self.ids)

    def __call__(self, texts, ids):
        begin = time.perf_counter()
        self.ids.copy_(ids)
        self.graph.replay()
        out = self.out.cpu().numpy()
        return out, time.perf_counter() - begin


def tokenize(texts):
    vocabulary = {word: i for i, word in enumerate((FOLDER / "vocab.txt").read_text(encoding="utf-8").splitlines())}
    return torch.tensor([[101] + [vocabulary[word] for word in text.lower().split()] + [102] for text in texts])


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    wide = make_model(FOLDER)
    many = [" ".join(WORDS[(i + 7 * k) % len(WORDS)] for k in range(30)) for i in range(100)]
    print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
    torch.backends.cuda.matmul.allow_tf32 = False
    for dtype in (torch.float32, torch.float16):
        model = wide.to(dtype).cuda()
        ours = Ours(sys.argv[1], dtype)
        for what, texts, rounds in [("1 sentence of 16 tokens", [SHORT], 200), ("100 sentences of 32 tokens", many, 50)]:
            ids = tokenize(texts).pin_memory()
            peers = {"anymps": ours, "anymps from text": ours.from_text, "PyTorch eager": Eager(model), "PyTorch CUDA graph": Graphs(model, ids)}
            wanted, times = peers["PyTorch eager"](texts, ids)[0], {name: [] for name in peers}
            for name, peer in peers.items():
                for _ in range(5):
                    difference = np.abs(peer(texts, ids)[0] - wanted).max()
                assert difference < (1e-5 if dtype == torch.float32 else 5e-3), (name, difference)
            for _ in range(rounds):
                for name, peer in peers.items():
                    times[name].append(peer(texts, ids)[1])
            medians = {name: statistics.median(values) * 1e3 for name, values in times.items()}
            for name, ms in medians.items():
                print(f"{str(dtype)[6:]} {what}, tokens {tuple(ids.shape)}: {name}: {ms:.3f} ms ({ms / medians['anymps']:.2f})",
                      flush=True)
            words, rows, run, commits = (statistics.median(column) for column in zip(*(ours.shares(texts, ids) for _ in range(20))))
            print(f"    anymps: tokens {words:.3f} ms, embedding rows {rows:.3f} ms, commit to result {run:.3f} ms, {commits} commits",
                  flush=True)


if __name__ == "__main__":
    main()
