"""Mistral 7B and its relatives, Ministral 8B. Their GGUF files say `llama`."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, layer_kinds, llama_config, window, windowed_layers


def configure(settings: Settings) -> DecoderConfig:
    # All layers attend to the last `sliding_window` tokens, if there is one.
    default = "full_attention" if window(settings) is None else "sliding_attention"
    # It has no biases, whatever the configuration says.
    no_bias = {"qkv_bias": False, "output_bias": False, "mlp_bias": False}
    return llama_config(
        settings, "mistral", layers=windowed_layers(settings, layer_kinds(settings, default=default)), **no_bias
    )


FAMILY = Family(
    name="mistral",
    model_types=("mistral", "ministral"),
    architectures=(),
    configure=configure,
    defaults={"num_key_value_heads": 8, "sliding_window": 4096, "max_position_embeddings": 131072},
)
