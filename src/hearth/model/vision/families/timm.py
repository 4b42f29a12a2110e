"""Models as timm publishes them: config.json names the model, and what that name means stands here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hearth.errors import Unsupported
from hearth.model.settings import Settings, shown
from hearth.model.vision.families import convnext, deit, dinov2, mobile, resnet, swin, vit
from hearth.model.vision.families import timm_names as names
from hearth.model.vision.families.efficientnet import Scaling
from hearth.model.vision.families.imagenet import labels_of_head
from hearth.model.vision.model import Described, Family, Source
from hearth.model.vision.names import Naming

KNOWN = (
    "vit_*_patch*", "vit_*_patch*_clip_*", "vit_*_patch14_dinov2", "vit_*_patch14_reg4_dinov2", "deit_*", "deit3_*",
    "swin_*", "swinv2_*", "convnext_*", "convnextv2_*", "resnet*", "resnet*d", "efficientnet_b*", "efficientnet_lite*",
    "tf_efficientnet_b*", "tf_efficientnet_lite*", "mobilevit_*",
)  # fmt: skip


@dataclass(frozen=True)
class _Line:
    """Models whose names a pattern fits.

    Attributes:
        pattern: its first group is a key of `values`; its named groups are numbers of the configuration.
        values: of a configuration in transformers' words, for what the first group may be.
        common: the same for all of them.
    """

    pattern: str
    family: Family
    naming: Naming
    values: Mapping[str, Mapping[str, Any]]
    common: Mapping[str, Any] = field(default_factory=dict)


def _describe_scaled(source: Source) -> Described:
    """DeiT III: layer scale, and a class token without a position."""
    config = vit.vit_config(source, layer_scale=True, placed=())
    return vit.classifier(source.settings, config) if source.has("head.weight") else vit.embedder(config, pooled=False)


def _describe_dinov2(source: Source) -> Described:
    """With registers, the position of the class token is in the token itself."""
    placed = {"placed": ()} if source.has("register_tokens") else {}
    return vit.embedder(dinov2.dinov2_config(source, **placed), pooled=False)


def _describe_clip(source: Source) -> Described:
    """CLIP's image tower, fine-tuned for classes, or with the projection to the vectors that it shares with texts."""
    s = source.settings
    config = vit.vit_config(source, pre_norm=True, patch_bias=False)
    return vit.classifier(s, config) if s.flag("classifies") else vit.projector(source, config)


def _describe_deep(source: Source) -> Described:
    return resnet.describe(source, deep_stem=True)


def _transformer(hidden: int, heads: int, layers: int = 12) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": layers,
        "intermediate_size": 4 * hidden,
    }  # fmt: skip


def _swin(size: int, depth: int, heads: int) -> dict[str, Any]:
    return {"embed_dim": size, "depths": [2, 2, depth, 2], "num_heads": [heads << i for i in range(4)]}


def _convnext(size: int, *depths: int) -> dict[str, Any]:
    return {"hidden_sizes": [size << i for i in range(4)], "depths": list(depths)}


def _mobilevit(hidden: list[int], necks: list[int], expand: float) -> dict[str, Any]:
    return {"hidden_sizes": hidden, "neck_hidden_sizes": necks, "expand_ratio": expand, "image_size": 256}


def _efficientnets(prefix: str, eps: float, *, same: bool) -> list[_Line]:
    """One of the lines that scale: trained in PyTorch, or brought from TensorFlow."""
    scalings = {f"b{i}": Scaling(*size, eps, same=same) for i, size in enumerate(_SCALINGS)}
    scalings |= {f"lite{i}": Scaling(*size, eps, lite=True, same=same) for i, size in enumerate(_SCALINGS[:5])}
    lines = []
    for key, scaling in scalings.items():
        naming = names.efficientnet(scaling)
        lines.append(_Line(f"{prefix}efficientnet_({key})", scaling.family(naming), naming, {key: {}}))
    return lines


