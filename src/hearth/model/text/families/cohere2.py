"""Command R7B, A, Tiny Aya."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import cohere
from hearth.model.text.families.base import layer_kinds, num_layers, windowed_layers


def configure(settings: Settings) -> DecoderConfig:
    # Three layers slide and rotate; the fourth attends to everything and does not rotate.
    every = settings.count("sliding_window_pattern")
    kinds = ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(num_layers(settings))]
    layers = windowed_layers(settings, layer_kinds(settings, default=kinds))
    layers = tuple(layer if layer.sliding_window else replace(layer, rope=None) for layer in layers)
    return cohere.cohere_config(settings, "cohere2", layers=layers)


PATTERN = {"sliding_window_pattern": 4}

FAMILY = replace(
    cohere.FAMILY,
    name="cohere2",
    model_types=("cohere2",),
    architectures=("cohere2",),
    configure=configure,
    defaults={**cohere.FAMILY.defaults, **PATTERN, "rope_theta": 10000.0, "sliding_window": 4096},
    gguf_defaults=PATTERN,
)
