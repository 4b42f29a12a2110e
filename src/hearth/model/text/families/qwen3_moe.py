"""Qwen 3 with mixtures of experts: 30B-A3B, Coder, 235B-A22B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, EXPERTS_HF, experts_config
from hearth.model.text.families.qwen2 import qwen_layers
from hearth.model.text.families.qwen2_moe import QWEN_MOE_DEFAULTS, some_with_experts


def configure(settings: Settings) -> DecoderConfig:
    # As Qwen 3 where it attends, with experts where it does not.
    return llama_config(
        settings,
        "qwen3_moe",
        layers=some_with_experts(settings, qwen_layers(settings)),
        experts=experts_config(settings, shared_size=0),
        qk_norm="head",
        mlp_bias=False,
    )


FAMILY = Family(
    name="qwen3_moe",
    model_types=("qwen3_moe",),
    architectures=("qwen3moe",),
    configure=configure,
    defaults={
        **QWEN_MOE_DEFAULTS,
        "num_key_value_heads": 4,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
    },
    gguf_defaults={"norm_topk_prob": True},
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors=EXPERTS_HF,
    gguf_tensors=EXPERTS_GGUF,
)
