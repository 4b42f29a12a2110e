"""Laguna XS, M."""

from dataclasses import replace
from typing import Any, Literal

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    MAX_HEADS,
    Family,
    head_dim,
    kinds_by_flags,
    kinds_of_pattern,
    layer_kinds,
    llama_config,
    num_layers,
    window,
    windowed_layers,
)
from hearth.model.text.families.mixture import (
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    experts_config,
    said_one_by_one,
    shared_hf,
    with_experts,
)
from hearth.model.text.names import HF_LAYER
from hearth.model.text.rope import complete, flat_rope_parameters, longest_context, make_rope


def configure(settings: Settings) -> DecoderConfig:
    if settings.get("moe_router_logit_softcapping"):
        raise settings.unsupported("moe_router_logit_softcapping", "Hearth scores experts by the router's own numbers.")
    full, sliding = _rope_parameters(settings)
    size = head_dim(settings)
    # Each head of q and k is normalised, what attention gives goes through gates of softplus; kinds of layers differ in
    # heads and rotations. Experts by sigmoids with a correction, an MLP beside them.
    return llama_config(
        settings,
        "laguna",
        layers=_layers(settings),
        ropes=tuple(make_rope(each, head_dim=size, partial=True) for each in (full, sliding)),
        max_position=longest_context(full),
        experts=experts_config(settings, scores="sigmoid", choice_bias=True, normalise=True),
        qk_norm="head",
        attention_gate=_gate(settings),
        gate_activation="softplus",
        mlp_bias=False,
    )


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    count, kv_heads = num_layers(settings), settings.count("num_key_value_heads", most=MAX_HEADS)
    layers = windowed_layers(settings, _kinds(settings), sliding_rope=1)
    layers = said_one_by_one(settings, with_experts(layers, first=1))
    heads = settings.sequence("num_attention_heads_by_layer", length=count)
    if heads is None:
        return layers
    for number in heads:
        if type(number) is not int or not 1 <= number <= MAX_HEADS or number % kv_heads:
            raise settings.corrupt("num_attention_heads_by_layer", f"multiples of the {kv_heads} heads of keys")
    return tuple(replace(layer, num_heads=number) for layer, number in zip(layers, heads, strict=True))


def _kinds(settings: Settings) -> list[str]:
    """A GGUF file says the window alone: three layers slide behind each that attends to everything."""
    if settings.kind == "safetensors" or window(settings) is None:
        return layer_kinds(settings, default="full_attention")
    if settings.get("sliding_window_pattern") is not None:
        return kinds_of_pattern(settings)
    return kinds_by_flags([index % 4 for index in range(num_layers(settings))])


def _rope_parameters(settings: Settings) -> tuple[Settings, Settings]:
    """Those of the layers that attend to everything, and of those that slide."""
    if settings.kind == "gguf":
        turned = {"rotary_dim": settings.get("rotary_dim_swa")}
        return flat_rope_parameters(settings), complete(settings, turned, theta_key="rope_local_base_freq")
    kinds = settings.table("rope_parameters")
    found: list[Any] = [kinds.get(kind) or {} for kind in ("full_attention", "sliding_attention")]
    if not all(isinstance(each, dict) for each in found):
        raise settings.corrupt("rope_parameters", "an object for each kind of layer")
    full, sliding = (complete(settings, dict(each)) for each in found)
    return full, sliding


def _gate(settings: Settings) -> Literal["full", "head"]:
    """One number for each head, or one for each that attention gives; the shape says it in a GGUF file."""
    if settings.kind == "gguf":
        return "head" if settings.get("gate_size") == settings.count("num_attention_heads") else "full"
    gating = settings.get("gating")
    return "head" if gating is True else settings.choice("gating", {"per-head": "head", "per-element": "full"})


_GATES = ("attn_gate", "head_gate")
HF: Rules = {
    **EXPERTS_HF,
    **shared_hf("mlp.shared_expert"),
    **{f"layers.N.{gate}": HF_LAYER + "self_attn.g_proj.weight" for gate in _GATES},
    "layers.N.choice_bias": HF_LAYER + "mlp.experts.e_score_correction_bias",
}

FAMILY = Family(
    name="laguna",
    model_types=("laguna",),
    architectures=("laguna",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "gating": True,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
        "sliding_window": 512,
        "rope_parameters": {
            "full_attention": {"rope_theta": 500000.0, "partial_rotary_factor": 0.5},
            "sliding_attention": {"rope_theta": 10000.0},
        },
        "max_position_embeddings": 131072,
    },
    keys={
        "moe_routed_scaling_factor": "routed_scaling_factor",
        "num_attention_heads_per_layer": "num_attention_heads_by_layer",
    },
    honours=EXPERTS | {"num_attention_heads_by_layer"},
    gguf_honours=frozenset({"rotary_dim_swa"}),
    hf_tensors=HF,
    gguf_tensors={**EXPERTS_GGUF, **{f"layers.N.{gate}": "blk.N.attn_gate.weight" for gate in _GATES}},
)
