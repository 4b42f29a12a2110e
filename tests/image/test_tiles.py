"""Pictures are cut up as the authors' processors cut them."""

from __future__ import annotations

import numpy as np
import pytest

from golden.vlm import HERE
from golden.vlm.pictures import EDGE, LONGEST, SIZES, draw_picture
from hearth.image.tiles import Squares

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_squares_are_those_of_transformers(size: tuple[int, int], split: bool) -> None:
    name = f"{size[0]}x{size[1]}{'' if split else '-whole'}"
    with np.load(HERE / "processed.npz") as arrays:
        expected, grid = arrays[name], tuple(arrays[name + "-grid"].tolist())
    rules = Squares(EDGE, LONGEST, "lanczos", HALF, HALF, split=split)
    tiles = rules.cut(draw_picture(*size))
    assert tiles.grid == grid
    assert len(tiles.pixels) == len(expected)
    for tile, pixels in zip(tiles.pixels, expected, strict=True):
        assert np.abs(tile.astype(int) - pixels).max() <= 1  # one level
    assert rules.normalised(np.full((2, 2, 3), 255, np.uint8)).tolist() == [[[1.0] * 3] * 2] * 2
