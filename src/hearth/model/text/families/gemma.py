"""Gemma 1, CodeGemma, ShieldGemma 1."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.gemma_common import gemma_basics


def configure(settings: Settings) -> DecoderConfig:
    # Early configurations say "gelu" and mean its approximation by tanh.
    return llama_config(settings, "gemma", activation="gelu_tanh", **gemma_basics(settings))


FAMILY = Family(
    name="gemma",
    model_types=("gemma",),
    architectures=("gemma",),
    configure=configure,
    defaults={
        "num_key_value_heads": 16,
        "head_dim": 256,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
)
