"""Places results in arenas: two that are in use at the same step never overlap, and where a device asks for it no step
reads and writes one arena."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
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


def choose_arenas(results: Collection[int], conflicts: Collection[tuple[int, int]]) -> dict[int, int]:
    """Which arena each result lies in, from 0, few of them. The two of a conflict, of which a step reads one and writes
    the other, lie in different ones."""
    others: defaultdict[int, set[int]] = defaultdict(set)
    for a, b in conflicts:
        others[a].add(b)
        others[b].add(a)
    arenas: dict[int, int] = {}
    for key in results:
        taken = {arenas[other] for other in others[key] if other in arenas}
        arenas[key] = next(arena for arena in range(len(taken) + 1) if arena not in taken)
    return arenas
