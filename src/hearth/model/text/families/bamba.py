"""Bamba: Mamba 2, every few layers attention of which a half of each head rotates."""

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.base import (
    Family,
    hybrid_kinds,
    layers_by_kind,
    llama_config,
    num_layers,
    partial_rope,
    recurrent,
)
from hearth.model.text.families.mamba_common import MAMBA2_DEFAULTS, MAMBA2_KEYS, mamba2, mamba2_hf
from hearth.model.text.names import HF_LAYER, LLAMA_HF


def configure(settings: Settings) -> DecoderConfig:
    kinds = hybrid_kinds(settings, attending="attn_layer_indices") or ["linear_attention"] * num_layers(settings)
    known = {"full_attention": LayerConfig(), "linear_attention": recurrent(mamba2(settings))}
    layers = layers_by_kind(settings, kinds, known)
    return llama_config(settings, "bamba", layers=layers, ropes=(partial_rope(settings),))


FAMILY = Family(
    name="bamba",
    model_types=("bamba",),
    # llama.cpp's converter permutes q and k as if whole heads rotated, and then rotates a half: no file computes this.
    architectures=(),
    configure=configure,
    defaults={
        **MAMBA2_DEFAULTS,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 262144,
        "partial_rotary_factor": 0.5,
    },
    keys=MAMBA2_KEYS,
    hf_tensors={
        **LLAMA_HF,
        **mamba2_hf(HF_LAYER + "mamba."),
        **{f"layers.N.{part}": f"{HF_LAYER}feed_forward.{part}_proj.weight" for part in ("gate", "up", "down")},
        **{f"layers.N.{part}_bias": f"{HF_LAYER}feed_forward.{part}_proj.bias" for part in ("gate", "up", "down")},
        "layers.N.mlp_norm": HF_LAYER + "pre_ff_layernorm.weight",
        "norm": "model.final_layernorm.weight",
    },
)
