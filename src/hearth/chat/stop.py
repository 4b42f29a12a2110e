"""Stop strings: an answer ends where one appears, wherever the borders between tokens fall."""

from __future__ import annotations

from collections.abc import Iterable

from hearth.errors import UsageError

MAX_STOPS = 64
MAX_STOP_CHARS = 4096


class StopStrings:
    """Watches one answer for its stop strings.

    Text that may turn out to be the beginning of a stop string is held back until that is decided, so nothing of a stop
    string is ever shown. Where several match, the one that begins first counts.

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
        hits = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if hits:
            at, self.found = min(hits, key=lambda hit: hit[0])
            return self._release(at, keep=False)
        return self._release(len(self._held) - self._undecided())

    def finish(self) -> str:
        """What was held back and became no stop string."""
        return self._release(len(self._held))

    def _release(self, count: int, *, keep: bool = True) -> str:
        settled, rest = self._held[:count], self._held[count:]
        self._held = rest if keep else ""
        return settled

    def _undecided(self) -> int:
        """Length of the longest end of the text that some stop string begins with."""
        longest = min(len(self._held), max(map(len, self._stops)) - 1)
        for length in range(longest, 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0
