"""Token ids in, token ids out: `Engine`.

Puts the parts together and checks what comes in. It knows nothing of text, tokenizers, files or the compiler, and it
is synchronous: nothing happens but inside a call of `step` (or of `generate`'s iterator, which calls it). One engine
belongs to one thread.

One step (`stepping.py`): the scheduler says which tokens, the batch lays them out, the forward computes them, each
sequence whose last token was among them draws its next one (`drawing.py`), and events tell of it (`ledger.py`). With
speculation, guesses of the tokens after it go along, and as long as they are what is drawn, the sequence draws several
in one step. What fails on the way is `recovery.py`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from collections.abc import Sequence as Seq

from numpy.typing import ArrayLike

from hearth.checkpoint.embedding import Pooling
from hearth.engine.adapters import LoadedAdapter
from hearth.engine.batch import Batch
from hearth.engine.draft import MAX_DRAFT
from hearth.engine.drawing import Drawing
from hearth.engine.evaluate import Evaluator, Scores, check_ids
from hearth.engine.forward import Float32s, Forward
from hearth.engine.generation import Generation
from hearth.engine.ledger import Ledger
from hearth.engine.memory import DeviceMemory
from hearth.engine.pace import Pace
from hearth.engine.pages import pages_for_tokens
from hearth.engine.params import SamplingParams
from hearth.engine.recovery import Recovery
from hearth.engine.scheduler import Scheduler
from hearth.engine.sequence import Overflow, Request, TokenEvent
from hearth.engine.speculation import Speculation
from hearth.engine.stepping import Stepping
from hearth.errors import ContextFull, NotEnoughMemory, UsageError


def pages_for(context: int, max_seqs: int = 1, *, page_tokens: int) -> int:
    """Pages that `max_seqs` sequences of `context` tokens fill at the same time.

    With fewer an engine still works, down to one context: sequences then wait, or are computed again.
    """
    return pages_for_tokens(context, page_tokens) * max_seqs


def slots_for(max_seqs: int = 1, *, texts: int = 1, speculates: bool = False) -> int:
    """Slots of state with which `max_seqs` sequences run at the same time and so many other texts are gone on from.

    With fewer an engine still works, down to two: fewer sequences run at once, fewer guesses are verified and the texts
    longest unused are computed again. Only for a model that has a state.

    Args:
        texts: that have ended and are remembered.
        speculates: whether guesses are verified: each wants a slot meanwhile.
    """
    # Where it is or has ended, where its prompt ended, and where the last page of its answer did.
    slots_per_text = 3
    return slots_per_text * (max_seqs + texts) + (max(MAX_DRAFT, max_seqs) if speculates else 0)


class Engine:
    """Generates for many requests at once over one session.

    Args:
        session: the compiled model. The engine uses all of its pages and slots; nobody else may call its `forward`
            meanwhile.
        context: tokens of prompt and answer together that one sequence may have.
        eos_ids: tokens that end an answer.
        chunk_tokens: prompt tokens in one step: smaller keeps other streams smoother, larger is faster for the prompt.
            None: as many as the session takes.
        prefix_cache: whether a request goes on from what earlier ones left.
        speculation: which guesses to verify, several tokens at once, where that is faster; changes no token. It belongs
            to this engine alone.
        pace: how many prompt tokens a step may carry while other sequences decode; None: `chunk_tokens` of them.

    Raises:
        UsageError: a value is out of range, or the session has too few slots.
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
        slots = session.num_slots
        if 0 < slots < 1 + prefix_cache:
            raise UsageError(
                "The session has 1 slot of state: one sequence fills it, and nothing that was computed is remembered.",
                hint=f"Open it with at least {slots_for(1)} slots, or use no prefix cache.",
            )
        self.context = context
        self.eos_ids = frozenset(eos_ids)
        self._vocab_size = info.vocab_size
        self._max_embeddings = info.max_embeddings
        self._memory = DeviceMemory(session.num_pages, info.page_tokens, slots, prefix_cache=prefix_cache)
        self._scheduler = Scheduler(info, self._memory, chunk_tokens=chunk_tokens, pace=pace)
        batch = Batch(info, stride, slots)
        self._evaluator = Evaluator(session, batch, self._scheduler, context=context)
        self._ledger = Ledger(
            self._scheduler, speculation, context=context, page_tokens=info.page_tokens, table_stride=stride
        )
        drawing = Drawing(session, self._scheduler, self._ledger, context=context, eos_ids=self.eos_ids)
        stepping = Stepping(
            session, batch, self._scheduler, drawing, context=context, speculation=speculation, pace=pace
        )
        self._recovery = Recovery(self._scheduler, self._ledger, drawing, stepping, speculation)
        self._unexplained = 0  # steps that failed, one after the other, by no request's fault

    # -- requests ------------------------------------------------------------------------------------------------

    def add(self, request: Request) -> int:
        """Queues a request and returns its id; `step` computes it.

        Raises:
            ContextFull: the prompt leaves no room in the context for a single token.
            UsageError: a token id is outside of the vocabulary.
        """
        self.check(request)
        return self._ledger.add(request)

    def check(self, request: Request) -> None:
        """Raises what `add` would raise."""
        params, length = request.params, len(request.prompt_ids)
        vocab_size = self._vocab_size
        check_ids("prompt_ids", request.prompt_ids, vocab_size)
        check_ids("logit_bias", params.logit_bias, vocab_size)
        check_ids("stop_token_ids", params.stop_token_ids, vocab_size)
        if request.embedded and not self._max_embeddings:
            raise UsageError("This model takes tokens only, no pictures.")
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
                tokens=length,
                limit=self.context,
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
        """Ends a request now; what it holds stays in the prefix cache. Returns its last event, None if it had ended."""
        sequence = self._ledger.sequences.get(request_id)
        return None if sequence is None else self._ledger.finish(sequence, "cancelled")

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
        return self._memory.pages.num_available

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
        if not self._ledger.has_news:
            self._recovery.advance()
        return self._ledger.take_news()

    # -- for iterators (`generation.Driver`) -----------------------------------------------------------------------

    def begin(self, request: Request, inbox: deque[TokenEvent]) -> int:
        """`add`, but the request's events go into `inbox` instead of out of `step`."""
        self.check(request)
        return self._ledger.add(request, inbox)

    def advance_until(self, request_id: int, inbox: deque[TokenEvent]) -> None:
        """Computes until there is something in the inbox, or the request has ended."""
        while not inbox and self.is_unfinished(request_id):
            self.advance_for(request_id)

    def advance_for(self, request_id: int) -> None:
        """One step on behalf of a request.

        Raises:
            What failed, where it is no request's fault; else the request at fault is told in its last event. After an
            exception that is no Exception (Ctrl-C) this request has ended ("cancelled"), and the others go on.
        """
        unfinished = len(self._ledger.sequences)
        try:
            self._recovery.advance(request_id)
        except Exception:
            # Of several sequences each is tried alone after the first failure, so that the second one tells.
            self._unexplained = 0 if len(self._ledger.sequences) < unfinished else self._unexplained + 1
            if self._unexplained > 1:
                raise
        else:
            self._unexplained = 0

    def is_unfinished(self, request_id: int) -> bool:
        """Whether the request's last event is still to come."""
        return request_id in self._ledger.sequences

    def end(self, request_id: int) -> None:
        """`cancel` for an iterator, which sees the last event; nothing goes into its inbox afterwards."""
        self.cancel(request_id)
        self._ledger.close_inbox(request_id)

    def abandon(self, inbox: deque[TokenEvent]) -> None:
        """`end` of the request whose events go into this inbox, if there is one."""
        request_id = self._ledger.owner_of(inbox)
        if request_id is not None:
            self.end(request_id)

    def end_soon(self, request_id: int) -> None:
        """`end`: one engine belongs to one thread."""
        self.end(request_id)

    def fail_everything(self, error: Callable[[], BaseException]) -> None:
        """Ends all requests; their last events have an error made for each."""
        for sequence in list(self._ledger.sequences.values()):
            self._ledger.finish(sequence, "error", error=error())

    # -- without drawing -----------------------------------------------------------------------------------------

    def logits(self, ids: ArrayLike, *, adapter: LoadedAdapter | None = None) -> Float32s:
        """Logits after every token.

        Args:
            ids: n token ids.
            adapter: that they are computed with; None: with the model alone.

        Returns:
            float32 (n, vocab_size), a copy.

        Raises:
            ContextFull: more tokens than the context. UsageError: none, or one outside of the vocabulary.
        """
        tokens = self._evaluator.checked(ids)
        with self._recovery.mending():
            return self._evaluator.logits(tokens, adapter)

    def score(self, ids: ArrayLike, *, top: int = 0, adapter: LoadedAdapter | None = None) -> Scores:
        """How likely each token is after those before it.

        Args:
            ids: n token ids.
            top: how many of the likeliest to tell in each place.
            adapter: as of `logits`.

        Raises:
            As `logits`.
        """
        tokens = self._evaluator.checked(ids)
        with self._recovery.mending():
            return self._evaluator.score(tokens, top, adapter)

    def embed(
        self,
        ids: ArrayLike,
        *,
        pooling: Seq[Pooling] = ("mean",),
        skip: int = 0,
        adapter: LoadedAdapter | None = None,
    ) -> Float32s:
        """The hidden states after the final norm, pooled over the tokens.

        Args:
            ids: n token ids.
            pooling: how; the vectors of several ways are joined.
            skip: tokens at the beginning that do not count for pooling.
            adapter: as of `logits`.

        Returns:
            float32 (len(pooling) * hidden_size,).

        Raises:
            ContextFull: more tokens than the context. UsageError: none, or one outside of the vocabulary.
        """
        tokens = self._evaluator.checked(ids)
        with self._recovery.mending():
            return self._evaluator.embed(tokens, pooling, skip, adapter)
