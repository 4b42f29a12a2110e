"""What a bundle of a language model that sees says beside its plan: `sight.json`, read strictly."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import read_json_object, written_by_compiler
from hearth.errors import Unsupported
from hearth.image.config import CLIP, HARMLESS, MAX_SIDE, colours_of, preprocess_of, processor_values, resample_of
from hearth.image.preprocess import Preprocess, WholeSquares
from hearth.image.spec import preprocess_data, read_preprocess_data
from hearth.image.tiles import Squares, Whole
from hearth.model.settings import Settings, shown
from hearth.model.vision.pictures import MAX_PIXELS
from hearth.model.vlm.model import PictureText
from hearth.model.vlm.tile_shapes import FixedTile, PatchGrid, TileShape

FILE = "sight.json"
# Processors that cut pictures into squares, by the beginning of their names.
_SQUARES = ("Idefics3ImageProcessor", "SmolVLMImageProcessor")
# Those that put a border of the mean colour around pictures, where they say so.
_BORDERED = "LlavaImageProcessor"
_LANCZOS = 1
_SQUARES_DEFAULTS: Mapping[str, Any] = {
    "do_resize": True, "size": {"longest_edge": 4 * 364}, "resample": _LANCZOS, "do_image_splitting": True,
    "max_image_size": {"longest_edge": 364}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
    "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
}  # fmt: skip
# Processors that keep a picture's shape, in whole squares of patches.
_PATCHES = ("Qwen2VLImageProcessor", "Qwen2_5_VLImageProcessor")
_BICUBIC = 3
_PATCHES_DEFAULTS: Mapping[str, Any] = {
    "do_resize": True, "size": {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}, "resample": _BICUBIC,
    "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": list(CLIP[0]),
    "image_std": list(CLIP[1]), "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "min_pixels": None,
    "max_pixels": None,
}  # fmt: skip
# These say nothing about the pixels of one picture.
_SQUARES_HARMLESS = frozenset(
    {"do_pad", "return_row_col_info", "video_sampling", "do_sample_frames", "fps", "num_frames"}
)


@dataclass(frozen=True)
class SightSpec:
    """How a model sees, for whoever runs it.

    Attributes:
        cutting: how a picture becomes tiles.
        tile: which tiles its network takes, and what it makes of one.
        text: what a picture is in a prompt.
    """

    cutting: Whole | Squares
    tile: TileShape
    text: PictureText


def read_cutting(path: Path, tile: TileShape, processor: Mapping[str, Any] | None = None) -> Whole | Squares:
    """The rules for pictures of the model in a folder, or of one in a file.

    Args:
        tile: which tiles its network takes.
        processor: what transformers' processor would be told; None: what the folder says.

    Raises:
        CorruptFile: no rules are there, or they are out of range.
        Unsupported: a processor or a setting that Hearth does not compute, by name; tiles of another size.
    """
    values, where = processor_values(path) if processor is None else (processor, path.name)
    named = str(values.get("image_processor_type") or values.get("feature_extractor_type"))
    if isinstance(tile, PatchGrid):
        if not named.startswith(_PATCHES):
            raise Unsupported(
                f"{where}: the image processor {shown(named)} does not go with this model.",
                why=f"Its network takes squares of {tile.edge} pixels, any number of them.",
                hint=f"Known: {', '.join(_PATCHES)}.",
            )
        return Whole(_whole_squares(values, where, tile))
    squares = named.startswith(_SQUARES)
    rules: Whole | Squares = _squares(values, where) if squares else _whole(values, where)
    if rules.size != tile.size:
        raise Unsupported(
            f"{where} makes pictures of {_shown(rules.size)}; the model's network is for {_shown(tile.size)}.",
            why="With pictures of another size its answers would be others.",
        )
    return rules


def _whole(values: Mapping[str, Any], where: str) -> Whole:
    s = Settings(values, where=where)
    named = str(values.get("image_processor_type"))
    if not named.startswith(_BORDERED) or not s.flag("do_pad"):
        return Whole(preprocess_of(values, where))
    rules = preprocess_of({**values, "do_pad": False}, where)
    red, green, blue = (int(255 * part) for part in rules.mean)
    return Whole(rules, (red, green, blue))


def _whole_squares(values: Mapping[str, Any], where: str, tile: PatchGrid) -> Preprocess:
    s = Settings(values, where=where, defaults=_PATCHES_DEFAULTS)
    _refuse_unknown(s, _PATCHES_DEFAULTS)
    for key, wanted in (("patch_size", tile.patch), ("merge_size", tile.square)):
        if s.get(key) != wanted:
            raise s.unsupported(key, f"The model's network is for {wanted}.")
    if not s.flag("do_resize"):
        raise s.unsupported("do_resize", "Pictures have to be whole squares of patches.")
    sizes = Settings(s.table("size"), where=f"{where}, size")
    least, most = (
        s.optional_count(ours, most=MAX_PIXELS) or sizes.count(theirs, most=MAX_PIXELS)
        for ours, theirs in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge"))
    )
    most = min(most, tile.most_rows * tile.edge**2)  # else no memory is kept for it
    mean, std = colours_of(s)
    return Preprocess(WholeSquares(tile.edge, min(least, most), most), resample_of(s), mean, std)


def _refuse_unknown(s: Settings, known: Collection[str]) -> None:
    """Raises Unsupported for what may change pixels."""
    for key, value in s.values.items():
        if key not in known and key not in HARMLESS and value is not None and value is not False:
            raise s.unsupported(key, "It may change pixels, and Hearth does not know it.")


def _shown(size: tuple[int, int] | None) -> str:
    return "several sizes" if size is None else f"{size[0]} x {size[1]} pixels"


def _squares(values: Mapping[str, Any], where: str) -> Squares:
    s = Settings(values, where=where, defaults=_SQUARES_DEFAULTS)
    _refuse_unknown(s, {*_SQUARES_DEFAULTS, *_SQUARES_HARMLESS})
    edges = [Settings(s.table(key), where=f"{where}, {key}") for key in ("max_image_size", "size")]
    edge, longest = (each.count("longest_edge", most=MAX_SIDE) for each in edges)
    mean, std = colours_of(s)
    return Squares(
        edge, longest if s.flag("do_resize") else None, resample_of(s), mean, std, split=s.flag("do_image_splitting")
    )


def save_sight(spec: SightSpec, folder: Path) -> None:
    rules = spec.cutting
    data = {
        "cutting": asdict(rules) if isinstance(rules, Squares) else _whole_data(rules),
        "text": asdict(spec.text),
        **_tile_data(spec.tile),
    }
    (folder / FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _whole_data(rules: Whole) -> dict[str, Any]:
    return {"preprocess": preprocess_data(rules.preprocess), "border": rules.border}


def load_sight(folder: Path) -> SightSpec | None:
    """What `save_sight` has written; None where the model sees nothing. Raises CorruptFile for anything else."""
    path = folder / FILE
    if not path.is_file():
        return None
    with written_by_compiler(path):
        data = read_json_object(path)
        return SightSpec(_cutting(dict(data["cutting"])), _tile(data), PictureText(**data["text"]))


def _tile_data(tile: TileShape) -> dict[str, Any]:
    if isinstance(tile, PatchGrid):
        return {"grid": asdict(tile)}
    return {"size": tile.size, "rows": tile.num_rows}


def _tile(data: Mapping[str, Any]) -> TileShape:
    if "grid" in data:
        return PatchGrid(**{name: int(number) for name, number in data["grid"].items()})
    height, width = data["size"]
    return FixedTile((int(height), int(width)), int(data["rows"]))


def _cutting(data: dict[str, Any]) -> Whole | Squares:
    if "preprocess" in data:
        border = data["border"]
        return Whole(read_preprocess_data(data["preprocess"]), None if border is None else tuple(border))
    return Squares(**{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])})
