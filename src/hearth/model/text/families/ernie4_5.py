"""ERNIE 4.5, dense."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config


def configure(settings: Settings) -> DecoderConfig:
    # One switch for all biases.
    bias = settings.flag("use_bias")
    return llama_config(settings, "ernie4_5", qkv_bias=bias, output_bias=bias, mlp_bias=bias)


FAMILY = Family(
    name="ernie4_5",
    model_types=("ernie4_5",),
    architectures=("ernie4_5",),
    configure=configure,
    defaults={
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
    },
    interleaved=frozenset({"safetensors", "gguf"}),
)
