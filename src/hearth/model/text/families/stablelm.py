"""StableLM 2 (1.6B, 12B) and 3B, StableCode."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, partial_rope
from hearth.model.text.names import HF_LAYER, LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    # LayerNorm; a part of each head rotates; in some attention and MLP read one norm beside each other.
    return llama_config(
        settings,
        "stablelm",
        norm="layer",
        norm_bias=True,
        branches="parallel_shared" if settings.flag("use_parallel_residual") else "serial",
        # In the largest each head of q and k is normalised by weights of its own.
        qk_norm="head_layer" if settings.flag("qk_layernorm") or settings.flag("qk_norm") else None,
        qkv_bias=settings.flag("use_qkv_bias"),
        output_bias=False,
        mlp_bias=False,
        ropes=(partial_rope(settings),),
    )


FAMILY = Family(
    name="stablelm",
    model_types=("stablelm",),
    architectures=("stablelm",),
    configure=configure,
    defaults={
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "layer_norm_eps": 1e-5,
        "partial_rotary_factor": 0.25,
    },
    honours=frozenset({"use_parallel_residual", "qk_layernorm"}),
    hf_tensors={
        **LLAMA_HF,
        "layers.N.q_norm": HF_LAYER + "self_attn.q_layernorm.norms.E.weight",
        "layers.N.k_norm": HF_LAYER + "self_attn.k_layernorm.norms.E.weight",
    },
)
