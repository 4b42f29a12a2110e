"""Mellum 2."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import (
    Family,
    kinds_of_pattern,
    layer_kinds,
    llama_config,
    ropes_by_kind,
    windowed_layers,
)
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    experts_config,
    said_one_by_one,
    with_experts,
)


def configure(settings: Settings) -> DecoderConfig:
    # As Qwen 3 with experts; some layers slide, and rotate otherwise than those that attend to everything.
    said = settings.get("sliding_window_pattern") is not None
    kinds = layer_kinds(settings, default=kinds_of_pattern(settings) if said else "full_attention")
    sliding = "rope_local_base_freq" if "rope_local_base_freq" in settings.values else "rope_theta"
    layers = with_experts(windowed_layers(settings, kinds, sliding_rope=1))
    return llama_config(
        settings,
        "mellum",
        layers=said_one_by_one(settings, layers),
        ropes=ropes_by_kind(settings, sliding),
        experts=experts_config(settings, shared_size=0),
        qk_norm="head",
        mlp_bias=False,
    )


FAMILY = Family(
    name="mellum",
    model_types=("mellum",),
    architectures=("mellum",),
    configure=configure,
    defaults={
        "num_key_value_heads": 4,
        "head_dim": 128,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 896,
        "norm_topk_prob": True,
        "sliding_window": 1024,
        "max_position_embeddings": 131072,
        "rope_theta": 500000.0,
    },
    gguf_defaults={"norm_topk_prob": True},
    keys={**EXPERT_KEYS, "num_mtp_layers": "num_nextn_predict_layers"},
    honours=EXPERTS,
    hf_tensors=EXPERTS_HF,
    gguf_tensors=EXPERTS_GGUF,
    # Layers that predict further tokens.
    ignored=("mtp.*", "model.mtp.*"),
)
