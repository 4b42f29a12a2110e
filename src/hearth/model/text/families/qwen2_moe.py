"""Qwen 1.5 and 2 with mixtures of experts."""

from dataclasses import replace
from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    experts_config,
    shared_hf,
)
from hearth.model.text.families.qwen2 import QWEN_DEFAULTS, qwen_layers
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # Beside the experts there is an MLP for all tokens, which each token takes as much of as it says.
    return llama_config(
        settings,
        "qwen2_moe",
        layers=some_with_experts(settings, qwen_layers(settings)),
        experts=experts_config(settings, shared_gate=True),
        qkv_bias=settings.flag("qkv_bias"),
        output_bias=False,
        mlp_bias=False,
    )


def some_with_experts(settings: Settings, layers: tuple[LayerConfig, ...]) -> tuple[LayerConfig, ...]:
    """Every so many layers are mixtures, but for those that are not to be."""
    step = settings.optional_count("decoder_sparse_step") or 1
    dense = settings.get("mlp_only_layers") or []
    if not isinstance(dense, list | tuple):
        raise settings.corrupt("mlp_only_layers", "a list of layers")
    return tuple(
        replace(layer, experts=index not in dense and (index + 1) % step == 0) for index, layer in enumerate(layers)
    )


GATED_SHARED_HF: Rules = {
    **shared_hf("mlp.shared_expert"),
    "layers.N.shared_gate": HF_LAYER + "mlp.shared_expert_gate.weight",
}
QWEN_MOE_DEFAULTS: dict[str, Any] = {**QWEN_DEFAULTS, "num_experts_per_tok": 4, "moe_intermediate_size": 1408}

FAMILY = Family(
    name="qwen2_moe",
    model_types=("qwen2_moe",),
    architectures=("qwen2moe",),
    configure=configure,
    defaults={
        **QWEN_MOE_DEFAULTS,
        "num_key_value_heads": 16,
        "num_experts": 60,
        "shared_expert_intermediate_size": 5632,
        "qkv_bias": True,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors={**EXPERTS_HF, **GATED_SHARED_HF},
    gguf_tensors=EXPERTS_GGUF,
)
