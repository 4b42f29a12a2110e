"""The work that is measured: a prompt, or single tokens of some sequences behind a context of any length.

It goes through the engine, as every request does, but without its prefix cache and without speculation: random tokens
would distort both. A context to decode behind is not computed but assumed, and its pages hold zeros: how fast keys and
values are read does not depend on what they are, and 8192 tokens for each of 8 sequences take long to compute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hearth.bundle import BatchShape
from hearth.engine import Engine, Request, SamplingParams, pages_for
from hearth.engine.forward import OUTPUTS
from hearth.errors import UsageError
from hearth.llm import LLM
from hearth.runtime import ForwardResult, SplitTextSession, TextInfo, TextSession, require, text_session

_SEED = 20240229
_GREEDY = SamplingParams(temperature=0.0, ignore_eos=True)

OnForward = Callable[[BatchShape, float, float], None]
"""Called after a forward with what was in it, the seconds that it took, and those that the engine took before it."""


def require_some(**counts: int) -> None:
    """Raises a UsageError where one of a profile's counts is below 1: there would be nothing to time."""
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"{name} is {value}, but must be at least 1 for a profile.")


class Workload:
    """A session of its own for some runs, with all pages in memory that they need.

    Args:
        longest: (tokens, sequences) of each run: positions that each of its sequences may reach.

    Raises:
        UsageError: the model does not take that many tokens or sequences.
        NotEnoughMemory: keys and values for them do not fit.
    """

    def __init__(self, llm: LLM, *, threads: int, longest: list[tuple[int, int]]) -> None:
        info = llm.session.info
        for tokens, sequences in longest:
            check_fits(llm, tokens, sequences)
        num_pages = max(pages_for(tokens + 1, count, page_tokens=info.page_tokens) for tokens, count in longest)
        tokens, count = max(longest, key=lambda run: run[0] * run[1])
        what = f"A context of {tokens} tokens" + (f" for {count} sequences" if count > 1 else "")
        # Nothing is remembered, so that each sequence has its state in one slot.
        num_slots = max(count for _, count in longest) if info.has_state else 0
        needed = info.session_bytes(num_pages, threads, num_slots)
        require(needed, what, hint="Measure a shorter context or fewer sequences.")
        self.info = info
        self.session = text_session(llm.model, num_pages=num_pages, num_slots=num_slots, threads=threads)
        self.session.clear_states()
        self.kv_bytes = num_pages * info.kv_bytes_per_page
        self._random = np.random.default_rng(_SEED)

    def prefill(self, prompt: int, on_forward: OnForward | None = None) -> float:
        """Seconds from the request to its first token."""
        watched = _Watched(self.session, self.info, on_forward)
        engine = self._engine(prompt, watched)
        self._add(engine, prompt)
        begin = watched.left = time.perf_counter()
        while not any(event.token is not None for event in engine.step()):
            pass
        return time.perf_counter() - begin

    def decode(self, context: int, batch: int, gen: int, on_forward: OnForward | None = None) -> float:
        """Seconds for `gen` steps of `batch` sequences, the first with `context` (at least one) tokens before it."""
        # All contexts in one forward, as large as need be: it computes nothing.
        info = replace(self.info, max_tokens=max(self.info.max_tokens, context * batch))
        watched = _Watched(self.session, info, on_forward)
        engine = self._engine(context + gen, watched)
        for _ in range(batch):
            self._add(engine, context)
        watched.assumes = True
        engine.step()
        watched.assumes = False
        begin = watched.left = time.perf_counter()
        for _ in range(gen):
            engine.step()
        return time.perf_counter() - begin

    def _engine(self, tokens: int, forward: _Watched) -> Engine:
        # One token more than is computed: a sequence that fills its context ends.
        return Engine(forward, context=tokens + 1, prefix_cache=False)

    def _add(self, engine: Engine, prompt: int) -> None:
        ids = self._random.integers(0, self.info.vocab_size, prompt)
        engine.add(Request(prompt_ids=tuple(ids.tolist()), params=_GREEDY))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()


@dataclass(frozen=True)
class _Assumed:
    """What a forward that computes nothing answers."""

    logits: NDArray[np.float32]
    argmax: NDArray[np.int32]
    hidden: NDArray[np.float32]
    likeliest: tuple[NDArray[np.float32], NDArray[np.int32]]


class _Watched:
    """The engine's view of a session that can also assume tokens instead of computing them, and tells of forwards.

    Attributes:
        assumes: whether forwards answer without computing.
        left: when the engine last had its turn.
    """

    def __init__(self, session: TextSession | SplitTextSession, info: TextInfo, on_forward: OnForward | None) -> None:
        self.info = info
        self.num_pages, self.num_slots = session.num_pages, session.num_slots
        self.assumes = False
        self.left = 0.0
        self.apply_mask = session.apply_mask
        self.embed = session.embed
        self._session = session
        self._on_forward = on_forward

    def forward(
        self, token_ids: Any, positions: Any, token_seq: Any, block_table: Any, logit_rows: Any, num_prompt_tokens: int,
        embeddings: Any = None, embedded_tokens: Any = (), last_seen: Any = None,
        rope_positions: Any = None, wanted: Collection[str] = OUTPUTS, **state: Any,
    ) -> ForwardResult | _Assumed:  # fmt: skip
        if self.assumes:
            rows = len(logit_rows)
            logits = np.broadcast_to(np.float32(0), (rows, self.info.vocab_size))
            none = np.empty((0, 0), np.float32)
            return _Assumed(logits, np.zeros(rows, np.int32), none, (none, np.empty((0, 0), np.int32)))
        arrays = (token_ids, positions, token_seq, block_table, logit_rows, num_prompt_tokens)
        more = (embeddings, embedded_tokens, last_seen, rope_positions, wanted)
        if self._on_forward is None:
            return self._session.forward(*arrays, *more, **state)
        begin = time.perf_counter()
        result = self._session.forward(*arrays, *more, **state)
        seconds = time.perf_counter() - begin
        firsts = np.flatnonzero(np.diff(token_seq, prepend=-1))
        counts = np.diff(firsts, append=len(token_seq))
        spans = tuple((int(positions[first]), int(count)) for first, count in zip(firsts, counts, strict=True))
        self._on_forward(BatchShape(spans, len(logit_rows)), seconds, begin - self.left)
        self.left = time.perf_counter()
        return result


def check_fits(llm: LLM, tokens: int, sequences: int) -> None:
    """Raises UsageError where the model takes fewer tokens of a sequence, or fewer sequences at once."""
    info = llm.session.info
    if tokens + 1 > info.max_position:
        raise UsageError(
            f"{tokens} tokens do not fit the context of {llm.info.name}, which takes {info.max_position}.",
            hint=f"Ask for a shorter --prompt or --context, or for fewer tokens: {info.max_position - 1} in all.",
        )
    most = min(info.max_seqs, info.max_logit_rows)
    if not 1 <= sequences <= most:
        raise UsageError(f"A batch of {sequences} sequences is asked for; this model takes 1 to {most} at once.")
