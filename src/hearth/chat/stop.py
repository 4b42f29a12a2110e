"""Stop strings: an answer ends where one appears, wherever the borders between tokens fall."""

from __future__ import annotations

from collections.abc import Iterable

from hearth.errors import UsageError

MAX_STOPS = 64
MAX_STOP_CHARS = 4096


class StopStrings:
    """Watches one answer for its stop strings.

    Text that may turn out to be the beginning of a stop string is held back until that is decided, so nothing of a stop
    string is ever shown. Where several match, the one that begins first counts, and of two that begin together the
    shorter: so a text ends at the same place however it was cut into pieces.

    Args:
        stops: the strings; neither they nor what follows them belong to the answer.

    Attributes:
        found: the stop string that ended the answer, or None.
    """

    def __init__(self, stops: Iterable[str] = ()) -> None:
        self._stops = (stops,) if isinstance(stops, str) else tuple(stops)
        if len(self._stops) > MAX_STOPS or any(not 0 < len(s) <= MAX_STOP_CHARS for s in self._stops):
            raise UsageError(
                f"Up to {MAX_STOPS} stop strings of 1 to {MAX_STOP_CHARS} characters are possible.",
                why=f"There are {len(self._stops)}, of {sorted({len(s) for s in self._stops})} characters.",
            )
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        """The part of the answer that is settled by this text. After a stop string, always ""."""
        if self.found is not None:
            return ""
        if not self._stops:
            return text
        self._held += text
        settled = len(self._held) - self._undecided()
        hit = self._earliest()
        if hit is None:
            return self._release(settled)
        at, stop = hit
        if settled < at:  # another may have begun before it
            return self._release(settled)
        self.found = stop
        return self._release(at, keep=False)

    def finish(self) -> str:
        """What was held back and became no stop string; may find one that waited for another."""
        hit = self._earliest() if self.found is None else None
        if hit is None:
            return self._release(len(self._held))
        at, self.found = hit
        return self._release(at, keep=False)

    def _earliest(self) -> tuple[int, str] | None:
        """Where the first whole stop string begins, and which it is."""
        hits = [(at, len(stop), stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if not hits:
            return None
        at, _, stop = min(hits)
        return at, stop

    def _release(self, count: int, *, keep: bool = True) -> str:
        settled, rest = self._held[:count], self._held[count:]
        self._held = rest if keep else ""
        return settled

    def _undecided(self) -> int:
        """Length of the longest end of the text that some stop string begins with and goes on after."""
        longest = min(len(self._held), max(map(len, self._stops), default=0) - 1)
        for length in range(longest, 0, -1):
            tail = self._held[-length:]
            if any(len(stop) > length and stop.startswith(tail) for stop in self._stops):
                return length
        return 0
