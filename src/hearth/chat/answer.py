"""From the engine's tokens to an answer: text in whole characters, thinking apart, stop strings cut, and its account.

`AnswerStream` is the iterator behind `LLM.chat` and `LLM.generate`; what it yields are `Chunk`s, what is left at the
end is a `Completion`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from hearth.chat.stop import StopStrings
from hearth.chat.thinking import ALL_TAGS, Kind, Part, ThinkingSplitter
from hearth.chat.tokenizer import Tokenizer
from hearth.engine import Generation, TokenEvent
from hearth.engine import Usage as EngineUsage

FinishReason = Literal["stop", "length", "context", "cancelled"]


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed answer.

    Attributes:
        text: whole characters, never empty.
        kind: whether the model says it or thinks it.
    """

    text: str
    kind: Kind = "answer"


@dataclass(frozen=True)
class Usage:
    """What an answer cost, in tokens.

    Attributes:
        prompt_tokens: of the prompt.
        cached_tokens: of these, not computed again: an earlier request began with the same.
        completion_tokens: drawn, the end token included.
        drafted_tokens: guesses that the model verified beside them.
        accepted_tokens: of these, the ones that came true: each saved a step.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True)
class Timings:
    """How long an answer took, in seconds from the request.

    Attributes:
        first_token_s: until the first token.
        total_s: until the last.
    """

    first_token_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class TokenLogprob:
    """The probability of one drawn token, as natural logarithm, and of the likeliest in its place."""

    token_id: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...] = ()


@dataclass(frozen=True)
class Completion:
    """An answer.

    Attributes:
        text: the answer; without a stop string, control tokens and thinking.
        thinking: what the model thought before it; "" if it did not.
        token_ids: drawn, without the token that ended the answer.
        finish_reason: "stop": the model ended it, or a stop string. "length": `max_tokens` reached. "context": the
            context is full. "cancelled": the stream was closed.
        stop: the stop string that was found, or None.
        logprobs: one for each of `token_ids` where asked for, else None.
        notices: what the user should know: "the oldest 128 tokens were dropped".
    """

    text: str
    thinking: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    stop: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    notices: tuple[str, ...] = ()

    @property
    def prefill_tok_s(self) -> float:
        """Prompt tokens computed a second."""
        computed = self.usage.prompt_tokens - self.usage.cached_tokens
        return computed / self.timings.first_token_s if self.timings.first_token_s else 0.0

    @property
    def decode_tok_s(self) -> float:
        """Tokens a second after the first one; 0 where there was no second."""
        seconds = self.timings.total_s - self.timings.first_token_s
        return (self.usage.completion_tokens - 1) / seconds if self.usage.completion_tokens > 1 and seconds else 0.0


@dataclass
class Totals:
    """What a model has done since it was opened.

    Attributes:
        cached_tokens: prompt tokens that earlier requests had computed.
        drafted_tokens, accepted_tokens: guesses verified, guesses that came true.
        prefill_s, decode_s: seconds until first tokens, and after them.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0

    def add(self, done: Completion) -> None:
        """Counts one more answer."""
        self.requests += 1
        self.prompt_tokens += done.usage.prompt_tokens
        self.cached_tokens += done.usage.cached_tokens
        self.completion_tokens += done.usage.completion_tokens
        self.drafted_tokens += done.usage.drafted_tokens
        self.accepted_tokens += done.usage.accepted_tokens
        self.prefill_s += done.timings.first_token_s
        self.decode_s += done.timings.total_s - done.timings.first_token_s


