"""The queue in front of a model's thread: `Inbox`. Bounded, first come first served; full, it is `Busy`.

Owns how many requests there are, whether one more may come, and how long it is until there is room again. Knows nothing
of what a request is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from copy import copy
from queue import SimpleQueue

from hearth.errors import HearthError

Command = Callable[[], None]

_REMEMBERED = 32  # ends of requests, of which the pace is taken
_UNKNOWN_PACE_S = 0.5  # a request, before any has ended
_MAX_RETRY_S = 60.0


class Busy(HearthError):
    """The queue is full.

    Attributes:
        retry_after_s: when there will probably be room.
    """

    def __init__(self, num_waiting: int, retry_after_s: float) -> None:
        super().__init__(
            f"The model is busy: {num_waiting} requests are waiting already.",
            hint=f"Try again in about {retry_after_s:.0f} seconds.",
        )
        self.retry_after_s = retry_after_s


class Closing(HearthError):
    """The model, or the server, closes and takes no more requests."""


class Inbox:
    """Commands for one thread, from any others.

    Args:
        max_running: requests that are worked on at the same time.
        max_waiting: requests beside them.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self._max_running, self._max_waiting = max_running, max_waiting
        self._queue: SimpleQueue[Command] = SimpleQueue()  # whose `put` may be called from finalisers too
        self._lock = threading.Lock()
        self._num_inside = 0
        self._refusal: HearthError | None = None
        self._empty: Future[None] | None = None  # of who waits for the last request to end
        self._ends: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def num_inside(self) -> int:
        """Requests that came in and have not ended."""
        return self._num_inside

    def enter(self, command: Command) -> None:
        """One more request, and the command that begins it. Whoever works it off calls `leave` once.

        Raises:
            Busy: there are too many. What `close` was given: nobody comes in any more.
        """
        with self._lock:
            if self._refusal is not None:
                raise copy(self._refusal)
            if self._num_inside >= self._max_running + self._max_waiting:
                raise Busy(self._num_inside - self._max_running, self._retry_after_s())
            self._num_inside += 1
            self._queue.put(command)

    def leave(self) -> None:
        """A request has ended."""
        with self._lock:
            self._num_inside -= 1
            self._ends.append(time.monotonic())
            if self._num_inside == 0 and self._empty is not None and not self._empty.done():
                self._empty.set_result(None)

    def close(self, refusal: HearthError) -> Future[None]:
        """Lets nobody in any more: they get `refusal`. The future is done when the last request has ended."""
        with self._lock:
            self._refusal = self._refusal or refusal
            if self._empty is None:
                self._empty = Future()
                if self._num_inside == 0:
                    self._empty.set_result(None)
            return self._empty

    def put(self, command: Command) -> None:
        """A command that is no request."""
        self._queue.put(command)

    def get(self, *, block: bool) -> Command:
        """The next command, in order. Raises queue.Empty if there is none and `block` is False."""
        return self._queue.get(block=block)

    def _retry_after_s(self) -> float:
        """Until half of those who wait have begun, at the pace at which requests ended of late."""
        pace_s = _UNKNOWN_PACE_S
        if len(self._ends) > 1:
            pace_s = (time.monotonic() - self._ends[0]) / len(self._ends)
        return min(_MAX_RETRY_S, max(1.0, pace_s * self._max_waiting / 2))
