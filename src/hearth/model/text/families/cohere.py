"""Command-R and R+, Aya 23 and Expanse."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config


def configure(settings: Settings) -> DecoderConfig:
    # In the largest each head of q and k is normalised by weights of its own.
    normed = settings.flag("use_qk_norm") or settings.flag("qk_norm")
    return cohere_config(settings, "cohere", qk_norm="head_layer" if normed else None)


def cohere_config(settings: Settings, family: str, **differences: Any) -> DecoderConfig:
    """Attention and MLP read one LayerNorm, which has no bias, beside each other; logits are scaled."""
    key = "logits_scaling" if settings.kind == "gguf" else "logit_scale"
    fields = {"norm": "layer", "branches": "parallel_shared", "logit_scale": settings.number(key), "mlp_bias": False}
    return llama_config(settings, family, **fields | differences)


FAMILY = Family(
    name="cohere",
    model_types=("cohere",),
    architectures=("command-r",),
    configure=configure,
    defaults={
        "max_position_embeddings": 8192,
        "layer_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "logit_scale": 0.0625,
        "tie_word_embeddings": True,
    },
    honours=frozenset({"logit_scale", "logits_scaling", "use_qk_norm"}),
    interleaved=frozenset({"safetensors", "gguf"}),
)
