"""RWKV-7 "Goose": no layer attends, and what stands for an MLP looks at the token before, too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Made, Rules, either
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import MAX_HEAD_DIM, Family, inner_size, llama_config, num_layers, recurrent
from hearth.model.text.families.mamba2 import NO_ATTENTION
from hearth.model.text.mixers.rwkv7 import Rwkv7
from hearth.model.text.mixers.rwkv_channels import RwkvChannels
from hearth.model.text.names import HF_LAYER, LLAMA_GGUF, LLAMA_HF

HEAD_EPSILON = 64e-5
"""Of the norm of each head's output, as llama.cpp has it."""
_LERPS = "rwkvag"


def configure(settings: Settings) -> DecoderConfig:
    hidden, mixer = settings.count("hidden_size"), rwkv7(settings)
    if settings.kind == "safetensors":
        mixer = replace(mixer, epsilon=mixer.size * settings.number("layer_norm_eps", high=1.0))
        _refuse(settings, hidden)
    channels = RwkvChannels(hidden, inner_size(settings))
    layers = [
        replace(recurrent(replace(mixer, first=i == 0)), channel_mixer=channels) for i in range(num_layers(settings))
    ]
    return rwkv_config(settings, "rwkv7", tuple(layers), norm_bias=settings.flag("norm_bias"))


def rwkv_config(
    settings: Settings, family: str, layers: tuple[LayerConfig, ...], *, norm_bias: bool = True, **differences: Any
) -> DecoderConfig:
    """A decoder of such layers alone."""
    return llama_config(
        settings,
        family,
        layers=layers,
        ropes=(),
        norm="layer",
        norm_bias=norm_bias,
        embedding_norm=True,
        mlp="plain",
        activation="relu2",
        # What a configuration says is what it was trained with; a state has no end.
        max_position=1 << 20,
        **differences,
    )


