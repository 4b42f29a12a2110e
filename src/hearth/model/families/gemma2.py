"""Gemma 2."""

from typing import Any

from hearth.model.config import DecoderConfig
from hearth.model.families.base import (
    Family,
    activation,
    gguf_attention_scale,
    head_dim,
    layer_kinds,
    llama_config,
    num_layers,
    windowed_layers,
)
from hearth.model.settings import Settings
from hearth.model.tensors import LLAMA_HF, Rules


def configure(settings: Settings) -> DecoderConfig:
    # Every other layer slides, the first one does.
    kinds = ["full_attention" if index % 2 else "sliding_attention" for index in range(num_layers(settings))]
    return llama_config(
        settings,
        "gemma2",
        layers=windowed_layers(settings, layer_kinds(settings, default=kinds)),
        # Scores and logits are bent towards a maximum.
        attention_softcap=settings.optional_number("attn_logit_softcapping"),
        logit_softcap=settings.optional_number("final_logit_softcapping"),
        attention_scale=gemma_attention_scale(settings, layers_of_27b=46),
        **gemma_arithmetic(settings),
    )


def gemma_arithmetic(settings: Settings) -> dict[str, Any]:
    """What all Gemmas have in common."""
    return {
        # Norms multiply by 1 + weight; the converter to GGUF adds the 1 itself.
        "norm_offset": 0.0 if settings.kind == "gguf" else 1.0,
        # Each branch is normalised before and after.
        "norm_placement": "pre_post",
        "activation": activation(settings, "hidden_activation"),
        "embedding_scale": settings.count("hidden_size") ** 0.5,
        "mlp_bias": False,
    }


def gemma_attention_scale(settings: Settings, *, layers_of_27b: int) -> float:
    """Scores are scaled by a number of its own, which only for the largest model is not the head size."""
    if settings.kind == "safetensors":
        return settings.number("query_pre_attn_scalar") ** -0.5
    given = gguf_attention_scale(settings)
    if given is not None:
        return given
    # The converter does not write it; the 27B model is known by its number of layers.
    if num_layers(settings) == layers_of_27b:
        return float(settings.count("hidden_size") // settings.count("num_attention_heads")) ** -0.5
    return float(head_dim(settings)) ** -0.5


# Norms after a branch, and another name for the one before the MLP.
GEMMA_HF: Rules = {
    **LLAMA_HF,
    "layers.N.attn_post_norm": "model.layers.N.post_attention_layernorm.weight",
    "layers.N.mlp_norm": "model.layers.N.pre_feedforward_layernorm.weight",
    "layers.N.mlp_post_norm": "model.layers.N.post_feedforward_layernorm.weight",
}

FAMILY = Family(
    name="gemma2",
    model_types=("gemma2",),
    architectures=("gemma2",),
    configure=configure,
    defaults={
        "num_key_value_heads": 4,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    gguf_defaults={
        "hidden_activation": "gelu_pytorch_tanh",
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    honours=frozenset({"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"}),
    hf_tensors=GEMMA_HF,
)
