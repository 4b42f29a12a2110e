"""One vector of the hidden states of many tokens, which come in pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.embedding import Pooling
from hearth.engine.forward import Float32s

_Float64s = NDArray[np.float64]


class Pool:
    """What all ways of pooling need of the tokens so far. Sums are f64.

    Args:
        hidden_size: numbers in a hidden state.
        skip: tokens at the beginning that do not count (a prompt). The last token always counts.
    """

    def __init__(self, hidden_size: int, skip: int = 0) -> None:
        self._skip = skip
        self._sum: _Float64s = np.zeros(hidden_size)
        self._weighted: _Float64s = np.zeros(hidden_size)  # by position, from 1
        self._weights = 0
        self._count = 0
        self._max: Float32s = np.full(hidden_size, -np.inf, np.float32)
        self._first: Float32s | None = None
        self._last: Float32s = np.zeros(hidden_size, np.float32)

    def add(self, hidden: Float32s, start: int) -> None:
        """Hidden states (n, hidden_size) of the tokens at the positions `start`, `start + 1`, ..."""
        begin = max(0, self._skip - start)
        self._last = hidden[-1].copy()
        hidden = hidden[begin:]
        if not len(hidden):
            return
        weights = np.arange(start + begin + 1, start + begin + 1 + len(hidden))
        self._sum += hidden.sum(axis=0, dtype=np.float64)
        self._weighted += weights.astype(np.float64) @ hidden
        self._weights += int(weights.sum())
        self._count += len(hidden)
        self._max = np.maximum(self._max, hidden.max(axis=0))
        if self._first is None:
            self._first = hidden[0].copy()

    def result(self, modes: Sequence[Pooling]) -> Float32s:
        """The vectors of the given ways, joined: float32 (len(modes) * hidden_size,)."""
        if self._first is None:  # all tokens were to be skipped
            return np.tile(self._last, len(modes))
        by_mode: dict[Pooling, _Float64s | Float32s] = {
            "cls": self._first,
            "max": self._max,
            "mean": self._sum / self._count,
            "mean_sqrt_len_tokens": self._sum / np.sqrt(self._count),
            "weightedmean": self._weighted / self._weights,
            "lasttoken": self._last,
        }
        return np.concatenate([by_mode[mode] for mode in modes]).astype(np.float32)
