"""SmolLM3."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, layer_kinds, llama_config, num_layers, windowed_layers


def configure(settings: Settings) -> DecoderConfig:
    # Every fourth layer has no position embedding at all.
    rotates = settings.sequence("no_rope_layers", length=num_layers(settings))
    if rotates is None:
        interval = settings.count("no_rope_layer_interval")
        rotates = [(index + 1) % interval != 0 for index in range(num_layers(settings))]
    if any(flag not in (0, 1) for flag in rotates):
        raise settings.corrupt("no_rope_layers", "1 for a layer that rotates and 0 for one that does not")
    # If a window is switched on, it is for the layers that do not rotate.
    slides = settings.flag("use_sliding_window") and settings.get("sliding_window") is not None
    kinds = ["sliding_attention" if slides and not flag else "full_attention" for flag in rotates]
    layers = windowed_layers(settings, layer_kinds(settings, default=kinds))
    layers = tuple(replace(layer, rope=0 if flag else None) for layer, flag in zip(layers, rotates, strict=True))
    return llama_config(settings, "smollm3", layers=layers)


FAMILY = Family(
    name="smollm3",
    model_types=("smollm3",),
    architectures=("smollm3",),
    configure=configure,
    defaults={
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "rope_theta": 2000000.0,
        "tie_word_embeddings": True,
        "no_rope_layer_interval": 4,
    },
    # llama.cpp takes every fourth layer whatever the source said; its files have no key for it.
    gguf_defaults={"rope_theta": 2000000.0, "no_rope_layer_interval": 4},
    honours=frozenset({"no_rope_layers"}),
    interleaved=frozenset({"gguf"}),
)
