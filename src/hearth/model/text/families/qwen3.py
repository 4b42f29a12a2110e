"""Qwen 3, dense."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.qwen2 import QWEN_DEFAULTS, qwen_layers


def configure(settings: Settings) -> DecoderConfig:
    # Each head of q and k is normalised before it is rotated; biases only where the configuration has them.
    return llama_config(settings, "qwen3", layers=qwen_layers(settings), qk_norm="head", mlp_bias=False)


FAMILY = Family(
    name="qwen3",
    model_types=("qwen3",),
    architectures=("qwen3",),
    configure=configure,
    # The size of a head does not follow from the hidden size.
    defaults={**QWEN_DEFAULTS, "head_dim": 128},
)
