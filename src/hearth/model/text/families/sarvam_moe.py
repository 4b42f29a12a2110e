"""Sarvam 30B."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import bailing_moe


def configure(settings: Settings) -> DecoderConfig:
    # As Ling 2, with heads that rotate as a whole.
    return bailing_moe.bailing_config(settings, "sarvam_moe")


FAMILY = replace(
    bailing_moe.FAMILY,
    name="sarvam_moe",
    model_types=("sarvam_moe",),
    architectures=(),  # GGUF files say bailingmoe2
    configure=configure,
    defaults={
        "num_key_value_heads": 4,
        "head_dim": 64,
        "num_experts": 128,
        "num_experts_per_tok": 6,
        "moe_intermediate_size": 1024,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "routed_scaling_factor": 2.5,
        "norm_topk_prob": True,
        "use_qk_norm": True,
        "rope_theta": 8000000.0,
        "max_position_embeddings": 131072,
    },
)
