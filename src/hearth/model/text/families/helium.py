"""Helium 1."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config


def configure(settings: Settings) -> DecoderConfig:
    # Attention's way out never has a bias.
    return llama_config(settings, "helium", output_bias=False)


FAMILY = Family(
    name="helium",
    model_types=("helium",),
    architectures=(),
    configure=configure,
    defaults={
        "num_key_value_heads": 20,
        "head_dim": 128,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-8,
        "rope_theta": 100000.0,
    },
    interleaved=frozenset({"safetensors"}),
)
