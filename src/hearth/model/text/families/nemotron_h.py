"""Nemotron-H, Nemotron Nano 2, Nemotron 3: a layer is one of Mamba 2, attention without rotation, an MLP, experts."""

from typing import Any

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, ExpertsConfig, LayerConfig
from hearth.model.text.families.base import (
    Family,
    kinds_by_new_names,
    layers_by_kind,
    llama_config,
    own_layers,
)
from hearth.model.text.families.mamba_common import MAMBA2_DEFAULTS, MAMBA2_GGUF, MAMBA2_KEYS, mamba2, mamba2_hf
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, experts_config
from hearth.model.text.names import HF_LAYER

_LETTERS = {"M": "linear_attention", "*": "full_attention", "-": "mlp", "E": "moe"}
"""Of `hybrid_override_pattern`."""


def configure(settings: Settings) -> DecoderConfig:
    kinds = _kinds(settings)
    # transformers bounds steps from below by what the authors drew them from; GGUF files do not say it.
    least = settings.optional_number("time_step_min", high=1.0) or 0.0
    mixer = mamba2(settings, least=least, most=None, bias=settings.flag("use_bias"))
    known = {
        "linear_attention": LayerConfig(None, attends=False, mixer=mixer, feed_forward=False),
        "full_attention": LayerConfig(None, feed_forward=False),
        "mlp": LayerConfig(None, attends=False),
        "moe": LayerConfig(None, attends=False, experts=True),
    }
    layers = layers_by_kind(settings, kinds, known)
    experts = _experts(settings) if "moe" in kinds else None
    eps = settings.number("layer_norm_eps", high=1.0)
    return llama_config(settings, "nemotron_h", layers=layers, ropes=(), mlp="plain", experts=experts, norm_eps=eps)


def _kinds(settings: Settings) -> list[Any]:
    """As listed, as a letter for each layer, or (GGUF) by what a layer has: heads of keys, a width of the MLP."""
    if settings.kind == "gguf":
        count = own_layers(settings)
        heads, widths = (
            settings.sequence(f"{key}_by_layer", length=count) or [0] * count
            for key in ("num_key_value_heads", "intermediate_size")
        )
        wide = "moe" if settings.get("num_experts") else "mlp"
        return [
            "full_attention" if own else wide if width else "linear_attention"
            for own, width in zip(heads, widths, strict=True)
        ]
    kinds, letters = settings.get("layer_types"), settings.get("hybrid_override_pattern")
    if kinds is None and isinstance(letters, str):
        kinds = [_LETTERS.get(letter, letter) for letter in letters]
    if not isinstance(kinds, list | tuple) or not kinds:
        raise settings.corrupt("layer_types", "the kind of each layer")
    return kinds_by_new_names(kinds)


def _experts(settings: Settings) -> ExpertsConfig:
    latent = settings.optional_count("moe_latent_size") or 0
    return experts_config(settings, scores="sigmoid", choice_bias=True, latent_size=latent)


_MIXER = HF_LAYER + "mixer."
_HF: Rules = {
    "embed": "model.embeddings.weight",
    "layers.N.attn_norm": HF_LAYER + "norm.weight",
    "layers.N.mlp_norm": HF_LAYER + "norm.weight",
    **{f"layers.N.{x}": f"{_MIXER}{x}_proj.weight" for x in ("q", "k", "v", "o", "up", "down")},
    **{f"layers.N.{x}_bias": f"{_MIXER}{x}_proj.bias" for x in ("q", "k", "v", "o", "up", "down")},
    **mamba2_hf(_MIXER),
    "layers.N.router": _MIXER + "gate.weight",
    "layers.N.choice_bias": _MIXER + "gate.e_score_correction_bias",
    "layers.N.latent_down": _MIXER + "fc1_latent_proj.weight",
    "layers.N.latent_up": _MIXER + "fc2_latent_proj.weight",
    **{f"layers.N.{x}_exps": f"{_MIXER}experts.E.{x}_proj.weight" for x in ("up", "down")},
    **{f"layers.N.{x}_shared": f"{_MIXER}shared_experts.{x}_proj.weight" for x in ("up", "down")},
    "norm": "model.norm_f.weight",
    "head": "lm_head.weight",
}

FAMILY = Family(
    name="nemotron_h",
    model_types=("nemotron_h",),
    architectures=("nemotron_h", "nemotron_h_moe"),
    configure=configure,
    defaults={
        **MAMBA2_DEFAULTS,
        "ssm_group_count": 8,
        "ssm_state_size": 128,
        "mamba_head_dim": 64,
        "time_step_min": 0.001,
        "head_dim": 128,
        "num_key_value_heads": 8,
        "intermediate_size": 21504,
        "hidden_act": "relu2",
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 7688,
        "shared_expert_intermediate_size": 7688,
        "norm_topk_prob": True,
    },
    gguf_defaults={"hidden_act": "relu2", "norm_topk_prob": True},
    keys={
        **EXPERT_KEYS,
        **MAMBA2_KEYS,
        "layers_block_type": "layer_types",
        "layer_norm_epsilon": "layer_norm_eps",
        "mlp_hidden_act": "hidden_act",
        "moe_shared_expert_intermediate_size": "shared_expert_intermediate_size",
    },
    honours=EXPERTS,
    gguf_honours=frozenset({"num_key_value_heads_by_layer", "intermediate_size_by_layer"}),
    hf_tensors=_HF,
    gguf_tensors={
        **EXPERTS_GGUF,
        **MAMBA2_GGUF,
        "layers.N.mlp_norm": "blk.N.attn_norm.weight",  # every layer has one norm
        "layers.N.latent_down": "blk.N.ffn_latent_down.weight",
        "layers.N.latent_up": "blk.N.ffn_latent_up.weight",
    },
    hf_prefixes=(("backbone.", "model."),),
    ignored=("mtp.*",),
)
