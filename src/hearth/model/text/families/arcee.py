"""Arcee AFM."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config


def configure(settings: Settings) -> DecoderConfig:
    # An MLP without a gate.
    return llama_config(settings, "arcee", mlp="plain")


FAMILY = Family(
    name="arcee",
    model_types=("arcee",),
    architectures=("arcee",),
    configure=configure,
    defaults={"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "hidden_act": "relu2"},
    gguf_defaults={"hidden_act": "relu2"},
    interleaved=frozenset({"gguf"}),
)
