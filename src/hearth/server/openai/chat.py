"""`POST /v1/chat/completions`: a conversation's next turn, as a whole or as it comes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from hearth.chat.answer import Chunk, Completion
from hearth.chat.request import Prepared
from hearth.llm import LLM
from hearth.server.answers import Answers, check_limit, new_id, settings_of
from hearth.server.openai.chat_schema import AssistantMessage, ChatCompletion, ChatRequest, Message
from hearth.server.openai.common import nth_seed
from hearth.server.openai.formats import places_of
from hearth.server.openai.parts import DONE, ERRORS, STREAM, chat_logprobs, finish_reason, usage_of
from hearth.server.pictures import contents
from hearth.server.prompts import checked_variables, for_template, variables_of_thinking
from hearth.server.streaming import sse

router = APIRouter(tags=["OpenAI"])


@router.post(
    "/v1/chat/completions", response_model=ChatCompletion, response_model_exclude_unset=True, responses=STREAM | ERRORS
)
async def create_chat_completion(body: ChatRequest, request: Request) -> Any:
    """Answers a conversation."""
    settings = settings_of(request)
    check_limit("n", body.n or 1, settings.max_n)
    check_limit("messages", len(body.messages), settings.max_messages)
    check_limit("tools", len(body.tools or ()), settings.max_tools)
    answers = await Answers.begin(request, body.model, lambda llm: prepare(llm, body), places=places_of(body))
    if body.stream:
        return stream(body, answers)
    return await whole(await answers.read(request), answers, shows_thinking=not body.hides_thinking)


def prepare(llm: LLM, body: ChatRequest) -> list[Prepared]:
    """One request for each answer that is asked for. Runs in a thread."""
    template = llm.chat_template
    variables = checked_variables(body.chat_template_kwargs, template)
    field, wish = body.wanted_thinking() or ("", None)
    efforts, thinking = variables_of_thinking(wish, template, field=field)
    messages = for_template([as_dict(message, sees=llm.sees) for message in body.messages], template)
    return [
        llm.prepare_chat(
            messages,
            thinking=thinking,
            tools=[tool.model_dump(exclude_none=True) for tool in body.tools or ()] or None,
            tool_choice=tool_choice(body),
            parallel_tool_calls=body.parallel_tool_calls is not False,
            response_format=body.wanted_format(),
            template_variables=efforts | variables,
            continue_final_message=bool(body.continue_final_message),
            **body.settings(
                stop=body.stop,
                seed=nth_seed(body.seed, index),
                max_tokens=body.max_completion_tokens or body.max_tokens,
                logprobs=(body.top_logprobs or 0) if body.logprobs else None,
            ),
        )
        for index in range(body.n or 1)
    ]


def as_dict(message: Message, *, sees: bool) -> dict[str, Any]:
    """A message as templates know it.

    Args:
        sees: whether the model looks at pictures.
    """
    fields = message.model_dump(exclude_none=True, exclude={"refusal", "function_call"})
    fields["content"] = contents(message.content, sees=sees)
    if isinstance(message, AssistantMessage):
        fields["content"] = fields["content"] or message.refusal or ""
        if message.function_call is not None:
            call = {"type": "function", "function": message.function_call.model_dump()}
            fields["tool_calls"] = [*fields.get("tool_calls", ()), call]
        if not fields.get("tool_calls"):
            fields.pop("tool_calls", None)
    return fields


def tool_choice(body: ChatRequest) -> Any:
    """As `LLM.prepare_chat` takes it."""
    choice = body.tool_choice or "auto"
    if isinstance(choice, str):
        return "required" if choice == "any" else choice
    return choice.model_dump()


async def whole(completions: Sequence[Completion], answers: Answers, *, shows_thinking: bool) -> ChatCompletion:
    """The answers at once."""
    tokenizer = answers.model.llm.tokenizer
    choices = []
    for index, done in enumerate(completions):
        message: dict[str, Any] = {"role": "assistant", "content": done.text or None, "refusal": None}
        if not done.text and not done.tool_calls:
            message["content"] = ""
        if done.thinking and shows_thinking:
            message["reasoning_content"] = done.thinking
        if done.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in done.tool_calls
            ]
        logprobs = None if done.logprobs is None else chat_logprobs(tokenizer, done.logprobs)
        choices.append({"index": index, "message": message, "finish_reason": finish_reason(done), "logprobs": logprobs})
    return ChatCompletion.model_validate(
        {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": answers.model.name,
            "choices": choices,
            "usage": await usage_of(answers, completions),
        }
    )


def stream(body: ChatRequest, answers: Answers) -> StreamingResponse:
    """The answers as they come."""
    wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    events = chunks(
        answers, wants_usage=wants_usage, logprobs=bool(body.logprobs), shows_thinking=not body.hides_thinking
    )
    return sse(answers.events(events), done=DONE)


async def chunks(
    answers: Answers, *, wants_usage: bool, logprobs: bool, shows_thinking: bool = True
) -> AsyncGenerator[dict[str, Any], None]:
    """The events of a stream."""
    head = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": answers.model.name,
    }
    tail: dict[str, Any] = {"usage": None} if wants_usage else {}
    tokenizer = answers.model.llm.tokenizer

    def event(index: int, delta: dict[str, Any], reason: str | None = None, probs: Any = None) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": probs, "finish_reason": reason}
        return {**head, "choices": [choice], **tail}

    begun: set[int] = set()
    ended: dict[int, Completion] = {}
    async for piece in answers.pieces():
        if piece.index not in begun:  # not earlier: what fails before the first token has a status of its own
            begun.add(piece.index)
            yield event(piece.index, {"role": "assistant", "content": "", "refusal": None})
        for chunk in piece.chunks:
            if chunk.kind == "thinking" and not shows_thinking:
                continue
            said = any(one.said for one in chunk.logprobs)
            probs = chat_logprobs(tokenizer, chunk.logprobs) if logprobs and said else None
            yield event(piece.index, delta_of(chunk), probs=probs)
        if piece.done is not None:
            ended[piece.index] = piece.done
            yield event(piece.index, {}, finish_reason(piece.done))
    if wants_usage:
        usage = await usage_of(answers, [ended[index] for index in sorted(ended)])
        yield {**head, "choices": [], "usage": usage}


def delta_of(chunk: Chunk) -> dict[str, Any]:
    """What one chunk adds to the message."""
    if chunk.tool is None:
        return {"reasoning_content" if chunk.kind == "thinking" else "content": chunk.text}
    call = chunk.tool
    function: dict[str, Any] = {"arguments": call.arguments}
    delta: dict[str, Any] = {"index": call.index, "function": function}
    if call.id:
        function["name"] = call.name
        delta |= {"id": call.id, "type": "function"}
    return {"tool_calls": [delta]}
