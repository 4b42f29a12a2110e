"""What happens when something fails in a step: `Recovery`, which runs steps and leaves the engine sound after each.

Owns the suspects: when a step of several sequences fails, nobody knows which was at fault, so each is computed again
alone, up to its next token, and who fails then is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from hearth.engine.drawing import Drawing
from hearth.engine.ledger import Ledger
from hearth.engine.scheduler import Scheduler, Slice
from hearth.engine.sequence import FinishReason, Sequence, Status, TokenEvent
from hearth.engine.speculation import Speculation
from hearth.engine.stepping import Stepping
from hearth.errors import HearthError, StatesLost


class Recovery:
    """Runs the steps of one engine."""

    def __init__(
        self,
        scheduler: Scheduler,
        ledger: Ledger,
        drawing: Drawing,
        stepping: Stepping,
        speculation: Speculation | None,
    ) -> None:
        self._scheduler = scheduler
        self._ledger = ledger
        self._drawing = drawing
        self._stepping = stepping
        self._speculation = speculation
        self._suspects: deque[Sequence] = deque()  # each goes on alone until it has drawn

    def advance(self, owner: int | None = None) -> None:
        """One step. Raises whatever happened in it; see `Engine.step`.

        Args:
            owner: the request for which it is run. An interrupt (Ctrl-C) ends this one, and no other.
        """
        slices: list[Slice[Sequence]] | None = None
        self._drawing.computed_s = None
        try:
            if self._suspects:
                self._try_alone(owner)
                return
            slices = self._scheduler.schedule()
            if slices:
                self._stepping.run(slices)
        except StatesLost as error:  # nobody's fault: all goes on from its tokens
            self._mend([], error)
        except BaseException as error:
            dropped = self._scheduler.running if slices is None else [part.sequence for part in slices]
            if not isinstance(error, Exception) and owner is not None:
                self._mend(self._interrupted(owner), error, owner)
            elif isinstance(error, Exception) and len(dropped) > 1 and self._drawing.computed_s is None:
                self._mend([], error)
                self._suspects.extend(dropped)
            else:
                self._mend(list(dropped), error)
            raise

    @contextmanager
    def mending(self) -> Iterator[None]:
        """Makes the engine sound if the block raises, which belongs to no request."""
        try:
            yield
        except BaseException as error:
            self._mend([], error)
            raise

    def _try_alone(self, owner: int | None) -> None:
        """One step of the first suspect: once it has drawn a token, it is none any more."""
        suspect = self._suspects[0]
        if suspect.status is Status.FINISHED:  # cancelled meanwhile
            self._suspects.popleft()
            return
        try:
            has_drawn = self._stepping.run_alone(suspect)
        except StatesLost:
            raise
        except BaseException as error:
            if isinstance(error, Exception) or owner is None:
                self._suspects.popleft()
                self._mend([suspect], error)
            raise
        if has_drawn:
            self._suspects.popleft()

    def _interrupted(self, owner: int) -> list[Sequence]:
        """Whose request an interrupt ends: the owner's, and that of which nobody knows how much of a draw was done."""
        drawing = self._drawing.sequence
        return [
            sequence
            for sequence in self._ledger.sequences.values()
            if sequence.id == owner or (drawing is not None and sequence.id == drawing.id)
        ]

    def _mend(self, dropped: Collection[Sequence], error: BaseException, owner: int | None = None) -> None:
        """Makes the engine sound after an exception at any point of a step: drops some sequences, restarts the rest.

        Nothing of the books is trusted but the set of sequences: an interrupt may have fallen between two of their
        lines. The rest starts again from the prefix cache.
        """
        failed = isinstance(error, Exception)
        for sequence in dropped:
            sequence.leave(self._scheduler.memory, spoiled=failed)
        if self._speculation is not None:
            self._speculation.reset()
        ids = {sequence.id for sequence in dropped}
        unfinished = self._ledger.sequences
        self._scheduler.restart_everything(s for s in unfinished.values() if s.id not in ids)
        if isinstance(error, StatesLost):
            self._scheduler.memory.forget_everything()
        for sequence in dropped:
            if sequence.id not in unfinished:
                continue  # its last event has been told
            sequence.status = Status.FINISHED
            told = error if failed else None
            if not failed and owner not in (None, sequence.id):
                told = HearthError("Ctrl-C in another thread came just when a token of this answer was drawn.")
            reason: FinishReason = "cancelled" if told is None else "error"
            self._ledger.tell(TokenEvent(id=sequence.id, finish_reason=reason, error=told, usage=sequence.usage))
