"""OpenELM as its authors publish it, by a folder of the golden GGUF file's tensors; and what damaged sizes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from tests.checkpoint.builders import entry, safetensors_bytes

from golden import GGUF_ALONE
from hearth.checkpoint import open_checkpoint
from hearth.errors import CorruptFile, HearthError, Unsupported
from hearth.model import load_family

(CASE,) = (case for case in GGUF_ALONE if case.name == "openelm")
assert CASE.gguf_path is not None

# What the three layers are: widths of 20, 28 and 44 are multiples of 4 near these shares of 24.
CONFIG = {
    "model_type": "openelm",
    "model_dim": 24,
    "head_dim": 16,
    "num_transformer_layers": 3,
    "num_query_heads": [3, 4, 6],
    "num_kv_heads": [1, 2, 3],
    "ffn_multipliers": [0.85, 1.17, 1.8],
    "ffn_dim_divisor": 4,
    "ffn_with_glu": True,
    "activation_fn_name": "swish",
    "normalization_layer_name": "rms_norm",
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
    "rope_freq_constant": 1000,
    "max_context_length": 128,
    "vocab_size": 53,
}
_NAMES = {
    "attn_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "attn_qkv": "attn.qkv_proj",
    "attn_output": "attn.out_proj",
    "attn_q_norm": "attn.q_norm",
    "attn_k_norm": "attn.k_norm",
    "ffn_down": "ffn.proj_2",
}


def folder(path: Path, **changes: Any) -> Path:
    source = open_checkpoint(CASE.gguf_path)
    made: dict[str, np.ndarray] = {}
    for name in source.tensors:
        values = reference.read_tensor(source, name).astype(np.float16)
        if name.startswith("blk."):
            _, layer, kind, _ = name.split(".")
            if kind in _NAMES:
                made[f"transformer.layers.{layer}.{_NAMES[kind]}.weight"] = values
            elif kind == "ffn_gate":
                up = reference.read_tensor(source, f"blk.{layer}.ffn_up.weight").astype(np.float16)
                made[f"transformer.layers.{layer}.ffn.proj_1.weight"] = np.concatenate([values, up])
        else:
            own = {"token_embd.weight": "token_embeddings.weight", "output_norm.weight": "norm.weight"}[name]
            made[f"transformer.{own}"] = values
    ends = np.cumsum([values.nbytes for values in made.values()]).tolist()
    header = {
        name: entry("F16", values.shape, end - values.nbytes, end)
        for (name, values), end in zip(made.items(), ends, strict=True)
    }
    data = b"".join(values.tobytes() for values in made.values())
    (path / "model.safetensors").write_bytes(safetensors_bytes(header, data))
    (path / "config.json").write_text(json.dumps(CONFIG | changes))
    return path


def test_a_published_folder_computes_what_the_gguf_file_does(tmp_path: Path) -> None:
    assert reference.error_of(open_checkpoint(folder(tmp_path)), CASE) < 1e-4


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_kv_heads": [1, 3, 3]}, CorruptFile, "num_kv_heads.*divisor of the 4 heads of its layer"),
        ({"num_query_heads": [3, 4]}, CorruptFile, "num_query_heads.*list of 3 entries"),
        ({"num_query_heads": [3, 4, "6"]}, CorruptFile, "num_query_heads.*whole numbers from 1"),
        ({"ffn_multipliers": [0.85, 1.17]}, CorruptFile, "ffn_multipliers.*list of 3 numbers"),
        ({"ffn_multipliers": [0.85, 1.17, 1e11]}, CorruptFile, "ffn_multipliers.*whole numbers from 1"),
        ({"ffn_with_glu": False}, Unsupported, "ffn_with_glu = False"),
        ({"normalization_layer_name": "layer_norm"}, Unsupported, "normalization_layer_name = 'layer_norm'"),
    ],
)
def test_damaged_sizes_are_named(
    tmp_path: Path, change: dict[str, Any], error: type[HearthError], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_family(open_checkpoint(folder(tmp_path, **change)))
