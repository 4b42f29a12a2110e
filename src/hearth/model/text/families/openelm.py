"""OpenELM: layers that differ in how many heads they have and how wide their MLP is."""

from __future__ import annotations

from typing import Any

from hearth.model.settings import MAX_SIZE, Settings
from hearth.model.tensors import Fused
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import MAX_HEADS, Family, llama_config, num_layers
from hearth.model.text.names import FUSED_QKV_GGUF, HF_LAYER, LLAMA_GGUF, LLAMA_HF, QKV, fused


def configure(settings: Settings) -> DecoderConfig:
    for key, known in (("ffn_with_glu", True), ("normalization_layer_name", "rms_norm")):
        if settings.get(key) not in (known, None):
            raise settings.unsupported(key, f"Hearth computes {known!r} for the family 'openelm'.")
    count = num_layers(settings)
    queries = _by_layer(settings, "num_attention_heads", count, MAX_HEADS)
    keys = _by_layer(settings, "num_key_value_heads", count, MAX_HEADS)
    widths = _by_layer(settings, "intermediate_size", count, MAX_SIZE) if settings.kind == "gguf" else _widths(settings)
    for heads, kv_heads in zip(queries, keys, strict=True):
        if heads % kv_heads:
            raise settings.corrupt("num_key_value_heads_by_layer", f"a divisor of the {heads} heads of its layer")
    layers = (
        LayerConfig(num_heads=heads, num_kv_heads=kv_heads, intermediate_size=width)
        for heads, kv_heads, width in zip(queries, keys, widths, strict=True)
    )
    return llama_config(
        settings,
        "openelm",
        layers=tuple(layers),
        num_heads=queries[0],
        num_kv_heads=keys[0],
        intermediate_size=widths[0],
        qk_norm="head" if settings.flag("qk_norm") else None,
    )


def _by_layer(settings: Settings, key: str, count: int, most: int) -> list[int]:
    """What a GGUF file says once where all layers have as many, and a folder always for each."""
    values = settings.sequence(f"{key}_by_layer", length=count)
    if values is None:
        return [settings.count(key, most=most)] * count
    return [_checked(settings, f"{key}_by_layer", value, most) for value in values]


def _checked(settings: Settings, key: str, value: Any, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise settings.corrupt(key, f"whole numbers from 1 to {most}")
    return value


def _widths(settings: Settings) -> list[int]:
    """Widths of the MLPs: multiples of a number, near the shares of the hidden size that the layers have."""
    step, hidden = settings.count("ffn_dim_divisor"), settings.count("hidden_size")
    shares = settings.numbers("ffn_multipliers", length=num_layers(settings))
    widths = []
    for wanted in (share * hidden for share in shares):
        width = max(step, int(wanted + step / 2) // step * step)
        widths.append(_checked(settings, "ffn_multipliers", width + (step if width < 0.9 * wanted else 0), MAX_SIZE))
    return widths


FAMILY = Family(
    name="openelm",
    model_types=("openelm",),
    architectures=("openelm",),
    configure=configure,
    defaults={
        "hidden_act": "swish",
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "tie_word_embeddings": True,
        "qk_norm": True,
        "ffn_dim_divisor": 256,
    },
    keys={
        "model_dim": "hidden_size",
        "normalize_qk_projections": "qk_norm",
        "num_transformer_layers": "num_hidden_layers",
        "num_query_heads": "num_attention_heads_by_layer",
        "num_kv_heads": "num_key_value_heads_by_layer",
        "activation_fn_name": "hidden_act",
        "rope_freq_constant": "rope_theta",
        "max_context_length": "max_position_embeddings",
        "share_input_output_layers": "tie_word_embeddings",
    },
    honours=frozenset({"num_attention_heads_by_layer", "num_key_value_heads_by_layer", "intermediate_size_by_layer"}),
    hf_tensors={
        **LLAMA_HF,
        "embed": "model.token_embeddings.weight",
        **fused(HF_LAYER + "attn.qkv_proj", QKV),
        "layers.N.o": HF_LAYER + "attn.out_proj.weight",
        "layers.N.q_norm": HF_LAYER + "attn.q_norm.weight",
        "layers.N.k_norm": HF_LAYER + "attn.k_norm.weight",
        "layers.N.attn_norm": HF_LAYER + "attn_norm.weight",
        "layers.N.mlp_norm": HF_LAYER + "ffn_norm.weight",
        "layers.N.gate": Fused(HF_LAYER + "ffn.proj_1.weight", ("gate", "up")),
        "layers.N.up": Fused(HF_LAYER + "ffn.proj_1.weight", ("gate", "up")),
        "layers.N.down": HF_LAYER + "ffn.proj_2.weight",
    },
    hf_prefixes=(("transformer.", "model."),),
    gguf_tensors={**LLAMA_GGUF, **FUSED_QKV_GGUF},
)
