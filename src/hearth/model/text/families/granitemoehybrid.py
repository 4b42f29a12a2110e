"""Granite 4 H: Mamba 2, every few layers attention; an MLP in all of them, in the larger models experts beside it."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    Family,
    hybrid_kinds,
    layers_by_kind,
    llama_config,
    num_layers,
    recurrent,
)
from hearth.model.text.families.granite import FACTORS, granite_factors
from hearth.model.text.families.granitemoe import HF as GRANITEMOE_HF
from hearth.model.text.families.mamba_common import MAMBA2_DEFAULTS, MAMBA2_GGUF, MAMBA2_KEYS, mamba2, mamba2_hf
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, experts_config, with_experts
from hearth.model.text.names import HF_LAYER, fused


def configure(settings: Settings) -> DecoderConfig:
    rotates = _rotates(settings)
    attends = LayerConfig() if rotates else LayerConfig(None)
    kinds = hybrid_kinds(settings) or ["linear_attention"] * num_layers(settings)
    known = {"full_attention": attends, "linear_attention": recurrent(mamba2(settings))}
    layers = layers_by_kind(settings, kinds, known)
    differences: dict[str, Any] = granite_factors(settings) | ({} if rotates else {"ropes": ()})
    if settings.get("num_experts") == 0:
        # What is beside the experts is the MLP. Files without experts may not give its size apart.
        shared = settings.optional_count("shared_expert_intermediate_size")
        differences["intermediate_size"] = shared or settings.count("intermediate_size")
    else:
        layers = with_experts(layers)
        differences["experts"] = experts_config(settings, scores="softmax_of_chosen", normalise=False)
    return llama_config(settings, "granitemoehybrid", layers=layers, mlp_bias=False, **differences)


def _rotates(settings: Settings) -> bool:
    """Whether q and k rotate. GGUF files say it under a key that has another name (llama.cpp reads it so)."""
    if settings.kind == "gguf":
        return settings.get("rope_finetuned") is None or settings.flag("rope_finetuned")
    kind = settings.get("position_embedding_type")
    if kind not in (None, "nope", "rope"):
        raise settings.unsupported("position_embedding_type", "Hearth does not know it.")
    return bool(kind == "rope")


FAMILY = Family(
    name="granitemoehybrid",
    model_types=("granitemoehybrid",),
    architectures=("granitehybrid",),
    configure=configure,
    defaults={
        **MAMBA2_DEFAULTS,
        "attention_multiplier": 1.0,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "shared_expert_intermediate_size": 1024,
    },
    gguf_defaults={"num_experts": 0},
    keys={
        **EXPERT_KEYS,
        **MAMBA2_KEYS,
        "layers_block_type": "layer_types",
        "shared_intermediate_size": "shared_expert_intermediate_size",
    },
    honours=FACTORS | EXPERTS,
    gguf_honours=frozenset({"num_key_value_heads_by_layer"}),
    hf_tensors={
        **GRANITEMOE_HF,
        **mamba2_hf(HF_LAYER + "mamba."),
        **fused(HF_LAYER + "shared_mlp.input_linear", ("gate", "up")),
        "layers.N.down": HF_LAYER + "shared_mlp.output_linear.weight",
    },
    gguf_tensors={**EXPERTS_GGUF, **MAMBA2_GGUF},
    interleaved=frozenset({"gguf"}),
)
