"""What towers make of a tile, which is a picture or a part of one: how many embeddings, what the function `image` takes
for it, and where its embeddings are to the decoder's rotation.

A tower takes tiles of one size, or any number of patches. This is computed where a model runs, so it needs no TVM.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.model.encoder.batch import TILE_TOKENS

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
PIXELS, EMBEDDINGS = "pixels", "embeddings"
PLACES, WINDOWS, WINDOW_TILES, SQUARES = "places", "windows", "window_tiles", "squares"


@dataclass(frozen=True)
class FixedTile:
    """All tiles are of one size.

    Attributes:
        size: height and width in pixels.
        num_rows: embeddings of a tile.
    """

    size: tuple[int, int]
    num_rows: int

    def rows(self, height: int, width: int) -> int:
        """Embeddings of a tile of so many pixels."""
        return self.num_rows

    def inputs(self, pixels: F32) -> dict[str, NDArray[Any]]:
        """What `image` takes for the normalised pixels (height, width, 3) of a tile: these as a batch of one."""
        return {PIXELS: pixels[None]}

    def offsets(self, height: int, width: int) -> I32 | None:
        """What the embeddings turn by, relative to the first: (rows, streams). None: one after another, like text."""
        return None


@dataclass(frozen=True)
class PatchGrid:
    """Tiles of any size that is a whole number of squares of patches; each square becomes an embedding.

    Patches are given window after window, and in a window square after square, so that windows are sequences of a
    ragged batch and the network needs no map.

    Attributes:
        patch: pixels of a patch's edge.
        square: patches of a square's edge.
        window: squares of a window's edge; those at the right and lower edge of a picture may be smaller. 0: no layer
            looks at windows.
        most_rows: embeddings of the largest tile.
        tile_tokens: patches of a window that attention handles together.
    """

    patch: int
    square: int
    window: int
    most_rows: int
    tile_tokens: int = TILE_TOKENS

    @property
    def edge(self) -> int:
        """Pixels of a square's edge."""
        return self.patch * self.square

    @property
    def most_patches(self) -> int:
        return self.most_rows * self.square**2

    def rows(self, height: int, width: int) -> int:
        """As `FixedTile.rows`."""
        return (height // self.edge) * (width // self.edge)

    def offsets(self, height: int, width: int) -> I32 | None:
        """As `FixedTile.offsets`: in time, of which a still picture has none; row; column."""
        y, x = np.divmod(np.arange(self.rows(height, width), dtype=np.int32), np.int32(width // self.edge))
        return np.stack([np.zeros_like(y), y, x], -1)

    def inputs(self, pixels: F32) -> dict[str, NDArray[Any]]:
        """As `FixedTile.inputs`: pixels f32 (patches, patch * patch * 3); places i32 (patches, 2), row and column;
        squares i32 (rows, square * square), the patches of each square, row by row of the picture; windows i32
        (windows + 1,), where each begins, and window_tiles i32 (tiles, 2), as `encoder.batch` has them."""
        height, width = pixels.shape[0] // self.edge, pixels.shape[1] // self.edge
        s, p = self.square, self.patch
        # Of each patch its square's row and column, and its own in that: (h, w, s, s).
        y, x, dy, dx = np.meshgrid(*map(np.arange, (height, width, s, s)), indexing="ij")
        window = self.window or max(height, width)
        order = np.lexsort([each.reshape(-1) for each in (dx, dy, x, y, x // window, y // window)])
        places = np.stack([y * s + dy, x * s + dx], -1).reshape(-1, 2)[order]
        patches = pixels.reshape(height * s, p, width * s, p, 3).transpose(0, 2, 1, 3, 4).reshape(-1, p * p * 3)
        number = np.empty(len(order), np.int32)  # where each patch now is
        number[order] = np.arange(len(order), dtype=np.int32)
        made: dict[str, NDArray[Any]] = {
            PIXELS: np.ascontiguousarray(patches[places[:, 0] * (width * s) + places[:, 1]]),
            PLACES: places.astype(np.int32),
            SQUARES: number.reshape(-1, s * s),
        }
        return made if not self.window else {**made, **self._windows(height, width)}

    def _windows(self, height: int, width: int) -> dict[str, I32]:
        tall, wide = (np.diff([*range(0, edge, self.window), edge]) for edge in (height, width))
        counts = np.outer(tall, wide).reshape(-1) * self.square**2
        starts = np.concatenate([[0], np.cumsum(counts)])
        tiles = [
            (i, first)
            for i, (begin, end) in enumerate(pairwise(starts.tolist()))
            for first in range(begin, end, self.tile_tokens)
        ]
        return {WINDOWS: starts.astype(np.int32), WINDOW_TILES: np.array(tiles, np.int32)}


TileShape = FixedTile | PatchGrid
"""Which tiles a tower takes."""
