"""RWKV-6 "Finch": no layer attends, and what stands for an MLP looks at the token before, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.tensors import Made, Rules, either
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import MAX_HEAD_DIM, Family, num_layers, recurrent
from hearth.model.text.families.mamba2 import NO_ATTENTION
from hearth.model.text.families.rwkv7 import (
    CHANNELS_GGUF,
    HEAD_EPSILON,
    NORMS_GGUF,
    RWKV7_GGUF,
    flat,
    lerps,
    rwkv_config,
)
from hearth.model.text.mixers.rwkv6 import Rwkv6
from hearth.model.text.mixers.rwkv_channels import RwkvChannels
from hearth.model.text.names import LLAMA_GGUF, LLAMA_HF
from hearth.model.weights import Source, constant

_ORDER = "wkvrg"


def configure(settings: Settings) -> DecoderConfig:
    if settings.get("proj_low_rank_dim") is not None:
        raise settings.unsupported("proj_low_rank_dim", "Hearth reads RWKV-6 as its authors publish it.")
    hidden = settings.count("hidden_size")
    inner = settings.optional_count("intermediate_size") or int(hidden * 3.5) // 32 * 32
    layer = replace(recurrent(rwkv6(settings)), channel_mixer=RwkvChannels(hidden, inner, gated=True))
    layers, scaled = (layer,) * num_layers(settings), bool(_rescaled(settings))
    return rwkv_config(settings, "rwkv6", layers, intermediate_size=inner, layer_scale=scaled)


def rwkv6(settings: Settings) -> Rwkv6:
    """The mixer of a configuration."""
    hidden, size = settings.count("hidden_size"), settings.count("wkv_head_size", most=MAX_HEAD_DIM)
    if hidden % size:
        raise settings.corrupt("wkv_head_size", f"a divisor of the hidden size {hidden}")
    # Configurations do not say: those of 7B have twice as much.
    shift, decay = (64, 128) if hidden == 4096 else (32, 64)
    shift = settings.optional_count("lora_rank_tokenshift") or shift
    decay = settings.optional_count("lora_rank_decay") or decay
    return Rwkv6(hidden // size, size, shift, decay, HEAD_EPSILON)


def _rescaled(settings: Settings) -> int:
    """After so many layers GGUF files expect what they gave to be halved, whose weights they have so much smaller."""
    if settings.kind != "gguf" or not settings.get("rescale_every"):
        return 0
    return settings.count("rescale_every")


def _halves(settings: Settings) -> Mapping[str, Source]:
    every = _rescaled(settings)
    return {
        f"layers.{i}.scale": constant((0.5 if (i + 1) % every == 0 else 1.0,))
        for i in range(num_layers(settings) if every else 0)
    }


def _part(tensor: str, number: int, *, transposed: bool) -> Made:
    """A matrix of several that one tensor has."""
    if transposed:
        return Made(tensor, lambda w: w[number].T, lambda shape: (len(_ORDER), *shape[::-1]))
    return Made(tensor, lambda w: w[number], lambda shape: (len(_ORDER), *shape))


def _turned(tensor: str) -> Made:
    return Made(tensor, lambda w: w.T, lambda shape: shape[::-1])


RWKV6_GGUF: Rules = {
    **{name: RWKV7_GGUF[name] for name in (f"layers.N.rwkv_{part}" for part in ("r", "k", "v", "out"))},
    **{f"layers.N.rwkv_{p}_bias": f"blk.N.time_mix_{n}.bias"
       for p, n in (("r", "receptance"), ("k", "key"), ("v", "value"))},
    "layers.N.rwkv_g": "blk.N.time_mix_gate.weight",
    "layers.N.rwkv_x": flat("blk.N.time_mix_lerp_x.weight"),
    **{
        name: either(fused, flat(f"blk.N.time_mix_lerp_{name[-1]}.weight"))  # of their own: files of 2024
        for name, fused in lerps("blk.N.time_mix_lerp_fused.weight", _ORDER).items()
    },
    "layers.N.rwkv_x_down": "blk.N.time_mix_w1.weight",
    **{f"layers.N.rwkv_x{part}_up": _part("blk.N.time_mix_w2.weight", i, transposed=False)
       for i, part in enumerate(_ORDER)},
    "layers.N.rwkv_w_down": "blk.N.time_mix_decay_w1.weight",
    "layers.N.rwkv_w_up": "blk.N.time_mix_decay_w2.weight",
    "layers.N.rwkv_w_bias": flat("blk.N.time_mix_decay.weight"),
    "layers.N.rwkv_bonus": flat("blk.N.time_mix_first.weight"),
    "layers.N.rwkv_norm": RWKV7_GGUF["layers.N.rwkv_norm"],
    "layers.N.rwkv_norm_bias": RWKV7_GGUF["layers.N.rwkv_norm_bias"],
}  # fmt: skip
_BLOCK = "model.blocks.N."
_ATTENTION, _FEED_FORWARD = _BLOCK + "attention.", _BLOCK + "feed_forward."
_PRODUCTS = {"r": "receptance", "k": "key", "v": "value", "g": "gate", "out": "output"}
_NORMS = {
    "embed_norm": "model.blocks.0.pre_ln",
    "layers.N.attn_norm": _BLOCK + "ln1",
    "layers.N.mlp_norm": _BLOCK + "ln2",
    "layers.N.rwkv_norm": _ATTENTION + "ln_x",
    "norm": "model.ln_out",
}

FAMILY = Family(
    name="rwkv6",
    model_types=("rwkv6",),
    architectures=("rwkv6",),
    configure=configure,
    defaults={**NO_ATTENTION, "intermediate_size": None, "wkv_head_size": 64, "layer_norm_eps": 1e-5},
    gguf_defaults=NO_ATTENTION,
    keys={"head_size": "wkv_head_size", "layer_norm_epsilon": "layer_norm_eps"},
    hf_tensors={
        **LLAMA_HF,
        "embed": "model.embeddings.weight",
        **{f"layers.N.rwkv_{part}": f"{_ATTENTION}{name}.weight" for part, name in _PRODUCTS.items()},
        "layers.N.rwkv_x": flat(_ATTENTION + "time_maa_x"),
        **{f"layers.N.rwkv_x_{part}": flat(f"{_ATTENTION}time_maa_{part}") for part in _ORDER},
        "layers.N.rwkv_x_down": _turned(_ATTENTION + "time_maa_w1"),
        **{f"layers.N.rwkv_x{part}_up": _part(_ATTENTION + "time_maa_w2", i, transposed=True)
           for i, part in enumerate(_ORDER)},
        "layers.N.rwkv_w_down": _turned(_ATTENTION + "time_decay_w1"),
        "layers.N.rwkv_w_up": _turned(_ATTENTION + "time_decay_w2"),
        "layers.N.rwkv_w_bias": flat(_ATTENTION + "time_decay"),
        "layers.N.rwkv_bonus": flat(_ATTENTION + "time_faaaa"),
        **{name: f"{module}.weight" for name, module in _NORMS.items()},
        **{f"{name}_bias": f"{module}.bias" for name, module in _NORMS.items()},
        "layers.N.mix_x_k": flat(_FEED_FORWARD + "time_maa_k"),
        "layers.N.mix_x_r": flat(_FEED_FORWARD + "time_maa_r"),
        **{f"layers.N.mix_{part}": f"{_FEED_FORWARD}{_PRODUCTS[part]}.weight" for part in "krv"},
    },
    gguf_tensors={**LLAMA_GGUF, **RWKV6_GGUF, **CHANNELS_GGUF, **NORMS_GGUF},
    hf_prefixes=(("rwkv.", "model."), ("head.", "lm_head.")),
    from_metadata=_halves,
)  # fmt: skip
