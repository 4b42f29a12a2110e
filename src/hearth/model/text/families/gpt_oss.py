"""gpt-oss 20B and 120B."""

from hearth.model.settings import Settings
from hearth.model.tensors import Fused, Made, Rules
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import (
    Family,
    head_dim,
    kinds_by_flags,
    layer_kinds,
    llama_config,
    num_layers,
    windowed_layers,
)
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, experts_config, with_experts
from hearth.model.text.names import HF_LAYER, LLAMA_HF
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope

_SIGMOID_FACTOR = 1.702


def configure(settings: Settings) -> DecoderConfig:
    if settings.get("swiglu_alpha") not in (None, _SIGMOID_FACTOR):
        raise settings.unsupported("swiglu_alpha", f"Hearth computes gpt-oss with {_SIGMOID_FACTOR}.")
    kinds = kinds_by_flags([(index + 1) % 2 for index in range(num_layers(settings))])
    layers = windowed_layers(settings, layer_kinds(settings, default=kinds))
    # The rotation's ramp begins and ends between pairs, as `truncate` says, which GGUF files have no key for.
    parameters = flat_rope_parameters(settings)
    if settings.kind == "gguf":
        parameters = settings.nested({**parameters.values, "truncate": False}, "RoPE parameters")
    # Each head has a sink; everything has a bias; gate and up are cut, and up has 1 added.
    return llama_config(
        settings,
        "gpt_oss",
        layers=with_experts(layers),
        ropes=(make_rope(parameters, head_dim=head_dim(settings)),),
        max_position=longest_context(parameters),
        attention_sinks=True,
        experts=experts_config(settings, scores="softmax_of_chosen", normalise=False, bias=True),
        activation="quick_gelu",
        mlp_clamp=settings.number("swiglu_limit"),
        up_offset=1.0,
        mlp_bias=False,
    )


_EXPERTS = HF_LAYER + "mlp.experts."
_GATE_UP = ("gate_exps", "up_exps")
# Matrices are stored as [in, out], columns of gate and up in turn; in MXFP4, as published, as [out, in].
HF: Rules = {
    **LLAMA_HF,
    "layers.N.router": HF_LAYER + "mlp.router.weight",
    "layers.N.router_bias": HF_LAYER + "mlp.router.bias",
    **{
        f"layers.N.{part}": (
            Fused(_EXPERTS + "gate_up_proj", _GATE_UP, groups="rows", transposed=True),
            Fused(_EXPERTS + "gate_up_proj.weight", _GATE_UP, groups="rows"),
        )
        for part in _GATE_UP
    },
    "layers.N.gate_exps_bias": Made(
        _EXPERTS + "gate_up_proj_bias", lambda biases: biases[:, 0::2], lambda shape: (shape[0], 2 * shape[1])
    ),
    "layers.N.up_exps_bias": Made(
        _EXPERTS + "gate_up_proj_bias", lambda biases: biases[:, 1::2], lambda shape: (shape[0], 2 * shape[1])
    ),
    "layers.N.down_exps": (
        Fused(_EXPERTS + "down_proj", ("down_exps",), transposed=True),
        _EXPERTS + "down_proj.weight",
    ),
    "layers.N.down_exps_bias": _EXPERTS + "down_proj_bias",
}

FAMILY = Family(
    name="gpt_oss",
    model_types=("gpt_oss",),
    architectures=("gpt-oss",),
    configure=configure,
    keys=EXPERT_KEYS,
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 64,
        "sliding_window": 128,
        "num_experts": 128,
        "num_experts_per_tok": 4,
        "attention_bias": True,
        "swiglu_limit": 7.0,
        "rope_theta": 150000.0,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 131072,
    },
    gguf_defaults={"swiglu_limit": 7.0},
    honours=EXPERTS,
    hf_tensors=HF,
    gguf_tensors={**EXPERTS_GGUF, "layers.N.mlp_norm": "blk.N.post_attention_norm.weight"},
)
