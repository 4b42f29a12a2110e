"""Tokens that stand for something else than themselves, such as a picture: `Embedded`, a run of them in a prompt, and
`EmbeddedTokens`, those of one sequence.

Their embeddings are made by another function of the model, when a forward first needs them: never, where the prefix
cache has their keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.engine.forward import Float32s, Forward, Int32s
from hearth.errors import UsageError

DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False)
class Embedded:
    """Tokens [start, start + count) of a prompt.

    Attributes:
        inputs: makes what the model's function takes, by name.
        digest: `DIGEST_BYTES` that are equal only where the embeddings and `offsets` are.
        offsets: int32 (count, streams), what the tokens turn by, counted from the position of the first; what follows
            turns by one more than the largest. None: like tokens of text.
    """

    start: int
    count: int
    inputs: Callable[[], Mapping[str, NDArray[Any]]]
    digest: bytes
    offsets: Int32s | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or self.count < 1 or len(self.digest) != DIGEST_BYTES:
            raise UsageError(f"{self.count} embedded tokens from token {self.start} on are none.")
        if self.offsets is not None and self.offsets.shape[0] != self.count:
            raise UsageError(f"{self.offsets.shape[0]} offsets are given for {self.count} embedded tokens.")

    @property
    def stop(self) -> int:
        return self.start + self.count


def check_embedded(runs: Sequence[Embedded], length: int) -> None:
    """Raises UsageError where runs do not lie one after another in a prompt of so many tokens."""
    end = 0
    for run in runs:
        if run.start < end or run.stop > length:
            raise UsageError(f"Tokens {run.start} to {run.stop - 1} cannot be embedded in a prompt of {length}.")
        end = run.stop


class _Run:
    """A run where it is now, and its embeddings once they are made."""

    def __init__(self, run: Embedded) -> None:
        self.given, self.start, self.stop = run, run.start, run.stop
        self.rows: Float32s | None = None
        # How many positions fewer it takes than it has tokens.
        self.saved = 0 if run.offsets is None else run.count - int(run.offsets.max()) - 1


class EmbeddedTokens:
    """Those of one sequence."""

    def __init__(self, runs: Sequence[Embedded] = ()) -> None:
        self._runs = [_Run(run) for run in runs]

    def __bool__(self) -> bool:
        return bool(self._runs)

    def rows(self, start: int, stop: int, session: Forward) -> Iterator[tuple[int, Float32s]]:
        """The embeddings of tokens [start, stop): of each stretch its first token and float32 (n, hidden_size)."""
        for run in self._within(start, stop):
            if run.rows is None:
                run.rows = session.embed(run.given.inputs())
            if run.rows.shape[0] != run.given.count:
                raise UsageError(f"The model makes {run.rows.shape[0]} embeddings for {run.given.count} tokens.")
            first, last = max(start, run.start), min(stop, run.stop)
            yield first, run.rows[first - run.start : last - run.start]

    def rope_positions(self, start: int, stop: int, streams: int) -> Int32s:
        """What tokens [start, stop) turn by: int32 (n, streams)."""
        places = np.repeat(np.arange(start, stop, dtype=np.int32)[:, None], streams, axis=1)
        saved = 0  # by the runs before
        for run in self._runs:
            if run.start >= stop:
                break
            if run.given.offsets is None:
                continue
            first, last = max(start, run.start), min(stop, run.stop)
            if first < last:
                offsets = run.given.offsets[first - run.start : last - run.start]
                places[first - start : last - start] = run.start - saved + offsets
            saved += run.saved
            places[max(run.stop - start, 0) :] -= run.saved
        return places

    def marks(self, start: int, stop: int) -> bytes:
        """What tokens [start, stop) stand for: `DIGEST_BYTES` for each, zero for those that stand for themselves; empty
        where all do."""
        marks = b""
        for run in self._within(start, stop):
            first, last = max(start, run.start), min(stop, run.stop)
            marks = marks or bytes((stop - start) * DIGEST_BYTES)
            before, after = (first - start) * DIGEST_BYTES, (last - start) * DIGEST_BYTES
            marks = marks[:before] + run.given.digest * (last - first) + marks[after:]
        return marks

    def around(self, place: int) -> tuple[int, int]:
        """First token and end of the run that goes on at `place`; (place, place) where none does."""
        found = next((run for run in self._runs if run.start < place < run.stop), None)
        return (place, place) if found is None else (found.start, found.stop)

    def cut(self, start: int, stop: int) -> None:
        """Tokens [start, stop) are gone, and the runs that lay in them, even in part."""
        self._runs = [run for run in self._runs if run.stop <= start or run.start >= stop]
        for run in self._runs:
            if run.start >= stop:
                run.start, run.stop = run.start - (stop - start), run.stop - (stop - start)

    def _within(self, start: int, stop: int) -> Iterator[_Run]:
        return (run for run in self._runs if run.start < stop and start < run.stop)


NONE = EmbeddedTokens()
"""Of the sequences that have none."""
