"""Jamba: Mamba 1, every few layers attention without rotation; every other layer is a mixture of experts."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.tensors import Rules
from hearth.model.text.config import DecoderConfig, LayerConfig
from hearth.model.text.families.bamba import FAMILY as BAMBA
from hearth.model.text.families.base import (
    MAX_LAYERS,
    Family,
    hybrid_kinds,
    layers_by_kind,
    llama_config,
    num_layers,
    recurrent,
)
from hearth.model.text.families.mamba_common import MAMBA_DEFAULTS, MAMBA_GGUF, MAMBA_KEYS, mamba, mamba_hf
from hearth.model.text.families.mixture import EXPERT_KEYS, EXPERTS, EXPERTS_GGUF, experts_config
from hearth.model.text.names import HF_LAYER


def configure(settings: Settings) -> DecoderConfig:
    layers = _layers(settings)
    # The weights of the chosen experts are not made to sum up to one.
    experts = experts_config(settings, normalise=False) if any(layer.experts for layer in layers) else None
    return llama_config(settings, "jamba", layers=layers, ropes=(), experts=experts, output_bias=False, mlp_bias=False)


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    count = num_layers(settings)
    kinds = hybrid_kinds(settings)
    if kinds is None:
        attending = _every(settings, "attn", count)
        kinds = ["full_attention" if index in attending else "linear_attention" for index in range(count)]
    known = {"full_attention": LayerConfig(None), "linear_attention": recurrent(mamba(settings, norms="weighted"))}
    if settings.kind == "gguf":
        mixtures = {index for index in range(count) if str(index) in settings.get("layers_with_experts")}
    else:
        mixtures = _every(settings, "expert", count) if settings.count("num_experts") > 1 else set()
    layers = layers_by_kind(settings, kinds, known)
    return tuple(replace(layer, experts=index in mixtures) for index, layer in enumerate(layers))


def _every(settings: Settings, kind: str, count: int) -> set[int]:
    """One of so many layers, and which."""
    period = settings.count(f"{kind}_layer_period", most=MAX_LAYERS)
    offset = settings.get(f"{kind}_layer_offset")
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset < period:
        raise settings.corrupt(f"{kind}_layer_offset", f"a number of layers below {period}")
    return set(range(offset, count, period))


_FEED_FORWARD = HF_LAYER + "feed_forward."
_HF: Rules = {
    **BAMBA.hf_tensors,
    **mamba_hf(HF_LAYER + "mamba."),
    "layers.N.router": _FEED_FORWARD + "router.weight",
    **{f"layers.N.{part}_exps": f"{_FEED_FORWARD}experts.E.{part}_proj.weight" for part in ("gate", "up", "down")},
}

FAMILY = Family(
    name="jamba",
    model_types=("jamba",),
    architectures=("jamba",),
    configure=configure,
    defaults={
        "num_key_value_heads": 8,
        "max_position_embeddings": 262144,
        "num_experts": 16,
        "num_experts_per_tok": 2,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "attn_layer_period": 8,
        "attn_layer_offset": 4,
        **MAMBA_DEFAULTS,
    },
    keys={**EXPERT_KEYS, **MAMBA_KEYS},
    honours=EXPERTS,
    gguf_honours=frozenset({"num_key_value_heads_by_layer"}),
    hf_tensors=_HF,
    gguf_tensors={**EXPERTS_GGUF, **MAMBA_GGUF},
)
