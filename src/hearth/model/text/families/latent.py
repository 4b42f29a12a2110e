"""What families have in common that keep one latent vector a token (`LatentConfig`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hearth.model.settings import MAX_SIZE, Settings
from hearth.model.tensors import Fused, OfHeads, Rule, Rules, either
from hearth.model.text.config import LatentConfig
from hearth.model.text.families.base import MAX_HEAD_DIM, MAX_HEADS
from hearth.model.text.names import HF_LAYER
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope, rope_type

_QUERIES = ("q_nope", "q_rope")
_UNSPLIT = ("k_b", "v_b")


def _unsplit(tensor: str) -> OfHeads:
    """The matrices of keys, which are turned, and of values."""
    return OfHeads(tensor, _UNSPLIT, frozenset({"k_b"}))


def _queries(*tensors: str) -> dict[str, Rule]:
    """Each head has what turns behind what does not."""
    return {f"layers.N.{part}": either(*(Fused(tensor, _QUERIES, "heads") for tensor in tensors)) for part in _QUERIES}


def _latent_rules(module: str, names: Mapping[str, str], queries: tuple[str, ...]) -> Rules:
    placed = {f"layers.N.{parameter}": f"{module}{name}.weight" for parameter, name in names.items()}
    return {**placed, **_queries(*(f"{module}{name}.weight" for name in queries))}


LATENT_HF: Rules = {
    **_latent_rules(
        HF_LAYER + "self_attn.",
        {"q_a": "q_a_proj", "q_a_norm": "q_a_layernorm", "kv_a": "kv_a_proj_with_mqa", "kv_a_norm": "kv_a_layernorm"},
        ("q_b_proj", "q_proj"),
    ),
    **{f"layers.N.{x}": _unsplit(HF_LAYER + "self_attn.kv_b_proj.weight") for x in _UNSPLIT},
}
LATENT_GGUF: Rules = {
    **_latent_rules(
        "blk.N.attn_",
        {"q_a": "q_a", "q_a_norm": "q_a_norm", "kv_a": "kv_a_mqa", "kv_a_norm": "kv_a_norm"},
        ("q_b", "q"),
    ),
    **{f"layers.N.{x}": either(f"blk.N.attn_{x}.weight", _unsplit("blk.N.attn_kv_b.weight")) for x in _UNSPLIT},
}
"""Newer files of DeepSeek have the matrices of keys and of values apart, the former turned."""

NORM_EPS = 1e-6
"""Of the norms of latent vectors, which no configuration says."""


def latent_attention(settings: Settings) -> dict[str, Any]:
    """The fields of `DecoderConfig` that say how a model of this kind attends."""
    if settings.flag("attention_bias"):
        raise settings.unsupported("attention_bias", "Attention to latent vectors has no biases here.")
    if settings.get("rope_interleave") is False:
        raise settings.unsupported("rope_interleave", "The halves of what turns are interleaved in this family.")
    heads = settings.count("num_attention_heads", most=MAX_HEADS)
    rank = settings.count("kv_lora_rank", most=MAX_HEAD_DIM)
    parameters = flat_rope_parameters(settings)
    if settings.kind == "gguf":
        parameters, sizes = _gguf_rope(settings, parameters), _gguf_sizes(settings, parameters)
    else:
        sizes = {
            "rope_dim": settings.count("qk_rope_head_dim", most=MAX_HEAD_DIM - rank),
            "nope_dim": settings.count("qk_nope_head_dim", most=MAX_HEAD_DIM),
            "value_dim": _value_dim(settings, "v_head_dim"),
        }
    query_rank = settings.optional_count("q_lora_rank", most=MAX_SIZE)
    latent = LatentConfig(rank, **sizes, query_rank=query_rank, norm_eps=NORM_EPS)
    return {
        "latent": latent,
        "num_heads": heads,
        "num_kv_heads": 1,
        "head_dim": latent.row,
        "attention_scale": _magnitude(parameters) ** 2 / math.sqrt(latent.nope_dim + latent.rope_dim),
        "ropes": (make_rope(parameters, head_dim=latent.rope_dim, rotary_dim=latent.rope_dim),),
        "max_position": longest_context(parameters),
        "qkv_bias": False,
        "output_bias": False,
    }


def _magnitude(parameters: Settings) -> float:
    """By what YaRN makes queries and keys larger that do not turn, too."""
    scale = parameters.optional_number("mscale_all_dim", low=-1e-9, high=1e6)
    if not scale or rope_type(parameters) == "default":
        return 1.0
    factor = parameters.number("factor", high=1e6)
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _gguf_rope(settings: Settings, parameters: Settings) -> Settings:
    """Files of this kind have a tenth of `mscale_all_dim`, and say nothing of `mscale`, which is as large."""
    scale = parameters.optional_number("mscale_all_dim", low=-1e-9, high=1e6)
    values = dict(parameters.values)
    if scale:
        values |= {"mscale": 10 * scale, "mscale_all_dim": 10 * scale}
    return settings.nested(values, "RoPE parameters")


def _gguf_sizes(settings: Settings, parameters: Settings) -> dict[str, int]:
    """Sizes of heads. Where the key for these is what the cache holds there are others for the heads themselves."""
    rope_dim = parameters.count("rotary_dim", most=MAX_HEAD_DIM)
    key = "key_length_mla" if settings.get("key_length_mla") else "head_dim"
    key_dim = settings.count(key, most=MAX_HEAD_DIM)
    if key_dim <= rope_dim:
        raise settings.corrupt(key, f"more than the {rope_dim} dimensions that turn")
    value = "value_length_mla" if settings.get("value_length_mla") else "value_length"
    return {"rope_dim": rope_dim, "nope_dim": key_dim - rope_dim, "value_dim": _value_dim(settings, value)}


def _value_dim(settings: Settings, key: str) -> int:
    """Where nothing is said, heads of values are equal parts of a row."""
    given = settings.optional_count(key, most=MAX_HEAD_DIM)
    heads = settings.count("num_attention_heads", most=MAX_HEADS)
    return given or max(1, settings.count("hidden_size") // heads)
