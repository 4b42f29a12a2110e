"""LFM2, LFM2.5: short convolutions between gates, and every few layers attention."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    MAX_TAPS,
    Family,
    hybrid_kinds,
    layers_by_kind,
    llama_config,
    num_layers,
    recurrent,
)
from hearth.model.text.mixers.short_conv import ShortConv
from hearth.model.text.names import HF_LAYER, LLAMA_GGUF, LLAMA_HF, conv_taps

_PARTS = ("gate", "down", "up")


def configure(settings: Settings) -> DecoderConfig:
    return llama_config(
        settings, "lfm2", layers=lfm2_layers(settings), intermediate_size=_inner_size(settings), **LFM2_ARITHMETIC
    )


LFM2_ARITHMETIC: dict[str, Any] = {
    "qk_norm": "head", "qkv_bias": False, "output_bias": False, "mlp_bias": False, "activation": "silu",
}  # fmt: skip


def lfm2_layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Which layers attend: `layer_types`, `full_attn_idxs`, or those of a GGUF file that have heads of keys."""
    kinds = hybrid_kinds(settings, "conv", "full_attn_idxs") or ["full_attention"] * num_layers(settings)
    mixer = ShortConv(
        settings.count("hidden_size"), settings.count("conv_L_cache", most=MAX_TAPS), settings.flag("conv_bias")
    )
    return layers_by_kind(settings, kinds, {"full_attention": LayerConfig(), "conv": recurrent(mixer)})


def _inner_size(settings: Settings) -> int:
    """The width of the MLP: two thirds of what is given, times a factor, up to a multiple."""
    size = settings.optional_count("block_ff_dim") or settings.count("intermediate_size")
    if settings.kind == "gguf" or not settings.flag("block_auto_adjust_ff_dim"):
        return size
    size = int((settings.optional_number("block_ffn_dim_multiplier") or 1.0) * (2 * size // 3))
    multiple = settings.count("block_multiple_of")
    return -(-size // multiple) * multiple


LFM2_HF: Rules = {
    **LLAMA_HF,
    "layers.N.attn_norm": HF_LAYER + "operator_norm.weight",
    "layers.N.mlp_norm": HF_LAYER + "ffn_norm.weight",
    "layers.N.q_norm": HF_LAYER + "self_attn.q_layernorm.weight",
    "layers.N.k_norm": HF_LAYER + "self_attn.k_layernorm.weight",
    "layers.N.o": HF_LAYER + "self_attn.out_proj.weight",
    **{f"layers.N.{part}": f"{HF_LAYER}feed_forward.w{i}.weight" for i, part in enumerate(_PARTS, 1)},
    "layers.N.conv_in": HF_LAYER + "conv.in_proj.weight",
    "layers.N.conv_in_bias": HF_LAYER + "conv.in_proj.bias",
    "layers.N.conv_taps": conv_taps(HF_LAYER + "conv.conv.weight"),
    "layers.N.conv_bias": HF_LAYER + "conv.conv.bias",
    "layers.N.conv_out": HF_LAYER + "conv.out_proj.weight",
    "layers.N.conv_out_bias": HF_LAYER + "conv.out_proj.bias",
    "norm": "model.embedding_norm.weight",
}
LFM2_GGUF: Rules = {
    **LLAMA_GGUF,
    "layers.N.conv_in": "blk.N.shortconv.in_proj.weight",
    "layers.N.conv_taps": conv_taps("blk.N.shortconv.conv.weight", squeezed=True),
    "layers.N.conv_out": "blk.N.shortconv.out_proj.weight",
    "norm": ("token_embd_norm.weight", "output_norm.weight"),
}
LFM2_DEFAULTS: dict[str, Any] = {
    "num_key_value_heads": 8,
    "max_position_embeddings": 128000,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "conv_L_cache": 3,
    "block_auto_adjust_ff_dim": True,
    "block_multiple_of": 256,
    "tie_word_embeddings": True,
}
LFM2_KEYS = {"norm_eps": "rms_norm_eps", "tie_embedding": "tie_word_embeddings"}

FAMILY = Family(
    name="lfm2",
    model_types=("lfm2",),
    architectures=("lfm2",),
    configure=configure,
    defaults=LFM2_DEFAULTS,
    keys=LFM2_KEYS,
    gguf_honours=frozenset({"num_key_value_heads_by_layer"}),
    hf_tensors=LFM2_HF,
    gguf_tensors=LFM2_GGUF,
)
