"""Qwen 3.5 and 3.6 with mixtures of experts: 35B-A3B, 122B-A10B, 397B-A17B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.mixture import (
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    FUSED_EXPERTS_HF,
    experts_config,
    with_experts,
)
from hearth.model.text.families.qwen2_moe import GATED_SHARED_HF
from hearth.model.text.families.qwen3_5 import FAMILY as QWEN3_5
from hearth.model.text.families.qwen3_5 import qwen3_5_arithmetic


def configure(settings: Settings) -> DecoderConfig:
    # Every layer has experts, and beside them an MLP with a gate.
    arithmetic = qwen3_5_arithmetic(settings)
    arithmetic["layers"] = with_experts(arithmetic["layers"])
    experts = experts_config(settings, normalise=True, shared_gate=True)
    return llama_config(
        settings, "qwen3_5_moe", intermediate_size=experts.intermediate_size, experts=experts, **arithmetic
    )


FAMILY = Family(
    name="qwen3_5_moe",
    model_types=("qwen3_5_moe", "qwen3_5_moe_text"),
    architectures=("qwen35moe",),
    configure=configure,
    defaults={
        **QWEN3_5.defaults,
        "num_key_value_heads": 2,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
    },
    gguf_defaults=QWEN3_5.gguf_defaults,
    keys=QWEN3_5.keys,
    honours=EXPERTS,
    hf_tensors={**EXPERTS_HF, **FUSED_EXPERTS_HF, **GATED_SHARED_HF, **QWEN3_5.hf_tensors},
    gguf_tensors={**EXPERTS_GGUF, **QWEN3_5.gguf_tensors},
    hf_prefixes=QWEN3_5.hf_prefixes,
    ignored=QWEN3_5.ignored,
    predictor=QWEN3_5.predictor,
    text_config="text_config",
)
