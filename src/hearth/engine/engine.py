"""Token ids in, token ids out: `Engine`.

Owns the requests from `add` to their last event and what happens when something fails in between. It knows nothing of
text, tokenizers, files or the compiler, and it is synchronous: nothing happens but inside a call of `step` (or of
`generate`'s iterator, which calls it). One engine belongs to one thread.

One step: the scheduler says which tokens, the batch lays them out, the forward computes them, each sequence whose last
token was among them draws its next one, and events tell of it. With speculation, guesses of the tokens after it go
along, and as long as they are what is drawn, the sequence draws several in one step.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from collections.abc import Sequence as Seq

import numpy as np
from numpy.typing import ArrayLike

from hearth.engine.batch import Batch
from hearth.engine.constraint import ConstraintFailed
from hearth.engine.draft import Ask, draft_limit
from hearth.engine.evaluate import Evaluator, check_ids
from hearth.engine.forward import Float32s, Forward, ForwardResult, Int32s
from hearth.engine.generation import Generation
from hearth.engine.pace import Pace
from hearth.engine.pages import PagePool, pages_for_tokens
from hearth.engine.params import SamplingParams
from hearth.engine.scheduler import Scheduler, Slice
from hearth.engine.sequence import FinishReason, Overflow, Request, Sequence, Status, TokenEvent
from hearth.engine.speculation import Speculation
from hearth.errors import ContextFull, NotEnoughMemory, UsageError


def pages_for(context: int, max_seqs: int = 1, *, page_tokens: int) -> int:
    """Pages that `max_seqs` sequences of `context` tokens fill at the same time.

    With fewer an engine still works, down to one context: sequences then wait, or are computed again.
    """
    return pages_for_tokens(context, page_tokens) * max_seqs


class Engine:
    """Generates for many requests at once over one session.

    Args:
        session: the compiled model. The engine uses all of its pages; nobody else may call its `forward` meanwhile.
        context: tokens of prompt and answer together that one sequence may have.
        eos_ids: tokens that end an answer.
        chunk_tokens: prompt tokens in one step: smaller keeps other streams smoother, larger is faster for the prompt.
            None: as many as the session takes.
        prefix_cache: whether a request goes on from pages that earlier ones left.
        speculation: which guesses to verify, several tokens at once, where that is faster; changes no token. It belongs
            to this engine alone.
        pace: how many prompt tokens a step may carry while other sequences decode; None: `chunk_tokens` of them.

    Raises:
        UsageError: a value is out of range.
        NotEnoughMemory: the session has not enough pages for one context.
    """

    def __init__(
        self,
        session: Forward,
        *,
        context: int,
        eos_ids: Collection[int] = (),
        chunk_tokens: int | None = None,
        prefix_cache: bool = True,
        speculation: Speculation | None = None,
        pace: Pace | None = None,
    ) -> None:
        info = session.info
        if not 2 <= context <= info.max_position:
            raise UsageError(f"context is {context} tokens, but this model takes 2 to {info.max_position}.")
        chunk_tokens = info.max_tokens if chunk_tokens is None else chunk_tokens
        if not 1 <= chunk_tokens <= info.max_tokens:
            raise UsageError(f"chunk_tokens is {chunk_tokens}, but must be 1 to {info.max_tokens}.")
        stride = pages_for_tokens(context, info.page_tokens)
        if session.num_pages < stride:
            raise NotEnoughMemory(
                f"A context of {context} tokens needs {stride} pages, but the session has {session.num_pages}.",
                hint=f"Use a context of at most {session.num_pages * info.page_tokens} tokens, or more pages.",
            )
        self.context = context
        self.eos_ids = frozenset(eos_ids)
        self._session = session
        self._info = info
        self._table_stride = stride
        self._pool = PagePool(session.num_pages, info.page_tokens, prefix_cache=prefix_cache)
        self._scheduler = Scheduler(info, self._pool, chunk_tokens=chunk_tokens, pace=pace)
        self._batch = Batch(info, stride)
        self._speculation = speculation
        self._pace = pace
        self._evaluator = Evaluator(session, self._batch, self._scheduler, context=context)
        self._scratch: Float32s = np.empty(info.vocab_size, np.float32)
        self._sequences: dict[int, Sequence] = {}  # all that are not finished, by id; oldest first
        self._suspects: deque[Sequence] = deque()  # of a failed step: each goes on alone until it has drawn
        self._computed_s: float | None = None  # when the forward of this step was done; None before
        self._next_id = 0
        self._undelivered: deque[TokenEvent] = deque()  # for the next `step`
        self._inboxes: dict[int, deque[TokenEvent]] = {}  # for the iterators of `generate`, by id

    # -- requests ------------------------------------------------------------------------------------------------

    def add(self, request: Request) -> int:
        """Queues a request and returns its id; `step` computes it.

        Raises:
            ContextFull: the prompt leaves no room in the context for a single token.
            UsageError: a token id is outside of the vocabulary.
        """
        self.check(request)
        sequence = Sequence(self._next_id, request, page_tokens=self._info.page_tokens, table_stride=self._table_stride)
        self._next_id += 1
        if len(sequence.tokens) >= self.context:  # `check` let it through: it slides
            self._undelivered.append(TokenEvent(id=sequence.id, slid=sequence.slide(self.context)))
        self._sequences[sequence.id] = sequence
        self._scheduler.add(sequence)
        return sequence.id

    def check(self, request: Request) -> None:
        """Raises what `add` would raise."""
        params, length = request.params, len(request.prompt_ids)
        vocab_size = self._info.vocab_size
        check_ids("prompt_ids", request.prompt_ids, vocab_size)
        check_ids("logit_bias", params.logit_bias, vocab_size)
        check_ids("stop_token_ids", params.stop_token_ids, vocab_size)
        if request.overflow == "slide":
            if request.keep_tokens > self.context - 2:
                raise ContextFull(
                    f"The {request.keep_tokens} tokens to keep leave no room in the context of {self.context}.",
                    hint="Shorten the system prompt or use a larger context.",
                )
        elif length >= self.context:
            raise ContextFull(
                f"The prompt has {length} tokens; the context holds {self.context}, prompt and answer together.",
                hint="Shorten the prompt, use a larger context, or let the oldest tokens go: overflow 'slide'.",
            )

    def generate(
        self,
        prompt_ids: Seq[int],
        params: SamplingParams | None = None,
        *,
        overflow: Overflow = "stop",
        keep_tokens: int = 0,
        speculate: bool = True,
    ) -> Generation:
        """Iterates over the events of one request; the others go on meanwhile.

        The request is checked at once and starts with the first event asked for. Leaving the loop cancels it.

        Raises:
            ContextFull, UsageError: as `add`.
        """
        request = Request(
            prompt_ids=tuple(prompt_ids),
            params=params or SamplingParams(),
            overflow=overflow,
            keep_tokens=keep_tokens,
            speculate=speculate,
        )
        self.check(request)
        return Generation(self, request)

    def cancel(self, request_id: int) -> TokenEvent | None:
        """Ends a request now; its pages stay in the prefix cache. Returns its last event, None if it had ended."""
        sequence = self._sequences.get(request_id)
        return None if sequence is None else self._finish(sequence, "cancelled")

    @property
    def num_waiting(self) -> int:
        return len(self._scheduler.waiting)

    @property
    def num_running(self) -> int:
        return len(self._scheduler.running)

    @property
    def max_running(self) -> int:
        """Requests that are computed at the same time, at most; others wait."""
        return self._scheduler.max_running

    def limit_running(self, count: int) -> None:
        """Computes at most `count` requests at the same time from now on. Otherwise as many as a forward takes.

        Raises:
            UsageError: there would be none.
        """
        if count < 1:
            raise UsageError(f"{count} requests at the same time are none.")
        self._scheduler.max_running = min(count, self._scheduler.max_running)

    @property
    def num_available_pages(self) -> int:
        """Pages that no sequence holds."""
        return self._pool.num_available

    # -- one step ------------------------------------------------------------------------------------------------

    def step(self) -> list[TokenEvent]:
        """Computes one batch and returns what happened, except to requests that `generate` watches.

        An empty list says that nothing is left to do only if `num_waiting` and `num_running` are zero as well: a chunk
        of a prompt makes no event.

        Raises:
            Whatever the forward raised; the engine stays usable. A sequence that was alone in it is dropped, and the
            next step returns its last event ("error"). Of several nobody knows which was at fault: each is computed
            again alone, up to its next token, and who fails then is dropped. After a KeyboardInterrupt the sequences of
            that batch are dropped ("cancelled").
        """
        if not self._undelivered:
            self.advance()
        events = list(self._undelivered)
        self._undelivered.clear()
        return events

    def advance(self) -> None:
        """Computes one batch and puts the events where `step` and the iterators of `generate` find them."""
        slices: list[Slice[Sequence]] | None = None
        self._computed_s = None
        try:
            if self._suspects:
                self._try_alone()
                return
            slices = self._scheduler.schedule()
            if slices and self._speculation is not None and all(p.count == 1 and p.wants_logits for p in slices):
                self._speculate(slices, self._speculation)
            elif slices:
                self._take(slices, self._forward(slices)[0])
        except BaseException as error:
            dropped = self._scheduler.running if slices is None else [part.sequence for part in slices]
            if isinstance(error, Exception) and len(dropped) > 1 and self._computed_s is None:
                self._recover([], error)
                self._suspects.extend(dropped)
            else:
                self._recover(list(dropped), error)
            raise

    def _forward(self, slices: list[Slice[Sequence]]) -> tuple[ForwardResult, int]:
        """Computes the slices, and tells the pace of it; the nanoseconds it took besides."""
        self._batch.fill(slices)
        begin = time.perf_counter_ns()
        result = self._batch.run(self._session)
        taken_ns = time.perf_counter_ns() - begin
        if self._pace is not None:
            decoding = prompt = 0
            for part in slices:
                if part.count == 1 and part.wants_logits:
                    decoding += 1 + len(part.draft)
                else:
                    prompt += part.count
            self._pace.observe(decoding, prompt, taken_ns)
        return result, taken_ns

    def _try_alone(self) -> None:
        """One step of the first suspect: once it has drawn a token, it is none any more."""
        suspect = self._suspects[0]
        if suspect.status is Status.FINISHED:  # cancelled meanwhile
            self._suspects.popleft()
            return
        try:
            part = self._scheduler.schedule_alone(suspect)
            draws = part.wants_logits
            self._batch.fill([part])
            self._take([part], self._batch.run(self._session))
        except BaseException as error:
            self._suspects.popleft()
            self._recover([suspect], error)
            raise
        if draws:
            self._suspects.popleft()

    def _speculate(self, slices: list[Slice[Sequence]], speculation: Speculation) -> None:
        """A step in which every sequence goes on by one token: guesses of the next ones may go along."""
        if not speculation.rests():
            self._guess(slices, speculation)
        result, taken_ns = self._forward(slices)
        speculation.observe(self._batch.num_rows, taken_ns)
        self._take(slices, result)

    def _guess(self, slices: list[Slice[Sequence]], speculation: Speculation) -> None:
        """Puts guesses behind the tokens of those slices for which it pays."""
        asks, places = [], []
        for place, part in enumerate(slices):
            sequence = part.sequence
            left = sequence.params.max_tokens
            left = None if left is None else left - sequence.output_tokens
            limit = draft_limit(left=left, room=self.context - len(sequence.tokens), streams=len(slices))
            if limit > 0 and sequence.request.speculate:
                asks.append(Ask(sequence.id, sequence.tokens, limit))
                places.append(place)
        if not asks:
            return
        max_rows = min(self._info.max_tokens, self._info.max_logit_rows)
        for place, draft in zip(places, speculation.plan(asks, len(slices), max_rows), strict=True):
            if draft:
                slices[place] = self._scheduler.with_draft(slices[place], draft)

    def _take(self, slices: list[Slice[Sequence]], result: ForwardResult) -> None:
        """What the forward has computed: each sequence whose last token was among it draws."""
        self._computed_s = time.perf_counter()
        for part in slices:
            part.sequence.commit(self._pool, part.count)
        drawing = [part for part in slices if part.wants_logits]
        if not drawing:
            return
        logits, argmax = result.logits, result.argmax
        row = 0
        for part in drawing:
            if part.draft:
                self._verify(part.sequence, part.draft, logits[row:], argmax[row:])
            else:
                self._draw(part.sequence, logits[row], int(argmax[row]))
            row += 1 + len(part.draft)

    def _verify(self, sequence: Sequence, draft: Seq[int], logits: Float32s, argmax: Int32s) -> None:
        """Draws a token after the last one, and after each guess as long as the guesses are what was drawn.

        Each row of logits is that of the very same tokens without a guess, and each draw takes its random number as
        ever: so the tokens are the same. A wrong guess has left its keys and values behind the computed tokens, where
        the next token's will overwrite them.

        Args:
            logits: float32 (1 + len(draft), vocab_size) and more rows of others; argmax: int32, the same rows.
        """
        sequence.drafted_tokens += len(draft)
        for row, guess in enumerate(draft):
            self._draw(sequence, logits[row], int(argmax[row]), guess)
            if sequence.status is not Status.RUNNING or sequence.tokens[-1] != guess:
                return
            sequence.commit(self._pool, 1)
        self._draw(sequence, logits[len(draft)], int(argmax[len(draft)]))

    def _draw(self, sequence: Sequence, logits: Float32s, argmax: int, guess: int | None = None) -> None:
        try:
            choice = sequence.sampler.sample(logits, argmax, self._scratch, self._session.apply_mask)
        except Exception as error:  # of this row alone: the others of the batch are sound
            self._finish(sequence, "error", error=error)
            return
        sequence.append(choice.token)
        sequence.accepted_tokens += choice.token == guess
        params = sequence.params
        reason: FinishReason | None = None
        slid, full = 0, False
        is_end = choice.token in self.eos_ids and not params.ignore_eos
        if is_end or choice.token in params.stop_token_ids:
            reason = "stop"
        elif sequence.output_tokens == params.max_tokens:
            reason = "length"
        elif len(sequence.tokens) >= self.context:
            if sequence.request.overflow == "slide":
                self._scheduler.restart(sequence)
                slid = sequence.slide(self.context)
            else:
                reason, full = "length", True
        if reason is not None:
            self._scheduler.remove(sequence)
        self._deliver(
            TokenEvent(
                id=sequence.id,
                token=choice.token,
                logprob=choice.logprob,
                top_logprobs=choice.top_logprobs,
                slid=slid,
                finish_reason=reason,
                context_full=full,
                usage=sequence.usage if reason is not None else None,
                computed_s=self._computed_s,
            )
        )

    # -- the end of a request ------------------------------------------------------------------------------------

    def _finish(self, sequence: Sequence, reason: FinishReason, *, error: BaseException | None = None) -> TokenEvent:
        """Ends a request without a token."""
        # After an error the keys and values themselves may be NaN: nobody else shall go on from them.
        spoiled = error is not None and not isinstance(error, ConstraintFailed)
        self._scheduler.remove(sequence, spoiled=spoiled)
        event = TokenEvent(id=sequence.id, finish_reason=reason, error=error, usage=sequence.usage)
        self._deliver(event)
        return event

    def _recover(self, dropped: list[Sequence], error: BaseException) -> None:
        """Makes the engine sound after an exception at any point of a step: drops some sequences, restarts the rest.

        Nothing of the books is trusted but the set of sequences: an interrupt may have fallen between two of their
        lines. The rest starts again from the prefix cache.
        """
        failed = isinstance(error, Exception)
        for sequence in dropped:
            sequence.leave_pages(self._pool, spoiled=failed)
        if self._speculation is not None:
            self._speculation.reset()
        ids = {sequence.id for sequence in dropped}
        self._scheduler.restart_everything(s for s in self._sequences.values() if s.id not in ids)
        for sequence in dropped:
            if sequence.id in self._sequences:  # else its last event has been told
                sequence.status = Status.FINISHED
                reason: FinishReason = "error" if failed else "cancelled"
                told = error if failed else None
                self._deliver(TokenEvent(id=sequence.id, finish_reason=reason, error=told, usage=sequence.usage))

    def _deliver(self, event: TokenEvent) -> None:
        self._inboxes.get(event.id, self._undelivered).append(event)
        if event.finish_reason is not None:
            del self._sequences[event.id]
            if self._speculation is not None:
                self._speculation.forget(event.id)

    def open_inbox(self, request: Request) -> tuple[int, deque[TokenEvent]]:
        """`add` for an iterator: its events go into the returned queue instead of out of `step`."""
        inbox: deque[TokenEvent] = deque()
        request_id = self.add(request)
        self._inboxes[request_id] = inbox
        if self._undelivered and self._undelivered[-1].id == request_id:  # the prompt slid
            inbox.append(self._undelivered.pop())
        return request_id, inbox

    def close_inbox(self, request_id: int) -> None:
        self.cancel(request_id)
        self._inboxes.pop(request_id, None)

    # -- without drawing -----------------------------------------------------------------------------------------

    def logits(self, ids: ArrayLike) -> Float32s:
        """Logits after every token.

        Args:
            ids: n token ids.

        Returns:
            float32 (n, vocab_size), a copy.

        Raises:
            ContextFull: more tokens than the context. UsageError: none, or one outside of the vocabulary.
        """
        tokens = self._evaluator.checked(ids)
        try:
            return self._evaluator.logits(tokens)
        except BaseException as error:
            self._recover([], error)
            raise

    def embed(self, ids: ArrayLike) -> Float32s:
        """Mean over the tokens of the hidden states after the final norm.

        Args:
            ids: n token ids.

        Returns:
            float32 (hidden_size,).

        Raises:
            ContextFull: more tokens than the context. UsageError: none, or one outside of the vocabulary.
        """
        tokens = self._evaluator.checked(ids)
        try:
            return self._evaluator.embed(tokens)
        except BaseException as error:
            self._recover([], error)
            raise
