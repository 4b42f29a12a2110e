"""What all Gemmas have in common."""

import math
from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.families.base import activation, gguf_attention_scale, head_dim, num_layers
from hearth.model.text.names import LLAMA_HF


def gemma_basics(settings: Settings) -> dict[str, Any]:
    return {
        # Norms multiply by 1 + weight; the converter to GGUF adds the 1 itself.
        "norm_offset": 0.0 if settings.kind == "gguf" else 1.0,
        "embedding_scale": settings.count("hidden_size") ** 0.5,
        "mlp_bias": False,
    }


def gemma_arithmetic(settings: Settings, *, layers_of_27b: int) -> dict[str, Any]:
    """Of Gemma 2 and later ones."""
    return gemma_basics(settings) | {
        # Each branch is normalised before and after.
        "norm_placement": "pre_post",
        "activation": activation(settings, "hidden_activation"),
        "attention_scale": _attention_scale(settings, layers_of_27b),
        "logit_softcap": settings.optional_number("final_logit_softcapping"),
    }


def _attention_scale(settings: Settings, layers_of_27b: int) -> float:
    """Scores are scaled by a size of its own, which only in the 27B models is not the size of a head."""
    if settings.kind == "safetensors":
        return float(settings.number("query_pre_attn_scalar") ** -0.5)
    given = gguf_attention_scale(settings)
    if given is not None:
        return given
    # The converter does not write it; the 27B models are known by their number of layers.
    if num_layers(settings) == layers_of_27b:
        return 1 / math.sqrt(settings.count("hidden_size") // settings.count("num_attention_heads"))
    return 1 / math.sqrt(head_dim(settings))


# Norms after a branch, and another name for the one before the MLP.
GEMMA_HF: Rules = {
    **LLAMA_HF,
    "layers.N.attn_post_norm": "model.layers.N.post_attention_layernorm.weight",
    "layers.N.mlp_norm": "model.layers.N.pre_feedforward_layernorm.weight",
    "layers.N.mlp_post_norm": "model.layers.N.post_feedforward_layernorm.weight",
}

GEMMA_DEFAULTS: dict[str, Any] = {
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}
