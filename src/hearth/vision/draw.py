"""What was found in a picture, drawn into it."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearth.vision.results import Box, Depth, Label, Segmentation

if TYPE_CHECKING:
    from PIL.Image import Image

U8 = NDArray[np.uint8]
_GOLDEN = 0.61803398875  # turns of the colour wheel that keep any number of neighbours apart
_VEIL = 0.55


def colour(index: int) -> tuple[int, int, int]:
    """A colour for a label, the same each time."""
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN % 1.0, 0.75, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def annotated(pixels: U8, result: Any) -> Image:
    """The picture with a result in it: boxes, labels, coloured regions; of depths the grey picture.

    Args:
        result: what `Vision` says of it: a list of boxes or of labels, a segmentation, depths.
    """
    from PIL import Image

    if isinstance(result, Depth):
        return Image.fromarray(result.picture())
    if isinstance(result, Segmentation):
        return _with_regions(pixels, result)
    image = Image.fromarray(pixels)
    if result and isinstance(result[0], Box):
        _draw_boxes(image, result)
    elif result and isinstance(result[0], Label):
        _draw_lines(image, [f"{found.label} {found.score:.0%}" for found in result])
    return image


def _with_regions(pixels: U8, result: Segmentation) -> Image:
    from PIL import Image

    # Two objects of a label have two colours.
    numbers = result.mask if result.objects is None else result.objects
    own = [region.index if result.objects is None else i for i, region in enumerate(result.regions)]
    table = np.array([colour(i) for i in range(int(numbers.max(initial=0)) + 1)], np.float32)
    mixed = pixels * (1 - _VEIL) + table[np.maximum(numbers, 0)] * _VEIL
    mixed = np.where(numbers[..., None] < 0, pixels, mixed)
    image = Image.fromarray(np.rint(mixed).astype(np.uint8))
    lines = [f"{region.label} {region.share:.0%}" for region in result.regions[:8]]
    _draw_lines(image, lines, [colour(i) for i in own[:8]])
    return image


def _draw_boxes(image: Image, boxes: Sequence[Box]) -> None:
    from PIL import ImageDraw

    draw, font = ImageDraw.Draw(image), _font(image)
    line = max(2, round(min(image.size) / 200))
    for box in reversed(boxes):  # the surest on top
        own = colour(box.index)
        left, top = max(box.left, 0), max(box.top, 0)
        right, bottom = min(box.right, image.width - 1), min(box.bottom, image.height - 1)
        if right <= left or bottom <= top:
            continue
        draw.rectangle((left, top, right, bottom), outline=own, width=line)
        _tag(draw, font, f"{box.label} {box.score:.0%}", left, top, own)


def _draw_lines(image: Image, lines: Sequence[str], colours: Sequence[tuple[int, int, int]] | None = None) -> None:
    from PIL import ImageDraw

    draw, font = ImageDraw.Draw(image), _font(image)
    y = 0.0
    for i, text in enumerate(lines):
        y = _tag(draw, font, text, 0, y, colours[i] if colours else (32, 32, 32))


def _tag(draw: Any, font: Any, text: str, x: float, y: float, background: tuple[int, int, int]) -> float:
    """Text on a small plate; the plate's lower edge."""
    _, _, right, bottom = draw.textbbox((x + 3, y + 2), text, font=font)
    draw.rectangle((x, y, right + 3, bottom + 2), fill=background)
    light = 0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2] > 150
    draw.text((x + 3, y + 2), text, fill=(0, 0, 0) if light else (255, 255, 255), font=font)
    return float(bottom + 2)


def _font(image: Image) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=max(11, round(min(image.size) / 32)))
