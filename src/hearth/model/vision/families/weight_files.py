"""Files of weights alone (.pth), whose name says what model they are of, as torchvision's do: `resnet50-0676ba61.pth`.

Such a file has no configuration; sizes, names of tensors and rules for pictures stand here, by the model's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from hearth.checkpoint.types import Checkpoint
from hearth.errors import Unsupported
from hearth.model.settings import shown
from hearth.model.tensors import Fused, Places, Rules
from hearth.model.vision.families import convnext, resnet, swin, vit
from hearth.model.vision.families.efficientnet import PORTED, Scaling, torchvision_naming
from hearth.model.vision.families.imagenet import labels_of_head
from hearth.model.vision.model import Family
from hearth.model.vision.names import Naming

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)


@dataclass(frozen=True)
class Pictures:
    """How pictures are made ready: the shorter edge to `edge`, then the middle square of `size`."""

    size: int
    edge: int
    resample: str = "bilinear"
    colours: tuple[tuple[float, float, float], tuple[float, float, float]] = _IMAGENET


@dataclass(frozen=True)
class Published:
    """One model.

    Attributes:
        family: with the naming of its tensors.
        values: its configuration in transformers' words.
        head: the matrix whose rows are its labels.
        pictures: by the file's ending, the part of a hash; "" for all others.
    """

    family: Family
    head: str
    pictures: Mapping[str, Pictures]
    values: Mapping[str, Any] = field(default_factory=dict)


_RESNET = replace(
    resnet.FAMILY,
    namings=(Naming({**resnet.torchvision_rules(""), "head": "fc"}, "conv1.weight", Places(ignored=resnet.COUNTERS)),),
)
_LAYER = "encoder.layers.encoder_layer_{N}."
_IN = ("q", "k", "v")
_VIT: Rules = {
    "patches": "conv_proj",
    "cls_token": "class_token",
    "positions": "encoder.pos_embedding",
    "layers.N.norm1": _LAYER + "ln_1",
    **{f"layers.N.{part}.weight": Fused(_LAYER + "self_attention.in_proj_weight", _IN) for part in _IN},
    **{f"layers.N.{part}.bias": Fused(_LAYER + "self_attention.in_proj_bias", _IN) for part in _IN},
    "layers.N.o": _LAYER + "self_attention.out_proj",
    "layers.N.norm2": _LAYER + "ln_2",
    "layers.N.up": (_LAYER + "mlp.linear_1", _LAYER + "mlp.0"),
    "layers.N.down": (_LAYER + "mlp.linear_2", _LAYER + "mlp.3"),
    "norm": "encoder.ln",
    "head": "heads.head",
}


def _swin_rules(depths: list[int]) -> Rules:
    rules: dict[str, Any] = {"patches": "features.0.0", "patch_norm": "features.0.2", "norm": "norm", "head": "head"}
    for stage, depth in enumerate(depths):
        for number in range(depth):
            own, theirs = f"stages.{stage}.blocks.{number}.", f"features.{2 * stage + 1}.{number}."
            rules |= {own + part: Fused(theirs + "attn.qkv", _IN) for part in _IN}
            rules |= {
                own + "norm1": theirs + "norm1",
                own + "o": theirs + "attn.proj",
                own + "bias_table": theirs + "attn.relative_position_bias_table",
                own + "logit_scale": theirs + "attn.logit_scale",
                own + "bias_mlp.0": theirs + "attn.cpb_mlp.0",
                own + "bias_mlp.2": theirs + "attn.cpb_mlp.2",
                own + "norm2": theirs + "norm2",
                own + "up": theirs + "mlp.0",
                own + "down": theirs + "mlp.3",
            }
        for part in ("norm", "reduction"):
            rules[f"stages.{stage}.merge.{part}"] = f"features.{2 * stage + 2}.{part}"
    return rules


def _convnext_rules(depths: list[int]) -> Rules:
    rules: dict[str, Any] = {"patches": "features.0.0", "patch_norm": "features.0.1"}
    rules |= {"norm": "classifier.0", "head": "classifier.2"}
    for stage, depth in enumerate(depths):
        for number in range(depth):
            own, theirs = f"stages.{stage}.blocks.{number}.", f"features.{2 * stage + 1}.{number}."
            rules |= {
                own + "depthwise": theirs + "block.0",
                own + "norm": theirs + "block.2",
                own + "up": theirs + "block.3",
                own + "down": theirs + "block.5",
                own + "scale": theirs + "layer_scale",
            }
        rules |= {
            f"stages.{stage}.halve_norm": f"features.{2 * stage}.0",
            f"stages.{stage}.halve": f"features.{2 * stage}.1",
        }
    return rules


def _resnet(kind: str, depths: list[int], pictures: Mapping[str, Pictures]) -> Published:
    sizes = [64, 128, 256, 512] if kind == "basic" else [256, 512, 1024, 2048]
    values = {"layer_type": kind, "depths": depths, "hidden_sizes": sizes}
    return Published(_RESNET, "fc.weight", pictures, values)


def _vit(size: int, heads: int, layers: int, patch: int, edge: int) -> Published:
    family = replace(vit.FAMILY, namings=(Naming(_VIT, "class_token"),))
    values = {
        "hidden_size": size, "num_attention_heads": heads, "num_hidden_layers": layers, "intermediate_size": 4 * size,
        "patch_size": patch, "layer_norm_eps": 1e-6,
    }  # fmt: skip
    return Published(family, "heads.head.weight", {"": Pictures(224, edge)}, values)


_TABLES = ("*relative_position_index", "*relative_coords_table")


def _swin(version: int, size: int, depth: int, heads: int, pictures: Pictures) -> Published:
    depths = [2, 2, depth, 2]
    naming = Naming(_swin_rules(depths), "features.1.0.attn.qkv.weight", Places(ignored=_TABLES))
    values: dict[str, Any] = {"embed_dim": size, "depths": depths, "num_heads": [heads << i for i in range(4)]}
    values |= {"image_size": pictures.size, "window_size": 7 if version == 1 else 8}
    family = replace(swin.FAMILY if version == 1 else swin.V2, namings=(naming,))
    return Published(family, "head.weight", {"": pictures}, values)


def _convnext(size: int, depth: int, edge: int) -> Published:
    depths = [3, 3, depth, 3]
    family = replace(convnext.FAMILY, namings=(Naming(_convnext_rules(depths), "features.1.0.layer_scale"),))
    values = {"hidden_sizes": [size << i for i in range(4)], "depths": depths, "layer_norm_eps": 1e-6}
    return Published(family, "classifier.2.weight", {"": Pictures(224, edge)}, values)


def _efficientnet(width: float, depth: float, eps: float, pictures: Mapping[str, Pictures]) -> Published:
    scaling = Scaling(width, depth, eps)
    values = {"image_size": pictures[""].size}
    return Published(scaling.family(torchvision_naming(scaling)), "classifier.1.weight", pictures, values)


def _lite(width: float, depth: float, size: int) -> Published:
    scaling = Scaling(width, depth, 1e-3, lite=True, same=True)
    pictures = Pictures(size, size + 32, "bicubic", _LITE)
    return Published(scaling.family(PORTED), "_fc.weight", {"": pictures}, {"image_size": size})


_OLD, _NEW = Pictures(224, 256), Pictures(224, 232)


@cache
def models() -> Mapping[str, Published]:
    """By name."""
    cubic = "bicubic"
    return {
        "resnet18": _resnet("basic", [2, 2, 2, 2], {"": _OLD}),
        "resnet34": _resnet("basic", [3, 4, 6, 3], {"": _OLD}),
        "resnet50": _resnet("bottleneck", [3, 4, 6, 3], {"": _NEW, "0676ba61": _OLD}),
        "resnet101": _resnet("bottleneck", [3, 4, 23, 3], {"": _NEW, "63fe2227": _OLD}),
        "resnet152": _resnet("bottleneck", [3, 8, 36, 3], {"": _NEW, "394f9c45": _OLD}),
        "vit_b_16": _vit(768, 12, 12, 16, 256),
        "vit_b_32": _vit(768, 12, 12, 32, 256),
        "vit_l_16": _vit(1024, 16, 24, 16, 242),
        "vit_l_32": _vit(1024, 16, 24, 32, 256),
        "swin_t": _swin(1, 96, 6, 3, Pictures(224, 232, cubic)),
        "swin_s": _swin(1, 96, 18, 3, Pictures(224, 246, cubic)),
        "swin_b": _swin(1, 128, 18, 4, Pictures(224, 238, cubic)),
        "swin_v2_t": _swin(2, 96, 6, 3, Pictures(256, 260, cubic)),
        "swin_v2_s": _swin(2, 96, 18, 3, Pictures(256, 260, cubic)),
        "swin_v2_b": _swin(2, 128, 18, 4, Pictures(256, 272, cubic)),
        "convnext_tiny": _convnext(96, 9, 236),
        "convnext_small": _convnext(96, 27, 230),
        "convnext_base": _convnext(128, 27, 232),
        "convnext_large": _convnext(192, 27, 232),
        "efficientnet_b0": _efficientnet(1.0, 1.0, 1e-5, {"": Pictures(224, 256, cubic)}),
        "efficientnet_b1": _efficientnet(
            1.0, 1.1, 1e-5, {"": Pictures(240, 255), "bac287d4": Pictures(240, 256, cubic)}
        ),
        "efficientnet_b2": _efficientnet(1.1, 1.2, 1e-5, {"": Pictures(288, 288, cubic)}),
        "efficientnet_b3": _efficientnet(1.2, 1.4, 1e-5, {"": Pictures(300, 320, cubic)}),
        "efficientnet_b4": _efficientnet(1.4, 1.8, 1e-5, {"": Pictures(380, 384, cubic)}),
        "efficientnet_b5": _efficientnet(1.6, 2.2, 1e-3, {"": Pictures(456, 456, cubic)}),
        "efficientnet_b6": _efficientnet(1.8, 2.6, 1e-3, {"": Pictures(528, 528, cubic)}),
        "efficientnet_b7": _efficientnet(2.0, 3.1, 1e-3, {"": Pictures(600, 600, cubic)}),
        "efficientnet-lite0": _lite(1.0, 1.0, 224),
        "efficientnet-lite1": _lite(1.0, 1.1, 240),
        "efficientnet-lite2": _lite(1.1, 1.2, 260),
        "efficientnet-lite3": _lite(1.2, 1.4, 280),
        "efficientnet-lite4": _lite(1.4, 1.8, 300),
    }


def _published(file: str) -> tuple[Published, str]:
    """The model that a file's name begins with, and the rest of the name.

    Raises:
        Unsupported: none.
    """
    stem = file.rsplit(".", 1)[0]
    named = [name for name in models() if stem == name or stem.startswith((f"{name}-", f"{name}_"))]
    if not named:
        raise Unsupported(
            f"The name of {shown(file)} does not say which model its weights are of.",
            why="A file of weights alone holds no configuration; torchvision's files begin with the model's name, as"
            " resnet50-0676ba61.pth does.",
            hint=f"Known: {', '.join(models())}.",
        )
    name = max(named, key=len)
    return models()[name], stem.removeprefix(name)


def pictures_of(file: str) -> Pictures:
    """How pictures are made ready for a model by its file's name. Raises Unsupported for a name that is not known."""
    published, rest = _published(file)
    return next(
        (p for ending, p in published.pictures.items() if ending and rest.endswith(ending)), published.pictures[""]
    )


def family_of(checkpoint: Checkpoint) -> tuple[Family, Mapping[str, Any]]:
    """The family of a file of weights, and its configuration in transformers' words.

    Raises:
        Unsupported: its name says no model that Hearth knows.
    """
    published, _ = _published(str(checkpoint.config["file"]))
    head = checkpoint.tensors.get(published.head)
    count = head.shape[0] if head is not None and head.shape else 0
    return published.family, {**published.values, **labels_of_head(count)}
