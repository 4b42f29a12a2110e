"""Where a decoder's parameters are in a checkpoint of Llama's layout: the tables that families differ from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hearth.model.tensors import Rules

HF_MODEL = "model."
HF_LAYER = HF_MODEL + "layers.N."
LLAMA_HF: Rules = {
    "embed": "model.embed_tokens.weight",
    "layers.N.attn_norm": HF_LAYER + "input_layernorm.weight",
    **{f"layers.N.{x}": f"{HF_LAYER}self_attn.{x}_proj.weight" for x in "qkvo"},
    **{f"layers.N.{x}_bias": f"{HF_LAYER}self_attn.{x}_proj.bias" for x in "qkvo"},
    "layers.N.q_norm": HF_LAYER + "self_attn.q_norm.weight",
    "layers.N.k_norm": HF_LAYER + "self_attn.k_norm.weight",
    "layers.N.mlp_norm": HF_LAYER + "post_attention_layernorm.weight",
    **{f"layers.N.{x}": f"{HF_LAYER}mlp.{x}_proj.weight" for x in ("gate", "up", "down")},
    **{f"layers.N.{x}_bias": f"{HF_LAYER}mlp.{x}_proj.bias" for x in ("gate", "up", "down")},
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
}
LLAMA_GGUF: Rules = {
    "embed": "token_embd.weight",
    "layers.N.attn_norm": "blk.N.attn_norm.weight",
    **{f"layers.N.{x}": f"blk.N.attn_{x}.weight" for x in "qkv"},
    **{f"layers.N.{x}_bias": f"blk.N.attn_{x}.bias" for x in "qkv"},
    "layers.N.o": "blk.N.attn_output.weight",
    "layers.N.o_bias": "blk.N.attn_output.bias",
    "layers.N.q_norm": "blk.N.attn_q_norm.weight",
    "layers.N.k_norm": "blk.N.attn_k_norm.weight",
    "layers.N.attn_post_norm": "blk.N.post_attention_norm.weight",
    "layers.N.mlp_norm": "blk.N.ffn_norm.weight",
    **{f"layers.N.{x}": f"blk.N.ffn_{x}.weight" for x in ("gate", "up", "down")},
    **{f"layers.N.{x}_bias": f"blk.N.ffn_{x}.bias" for x in ("gate", "up", "down")},
    "layers.N.mlp_post_norm": "blk.N.post_ffw_norm.weight",
    "norm": "output_norm.weight",
    "head": "output.weight",
}
# Frequencies that follow from the configuration; old versions of transformers saved them.
ALWAYS_IGNORED = ("*.rotary_emb.inv_freq",)
# Rope factors, which `metadata.py` reads with the configuration.
READ_WITH_CONFIG = frozenset({"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"})
# Parameters whose rows rotate, or weigh what does.
ROTATED = frozenset({"q", "k", "q_bias", "k_bias", "q_norm", "k_norm"})


def uninterleave(rows: int, head_dim: int, rotary_dim: int) -> NDArray[np.int64]:
    """For q and k whose heads are interleaved in the file: row i of the parameter is row `result[i]` of the file.

    The file has pair i of a head in its rows 2i and 2i + 1; Hearth has it in rows i and i + rotary_dim / 2. What of a
    head does not rotate stays where it is.
    """
    heads = np.arange(rows, dtype=np.int64).reshape(rows // head_dim, head_dim)
    pairs = heads[:, :rotary_dim].reshape(-1, rotary_dim // 2, 2)
    return np.hstack([pairs.swapaxes(1, 2).reshape(-1, rotary_dim), heads[:, rotary_dim:]]).reshape(rows)
