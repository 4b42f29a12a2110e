"""AFMoE: Trinity Nano, Mini, Large."""

import math

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, full_every, layer_kinds, llama_config, windowed_layers
from hearth.model.text.families.mixture import (
    EXPERTS,
    EXPERTS_GGUF,
    SIGMOID_HF,
    dense_layers,
    experts_config,
    shared_size,
    with_experts,
)
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # Of four layers three slide, and the fourth attends to everything and does not rotate.
    kinds = layer_kinds(settings, default=full_every(settings, settings.count("global_attn_every_n_layers")))
    layers = windowed_layers(settings, kinds, full_rope=None)
    # Each branch is normalised before and after, each head of q and k before it is rotated; what attention gives goes
    # through a gate.
    return llama_config(
        settings,
        "afmoe",
        layers=with_experts(layers, first=dense_layers(settings)),
        experts=experts_config(
            settings, scores="sigmoid", choice_bias=True, normalise=True, shared_size=shared_size(settings)
        ),
        norm_placement="pre_post",
        qk_norm="head",
        attention_gate="full",
        embedding_scale=math.sqrt(settings.count("hidden_size")) if settings.flag("mup_enabled") else 1.0,
        mlp_bias=False,
    )


HF: Rules = {
    **SIGMOID_HF,
    "layers.N.attn_gate": HF_LAYER + "self_attn.gate_proj.weight",
    "layers.N.attn_post_norm": HF_LAYER + "post_attention_layernorm.weight",
    "layers.N.mlp_norm": HF_LAYER + "pre_mlp_layernorm.weight",
    "layers.N.mlp_post_norm": HF_LAYER + "post_mlp_layernorm.weight",
    "layers.N.router": HF_LAYER + "mlp.router.gate.weight",
    "layers.N.choice_bias": HF_LAYER + "mlp.expert_bias",
}

FAMILY = Family(
    name="afmoe",
    model_types=("afmoe",),
    architectures=("afmoe",),
    configure=configure,
    keys={
        "num_dense_layers": "first_k_dense_replace",
        "num_shared_experts": "n_shared_experts",
        "route_scale": "routed_scaling_factor",
    },
    defaults={
        "head_dim": 128,
        "num_experts": 64,
        "num_experts_per_tok": 6,
        "moe_intermediate_size": 1408,
        "n_shared_experts": 2,
        "first_k_dense_replace": 1,
        "sliding_window": 1024,
        "global_attn_every_n_layers": 4,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 16384,
    },
    # llama.cpp scales embeddings of every such model.
    gguf_defaults={"global_attn_every_n_layers": 4, "mup_enabled": True},
    honours=EXPERTS,
    hf_tensors=HF,
    gguf_tensors={**EXPERTS_GGUF, "layers.N.attn_gate": "blk.N.attn_gate.weight"},
)
