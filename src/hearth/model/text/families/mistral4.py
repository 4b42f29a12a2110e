"""Mistral Small 4, and the text half of it."""

from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_layers, llama_config
from hearth.model.text.families.latent import LATENT_HF, latent_attention
from hearth.model.text.families.ministral3 import MISTRAL_PLACES
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    FUSED_EXPERTS_HF,
    SIGMOID_HF,
    dense_layers,
    experts_config,
    shared_size,
    with_experts,
)
from hearth.model.text.rope import flat_rope_parameters


def configure(settings: Settings) -> DecoderConfig:
    parameters = flat_rope_parameters(settings)
    rate = parameters.optional_number("llama_4_scaling_beta", high=1e6)
    length = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
    # Queries grow with their position, as in Ministral 3; experts by a softmax over all of them.
    return llama_config(
        settings,
        "mistral4",
        layers=with_experts(full_layers(settings), first=dense_layers(settings)),
        experts=experts_config(settings, shared_size=shared_size(settings)),
        attention_temperature=(rate, length, 0) if rate else None,
        mlp_bias=False,
        **latent_attention(settings),
    )


FAMILY = Family(
    name="mistral4",
    model_types=("mistral4",),
    architectures=(),
    configure=configure,
    defaults={
        "num_experts": 128,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 2048,
        "n_shared_experts": 1,
        "first_k_dense_replace": 0,
        "norm_topk_prob": True,
        "kv_lora_rank": 256,
        "q_lora_rank": 1024,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 64,
        "v_head_dim": 128,
        "max_position_embeddings": 1048576,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors={**SIGMOID_HF, **FUSED_EXPERTS_HF, **LATENT_HF},
    **MISTRAL_PLACES,
    interleaved=frozenset({"safetensors"}),
)
