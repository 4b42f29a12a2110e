"""Sarvam 105B."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import deepseek_v3
from hearth.model.text.families.base import llama_config
from hearth.model.text.families.latent import latent_attention
from hearth.model.text.families.mixture import sigmoid_experts


def configure(settings: Settings) -> DecoderConfig:
    # As DeepSeek 3, with other numbers.
    return llama_config(
        settings, "sarvam_mla", mlp_bias=False, **latent_attention(settings), **sigmoid_experts(settings)
    )


FAMILY = replace(
    deepseek_v3.FAMILY,
    name="sarvam_mla",
    model_types=("sarvam_mla",),
    architectures=(),
    configure=configure,
    defaults={
        **deepseek_v3.FAMILY.defaults,
        "num_experts": 128,
        "q_lora_rank": None,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    },
    ignored=(),
)
