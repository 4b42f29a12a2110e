"""Reads a model's rules for pictures: transformers' `preprocessor_config.json`, timm's `pretrained_cfg`.

A key that changes pixels and that Hearth does not compute is refused by name: with other pixels a model's answers
would be wrong and look right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import read_json_object
from hearth.errors import CorruptFile
from hearth.image.preprocess import AsLittleAsPossible, Exactly, Fit, Preprocess, ShortestEdge, Within
from hearth.model.settings import Settings, shown
from hearth.model.vision.families.weight_files import pictures_of

FILE = "preprocessor_config.json"
_WHOLE_FILE, _INNER = "processor_config.json", "image_processor"
MAX_SIDE = 1 << 14
_RESAMPLES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of its colours."""
_STANDARD = ((0.5,) * 3, (0.5,) * 3)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_BILINEAR, _BICUBIC = 2, 3


@dataclass(frozen=True)
class _Kind:
    """What one of transformers' image processors assumes for keys that a file does not have.

    Attributes:
        square: one number as size is both edges, rather than the shorter one.
        refused: keys that change pixels where they are on, and that Hearth does not compute for it.
    """

    size: int | Mapping[str, int]
    resample: int
    colours: tuple[tuple[float, ...], tuple[float, ...]]
    square: bool = True
    crop: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


_SHORTEST_800 = {"shortest_edge": 800, "longest_edge": 1333}
# By the processor's name without its ending: ViTImageProcessor, ViTFeatureExtractor, ViTImageProcessorFast ...
_KINDS: Mapping[str, _Kind] = {
    "ViT": _Kind(224, _BILINEAR, _STANDARD),
    "DeiT": _Kind(256, _BICUBIC, _STANDARD, crop=224),
    "Bit": _Kind({"shortest_edge": 224}, _BICUBIC, CLIP, square=False, crop=224),
    "DINOv3ViT": _Kind(224, _BILINEAR, IMAGENET),
    "CLIP": _Kind({"shortest_edge": 224}, _BICUBIC, CLIP, square=False, crop=224),
    "Llava": _Kind({"shortest_edge": 224}, _BICUBIC, CLIP, square=False, crop=224, refused=("do_pad",)),
    "Gemma3": _Kind(224, _BILINEAR, _STANDARD),
    "Siglip": _Kind(224, _BICUBIC, _STANDARD),
    "ConvNext": _Kind({"shortest_edge": 384}, _BICUBIC, _STANDARD, square=False, more={"crop_pct": 224 / 256}),
    "Detr": _Kind(_SHORTEST_800, _BILINEAR, IMAGENET, square=False),
    "Yolos": _Kind(_SHORTEST_800, _BILINEAR, IMAGENET, square=False),
    "RTDetr": _Kind(640, _BILINEAR, IMAGENET, more={"do_normalize": False}),
    "Segformer": _Kind(512, _BILINEAR, IMAGENET),
    "DPT": _Kind(384, _BICUBIC, _STANDARD),
    "EfficientNet": _Kind(346, _BICUBIC, _STANDARD, more={"include_top": True}),
    "MobileViT": _Kind(
        {"shortest_edge": 224}, _BICUBIC, _STANDARD, square=False, crop=256,
        more={"do_normalize": False, "do_flip_channel_order": True},
    ),
}  # fmt: skip
_ENDINGS = ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")
_READ = frozenset({
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor", "do_normalize",
    "image_mean", "image_std", "crop_pct", "max_size", "do_pad", "pad_size", "size_divisor", "keep_aspect_ratio",
    "ensure_multiple_of", "rescale_offset", "include_top", "do_flip_channel_order", "default_to_square",
})  # fmt: skip
# These say nothing about the pixels of one picture in RGB.
HARMLESS = frozenset({
    "image_processor_type", "feature_extractor_type", "processor_class", "auto_map", "_valid_processor_keys",
    "do_convert_rgb", "do_convert_annotations", "do_reduce_labels", "reduce_labels", "format",
    "return_segmentation_masks", "data_format", "input_data_format", "return_tensors", "device", "disable_grouping",
    "num_labels", "ignore_index", "class_info_file", "image_seq_length", "padding_side",
})  # fmt: skip


def read_preprocess(folder: Path, config: Mapping[str, Any]) -> Preprocess:
    """The rules of the model in a folder, or in a file of weights.

    Args:
        config: content of its config.json (timm writes its rules there), or the name of a file of weights.

    Raises:
        CorruptFile: no rules are there, or they are out of range.
        Unsupported: a processor or a setting that Hearth does not compute, by name.
    """
    if "file" in config:
        return _by_file(str(config["file"]))
    timm = config.get("pretrained_cfg")
    if isinstance(timm, Mapping) and not any((folder / name).is_file() for name in (FILE, _WHOLE_FILE)):
        return timm_preprocess(timm)
    return preprocess_of(*processor_values(folder))


