"""What an answer is: the `Chunk`s that stream, the `Completion` that is left, and their account.

Plain data. How the engine's tokens become these is `answer.py`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools.types import ToolCall, ToolCallDelta
from hearth.engine import Scores

ChunkKind = Literal["answer", "thinking", "tool"]
RATED_TOKENS = 20
"""Of fewer tokens no speed is told: one step that waits for the processor would halve or double it."""

_counting = threading.Lock()
FinishReason = Literal["stop", "length", "context", "repetition", "tool_calls", "cancelled"]


@dataclass(frozen=True)
class TokenLogprob:
    """The probability of one drawn token, as natural logarithm, and of the likeliest in its place.

    Attributes:
        said: whether it is part of the answer, and not of what the model thought before, or of a tag around that.
    """

    token_id: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...] = ()
    said: bool = True


def token_logprobs(tokenizer: Tokenizer | None, ids: Sequence[int], scores: Scores) -> list[TokenLogprob]:
    """Of the tokens of a given text, all but the first; their texts are "" without a tokenizer."""

    def text(token: int) -> str:
        return tokenizer.token_text(token) if tokenizer else ""

    return [
        TokenLogprob(
            ids[i],
            text(ids[i]),
            float(scores.logprobs[i]),
            tuple(
                (int(token), text(int(token)), float(logprob))
                for token, logprob in zip(scores.top_ids[i], scores.top_logprobs[i], strict=True)
            ),
        )
        for i in range(1, len(ids))
    ]


@dataclass(frozen=True)
class Chunk:
    """A piece of a streamed answer.

    Attributes:
        text: whole characters. Empty for a piece of a tool call, and for a last chunk that only brings
            log-probabilities.
        kind: whether the model says it, thinks it, or calls a tool with it.
        tool: the piece of a tool call; None for the other kinds.
        logprobs: of the tokens drawn since the chunk before, where asked for. A token whose text waits (half a
            character, what may become a stop string) or that has none goes with the next chunk. Those of all chunks
            together are `Completion.logprobs`.
    """

    text: str
    kind: ChunkKind = "answer"
    tool: ToolCallDelta | None = None
    logprobs: tuple[TokenLogprob, ...] = ()

    def __repr__(self) -> str:
        what = repr(self.tool) if self.tool is not None else repr(self.text)
        return f"Chunk({what})" if self.kind == "answer" else f"Chunk({what}, {self.kind!r})"


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
        first_tokens: tokens that came with the first: where guesses come true, one step gives several.
    """

    first_token_s: float = 0.0
    total_s: float = 0.0
    first_tokens: int = 1


@dataclass(frozen=True)
class Completion:
    """An answer.

    Attributes:
        text: the answer; without a stop string, control tokens and thinking.
        thinking: what the model thought before it; "" if it did not.
        token_ids: drawn, without the token that ended the answer.
        finish_reason: "stop": the model ended it, or a stop string. "tool_calls": the model ended it after calling
            tools. "length": `max_tokens` reached. "context": the context is full. "repetition": it went round in a
            circle, see `repetition.py`. "cancelled": the stream was closed.
        stop: the stop string that was found, or None.
        logprobs: one for each of `token_ids` where asked for, else None.
        tool_calls: the calls that the model asks for, in order. An answer cut short may leave the last one incomplete.
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
    tool_calls: tuple[ToolCall, ...] = ()
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        calls = f", {len(self.tool_calls)} tool calls" if self.tool_calls else ""
        tokens = self.usage.completion_tokens
        return f"Completion({self.text!r}{calls}, finish_reason={self.finish_reason!r}, {tokens} tokens)"

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        calls = [f"```json\n{call.name}({call.arguments})\n```" for call in self.tool_calls]
        return "\n\n".join([*([self.text] if self.text else []), *calls])

    @property
    def prefill_tok_s(self) -> float | None:
        """Prompt tokens computed a second; None where they are too few to tell."""
        return tokens_per_second(self.usage.prompt_tokens - self.usage.cached_tokens, self.timings.first_token_s)

    @property
    def decode_tok_s(self) -> float | None:
        """Tokens a second after those of the first step; None where they are too few to tell."""
        seconds = self.timings.total_s - self.timings.first_token_s
        return tokens_per_second(self.usage.completion_tokens - self.timings.first_tokens, seconds)


def tokens_per_second(tokens: int, seconds: float) -> float | None:
    """A speed, or None where so few tokens would tell the clock's moods instead."""
    return tokens / seconds if tokens >= RATED_TOKENS and seconds > 0 else None


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
        """Counts one more answer. May be called from any thread."""
        with _counting:
            self.requests += 1
            self.prompt_tokens += done.usage.prompt_tokens
            self.cached_tokens += done.usage.cached_tokens
            self.completion_tokens += done.usage.completion_tokens
            self.drafted_tokens += done.usage.drafted_tokens
            self.accepted_tokens += done.usage.accepted_tokens
            self.prefill_s += done.timings.first_token_s
            self.decode_s += done.timings.total_s - done.timings.first_token_s
