"""Pictures are cut up as the authors' processors cut them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden.vlm import HERE
from golden.vlm.pictures import EDGE, LONGEST, SIZES, draw_picture
from hearth.errors import UsageError
from hearth.image.preprocess import Preprocess, ShortestEdge
from hearth.image.sight import read_cutting
from hearth.image.tiles import Squares, Whole

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


@pytest.mark.parametrize("size", SIZES)
def test_squares_with_a_border_are_those_of_transformers(size: tuple[int, int]) -> None:
    with np.load(HERE / "processed.npz") as arrays:
        expected = arrays[f"{size[0]}x{size[1]}-bordered"]
    processor = {"image_processor_type": "LlavaImageProcessor", "do_pad": True, "size": EDGE, "crop_size": EDGE}
    rules = read_cutting(Path("model.gguf"), (EDGE, EDGE), processor)
    (tile,) = rules.cut(draw_picture(*size)).pixels
    assert np.abs(tile.astype(int) - expected).max() <= 1  # one level


def test_a_picture_too_long_for_its_square_is_told() -> None:
    rules = Whole(Preprocess(ShortestEdge(EDGE), "bicubic", HALF, HALF, crop=(EDGE, EDGE)), border=(0, 0, 0))
    with pytest.raises(UsageError, match="too long for this model"):
        rules.cut(np.zeros((1, 1 << 15, 3), np.uint8))
