"""MiniCPM 3."""

import math

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, num_layers
from hearth.model.text.families.latent import LATENT_GGUF, LATENT_HF, latent_attention
from hearth.model.text.names import LLAMA_GGUF, LLAMA_HF

_FACTORS = {"scale_emb": 12.0, "scale_depth": 1.4, "dim_model_base": 256.0}
"""Of the published model, which GGUF files do not say and llama.cpp assumes."""


def configure(settings: Settings) -> DecoderConfig:
    # Embeddings, branches and logits have factors.
    hidden, layers = settings.count("hidden_size"), num_layers(settings)
    depth = settings.optional_number("scale_depth")
    return llama_config(
        settings,
        "minicpm3",
        embedding_scale=settings.number("scale_emb"),
        residual_scale=1.0 if depth is None else depth / math.sqrt(layers),
        logit_scale=(settings.optional_number("dim_model_base") or hidden) / hidden,
        mlp_bias=False,
        **latent_attention(settings),
    )


FAMILY = Family(
    name="minicpm3",
    model_types=("minicpm3",),
    architectures=("minicpm3",),
    configure=configure,
    defaults={
        **_FACTORS,
        "tie_word_embeddings": True,
        "kv_lora_rank": 256,
        "q_lora_rank": 768,
        "qk_rope_head_dim": 32,
        "qk_nope_head_dim": 64,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 32768,
    },
    gguf_defaults=_FACTORS,
    hf_tensors={**LLAMA_HF, **LATENT_HF},
    gguf_tensors={**LLAMA_GGUF, **LATENT_GGUF},
)
