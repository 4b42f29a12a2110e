"""What families whose layers are mixtures of experts have in common: the reading of how experts are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hearth.model.settings import MAX_SIZE, Settings, shown
from hearth.model.tensors import Fused, Rules, either
from hearth.model.text.config import ExpertsConfig, LayerConfig, Scores
from hearth.model.text.families.base import full_layers, own_layers
from hearth.model.text.names import HF_LAYER, LLAMA_GGUF, LLAMA_HF

EXPERTS = frozenset({"num_experts", "num_nextn_predict_layers"})
"""Keys that change the result, and are read here."""
EXPERT_KEYS = {"num_local_experts": "num_experts", "n_routed_experts": "num_experts"}
"""What configurations call the number of experts."""
_MOST = 4096
_SHARED = "shared_expert_intermediate_size"
_GATING: Mapping[int, Scores] = {1: "softmax", 2: "sigmoid", 3: "softmax_of_chosen"}
"""`expert_gating_func` of GGUF files."""

_PARTS = ("gate", "up", "down")
EXPERTS_HF: Rules = {
    **LLAMA_HF,
    "layers.N.router": HF_LAYER + "mlp.gate.weight",
    **{f"layers.N.{part}_exps": f"{HF_LAYER}mlp.experts.E.{part}_proj.weight" for part in _PARTS},
}
EXPERTS_GGUF: Rules = {
    **LLAMA_GGUF,
    "layers.N.router": "blk.N.ffn_gate_inp.weight",
    "layers.N.choice_bias": "blk.N.exp_probs_b.bias",
    **{f"layers.N.{part}_exps": (f"blk.N.ffn_{part}_exps.weight", f"blk.N.ffn_{part}.E.weight") for part in _PARTS},
    "layers.N.router_bias": "blk.N.ffn_gate_inp.bias",
    **{f"layers.N.{part}_exps_bias": f"blk.N.ffn_{part}_exps.bias" for part in _PARTS},
    **{f"layers.N.{part}_shared": f"blk.N.ffn_{part}_shexp.weight" for part in _PARTS},
    "layers.N.shared_gate": "blk.N.ffn_gate_inp_shexp.weight",
}
"""Files of 2023 have a tensor for each expert."""


def shared_hf(module: str) -> Rules:
    """Rules for the MLP beside the experts, by the name of its module."""
    return {f"layers.N.{part}_shared": f"{HF_LAYER}{module}.{part}_proj.weight" for part in _PARTS}


def halves(tensor: str, kind: str) -> Rules:
    """Rules for the gate and the up of experts (or of what is beside them) that are one matrix: half of it each."""
    parts = (f"gate_{kind}", f"up_{kind}")
    return {f"layers.N.{part}": Fused(tensor, parts) for part in parts}


def fused_experts(module: str) -> Rules:
    """Rules for all experts in one tensor, as they are computed, or each in its own, by the name of their module."""
    own = {f"layers.N.{part}_exps": f"{HF_LAYER}{module}E.{part}_proj.weight" for part in _PARTS}
    together = {
        **halves(f"{HF_LAYER}{module}gate_up_proj", "exps"),
        "layers.N.down_exps": f"{HF_LAYER}{module}down_proj",
    }
    return {name: either(rule, own[name]) for name, rule in together.items()}


FUSED_EXPERTS_HF = fused_experts("mlp.experts.")


def experts_config(settings: Settings, **differences: Any) -> ExpertsConfig:
    """The experts of a configuration, with the fields in `differences` instead of what the usual keys say."""
    count = settings.count("num_experts", most=_MOST)
    groups = settings.optional_count("n_group", most=count) or 1
    if count % groups or (groups > 1 and count // groups < 2):
        raise settings.corrupt("n_group", f"a divisor of the {count} experts, which leaves two to each group")
    used_groups = settings.optional_count("topk_group", most=groups) or groups
    used = settings.count("num_experts_per_tok", most=count // groups * used_groups)
    fields: dict[str, Any] = {
        "count": count,
        "used": used,
        "intermediate_size": settings.optional_count("moe_intermediate_size") or settings.count("intermediate_size"),
        "groups": groups,
        "used_groups": used_groups,
        "normalise": settings.flag("norm_topk_prob"),
        "scale": settings.optional_number("routed_scaling_factor") or 1.0,
        "shared_size": 0 if settings.get(_SHARED) == 0 else settings.optional_count(_SHARED) or 0,
    }
    gating = settings.get("expert_gating_func")
    if gating:
        if isinstance(gating, bool) or not isinstance(gating, int) or gating not in _GATING:
            raise settings.unsupported("expert_gating_func", "Hearth does not know how it scores experts.")
        fields["scores"] = _GATING[gating]
    return ExpertsConfig(**(fields | differences))


def with_experts(layers: tuple[LayerConfig, ...], *, first: int = 0) -> tuple[LayerConfig, ...]:
    """The layers, of which those from `first` on are mixtures of experts."""
    return tuple(replace(layer, experts=index >= first) for index, layer in enumerate(layers))


def said_one_by_one(settings: Settings, layers: tuple[LayerConfig, ...]) -> tuple[LayerConfig, ...]:
    """Which of the layers are mixtures, where it is said of each: by `mlp_layer_types`, in a GGUF file by a router."""
    if settings.kind == "gguf":
        routers = settings.get("layers_with_experts") or []
        return tuple(replace(layer, experts=str(index) in routers) for index, layer in enumerate(layers))
    kinds = settings.sequence("mlp_layer_types", length=len(layers))
    if kinds is None:
        return layers
    for kind in kinds:
        if kind not in ("dense", "sparse"):
            raise settings.unsupported("mlp_layer_types", f"Unknown kind of layer {shown(kind)}.")
    return tuple(replace(layer, experts=kind == "sparse") for layer, kind in zip(layers, kinds, strict=True))


def sigmoid_experts(settings: Settings, layers: tuple[LayerConfig, ...] | None = None) -> dict[str, Any]:
    """As DeepSeek 3 has them: sigmoids with a correction for the choice, experts for all tokens, the first layers
    without. `layers`: how they attend; None: all to everything."""
    experts = experts_config(settings, scores="sigmoid", choice_bias=True, shared_size=shared_size(settings))
    layers = (layers or full_layers(settings))[: own_layers(settings)]
    return {"layers": with_experts(layers, first=dense_layers(settings)), "experts": experts}


def dense_layers(settings: Settings) -> int:
    """How many layers there are before the first that is a mixture."""
    dense = settings.get("first_k_dense_replace") or 0
    if isinstance(dense, bool) or not isinstance(dense, int) or dense < 0:
        raise settings.corrupt("first_k_dense_replace", "a number of layers")
    return dense


def shared_size(settings: Settings) -> int:
    """The width of all experts together that compute every token."""
    count = settings.get("n_shared_experts")
    if not count:
        return 0
    inner = settings.count("moe_intermediate_size")
    return inner * settings.count("n_shared_experts", most=MAX_SIZE // inner)


SIGMOID_HF: Rules = {
    **EXPERTS_HF,
    **shared_hf("mlp.shared_experts"),
    "layers.N.choice_bias": HF_LAYER + "mlp.gate.e_score_correction_bias",
}
