"""Qwen 2 and 2.5."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import Family, layer_kinds, llama_config, num_layers, windowed_layers


def configure(settings: Settings) -> DecoderConfig:
    # q, k and v have biases, the output has none.
    return llama_config(
        settings, "qwen2", layers=qwen_layers(settings), qkv_bias=True, output_bias=False, mlp_bias=False
    )


def qwen_layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Layers from `max_window_layers` on slide, if sliding is switched on at all."""
    first = settings.get("max_window_layers") if settings.flag("use_sliding_window") else None
    if first is not None and (isinstance(first, bool) or not isinstance(first, int) or first < 0):
        raise settings.corrupt("max_window_layers", "a number of layers")
    kinds = [
        "sliding_attention"
        if first is not None and index >= first and settings.get("sliding_window")
        else "full_attention"
        for index in range(num_layers(settings))
    ]
    return windowed_layers(settings, layer_kinds(settings, default=kinds))


QWEN_DEFAULTS: dict[str, Any] = {
    "num_key_value_heads": 32,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "max_position_embeddings": 32768,
}

FAMILY = Family(
    name="qwen2",
    model_types=("qwen2",),
    architectures=("qwen2",),
    configure=configure,
    defaults=QWEN_DEFAULTS,
)