def rwkv7(settings: Settings) -> Rwkv7:
    """The mixer of a configuration."""
    hidden, size = settings.count("hidden_size"), settings.count("wkv_head_size", most=MAX_HEAD_DIM)
    if hidden % size:
        raise settings.corrupt("wkv_head_size", f"a divisor of the hidden size {hidden}")
    decay, rate, value, gate = (settings.count(f"{part}_low_rank_dim") for part in ("decay", "a", "v", "gate"))
    return Rwkv7(hidden // size, size, decay, rate, value, gate, HEAD_EPSILON)


def _refuse(settings: Settings, hidden: int) -> None:
    """Raises Unsupported for what configurations of flash-linear-attention can say and no published model does."""
    widths = settings.get("value_dim")
    if any(width != hidden for width in (widths if isinstance(widths, list) else [widths or hidden])):
        raise settings.unsupported("value_dim", "Hearth computes values that are as wide as the hidden state.")
    for key, known in (("attn", None), ("norm_first", True), ("hidden_act", "sqrelu")):
        if settings.get(key) != known:
            raise settings.unsupported(key, f"Hearth computes {known!r} for the family 'rwkv7'.")


def flat(tensor: str) -> Made:
    """A vector that files hold with further axes."""
    return Made(tensor, lambda w: w.reshape(-1), None)


def lerps(tensor: str, names: str, *, flat: bool = False) -> Rules:
    """Rules for shares of the token before that are in one tensor, by the last part of their names.

    Args:
        flat: it has no axes between.
    """

    def one(i: int) -> Made:
        def stored(shape: tuple[int, ...]) -> tuple[int, ...]:
            return (len(names), *(() if flat else (1, 1)), *shape)

        return Made(tensor, lambda w: w.reshape(len(names), -1)[i], stored)

    return {f"layers.N.rwkv_x_{name}": one(i) for i, name in enumerate(names)}


_PRODUCTS = {"r": "receptance", "k": "key", "v": "value", "out": "output"}
_VECTORS = {"erased": "k_k", "kept": "k_a", "bonus": "r_k"}
_WAYS = {"down": "1", "up": "2", "bias": "0"}
RWKV7_GGUF: Rules = {
    **{f"layers.N.rwkv_{part}": f"blk.N.time_mix_{name}.weight" for part, name in _PRODUCTS.items()},
    **{
        f"layers.N.rwkv_{part}_{way}": f"blk.N.time_mix_{part}{number}.weight"
        for part in "wavg"
        for way, number in _WAYS.items()
    },
    **{f"layers.N.rwkv_{part}": flat(f"blk.N.time_mix_{name}.weight") for part, name in _VECTORS.items()},
    **lerps("blk.N.time_mix_lerp_fused.weight", _LERPS),
    "layers.N.rwkv_norm": "blk.N.time_mix_ln.weight",
    "layers.N.rwkv_norm_bias": "blk.N.time_mix_ln.bias",
}
CHANNELS_GGUF: Rules = {
    "layers.N.mix_x_k": flat("blk.N.channel_mix_lerp_k.weight"),
    "layers.N.mix_x_r": flat("blk.N.channel_mix_lerp_r.weight"),
    "layers.N.mix_k": "blk.N.channel_mix_key.weight",
    "layers.N.mix_v": "blk.N.channel_mix_value.weight",
    "layers.N.mix_r": "blk.N.channel_mix_receptance.weight",
}
NORMS_GGUF: Rules = {
    "layers.N.mlp_norm": "blk.N.attn_norm_2.weight",
    "layers.N.mlp_norm_bias": "blk.N.attn_norm_2.bias",
}
_ATTN, _FFN = HF_LAYER + "attn.", HF_LAYER + "ffn."
_LORA = {"down": "lora.0.weight", "up": "lora.2.weight", "bias": "lora.2.bias"}
_NORMS = {"embed_norm": "model.layers.0.pre_norm", "layers.N.attn_norm": HF_LAYER + "attn_norm",
          "layers.N.mlp_norm": HF_LAYER + "ffn_norm", "layers.N.rwkv_norm": _ATTN + "g_norm"}  # fmt: skip

FAMILY = Family(
    name="rwkv7",
    model_types=("rwkv7",),
    architectures=("rwkv7",),
    configure=configure,
    defaults={
        **NO_ATTENTION,
        "intermediate_size": None,
        "hidden_act": "sqrelu",
        "wkv_head_size": 64,
        "decay_low_rank_dim": 64,
        "gate_low_rank_dim": 128,
        "a_low_rank_dim": 64,
        "v_low_rank_dim": 16,
        "norm_first": True,
        "norm_bias": True,
        "layer_norm_eps": 1e-5,
    },
    gguf_defaults=NO_ATTENTION,
    keys={"head_dim": "wkv_head_size", "norm_eps": "layer_norm_eps"},
    hf_tensors={
        **LLAMA_HF,
        "embed": "model.embeddings.weight",
        **{f"layers.N.rwkv_{part}": f"{_ATTN}{part}_proj.weight" for part in "rkv"},
        "layers.N.rwkv_out": _ATTN + "o_proj.weight",
        **{
            f"layers.N.rwkv_{part}_{way}": f"{_ATTN}{part}_lora.{module}"
            for part in "wavg"
            for way, module in _LORA.items()
        },
        **{f"layers.N.rwkv_{part}": flat(_ATTN + name) for part, name in _VECTORS.items()},
        **{
            name: either(flat(f"{_ATTN}x_{name[-1]}"), fused)  # in one tensor: early versions of the classes
            for name, fused in lerps(_ATTN + "x_x", _LERPS, flat=True).items()
        },
        **{name: f"{module}.weight" for name, module in _NORMS.items()},
        **{f"{name}_bias": f"{module}.bias" for name, module in _NORMS.items()},
        "layers.N.mix_x_k": flat(_FFN + "x_k"),
        "layers.N.mix_k": _FFN + "key.weight",
        "layers.N.mix_v": _FFN + "value.weight",
    },
    gguf_tensors={**LLAMA_GGUF, **RWKV7_GGUF, **CHANNELS_GGUF, **NORMS_GGUF},
    # Of the first layer, which has no earlier values; files have something there.
    ignored=("blk.0.time_mix_v[012].weight", "model.layers.0.attn.v_lora.*"),
)
