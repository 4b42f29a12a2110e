"""What a bundle of a language model that sees says beside its plan: `sight.json`, read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hearth.checkpoint.mapped import read_json_object, written_by_compiler
from hearth.errors import Unsupported
from hearth.image.config import HARMLESS, MAX_SIDE, colours_of, preprocess_of, processor_values, resample_of
from hearth.image.spec import preprocess_data, read_preprocess_data
from hearth.image.tiles import Squares, Whole
from hearth.model.settings import Settings
from hearth.model.vlm.model import PictureText

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
# These say nothing about the pixels of one picture.
_SQUARES_HARMLESS = frozenset(
    {"do_pad", "return_row_col_info", "video_sampling", "do_sample_frames", "fps", "num_frames"}
)


@dataclass(frozen=True)
class SightSpec:
    """How a model sees, for whoever runs it.

    Attributes:
        cutting: how a picture becomes tiles of `size`, height and width.
        rows: embeddings of a tile.
        text: what a picture is in a prompt.
    """

    cutting: Whole | Squares
    size: tuple[int, int]
    rows: int
    text: PictureText


def read_cutting(path: Path, size: tuple[int, int], processor: Mapping[str, Any] | None = None) -> Whole | Squares:
    """The rules for pictures of the model in a folder, or of one in a file.

    Args:
        size: of the tiles that its network takes.
        processor: what transformers' processor would be told; None: what the folder says.

    Raises:
        CorruptFile: no rules are there, or they are out of range.
        Unsupported: a processor or a setting that Hearth does not compute, by name; tiles of another size.
    """
    values, where = processor_values(path) if processor is None else (processor, path.name)
    named = str(values.get("image_processor_type") or values.get("feature_extractor_type"))
    squares = named.startswith(_SQUARES)
    rules: Whole | Squares = _squares(values, where) if squares else _whole(values, where)
    if rules.size != size:
        raise Unsupported(
            f"{where} makes pictures of {_shown(rules.size)}; the model's network is for {_shown(size)}.",
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


def _shown(size: tuple[int, int] | None) -> str:
    return "several sizes" if size is None else f"{size[0]} x {size[1]} pixels"


def _squares(values: Mapping[str, Any], where: str) -> Squares:
    s = Settings(values, where=where, defaults=_SQUARES_DEFAULTS)
    read = {*_SQUARES_DEFAULTS, *_SQUARES_HARMLESS, *HARMLESS}
    for key, value in values.items():
        if key not in read and value is not None and value is not False:
            raise s.unsupported(key, "It may change pixels, and Hearth does not know it.")
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
        "size": spec.size,
        "rows": spec.rows,
        "text": asdict(spec.text),
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
        height, width = data["size"]
        return SightSpec(
            _cutting(dict(data["cutting"])), (int(height), int(width)), int(data["rows"]), PictureText(**data["text"])
        )


def _cutting(data: dict[str, Any]) -> Whole | Squares:
    if "preprocess" in data:
        border = data["border"]
        return Whole(read_preprocess_data(data["preprocess"]), None if border is None else tuple(border))
    return Squares(**{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])})
