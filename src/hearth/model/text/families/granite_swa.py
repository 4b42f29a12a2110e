"""Granite with windows and sinks (Granite Swash), dense and with mixtures of experts."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig, RopeConfig
from hearth.model.text.families.base import (
    Family,
    head_dim,
    kinds_by_flags,
    layer_kinds,
    llama_config,
    num_layers,
    windowed_layers,
)
from hearth.model.text.families.granite import FACTORS, granite_factors
from hearth.model.text.families.granitemoe import HF, KEYS, MODULE
from hearth.model.text.families.mixture import EXPERTS, experts_config, halves, with_experts
from hearth.model.text.rope import flat_rope_parameters, make_rope


def configure(settings: Settings) -> DecoderConfig:
    # Each head has a sink.
    layers, ropes = _layers(settings)
    differences = granite_factors(settings) | {"ropes": ropes, "attention_sinks": True}
    if settings.get("num_experts"):
        layers = with_experts(layers)
        differences["experts"] = experts_config(settings, scores="softmax_of_chosen", normalise=False)
    return llama_config(settings, "granite_swa", layers=layers, **differences)


def _layers(settings: Settings) -> tuple[tuple[LayerConfig, ...], tuple[RopeConfig, ...]]:
    """Three layers slide behind each that attends to everything. A layer may have a base of rotation of its own; where
    that is 0, it does not rotate."""
    slides = kinds_by_flags([index % 4 for index in range(num_layers(settings))])
    layers = windowed_layers(settings, layer_kinds(settings, default=slides))
    parameters = flat_rope_parameters(settings)
    thetas = settings.sequence("layer_rope_theta", length=len(layers)) or [parameters.get("rope_theta")] * len(layers)
    known = [theta for index, theta in enumerate(thetas) if theta and theta not in thetas[:index]]
    ropes = (settings.nested({**parameters.values, "rope_theta": theta}, "layer_rope_theta") for theta in known)
    layers = tuple(
        replace(layer, rope=known.index(theta) if theta else None) for layer, theta in zip(layers, thetas, strict=True)
    )
    return layers, tuple(make_rope(each, head_dim=head_dim(settings)) for each in ropes)


FAMILY = Family(
    name="granite_swa",
    model_types=("granite_swa", "granitemoe_swa"),
    architectures=(),
    configure=configure,
    defaults={
        "attention_multiplier": 1.0,
        "sliding_window": 128,
        "num_experts_per_tok": 2,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
    },
    keys=KEYS,
    honours=FACTORS | EXPERTS,
    hf_tensors={
        **HF,
        "layers.N.router": MODULE + "router.weight",
        **halves(MODULE + "experts.gate_up_proj", "exps"),
        "layers.N.down_exps": MODULE + "experts.down_proj",
    },
)
