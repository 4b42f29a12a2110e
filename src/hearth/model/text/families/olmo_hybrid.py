"""OLMo Hybrid: three layers of Gated DeltaNet to one that attends, which is as OLMo 3's."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.tensors import Made, Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    MAX_HEAD_DIM,
    MAX_HEADS,
    MAX_TAPS,
    Family,
    head_dim,
    layers_by_kind,
    num_layers,
    recurrent,
)
from hearth.model.text.families.olmo_common import OLMO_HF, olmo_config
from hearth.model.text.families.qwen3_5 import DELTA_HF, QWEN3_5_KEYS
from hearth.model.text.mixers.delta_net import DeltaNet
from hearth.model.text.names import HF_LAYER, conv_taps
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> DecoderConfig:
    # What was published says that nothing rotates, by a null.
    given = settings.table("rope_scaling") or settings.table("rope_parameters")
    rotates = given.get("rope_theta", settings.get("rope_theta")) is not None
    ropes = (make_rope(flat_rope_parameters(settings), head_dim=head_dim(settings)),) if rotates else ()
    count, every = num_layers(settings), settings.count("full_attention_interval")
    kinds = settings.sequence("layer_types", length=count) or [
        "linear_attention" if (index + 1) % every and (count >= every or index + 1 < count) else "full_attention"
        for index in range(count)
    ]
    known = {
        "full_attention": LayerConfig(0 if rotates else None),
        # The norms of these stand before their branches.
        "linear_attention": replace(recurrent(_delta_net(settings)), norm_placement="pre"),
    }
    return olmo_config(settings, "olmo_hybrid", layers=layers_by_kind(settings, kinds, known), ropes=ropes)


def _delta_net(settings: Settings) -> DeltaNet:
    heads = settings.count("num_attention_heads", most=MAX_HEADS)
    keys = settings.optional_count("ssm_group_count", most=MAX_HEADS) or heads
    values = settings.optional_count("ssm_time_step_rank", most=MAX_HEADS) or heads
    if values % keys:
        raise settings.corrupt("ssm_time_step_rank", f"a multiple of the {keys} key heads")
    size = settings.optional_count("ssm_state_size", most=MAX_HEAD_DIM)
    size = size or int(0.75 * settings.count("hidden_size") / keys)
    return DeltaNet(
        keys,
        values,
        size,
        settings.optional_count("linear_value_head_dim", most=MAX_HEAD_DIM) or 2 * size,
        settings.count("ssm_conv_kernel", most=MAX_TAPS),
        strength=2.0 if settings.flag("linear_allow_neg_eigval") else 1.0,
        epsilon=1e-5,  # whatever that of the model is
    )


_MIXER = HF_LAYER + "linear_attn."
_HF: Rules = {
    **OLMO_HF,
    **DELTA_HF,
    # As published, and as transformers calls them.
    "layers.N.attn_norm": (HF_LAYER + "attention_layer_norm.weight", HF_LAYER + "input_layernorm.weight"),
    "layers.N.mlp_norm": (HF_LAYER + "feedforward_layer_norm.weight", HF_LAYER + "post_attention_layernorm.weight"),
    "layers.N.attn_post_norm": (
        HF_LAYER + "post_attention_layernorm.weight",
        HF_LAYER + "feedforward_layer_norm.weight",
    ),
    "layers.N.delta_qkv": Made(
        _MIXER + "q_proj.weight", lambda w: w, further=(_MIXER + "k_proj.weight", _MIXER + "v_proj.weight")
    ),
    "layers.N.delta_conv": (
        conv_taps(*(f"{_MIXER}{part}_conv1d.weight" for part in "qkv")),
        conv_taps(_MIXER + "conv1d.weight"),
    ),
    **{f"layers.N.delta_{part}": f"{_MIXER}{part}_proj.weight" for part in "ab"},
    "layers.N.delta_z": _MIXER + "g_proj.weight",
    "layers.N.delta_scale": _MIXER + "o_norm.weight",
    "layers.N.delta_out": _MIXER + "o_proj.weight",
}

FAMILY = Family(
    name="olmo_hybrid",
    model_types=("olmo_hybrid",),
    architectures=(),
    configure=configure,
    defaults={
        "max_position_embeddings": 65536,
        "full_attention_interval": 4,
        "ssm_conv_kernel": 4,
        "linear_allow_neg_eigval": True,
    },
    keys=QWEN3_5_KEYS,
    hf_tensors=_HF,
)
