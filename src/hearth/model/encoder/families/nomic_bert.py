"""nomic-embed-text v1 and v1.5: BERT with rotated heads and a gated MLP, without biases."""

from hearth.model.encoder.config import EncoderConfig, EncoderLayer
from hearth.model.encoder.families.base import (
    Family,
    activation,
    bert_config,
    num_layers,
    pooler_head,
    token_head,
)
from hearth.model.encoder.names import BERT_GGUF, BERT_HF
from hearth.model.settings import MAX_POSITIONS, Settings
from hearth.model.tensors import Fused, Rules
from hearth.model.text.families.base import head_dim
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> EncoderConfig:
    size = head_dim(settings)
    return bert_config(
        settings,
        "nomic_bert",
        head_dim=size,
        layers=(EncoderLayer(rope=0),) * num_layers(settings),
        ropes=(make_rope(flat_rope_parameters(settings), head_dim=size),),
        max_position=_longest_text(settings),
        activation="silu" if settings.get("hidden_act") == "swiglu" else activation(settings),
        gated=True,
        qkv_bias=settings.flag("qkv_proj_bias"),
        output_bias=settings.flag("qkv_proj_bias"),
        up_bias=settings.flag("mlp_fc1_bias"),
        down_bias=settings.flag("mlp_fc2_bias"),
    )


def _longest_text(settings: Settings) -> int:
    """What it was trained for: more (`n_positions`) needs scaled frequencies, which the model's own code makes at run
    time."""
    most = settings.count("max_position_embeddings", most=MAX_POSITIONS)
    trained = settings.optional_count("max_trained_positions", most=MAX_POSITIONS)
    return most if trained is None else min(most, trained)


_QKV, _LAYER = ("q", "k", "v"), "encoder.layers.N."
_NEW = "layers.N."
HF: Rules = {
    **BERT_HF,
    "embed_norm": ("emb_ln.weight", "embeddings.LayerNorm.weight"),
    "embed_norm_bias": ("emb_ln.bias", "embeddings.LayerNorm.bias"),
    **{f"layers.N.{x}": (Fused(_LAYER + "attn.Wqkv.weight", _QKV), f"{_NEW}self_attn.{x}_proj.weight") for x in _QKV},
    **{f"layers.N.{x}_bias": Fused(_LAYER + "attn.Wqkv.bias", ("q_bias", "k_bias", "v_bias")) for x in _QKV},
    "layers.N.o": (_LAYER + "attn.out_proj.weight", _NEW + "self_attn.o_proj.weight"),
    "layers.N.o_bias": _LAYER + "attn.out_proj.bias",
    # fc11 goes through without an activation, fc12 through it.
    "layers.N.up": (_LAYER + "mlp.fc11.weight", _NEW + "mlp.up_proj.weight"),
    "layers.N.gate": (_LAYER + "mlp.fc12.weight", _NEW + "mlp.gate_proj.weight"),
    "layers.N.down": (_LAYER + "mlp.fc2.weight", _NEW + "mlp.down_proj.weight"),
    "layers.N.up_bias": _LAYER + "mlp.fc11.bias",
    "layers.N.gate_bias": _LAYER + "mlp.fc12.bias",
    "layers.N.down_bias": _LAYER + "mlp.fc2.bias",
    **{f"layers.N.attn_post_norm{end}": (f"{_LAYER}norm1.{part}", f"{_NEW}post_attention_layernorm.{part}")
       for end, part in (("", "weight"), ("_bias", "bias"))},
    **{f"layers.N.mlp_post_norm{end}": (f"{_LAYER}norm2.{part}", f"{_NEW}post_mlp_layernorm.{part}")
       for end, part in (("", "weight"), ("_bias", "bias"))},
}  # fmt: skip
GGUF: Rules = {
    **BERT_GGUF,
    **{f"layers.N.{x}": (Fused("blk.N.attn_qkv.weight", _QKV), f"blk.N.attn_{x}.weight") for x in _QKV},
}
FAMILY = Family(
    name="nomic_bert",
    model_types=("nomic_bert",),
    architectures=("nomic-bert",),
    configure=configure,
    defaults={"hidden_act": "silu", "rope_theta": 1000.0, "max_position_embeddings": 2048},
    gguf_defaults={"hidden_act": "silu"},
    # Its first configurations have GPT-2's names.
    aliases={"n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
             "n_inner": "intermediate_size", "n_positions": "max_position_embeddings",
             "activation_function": "hidden_act", "layer_norm_epsilon": "layer_norm_eps",
             "rotary_emb_base": "rope_theta", "rotary_emb_fraction": "partial_rotary_factor"},
    hf_tensors=HF,
    gguf_tensors=GGUF,
    hf_prefixes=(("bert.", ""), ("nomic_bert.", "")),
    sequence_head=pooler_head,
    token_head=token_head,
)  # fmt: skip
