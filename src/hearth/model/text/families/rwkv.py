"""RWKV-4, Raven: no layer attends, and what stands for an MLP looks at the token before, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hearth.model.settings import Settings
from hearth.model.tensors import Made
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.base import Family, inner_size, num_layers, recurrent
from hearth.model.text.families.mamba2 import NO_ATTENTION
from hearth.model.text.families.rwkv6 import FAMILY as RWKV6
from hearth.model.text.families.rwkv7 import rwkv_config
from hearth.model.text.mixers.rwkv4 import Rwkv4
from hearth.model.text.mixers.rwkv_channels import RwkvChannels
from hearth.model.text.names import HF_MODEL


def configure(settings: Settings) -> DecoderConfig:
    hidden, inner = settings.count("hidden_size"), inner_size(settings)
    channels = settings.optional_count("attention_hidden_size") or hidden
    mixer = Rwkv4(hidden, channels)
    layer = replace(recurrent(mixer), channel_mixer=RwkvChannels(hidden, inner, gated=True))
    return rwkv_config(settings, "rwkv", (layer,) * num_layers(settings), intermediate_size=inner)


def _share(tensor: str) -> Made:
    """Of the token before: files have the token's own."""
    return Made(tensor, lambda w: 1 - w.reshape(-1), None)


_ATTENTION, _FEED_FORWARD = HF_MODEL + "blocks.N.attention.", HF_MODEL + "blocks.N.feed_forward."
_PARTS = {"k": "key", "v": "value", "r": "receptance"}

FAMILY = Family(
    name="rwkv",
    model_types=("rwkv",),
    architectures=(),
    configure=configure,
    defaults={**NO_ATTENTION, "intermediate_size": None, "layer_norm_eps": 1e-5},
    keys={"layer_norm_epsilon": "layer_norm_eps"},
    hf_tensors={
        **RWKV6.hf_tensors,
        **{f"layers.N.rwkv_x_{part}": _share(f"{_ATTENTION}time_mix_{name}") for part, name in _PARTS.items()},
        "layers.N.rwkv_decay": Made(_ATTENTION + "time_decay", lambda w: -np.exp(w)),
        "layers.N.rwkv_bonus": _ATTENTION + "time_first",
        "layers.N.mix_x_k": _share(_FEED_FORWARD + "time_mix_key"),
        "layers.N.mix_x_r": _share(_FEED_FORWARD + "time_mix_receptance"),
    },
    hf_prefixes=RWKV6.hf_prefixes,
)
