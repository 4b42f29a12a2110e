"""Jamba: Mamba 1, every few layers attention without rotation; every other layer is a mixture of experts."""

from dataclasses import replace

import numpy as np

from hearth.model.settings import Settings
from hearth.model.tensors import Made, Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.bamba import FAMILY as BAMBA
from hearth.model.text.families.base import (
    MAX_HEAD_DIM,
    MAX_LAYERS,
    MAX_TAPS,
    Family,
    hybrid_kinds,
    layers_by_kind,
    llama_config,
    num_layers,
    recurrent,
)
from hearth.model.text.families.mamba_common import MAMBA2_GGUF, MAMBA2_KEYS, mamba2_hf
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, experts_config
from hearth.model.text.mixers.mamba import Mamba
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    layers = _layers(settings)
    # The weights of the chosen experts are not made to sum up to one.
    experts = experts_config(settings, normalise=False) if any(layer.experts for layer in layers) else None
    return llama_config(settings, "jamba", layers=layers, ropes=(), experts=experts, output_bias=False, mlp_bias=False)


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    count = num_layers(settings)
    kinds = hybrid_kinds(settings)
    if kinds is None:
        attending = _every(settings, "attn", count)
        kinds = ["full_attention" if index in attending else "linear_attention" for index in range(count)]
    known = {"full_attention": LayerConfig(None), "linear_attention": recurrent(_mixer(settings))}
    if settings.kind == "gguf":
        mixtures = {index for index in range(count) if str(index) in settings.get("layers_with_experts")}
    else:
        mixtures = _every(settings, "expert", count) if settings.count("num_experts") > 1 else set()
    layers = layers_by_kind(settings, kinds, known)
    return tuple(replace(layer, experts=index in mixtures) for index, layer in enumerate(layers))


def _every(settings: Settings, kind: str, count: int) -> set[int]:
    """One of so many layers, and which."""
    period = settings.count(f"{kind}_layer_period", most=MAX_LAYERS)
    offset = settings.get(f"{kind}_layer_offset")
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset < period:
        raise settings.corrupt(f"{kind}_layer_offset", f"a number of layers below {period}")
    return set(range(offset, count, period))


def _mixer(settings: Settings) -> Mamba:
    hidden = settings.count("hidden_size")
    if settings.kind == "gguf":
        channels = settings.count("ssm_inner_size")
    else:
        channels = settings.count("mamba_expand", most=64) * hidden
    automatic = settings.get("ssm_time_step_rank") == "auto"
    return Mamba(
        channels,
        settings.count("ssm_state_size", most=MAX_HEAD_DIM),
        settings.count("ssm_conv_kernel", most=MAX_TAPS),
        -(-hidden // 16) if automatic else settings.count("ssm_time_step_rank"),
        bias=settings.flag("mamba_proj_bias"),
        conv_bias=settings.flag("use_conv_bias"),
    )


def _rates(tensor: str, *, log: bool) -> Made:
    """What files have by channel; as logarithms, or ready."""
    return Made(tensor, lambda w: np.ascontiguousarray((-np.exp(w) if log else w).T), lambda shape: shape[::-1])


_MIXER, _FEED_FORWARD = HF_LAYER + "mamba.", HF_LAYER + "feed_forward."
_HF: Rules = {
    **BAMBA.hf_tensors,
    **mamba2_hf(_MIXER),
    "layers.N.ssm_x": _MIXER + "x_proj.weight",
    **{f"layers.N.ssm_{part}_norm": f"{_MIXER}{part}_layernorm.weight" for part in ("dt", "b", "c")},
    "layers.N.ssm_dt": _MIXER + "dt_proj.weight",
    "layers.N.ssm_step": _MIXER + "dt_proj.bias",
    "layers.N.ssm_rates": _rates(_MIXER + "A_log", log=True),
    "layers.N.router": _FEED_FORWARD + "router.weight",
    **{f"layers.N.{part}_exps": f"{_FEED_FORWARD}experts.E.{part}_proj.weight" for part in ("gate", "up", "down")},
}

FAMILY = Family(
    name="jamba",
    model_types=("jamba",),
    architectures=("jamba",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "max_position_embeddings": 262144,
        "num_experts": 16,
        "num_experts_per_tok": 2,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "attn_layer_period": 8,
        "attn_layer_offset": 4,
        "ssm_time_step_rank": "auto",
        "ssm_state_size": 16,
        "ssm_conv_kernel": 4,
        "mamba_expand": 2,
        "use_conv_bias": True,
    },
    keys={**EXPERT_KEYS, **MAMBA2_KEYS, "mamba_dt_rank": "ssm_time_step_rank"},
    honours=EXPERTS,
    gguf_honours=frozenset({"num_key_value_heads_by_layer"}),
    hf_tensors=_HF,
    gguf_tensors={
        **EXPERTS_GGUF,
        **MAMBA2_GGUF,
        "layers.N.ssm_x": "blk.N.ssm_x.weight",
        **{f"layers.N.ssm_{part}_norm": f"blk.N.ssm_{part}_norm.weight" for part in ("dt", "b", "c")},
        "layers.N.ssm_dt": "blk.N.ssm_dt.weight",
        "layers.N.ssm_rates": _rates("blk.N.ssm_a", log=False),
    },
)
