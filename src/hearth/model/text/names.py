"""Where a decoder's parameters are in a checkpoint of Llama's layout: the tables that families differ from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.model.tensors import Fused, Made, Rules

HF_MODEL = "model."
HF_LAYER = HF_MODEL + "layers.N."
_JOINED = ("embed_proj", "hidden_proj")
_PREDICTOR_HF: Rules = {
    "layers.N.embed": HF_LAYER + "embed_tokens.weight",
    "layers.N.enorm": HF_LAYER + "enorm.weight",
    "layers.N.hnorm": HF_LAYER + "hnorm.weight",
    **{f"layers.N.{part}": Fused(HF_LAYER + "eh_proj.weight", _JOINED, beside=True) for part in _JOINED},
    "layers.N.head_norm": HF_LAYER + "shared_head.norm.weight",
    "layers.N.head": HF_LAYER + "shared_head.head.weight",
}
_PREDICTOR_GGUF: Rules = {
    "layers.N.embed": "blk.N.nextn.embed_tokens.weight",
    "layers.N.enorm": "blk.N.nextn.enorm.weight",
    "layers.N.hnorm": "blk.N.nextn.hnorm.weight",
    **{f"layers.N.{part}": Fused("blk.N.nextn.eh_proj.weight", _JOINED, beside=True) for part in _JOINED},
    # Files may leave out what is the model's own.
    "layers.N.head_norm": ("blk.N.nextn.shared_head_norm.weight", "output_norm.weight"),
    "layers.N.head": "blk.N.nextn.shared_head_head.weight",
}
"""The block behind the last layer that predicts a further token (multi-token prediction)."""

LLAMA_HF: Rules = {
    "embed": "model.embed_tokens.weight",
    "layers.N.attn_norm": HF_LAYER + "input_layernorm.weight",
    **{f"layers.N.{x}": f"{HF_LAYER}self_attn.{x}_proj.weight" for x in "qkvo"},
    **{f"layers.N.{x}_bias": f"{HF_LAYER}self_attn.{x}_proj.bias" for x in "qkvo"},
    "layers.N.q_norm": HF_LAYER + "self_attn.q_norm.weight",
    "layers.N.k_norm": HF_LAYER + "self_attn.k_norm.weight",
    "layers.N.sinks": HF_LAYER + "self_attn.sinks",
    "layers.N.mlp_norm": HF_LAYER + "post_attention_layernorm.weight",
    **{f"layers.N.{x}": f"{HF_LAYER}mlp.{x}_proj.weight" for x in ("gate", "up", "down")},
    **{f"layers.N.{x}_bias": f"{HF_LAYER}mlp.{x}_proj.bias" for x in ("gate", "up", "down")},
    "layers.N.attn_norm_bias": HF_LAYER + "input_layernorm.bias",
    "layers.N.mlp_norm_bias": HF_LAYER + "post_attention_layernorm.bias",
    "norm": "model.norm.weight",
    "norm_bias": "model.norm.bias",
    "head": "lm_head.weight",
    "head_bias": "lm_head.bias",
    **_PREDICTOR_HF,
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
    "layers.N.sinks": "blk.N.attn_sinks.weight",
    "layers.N.attn_post_norm": "blk.N.post_attention_norm.weight",
    "layers.N.mlp_norm": "blk.N.ffn_norm.weight",
    **{f"layers.N.{x}": f"blk.N.ffn_{x}.weight" for x in ("gate", "up", "down")},
    **{f"layers.N.{x}_bias": f"blk.N.ffn_{x}.bias" for x in ("gate", "up", "down")},
    "layers.N.mlp_post_norm": "blk.N.post_ffw_norm.weight",
    "layers.N.attn_norm_bias": "blk.N.attn_norm.bias",
    "layers.N.mlp_norm_bias": "blk.N.ffn_norm.bias",
    "position_embed": "position_embd.weight",
    "embed_norm": "token_embd_norm.weight",
    "embed_norm_bias": "token_embd_norm.bias",
    "norm": "output_norm.weight",
    "norm_bias": "output_norm.bias",
    "head": "output.weight",
    "head_bias": "output.bias",
    **_PREDICTOR_GGUF,
}


def conv_taps(tensor: str, *further: str, squeezed: bool = False) -> Made:
    """A convolution over tokens, each channel for itself, which files hold as (channels, [1,] taps), in one tensor or
    several."""
    if squeezed:
        return Made(tensor, lambda w: np.ascontiguousarray(w.T), lambda shape: shape[::-1])
    return Made(tensor, lambda w: np.ascontiguousarray(w[:, 0].T), lambda shape: (shape[1], 1, shape[0]), further)


QKV = ("q", "k", "v")


def modules(places: Mapping[str, str]) -> Rules:
    """Rules for parameters that are modules of the checkpoint, by their names: each with its bias."""
    return {
        f"{parameter}{own}": f"{module}.{kind}"
        for parameter, module in places.items()
        for own, kind in (("", "weight"), ("_bias", "bias"))
    }


def fused(module: str, parts: tuple[str, ...], **how: Any) -> dict[str, Fused]:
    """Rules for parameters of a layer that share a module of the checkpoint, with their biases. `how`: of `Fused`."""
    return {
        f"layers.N.{part}{own}": Fused(f"{module}.{kind}", tuple(f"{each}{own}" for each in parts), **how)
        for part in parts
        for own, kind in (("", "weight"), ("_bias", "bias"))
    }


def transposed(rules: Rules, *parameters: str) -> dict[str, Fused]:
    """Rules for parameters that are stored as `[in, out]`."""
    return {name: Fused(str(rules[name]), (name.rpartition(".")[2],), transposed=True) for name in parameters}


FUSED_QKV_GGUF: Rules = {
    name: (rule, rule.tensor.replace("qkv", name.removeprefix("layers.N.")[0]))
    for name, rule in fused("blk.N.attn_qkv", QKV).items()
}
"""q, k and v in one tensor, or each in its own."""
# Frequencies that follow from the configuration; old versions of transformers saved them.
ALWAYS_IGNORED = ("*.rotary_emb.inv_freq",)
# Rope factors, which `metadata.py` reads with the configuration.
READ_WITH_CONFIG = frozenset({"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"})
# Parameters whose rows rotate, or weigh what does.
ROTATED = frozenset({"q", "k", "q_bias", "k_bias", "q_norm", "k_norm", "q_rope", "kv_a"})


def uninterleave(rows: int, head_dim: int, rotary_dim: int) -> NDArray[np.int64]:
    """For q and k whose heads are interleaved in the file: row i of the parameter is row `result[i]` of the file.

    The file has pair i of a head in its rows 2i and 2i + 1; Hearth has it in rows i and i + rotary_dim / 2. What of a
    head does not rotate stays where it is.
    """
    heads = np.arange(rows, dtype=np.int64).reshape(rows // head_dim, head_dim)
    pairs = heads[:, :rotary_dim].reshape(-1, rotary_dim // 2, 2)
    return np.hstack([pairs.swapaxes(1, 2).reshape(-1, rotary_dim), heads[:, rotary_dim:]]).reshape(rows)
