"""What the kernels of maps are compared on with torch: sizes, and inputs that anyone can make again from a seed.

`make_golden.py` beside this file computes `golden.npz` with torch; the tests need numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / "golden.npz"

F32 = NDArray[np.float32]


def numbers(seed: int, *shape: int) -> F32:
    """Standard normal numbers rounded to multiples of 1/64: exact in any order of a short sum."""
    return (np.rint(np.random.default_rng(seed).standard_normal(shape) * 64) / 64).astype(np.float32)


@dataclass(frozen=True)
class ConvCase:
    """A convolution of a batch of 2; its input, weight and bias follow from the name.

    Attributes:
        size: height and width of the input.
        padding: top, left, bottom, right; for a transposed one the first two.
    """

    name: str
    size: tuple[int, int]
    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    output_padding: tuple[int, int] = (0, 0)

    @property
    def seed(self) -> int:
        return sum(map(ord, self.name))

    @property
    def x(self) -> F32:
        """NHWC."""
        return numbers(self.seed, 2, *self.size, self.inputs)

    @property
    def weight(self) -> F32:
        """(outputs, inputs / groups, kh, kw)."""
        return numbers(self.seed + 1, self.outputs, self.inputs // self.groups, *self.kernel)

    @property
    def transposed_weight(self) -> F32:
        """(inputs, outputs / groups, kh, kw)."""
        return numbers(self.seed + 1, self.inputs, self.outputs // self.groups, *self.kernel)

    @property
    def bias(self) -> F32:
        return numbers(self.seed + 2, self.outputs)


CONVS = (
    ConvCase("three", (6, 13), 20, 40, (3, 3), padding=(1, 1, 1, 1)),
    ConvCase("down", (7, 10), 9, 17, (3, 3), (2, 2), (1, 1, 1, 1)),
    ConvCase("stem", (10, 13), 3, 16, (7, 7), (2, 2), (3, 3, 3, 3)),
    ConvCase("shortcut", (5, 9), 20, 16, (1, 1), (2, 2)),
    ConvCase("dilated", (7, 8), 8, 16, (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2)),
    ConvCase("flat", (4, 7), 5, 16, (1, 5), padding=(0, 2, 0, 2)),
    ConvCase("lopsided", (5, 6), 4, 16, (2, 3), (1, 2), (0, 0, 1, 1)),
    ConvCase("patches", (8, 12), 3, 20, (4, 4), (4, 4)),
    ConvCase("grouped", (4, 5), 16, 32, (3, 3), padding=(1, 1, 1, 1), groups=4),
    ConvCase("fine", (4, 5), 32, 32, (3, 3), padding=(1, 1, 1, 1), groups=8),
    ConvCase("odd_groups", (3, 4), 10, 48, (3, 3), padding=(1, 1, 1, 1), groups=2),
)

TRANSPOSED = (
    ConvCase("two", (3, 5), 8, 20, (2, 2), (2, 2)),
    ConvCase("three_up", (3, 4), 7, 16, (3, 3), (2, 2), (1, 1, 0, 0), output_padding=(1, 1)),
    ConvCase("four_up", (4, 3), 6, 16, (4, 4), (2, 2), (1, 1, 0, 0)),
    ConvCase("gaps", (3, 3), 4, 16, (1, 2), (2, 3)),
    ConvCase("grouped_up", (3, 3), 8, 32, (2, 2), (2, 2), groups=2),
)


DEPTHWISE = (
    ConvCase("depth_three", (5, 23), 20, 20, (3, 3), padding=(1, 1, 1, 1), groups=20),
    ConvCase("depth_down", (6, 9), 16, 16, (3, 3), (2, 2), (1, 1, 1, 1), groups=16),
    ConvCase("depth_five", (6, 14), 16, 16, (5, 5), (2, 2), (2, 2, 2, 2), groups=16),
    ConvCase("depth_seven", (5, 12), 17, 17, (7, 7), padding=(3, 3, 3, 3), groups=17),
    ConvCase("depth_dilated", (5, 11), 16, 16, (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2), groups=16),
    ConvCase("depth_narrow", (4, 3), 16, 16, (5, 5), padding=(2, 2, 2, 2), groups=16),
)


@dataclass(frozen=True)
class PoolCase:
    """Pooling of a batch of 2 with 20 channels; `size` None and `out` set: adaptive."""

    name: str
    kind: str
    size: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False
    out: tuple[int, int] | None = None

    @property
    def x(self) -> F32:
        return numbers(sum(map(ord, self.name)), 2, *self.size, 20)


POOLS = (
    PoolCase("max_three", "max", (9, 11), (3, 3), (2, 2), (1, 1)),
    PoolCase("max_two", "max", (6, 7), (2, 2), (2, 2)),
    PoolCase("max_ceil", "max", (6, 8), (3, 3), (2, 2), ceil_mode=True),
    PoolCase("max_dilated", "max", (8, 9), (3, 2), (1, 2), (1, 1), (2, 1)),
    PoolCase("average", "average", (7, 9), (3, 3), (2, 2), (1, 1)),
    PoolCase("average_padded", "average_padded", (7, 9), (3, 3), (2, 2), (1, 1)),
    PoolCase("average_ceil", "average_padded", (6, 8), (3, 3), (2, 2), (1, 1), ceil_mode=True),
    PoolCase("adaptive_average", "average", (7, 10), out=(3, 4)),
    PoolCase("adaptive_max", "max", (5, 6), out=(2, 5)),
)


@dataclass(frozen=True)
class ResizeCase:
    """Interpolation of a batch of 2 with 20 channels."""

    mode: str
    size: tuple[int, int]
    out: tuple[int, int]
    align_corners: bool = False

    @property
    def name(self) -> str:
        corners = "_corners" if self.align_corners else ""
        return f"{self.mode}_{self.size[0]}x{self.size[1]}_{self.out[0]}x{self.out[1]}{corners}"

    @property
    def x(self) -> F32:
        return numbers(7, 2, *self.size, 20)


RESIZES = tuple(
    ResizeCase(mode, size, out, corners)
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic")
    for size, out in (((4, 5), (7, 11)), ((9, 7), (4, 3)), ((3, 1), (6, 2)))
    for corners in ((False, True) if mode.startswith("bi") else (False,))
)

GRID_SIZE = (5, 7)
GRIDS = tuple(
    (mode, padding, corners)
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
    for corners in (False, True)
)


def grid_map() -> F32:
    """NHWC."""
    return numbers(11, 2, *GRID_SIZE, 16)


def grid_points() -> F32:
    """(2, 24, 2): many outside the map, some far, two on the edge; none halfway between two pixels."""
    points = (np.random.default_rng(5).uniform(-1.8, 1.8, (2, 24, 2))).astype(np.float32)
    points[0, 0], points[0, 1], points[1, 3] = (-1, -1), (1, 1), (40, -75)
    return points
