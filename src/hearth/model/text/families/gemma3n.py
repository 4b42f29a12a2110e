"""Gemma 3n: E2B, E4B; their text half."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from hearth.model.settings import Settings
from hearth.model.tensors import OneOf, Rules
from hearth.model.text.config import AltUpConfig, DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    Family,
    activation,
    full_every,
    kinds_of_pattern,
    layer_kinds,
    llama_config,
    num_layers,
    ropes_by_kind,
    window,
)
from hearth.model.text.families.gemma4 import FAMILY as GEMMA4
from hearth.model.text.families.gemma4 import kv_readers
from hearth.model.text.names import HF_LAYER
from hearth.model.text.parameters import MOST_STREAMS


def configure(settings: Settings) -> DecoderConfig:
    if settings.get("altup_correct_scale") is not True:
        raise settings.unsupported("altup_correct_scale", "Hearth scales what the second embedding's gate reads.")
    widths = _widths(settings)
    # Norms, heads and the second embedding are Gemma 4's. Layers compute one of several streams of the residual.
    return llama_config(
        settings,
        "gemma3n",
        intermediate_size=widths[0],
        layers=_layers(settings, widths),
        ropes=ropes_by_kind(settings, "rope_local_base_freq"),
        norm_placement="pre_post",
        activation=activation(settings, "hidden_activation"),
        qk_norm="head",
        value_norm=True,
        attention_scale=1.0,
        embedding_scale=math.sqrt(settings.count("hidden_size")),
        layer_embedding=settings.count("hidden_size_per_layer_input"),
        layer_vocab=settings.count("vocab_size_per_layer_input"),
        altup=_streams(settings),
        laurel_rank=settings.count("laurel_rank"),
        logit_softcap=settings.optional_number("final_logit_softcapping"),
        mlp_bias=False,
    )


def _streams(settings: Settings) -> AltUpConfig:
    count, active = settings.count("altup_num_inputs", most=MOST_STREAMS), settings.get("altup_active_idx")
    if isinstance(active, bool) or not isinstance(active, int) or not 0 <= active < count:
        raise settings.corrupt("altup_active_idx", f"one of the {count} streams")
    return AltUpConfig(count, active)


def _widths(settings: Settings) -> list[int]:
    """Of the MLP of each layer; where they are alike it may be said once."""
    count, value = num_layers(settings), settings.get("intermediate_size")
    if settings.kind == "gguf":
        value = settings.get("intermediate_size_by_layer") or value
    if not isinstance(value, list | tuple):
        return [settings.count("intermediate_size")] * count
    if len(value) != count:
        raise settings.corrupt("intermediate_size", f"a width for each of {count} layers")
    return [settings.nested({"intermediate_size": each}, "MLPs").count("intermediate_size") for each in value]


def _gate_cuts(settings: Settings) -> list[float | None]:
    """How many standard deviations above its mean a gate has to be, by layer: for a share of its numbers (of a normal
    distribution) to be cut."""
    count = num_layers(settings)
    if settings.kind == "gguf":  # the deviations themselves, -inf for none
        scales = settings.sequence("activation_sparsity_scale", length=count) or [-math.inf] * count
        if not all(isinstance(scale, float) and -math.inf <= scale < math.inf for scale in scales):
            raise settings.corrupt("activation_sparsity_scale", "numbers below infinity")
        return [None if scale == -math.inf else scale for scale in scales]
    default = [0.95] * 10 + [0.0] * (count - 10) if count > 10 else [0.0] * count
    shares: list[Any] = settings.sequence("activation_sparsity_pattern", length=count) or default
    if not all(isinstance(share, float | int) and 0 <= share < 1 for share in shares):
        raise settings.corrupt("activation_sparsity_pattern", "shares from 0 to below 1")
    return [float(np.float32(NormalDist().inv_cdf(share))) if share else None for share in shares]


def _layers(settings: Settings, widths: list[int]) -> tuple[LayerConfig, ...]:
    gguf = settings.kind == "gguf"
    kinds = kinds_of_pattern(settings) if gguf else layer_kinds(settings, default=full_every(settings, 5))
    readers = kv_readers(settings, kinds)
    return tuple(
        LayerConfig(
            rope=0 if kind == "full_attention" else 1,
            sliding_window=None if kind == "full_attention" else window(settings),
            intermediate_size=None if width == widths[0] else width,
            reads=reads,
            gate_cut=cut,
        )
        for kind, width, reads, cut in zip(kinds, widths, readers, _gate_cuts(settings), strict=True)
    )


_WAYS = {"altup_in": "altup_projections", "altup_out": "altup_unembed_projections"}
_OTHERS = range(MOST_STREAMS - 1)
HF: Rules = {
    **GEMMA4.hf_tensors,
    **{f"{way}_{i}": f"model.{module}.{i}.weight" for way, module in _WAYS.items() for i in _OTHERS},
    "layers.N.altup_norm": HF_LAYER + "altup.router_norm.weight",
    "layers.N.altup_router": HF_LAYER + "altup.modality_router.weight",
    "layers.N.altup_predict": HF_LAYER + "altup.prediction_coefs.weight",
    "layers.N.altup_correct": HF_LAYER + "altup.correction_coefs.weight",
    "layers.N.altup_scale": HF_LAYER + "altup.correct_output_scale",
    "layers.N.laurel_left": HF_LAYER + "laurel.linear_left.weight",
    "layers.N.laurel_right": HF_LAYER + "laurel.linear_right.weight",
    "layers.N.laurel_norm": HF_LAYER + "laurel.post_laurel_norm.weight",
}

GGUF: Rules = {
    **GEMMA4.gguf_tensors,
    # One matrix after another.
    **{f"altup_in_{i}": OneOf("altup_proj.weight", i) for i in _OTHERS},
    **{f"altup_out_{i}": OneOf("altup_unembd_proj.weight", i) for i in _OTHERS},
    "layers.N.altup_norm": "blk.N.altup_router_norm.weight",
    "layers.N.altup_router": "blk.N.altup_router.weight",
    "layers.N.altup_predict": "blk.N.altup_predict_coef.weight",
    "layers.N.altup_correct": "blk.N.altup_correct_coef.weight",
    "layers.N.altup_scale": "blk.N.altup_correct_scale.weight",
    "layers.N.laurel_left": "blk.N.laurel_l.weight",
    "layers.N.laurel_right": "blk.N.laurel_r.weight",
    "layers.N.laurel_norm": "blk.N.laurel_post_norm.weight",
}

FAMILY = Family(
    name="gemma3n",
    model_types=("gemma3n", "gemma3n_text"),
    architectures=("gemma3n",),
    configure=configure,
    defaults={
        "vocab_size": 262400,
        "vocab_size_per_layer_input": 262144,
        "hidden_size": 2048,
        "hidden_size_per_layer_input": 256,
        "intermediate_size": 16384,
        "num_hidden_layers": 35,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": 32768,
        "sliding_window": 512,
        "final_logit_softcapping": 30.0,
        "tie_word_embeddings": True,
        "num_kv_shared_layers": 15,
        "altup_num_inputs": 4,
        "altup_active_idx": 0,
        "altup_correct_scale": True,
        "laurel_rank": 64,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
    },
    gguf_defaults={
        "hidden_activation": "gelu_pytorch_tanh",
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "altup_num_inputs": 4,
        "altup_active_idx": 0,
        "altup_correct_scale": True,
        "final_logit_softcapping": 30.0,
    },
    honours=frozenset(
        {
            *("final_logit_softcapping", "num_kv_shared_layers", "hidden_size_per_layer_input"),
            *("altup_num_inputs", "altup_active_idx", "activation_sparsity_scale"),
        }
    ),
    gguf_honours=frozenset({"intermediate_size_by_layer"}),
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=GEMMA4.hf_prefixes,
    ignored=GEMMA4.ignored,
    text_config="text_config",
)
