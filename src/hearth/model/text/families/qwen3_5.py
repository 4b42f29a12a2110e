"""Qwen 3.5, 3.6 and 3.8, dense: three layers of Gated DeltaNet, then one that attends."""

from typing import Any

import numpy as np

from hearth.model.settings import Settings
from hearth.model.tensors import Fused, Made, Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    MAX_HEAD_DIM,
    MAX_HEADS,
    MAX_TAPS,
    Family,
    Predictor,
    head_dim,
    layers_by_kind,
    llama_config,
    own_layers,
    recurrent,
)
from hearth.model.text.mixers.delta_net import DeltaNet
from hearth.model.text.names import HF_LAYER, LLAMA_GGUF, LLAMA_HF, conv_taps
from hearth.model.text.rope import flat_rope_parameters, longest_context, make_rope


def configure(settings: Settings) -> DecoderConfig:
    return llama_config(settings, "qwen3_5", **qwen3_5_arithmetic(settings))


def qwen3_5_arithmetic(settings: Settings, *, tiled: bool | None = None) -> dict[str, Any]:
    """What all models of this kind have that Llama has not. `tiled`: of `DeltaNet`; None: as the format has it."""
    # GGUF files have the value heads of all key heads in turns.
    tiled = settings.kind == "gguf" if tiled is None else tiled
    parameters = flat_rope_parameters(settings)
    return {
        "layers": _layers(settings, tiled),
        # A quarter of each head rotates, of a picture's tokens by time, row and column in turns.
        "ropes": (make_rope(parameters, head_dim=head_dim(settings), partial=True, in_turns=True),),
        "max_position": longest_context(parameters),
        "qk_norm": "head",
        "attention_gate": "full",
        "norm_offset": 0.0 if settings.kind == "gguf" else 1.0,
        "mlp_bias": False,
    }


def _layers(settings: Settings, tiled: bool) -> tuple[LayerConfig, ...]:
    count = own_layers(settings)
    every = settings.count("full_attention_interval")
    kinds = settings.sequence("layer_types", length=count)
    if kinds is None:
        kinds = ["linear_attention" if (index + 1) % every else "full_attention" for index in range(count)]
    known = {"full_attention": LayerConfig(), "linear_attention": recurrent(delta_net(settings, tiled))}
    return layers_by_kind(settings, kinds, known)


def delta_net(settings: Settings, tiled: bool) -> DeltaNet:
    """The mixer of the layers that do not attend."""
    keys, values = (settings.count(key, most=MAX_HEADS) for key in ("ssm_group_count", "ssm_time_step_rank"))
    if values % keys:
        raise settings.corrupt("ssm_time_step_rank", f"a multiple of the {keys} key heads")
    if settings.kind == "gguf":
        inner = settings.count("ssm_inner_size")
        if inner % values:
            raise settings.corrupt("ssm_inner_size", f"a multiple of the {values} value heads")
        size = inner // values
    else:
        size = settings.count("linear_value_head_dim", most=MAX_HEAD_DIM)
    return DeltaNet(
        keys,
        values,
        settings.count("ssm_state_size", most=MAX_HEAD_DIM),
        size,
        settings.count("ssm_conv_kernel", most=MAX_TAPS),
        tiled,
    )


DELTA_HF: Rules = {
    "layers.N.delta_qkv": HF_LAYER + "linear_attn.in_proj_qkv.weight",
    "layers.N.delta_z": HF_LAYER + "linear_attn.in_proj_z.weight",
    "layers.N.delta_a": HF_LAYER + "linear_attn.in_proj_a.weight",
    "layers.N.delta_b": HF_LAYER + "linear_attn.in_proj_b.weight",
    "layers.N.delta_conv": conv_taps(HF_LAYER + "linear_attn.conv1d.weight"),
    "layers.N.delta_decay": Made(HF_LAYER + "linear_attn.A_log", lambda w: -np.exp(w)),
    "layers.N.delta_step": HF_LAYER + "linear_attn.dt_bias",
    "layers.N.delta_scale": HF_LAYER + "linear_attn.norm.weight",
    "layers.N.delta_out": HF_LAYER + "linear_attn.out_proj.weight",
}
DELTA_GGUF: Rules = {
    "layers.N.delta_qkv": "blk.N.attn_qkv.weight",
    "layers.N.delta_z": "blk.N.attn_gate.weight",
    "layers.N.delta_a": "blk.N.ssm_alpha.weight",
    "layers.N.delta_b": "blk.N.ssm_beta.weight",
    "layers.N.delta_conv": conv_taps("blk.N.ssm_conv1d.weight", squeezed=True),
    "layers.N.delta_decay": "blk.N.ssm_a",
    "layers.N.delta_step": "blk.N.ssm_dt.bias",
    "layers.N.delta_scale": "blk.N.ssm_norm.weight",
    "layers.N.delta_out": "blk.N.ssm_out.weight",
}


def gated_q(tensor: str) -> Rules:
    """Rows of each head's queries and of its gate, one after the other."""
    rule = Fused(tensor, ("q", "attn_gate"), groups="heads")
    return {"layers.N.q": rule, "layers.N.attn_gate": rule}


QWEN3_5_HF: Rules = {**LLAMA_HF, **DELTA_HF, **gated_q(HF_LAYER + "self_attn.q_proj.weight")}
QWEN3_5_GGUF: Rules = {
    **LLAMA_GGUF,
    **DELTA_GGUF,
    **gated_q("blk.N.attn_q.weight"),
    "layers.N.mlp_norm": "blk.N.post_attention_norm.weight",
}
QWEN3_5_DEFAULTS: dict[str, Any] = {
    "head_dim": 256,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "partial_rotary_factor": 0.25,
    "full_attention_interval": 4,
    "ssm_conv_kernel": 4,
    "ssm_state_size": 128,
    "ssm_group_count": 16,
    "ssm_time_step_rank": 32,
    "linear_value_head_dim": 128,
}
QWEN3_5_KEYS = {
    "linear_conv_kernel_dim": "ssm_conv_kernel",
    "linear_key_head_dim": "ssm_state_size",
    "linear_num_key_heads": "ssm_group_count",
    "linear_num_value_heads": "ssm_time_step_rank",
}
QWEN3_5_PREFIXES = (("model.language_model.", "model."),)

QWEN3_5_PREDICTOR = Predictor(
    chains="normed",
    hf_names=(
        ("mtp.layers.0.", ""),
        ("mtp.fc.", "eh_proj."),
        ("mtp.pre_fc_norm_embedding.", "enorm."),
        ("mtp.pre_fc_norm_hidden.", "hnorm."),
        ("mtp.norm.", "shared_head.norm."),
    ),
)

FAMILY = Family(
    name="qwen3_5",
    model_types=("qwen3_5", "qwen3_5_text"),
    architectures=("qwen35",),
    configure=configure,
    defaults=QWEN3_5_DEFAULTS,
    gguf_defaults={"full_attention_interval": 4},
    keys=QWEN3_5_KEYS,
    honours=frozenset({"num_nextn_predict_layers"}),
    hf_tensors=QWEN3_5_HF,
    gguf_tensors=QWEN3_5_GGUF,
    hf_prefixes=QWEN3_5_PREFIXES,
    # What predicts further tokens, and what sees.
    ignored=("mtp.*", "model.visual.*", "v.*", "mm.*"),
    text_config="text_config",
    predictor=QWEN3_5_PREDICTOR,
)
