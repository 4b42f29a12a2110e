"""K-EXAONE 236B-A23B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.exaone4 import PATTERN, exaone_layers
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    SIGMOID_HF,
    said_one_by_one,
    sigmoid_experts,
)
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    # Attention as in EXAONE 4.0, but with norms before a branch; experts as in GLM-4.5.
    experts = sigmoid_experts(settings, exaone_layers(settings))
    experts["layers"] = said_one_by_one(settings, experts["layers"])
    return llama_config(
        settings, "exaone_moe", qk_norm="head", qkv_bias=False, output_bias=False, mlp_bias=False, **experts
    )


FAMILY = Family(
    name="exaone_moe",
    model_types=("exaone_moe",),
    architectures=("exaone-moe",),
    configure=configure,
    defaults={
        **PATTERN,
        "num_key_value_heads": 32,
        "rms_norm_eps": 1e-5,
        "sliding_window": 4096,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 1024,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
    },
    gguf_defaults=PATTERN,
    keys={**EXPERT_KEYS, "num_shared_experts": "n_shared_experts"},
    honours=EXPERTS,
    hf_tensors={**SIGMOID_HF, "layers.N.choice_bias": HF_LAYER + "mlp.e_score_correction_bias"},
    gguf_tensors=EXPERTS_GGUF,
    # Layers that predict further tokens.
    ignored=("mtp.*",),
)
