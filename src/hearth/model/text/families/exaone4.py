"""EXAONE 4.0."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, layer_kinds, llama_config, num_layers, window, windowed_layers
from hearth.model.text.families.olmo_common import OLMO_HF


def configure(settings: Settings) -> DecoderConfig:
    # Where there is a window, three layers slide, and the fourth attends to everything and does not rotate.
    layers = windowed_layers(settings, layer_kinds(settings, default=_kinds(settings)))
    if window(settings) is not None:
        layers = tuple(layer if layer.sliding_window else replace(layer, rope=None) for layer in layers)
    # A branch is normalised after it, not before; each head of q and k before it is rotated.
    return llama_config(
        settings,
        "exaone4",
        layers=layers,
        norm_placement="post",
        qk_norm="head",
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
    )


def _kinds(settings: Settings) -> list[str]:
    count, pattern = num_layers(settings), settings.get("sliding_window_pattern")
    if window(settings) is None:
        return ["full_attention"] * count
    if isinstance(pattern, list | tuple):  # GGUF may have a flag for each layer
        slides = [bool(flag) for flag in settings.sequence("sliding_window_pattern", length=count) or ()]
    elif isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        slides = [pattern[i % len(pattern)] == "L" for i in range(count)]
    else:
        every = settings.count("sliding_window_pattern")
        slides = [(i + 1) % every != 0 for i in range(count)]
    return ["sliding_attention" if flag else "full_attention" for flag in slides]


PATTERN = {"sliding_window_pattern": 4}

FAMILY = Family(
    name="exaone4",
    model_types=("exaone4",),
    architectures=("exaone4",),
    configure=configure,
    defaults={**PATTERN, "num_key_value_heads": 32, "rms_norm_eps": 1e-5, "sliding_window": 4096},
    gguf_defaults=PATTERN,
    hf_tensors=OLMO_HF,
)
