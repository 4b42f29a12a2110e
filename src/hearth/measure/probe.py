"""A linear probe: a classifier on top of a network's vectors, which says whether they still tell things apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.errors import UsageError

_RIDGE = 1e-2
"""Of the mean variance: what keeps the least squares of few pictures from following each of them."""


@dataclass(frozen=True)
class Probe:
    """Attributes:
    mean: f64 (d,): of the vectors that it was fitted to.
    weight: f64 (d, classes); bias: f64 (classes,).
    """

    mean: NDArray[np.float64]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    @classmethod
    def fit(cls, vectors: NDArray[Any], classes: NDArray[np.int64], count: int) -> Probe:
        """Ridge regression of the classes, as vectors with a 1 at their place, on the vectors: `(n, d)`."""
        x, y = vectors.astype(np.float64), np.eye(count)[classes]
        mean, bias = x.mean(0), y.mean(0)
        x, y = x - mean, y - bias
        gram = x.T @ x
        gram[np.diag_indices(len(gram))] += _RIDGE * max(float(np.trace(gram)) / len(gram), np.finfo(float).tiny)
        return cls(mean, np.linalg.solve(gram, x.T @ y), bias)

    def scores(self, vectors: NDArray[Any]) -> NDArray[np.float64]:
        """How much each of the vectors `(n, d)` is of each class: `(n, classes)`."""
        result: NDArray[np.float64] = (vectors - self.mean) @ self.weight + self.bias
        return result


def halves(classes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the pictures that a probe is fitted to, and of those that it is tried on: in turns, class by class.

    Raises:
        UsageError: a class has a single picture.
    """
    order = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes)
    if sizes[sizes > 0].min() < 2:
        raise UsageError(
            "A class has a single picture.",
            why="A model that gives vectors is judged by a classifier that half of each class is shown to.",
            hint="Give two or more of each.",
        )
    place = np.concatenate([np.arange(size) for size in sizes])
    return np.sort(order[place % 2 == 0]), np.sort(order[place % 2 == 1])