_SCALINGS = (
    (1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1), (2.2, 3.6),
)  # fmt: skip
_SIZES = {
    "tiny": _transformer(192, 3),
    "small": _transformer(384, 6),
    "medium": _transformer(512, 8),
    "base": _transformer(768, 12),
    "large": _transformer(1024, 16, 24),
    "huge": _transformer(1280, 16, 32),
}
_SWINS = {"tiny": _swin(96, 6, 3), "small": _swin(96, 18, 3), "base": _swin(128, 18, 4), "large": _swin(192, 18, 6)}
_CONVNEXTS = {
    "atto": _convnext(40, 2, 2, 6, 2), "femto": _convnext(48, 2, 2, 6, 2), "pico": _convnext(64, 2, 2, 6, 2),
    "nano": _convnext(80, 2, 2, 8, 2), "tiny": _convnext(96, 3, 3, 9, 3), "small": _convnext(96, 3, 3, 27, 3),
    "base": _convnext(128, 3, 3, 27, 3), "large": _convnext(192, 3, 3, 27, 3), "xlarge": _convnext(256, 3, 3, 27, 3),
    "huge": _convnext(352, 3, 3, 27, 3),
}  # fmt: skip
_DEEP = {
    "26": {"depths": [2, 2, 2, 2]}, "50": {"depths": [3, 4, 6, 3]}, "101": {"depths": [3, 4, 23, 3]},
    "152": {"depths": [3, 8, 36, 3]}, "200": {"depths": [3, 24, 36, 3]},
}  # fmt: skip
_BASIC = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]}
_MOBILEVITS = {
    "xxs": _mobilevit([64, 80, 96], [16, 16, 24, 48, 64, 80, 320], 2.0),
    "xs": _mobilevit([96, 120, 144], [16, 32, 48, 64, 80, 96, 384], 4.0),
    "s": _mobilevit([144, 192, 240], [16, 32, 64, 96, 128, 160, 640], 4.0),
}
_GIANT = {"giant": {**_transformer(1536, 24, 40), "use_swiglu_ffn": True}}
_PRECISE = {"layer_norm_eps": 1e-6}
_DINO = {**_PRECISE, "image_size": 518, "patch_size": 14}
_CLIP = {"layer_norm_eps": 1e-5}
_PATCH = r"_patch(?P<patch_size>\d+)"
_EDGE = r"_(?P<image_size>\d+)"
_WINDOW = r"_window(?P<window_size>\d+)"
_DEIT_3 = replace(vit.FAMILY, describe=_describe_scaled)
_DINOV2, _DINOV2_REGISTERS = (
    replace(family, describe=_describe_dinov2) for family in (dinov2.FAMILY, dinov2.WITH_REGISTERS)
)
_CLIP_VIT = replace(vit.FAMILY, describe=_describe_clip)
_LINES = (
    _Line(r"(?:vit|deit)_(\w+)" + _PATCH + _EDGE, vit.FAMILY, names.VIT, _SIZES, _PRECISE),
    _Line(r"deit_(\w+)_distilled" + _PATCH + _EDGE, deit.FAMILY, names.VIT, _SIZES, _PRECISE),
    _Line(r"deit3_(\w+)" + _PATCH + _EDGE, _DEIT_3, names.VIT, _SIZES, _PRECISE),
    _Line(r"vit_(\w+)_patch14_dinov2", _DINOV2, names.VIT, _SIZES, _DINO),
    _Line(r"vit_(\w+)_patch14_dinov2", _DINOV2, names.GATED_VIT, _GIANT, _DINO),
    _Line(r"vit_(\w+)_patch14_reg4_dinov2", _DINOV2_REGISTERS, names.VIT, _SIZES, _DINO),
    _Line(r"vit_(\w+)_patch14_reg4_dinov2", _DINOV2_REGISTERS, names.GATED_VIT, _GIANT, _DINO),
    _Line(r"vit_(\w+)" + _PATCH + "_clip" + _EDGE, _CLIP_VIT, names.VIT, _SIZES, _CLIP),
    _Line(
        r"vit_(\w+)" + _PATCH + "_clip_quickgelu" + _EDGE, _CLIP_VIT, names.VIT, _SIZES,
        {**_CLIP, "hidden_act": "quick_gelu"},
    ),
    _Line(r"swin_(\w+)" + _PATCH + _WINDOW + _EDGE, swin.FAMILY, names.SWIN, _SWINS),
    _Line(r"swinv2_(\w+)" + _WINDOW + _EDGE, swin.V2, names.SWIN_V2, _SWINS),
    _Line(
        r"swinv2_(\w+)_window12to(?P<window_size>\d+)_192to(?P<image_size>\d+)", swin.V2, names.SWIN_V2, _SWINS,
        {"pretrained_window_sizes": [12, 12, 12, 6]},
    ),
    _Line(r"convnext_(\w+)", convnext.FAMILY, names.CONVNEXT, _CONVNEXTS, _PRECISE),
    _Line(r"convnextv2_(\w+)", convnext.V2, names.CONVNEXT, _CONVNEXTS, _PRECISE),
    _Line(
        r"resnet(\d+)", resnet.FAMILY, names.RESNET,
        {"18": {**_BASIC, "depths": [2, 2, 2, 2]}, "34": {**_BASIC, "depths": [3, 4, 6, 3]}, **_DEEP},
    ),
    _Line(r"resnet(\d+)d", replace(resnet.FAMILY, describe=_describe_deep), names.RESNET_D, _DEEP),
    _Line(r"mobilevit_(\w+)", mobile.VIT, names.MOBILEVIT, _MOBILEVITS),
    *_efficientnets("", 1e-5, same=False),
    *_efficientnets("tf_", 1e-3, same=True),
)  # fmt: skip


