"""Command R7B, A, Tiny Aya."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import cohere
from hearth.model.text.families.base import full_every, layer_kinds, windowed_layers


def configure(settings: Settings) -> DecoderConfig:
    # Three layers slide and rotate; the fourth attends to everything and does not rotate.
    every = settings.count("sliding_window_pattern")
    kinds = layer_kinds(settings, default=full_every(settings, every))
    layers = windowed_layers(settings, kinds, full_rope=None)
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
