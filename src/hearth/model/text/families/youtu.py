"""Youtu-LLM."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config
from hearth.model.text.families.latent import LATENT_HF, latent_attention
from hearth.model.text.names import LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    # As DeepSeek 3 without experts.
    return llama_config(settings, "youtu", mlp_bias=False, **latent_attention(settings))


FAMILY = Family(
    name="youtu",
    model_types=("youtu",),
    architectures=(),
    configure=configure,
    defaults={
        "tie_word_embeddings": True,
        "kv_lora_rank": 512,
        "q_lora_rank": 1536,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "max_position_embeddings": 131072,
    },
    hf_tensors={**LLAMA_HF, **LATENT_HF},
    interleaved=frozenset({"safetensors"}),
)
