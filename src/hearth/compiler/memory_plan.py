"""Places results in one arena: two that are in use at the same step never overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class Lifetime:
    """`size` bytes in use from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int


def assign_offsets(lifetimes: Mapping[int, Lifetime]) -> tuple[dict[int, int], int]:
    """Offsets by key, and the arena's size. Largest first, each into the lowest gap that fits: within a few percent of
    the lower bound on the graphs we have (the largest sum of live sizes)."""
    placed: list[tuple[int, Lifetime]] = []  # (offset, lifetime)
    offsets: dict[int, int] = {}
    total = 0
    for key, life in sorted(lifetimes.items(), key=lambda item: -item[1].size):
        at = 0
        for offset, other in sorted(
            ((o, p) for o, p in placed if p.first <= life.last and life.first <= p.last), key=lambda pair: pair[0]
        ):
            if at + life.size <= offset:
                break
            at = max(at, offset + other.size)
        placed.append((at, life))
        offsets[key] = at
        total = max(total, at + life.size)
    return offsets, total
