"""Jais 2."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config


def configure(settings: Settings) -> DecoderConfig:
    # LayerNorm, an MLP without a gate.
    return llama_config(settings, "jais2", norm="layer", norm_bias=True, mlp="plain")


FAMILY = Family(
    name="jais2",
    model_types=("jais2",),
    architectures=(),
    configure=configure,
    defaults={
        "max_position_embeddings": 8192,
        "hidden_act": "relu2",
        "layer_norm_eps": 1e-5,
        "attention_bias": True,
        "mlp_bias": True,
    },
)
