"""What is known of the activations that a matrix meets: their mean, and how their columns go along with each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

_ROWS_A_COLUMN = 8
"""So many activations for each of their columns tell enough; of more a part is taken, evenly."""


class Moments:
    """First and second moments of activations of some columns, of several items.

    They are summed about the first item's mean: where activations hardly vary, what they vary by is not lost beside
    what they are.

    Args:
        columns: of them.
        items: that will be seen.
    """

    def __init__(self, columns: int, items: int) -> None:
        self._wanted = -(-_ROWS_A_COLUMN * columns // items)
        self._about = np.zeros(columns, np.float32)
        self._sum = np.zeros(columns, np.float64)
        self._squares = np.zeros((columns, columns), np.float32)
        self._count = self._items = 0

    def see(self, activations: NDArray[Any]) -> None:
        """The activations of one item: f32 `(..., columns)`."""
        rows = activations.reshape(-1, activations.shape[-1])
        step = max(len(rows) // self._wanted, 1)
        # Another first row for each item: places in a picture differ.
        rows = np.ascontiguousarray(rows[self._items % step :: step], np.float32)
        if not self._items:
            self._about = rows.mean(axis=0)
        rows = rows - self._about
        self._items += 1
        self._count += len(rows)
        self._sum += rows.sum(axis=0, dtype=np.float64)
        self._squares += rows.T @ rows

    @property
    def mean(self) -> F32:
        return self._about + self._offset

    @property
    def _offset(self) -> F32:
        return (self._sum / self._count).astype(np.float32)

    def gram(self, *, centred: bool) -> F32:
        """The mean of x x^T, of x - mean where centred: `(columns, columns)`."""
        variance: F32 = self._squares / np.float32(self._count) - np.outer(self._offset, self._offset)
        return variance if centred else variance + np.outer(self.mean, self.mean)
