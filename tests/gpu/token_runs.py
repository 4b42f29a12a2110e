"""Batches of several sequences for kernels with a state: which states they read, leave and pass on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
SLOTS = 6


@dataclass(frozen=True)
class Run:
    """Tokens of one sequence: how many, the slot before them, and which of them leave a state in which slot."""

    count: int
    source: int
    leaves: dict[int, int]


# A prompt that leaves states on its way; a token that goes on in place; a sequence that begins and is forgotten; and
# one that leaves two states in one slot, of which the last stays.
BATCH = [Run(70, -1, {0: 0, 1: 1, 40: 2}), Run(1, 3, {0: 3}), Run(5, -1, {}), Run(4, 4, {2: 5, 3: 5})]


def arrays(batch: list[Run]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`runs` and `state_to`."""
    starts = np.cumsum([0, *(run.count for run in batch)])
    runs = [(first, run.count, run.source, 0) for first, run in zip(starts, batch, strict=False)]
    state_to = np.full(starts[-1], -1, np.int32)
    for first, run in zip(starts, batch, strict=False):
        for token, slot in run.leaves.items():
            state_to[first + token] = slot
    return np.array(runs, np.int32), state_to


def walked(batch: list[Run], state: F64) -> Iterator[tuple[int, F64]]:
    """Each token and the state before it, to be updated in place; what is left in slots is written to `state`."""
    before, token = state.copy(), 0
    for run in batch:
        own = before[run.source].copy() if run.source >= 0 else np.zeros_like(state[0])
        for i in range(run.count):
            yield token, own
            if i in run.leaves:
                state[run.leaves[i]] = own
            token += 1


def cuts(count: int) -> list[list[int]]:
    """Ways to cut so many tokens into batches."""
    return [[count], [1] * count, [2, count - 5, 3]]
