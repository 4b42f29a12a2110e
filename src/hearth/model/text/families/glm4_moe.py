"""GLM-4.5, 4.6, 4.7 with mixtures of experts."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, Predictor, llama_config, partial_rope
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, SIGMOID_HF, sigmoid_experts


def configure(settings: Settings) -> DecoderConfig:
    # Half of each head rotates; q and k are normalised in the larger models.
    return llama_config(
        settings,
        "glm4_moe",
        ropes=(partial_rope(settings),),
        qk_norm="head" if settings.flag("use_qk_norm") or settings.flag("qk_norm") else None,
        output_bias=False,
        mlp_bias=False,
        **sigmoid_experts(settings),
    )


FAMILY = Family(
    name="glm4_moe",
    model_types=("glm4_moe",),
    architectures=("glm4moe",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 1408,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "norm_topk_prob": True,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 131072,
    },
    gguf_defaults={"norm_topk_prob": True},
    keys=EXPERT_KEYS,
    honours=EXPERTS | {"use_qk_norm"},
    hf_tensors=SIGMOID_HF,
    gguf_tensors={**EXPERTS_GGUF, "layers.N.mlp_norm": "blk.N.post_attention_norm.weight"},
    predictor=Predictor(chains="residual"),
)
