"""LFM3: as LFM2, with norms behind branches, layers that slide, and a gate for each head."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    MAX_TAPS,
    Family,
    hybrid_kinds,
    layers_by_kind,
    llama_config,
    num_layers,
    recurrent,
    ropes_by_kind,
    window,
)
from hearth.model.text.families.lfm2 import FAMILY as LFM2
from hearth.model.text.mixers.short_conv import ShortConv
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    return llama_config(
        settings,
        "lfm3",
        layers=_layers(settings),
        ropes=ropes_by_kind(settings),
        qk_norm="head",
        norm_placement="pre_post" if settings.flag("use_sandwich_norm") else "pre",
        attention_gate="head" if settings.flag("use_attention_gate") else None,
        mlp_bias=False,
        activation="silu",
    )


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Convolutions, and every other layer attention, in turns to what is near and to everything."""
    turns = ("sliding_attention", "conv", "full_attention", "conv")
    kinds = hybrid_kinds(settings) or ["conv", *(turns[index % 4] for index in range(1, num_layers(settings)))]
    mixer = ShortConv(
        settings.count("hidden_size"), settings.count("conv_L_cache", most=MAX_TAPS), settings.flag("conv_bias")
    )
    known = {
        "full_attention": LayerConfig(0),
        "sliding_attention": LayerConfig(1, window(settings)),
        "conv": recurrent(mixer),
    }
    return layers_by_kind(settings, kinds, known)


_ROPES: dict[str, Any] = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    "full_attention": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.5},
}
_HF: Rules = {
    **LFM2.hf_tensors,
    "layers.N.q_norm": HF_LAYER + "self_attn.q_norm.weight",
    "layers.N.k_norm": HF_LAYER + "self_attn.k_norm.weight",
    "layers.N.o": HF_LAYER + "self_attn.o_proj.weight",
    # As published, and as transformers calls it.
    "layers.N.head_gate": (HF_LAYER + "self_attn.gate_proj.weight", HF_LAYER + "self_attn.g_proj.weight"),
    "layers.N.attn_post_norm": HF_LAYER + "post_operator_norm.weight",
    "layers.N.mlp_post_norm": HF_LAYER + "post_ffn_norm.weight",
}

FAMILY = Family(
    name="lfm3",
    model_types=("lfm3",),
    architectures=(),
    configure=configure,
    defaults={
        "head_dim": 128,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128000,
        "rms_norm_eps": 1e-5,
        "rope_parameters": _ROPES,
        "sliding_window": 256,
        "conv_L_cache": 7,
        "use_sandwich_norm": True,
        "use_attention_gate": True,
        "tie_word_embeddings": True,
    },
    keys=LFM2.keys,
    hf_tensors=_HF,
)
