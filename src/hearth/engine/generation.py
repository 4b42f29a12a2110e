"""One request as an iterator: `Generation`.

Owns the life of a request that is watched by a `for` loop: it starts with the first event asked for and is cancelled
when the loop is left. What a step does is the engine's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from hearth.engine.sequence import Request, TokenEvent, Usage


class Driver(Protocol):
    """What computes a generation's request: `Engine`."""

    def begin(self, request: Request, inbox: deque[TokenEvent]) -> int:
        """Takes a request, whose events go into `inbox`; returns its id."""
        ...

    def advance(self) -> None:
        """Computes one step."""
        ...

    def end(self, request_id: int) -> None:
        """Ends the request if it has not ended; nothing goes into its inbox afterwards."""
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
        self._ended = False
        self.usage: Usage | None = None

    def __next__(self) -> TokenEvent:
        if self._ended:
            raise StopIteration
        try:
            if self._id is None:
                self._id = self._driver.begin(self._request, self._inbox)
            while not self._inbox:
                self._driver.advance()
        except BaseException:
            self.close()
            raise
        event = self._inbox.popleft()
        if event.finish_reason is not None:
            self.usage = event.usage
            self.close()
        if event.error is not None:
            raise event.error
        return event

    def close(self) -> None:
        """Cancels the request if it has not ended."""
        self._ended = True
        if self._id is None:
            return
        request_id, self._id = self._id, None
        self._driver.end(request_id)
        while self._inbox:
            self.usage = self._inbox.popleft().usage or self.usage

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A loop that was left with `break` or by an exception does not call `close`.
        self.close()
