"""Mistral 7B and its relatives, Ministral 8B. Their GGUF files say `llama`."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, layer_kinds, llama_config, window_kind, windowed_layers


def configure(settings: Settings) -> DecoderConfig:
    kinds = layer_kinds(settings, default=window_kind(settings))
    # It has no biases, whatever the configuration says.
    no_bias = {"qkv_bias": False, "output_bias": False, "mlp_bias": False}
    return llama_config(settings, "mistral", layers=windowed_layers(settings, kinds), **no_bias)


FAMILY = Family(
    name="mistral",
    model_types=("mistral", "ministral"),
    architectures=(),
    configure=configure,
    defaults={"num_key_value_heads": 8, "sliding_window": 4096, "max_position_embeddings": 131072},
)