def processor_values(folder: Path) -> tuple[Mapping[str, Any], str]:
    """What transformers' processor of a folder is told, and the place where it stands.

    Raises:
        CorruptFile: there is nothing.
    """
    if (folder / FILE).is_file():
        return read_json_object(folder / FILE), FILE
    if (folder / _WHOLE_FILE).is_file():
        inner = read_json_object(folder / _WHOLE_FILE).get(_INNER)
        if isinstance(inner, Mapping):
            return inner, f"{_WHOLE_FILE}, {_INNER}"
    raise CorruptFile(
        f"{folder} does not say how pictures are made ready for the model.",
        why=f"It has no {FILE}. With other sizes or colours than in training, answers are wrong and look right.",
        hint=f"Take {FILE} from the model's own repository.",
    )


def preprocess_of(values: Mapping[str, Any], where: str) -> Preprocess:
    """The rules in transformers' words. Raises: as `read_preprocess`."""
    kind = _kind_of(values, where)
    s = Settings(values, where=where, defaults=_defaults(kind))
    for key, value in values.items():
        if key not in _READ and key not in HARMLESS and value is not None and value is not False:
            raise s.unsupported(key, "It may change pixels, and Hearth does not know it.")
    for key in kind.refused:
        if s.flag(key):
            raise s.unsupported(key, "Hearth does not compute it for this processor.")
    fit = _fit(s, kind) if s.flag("do_resize") else None
    crop = _sides(s, "crop_size", square=True) if s.flag("do_center_crop") else None
    if kind is _KINDS["ConvNext"] and fit is not None:
        fit, crop = _convnext(s)
    pads = s.flag("do_pad") and s.get("size_divisor") is not None
    mean, std = colours_of(s)
    rules = Preprocess(fit, resample_of(s), mean, std, crop=crop, bgr=s.flag("do_flip_channel_order"))
    if s.get("pad_size") is not None:
        raise s.unsupported("pad_size", "Hearth pads to multiples only.")
    return replace(rules, divisor=s.count("size_divisor", most=1024), black=False) if pads else rules


def timm_preprocess(values: Mapping[str, Any]) -> Preprocess:
    """The rules in timm's words: the short edge to size / crop_pct, then the middle."""
    defaults: dict[str, Any] = {"crop_pct": 0.875, "crop_mode": "center", "interpolation": "bicubic"}
    defaults |= {"mean": IMAGENET[0], "std": IMAGENET[1]}
    s = Settings(values, where="config.json, pretrained_cfg", defaults=defaults)
    size = s.get("input_size")
    if not isinstance(size, list | tuple) or len(size) != 3 or size[0] != 3:
        raise s.corrupt("input_size", "three channels, a height and a width")
    height, width = (Settings({"side": side}, where=s.where).count("side", most=MAX_SIDE) for side in size[1:])
    part, mode = s.number("crop_pct", high=1), s.text("crop_mode")
    tall, wide = math.floor(height / part), math.floor(width / part)
    if mode == "squash":
        fit: Fit = Exactly(tall, wide)
    elif mode == "center" and height == width:
        fit = ShortestEdge(tall)
    else:
        raise s.unsupported("crop_mode", "Known: center for squares, squash.")
    resample = s.text("interpolation")
    if resample not in _RESAMPLES.values():
        raise s.unsupported("interpolation", f"Known: {', '.join(_RESAMPLES.values())}.")
    mean, std = (_three(s, key) for key in ("mean", "std"))
    return Preprocess(fit, resample, mean, std, crop=(height, width), crop_rounds=True)


def _by_file(name: str) -> Preprocess:
    """The rules of a model whose file of weights has this name."""
    p = pictures_of(name)
    mean, std = p.colours
    return Preprocess(ShortestEdge(p.edge), p.resample, mean, std, crop=(p.size, p.size), crop_rounds=True)


def _kind_of(values: Mapping[str, Any], where: str) -> _Kind:
    name = values.get("image_processor_type") or values.get("feature_extractor_type")
    for ending in _ENDINGS:
        kind = _KINDS.get(str(name).removesuffix(ending)) if str(name).endswith(ending) else None
        if kind is not None:
            return kind
    settings = Settings(values, where=where)
    if name is None:
        raise settings.corrupt("image_processor_type", "the name of the processor that the model was trained with")
    key = "image_processor_type" if "image_processor_type" in values else "feature_extractor_type"
    raise settings.unsupported(key, f"Known: {', '.join(sorted(_KINDS))}.")


