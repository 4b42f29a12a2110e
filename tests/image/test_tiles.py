"""Pictures are cut up as the authors' processors cut them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from golden.vlm import CASES, HERE
from golden.vlm.pictures import EDGE, LONGEST, PATCH_SIZES, SIZES, draw_picture
from hearth.errors import Unsupported, UsageError
from hearth.image.preprocess import Preprocess, ShortestEdge
from hearth.image.sight import read_cutting
from hearth.image.tiles import Squares, Whole
from hearth.model.vlm.tile_shapes import PLACES, SQUARES, WINDOW_TILES, WINDOWS, FixedTile, PatchGrid

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
    rules = read_cutting(Path("model.gguf"), FixedTile((EDGE, EDGE), 1), processor)
    (tile,) = rules.cut(draw_picture(*size)).pixels
    assert np.abs(tile.astype(int) - expected).max() <= 1  # one level


def test_a_picture_too_long_for_its_square_is_told() -> None:
    rules = Whole(Preprocess(ShortestEdge(EDGE), "bicubic", HALF, HALF, crop=(EDGE, EDGE)), border=(0, 0, 0))
    with pytest.raises(UsageError, match="too long for this model"):
        rules.cut(np.zeros((1, 1 << 15, 3), np.uint8))


QWEN = next(case.recipe.processor for case in CASES if case.recipe.name == "qwen2.5-vl")
MOST = 4096


@pytest.mark.parametrize("size", PATCH_SIZES)
def test_patches_are_those_of_transformers(size: tuple[int, int], tmp_path: Path) -> None:
    """Without windows they come in the order of transformers' processor, too."""
    with np.load(HERE / "patches.npz") as arrays:
        expected, grid = arrays[f"{size[0]}x{size[1]}"], arrays[f"{size[0]}x{size[1]}-grid"]
    shape = PatchGrid(4, 2, 0, MOST)
    rules = read_cutting(tmp_path, shape, QWEN)
    (tile,) = rules.cut(draw_picture(*size)).pixels
    assert (np.array(tile.shape[:2]) // 4).tolist() == grid.tolist()
    given = shape.inputs(rules.normalised(tile))
    levels = (given["pixels"].reshape(-1, 4, 4, 3) * QWEN["image_std"] + QWEN["image_mean"]) * 255
    assert np.abs(levels.transpose(0, 3, 1, 2) - expected).max() <= 1.01  # one level
    assert shape.rows(*tile.shape[:2]) == len(expected) // 4


@pytest.mark.parametrize(("height", "width", "window"), [(2, 2, 2), (5, 3, 2), (4, 7, 3), (1, 9, 4)])
def test_windows_hold_the_squares_that_lie_in_them(height: int, width: int, window: int) -> None:
    edge = 4
    pixels = np.zeros((height * edge, width * edge, 3), np.float32)
    pixels[..., 0], pixels[..., 1] = np.mgrid[: height * edge, : width * edge]
    given = PatchGrid(2, 2, window, MOST).inputs(pixels)
    starts, places = given[WINDOWS], given[PLACES]
    patches = given["pixels"].reshape(-1, 2, 2, 3)
    assert np.array_equal(patches[:, 0, 0, :2], places * 2)  # each patch is where it says
    windows = places // 2 // window  # of each patch
    for begin, end in pairwise(starts.tolist()):
        assert len(np.unique(windows[begin:end], axis=0)) == 1
    assert len(starts) - 1 == len(np.unique(windows, axis=0))
    rows = [(place // 2).tolist() for place in places[given[SQUARES][:, 0]]]
    assert rows == [[y, x] for y in range(height) for x in range(width)]
    in_square = places[given[SQUARES]] - places[given[SQUARES][:, :1]]
    assert (in_square == [[0, 0], [0, 1], [1, 0], [1, 1]]).all()
    covered = [
        token
        for sequence, first in given[WINDOW_TILES].tolist()
        for token in range(first, min(first + 16, int(starts[sequence + 1])))
    ]
    assert covered == list(range(len(places)))


def test_pictures_that_a_network_of_squares_cannot_take_are_refused(tmp_path: Path) -> None:
    rules = read_cutting(tmp_path, PatchGrid(4, 2, 2, MOST), QWEN)
    with pytest.raises(UsageError, match="too long"):
        rules.cut(np.zeros((2, 401, 3), np.uint8))
    for change in ({"patch_size": 14}, {"merge_size": 1}, {"do_resize": False}, {"crop": True}):
        with pytest.raises(Unsupported, match=next(iter(change))):
            read_cutting(tmp_path, PatchGrid(4, 2, 2, MOST), {**QWEN, **change})
    with pytest.raises(Unsupported, match="CLIPImageProcessor"):
        read_cutting(tmp_path, PatchGrid(4, 2, 2, MOST), {"image_processor_type": "CLIPImageProcessor"})


def test_the_largest_picture_is_what_memory_is_kept_for(tmp_path: Path) -> None:
    shape = PatchGrid(4, 2, 2, 12)
    (tile,) = read_cutting(tmp_path, shape, {**QWEN, "max_pixels": 1 << 20}).cut(draw_picture(300, 300)).pixels
    assert shape.rows(*tile.shape[:2]) == 9
