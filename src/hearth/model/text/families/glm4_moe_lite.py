"""GLM-4.7 Flash."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, Predictor, llama_config
from hearth.model.text.families.latent import LATENT_HF, latent_attention
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, SIGMOID_HF, said_one_by_one, sigmoid_experts


def configure(settings: Settings) -> DecoderConfig:
    # As DeepSeek 3, with other numbers.
    experts = sigmoid_experts(settings)
    experts["layers"] = said_one_by_one(settings, experts["layers"])
    return llama_config(settings, "glm4_moe_lite", mlp_bias=False, **latent_attention(settings), **experts)


FAMILY = Family(
    name="glm4_moe_lite",
    model_types=("glm4_moe_lite",),
    architectures=(),
    configure=configure,
    defaults={
        "num_experts": 64,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 1536,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        "routed_scaling_factor": 1.8,
        "norm_topk_prob": True,
        "kv_lora_rank": 512,
        "q_lora_rank": 768,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 192,
        "v_head_dim": 256,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 202752,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors={**SIGMOID_HF, **LATENT_HF},
    interleaved=frozenset({"safetensors"}),
    predictor=Predictor(chains="residual"),
)
