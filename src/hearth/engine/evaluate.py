"""What the model says of given tokens, with nothing drawn: `Evaluator` for logits and embeddings.

Owns the pages, and the slot of state, that it borrows for one call. They are never shared with the requests that are
running; if there are too few, the youngest requests give up theirs and are computed again afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hearth.checkpoint.embedding import Pooling
from hearth.engine.adapters import LoadedAdapter
from hearth.engine.batch import Batch
from hearth.engine.forward import Float32s, Forward, Int32s
from hearth.engine.pages import pages_for_tokens
from hearth.engine.pooling import Pool
from hearth.engine.scheduler import Scheduler
from hearth.engine.states import NOWHERE
from hearth.errors import ContextFull, Unsupported, UsageError


def check_ids(name: str, ids: Collection[int], vocab_size: int) -> None:
    """Raises UsageError, naming the first bad id, if one is outside of the vocabulary."""
    if ids and not (min(ids) >= 0 and max(ids) < vocab_size):
        bad = next(token for token in ids if not 0 <= token < vocab_size)
        raise UsageError(f"{name} has token id {bad}, but the vocabulary is 0 to {vocab_size - 1}.")


@dataclass(frozen=True)
class Scores:
    """How likely a model holds the tokens of a text, each after those before it. Row 0 is zeros: nothing is before it.

    Attributes:
        logprobs: float32 (n,), natural logarithms.
        top_ids, top_logprobs: int32 and float32 (n, top), the likeliest in each place, best first.
    """

    logprobs: Float32s
    top_ids: Int32s
    top_logprobs: Float32s


class Evaluator:
    """Shares session, batch and memory with an engine; an exception leaves the mending to it.

    Args:
        context: most tokens in one call.
    """

    def __init__(self, session: Forward, batch: Batch, scheduler: Scheduler, *, context: int) -> None:
        self._session = session
        self._batch = batch
        self._scheduler = scheduler
        self._context = context

    def checked(self, ids: ArrayLike) -> Int32s:
        """The ids as int32 (n,). Raises ContextFull or UsageError."""
        array = np.asarray(ids)
        if array.ndim != 1 or array.shape[0] == 0 or not np.issubdtype(array.dtype, np.integer):
            raise UsageError(f"ids must be one row of token ids, at least one, not {array.dtype} {array.shape}.")
        if array.shape[0] > self._context:
            raise ContextFull(
                f"{array.shape[0]} tokens were given; the context holds {self._context}.",
                hint="Give fewer tokens or use a larger context.",
                tokens=array.shape[0],
                limit=self._context,
            )
        check_ids("ids", (int(array.min()), int(array.max())), self._session.info.vocab_size)
        return array.astype(np.int32)

    def logits(self, tokens: Int32s, adapter: LoadedAdapter | None = None) -> Float32s:
        """float32 (n, vocab_size), a copy."""
        info = self._session.info
        result = np.empty((tokens.shape[0], info.vocab_size), np.float32)
        chunk = min(info.max_logit_rows, self._scheduler.chunk_tokens)
        with self._borrowed(tokens.shape[0]) as room:
            for start in range(0, tokens.shape[0], chunk):
                part = tokens[start : start + chunk]
                self._batch.fill_one(part, start, *room, adapter, logits=True)
                result[start : start + chunk] = self._batch.run(self._session, ("logits",)).logits[: part.shape[0]]
        return result

    def score(self, tokens: Int32s, top: int, adapter: LoadedAdapter | None = None) -> Scores:
        """See `Engine.score`. Rows of logits are let go chunk by chunk: all of a long text would fill the memory."""
        info = self._session.info
        count = tokens.shape[0]
        own = np.zeros(count, np.float32)
        ids, logprobs = np.zeros((count, top), np.int32), np.zeros((count, top), np.float32)
        chunk = min(info.max_logit_rows, self._scheduler.chunk_tokens)
        with self._borrowed(count) as room:
            for start in range(0, count - 1, chunk):
                part = tokens[start : start + chunk]
                self._batch.fill_one(part, start, *room, adapter, logits=True)
                targets = tokens[start + 1 : start + 1 + part.shape[0]]
                rows = self._batch.run(self._session, ("logits",)).logits[: targets.shape[0]].astype(np.float64)
                highest = rows.max(axis=1, keepdims=True)
                rows -= highest + np.log(np.exp(rows - highest).sum(axis=1, keepdims=True))
                here = slice(start + 1, start + 1 + targets.shape[0])
                own[here] = np.take_along_axis(rows, targets[:, None].astype(np.int64), axis=1)[:, 0]
                if top:
                    best = np.argpartition(-rows, top - 1, axis=1)[:, :top]
                    order = np.argsort(-np.take_along_axis(rows, best, axis=1), axis=1, kind="stable")
                    ids[here] = best = np.take_along_axis(best, order, axis=1)
                    logprobs[here] = np.take_along_axis(rows, best, axis=1)
        return Scores(own, ids, logprobs)

    def embed(
        self, tokens: Int32s, pooling: Sequence[Pooling], skip: int, adapter: LoadedAdapter | None = None
    ) -> Float32s:
        """float32 (len(pooling) * hidden_size,), pooled over the tokens but the first `skip`."""
        pool = Pool(self._session.info.hidden_size, skip)
        chunk = self._scheduler.chunk_tokens
        with self._borrowed(tokens.shape[0]) as room:
            for start in range(0, tokens.shape[0], chunk):
                part = tokens[start : start + chunk]
                self._batch.fill_one(part, start, *room, adapter, logits=False)
                hidden = self._batch.run(self._session, ("hidden",)).hidden[: part.shape[0]]
                if hidden.shape[0] != part.shape[0]:
                    raise Unsupported("This bundle gives no hidden states.", hint="Compile the model anew.")
                pool.add(hidden, start)
        return pool.result(pooling)

    @contextmanager
    def _borrowed(self, num_tokens: int) -> Iterator[tuple[Int32s, int]]:
        """Until the block ends: a row of a block table, int32 (table_stride,), with pages for so many tokens; and a
        slot, NOWHERE where the model has no state."""
        memory = self._scheduler.memory
        pool, states = memory.pages, memory.states
        needed = pages_for_tokens(num_tokens, pool.page_tokens)
        while pool.num_available < needed or not memory.has_slot:  # the engine saw to it that all pages suffice
            self._scheduler.preempt_youngest()
        pages = [pool.allocate() for _ in range(needed)]
        slots = [states.allocate()] if states.num_slots else []
        table: Int32s = np.full(pages_for_tokens(self._context, pool.page_tokens), -1, np.int32)
        table[:needed] = pages
        yield table, slots[0] if slots else NOWHERE
        pool.release(pages)
        states.release(slots)
