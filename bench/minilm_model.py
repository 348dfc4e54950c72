# SPDX-License-Identifier: Apache-2.0
"""What minilm_cuda.py and minilm_peers.py share: the network in PyTorch, the texts' words, and the structures of the
example's encoder (examples/minilm/encoder.h)."""
import ctypes

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

WIDTH = 384
WORDS = ("river stone cloud house night music paper green small water light dark silver window garden winter summer market "
         "bridge candle mountain valley road letter island ocean forest engine mirror clock").split()


class Desc(ctypes.Structure):
    _fields_ = [("folder", ctypes.c_char_p), ("device", ctypes.c_char_p), ("threads", ctypes.c_size_t), ("dtype", ctypes.c_int)]


class Sentence(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("length", ctypes.c_size_t)]


def sentences_of(texts):
    encoded = [text.encode() for text in texts]
    return (Sentence * len(texts))(*[Sentence(text, len(text)) for text in encoded])


def make_model(folder):
    """With the weights of folder/model.safetensors; if that is missing, random ones of the same shapes are written there."""
    config = BertConfig(vocab_size=30522, hidden_size=WIDTH, num_hidden_layers=6, num_attention_heads=12,
                        intermediate_size=1536, layer_norm_eps=1e-12, attn_implementation="sdpa")
    torch.manual_seed(1)
    model = BertModel(config, add_pooling_layer=False).eval()
    path = folder / "model.safetensors"
    if not path.exists():
        save_file({name: value.contiguous() for name, value in model.state_dict().items() if value.is_floating_point()}, path)
    left_out = model.load_state_dict(load_file(path), strict=False)
    assert not left_out.missing_keys, left_out
    return model
