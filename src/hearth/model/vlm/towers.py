"""The towers that families share: from pixels to the tokens of a picture's patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hearth.model.tensors import Places, Rules
from hearth.model.vision.families import vit
from hearth.model.vision.families.clip import VISION_DEFAULTS as CLIP_DEFAULTS
from hearth.model.vision.families.clip import image_rules, inner_source
from hearth.model.vision.families.siglip import VISION_DEFAULTS as SIGLIP_DEFAULTS
from hearth.model.vision.model import Source
from hearth.model.vision.parameters import Scope
from hearth.model.vision.vit import Vit, VitConfig

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

TOWER_PLACES = Places(
    prefixes=(
        ("model.vision_tower.vision_model.", "vision_tower."),
        ("vision_tower.vision_model.", "vision_tower."),
        ("model.vision_tower.", "vision_tower."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
    ),
    ignored=("*position_ids", "*vision_tower.head.*", "*vision_tower.vision_model.head.*"),  # SigLIP's pooling
)
"""Versions of transformers have the base model's name before all of what sees, and the tower's own name within."""


@dataclass(frozen=True)
class _Kind:
    """One kind of tower: its differences from a ViT, and what transformers assumes of it."""

    defaults: Mapping[str, Any]
    differences: Mapping[str, Any]


_CLIP = _Kind(CLIP_DEFAULTS, {"biases": "qkvo", "pre_norm": True, "patch_bias": False})
_SIGLIP = _Kind(SIGLIP_DEFAULTS, {"biases": "qkvo", "prefix": (), "placed": ()})
_KINDS: Mapping[str, _Kind] = {"clip_vision_model": _CLIP, "siglip_vision_model": _SIGLIP}


def tower_config(source: Source, *, model_type: str, defaults: Mapping[str, Any] | None = None) -> VitConfig:
    """The tower that `vision_config` describes.

    Args:
        model_type: what it is where it does not say.
        defaults: what the family assumes of it, beside its kind.
    """
    kind = source.settings.nested(source.settings.table("vision_config"), "vision_config")
    named = kind.choice("model_type", _KINDS) if kind.get("model_type") is not None else _KINDS[model_type]
    return vit.vit_config(
        inner_source(source, "vision_config", {**named.defaults, **(defaults or {})}), **named.differences
    )


def siglip_config(source: Source, defaults: Mapping[str, Any]) -> VitConfig:
    """A SigLIP tower under another name."""
    inner = inner_source(source, "vision_config", {**_SIGLIP.defaults, **defaults})
    return vit.vit_config(inner, **_SIGLIP.differences)


class Features:
    """Tokens of the patches, as they come out of one of the layers; of the last one normalised or not.

    Args:
        layers: how many of the tower's layers are computed.
        norm: whether the tower's own norm follows.
        whole: the class token too.
    """

    def __init__(self, scope: Scope, config: VitConfig, *, layers: int, norm: bool, whole: bool = False) -> None:
        self.trunk = Vit(scope, replace(config, layers=layers), last_norm=norm)
        self.whole = whole

    def __call__(self, g: Graph, pixels: Any) -> Any:
        x = self.trunk(g, pixels)
        return x if self.whole else self.trunk.patch_tokens(g, x)


def tower_rules(tower: str) -> Rules:
    """The tensors of a tower whose names begin with `tower`."""
    return {
        **image_rules(tower),
        "image.cls_token": tower + "embeddings.class_embedding",
        "image.pre_norm": tower + "pre_layrnorm",
        "image.norm": tower + "post_layernorm",
    }
