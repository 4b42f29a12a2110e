"""Who has asked for what, and what each has been told: `Ledger`.

Owns the requests that are not finished and the events on their way out: into the inbox of an iterator where there is
one, else to the next `step`. Knows nothing of forwards or of how a token is drawn.
"""

from __future__ import annotations

from collections import deque

from hearth.engine.constraint import ConstraintFailed
from hearth.engine.scheduler import Scheduler
from hearth.engine.sequence import FinishReason, Request, Sequence, TokenEvent
from hearth.engine.speculation import Speculation


class Ledger:
    """The books of one engine.

    Args:
        scheduler: told of requests that come and go.
        speculation: told of those that go.
        context, page_tokens, table_stride: of the sequences that are made.

    Attributes:
        sequences: all that are not finished, by id; oldest first.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        speculation: Speculation | None,
        *,
        context: int,
        page_tokens: int,
        table_stride: int,
    ) -> None:
        self.sequences: dict[int, Sequence] = {}
        self._scheduler = scheduler
        self._speculation = speculation
        self._context = context
        self._page_tokens, self._table_stride = page_tokens, table_stride
        self._next_id = 0
        self._undelivered: deque[TokenEvent] = deque()  # for the next `step`
        self._inboxes: dict[int, deque[TokenEvent]] = {}  # by id

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits for anything, and nothing waits for anybody."""
        return not (self.sequences or self._undelivered or self._inboxes)

    @property
    def has_news(self) -> bool:
        """Whether there are events for `take_news`."""
        return bool(self._undelivered)

    def add(self, request: Request, inbox: deque[TokenEvent] | None = None) -> int:
        """Queues a request that has been checked; returns its id.

        Args:
            inbox: where its events go, instead of to `take_news`.
        """
        sequence = Sequence(self._next_id, request, page_tokens=self._page_tokens, table_stride=self._table_stride)
        self._next_id += 1
        if inbox is not None:
            self._inboxes[sequence.id] = inbox
        if len(sequence.tokens) >= self._context:  # the prompt alone is too long, and it may slide
            self.tell(TokenEvent(id=sequence.id, slid=sequence.slide(self._context)))
        self.sequences[sequence.id] = sequence
        self._scheduler.add(sequence)
        return sequence.id

    def owner_of(self, inbox: deque[TokenEvent]) -> int | None:
        """The request whose events go into this very inbox; None if there is none."""
        return next((request_id for request_id, box in self._inboxes.items() if box is inbox), None)

    def close_inbox(self, request_id: int) -> None:
        """The rest of this request's events, if any, go to `take_news`."""
        self._inboxes.pop(request_id, None)

    def tell(self, event: TokenEvent) -> None:
        """Delivers an event; the last one of a request ends it."""
        self._inboxes.get(event.id, self._undelivered).append(event)
        if event.finish_reason is not None:
            del self.sequences[event.id]
            if self._speculation is not None:
                self._speculation.forget(event.id)

    def finish(self, sequence: Sequence, reason: FinishReason, *, error: BaseException | None = None) -> TokenEvent:
        """Ends a request without a token."""
        # After an error the keys and values themselves may be NaN: nobody else shall go on from them.
        spoiled = error is not None and not isinstance(error, ConstraintFailed)
        self._scheduler.remove(sequence, spoiled=spoiled)
        event = TokenEvent(id=sequence.id, finish_reason=reason, error=error, usage=sequence.usage)
        self.tell(event)
        return event

    def take_news(self) -> list[TokenEvent]:
        """The events that no inbox got since the last call."""
        events = list(self._undelivered)
        self._undelivered.clear()
        return events
