"""From the engine's tokens to an answer: text in whole characters, thinking and tool calls apart, stop strings cut.

`AnswerBuilder` takes events and gives `Chunk`s; it knows no engine and no thread, so a server may feed it from a queue.
What is left at the end is a `Completion`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from hearth.chat.completion import (
    Chunk,
    ChunkKind,
    Completion,
    FinishReason,
    Timings,
    TokenLogprob,
    Totals,
    Usage,
)
from hearth.chat.repetition import RepetitionWatch
from hearth.chat.stop import StopStrings
from hearth.chat.thinking import Part, Splitter
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools.types import ToolCall, ToolCallDelta, ToolParser
from hearth.engine import TokenEvent
from hearth.engine import Usage as EngineUsage


@dataclass
class _Drawn:
    """What has come so far."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: list[list[ToolCallDelta]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    count: int = 0

    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(c[0].id, c[0].name, "".join(delta.arguments for delta in c)) for c in self.calls)


class AnswerBuilder:
    """Makes one answer out of the events of one request. Use from one thread at a time.

    Args:
        tokenizer: None for a model without one: then no text is made, only ids are collected.
        end_ids: tokens that are no part of the answer when they end it.
        stops: stop strings; they apply to the answer's text, neither to thinking nor to the arguments of tools.
        splitter: tells thinking from answer; None where all is answer.
        tools: finds tool calls in the answer; None where none may be.
        thoughts: finds those with which the model breaks off its thinking: they end it, as its closing tag does.
        markers: texts of the control tokens that `tools` must see.
        continues: the answer carries on a text, so that its first space counts.
        notices: what the completion shall tell besides.

    Attributes:
        completion: the whole answer; None until it has ended: by the engine, by `cancel`, or by a stop string, of which
            the engine knows nothing: the caller then cancels the request and passes that last event on, which completes
            the account.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        *,
        end_ids: frozenset[int],
        stops: StopStrings | None = None,
        splitter: Splitter | None = None,
        tools: ToolParser | None = None,
        thoughts: ToolParser | None = None,
        markers: Collection[str] = (),
        continues: bool = False,
        notices: Iterable[str] = (),
        repetition: RepetitionWatch | None = None,
    ) -> None:
        self.completion: Completion | None = None
        self._tokenizer = tokenizer
        self._end_ids = end_ids
        self._stops = stops or StopStrings()
        self._splitter = splitter
        self._tools = tools
        self._repetition = repetition
        self._thoughts = thoughts
        self._broke_off = False  # a call ended the thinking
        # Tags that are control tokens would be left out of the text, and those who look for them could not see them.
        tags = (*(splitter.tag_texts if splitter else ()), *(markers if tools else ()))
        keep = tokenizer.ids_of(tags) if tokenizer else frozenset()
        self._text = tokenizer.stream(keep=keep, continues=continues) if tokenizer else None
        self._drawn = _Drawn(notices=list(notices))
        self._ready: list[Chunk] = []
        self._told = 0  # log-probabilities that went out with a chunk
        self._spoken = 0 if splitter is None else None  # the first of them that belongs to the answer, once that begins
        self._lengths: list[int] = []  # characters that each of these tokens settled
        self._usage: EngineUsage | None = None
        self._begin = time.perf_counter()
        self._first = self._last = self._begin
        self._with_first = 1

    def push(self, event: TokenEvent) -> list[Chunk]:
        """The chunks that this event settles; after the end none.

        Raises:
            Whatever made the request fail; the answer is ended then.
        """
        if event.usage is not None:
            self.account(event.usage)
        if self.completion is not None:
            return []
        if event.error is not None:
            self._end("cancelled")
            raise event.error
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
        elif self._repetition is not None and self._repetition.found is not None:
            tokens, times = self._repetition.found
            self._drawn.notices.append(f"The answer was ended: it had said the same {tokens} tokens {times} times.")
            self._end("repetition")
        return self._settled()

    def cancel(self) -> list[Chunk]:
        """Ends the answer as it is; returns the text that was held back."""
        if self.completion is None:
            self._end("cancelled")
        return self._settled()

    def account(self, cost: EngineUsage) -> None:
        """What the request has cost, also when the answer had ended before the engine knew."""
        self._usage = cost
        if self.completion is not None:
            self.completion = replace(self.completion, usage=_usage(cost, self._drawn.count))

    # -- inside --------------------------------------------------------------------------------------------------

    def _settled(self) -> list[Chunk]:
        """The chunks made since the last call, with the log-probabilities of their tokens."""
        chunks, self._ready = self._ready, []
        if chunks:
            self._mark_thoughts()
        untold = tuple(self._drawn.logprobs[self._told :])
        if untold and not chunks and self.completion is not None:
            chunks = [Chunk("")]
        if untold and chunks:
            chunks[-1] = replace(chunks[-1], logprobs=untold)
            self._told += len(untold)
        return chunks

    def _mark_thoughts(self) -> None:
        """Of the tokens that are told now; what waits may still begin the answer."""
        logprobs = self._drawn.logprobs
        end = len(logprobs) if self._spoken is None else min(self._spoken, len(logprobs))
        for i in range(self._told, end):
            logprobs[i] = replace(logprobs[i], said=False)

    def _take(self, event: TokenEvent, token: int) -> None:
        # Not when it is read: events of several steps may come here together.
        self._last = event.computed_s or time.perf_counter()
        if not self._drawn.count:
            self._first = self._last
        self._drawn.count += 1
        if self._last == self._first:
            self._with_first = self._drawn.count
        if event.finish_reason == "stop" and token in self._end_ids:
            return
        self._drawn.ids.append(token)
        if self._repetition is not None:
            self._repetition.push(token)
        if event.logprob is not None:
            self._drawn.logprobs.append(self._logprob(event, token))
        if self._text is not None:
            text = self._text.push(token)
            if event.logprob is not None:
                self._lengths.append(len(text))
            self._show(text)

    def _show(self, text: str, *, final: bool = False) -> None:
        """Sends settled text on its way: thinking as it is, the answer through the tool parser and stop strings."""
        parts: list[Part] = []
        if self._splitter is None:
            parts = [Part("answer", text)] if text else []
        else:
            parts = self._splitter.push(text) if text else []
            parts += self._splitter.finish() if final else []
        for part in parts:
            if part.kind == "thinking" and not self._broke_off:
                self._think(self._thoughts.push(part.text) if self._thoughts else [part.text])
                continue
            self._end_thoughts()
            if self._spoken is None:
                self._spoken = self._first_of(len(part.text))
            if self._tools is None:
                self._emit(self._stops.push(part.text), "answer")
            else:
                self._sort(self._tools.push(part.text))
        if final:
            self._end_thoughts()
        if final and self._tools is not None:
            self._sort(self._tools.finish())
        if final and self._stops.found is None:
            self._emit(self._stops.finish(), "answer")

    def _think(self, pieces: list[str | ToolCallDelta]) -> None:
        """Thoughts as they are, up to a call: what comes from there on is the answer."""
        for i, piece in enumerate(pieces):
            if isinstance(piece, str):
                self._emit(piece, "thinking")
                continue
            assert self._splitter is not None
            self._splitter.leave()
            self._tools, self._thoughts, self._broke_off = self._thoughts, None, True
            self._spoken = len(self._lengths) if self._spoken is None else self._spoken
            self._sort(pieces[i:])
            return

    def _end_thoughts(self) -> None:
        """Gives out what might have become a call in the thinking, which is over."""
        if self._thoughts is not None:
            self._think(self._thoughts.finish())
            self._thoughts = None

    def _first_of(self, count: int) -> int:
        """The first of the last tokens that hold so many characters. All that were drawn, where nothing stands before
        them but blanks."""
        if sum(self._lengths) == count:
            return 0
        first = len(self._lengths)
        while first > 0 and count > 0:
            first -= 1
            count -= self._lengths[first]
        return first

    def _sort(self, pieces: list[str | ToolCallDelta]) -> None:
        """What the tool parser found: text goes through the stop strings, calls do not."""
        for piece in pieces:
            if self._stops.found is not None:
                return
            if isinstance(piece, str):
                self._emit(self._stops.push(piece), "answer")
                continue
            if self._stopped():
                return
            if piece.index == len(self._drawn.calls):
                self._drawn.calls.append([])
            self._drawn.calls[piece.index].append(piece)
            self._ready.append(Chunk("", "tool", piece))

    def _stopped(self) -> bool:
        """Gives out what may have begun a stop string and did not go on; whether it held a whole one."""
        self._emit(self._stops.finish(), "answer")
        return self._stops.found is not None

    def _emit(self, text: str, kind: ChunkKind) -> None:
        if text:
            self._ready.append(Chunk(text, kind))
            (self._drawn.answer if kind == "answer" else self._drawn.thinking).append(text)

    def _logprob(self, event: TokenEvent, token: int) -> TokenLogprob:
        name = self._tokenizer.token_text if self._tokenizer else lambda _: ""
        top = tuple((i, name(i), logprob) for i, logprob in event.top_logprobs or ())
        return TokenLogprob(token, name(token), event.logprob or 0.0, top)

    def _end(self, reason: FinishReason) -> None:
        if self._text is not None and self._stops.found is None:
            self._show(self._text.finish(), final=True)
        self._mark_thoughts()
        drawn = self._drawn
        calls = drawn.tool_calls()
        if self._stops.found is not None:
            reason = "stop"
        elif reason == "stop" and calls:
            reason = "tool_calls"
        self.completion = Completion(
            text="".join(drawn.answer),
            thinking="".join(drawn.thinking),
            token_ids=tuple(drawn.ids),
            finish_reason=reason,
            usage=_usage(self._usage, drawn.count),
            timings=Timings(self._first - self._begin, self._last - self._begin, self._with_first),
            stop=self._stops.found,
            logprobs=tuple(drawn.logprobs) if drawn.logprobs else None,
            tool_calls=calls,
            notices=tuple(drawn.notices),
        )


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


__all__ = [
    "AnswerBuilder",
    "Chunk",
    "Completion",
    "FinishReason",
    "Timings",
    "TokenLogprob",
    "Totals",
    "Usage",
]
