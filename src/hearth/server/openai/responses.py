"""`POST /v1/responses` and `POST /v1/responses/input_tokens`: OpenAI's newer protocol.

Nothing is kept: a conversation is sent as a whole each time.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request

from hearth.chat.answer import Completion
from hearth.chat.request import Prepared
from hearth.llm import LLM
from hearth.server.answers import Answers, Piece, check_limit, new_id, settings_of
from hearth.server.errors import as_api_error, log_fault
from hearth.server.openai.common import joined
from hearth.server.openai.parts import ERRORS, STREAM, token_logprob
from hearth.server.openai.response_output import Event, Output, is_cut
from hearth.server.openai.response_tools import OtherTool, Toolbox, custom_arguments, flat_name
from hearth.server.openai.responses_schema import (
    CallItem,
    CallOutputItem,
    CustomCallItem,
    CustomOutputItem,
    InputLength,
    MessageItem,
    ReasoningItem,
    Response,
    ResponseRequest,
)
from hearth.server.pictures import contents
from hearth.server.places import in_places
from hearth.server.prompts import for_template, variables_of_thinking
from hearth.server.streaming import sse

if TYPE_CHECKING:
    from hearth.server.models import Models

router = APIRouter(tags=["OpenAI"])


@router.post("/v1/responses", response_model=Response, response_model_exclude_unset=True, responses=STREAM | ERRORS)
async def create_response(body: ResponseRequest, request: Request) -> Any:
    """Answers a conversation."""
    _check_limits(body, request)
    tools = Toolbox(body.tools or (), body.tool_choice)
    answers = await Answers.begin(request, body.model, lambda llm: prepare(llm, body, tools), places=tools.places)
    frame = Frame(body, answers, tools)
    if body.stream:
        return sse(answers.events(events(answers, frame, request.url.path)), named=True)

    def take(piece: Piece) -> None:
        for _ in frame.push(piece):
            pass

    await answers.read(request, take)
    return await frame.ended()


@router.post("/v1/responses/input_tokens", response_model=InputLength, responses=ERRORS)
async def count_input_tokens(body: ResponseRequest, request: Request) -> Any:
    """Tokens of the prompt that this input makes, template included; also of one that is longer than the context."""
    _check_limits(body, request)
    tools = Toolbox(body.tools or (), body.tool_choice)
    models: Models = request.app.state.models
    async with models.use(body.model) as opened:
        with in_places(tools.places):
            counted = await run_sync(count, opened.llm, body, tools)
    return {"object": "response.input_tokens", "input_tokens": counted}


def prepare(llm: LLM, body: ResponseRequest, tools: Toolbox) -> list[Prepared]:
    """The request for the engine. Runs in a thread."""
    messages, shaping = asked(llm, body, tools)
    settings = body.settings(
        stop=body.stop,
        max_tokens=body.max_output_tokens,
        logprobs=(body.top_logprobs or 0) if body.wants_logprobs else None,
    )
    return [llm.prepare_chat(messages, **shaping, **settings)]


def count(llm: LLM, body: ResponseRequest, tools: Toolbox) -> int:
    """Tokens of the prompt. Runs in a thread."""
    messages, shaping = asked(llm, body, tools)
    return len(llm.prompt_ids(messages, **shaping))


def asked(llm: LLM, body: ResponseRequest, tools: Toolbox) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages, and what shapes prompt and answer, as `LLM.prepare_chat` takes them."""
    template = llm.chat_template
    effort = body.reasoning.effort if body.reasoning else None
    variables, thinking = variables_of_thinking(effort, template, field="reasoning.effort")
    return for_template(as_messages(body, sees=llm.sees), template), {
        "thinking": thinking,
        "tools": tools.functions or None,
        "tool_choice": tools.choice,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "response_format": body.wanted_format(),
        "template_variables": variables,
    }


def _check_limits(body: ResponseRequest, request: Request) -> None:
    settings = settings_of(request)
    check_limit("input", 1 if isinstance(body.input, str) else len(body.input), settings.max_messages)
    check_limit("tools", len(body.tools or ()), settings.max_tools)


