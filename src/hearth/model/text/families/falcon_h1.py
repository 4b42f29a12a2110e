"""Falcon-H1: attention and Mamba 2 side by side in every layer, and a factor for each of the parts."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families.bamba import FAMILY as BAMBA
from hearth.model.text.families.base import Family, full_layers, llama_config
from hearth.model.text.families.mamba_common import MAMBA2_DEFAULTS, MAMBA2_GGUF, MAMBA2_KEYS, mamba2
from hearth.model.text.mixers.mamba2 import Mamba2
from hearth.model.text.names import LLAMA_GGUF


def configure(settings: Settings) -> DecoderConfig:
    mixer = _mixer(settings)
    return llama_config(
        settings,
        "falcon_h1",
        layers=tuple(replace(layer, mixer=mixer) for layer in full_layers(settings)),
        embedding_scale=_factor(settings, "embedding_multiplier"),
        logit_scale=_factor(settings, "lm_head_multiplier"),
    )


def _mixer(settings: Settings) -> Mamba2:
    if settings.flag("mamba_proj_bias") != settings.flag("projectors_bias"):
        raise settings.unsupported("projectors_bias", "The products of the mixer have biases both, or none.")
    normalises = settings.flag("mamba_rms_norm")
    gate_first = not (normalises and settings.flag("mamba_norm_before_gate"))
    return mamba2(settings, normalises=normalises, gate_first=gate_first)


def factors(settings: Settings) -> Mapping[str, NDArray[np.float32]]:
    """What stands before and behind products, as part of their weights: exact but for the rounding to f32."""
    mixer = _mixer(settings)
    attention, key, ssm, out, ssm_out = (
        _factor(settings, f"{key}_multiplier") for key in ("attention_in", "key", "ssm_in", "attention_out", "ssm_out")
    )
    gate, down = settings.factors("mlp_multipliers", length=2)
    shares = settings.factors("ssm_multipliers", length=5)  # of gate, x, B, C and steps
    sizes = (mixer.inner, mixer.inner, *2 * (mixer.groups * mixer.state,), mixer.heads)
    of_rows = np.repeat(np.array(shares, np.float32), sizes)
    weights = {
        "q": attention, "k": attention * key, "k_bias": key, "v": attention, "o": out, "o_bias": out, "gate": gate,
        "gate_bias": gate, "down": down, "down_bias": down, "ssm_out": ssm_out, "ssm_out_bias": ssm_out,
    }  # fmt: skip
    made = {name: np.float32(factor) * np.ones((), np.float32) for name, factor in weights.items()}
    return {**made, "ssm_in": np.float32(ssm) * of_rows, "ssm_in_bias": of_rows}


def _factor(settings: Settings, key: str) -> float:
    return settings.optional_number(key, high=1e6) or 1.0


FAMILY = Family(
    name="falcon_h1",
    model_types=("falcon_h1",),
    architectures=("falcon-h1",),
    configure=configure,
    defaults={
        **MAMBA2_DEFAULTS,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 8192,
        "ssm_inner_size": 1024,
        "mamba_norm_before_gate": True,
        "mlp_multipliers": (1.0, 1.0),
        "ssm_multipliers": (1.0,) * 5,
    },
    keys=MAMBA2_KEYS,
    honours=frozenset({"embedding_multiplier"}),
    hf_tensors=BAMBA.hf_tensors,
    gguf_tensors={**LLAMA_GGUF, **MAMBA2_GGUF, "layers.N.mlp_norm": ("blk.N.ffn_norm", "blk.N.ffn_norm.weight")},
    factors=factors,
)
