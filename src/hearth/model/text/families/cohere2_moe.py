"""North Mini Code: Command with experts."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig, LayerConfig, Scores
from hearth.model.text.families.base import (
    MAX_LAYERS,
    Family,
    kinds_by_flags,
    kinds_of_pattern,
    layer_kinds,
    own_layers,
    windowed_layers,
)
from hearth.model.text.families.cohere import FAMILY as COHERE
from hearth.model.text.families.cohere import cohere_config
from hearth.model.text.families.mixture import (
    EXPERT_KEYS,
    EXPERTS,
    EXPERTS_GGUF,
    EXPERTS_HF,
    dense_layers,
    experts_config,
    said_one_by_one,
    shared_hf,
    with_experts,
)


def configure(settings: Settings) -> DecoderConfig:
    gguf = settings.kind == "gguf"
    # Dense layers are as wide as experts, if nothing else is said.
    inner = settings.count("moe_intermediate_size" if gguf else "intermediate_size")
    wide = settings.count("intermediate_size") if gguf else settings.optional_count("prefix_dense_intermediate_size")
    shared = settings.optional_count("n_shared_experts") if settings.get("n_shared_experts") else 0
    half = _halves(settings) if shared else 1.0
    scores = _SCORES["sigmoid"] if gguf else settings.choice("expert_selection_fn", _SCORES)
    experts = experts_config(
        settings,
        scores=scores,
        intermediate_size=inner,
        shared_size=inner * (shared or 0),
        # Beside an MLP experts are averaged with it.
        scale=half,
        shared_scale=half,
        normalise=settings.flag("norm_topk_prob") and scores == "sigmoid",
    )
    rms = settings.get("rms_norm_eps") is not None
    return cohere_config(
        settings,
        "cohere2_moe",
        layers=_layers(settings),
        experts=experts,
        intermediate_size=wide or inner,
        norm="rms" if rms else "layer",
    )


_SCORES: dict[str, Scores] = {"softmax": "softmax_of_chosen", "sigmoid": "sigmoid"}


def _halves(settings: Settings) -> float:
    return (
        1.0
        if settings.choice("shared_expert_combination_strategy", {"sum": "sum", "average": "average"}) == "sum"
        else 0.5
    )


def _layers(settings: Settings) -> tuple[LayerConfig, ...]:
    """Layers that slide rotate; the others do not, but for dense ones at the beginning."""
    dense = dense_layers(settings)
    if settings.kind == "gguf":
        kinds, force = kinds_of_pattern(settings), True
    else:
        before, every = (
            settings.count(key, most=MAX_LAYERS)
            for key in ("prefix_dense_sliding_window_pattern", "sliding_window_pattern")
        )
        flags = [(i + 1) % before for i in range(dense)] + [
            (i + 1) % every for i in range(own_layers(settings) - dense)
        ]
        kinds, force = layer_kinds(settings, default=kinds_by_flags(flags)), before == 1
    layers = with_experts(windowed_layers(settings, kinds, full_rope=None), first=dense)
    layers = said_one_by_one(settings, layers)
    return tuple(replace(layer, rope=0) if force and not layer.experts else layer for layer in layers)


FAMILY = Family(
    name="cohere2_moe",
    model_types=("cohere2_moe",),
    architectures=("cohere2moe",),
    configure=configure,
    defaults={
        **{key: value for key, value in COHERE.defaults.items() if key != "rope_theta"},
        "head_dim": 128,
        "rms_norm_eps": None,
        "sliding_window": 4096,
        "sliding_window_pattern": 4,
        "prefix_dense_sliding_window_pattern": 1,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "n_shared_experts": 0,
        "shared_expert_combination_strategy": "average",
        "expert_selection_fn": "softmax",
        "norm_topk_prob": True,
    },
    gguf_defaults={"sliding_window_pattern": 4, "shared_expert_combination_strategy": "average"},
    keys={**EXPERT_KEYS, "num_shared_experts": "n_shared_experts"},
    honours=COHERE.honours | EXPERTS,
    hf_tensors={**EXPERTS_HF, **shared_hf("mlp.shared_experts")},
    gguf_tensors=EXPERTS_GGUF,
    interleaved=COHERE.interleaved,
)
