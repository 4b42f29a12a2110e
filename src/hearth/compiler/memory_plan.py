"""Places results in one arena: two that are in use at the same step never overlap."""

from __future__ import annotations

from collections import defaultdict
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
    in_use: defaultdict[int, set[int]] = defaultdict(set)  # by step: keys of what is placed
    offsets: dict[int, int] = {}
    total = 0
    for key, life in sorted(lifetimes.items(), key=lambda item: -item[1].size):
        steps = range(life.first, life.last + 1)
        others = sorted({(offsets[k], lifetimes[k].size) for step in steps for k in in_use[step]})
        at = 0
        for offset, size in others:
            if at + life.size <= offset:
                break
            at = max(at, offset + size)
        for step in steps:
            in_use[step].add(key)
        offsets[key] = at
        total = max(total, at + life.size)
    return offsets, total