def as_messages(body: ResponseRequest, *, sees: bool) -> list[dict[str, Any]]:
    """The conversation as templates know it: what the model thought, said and called in one turn is one message.

    Args:
        sees: whether the model looks at pictures.
    """
    result: list[dict[str, Any]] = []
    if body.instructions:
        result.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return [*result, {"role": "user", "content": body.input}]
    turn: dict[str, Any] | None = None  # the model's, while it goes on

    def the_turn() -> dict[str, Any]:
        nonlocal turn
        if turn is None:
            turn = {"role": "assistant", "content": ""}
            result.append(turn)
        return turn

    for item in body.input:
        match item:
            case ReasoningItem():
                turn = None
                the_turn()["reasoning_content"] = joined(item.content or item.summary or [])
            case CallItem() | CustomCallItem():
                arguments = item.arguments if isinstance(item, CallItem) else custom_arguments(item.input)
                function = {"name": flat_name(item.name, item.namespace or ""), "arguments": arguments}
                call = {"id": item.call_id, "type": "function", "function": function}
                the_turn().setdefault("tool_calls", []).append(call)
            case CallOutputItem() | CustomOutputItem():
                turn = None
                result.append(
                    {"role": "tool", "tool_call_id": item.call_id, "content": contents(item.output, sees=sees)}
                )
            case MessageItem(role="assistant"):
                if turn is not None and (turn["content"] or "tool_calls" in turn):
                    turn = None
                the_turn()["content"] = contents(item.content, sees=sees)
            case MessageItem():
                turn = None
                result.append({"role": item.role, "content": contents(item.content, sees=sees)})
    return result


class Frame:
    """The response around its output: what it is at each moment."""

    def __init__(self, body: ResponseRequest, answers: Answers, tools: Toolbox) -> None:
        self._body = body
        self._answers = answers
        self._id = new_id("resp_")
        self._created = int(time.time())
        self._done: Completion | None = None
        tokenizer = answers.model.llm.tokenizer
        self._output = Output(lambda one: token_logprob(tokenizer, one), tools.called)

    def push(self, piece: Piece) -> list[Event]:
        """The events of one more piece."""
        events = [event for chunk in piece.chunks for event in self._output.push(chunk)]
        if piece.done is not None:
            self._done = piece.done
            events += self._output.end(piece.done)
        return events

    def begun(self) -> dict[str, Any]:
        """Before its first token."""
        return self._response("in_progress")

    def failed(self, code: str, message: str) -> dict[str, Any]:
        """After a fault."""
        return self._response("failed", error={"code": code, "message": message}, output=self._output.items)

    async def ended(self) -> dict[str, Any]:
        """After its last token."""
        done = self._done
        assert done is not None
        cut = is_cut(done)
        usage = {
            "input_tokens": done.usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": done.usage.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": done.usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": await self._answers.reasoning_tokens(done)},
            "total_tokens": done.usage.prompt_tokens + done.usage.completion_tokens,
        }
        return self._response(
            "incomplete" if cut else "completed",
            incomplete_details={"reason": "max_output_tokens"} if cut else None,
            completed_at=int(time.time()),
            output=self._output.items,
            usage=usage,
        )

    def _response(self, status: str, **fields: Any) -> dict[str, Any]:
        body, params = self._body, self._answers.prepared[0].request.params
        shape = body.text.format if body.text else None
        choice = body.tool_choice or "auto"
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._answers.model.name,
            "output": [],
            "usage": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_logprobs": body.top_logprobs or 0,
            "tools": [tool.model_dump() for tool in body.tools or () if not isinstance(tool, OtherTool)],
            "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "text": {"format": shape.model_dump(by_alias=True) if shape else {"type": "text"}},
            "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": None},
            "metadata": body.metadata or {},
            "store": False,
            "background": False,
            "previous_response_id": None,
            "truncation": "disabled",
            "user": body.user,
            **fields,
        }


async def events(answers: Answers, frame: Frame, path: str) -> AsyncGenerator[Event, None]:
    """The events of a stream, numbered."""
    number = 0

    def numbered(event: Event) -> Event:
        nonlocal number
        number += 1
        return {**event, "sequence_number": number - 1}

    begun = False
    try:
        async for piece in answers.pieces():
            if not begun:  # not earlier: what fails before the first token has a status of its own
                begun = True
                for kind in ("response.created", "response.in_progress"):
                    yield numbered({"type": kind, "response": frame.begun()})
            for event in frame.push(piece):
                yield numbered(event)
        response = await frame.ended()
    except Exception as error:
        if not begun:
            raise
        told = as_api_error(error)
        log_fault(f"POST {path} (streaming)", error)
        yield numbered({"type": "response.failed", "response": frame.failed("server_error", told.message)})
    else:
        yield numbered({"type": f"response.{response['status']}", "response": response})
