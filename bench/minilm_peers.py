#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MiniLM from text to embeddings, beside PyTorch and ONNX Runtime on the CPU, in one process and in turns.

    tools/get-minilm
    cmake --preset release && cmake --build --preset release --target minilm_shared
    python3 -m venv peers && peers/bin/pip install torch transformers tokenizers onnx onnxscript onnxruntime numpy
    peers/bin/python bench/minilm_peers.py build/release/examples/minilm/libminilm_shared.so [THREADS [bf16]]

All three get the same texts and use the same number of threads; tokenizing, pooling and scaling to length 1 count.
The peers run the same weights; ONNX Runtime runs PyTorch's export with its own optimiser at the highest level. A pause
before every call lets spinning threads of the last one sleep. Medians, with the ratio of the peer's to ours in brackets, of
the time on the clock and of the processor time of all threads, which other work on the machine disturbs less.

With bf16, weights and activations are that on both sides; ONNX Runtime has no kernels for it on the CPU and keeps its f32.
Where model.safetensors is missing beside vocab.txt, random weights are written there (minilm_model.py): the time does not
depend on them.
"""
import copy
import ctypes
import os
import pathlib
import statistics
import sys
import tempfile
import time
import zlib

import numpy as np
import onnxruntime
import torch
from tokenizers import BertWordPieceTokenizer

from minilm_model import WIDTH, WORDS, Desc, make_model, sentences_of

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
MODEL = pathlib.Path(os.environ.get("ANYMPS_MINILM", CACHE / "anymps" / "minilm"))
THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else len(os.sched_getaffinity(0))
NARROW = len(sys.argv) > 3 and sys.argv[3] == "bf16"
F32, BF16, PAUSE_S = 0x10000020, 0x90000010, 0.15
SHORT = "A sentence of sixteen tokens has fourteen words between its two marks ."


class Ours:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.encoder = ctypes.c_void_p()
        why = ctypes.create_string_buffer(256)
        desc = Desc(str(MODEL).encode(), b"cpu", THREADS, BF16 if NARROW else F32)
        if self.lib.encoder_open(ctypes.byref(desc), ctypes.byref(self.encoder), why) != 0:
            sys.exit(why.value.decode())

    def __call__(self, texts):
        sentences = sentences_of(texts)
        out = np.empty((len(texts), WIDTH), np.float32)
        status = self.lib.encoder_run(self.encoder, sentences, ctypes.c_size_t(len(texts)), ctypes.c_void_p(out.ctypes.data))
        assert status == 0
        return out


def make_tokenizer():
    tokenizer = BertWordPieceTokenizer(str(MODEL / "vocab.txt"), lowercase=True)
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    return tokenizer


class PyTorch:
    def __init__(self):
        torch.set_num_threads(THREADS)
        self.model = make_model(MODEL)
        self.tokenizer = make_tokenizer()
        self.run = copy.deepcopy(self.model).bfloat16() if NARROW else self.model

    def inputs(self, texts):
        batch = self.tokenizer.encode_batch(texts)
        return torch.tensor([e.ids for e in batch]), torch.tensor([e.attention_mask for e in batch])

    def __call__(self, texts):
        ids, mask = self.inputs(texts)
        with torch.inference_mode():
            states = self.run(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            weights = mask.unsqueeze(-1).float()
            return torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=1).numpy()


class States(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


class OnnxRuntime:
    def __init__(self, torch_peer):
        # Exporting takes longer than measuring: kept for the next run.
        weights = (MODEL / "model.safetensors").read_bytes()
        path = pathlib.Path(tempfile.gettempdir()) / f"anymps-minilm-{os.getuid()}-{torch.__version__}-{zlib.crc32(weights):08x}.onnx"
        if not path.exists():
            self.export(torch_peer, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.tokenizer = torch_peer.tokenizer

    @staticmethod
    def export(torch_peer, path):
        example = torch_peer.inputs(["one two three", "four five six"])
        dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
        torch.onnx.export(States(torch_peer.model).eval(), example, str(path), input_names=["ids", "mask"],
                          output_names=["states"], dynamic_shapes=(dims, dims), dynamo=True, external_data=False, verbose=False)

    def __call__(self, texts):
        batch = self.tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in batch], np.int64)
        mask = np.array([e.attention_mask for e in batch], np.int64)
        states = self.session.run(None, {"ids": ids, "mask": mask})[0]
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)


def measure(peers, texts, rounds):
    times = {name: [] for name in peers}
    wanted = peers["ONNX Runtime"](texts)
    for name, peer in peers.items():
        peer(texts)  # warm
        got = peer(texts)
        good = (got * wanted).sum(1).min() > 0.999 if NARROW else np.abs(got - wanted).max() < 1e-5
        assert good, name
    for _ in range(rounds):
        for name, peer in peers.items():
            time.sleep(PAUSE_S)
            begin, begin_cpu = time.perf_counter(), time.process_time()
            peer(texts)
            times[name].append((time.perf_counter() - begin, time.process_time() - begin_cpu))
    return {name: [statistics.median(column) * 1e3 for column in zip(*values)] for name, values in times.items()}


def main():
    torch_peer = PyTorch()
    peers = {"anymps": Ours(sys.argv[1]), "PyTorch": torch_peer, "ONNX Runtime": OnnxRuntime(torch_peer)}
    many = [" ".join(WORDS[(i + 7 * k) % len(WORDS)] for k in range(30)) for i in range(100)]
    lengths = {len(e.ids) for e in torch_peer.tokenizer.encode_batch([SHORT])}, {len(e.ids) for e in torch_peer.tokenizer.encode_batch(many)}
    print(f"{'bf16' if NARROW else 'f32'}: torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, {THREADS} threads, tokens per sentence {lengths}")
    for what, texts, rounds in [("1 sentence of 16 tokens", [SHORT], 15), ("100 sentences of 32 tokens", many, 5)]:
        times = measure(peers, texts, rounds)
        clock, cpu = times["anymps"]
        for name, (ms, cpu_ms) in times.items():
            print(f"{what}: {name}: {ms:.2f} ms ({ms / clock:.2f}), processor {cpu_ms:.2f} ms ({cpu_ms / cpu:.2f})", flush=True)


if __name__ == "__main__":
    main()
