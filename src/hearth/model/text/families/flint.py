"""Flint."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import (
    Family,
    kinds_by_flags,
    layer_kinds,
    llama_config,
    num_layers,
    windowed_layers,
)
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_HF, experts_config, shared_hf
from hearth.model.text.families.qwen2_moe import some_with_experts
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # Each head has a sink, each head of q and k is normalised; layers that slide rotate, the others do not. Experts by
    # sigmoids, an MLP beside them.
    last = num_layers(settings) - 1
    slides = kinds_by_flags([1 < index < last and index % 4 != 1 for index in range(last + 1)])
    layers = windowed_layers(settings, layer_kinds(settings, default=slides), full_rope=None)
    return llama_config(
        settings,
        "flint",
        layers=some_with_experts(settings, layers),
        experts=experts_config(settings, scores="sigmoid"),
        qk_norm="head",
        attention_sinks=True,
        mlp_bias=False,
    )


FAMILY = Family(
    name="flint",
    model_types=("flint",),
    architectures=(),
    configure=configure,
    defaults={
        "num_key_value_heads": 4,
        "head_dim": 128,
        "num_experts": 256,
        "num_experts_per_tok": 6,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 1024,
        "norm_topk_prob": True,
        "mlp_only_layers": [0, 1],
        "sliding_window": 513,
        "max_position_embeddings": 262144,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors={
        **EXPERTS_HF,
        **shared_hf("mlp.shared_expert"),
        "layers.N.sinks": HF_LAYER + "self_attn.softmax_offset",
    },
)
