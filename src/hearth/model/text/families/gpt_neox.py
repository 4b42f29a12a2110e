"""GPT-NeoX, Pythia, RedPajama-INCITE, Dolly 2, StableLM Alpha."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, partial_rope
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, QKV, fused, modules


def configure(settings: Settings) -> DecoderConfig:
    # A part of each head rotates; attention and MLP mostly read the block's input, each through a norm of its own.
    return llama_config(
        settings,
        "gpt_neox",
        norm="layer",
        norm_bias=True,
        branches="parallel" if settings.flag("use_parallel_residual") else "serial",
        mlp="plain",
        mlp_bias=True,
        ropes=(partial_rope(settings),),
    )


HF: Rules = {
    **LLAMA_HF,
    **modules(
        {
            "embed": "model.embed_in",
            "layers.N.o": "model.layers.N.attention.dense",
            "layers.N.up": "model.layers.N.mlp.dense_h_to_4h",
            "layers.N.down": "model.layers.N.mlp.dense_4h_to_h",
            "norm": "model.final_layer_norm",
        }
    ),
    **fused("model.layers.N.attention.query_key_value", QKV, groups="kv_heads"),
}

FAMILY = Family(
    name="gpt_neox",
    model_types=("gpt_neox",),
    architectures=("gptneox",),
    configure=configure,
    keys={"rotary_pct": "partial_rotary_factor", "rotary_emb_base": "rope_theta"},
    defaults={
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "attention_bias": True,
        "use_parallel_residual": True,
        "partial_rotary_factor": 0.25,
    },
    gguf_defaults={"hidden_act": "gelu", "use_parallel_residual": True},
    honours=frozenset({"use_parallel_residual"}),
    hf_tensors=HF,
    gguf_tensors={**LLAMA_GGUF, **FUSED_QKV_GGUF},
    hf_prefixes=(("gpt_neox.", "model."), ("embed_out.", "lm_head.")),
    ignored=("*.attention.bias", "*.attention.masked_bias"),
)
