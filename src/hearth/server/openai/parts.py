"""Pieces of OpenAI's answers that several routes have in common: usage, log-probabilities, reasons, errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from hearth.chat.answer import Completion, TokenLogprob
from hearth.chat.tokenizer import Tokenizer
from hearth.server.answers import Answers

DONE = "[DONE]"
"""The last event of a stream."""

LEAST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot hold (OpenAI's own stand-in)."""


class OpenAIErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error in OpenAI's form."""

    error: OpenAIErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": OpenAIError, "description": "The request is at fault, or (429) the queue is full."},
    "5XX": {"model": OpenAIError, "description": "The server cannot answer."},
}
_EVENT = {
    "type": "object",
    "description": "One server-sent event.",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream: true` its events.",
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
}


def finish_reason(done: Completion) -> Literal["stop", "length", "tool_calls"]:
    """Why an answer ended, in OpenAI's words."""
    match done.finish_reason:
        case "stop" | "tool_calls" as reason:
            return reason
        case _:  # max_tokens reached, the context full, or an endless repetition cut
            return "length"


async def usage_of(answers: Answers, completions: Sequence[Completion], *, prompts: int = 1) -> dict[str, Any]:
    """The account of a request.

    Args:
        prompts: how many different prompts there are; each counts once, however many answers it has.
    """
    each = len(completions) // prompts
    prompt_tokens = sum(done.usage.prompt_tokens for done in completions[::each])
    completion_tokens = sum(done.usage.completion_tokens for done in completions)
    reasoning = [await answers.reasoning_tokens(done) for done in completions]
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": sum(done.usage.cached_tokens for done in completions[::each])},
        "completion_tokens_details": {"reasoning_tokens": sum(reasoning)},
    }


def chat_logprobs(tokenizer: Tokenizer, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Log-probabilities as the chat routes tell them: of the message's tokens, not of what was thought before."""
    return {"content": [token_logprob(tokenizer, one) for one in logprobs if one.said], "refusal": None}


def token_logprob(tokenizer: Tokenizer, one: TokenLogprob) -> dict[str, Any]:
    """A drawn token, and the likeliest in its place."""
    return {
        **_likely(tokenizer, one.token_id, one.text, one.logprob),
        "top_logprobs": [_likely(tokenizer, *other) for other in one.top],
    }


def _likely(tokenizer: Tokenizer, token_id: int, text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": finite(logprob), "bytes": list(tokenizer.token_bytes(token_id))}


def finite(logprob: float) -> float:
    """A log-probability that JSON can hold."""
    return logprob if math.isfinite(logprob) else LEAST_LOGPROB
