"""Solar Open 100B."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, SIGMOID_HF, sigmoid_experts


def configure(settings: Settings) -> DecoderConfig:
    # Attention as in Llama, experts as in GLM-4.5, in all layers.
    experts = sigmoid_experts(settings)
    return llama_config(
        settings, "solar_open", intermediate_size=experts["experts"].intermediate_size, mlp_bias=False, **experts
    )


FAMILY = Family(
    name="solar_open",
    model_types=("solar_open",),
    architectures=(),  # GGUF files say glm4moe
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 1280,
        "n_shared_experts": 1,
        "norm_topk_prob": True,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "max_position_embeddings": 131072,
    },
    keys=EXPERT_KEYS,
    honours=EXPERTS,
    hf_tensors=SIGMOID_HF,
)
