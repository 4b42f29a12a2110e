"""Converts a model of llama2.c (`stories260K.bin`) to a Hugging Face folder, as its author's scripts describe it.

The file: 7 int32 (dim, hidden_dim, layers, heads, kv_heads, vocabulary, context), then f32 tensors, each kind for all
layers. Its q and k turn neighbouring pairs of each head (Meta's layout); Hugging Face's turn halves.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def read(path: Path) -> tuple[dict[str, int], dict[str, Array]]:
    """The header's numbers, and tensors under the names of Hugging Face's Llama."""
    data = path.read_bytes()
    names = ("hidden", "inner", "layers", "heads", "kv_heads", "vocab", "context")
    c = dict(zip(names, struct.unpack_from("<7i", data), strict=True))
    assert c["vocab"] > 0, "a classifier of its own is not expected here"
    floats, at = np.frombuffer(data, np.float32, offset=28), 0

    def take(*shape: int) -> Array:
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return floats[at - size : at].reshape(shape)

    layers, hidden, inner = c["layers"], c["hidden"], c["inner"]
    kv = hidden // c["heads"] * c["kv_heads"]
    tensors = {"model.embed_tokens.weight": take(c["vocab"], hidden)}
    for name, shape in (
        ("input_layernorm", (hidden,)), ("self_attn.q_proj", (hidden, hidden)), ("self_attn.k_proj", (kv, hidden)),
        ("self_attn.v_proj", (kv, hidden)), ("self_attn.o_proj", (hidden, hidden)),
        ("post_attention_layernorm", (hidden,)), ("mlp.gate_proj", (inner, hidden)), ("mlp.down_proj", (hidden, inner)),
        ("mlp.up_proj", (inner, hidden)),
    ):  # fmt: skip
        for layer, tensor in enumerate(take(layers, *shape)):
            heads = {"self_attn.q_proj": c["heads"], "self_attn.k_proj": c["kv_heads"]}.get(name)
            tensors[f"model.layers.{layer}.{name}.weight"] = tensor if heads is None else _halves(tensor, heads)
    tensors["model.norm.weight"] = take(hidden)
    assert floats.size - at == c["context"] * (hidden // c["heads"]), "what is left are the tables of cos and sin"
    return c, tensors


def _halves(weight: Array, heads: int) -> Array:
    """Rows of each head in the order of first halves, then second halves of the pairs."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).transpose(0, 2, 1, 3).reshape(rows, columns)


def convert(model: Path, tokenizer: Path, folder: Path) -> Path:
    """Writes config.json, model.safetensors and tokenizer.model into `folder`."""
    c, tensors = read(model)
    folder.mkdir()
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": c["hidden"],
        "intermediate_size": c["inner"],
        "num_hidden_layers": c["layers"],
        "num_attention_heads": c["heads"],
        "num_key_value_heads": c["kv_heads"],
        "vocab_size": c["vocab"],
        "max_position_embeddings": c["context"],
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    header, offset = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": (offset, offset + tensor.nbytes)}
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())
    shutil.copyfile(tokenizer, folder / "tokenizer.model")
    return folder
