"""One step: the scheduler says which tokens, the batch lays them out, the forward computes them, `drawing.py` draws.

Owns whether guesses go along. An exception leaves the mending to `recovery.py`.
"""

from __future__ import annotations

import time

from hearth.engine.batch import Batch
from hearth.engine.draft import Ask, Computed, draft_limit
from hearth.engine.drawing import ROWS, Drawing, is_enough, outputs_read
from hearth.engine.forward import Forward, ForwardResult
from hearth.engine.pace import Pace
from hearth.engine.scheduler import Scheduler, Slice
from hearth.engine.sequence import Sequence
from hearth.engine.speculation import Speculation


class Stepping:
    """Runs batches of whatever the scheduler has.

    Args: as `Engine`.
    """

    def __init__(
        self,
        session: Forward,
        batch: Batch,
        scheduler: Scheduler,
        drawing: Drawing,
        *,
        context: int,
        speculation: Speculation | None,
        pace: Pace | None,
    ) -> None:
        self._session = session
        self._batch = batch
        self._scheduler = scheduler
        self._drawing = drawing
        self._context = context
        self._speculation = speculation
        self._pace = pace
        info = session.info
        self._max_rows = min(info.max_tokens, info.max_logit_rows)
        self._also = ("hidden",) if speculation is not None and speculation.reads_hidden else ()

    def run(self, slices: list[Slice[Sequence]]) -> None:
        """Computes the slices of a step, and draws."""
        speculation = self._speculation
        if speculation is None or not all(part.count == 1 and part.wants_logits for part in slices):
            self._forward(slices)
            return
        # Every sequence goes on by one token: guesses of the next ones may go along.
        if not speculation.rests():
            self._guess(slices, speculation)
        self._forward(slices, speculation)

    def run_alone(self, sequence: Sequence) -> bool:
        """The next step of one sequence, as if there were no other. Returns whether it has drawn a token."""
        part = self._scheduler.schedule_alone(sequence)
        draws = part.wants_logits
        wanted = self._lay_out([part])
        self._take([part], *self._computed([part], wanted))
        return draws

    def _take(self, slices: list[Slice[Sequence]], result: ForwardResult, wanted: tuple[str, ...]) -> None:
        """Draws, and tells those who guess what was computed."""
        self._drawing.take(slices, result, wanted)
        if self._speculation is not None and self._also:
            spans = (
                (first, part.count + len(part.draft)) for first, part in zip(self._batch.firsts, slices, strict=True)
            )
            hidden = (result.hidden[first : first + count] for first, count in spans)
            self._speculation.follow(
                [Computed(part.sequence, part.start, rows) for part, rows in zip(slices, hidden, strict=True)]
            )

    def _computed(
        self, slices: list[Slice[Sequence]], wanted: tuple[str, ...]
    ) -> tuple[ForwardResult, tuple[str, ...]]:
        """What the batch gives that was laid out, as far as it takes to draw, and what that is."""
        result = self._batch.run(self._session, (*wanted, *self._also))
        if "likeliest" in wanted and not is_enough(slices, result):
            # Very seldom: more tokens are as likely as each other than a forward tells.
            wanted = ROWS
            result = self._batch.run(self._session, (*wanted, *self._also))
        return result, wanted

    def _lay_out(self, slices: list[Slice[Sequence]]) -> tuple[str, ...]:
        """Fills the batch and returns what of its forward is read. Only a batch that can be computed once more, should
        they not be enough, may tell the likeliest tokens alone: one in which no state is written over."""
        wanted = outputs_read(slices, self._session.info.likeliest)
        states = self._scheduler.memory.states
        if "likeliest" in wanted and not all(part.sequence.state.spare_source(states) for part in slices):
            wanted = outputs_read(slices, 0)
        self._batch.fill(slices, self._session)
        return wanted

    def _forward(self, slices: list[Slice[Sequence]], speculation: Speculation | None = None) -> None:
        """Computes the slices, tells the pace of it, and draws."""
        wanted = self._lay_out(slices)
        begin = time.perf_counter_ns()
        result, wanted = self._computed(slices, wanted)
        taken_ns = time.perf_counter_ns() - begin
        if speculation is not None:
            speculation.observe(self._batch.num_rows, taken_ns)
        if self._pace is not None:
            decoding = prompt = 0
            for part in slices:
                if part.count == 1 and part.wants_logits:
                    decoding += 1 + len(part.draft)
                else:
                    prompt += part.count
            self._pace.observe(decoding, prompt, taken_ns)
        self._take(slices, result, wanted)

    def _guess(self, slices: list[Slice[Sequence]], speculation: Speculation) -> None:
        """Puts guesses behind the tokens of those slices for which it pays."""
        asks, places = [], []
        for place, part in enumerate(slices):
            sequence = part.sequence
            left = sequence.params.max_tokens
            left = None if left is None else left - sequence.output_tokens
            limit = draft_limit(left=left, room=self._context - len(sequence.tokens), streams=len(slices))
            # A prompt that ends with this token may be computed more coarsely than what follows it.
            if limit > 0 and sequence.request.speculate and not part.is_prompt:
                asks.append(Ask(sequence.id, sequence.tokens, limit))
                places.append(place)
        if not asks:
            return
        for place, draft in zip(places, speculation.plan(asks, len(slices), self._max_rows), strict=True):
            if draft:
                slices[place] = self._scheduler.with_draft(slices[place], draft)
