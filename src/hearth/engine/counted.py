"""Numbered places on the device and who holds them: `CountedPool`.

Owns the reference counts, the free list and the order of eviction; knows places as numbers, never what is in them. That
an index remembers: of pages it is in `prefix.py`, of states in `checkpoints.py`.

A place is in exactly one of three states: *free* (nobody's, nothing worth keeping), *held* (by one or more sequences)
or *idle* (nobody's, but the index knows what it holds). Idle places are evicted, longest unused first, when none is
free.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Reversible
from typing import Protocol


class Index(Protocol):
    """What is known of the places of a pool."""

    def __contains__(self, place: int) -> bool: ...

    def remove(self, place: int) -> None:
        """Forgets what the place holds, if it is known at all."""
        ...

    def rebuild(self) -> None:
        """Mends itself: an interrupt may have fallen between two of its updates."""
        ...


class CountedPool:
    """Reference-counted places, of which the idle ones are a cache.

    Args:
        count: places there are.
        index: knows what they hold.
    """

    def __init__(self, count: int, index: Index) -> None:
        self._count = count
        self._known = index
        self._refs = [0] * count
        self._free = list(range(count - 1, -1, -1))  # taken from the end: place 0 first
        self._idle: OrderedDict[int, None] = OrderedDict()  # longest unused first

    @property
    def num_available(self) -> int:
        """Places that can still be given out, by eviction if need be."""
        return len(self._free) + len(self._idle)

    def refs(self, place: int) -> int:
        """Sequences that hold the place."""
        return self._refs[place]

    def is_idle(self, place: int) -> bool:
        return place in self._idle

    def _give_out(self) -> int | None:
        """A place of one's own, its content unspecified; None if every one is held."""
        if self._free:
            place = self._free.pop()
        elif self._idle:
            place, _ = self._idle.popitem(last=False)
            self._known.remove(place)
        else:
            return None
        self._refs[place] = 1
        return place

    def _share(self, place: int) -> None:
        """One hold more on a place whose content is known."""
        self._idle.pop(place, None)
        self._refs[place] += 1

    def _take_over(self, place: int) -> None:
        """Makes an idle place one's own: nobody shall find it, since it will be written."""
        self._known.remove(place)
        del self._idle[place]
        self._refs[place] = 1

    def release(self, places: Reversible[int]) -> None:
        """Gives back one hold on each of a sequence's places, in the order of its tokens."""
        # From the last to the first, so that the end of a prefix is evicted before its beginning.
        for place in reversed(places):
            if self._refs[place] < 1:
                raise AssertionError(f"place {place} is released but nobody holds it")
            self._refs[place] -= 1
            if self._refs[place] == 0:
                if place in self._known:
                    self._idle[place] = None
                else:
                    self._free.append(place)

    def forget(self, places: Iterable[int]) -> None:
        """What these held places hold may be wrong: nobody shall find it."""
        for place in places:
            self._known.remove(place)

    def forget_everything(self) -> None:
        """No place holds anything any more that could be found."""
        self.forget(range(self._count))
        self.release_everything()

    def release_everything(self) -> None:
        """Nobody holds anything any more; what is known of full and idle places stays known.

        Mends the pool after an interrupt in the middle of any of its methods.
        """
        self._known.rebuild()
        known = [place for place in range(self._count) if place in self._known]
        order = {place: rank for rank, place in enumerate(self._idle)}
        # Places that were held until now count as used last.
        known.sort(key=lambda place: order.get(place, self._count))
        self._refs = [0] * self._count
        self._idle = OrderedDict.fromkeys(known)
        self._free = [place for place in range(self._count - 1, -1, -1) if place not in self._idle]
