"""Models as timm publishes them: config.json names the model, and what that name means stands here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hearth.errors import Unsupported
from hearth.model.settings import shown
from hearth.model.tensors import Fused, Places, Rules
from hearth.model.vision.families import convnext, deit, resnet, swin, vit
from hearth.model.vision.model import Family
from hearth.model.vision.names import Naming

_QKV = ("q", "k", "v")
VIT: Rules = {
    "patches": "patch_embed.proj",
    "cls_token": "cls_token",
    "distillation_token": "dist_token",
    "positions": "pos_embed",
    **{f"layers.N.{part}": Fused("blocks.{N}.attn.qkv", _QKV) for part in _QKV},
    "layers.N.norm1": "blocks.{N}.norm1",
    "layers.N.o": "blocks.{N}.attn.proj",
    "layers.N.norm2": "blocks.{N}.norm2",
    "layers.N.up": "blocks.{N}.mlp.fc1",
    "layers.N.down": "blocks.{N}.mlp.fc2",
    "norm": "norm",
    "head": "head",
    "distilled": "head_dist",
}
_STAGE = "layers.{N}.blocks.{M}."
SWIN: Rules = {
    "patches": "patch_embed.proj",
    "patch_norm": "patch_embed.norm",
    **{f"stages.N.blocks.M.{part}": Fused(_STAGE + "attn.qkv", _QKV) for part in _QKV},
    "stages.N.blocks.M.norm1": _STAGE + "norm1",
    "stages.N.blocks.M.bias_table": _STAGE + "attn.relative_position_bias_table",
    "stages.N.blocks.M.o": _STAGE + "attn.proj",
    "stages.N.blocks.M.norm2": _STAGE + "norm2",
    "stages.N.blocks.M.up": _STAGE + "mlp.fc1",
    "stages.N.blocks.M.down": _STAGE + "mlp.fc2",
    # A stage begins with what transformers has at the end of the one before.
    "stages.N.merge.norm": "layers.{N+1}.downsample.norm",
    "stages.N.merge.reduction": "layers.{N+1}.downsample.reduction",
    "norm": "norm",
    "head": "head.fc",
}
_BLOCK = "stages.{N}.blocks.{M}."
CONVNEXT: Rules = {
    "patches": "stem.0",
    "patch_norm": "stem.1",
    "stages.N.halve_norm": "stages.{N}.downsample.0",
    "stages.N.halve": "stages.{N}.downsample.1",
    "stages.N.blocks.M.depthwise": _BLOCK + "conv_dw",
    "stages.N.blocks.M.norm": _BLOCK + "norm",
    "stages.N.blocks.M.up": _BLOCK + "mlp.fc1",
    "stages.N.blocks.M.down": _BLOCK + "mlp.fc2",
    "stages.N.blocks.M.scale": _BLOCK + "gamma",
    "norm": "head.norm",
    "head": "head.fc",
}
_TABLES = Places(ignored=("*relative_position_index", "*attn_mask"))


@dataclass(frozen=True)
class _Line:
    """Models whose names a pattern fits.

    Attributes:
        values: of a configuration in transformers' words, for what each group of the pattern may be.
    """

    pattern: str
    family: Family
    naming: Naming
    common: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Any]]


def _transformer(hidden: int, heads: int, layers: int = 12) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": layers,
        "intermediate_size": 4 * hidden,
    }  # fmt: skip


def _swin(size: int, depth: int, heads: int) -> dict[str, Any]:
    return {"embed_dim": size, "depths": [2, 2, depth, 2], "num_heads": [heads << i for i in range(4)]}


def _convnext(size: int, depth: int) -> dict[str, Any]:
    return {"hidden_sizes": [size << i for i in range(4)], "depths": [3, 3, depth, 3]}


_SIZES = {
    "tiny": _transformer(192, 3),
    "small": _transformer(384, 6),
    "base": _transformer(768, 12),
    "large": _transformer(1024, 16, 24),
}
_VIT = Naming(VIT, "pos_embed")
_PRECISE = {"layer_norm_eps": 1e-6}
_BASIC = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]}
_LINES = (
    _Line(r"(?:vit|deit)_(\w+)_patch(?P<patch_size>\d+)_(?P<image_size>\d+)", vit.FAMILY, _VIT, _PRECISE, _SIZES),
    _Line(
        r"deit_(\w+)_distilled_patch(?P<patch_size>\d+)_(?P<image_size>\d+)", deit.FAMILY, _VIT, _PRECISE, _SIZES
    ),
    _Line(
        r"swin_(\w+)_patch(?P<patch_size>\d+)_window(?P<window_size>\d+)_(?P<image_size>\d+)",
        swin.FAMILY,
        Naming(SWIN, "layers.0.blocks.0.attn.qkv.weight", _TABLES),
        {},
        {"tiny": _swin(96, 6, 3), "small": _swin(96, 18, 3), "base": _swin(128, 18, 4), "large": _swin(192, 18, 6)},
    ),
    _Line(
        r"convnext_(\w+)",
        convnext.FAMILY,
        Naming(CONVNEXT, "stem.0.weight"),
        _PRECISE,
        {
            "tiny": _convnext(96, 9), "small": _convnext(96, 27), "base": _convnext(128, 27),
            "large": _convnext(192, 27), "xlarge": _convnext(256, 27),
        },
    ),
    _Line(
        r"resnet(\d+)",
        resnet.FAMILY,
        Naming({**resnet.torchvision_rules(""), "head": "fc"}, "conv1.weight", Places(ignored=resnet.COUNTERS)),
        {},
        {
            "18": {**_BASIC, "depths": [2, 2, 2, 2]}, "34": {**_BASIC, "depths": [3, 4, 6, 3]},
            "50": {"depths": [3, 4, 6, 3]}, "101": {"depths": [3, 4, 23, 3]}, "152": {"depths": [3, 8, 36, 3]},
        },
    ),
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
        values = {**line.common, **size, **numbers, **_labels(config)}
        return replace(line.family, namings=(line.naming,)), values
    raise Unsupported(
        f"The model {shown(name)} of timm (config.json: architecture) is not supported.",
        hint="Known: vit_*_patch*, deit_*_patch*, swin_*, convnext_*, resnet*, in their plain forms.",
    )


def _labels(config: Mapping[str, Any]) -> dict[str, Any]:
    count, names = config.get("num_classes"), config.get("label_names")
    if isinstance(names, list) and len(names) == count:
        return {"id2label": {str(i): str(name) for i, name in enumerate(names)}}
    return {"num_labels": count} if count else {}
