"""gte v1.5 and multilingual ("new"): BERT with rotated heads and a gated MLP."""

import math

import numpy as np

from hearth.model.encoder.config import EncoderConfig, EncoderLayer
from hearth.model.encoder.families.base import Family, bert_config, num_layers, pooler_head, token_head
from hearth.model.encoder.names import BERT_HF, with_bias
from hearth.model.settings import Settings
from hearth.model.tensors import Fused, Rules
from hearth.model.text.config import RopeConfig
from hearth.model.text.families.base import head_dim
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> EncoderConfig:
    return bert_config(
        settings,
        "gte",
        layers=(EncoderLayer(rope=0),) * num_layers(settings),
        ropes=(_rope(settings),),
        gated=True,
        up_bias=False,
    )


def _rope(settings: Settings) -> RopeConfig:
    scaling = settings.table("rope_scaling")
    if (scaling.get("type") or scaling.get("rope_type")) == "ntk":
        return _ntk(settings.nested(scaling, "rope_scaling"), settings.number("rope_theta"), head_dim(settings))
    return make_rope(flat_rope_parameters(settings), head_dim=head_dim(settings))


def _ntk(scaling: Settings, theta: float, size: int) -> RopeConfig:
    """A name of this family's: the base times the factor, or, mixed, each frequency divided by a factor of its own.

    Source: the authors' published code; https://kexue.fm/archives/9706.
    """
    factor = scaling.number("factor", high=1e6)
    mixed = scaling.optional_number("mixed_b", high=10.0)
    pairs = np.arange(0, size, 2).astype(np.float32) / np.float32(size)
    if mixed is None:
        inv_freq = np.float32(1) / np.float32(theta * factor) ** pairs / np.float32(factor ** (2 / size))
    else:
        growth = math.log(factor) / (size / 2) ** mixed * np.arange(1, size // 2 + 1) ** mixed
        inv_freq = np.float32(1) / np.float32(theta) ** pairs / np.exp(growth).astype(np.float32)
    return RopeConfig(tuple(float(f) for f in inv_freq.astype(np.float32)))


_QKV, _LAYER, _NEW = ("q", "k", "v"), "encoder.layer.N.", "layers.N."
_OLD = with_bias(
    {
        "layers.N.o": _LAYER + "attention.o_proj.weight",
        "layers.N.attn_post_norm": _LAYER + "attn_ln.weight",
        "layers.N.down": _LAYER + "mlp.down_proj.weight",
        "layers.N.mlp_post_norm": _LAYER + "mlp_ln.weight",
    }
)
_AS_TRANSFORMERS = with_bias(
    {
        "layers.N.o": _NEW + "self_attn.o_proj.weight",
        "layers.N.attn_post_norm": _NEW + "post_attention_layernorm.weight",
        "layers.N.down": _NEW + "mlp.down_proj.weight",
        "layers.N.mlp_post_norm": _NEW + "post_mlp_layernorm.weight",
    }
)
HF: Rules = {
    **BERT_HF,
    **{name: (str(_OLD[name]), str(_AS_TRANSFORMERS[name])) for name in _OLD},
    **{
        f"layers.N.{x}{end}": (
            Fused(f"{_LAYER}attention.qkv_proj.{part}", tuple(f"{y}{end}" for y in _QKV)),
            f"{_NEW}self_attn.{x}_proj.{part}",
        )
        for x in _QKV
        for end, part in (("", "weight"), ("_bias", "bias"))
    },
    **{
        f"layers.N.{x}": (Fused(_LAYER + "mlp.up_gate_proj.weight", ("up", "gate")), f"{_NEW}mlp.{x}_proj.weight")
        for x in ("up", "gate")
    },
}
FAMILY = Family(
    name="gte",
    model_types=("new", "gte"),
    architectures=(),
    configure=configure,
    defaults={"max_position_embeddings": 8192, "rope_theta": 160000.0, "type_vocab_size": 1},
    honours=frozenset({"position_embedding_type"}),
    hf_tensors=HF,
    hf_prefixes=(("new.", ""), ("gte.", "")),
    sequence_head=pooler_head,
    token_head=token_head,
)
