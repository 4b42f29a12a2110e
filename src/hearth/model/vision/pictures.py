"""The function `prepare` of a vision network: a picture as it was read, made into what the function `image` takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hearth.model.network import Function, Input
from hearth.model.vision.parameters import Declarations
from hearth.model.vision.part import Part

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

MAX_PIXELS = 1 << 27
"""A picture of 11,585 x 11,585; more is taken for a decompression bomb."""
MAX_SIDE = 1 << 15
_FARTHEST = 1 << 26
"""To what a side may be resized, in pixels, of which a part is then taken."""
FUNCTION = "prepare"


def picture_part(
    shape: tuple[int, int],
    *,
    resample: str,
    mean: Sequence[float],
    std: Sequence[float],
    fill: Sequence[float],
    bgr: bool,
) -> Part:
    """The function: from `picture` u8 (area, 3), RGB, row after row, to `pixels` f32 (1, *shape, 3).

    Its inputs `size`, `resized` and `offset`, i32 (2,) each, are height and width of the picture, what it is resized
    to, and row and column of that where the part begins that is taken. Args: as `ops.pixels`.
    """
    inputs = (
        Input("picture", "uint8", lent=True),
        Input("size", "int32", 1, MAX_SIDE),
        Input("resized", "int32", 1, _FARTHEST),
        Input("offset", "int32", -_FARTHEST, _FARTHEST),
    )

    def write(g: Graph) -> Sequence[Any]:
        picture, size, resized, offset = (g.inputs[each.name] for each in inputs)
        how = {"resample": resample, "mean": mean, "std": std, "fill": fill, "bgr": bgr}
        return [g.pixels(picture, size, resized, offset, shape=shape, most_side=MAX_SIDE, **how)]

    return Part(
        Function(FUNCTION, inputs, ("pixels",)), "area", {"picture": (3,)}, Declarations(), write,
        most=MAX_PIXELS, fixed_shapes={"size": (2,), "resized": (2,), "offset": (2,)},
    )  # fmt: skip