def family_of(config: Mapping[str, Any]) -> tuple[Family, Mapping[str, Any]]:
    """The family of one of timm's models, and its configuration in transformers' words.

    Raises:
        Unsupported: a model that Hearth does not know by this name, or one that was made otherwise than its name says.
    """
    name = config["architecture"]
    for key in ("model_args", "model_kwargs"):
        if config.get(key):
            raise Unsupported(
                f"config.json: {key} = {shown(config[key])}.", why="The model is another one than its name says."
            )
    for line in _LINES:
        found = re.fullmatch(line.pattern, name)
        size = line.values.get(found[1]) if found else None
        if found is None or size is None:
            continue
        numbers = {key: int(value) for key, value in found.groupdict().items()}
        values = {**_size(config), **line.common, **size, **numbers, **_labels(config)}
        return replace(line.family, namings=(line.naming,)), values
    raise Unsupported(
        f"The model {shown(name)} of timm (config.json: architecture) is not supported.",
        hint=f"Known, in their plain forms: {', '.join(KNOWN)}.",
    )


def _size(config: Mapping[str, Any]) -> dict[str, Any]:
    """The pictures that a model without a size in its name was trained with."""
    trained = config.get("pretrained_cfg")
    size = trained.get("input_size") if isinstance(trained, Mapping) else None
    return {"image_size": size[-1]} if isinstance(size, list) and size else {}


def _labels(config: Mapping[str, Any]) -> dict[str, Any]:
    """Names and number of what a head tells apart; whether it tells classes apart, or projects (CLIP's)."""
    count, given = config.get("num_classes"), config.get("label_names")
    if isinstance(given, list) and len(given) == count:
        return {"id2label": {str(i): str(name) for i, name in enumerate(given)}, "classifies": True}
    found = labels_of_head(count) if isinstance(count, int) else {}
    tag = str(Settings(config, where="config.json").table("pretrained_cfg").get("tag"))
    return {**found, "classifies": "id2label" in found or "_ft_" in tag}
