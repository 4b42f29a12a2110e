"""`POST /v1/messages` and `POST /v1/messages/count_tokens`: Anthropic's protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request

from hearth.chat.answer import Chunk
from hearth.chat.request import Prepared
from hearth.llm import LLM
from hearth.server.answers import Answers, check_limit, new_id, settings_of
from hearth.server.anthropic.convert import PLACES, content_of, count, prepare, stop_of, usage_of
from hearth.server.anthropic.schema import Answer, AnthropicError, CountRequest, MessageRequest, TokenCounted
from hearth.server.openai.parts import STREAM
from hearth.server.places import in_places
from hearth.server.streaming import sse

if TYPE_CHECKING:
    from hearth.server.models import Models

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": AnthropicError, "description": "The request is at fault, or (429) the queue is full."},
    "5XX": {"model": AnthropicError, "description": "The server cannot answer."},
}
router = APIRouter(tags=["Anthropic"])


@router.post("/v1/messages", response_model=Answer, responses=STREAM | ERRORS)
async def create_message(body: MessageRequest, request: Request) -> Any:
    """Answers a conversation."""
    _check_limits(body, request)
    answers = await Answers.begin(request, body.model, lambda llm: _prepare(llm, body), places=PLACES)
    stops = body.stop_sequences or []
    if body.stream:
        return sse(answers.events(events(answers, stops)), named=True)
    done = (await answers.read(request))[0]
    reason, found = stop_of(done, stops)
    head = _head(answers)
    return head | {"content": content_of(done), "stop_reason": reason, "stop_sequence": found, "usage": usage_of(done)}


@router.post("/v1/messages/count_tokens", response_model=TokenCounted, responses=ERRORS)
async def count_tokens(body: CountRequest, request: Request) -> Any:
    """Tokens of the prompt that these messages make, template included."""
    _check_limits(body, request)
    models: Models = request.app.state.models
    async with models.use(body.model) as opened:
        with in_places(PLACES):
            return {"input_tokens": await run_sync(count, opened.llm, body)}


async def events(answers: Answers, stops: list[str]) -> AsyncGenerator[dict[str, Any], None]:
    """The events of a stream: a message that begins, its blocks one after the other, how it ended."""
    blocks = Blocks()
    begun = False
    async for piece in answers.pieces():
        if not begun:  # not earlier: what fails before the first token has a status of its own
            begun = True
            usage = {
                "input_tokens": answers.prompt_tokens,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "output_tokens": 0,
            }
            message = _head(answers) | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
            yield {"type": "message_start", "message": message}
            yield {"type": "ping"}
        for chunk in piece.chunks:
            for event in blocks.push(chunk):
                yield event
        if piece.done is not None:
            for event in blocks.end():
                yield event
            reason, found = stop_of(piece.done, stops)
            delta = {"stop_reason": reason, "stop_sequence": found}
            yield {"type": "message_delta", "delta": delta, "usage": usage_of(piece.done)}
            yield {"type": "message_stop"}


class Blocks:
    """Sorts chunks into content blocks: one that is open, until something of another kind comes."""

    def __init__(self) -> None:
        self._index = -1
        self._open: str | None = None

    def push(self, chunk: Chunk) -> list[dict[str, Any]]:
        """The events of one more chunk."""
        if chunk.tool is not None:
            events: list[dict[str, Any]] = []
            if chunk.tool.id:
                block = {"type": "tool_use", "id": chunk.tool.id, "name": chunk.tool.name, "input": {}}
                events = self._begin(f"tool {chunk.tool.index}", block)
            if chunk.tool.arguments:
                events.append(self._delta({"type": "input_json_delta", "partial_json": chunk.tool.arguments}))
            return events
        if not chunk.text:
            return []
        if chunk.kind == "thinking":
            events = self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            return [*events, self._delta({"type": "thinking_delta", "thinking": chunk.text})]
        events = self._begin("text", {"type": "text", "text": ""})
        return [*events, self._delta({"type": "text_delta", "text": chunk.text})]

    def end(self) -> list[dict[str, Any]]:
        """The end of the block that is open."""
        if self._open is None:
            return []
        events: list[dict[str, Any]] = []
        if self._open == "thinking":
            events.append(self._delta({"type": "signature_delta", "signature": ""}))
        self._open = None
        return [*events, {"type": "content_block_stop", "index": self._index}]

    def _begin(self, name: str, block: dict[str, Any]) -> list[dict[str, Any]]:
        if self._open == name:
            return []
        events = self.end()
        self._open = name
        self._index += 1
        return [*events, {"type": "content_block_start", "index": self._index, "content_block": block}]

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def _prepare(llm: LLM, body: MessageRequest) -> list[Prepared]:
    settings = body.settings(max_tokens=body.max_tokens, stop=body.stop_sequences)
    return [prepare(llm, body, **settings)]


def _check_limits(body: CountRequest, request: Request) -> None:
    settings = settings_of(request)
    check_limit("messages", len(body.messages), settings.max_messages)
    check_limit("tools", len(body.tools or ()), settings.max_tools)


def _head(answers: Answers) -> dict[str, Any]:
    return {"id": new_id("msg_"), "type": "message", "role": "assistant", "model": answers.model.name}
