"""Seed-OSS."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.names import LLAMA_GGUF


def configure(settings: Settings) -> DecoderConfig:
    # Attention's way out has a switch of its own for its bias.
    return llama_config(settings, "seed_oss", output_bias=settings.flag("attention_out_bias"))


FAMILY = Family(
    name="seed_oss",
    model_types=("seed_oss",),
    architectures=("seed_oss",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 524288,
        "attention_bias": True,
        "attention_out_bias": False,
    },
    # llama.cpp names the norm before the MLP after what it follows.
    gguf_tensors={**LLAMA_GGUF, "layers.N.mlp_norm": "blk.N.post_attention_norm.weight"},
)
