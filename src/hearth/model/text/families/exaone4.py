"""EXAONE 4.0."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    Family,
    kinds_by_flags,
    kinds_of_pattern,
    layer_kinds,
    llama_config,
    own_layers,
    window,
    windowed_layers,
)
from hearth.model.text.families.olmo_common import OLMO_HF


def configure(settings: Settings) -> DecoderConfig:
    # A branch is normalised after it, not before; each head of q and k before it is rotated.
    return llama_config(
        settings,
        "exaone4",
        layers=exaone_layers(settings),
        norm_placement="post",
        qk_norm="head",
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
    )


def exaone_layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Where there is a window, three layers slide, and the fourth attends to everything and does not rotate."""
    kinds = layer_kinds(settings, default=_kinds(settings))
    return windowed_layers(settings, kinds, full_rope=0 if window(settings) is None else None)


def _kinds(settings: Settings) -> list[str]:
    count, pattern = own_layers(settings), settings.get("sliding_window_pattern")
    if window(settings) is None:
        return ["full_attention"] * count
    if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        return kinds_by_flags([pattern[i % len(pattern)] == "L" for i in range(count)])
    return kinds_of_pattern(settings)


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
