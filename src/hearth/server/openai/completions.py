"""`POST /v1/completions`: texts carried on, as a whole or as it comes. Request, answer and route."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from hearth.chat.answer import Completion
from hearth.chat.infill import infill_form
from hearth.chat.request import Prepared
from hearth.errors import Unsupported
from hearth.llm import LLM
from hearth.server import field_tables
from hearth.server.answers import Answers, check_limit, check_prompt_tokens, new_id, settings_of
from hearth.server.errors import ApiError
from hearth.server.models import Models
from hearth.server.openai.chat_schema import CompletionUsage
from hearth.server.openai.common import StreamOptions, needs_stream, nth_seed
from hearth.server.openai.echo import Echo, Offsets, Scored, echo_of
from hearth.server.openai.formats import Structured, places_of
from hearth.server.openai.parts import DONE, ERRORS, STREAM, finish_reason, usage_of
from hearth.server.places import in_places
from hearth.server.streaming import sse
from hearth.server.wire import MAX_CHOICES, MAX_TOKENS, WHOLE, ModelName, Text, TokenIds

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
    model: ModelName | None = None
    prompt: Annotated[
        Annotated[Text, Tag("(text)")]
        | Annotated[TokenIds, Tag("(tokens)")]
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_PROMPTS), Tag("(texts)")]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS), Tag("(token lists)")],
        Discriminator(_kind),
    ]
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE] | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES, description="Must be n."), WHOLE] | None = None
    echo: bool | None = None
    max_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS, description="0 goes with echo."), WHOLE] | None = None
    suffix: Annotated[Text, Field(description="What comes behind; for models of code.")] | None = None
    parse_special: (
        Annotated[bool, Field(description="Extension: whether the prompt may write control tokens [true].")] | None
    ) = None
    add_special_tokens: (
        Annotated[bool, Field(description="Extension: whether the prompt begins as the model expects it [true].")]
        | None
    ) = None
    logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @field_validator("best_of")
    @classmethod
    def _is_n(cls, value: int | None, others: ValidationInfo) -> int | None:
        if value not in (None, others.data.get("n") or 1):
            raise PydanticCustomError("unsupported", "is not supported, except where it is n")
        return value

    @field_validator("max_tokens")
    @classmethod
    def _is_something(cls, value: int | None, others: ValidationInfo) -> int | None:
        if value == 0 and not others.data.get("echo"):
            raise PydanticCustomError("needs", "may be 0 with echo only")
        return value

    @field_validator("suffix")
    @classmethod
    def _is_behind_text(cls, value: str | None, others: ValidationInfo) -> str | None:
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
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
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
    if body.max_tokens == 0:
        return await only_prompts(body, request)
    answers = await Answers.begin(request, body.model, lambda llm: prepare(llm, body), places=places_of(body))
    if body.stream:
        return sse(answers.events(chunks(answers, body)), done=DONE)
    before = await echoes(answers, body)
    return await whole(await answers.read(request), answers, body, before)


async def only_prompts(body: CompletionRequest, request: Request) -> TextCompletion:
    """The prompts repeated, with nothing after them: for programs that want to know how likely a text is."""
    if body.stream:
        where = "where max_tokens is 0"
        raise ApiError(400, f"stream is not supported {where}.", code="unsupported_parameter", param="stream")
    models: Models = request.app.state.models
    async with models.use(body.model) as opened:
        with in_places(places_of(body)):
            prepared = await run_sync(prepare, opened.llm, body)
        lengths = [len(one.request.prompt_ids) for one in prepared]
        check_prompt_tokens(max(lengths), settings_of(request))
        choices: list[dict[str, Any]] = []
        for index, one in enumerate(prepared):
            prompt = body.prompts()[index // (body.n or 1)]
            echo = await echo_of(opened, prompt, one.request.prompt_ids, body.logprobs)
            logprobs = None if body.logprobs is None else Offsets().logprobs(echo.tokens)
            choices.append({"index": index, "text": echo.text, "finish_reason": "length", "logprobs": logprobs})
    count = sum(lengths[:: body.n or 1])
    usage: dict[str, Any] = {"prompt_tokens": count, "completion_tokens": 0, "total_tokens": count}
    usage |= {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}
    return text_completion(opened.name, choices, usage)


def prepare(llm: LLM, body: CompletionRequest) -> list[Prepared]:
    """One request for each answer to each prompt. Runs in a thread."""
    result = []
    if body.suffix:
        try:
            infill_form(llm.tokenizer)
        except Unsupported as error:
            raise ApiError(400, str(error), code="unsupported_parameter", param="suffix") from error
    for prompt in body.prompts():
        ids = {"prompt_ids": prompt} if isinstance(prompt, list) else {"prompt": prompt}
        for index in range(body.n or 1):
            settings = body.settings(
                stop=body.stop,
                seed=nth_seed(body.seed, index),
                max_tokens=body.max_tokens or DEFAULT_TOKENS,
                logprobs=body.logprobs,
            )
            result.append(
                llm.prepare_text(
                    **ids,
                    suffix=body.suffix or None,
                    parse_special=body.parse_special is not False,
                    add_special=body.add_special_tokens is not False,
                    response_format=body.wanted_format(),
                    **settings,
                )
            )
    return result


async def echoes(answers: Answers, body: CompletionRequest) -> list[Echo]:
    """What stands before each answer."""
    each = body.n or 1
    if not body.echo:
        return [Echo()] * (len(body.prompts()) * each)
    found = []
    for index, prompt in enumerate(body.prompts()):
        ids = answers.prepared[index * each].request.prompt_ids
        found += [await echo_of(answers.model, prompt, ids, body.logprobs)] * each
    return found


async def whole(
    completions: Sequence[Completion], answers: Answers, body: CompletionRequest, before: Sequence[Echo]
) -> TextCompletion:
    """The answers at once."""
    choices = []
    for index, (echo, done) in enumerate(zip(before, completions, strict=True)):
        drawn = [Scored(token.text, token) for token in done.logprobs or ()]
        logprobs = None if body.logprobs is None else Offsets().logprobs([*echo.tokens, *drawn])
        choices.append(
            {"index": index, "text": echo.text + done.text, "finish_reason": finish_reason(done), "logprobs": logprobs}
        )
    return text_completion(
        answers.model.name, choices, await usage_of(answers, completions, prompts=len(body.prompts()))
    )


def text_completion(model: str, choices: Sequence[Mapping[str, Any]], usage: Any) -> TextCompletion:
    """The answer as a whole."""
    return TextCompletion.model_validate(
        {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "choices": choices,
            "usage": usage,
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

    before = await echoes(answers, body)
    offsets = [Offsets() for _ in before]
    ended: dict[int, Completion] = {}
    async for piece in answers.pieces():
        echo, before[piece.index] = before[piece.index], Echo()
        if echo.text:
            logprobs = offsets[piece.index].logprobs(echo.tokens) if echo.tokens else None
            yield event(piece.index, echo.text, logprobs=logprobs)
        for chunk in piece.chunks:
            logprobs = None if body.logprobs is None else offsets[piece.index].of_answer(chunk.logprobs)
            yield event(piece.index, chunk.text, logprobs=logprobs)
        if piece.done is not None:
            ended[piece.index] = piece.done
            yield event(piece.index, "", finish_reason(piece.done))
    if wants_usage:
        completions = [ended[index] for index in sorted(ended)]
        usage = await usage_of(answers, completions, prompts=len(body.prompts()))
        yield {**head, "choices": [], "usage": usage}
