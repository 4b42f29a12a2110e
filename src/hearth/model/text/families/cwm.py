"""Code World Model (CWM) 32B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import (
    Family,
    kinds_by_flags,
    layer_kinds,
    llama_config,
    num_layers,
    windowed_layers,
)


def configure(settings: Settings) -> DecoderConfig:
    # As Llama 3; three layers slide behind each that attends to everything, and all rotate alike.
    slides = kinds_by_flags([index % 4 for index in range(num_layers(settings))])
    layers = windowed_layers(settings, layer_kinds(settings, default=slides))
    return llama_config(settings, "cwm", layers=layers, qkv_bias=False, output_bias=False)


FAMILY = Family(
    name="cwm",
    model_types=("cwm",),
    architectures=(),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "sliding_window": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "max_position_embeddings": 131072,
    },
)