def _defaults(kind: _Kind) -> dict[str, Any]:
    return {
        "do_resize": True, "size": kind.size, "resample": kind.resample, "do_center_crop": kind.crop is not None,
        "crop_size": kind.crop, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": list(kind.colours[0]), "image_std": list(kind.colours[1]), **kind.more,
    }  # fmt: skip


def _fit(s: Settings, kind: _Kind) -> Fit:
    size = s.get("size")
    if isinstance(size, Mapping) and "longest_edge" in size and "shortest_edge" in size:
        edges = Settings(size, where=f"{s.where}, size")
        longest = edges.optional_count("longest_edge", most=MAX_SIDE)
        return _shortest(kind, edges.count("shortest_edge", most=MAX_SIDE), longest)
    if isinstance(size, Mapping) and "max_height" in size and "max_width" in size:
        edges = Settings(size, where=f"{s.where}, size")
        return Within(edges.count("max_height", most=MAX_SIDE), edges.count("max_width", most=MAX_SIDE))
    if isinstance(size, Mapping) and "shortest_edge" in size:
        return _shortest(kind, Settings(size, where=f"{s.where}, size").count("shortest_edge", most=MAX_SIDE), None)
    if not isinstance(size, Mapping) and not kind.square and s.get("default_to_square") is not True:
        return _shortest(kind, s.count("size", most=MAX_SIDE), s.optional_count("max_size", most=MAX_SIDE))
    height, width = _sides(s, "size", square=True)
    if kind is _KINDS["DPT"]:
        multiple = s.optional_count("ensure_multiple_of", most=1024) or 1
        return AsLittleAsPossible(height, width, multiple, keep_shape=s.flag("keep_aspect_ratio"))
    return Exactly(height, width)


def _shortest(kind: _Kind, edge: int, longest: int | None) -> ShortestEdge:
    # YOLOS cuts both edges to whole patches.
    return ShortestEdge(edge, longest, multiple=16 if kind is _KINDS["Yolos"] else 1)


def _convnext(s: Settings) -> tuple[Fit, tuple[int, int] | None]:
    """Small pictures are cut out of larger ones, large ones are squeezed into a square."""
    size = s.get("size")
    edge = _sides(s, "size", square=True)[0] if not isinstance(size, Mapping) or "height" in size else Settings(
        size, where=f"{s.where}, size"
    ).count("shortest_edge", most=MAX_SIDE)  # fmt: skip
    if edge >= 384:
        return Exactly(edge, edge), None
    return ShortestEdge(int(edge / s.number("crop_pct", high=1))), (edge, edge)


def _sides(s: Settings, key: str, *, square: bool) -> tuple[int, int]:
    value = s.get(key)
    if isinstance(value, Mapping) and {"height", "width"} <= set(value):
        sides = Settings(value, where=f"{s.where}, {key}")
        return sides.count("height", most=MAX_SIDE), sides.count("width", most=MAX_SIDE)
    if isinstance(value, list | tuple) and len(value) == 2:
        pair = Settings({"height": value[0], "width": value[1]}, where=f"{s.where}, {key}")
        return pair.count("height", most=MAX_SIDE), pair.count("width", most=MAX_SIDE)
    if isinstance(value, Mapping) or not square:
        raise s.unsupported(key, f"Its form {shown(value)} is not known.")
    side = s.count(key, most=MAX_SIDE)
    return side, side


def resample_of(s: Settings) -> str:
    """Pillow's filter, by name."""
    value = s.get("resample")
    if isinstance(value, bool) or value not in _RESAMPLES:
        raise s.corrupt("resample", f"one of Pillow's filters: {', '.join(map(str, _RESAMPLES))}")
    return _RESAMPLES[value]


def colours_of(s: Settings) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and spread of what a pixel / 255 is, all steps in one."""
    factor = s.number("rescale_factor", high=1e6) if s.flag("do_rescale") else 1.0
    shift = 1.0 if s.flag("rescale_offset") and s.flag("do_rescale") else 0.0
    normalizes = s.flag("do_normalize")
    means, stds = (_three(s, "image_mean"), _three(s, "image_std")) if normalizes else ((0.0,) * 3, (1.0,) * 3)
    # EfficientNet's classifier divides by the spread once more.
    twice = _three(s, "image_std") if s.flag("include_top") else (1.0,) * 3
    unit = 255 * factor
    mean = tuple((m + shift) / unit for m in means)
    std = tuple(a * b / unit for a, b in zip(stds, twice, strict=True))
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _three(s: Settings, key: str) -> tuple[float, float, float]:
    value = s.get(key)
    numbers = [value] * 3 if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(numbers, list | tuple) or len(numbers) != 3:
        raise s.corrupt(key, "three numbers, one a colour")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1e4:
            raise s.corrupt(key, "three numbers from 0 to 10000")
    if "std" in key and not all(numbers):
        raise s.corrupt(key, "numbers above 0")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])
