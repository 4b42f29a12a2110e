"""Hy 3."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    SIGMOID_HF,
    said_one_by_one,
    shared_hf,
    sigmoid_experts,
)
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # Attention as in Qwen 3, experts as in GLM-4.5; the first layer has an MLP.
    experts = sigmoid_experts(settings)
    if settings.kind == "gguf":  # which says how wide what is beside them is, not how many they are
        experts["experts"] = replace(experts["experts"], shared_size=settings.count("shared_expert_intermediate_size"))
    experts["layers"] = said_one_by_one(settings, experts["layers"])
    return llama_config(settings, "hy_v3", qk_norm="head", **experts)


FAMILY = Family(
    name="hy_v3",
    model_types=("hy_v3",),
    architectures=("hy_v3",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_experts": 192,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 1536,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.826,
        "rms_norm_eps": 1e-5,
        "rope_theta": 11158840.0,
        "max_position_embeddings": 131072,
    },
    keys={
        **EXPERT_KEYS,
        "num_shared_experts": "n_shared_experts",
        "router_scaling_factor": "routed_scaling_factor",
        "route_norm": "norm_topk_prob",
    },
    honours=EXPERTS,
    hf_tensors={
        **SIGMOID_HF,
        **shared_hf("mlp.shared_mlp"),
        "layers.N.router": HF_LAYER + "mlp.router.gate.weight",
        "layers.N.choice_bias": HF_LAYER + "mlp.expert_bias",
    },
    gguf_tensors={**EXPERTS_GGUF, "layers.N.choice_bias": ("blk.N.exp_probs_b", "blk.N.exp_probs_b.bias")},
    # The layer behind the last, which predicts a further token.
    ignored=("model.layers.80.*",),
)
