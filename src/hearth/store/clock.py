"""Times as the store writes them: ISO 8601, UTC, each later than all before."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

_LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)  # there is always a later one
_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class Clock:
    """Goes on from the latest time in the store, so that the order stays when the system's clock is set back."""

    def __init__(self, latest: str | None) -> None:
        self._lock = threading.Lock()
        try:
            known = datetime.strptime(latest or "", _FORMAT).replace(tzinfo=UTC)
            self._last = min(known, _LATEST)
        except (ValueError, TypeError):  # a damaged file may hold anything
            self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> str:
        with self._lock:
            self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
            return stamp(self._last)


def stamp(time: datetime) -> str:
    """A time as text; texts sort as their times do."""
    return f"{time.year:04d}{time.astimezone(UTC).strftime(_FORMAT[2:])}"  # strftime does not pad the year everywhere
