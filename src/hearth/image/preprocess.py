"""How a picture is made into what a network wants: to which size, which part of it, which numbers.

`Preprocess` holds the rules of one model, `placement` says what they mean for a picture of some size. The plan of a
model computes both: filter and colours are compiled in (`part`), the placement is given with each picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hearth.errors import UsageError
from hearth.model.vision.part import Part
from hearth.model.vision.pictures import picture_part

Size = tuple[int, int]
"""Height and width."""
_MOST_ASPECT = 200


class Fit(Protocol):
    """To which size a picture of a given size is resized."""

    def __call__(self, height: int, width: int) -> Size: ...


@dataclass(frozen=True)
class Exactly:
    """Always to this size, whatever its shape was."""

    height: int
    width: int

    def __call__(self, height: int, width: int) -> Size:
        return self.height, self.width


@dataclass(frozen=True)
class ShortestEdge:
    """The shorter edge to `edge`, the shape kept; but the longer edge to at most `longest`.

    Attributes:
        multiple: both edges are cut to a multiple of it.
    """

    edge: int
    longest: int | None = None
    multiple: int = 1

    def __call__(self, height: int, width: int) -> Size:
        short, long = min(height, width), max(height, width)
        edge: float = self.edge
        if self.longest is not None and long / short * self.edge > self.longest:
            edge = self.longest * short / long
        sides = (round(edge), int(edge * long / short))
        tall, wide = (sides[1], sides[0]) if width < height else sides
        return max(tall - tall % self.multiple, 1), max(wide - wide % self.multiple, 1)


@dataclass(frozen=True)
class AsLittleAsPossible:
    """The shape kept, and the edge that has to change least taken to its size; both to the nearest multiple."""

    height: int
    width: int
    multiple: int
    keep_shape: bool = True

    def __call__(self, height: int, width: int) -> Size:
        scales = self.height / height, self.width / width
        if self.keep_shape:
            scales = (scales[1],) * 2 if abs(1 - scales[1]) < abs(1 - scales[0]) else (scales[0],) * 2
        sides = (round(scale * side / self.multiple) for scale, side in zip(scales, (height, width), strict=True))
        tall, wide = (max(side, 1) * self.multiple for side in sides)
        return tall, wide


@dataclass(frozen=True)
class Within:
    """As large as fits into this size, the shape kept."""

    height: int
    width: int

    def __call__(self, height: int, width: int) -> Size:
        scale = min(self.height / height, self.width / width)
        return max(int(height * scale), 1), max(int(width * scale), 1)


@dataclass(frozen=True)
class WholeSquares:
    """The shape kept as far as both edges are multiples of `edge`, the area brought between two bounds (Qwen2-VL's
    `smart_resize`).

    Attributes:
        least, most: pixels.
    """

    edge: int
    least: int
    most: int

    def __call__(self, height: int, width: int) -> Size:
        if max(height, width) > _MOST_ASPECT * min(height, width):
            raise UsageError(
                f"A picture of {height} x {width} pixels is too long for this model.",
                why=f"One edge may be {_MOST_ASPECT} times the other at most.",
                hint="Cut it into parts.",
            )
        tall, wide = (round(side / self.edge) * self.edge for side in (height, width))
        if tall * wide > self.most:
            shrunk = math.sqrt(height * width / self.most)
            tall, wide = (max(1, math.floor(side / shrunk / self.edge)) * self.edge for side in (height, width))
        elif tall * wide < self.least:
            grown = math.sqrt(self.least / (height * width))
            tall, wide = (math.ceil(side * grown / self.edge) * self.edge for side in (height, width))
        return tall, wide


FITS: Mapping[str, Callable[..., Fit]] = {
    fit.__name__: fit for fit in (Exactly, ShortestEdge, AsLittleAsPossible, Within, WholeSquares)
}


@dataclass(frozen=True)
class Placement:
    """What the rules mean for one picture: it is resized, and of that a part is taken.

    Attributes:
        size: of what the network gets.
        resized: what the picture is resized to; None: it is not.
        offset: row and column of the resized picture where the part begins; negative where there is none yet.
    """

    size: Size
    resized: Size | None
    offset: Size = (0, 0)


@dataclass(frozen=True)
class Preprocess:
    """The rules of one model: (value / 255 - mean) / std of a resized and cropped picture.

    Attributes:
        fit: None: pictures are not resized.
        crop: the part in the middle that is taken; None: all.
        crop_rounds: where the middle lies between two pixels, it is the even one (torchvision), not the first.
        divisor: what is taken grows on all sides to a multiple of it.
        black: what lies outside of the picture is black, rather than 0 after normalisation.
        bgr: blue comes first.
    """

    fit: Fit | None
    resample: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: Size | None = None
    crop_rounds: bool = False
    divisor: int = 1
    black: bool = True
    bgr: bool = False

    @property
    def size(self) -> Size | None:
        """What the network gets, where that is the same for pictures of all sizes."""
        if self.crop is None and not isinstance(self.fit, Exactly):
            return None
        return self.placement(1, 1).size

    def part(self, shape: Size) -> Part:
        """The function of a network that computes these rules, for what takes pictures of a size."""
        outside = [-m / s for m, s in zip(self.mean, self.std, strict=True)] if self.black else [0.0] * 3
        return picture_part(
            shape, resample=self.resample, mean=self.mean, std=self.std, fill=outside, bgr=self.bgr
        )  # fmt: skip

    def placement(self, height: int, width: int) -> Placement:
        """What becomes of a picture of this size."""
        resized = None if self.fit is None else self.fit(height, width)
        given = resized or (height, width)
        if self.crop is not None:
            return Placement(self.crop, resized, self._crop_offset(given, self.crop))
        tall, wide = (math.ceil(side / self.divisor) * self.divisor for side in given)
        return Placement((tall, wide), resized, (-((tall - given[0]) // 2), -((wide - given[1]) // 2)))

    def _crop_offset(self, given: Size, crop: Size) -> Size:
        top, left = (
            (round((have - want) / 2) if self.crop_rounds else (have - want) // 2) if have >= want
            else -((want - have) // 2)
            for have, want in zip(given, crop, strict=True)
        )  # fmt: skip
        return top, left

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """From a picture u8 (h, w, 3) to what the network gets: f32 (*size, 3)."""
        part = self._placed(pixels)
        values = self._numbers(part.data)
        if not self.black:
            values = np.where(part.inside[..., None], values, np.float32(0))
        return np.ascontiguousarray(values[..., ::-1] if self.bgr else values)

    def taken(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels u8 (*size, 3) of which `normalised` makes what `apply` gives, where what is outside is black."""
        assert self.black
        return self._placed(pixels).data

    def normalised(self, taken: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network gets of what was `taken`: f32 (*size, 3)."""
        values = self._numbers(taken)
        return np.ascontiguousarray(values[..., ::-1] if self.bgr else values)

    def _placed(self, pixels: NDArray[np.uint8]) -> _Part:
        place = self.placement(*pixels.shape[:2])
        return _part(resized(pixels, place.resized, self.resample), place)

    def _numbers(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        values: NDArray[np.float32] = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return values


@dataclass(frozen=True)
class _Part:
    """A part of a picture, black where it reaches beyond, and which of its pixels are of it."""

    data: NDArray[np.uint8]
    inside: NDArray[np.bool_]


def resized(pixels: NDArray[np.uint8], size: Size | None, resample: str) -> NDArray[np.uint8]:
    """A picture u8 (h, w, 3) of another size, as Pillow makes it; None: as it is."""
    if size is None or size == pixels.shape[:2]:
        return pixels
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling[resample.upper()]))


def _part(pixels: NDArray[np.uint8], place: Placement) -> _Part:
    (height, width), (top, left) = place.size, place.offset
    rows, columns = np.arange(top, top + height), np.arange(left, left + width)
    inside = ((rows >= 0) & (rows < pixels.shape[0]))[:, None] & ((columns >= 0) & (columns < pixels.shape[1]))
    taken = pixels[rows.clip(0, pixels.shape[0] - 1)][:, columns.clip(0, pixels.shape[1] - 1)]
    return _Part(np.where(inside[..., None], taken, np.uint8(0)), inside)
