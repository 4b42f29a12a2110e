"""Phi-1, 1.5 and 2."""

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, llama_config, partial_rope
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, modules


def configure(settings: Settings) -> DecoderConfig:
    # Attention and an MLP without a gate read one LayerNorm; a part of each head rotates; biases everywhere.
    return llama_config(
        settings,
        "phi",
        norm="layer",
        norm_bias=True,
        branches="parallel_shared",
        mlp="plain",
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        head_bias=True,
        ropes=(partial_rope(settings),),
    )


HF: Rules = {
    **LLAMA_HF,
    **modules(
        {
            "layers.N.o": "model.layers.N.self_attn.dense",
            "layers.N.up": "model.layers.N.mlp.fc1",
            "layers.N.down": "model.layers.N.mlp.fc2",
            "norm": "model.final_layernorm",
        }
    ),
}

FAMILY = Family(
    name="phi",
    model_types=("phi",),
    architectures=("phi2",),
    configure=configure,
    defaults={"hidden_act": "gelu_new", "layer_norm_eps": 1e-5, "partial_rotary_factor": 0.5},
    gguf_defaults={"hidden_act": "gelu_new"},
    hf_tensors=HF,
    gguf_tensors={**LLAMA_GGUF, **FUSED_QKV_GGUF},
)