@dataclass
class _Drawn:
    """What has come so far."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    count: int = 0


class AnswerStream(Iterator[Chunk]):
    """Iterates over the chunks of one answer. Leaving the loop, or `close`, cancels what is not computed yet.

    Args:
        generation: the engine's events.
        tokenizer: None for a model without one: then no chunk is made, only ids are collected.
        end_ids: tokens that are no part of the answer when they end it.
        stops: stop strings.
        splitter: tells thinking from answer; None where all is answer.
        continues: the answer carries on a text, so that its first space counts.
        on_end: called once with the completion.

    Attributes:
        completion: the whole answer; None until the stream has ended or was closed.
    """

    def __init__(
        self,
        generation: Generation,
        tokenizer: Tokenizer | None,
        *,
        end_ids: frozenset[int],
        stops: StopStrings | None = None,
        splitter: ThinkingSplitter | None = None,
        continues: bool = False,
        on_end: Callable[[Completion], None] | None = None,
    ) -> None:
        self.completion: Completion | None = None
        self._generation = generation
        self._tokenizer = tokenizer
        self._end_ids = end_ids
        self._stops = stops or StopStrings()
        self._splitter = splitter
        self._on_end = on_end
        # Tags that are control tokens would be left out of the text, and the splitter could not see them.
        keep = tokenizer.ids_of(ALL_TAGS) if tokenizer and splitter else frozenset()
        self._text = tokenizer.stream(keep=keep, continues=continues) if tokenizer else None
        self._drawn = _Drawn()
        self._ready: list[Chunk] = []
        self._begin = time.perf_counter()
        self._first = self._last = self._begin

    def __next__(self) -> Chunk:
        while not self._ready:
            if self.completion is not None:
                raise StopIteration
            self._advance()
        return self._ready.pop(0)

    def read(self) -> Completion:
        """Runs to the end and returns the whole answer."""
        for _ in self:
            pass
        assert self.completion is not None
        return self.completion

    def close(self) -> None:
        """Cancels what is not computed yet; what has come stays in `completion`."""
        if self.completion is None:
            self._end("cancelled")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _advance(self) -> None:
        try:
            event = next(self._generation, None)
        except BaseException:
            self._end("cancelled")
            raise
        if event is None:
            self._end("cancelled")
            return
        if event.slid:
            self._drawn.notices.append(
                f"The context is full: the oldest {event.slid} tokens after the system prompt were dropped."
            )
        if event.token is not None:
            self._take(event, event.token)
        if self._stops.found is not None:
            self._end("stop")
        elif event.finish_reason is not None:
            self._end(_reason(event))

    def _take(self, event: TokenEvent, token: int) -> None:
        self._last = time.perf_counter()
        if not self._drawn.count:
            self._first = self._last
        self._drawn.count += 1
        if event.finish_reason == "stop" and token in self._end_ids:
            return
        self._drawn.ids.append(token)
        if event.logprob is not None:
            self._drawn.logprobs.append(self._logprob(event, token))
        if self._text is not None:
            self._show(self._text.push(token))

    def _show(self, text: str, *, final: bool = False) -> None:
        """Sends settled text on its way: thinking as it is, the answer through the stop strings."""
        parts: list[Part] = []
        if self._splitter is None:
            parts = [Part("answer", text)] if text else []
        else:
            parts = self._splitter.push(text) if text else []
            parts += self._splitter.finish() if final else []
        for part in parts:
            if part.kind == "thinking":
                self._emit(part.text, "thinking")
            else:
                self._emit(self._stops.push(part.text), "answer")
        if final and self._stops.found is None:
            self._emit(self._stops.finish(), "answer")

    def _emit(self, text: str, kind: Kind) -> None:
        if text:
            self._ready.append(Chunk(text, kind))
            (self._drawn.answer if kind == "answer" else self._drawn.thinking).append(text)

    def _logprob(self, event: TokenEvent, token: int) -> TokenLogprob:
        name = self._tokenizer.token_text if self._tokenizer else lambda _: ""
        top = tuple((i, name(i), logprob) for i, logprob in event.top_logprobs or ())
        return TokenLogprob(token, name(token), event.logprob or 0.0, top)

    def _end(self, reason: FinishReason) -> None:
        self._generation.close()
        if self._text is not None and self._stops.found is None:
            self._show(self._text.finish(), final=True)
        drawn = self._drawn
        self.completion = Completion(
            text="".join(drawn.answer),
            thinking="".join(drawn.thinking),
            token_ids=tuple(drawn.ids),
            finish_reason="stop" if self._stops.found is not None else reason,
            usage=_usage(self._generation.usage, drawn.count),
            timings=Timings(self._first - self._begin, self._last - self._begin),
            stop=self._stops.found,
            logprobs=tuple(drawn.logprobs) if drawn.logprobs else None,
            notices=tuple(drawn.notices),
        )
        if self._on_end is not None:
            self._on_end(self.completion)


def _usage(cost: EngineUsage | None, drawn: int) -> Usage:
    if cost is None:
        return Usage(completion_tokens=drawn)
    return Usage(cost.prompt_tokens, cost.cached_tokens, drawn, cost.drafted_tokens, cost.accepted_tokens)


def _reason(event: TokenEvent) -> FinishReason:
    if event.context_full:
        return "context"
    match event.finish_reason:
        case "stop" | "length" as reason:
            return reason
        case _:
            return "cancelled"
