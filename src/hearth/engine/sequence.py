"""One request on its way: `Request`, `Sequence`, and the `TokenEvent`s that tell of it.

Owns the state and the counters of a request; knows neither the batch nor the forward.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from hearth.engine.adapters import LoadedAdapter
from hearth.engine.constraint import Constraint
from hearth.engine.embedded import NONE, Embedded, EmbeddedTokens, check_embedded
from hearth.engine.memory import DeviceMemory
from hearth.engine.paged import PagedTokens
from hearth.engine.pages import Prefix
from hearth.engine.params import SamplingParams
from hearth.engine.prefix import HashChain
from hearth.engine.sampling import Sampler
from hearth.errors import UsageError

FinishReason = Literal["stop", "length", "cancelled", "error"]
Overflow = Literal["stop", "slide"]


class Status(Enum):
    WAITING = "waiting"  # holds neither pages nor slots
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of the engine.

    Attributes:
        prompt_ids: token ids, at least one. Any iterable of whole numbers; kept as a tuple.
        params: how to draw the answer.
        overflow: what happens when prompt and answer reach the context. "stop": the answer ends. "slide": the oldest
            tokens after the first `keep_tokens` are dropped, half of what may be, the rest is computed anew, and the
            answer goes on; an event says so.
        keep_tokens: leading tokens (the system prompt) that "slide" never drops.
        speculate: whether the engine, if it has the means, may guess tokens. The answer is the same either way.
        constraint: what the answer may be; None: anything. It has a state: one for each request, used once.
        embedded: runs of prompt tokens that stand for something else, in order.
        adapter: that its tokens are computed with; None: with the model alone.
    """

    prompt_ids: tuple[int, ...]
    params: SamplingParams = field(default_factory=SamplingParams)
    overflow: Overflow = "stop"
    keep_tokens: int = 0
    speculate: bool = True
    constraint: Constraint | None = field(default=None, compare=False)
    embedded: tuple[Embedded, ...] = field(default=(), compare=False)
    adapter: LoadedAdapter | None = None

    def __post_init__(self) -> None:
        ids: Iterable[int] = self.prompt_ids
        try:
            # numpy integers become Python's: the ids travel on into hash keys and events.
            object.__setattr__(self, "prompt_ids", tuple(token.__index__() for token in ids))
        except (TypeError, AttributeError):
            raise UsageError("prompt_ids must be a list of token ids, whole numbers.") from None
        if not self.prompt_ids:
            raise UsageError("The prompt has no tokens.", hint="Give at least one, for example the model's BOS token.")
        if self.overflow not in ("stop", "slide"):
            raise UsageError(f"overflow is {self.overflow!r}, but must be 'stop' or 'slide'.")
        if not 0 <= self.keep_tokens <= len(self.prompt_ids):
            raise UsageError(
                f"keep_tokens is {self.keep_tokens}, but must be 0 to {len(self.prompt_ids)}, the prompt's length."
            )
        check_embedded(self.embedded, len(self.prompt_ids))


@dataclass(frozen=True)
class Usage:
    """What a request has cost so far, in tokens.

    Attributes:
        prompt_tokens: as given.
        cached_tokens: of the prompt, found in what earlier requests left.
        computed_tokens: went through the model, whether of prompt or answer, recomputation included; guesses that did
            not come true are not.
        output_tokens: drawn.
        preemptions: times the sequence had to give up what it held to an older one.
        drafted_tokens: guesses that went through the model besides, to be verified.
        accepted_tokens: of these, the ones that came true: each saved a step.
    """

    prompt_tokens: int
    cached_tokens: int
    computed_tokens: int
    output_tokens: int
    preemptions: int
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class TokenEvent:
    """Something happened to a request: usually that it has a new token.

    Attributes:
        id: of the request.
        token: the new token; the end token too is told. None if the event only says that the window slid or that the
            request was cancelled or failed.
        logprob, top_logprobs: natural logarithms, where asked for: of the token, and of the likeliest with their ids.
        slid: this many of the oldest tokens were dropped to go on beyond the context; 0 if none.
        finish_reason: None while the answer goes on. "stop": an end token or stop token was drawn. "length":
            `max_tokens` or the context is reached. "cancelled", "error".
        context_full: the answer ended because prompt and answer fill the context.
        error: why the request failed.
        usage: given with the last event of a request.
        computed_s: when the token's step had computed it, as `time.perf_counter` tells; the same for all tokens of a
            step. None where there is no token.
    """

    id: int
    token: int | None = None
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] | None = None
    slid: int = 0
    finish_reason: FinishReason | None = None
    context_full: bool = False
    error: BaseException | None = None
    usage: Usage | None = None
    computed_s: float | None = None


class Sequence(PagedTokens):
    """State of a request inside the engine.

    Attributes:
        tokens: int32 ids of prompt and answer, without what the window has dropped.
    """

    def __init__(self, sequence_id: int, request: Request, *, page_tokens: int, table_stride: int) -> None:
        super().__init__(
            array("i", request.prompt_ids),
            page_tokens=page_tokens,
            table_stride=table_stride,
            embedded=EmbeddedTokens(request.embedded) if request.embedded else NONE,
            keep_tokens=request.keep_tokens,
            adapter=request.adapter,
        )
        self.id = sequence_id
        self.request = request
        self.status = Status.WAITING
        self.sampler = Sampler(request.params, request.prompt_ids, request.constraint)
        self._was_admitted = False
        self.cached_tokens = 0
        self.computed_tokens = 0
        self.output_tokens = 0
        self.preemptions = 0
        self.drafted_tokens = 0
        self.accepted_tokens = 0

    @property
    def params(self) -> SamplingParams:
        return self.request.params

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=len(self.request.prompt_ids),
            cached_tokens=self.cached_tokens,
            computed_tokens=self.computed_tokens,
            output_tokens=self.output_tokens,
            preemptions=self.preemptions,
            drafted_tokens=self.drafted_tokens,
            accepted_tokens=self.accepted_tokens,
        )

    def start(self, memory: DeviceMemory, prefix: Prefix) -> None:
        super().start(memory, prefix)
        if not self._was_admitted:
            self.cached_tokens = prefix.num_tokens
        self._was_admitted = True
        self.status = Status.RUNNING

    def commit(self, memory: DeviceMemory, count: int) -> None:
        super().commit(memory, count)
        self.computed_tokens += count

    def append(self, token: int) -> None:
        self.tokens.append(token)
        self.output_tokens += 1

    def slide(self, context: int) -> int:
        """Drops the older half of the tokens after `keep_tokens`, so that they fill half of what the context leaves.

        The sequence must hold nothing: every token kept gets a new position, and positions are baked into the keys.

        Returns:
            How many tokens were dropped.
        """
        keep = self.request.keep_tokens
        kept = max(1, (context - keep) // 2)
        end = len(self.tokens) - kept
        if self.embedded:  # a picture stays whole or goes whole; but the last token stays
            keep, end = self.embedded.around(keep)[0], min(self.embedded.around(end)[1], len(self.tokens) - 1)
            self.embedded.cut(keep, end)
        self.tokens = self.tokens[:keep] + self.tokens[end:]
        self.num_prompt_tokens = max(keep, self.num_prompt_tokens - (end - keep))
        self.chain = HashChain(self.tokens, self.chain.page_tokens, self.embedded, self.chain.root)
        return end - keep
