"""What a model says of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Label:
    """A label and its probability, from 0 to 1; `index` is its number in the model."""

    label: str
    score: float
    index: int


@dataclass(frozen=True)
class Box:
    """An object that was found.

    Attributes:
        left, top, right, bottom: in pixels of the picture, from its upper left corner.
    """

    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float
    index: int


@dataclass(frozen=True)
class Region:
    """A label of a segmented picture and the part of all pixels that have it, from 0 to 1; or one object of that label.

    Attributes:
        score: of an object, how sure it is, from 0 to 1.
    """

    label: str
    share: float
    index: int
    score: float | None = None


@dataclass(frozen=True)
class Segmentation:
    """A picture divided by labels.

    Attributes:
        mask: number of the label of each pixel, i32 (height, width); -1: none.
        regions: the labels that occur, the largest first; or the objects.
        objects: of models that tell objects apart which of `regions` each pixel is of, i32 (height, width); -1: none.
    """

    mask: NDArray[np.int32]
    regions: tuple[Region, ...]
    objects: NDArray[np.int32] | None = None

    def parts(self) -> NDArray[np.int32]:
        """Which of `regions` each pixel is of, i32 (height, width); -1: none."""
        if self.objects is not None:
            return self.objects
        # The last one is what -1 finds.
        places = np.full(max((region.index for region in self.regions), default=-1) + 2, -1, np.int32)
        for place, region in enumerate(self.regions):
            places[region.index] = place
        return places[self.mask]


@dataclass(frozen=True)
class Depth:
    """How far away each pixel is.

    Attributes:
        values: f32 (height, width). Metres where `metric`; otherwise without a unit, larger where it is nearer.
    """

    values: NDArray[np.float32]
    metric: bool

    def picture(self) -> NDArray[np.uint8]:
        """A grey picture, u8 (height, width): the nearest place is white, the farthest black."""
        low, high = float(self.values.min()), float(self.values.max())
        grey = (self.values - low) / (high - low) if high > low else np.zeros_like(self.values)
        return np.rint(255 * (1 - grey if self.metric else grey)).astype(np.uint8)
