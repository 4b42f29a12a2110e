"""Phi-3, Phi-3.5 and Phi-4 (mini and full), text."""

from dataclasses import replace

from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, head_dim, layer_kinds, llama_config, window_kind, windowed_layers
from hearth.model.text.names import FUSED_QKV_GGUF, LLAMA_GGUF, LLAMA_HF, QKV, fused
from hearth.model.text.rope import beyond_original, flat_rope_parameters, make_rope, rope_type


def configure(settings: Settings) -> DecoderConfig:
    parameters = flat_rope_parameters(settings)
    if parameters.get("rope_type") in ("su", "yarn") or parameters.get("type") in ("su", "yarn"):
        # Names that LongRoPE had before it had one.
        parameters = parameters.nested({**parameters.values, "rope_type": "longrope"}, "longrope")
    config = llama_config(
        settings,
        "phi3",
        layers=windowed_layers(settings, layer_kinds(settings, default=window_kind(settings))),
        ropes=(make_rope(parameters, head_dim=head_dim(settings), partial=True),),
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
    )
    if rope_type(parameters) == "longrope" and not beyond_original(parameters):
        # With the short factors the model is good for its original context; a longer one has to be asked for.
        original = parameters.count("original_max_position_embeddings", most=MAX_POSITIONS)
        config = replace(config, max_position=min(original, config.max_position))
    return config


# q, k and v are one tensor, gate and up are another.
_GATE_UP = ("gate", "up")
HF: Rules = {
    **LLAMA_HF,
    **fused("model.layers.N.self_attn.qkv_proj", QKV),
    **fused("model.layers.N.mlp.gate_up_proj", _GATE_UP),
}
GGUF: Rules = {**LLAMA_GGUF, **FUSED_QKV_GGUF, **fused("blk.N.ffn_up", _GATE_UP)}

FAMILY = Family(
    name="phi3",
    model_types=("phi3",),
    architectures=("phi3",),
    configure=configure,
    defaults={"max_position_embeddings": 4096, "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-5},
    hf_tensors=HF,
    gguf_tensors=GGUF,
)
