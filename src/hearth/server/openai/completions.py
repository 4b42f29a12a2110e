"""`POST /v1/completions`: texts carried on, as a whole or as it comes. Request, answer and route."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from hearth.chat.answer import Completion, TokenLogprob
from hearth.chat.request import Prepared
from hearth.llm import LLM
from hearth.server import field_tables
from hearth.server.answers import Answers, check_limit, new_id, settings_of
from hearth.server.openai.chat_schema import CompletionUsage
from hearth.server.openai.common import StreamOptions, needs_stream, nth_seed
from hearth.server.openai.formats import Structured, places_of
from hearth.server.openai.parts import DONE, ERRORS, STREAM, finish_reason, finite, usage_of
from hearth.server.streaming import sse
from hearth.server.wire import MAX_CHOICES, WHOLE, ModelName, Text, TokenCount, TokenIds

router = APIRouter(tags=["OpenAI"])
MAX_PROMPTS = 64
DEFAULT_TOKENS = 16
"""`max_tokens` where none is given, as in OpenAI's protocol."""

Prompt = str | list[int]


def _kind(value: Any) -> str:
    """Which of the four forms a prompt has, by its first element."""
    if isinstance(value, str):
        return "(text)"
    first = value[0] if isinstance(value, list) and value else None
    return {int: "(tokens)", float: "(tokens)", list: "(token lists)"}.get(type(first), "(texts)")


class CompletionRequest(Structured):
    """The fields of OpenAI's request that Hearth has, and its and other servers' extensions."""

    rules = field_tables.COMPLETION
    model: ModelName
    prompt: Annotated[
        Annotated[Text, Tag("(text)")]
        | Annotated[TokenIds, Tag("(tokens)")]
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_PROMPTS), Tag("(texts)")]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS), Tag("(token lists)")],
        Discriminator(_kind),
    ]
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE] | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES, description="Must be n."), WHOLE] | None = None
    max_tokens: TokenCount | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @field_validator("best_of")
    @classmethod
    def _is_n(cls, value: int | None, others: ValidationInfo) -> int | None:
        if value not in (None, others.data.get("n") or 1):
            raise PydanticCustomError("unsupported", "is not supported, except where it is n")
        return value

    @field_validator("logprobs")
    @classmethod
    def _without_echo(cls, value: int | None, others: ValidationInfo) -> int | None:
        if value is not None and others.data.get("echo"):
            raise PydanticCustomError("unsupported", "is not supported together with echo")
        return value

    @field_validator("stream_options")
    @classmethod
    def _is_stream(cls, value: StreamOptions | None, others: ValidationInfo) -> StreamOptions | None:
        return needs_stream(value, others)

    def prompts(self) -> list[Prompt]:
        """One or several: a text or token ids each."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        tokens = [one for one in self.prompt if isinstance(one, int)]
        return [tokens] if tokens else [one for one in self.prompt if not isinstance(one, int)]


class Logprobs(BaseModel):
    """One entry for each token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class TextChoice(BaseModel):
    """One answer."""

    index: int
    text: str
    finish_reason: Literal["stop", "length"]
    logprobs: Logprobs | None


class TextCompletion(BaseModel):
    """The answer, as a whole."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: CompletionUsage


@router.post("/v1/completions", response_model=TextCompletion, responses=STREAM | ERRORS)
async def create_completion(body: CompletionRequest, request: Request) -> Any:
    """Carries texts on."""
    settings = settings_of(request)
    check_limit("n", body.n or 1, settings.max_n)
    check_limit("prompt", len(body.prompts()), settings.max_inputs)
    answers = await Answers.begin(request, body.model, lambda llm: prepare(llm, body), places=places_of(body))
    if body.stream:
        return sse(answers.events(chunks(answers, body)), done=DONE)
    return await whole(await answers.read(request), answers, body)


def prepare(llm: LLM, body: CompletionRequest) -> list[Prepared]:
    """One request for each answer to each prompt. Runs in a thread."""
    result = []
    for prompt in body.prompts():
        ids = {"prompt_ids": prompt} if isinstance(prompt, list) else {"prompt": prompt}
        for index in range(body.n or 1):
            settings = body.settings(
                stop=body.stop,
                seed=nth_seed(body.seed, index),
                max_tokens=body.max_tokens or DEFAULT_TOKENS,
                logprobs=body.logprobs,
            )
            result.append(llm.prepare_text(**ids, response_format=body.wanted_format(), **settings))
    return result


def echoes(llm: LLM, body: CompletionRequest) -> list[str]:
    """What stands before each answer: its prompt where that is to be repeated."""
    each = body.n or 1
    if not body.echo:
        return [""] * (len(body.prompts()) * each)
    texts = [one if isinstance(one, str) else llm.detokenize(one, skip_special=False) for one in body.prompts()]
    return [text for text in texts for _ in range(each)]


@dataclass
class Offsets:
    """Where each token of an answer stands in its text, as far as the tokens' own texts say that."""

    at: int = 0

    def logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        """The next tokens' log-probabilities."""
        offsets = []
        for token in tokens:
            offsets.append(self.at)
            self.at += len(token.text)
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [finite(token.logprob) for token in tokens],
            "top_logprobs": [{text: finite(logprob) for _, text, logprob in token.top} for token in tokens],
            "text_offset": offsets,
        }


async def whole(completions: Sequence[Completion], answers: Answers, body: CompletionRequest) -> TextCompletion:
    """The answers at once."""
    before = echoes(answers.model.llm, body)
    choices = [
        {
            "index": index,
            "text": before[index] + done.text,
            "finish_reason": finish_reason(done),
            "logprobs": None if body.logprobs is None else Offsets().logprobs(done.logprobs or ()),
        }
        for index, done in enumerate(completions)
    ]
    return TextCompletion.model_validate(
        {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": answers.model.name,
            "choices": choices,
            "usage": await usage_of(answers, completions, prompts=len(body.prompts())),
        }
    )


async def chunks(answers: Answers, body: CompletionRequest) -> AsyncGenerator[dict[str, Any], None]:
    """The events of a stream."""
    wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    head = {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": int(time.time()),
        "model": answers.model.name,
    }
    tail: dict[str, Any] = {"usage": None} if wants_usage else {}

    def event(index: int, text: str, reason: str | None = None, logprobs: Any = None) -> dict[str, Any]:
        choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
        return {**head, "choices": [choice], **tail}

    before = echoes(answers.model.llm, body)
    offsets = [Offsets() for _ in before]
    ended: dict[int, Completion] = {}
    async for piece in answers.pieces():
        text, before[piece.index] = before[piece.index], ""
        if text:
            yield event(piece.index, text)
        for chunk in piece.chunks:
            logprobs = None if body.logprobs is None else offsets[piece.index].logprobs(chunk.logprobs)
            yield event(piece.index, chunk.text, logprobs=logprobs)
        if piece.done is not None:
            ended[piece.index] = piece.done
            yield event(piece.index, "", finish_reason(piece.done))
    if wants_usage:
        completions = [ended[index] for index in sorted(ended)]
        usage = await usage_of(answers, completions, prompts=len(body.prompts()))
        yield {**head, "choices": [], "usage": usage}
