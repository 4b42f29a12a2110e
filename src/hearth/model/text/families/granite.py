"""Granite 3, dense."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, gguf_attention_scale, head_dim, llama_config


def configure(settings: Settings) -> DecoderConfig:
    return llama_config(settings, "granite", **granite_factors(settings))


def granite_factors(settings: Settings) -> dict[str, Any]:
    """Four factors that other models have built into their weights."""
    scale = settings.optional_number("attention_multiplier") or gguf_attention_scale(settings)
    return {
        "attention_scale": scale or head_dim(settings) ** -0.5,
        "embedding_scale": settings.optional_number("embedding_multiplier") or 1.0,
        "residual_scale": settings.optional_number("residual_multiplier") or 1.0,
        "logit_scale": 1.0 / (settings.optional_number("logits_scaling", low=1e-9) or 1.0),
    }


FACTORS = frozenset(
    {"attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling", "logit_scale"}
)

FAMILY = Family(
    name="granite",
    model_types=("granite",),
    architectures=("granite",),
    configure=configure,
    defaults={"attention_multiplier": 1.0},
    honours=FACTORS,
    interleaved=frozenset({"gguf"}),
)
