"""Pictures for graphs that others have written, which say the shape of a picture and nothing else about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hearth.image.config import FILE, IMAGENET, read_preprocess
from hearth.image.preprocess import Exactly, Preprocess

_COLOURS = (3, 1)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""What is seen of red, green and blue where there is only grey (ITU-R BT.601)."""


@dataclass(frozen=True)
class TensorShape:
    """Of an input for one picture.

    Attributes:
        colours: 3, or 1 for grey.
        colours_first: (1, colours, height, width), rather than (1, height, width, colours).
    """

    height: int
    width: int
    colours: int
    colours_first: bool


def shape_for_pictures(sizes: Sequence[int]) -> TensorShape | None:
    """What an input of these sizes is for pictures; None: it is for none.

    Args:
        sizes: of its axes, the batch first; where they are open, the largest.
    """
    if len(sizes) != 4:
        return None
    _, first, middle, last = sizes
    if first in _COLOURS:
        return TensorShape(middle, last, first, colours_first=True)
    return TensorShape(first, middle, last, colours_first=False) if last in _COLOURS else None


COLOURS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": IMAGENET,
    "unit": ((0.0,) * 3, (1.0,) * 3),
    "signed": ((0.5,) * 3, (0.5,) * 3),
    "bytes": ((0.0,) * 3, (1 / 255,) * 3),
}
"""Mean and deviation of what networks take of a picture: as ImageNet's, from 0 to 1, from -1 to 1, from 0 to 255."""


def rules_of(colours: str) -> Preprocess:
    """The rules of one of `COLOURS`."""
    mean, std = COLOURS[colours]
    return Preprocess(fit=None, resample="bilinear", mean=mean, std=std)


def rules_beside(folder: Path) -> Preprocess:
    """The rules in the folder of a graph's file, or those that most networks were trained with: ImageNet's."""
    return read_preprocess(folder, {}) if (folder / FILE).is_file() else rules_of("imagenet")


def as_input(pixels: NDArray[np.uint8], rules: Preprocess, shape: TensorShape) -> NDArray[np.float32]:
    """A picture u8 (height, width, 3) as the input of a graph, for a batch of one: resized to its size, whatever shape
    it had, with the colours of `rules`."""
    rules = replace(rules, fit=Exactly(shape.height, shape.width), crop=None, divisor=1)
    prepared = rules.apply(pixels)
    values = prepared if shape.colours == len(_LUMA) else (prepared @ _LUMA)[..., None]
    return np.ascontiguousarray((values.transpose(2, 0, 1) if shape.colours_first else values)[None])
