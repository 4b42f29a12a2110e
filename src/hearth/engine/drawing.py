"""From what a forward has computed to tokens and their events: `Drawing`.

Owns when an answer ends and how guesses are verified; which token it is, is the sampler's.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from collections.abc import Sequence as Seq
from typing import NamedTuple

import numpy as np

from hearth.engine.forward import Float32s, Forward, ForwardResult
from hearth.engine.ledger import Ledger
from hearth.engine.likeliest import Likeliest
from hearth.engine.scheduler import Scheduler, Slice
from hearth.engine.sequence import FinishReason, Sequence, Status, TokenEvent

ROWS = ("argmax", "logits")
"""What is always enough to draw."""


def outputs_read(slices: Iterable[Slice[Sequence]], likeliest: int) -> tuple[str, ...]:
    """What of a forward's result the sequences read that draw after it.

    Args:
        likeliest: `ForwardInfo.likeliest`.
    """
    drawing = [part.sequence.sampler for part in slices if part.wants_logits]
    if not drawing:
        return ()
    needing = [sampler for sampler in drawing if sampler.may_need_logits]
    if not needing:
        return ("argmax",)
    return ("argmax", "likeliest") if all(sampler.draws_among(likeliest) for sampler in needing) else ROWS


def is_enough(slices: Iterable[Slice[Sequence]], result: ForwardResult) -> bool:
    """Whether the likeliest tokens that a forward has told say among which each sequence draws."""
    rows = likeliest_of(result)
    row = 0
    for part in slices:
        count = (1 + len(part.draft)) * part.wants_logits
        sampler = part.sequence.sampler
        read = rows[row : row + count] if sampler.may_need_logits else []
        if any(each.among(sampler.params.top_k) is None for each in read):
            return False
        row += count
    return True


def likeliest_of(result: ForwardResult) -> list[Likeliest]:
    """Of each row of logits."""
    return [Likeliest(*row) for row in zip(*result.likeliest, strict=True)]


class _Row(NamedTuple):
    """What a forward tells of a row: logits float32 (vocab_size,), or (0,) where they were not wanted."""

    logits: Float32s
    argmax: int
    likeliest: Likeliest | None


class Drawing:
    """Draws for all sequences of a step, one after the other.

    Args:
        context: tokens that one sequence may have.
        eos_ids: tokens that end an answer.

    Attributes:
        computed_s: when the forward of this step was done, as `time.perf_counter` tells; None before.
        sequence: that is drawing now; None between two draws.
    """

    def __init__(
        self, session: Forward, scheduler: Scheduler, ledger: Ledger, *, context: int, eos_ids: Collection[int]
    ) -> None:
        self.computed_s: float | None = None
        self.sequence: Sequence | None = None
        self._session = session
        self._scheduler = scheduler
        self._ledger = ledger
        self._context = context
        self._eos_ids = frozenset(eos_ids)
        self._scratch: Float32s = np.empty(session.info.vocab_size, np.float32)

    def take(self, slices: list[Slice[Sequence]], result: ForwardResult, wanted: Collection[str]) -> None:
        """What the forward has computed: each sequence whose last token was among it draws.

        Args:
            wanted: what of the result there is.
        """
        self.computed_s = time.perf_counter()
        memory = self._scheduler.memory
        for part in slices:
            part.sequence.commit(memory, part.count)
        drawing = [part for part in slices if part.wants_logits]
        if drawing:
            self._draw_all(drawing, result, wanted)
        for part in slices:
            part.sequence.settle(memory, part.sequence.num_computed)

    def _draw_all(self, drawing: list[Slice[Sequence]], result: ForwardResult, wanted: Collection[str]) -> None:
        logits, argmax = result.logits, result.argmax
        if not len(logits):  # they were not wanted: samplers that read none are given rows that have none
            logits = np.empty((len(argmax), 0), np.float32)
        likeliest = likeliest_of(result) if "likeliest" in wanted else [None] * len(argmax)
        rows = [_Row(*row) for row in zip(logits, argmax.tolist(), likeliest, strict=True)]
        row = 0
        for part in drawing:
            if part.draft:
                self._verify(part.sequence, part.draft, rows[row:])
            else:
                self._draw(part.sequence, rows[row])
            row += 1 + len(part.draft)

    def _verify(self, sequence: Sequence, draft: Seq[int], rows: Seq[_Row]) -> None:
        """Draws a token after the last one, and after each guess as long as the guesses are what was drawn.

        Each row of logits is that of the very same tokens without a guess, and each draw takes its random number as
        ever: so the tokens are the same. A wrong guess has left its keys and values behind the computed tokens, where
        the next token's will overwrite them, and a state in a slot of its own.

        Args:
            rows: 1 + len(draft), and more of others.
        """
        sequence.drafted_tokens += len(draft)
        for row, guess in zip(rows, draft, strict=False):
            self._draw(sequence, row, guess)
            if sequence.status is not Status.RUNNING or sequence.tokens[-1] != guess:
                return
            sequence.commit(self._scheduler.memory, 1)
        self._draw(sequence, rows[len(draft)])

    def _draw(self, sequence: Sequence, row: _Row, guess: int | None = None) -> None:
        self.sequence = sequence
        try:
            choice = sequence.sampler.sample(
                row.logits, row.argmax, self._scratch, self._session.apply_mask, row.likeliest
            )
        except Exception as error:  # of this row alone: the others of the batch are sound
            self._ledger.finish(sequence, "error", error=error)
            self.sequence = None
            return
        sequence.append(choice.token)
        sequence.accepted_tokens += choice.token == guess
        params = sequence.params
        reason: FinishReason | None = None
        slid, full = 0, False
        is_end = choice.token in self._eos_ids and not params.ignore_eos
        if is_end or choice.token in params.stop_token_ids:
            reason = "stop"
        elif sequence.output_tokens == params.max_tokens:
            reason = "length"
        elif len(sequence.tokens) >= self._context:
            if sequence.request.overflow == "slide":
                self._scheduler.restart(sequence)
                slid = sequence.slide(self._context)
            else:
                reason, full = "length", True
        if reason is not None:
            self._scheduler.remove(sequence)
        self._ledger.tell(
            TokenEvent(
                id=sequence.id,
                token=choice.token,
                logprob=choice.logprob,
                top_logprobs=choice.top_logprobs,
                slid=slid,
                finish_reason=reason,
                context_full=full,
                usage=sequence.usage if reason is not None else None,
                computed_s=self.computed_s,
            )
        )
        self.sequence = None
