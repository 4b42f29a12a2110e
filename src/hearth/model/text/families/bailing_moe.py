"""Ling 2 and Ring 2: mini, flash, 1T."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, partial_rope
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    SIGMOID_HF,
    sigmoid_experts,
)
from hearth.model.text.names import FUSED_QKV_GGUF, HF_LAYER, QKV, fused


def configure(settings: Settings) -> DecoderConfig:
    # Ling 1 has the same name, and experts by a softmax without a correction; it says nothing of how they are scored.
    if settings.kind == "safetensors" and settings.get("score_function") != "sigmoid":
        raise settings.unsupported("score_function", "Experts of Hearth's Ling are scored by sigmoids, as Ling 2's.")
    return bailing_config(settings, "bailing_moe")


def bailing_config(settings: Settings, family: str) -> DecoderConfig:
    """Attention as in Qwen 3, of which a part of each head may rotate; experts as in GLM-4.5."""
    return llama_config(
        settings,
        family,
        ropes=(partial_rope(settings),),
        qk_norm="head" if settings.flag("use_qk_norm") or settings.flag("qk_norm") else None,
        output_bias=False,
        mlp_bias=False,
        **sigmoid_experts(settings),
    )


_ATTENTION = HF_LAYER + "attention."
HF: Rules = {
    **SIGMOID_HF,
    **fused(_ATTENTION + "query_key_value", QKV),
    "embed": "model.word_embeddings.weight",
    "layers.N.o": _ATTENTION + "dense.weight",
    "layers.N.q_norm": _ATTENTION + "query_layernorm.weight",
    "layers.N.k_norm": _ATTENTION + "key_layernorm.weight",
    "layers.N.choice_bias": HF_LAYER + "mlp.gate.expert_bias",
}

FAMILY = Family(
    name="bailing_moe",
    model_types=("bailing_moe", "bailing_moe_v2"),
    architectures=("bailingmoe2",),
    configure=configure,
    defaults={"norm_topk_prob": True, "n_shared_experts": 1, "partial_rotary_factor": 0.5, "rope_theta": 600000.0},
    gguf_defaults={"norm_topk_prob": True},
    keys={**EXPERT_KEYS, "num_shared_experts": "n_shared_experts", "use_qkv_bias": "attention_bias"},
    honours=EXPERTS | {"use_qk_norm"},
    hf_tensors=HF,
    gguf_tensors={**EXPERTS_GGUF, **FUSED_QKV_GGUF},
)
