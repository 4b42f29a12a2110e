"""One request as an iterator: `Generation`.

Owns the life of a request that is watched by a `for` loop: it starts with the first event asked for and is cancelled
when the loop is left. Who computes it is a `Driver`'s business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from hearth.engine.sequence import Request, TokenEvent, Usage


class Driver(Protocol):
    """What computes a generation's request: an `Engine`, or a `SharedEngine` for many threads."""

    def begin(self, request: Request, inbox: deque[TokenEvent]) -> int:
        """Takes a request, whose events go into `inbox`; returns its id."""
        ...

    def advance_until(self, request_id: int, inbox: deque[TokenEvent]) -> None:
        """Computes until there is something in the inbox, or the request has ended."""
        ...

    def end(self, request_id: int) -> None:
        """Ends the request if it has not ended; nothing goes into its inbox afterwards."""
        ...

    def abandon(self, inbox: deque[TokenEvent]) -> None:
        """`end` of a request whose `begin` was interrupted before it told the id; nothing if it had not begun."""
        ...

    def end_soon(self, request_id: int) -> None:
        """`end` as a finaliser may call it, which runs in any thread and anywhere: it waits for nobody."""
        ...


class Generation(Iterator[TokenEvent]):
    """Iterates over the events of one request; made by `Engine.generate`.

    Attributes:
        usage: what the request has cost; None until it has ended (`close` ends it).

    Raises (while iterating):
        Whatever made the request fail.
    """

    def __init__(self, driver: Driver, request: Request) -> None:
        self._driver = driver
        self._request = request
        self._id: int | None = None
        self._inbox: deque[TokenEvent] = deque()
        self._begun = self._ended = False
        self.usage: Usage | None = None

    def __next__(self) -> TokenEvent:
        if self._ended:
            raise StopIteration
        try:
            if self._id is None:
                self.begin()
            if self._id is not None and not self._inbox:
                self._driver.advance_until(self._id, self._inbox)
        except BaseException:
            self.close()
            raise
        try:
            event = self._inbox.popleft()
        except IndexError:  # another thread has closed it, or taken the last one
            raise StopIteration from None
        if event.finish_reason is not None:
            self.usage = event.usage
            self.close()
        if event.error is not None:
            raise event.error
        return event

    def begin(self) -> None:
        """Queues the request if that is still to be done: it is computed with others from now on."""
        if self._id is None and not self._is_closed():
            self._begun = True
            self._id = self._driver.begin(self._request, self._inbox)
            if self._is_closed():  # meanwhile, by another thread
                self._driver.end(self._id)

    @property
    def has_news(self) -> bool:
        """Whether there is an event that can be had without waiting."""
        return bool(self._inbox)

    def close(self) -> None:
        """Cancels the request if it has not ended. A thread that waits for its next event gets the last one."""
        if self._begun and self._id is None:
            self._driver.abandon(self._inbox)
        if self._id is not None and not self._ended:
            self._driver.end(self._id)
            self.usage = next((event.usage for event in list(self._inbox) if event.usage), self.usage)
        self._ended = True

    def _is_closed(self) -> bool:
        return self._ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A loop that was left with `break` or by an exception does not call `close`.
        if self._id is not None and not self._ended:
            self._driver.end_soon(self._id)
