"""How a picture becomes what the eyes of a language model take: one tile, or several and the whole picture smaller."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth.errors import UsageError
from hearth.image.preprocess import Preprocess, Size, resized
from hearth.model.vision.pictures import MAX_PIXELS

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Tiles:
    """A picture cut up.

    Attributes:
        pixels: of each tile, u8 (h, w, 3), row by row; the whole picture is the last.
        grid: rows and columns of tiles before it; (0, 0): there are none.
    """

    pixels: tuple[U8, ...]
    grid: Size = (0, 0)


@dataclass(frozen=True)
class Whole:
    """Each picture is one tile.

    Attributes:
        border: a colour, with which pictures are made square before anything else; None: they keep their shape.
    """

    preprocess: Preprocess
    border: tuple[int, int, int] | None = None

    @property
    def size(self) -> Size | None:
        """Height and width of a tile; None: they differ."""
        return self.preprocess.size

    def cut(self, pixels: U8) -> Tiles:
        """From a picture u8 (h, w, 3). Raises UsageError for one so long that the square around it is too large."""
        return Tiles((self.preprocess.taken(pixels if self.border is None else _squared(pixels, self.border)),))

    def normalised(self, tile: U8) -> NDArray[np.float32]:
        """What the network gets of a tile."""
        return self.preprocess.normalised(tile)


def _squared(pixels: U8, border: tuple[int, int, int]) -> U8:
    """The picture in the middle of a square."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    if side * side > MAX_PIXELS:
        raise UsageError(
            f"A picture of {height} x {width} pixels is too long for this model.",
            why=f"It takes squares, and the one around it has more than {MAX_PIXELS:,} pixels.",
            hint="Cut it, or make it smaller.",
        )
    square = np.full((side, side, 3), border, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


@dataclass(frozen=True)
class Squares:
    """Idefics3's: the longer edge brought to `longest`, both edges up to a multiple of `edge`, that cut into squares;
    and the whole picture as one square.

    Attributes:
        longest: None: pictures keep their size.
        split: whether there are tiles beside the whole picture.
    """

    edge: int
    longest: int | None
    resample: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    split: bool = True

    @property
    def size(self) -> Size:
        """Height and width of a tile."""
        return self.edge, self.edge

    def cut(self, pixels: U8) -> Tiles:
        """From a picture u8 (h, w, 3)."""
        if self.longest is not None:
            pixels = self._resized(pixels, _longest_edge(pixels.shape[0], pixels.shape[1], self.longest))
        if not self.split:
            return Tiles((self._resized(pixels, self.size),))
        pixels = self._resized(pixels, _multiples(pixels.shape[0], pixels.shape[1], self.edge))
        rows, columns = (side // self.edge for side in pixels.shape[:2])
        if rows == columns == 1:
            return Tiles((pixels,))
        tiles = [
            pixels[y * self.edge : (y + 1) * self.edge, x * self.edge : (x + 1) * self.edge]
            for y in range(rows)
            for x in range(columns)
        ]
        return Tiles((*map(np.ascontiguousarray, tiles), self._resized(pixels, self.size)), (rows, columns))

    def normalised(self, tile: U8) -> NDArray[np.float32]:
        """What the network gets of a tile."""
        return Preprocess(None, self.resample, self.mean, self.std).normalised(tile)

    def _resized(self, pixels: U8, size: Size) -> U8:
        return resized(pixels, size, self.resample)


_MOST_EDGE = 4096


def _longest_edge(height: int, width: int, longest: int) -> Size:
    """The longer edge to `longest`, at most `_MOST_EDGE`; the shorter one to an even number."""
    aspect = width / height
    if width >= height:
        tall, wide = int(longest / aspect), longest
        tall += tall % 2
    else:
        tall, wide = longest, int(longest * aspect)
        wide += wide % 2
    tall, wide = max(tall, 1), max(wide, 1)
    aspect = wide / tall
    if wide >= tall and wide > _MOST_EDGE:
        tall, wide = int(_MOST_EDGE / aspect), _MOST_EDGE
    elif tall > wide and tall > _MOST_EDGE:
        tall, wide = _MOST_EDGE, int(_MOST_EDGE * aspect)
    return max(tall, 1), max(wide, 1)


def _multiples(height: int, width: int, edge: int) -> Size:
    """Both edges up to a multiple; the shorter one from what keeps the shape."""
    aspect = width / height
    if width >= height:
        wide = math.ceil(width / edge) * edge
        return math.ceil(int(wide / aspect) / edge) * edge, wide
    tall = math.ceil(height / edge) * edge
    return tall, math.ceil(int(tall * aspect) / edge) * edge
