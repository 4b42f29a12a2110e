"""The output of a response: items that grow chunk by chunk, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hearth.chat.answer import Chunk, Completion, TokenLogprob
from hearth.server.answers import new_id
from hearth.server.openai.response_tools import Called, custom_input

Event = dict[str, Any]


class Output:
    """Sorts chunks into items: one that is open, until something of another kind comes.

    Args:
        logprob: a token's log-probability as the client reads it.
        called: what a call of the model's is in the protocol.

    Attributes:
        items: those that have begun, in order.
    """

    def __init__(
        self, logprob: Callable[[TokenLogprob], dict[str, Any]], called: Callable[[str], Called] = Called
    ) -> None:
        self.items: list[dict[str, Any]] = []
        self._logprob = logprob
        self._called = called
        self._arguments = ""  # of the custom tool's call that is open
        self._open: str | None = None

    def push(self, chunk: Chunk) -> Iterator[Event]:
        """The events of one more chunk."""
        if chunk.tool is not None:
            if chunk.tool.id:
                item = _call(chunk.tool.id, self._called(chunk.tool.name))
                yield from self._begin(f"call {chunk.tool.index}", item)
            if chunk.tool.arguments and self._item["type"] == "custom_tool_call":
                self._arguments += chunk.tool.arguments
            elif chunk.tool.arguments:
                self._item["arguments"] += chunk.tool.arguments
                yield self._event("response.function_call_arguments.delta", delta=chunk.tool.arguments)
        elif chunk.kind == "thinking" and chunk.text:
            yield from self._begin("reasoning", _reasoning())
            self._part["text"] += chunk.text
            yield self._event("response.reasoning_text.delta", content_index=0, delta=chunk.text)
        elif chunk.kind == "answer" and (chunk.text or chunk.logprobs):
            yield from self._begin("message", _message())
            logprobs = [self._logprob(one) for one in chunk.logprobs if one.said]
            self._part["text"] += chunk.text
            self._part["logprobs"] += logprobs
            yield self._event("response.output_text.delta", content_index=0, delta=chunk.text, logprobs=logprobs)

    def end(self, done: Completion) -> Iterator[Event]:
        """The end of the item that is open. An answer without any has an empty message."""
        if not self.items:
            yield from self._begin("message", _message())
        yield from self._close("incomplete" if is_cut(done) else "completed")

    @property
    def _item(self) -> dict[str, Any]:
        return self.items[-1]

    @property
    def _part(self) -> dict[str, Any]:
        part: dict[str, Any] = self._item["content"][0]
        return part

    def _event(self, kind: str, **fields: Any) -> Event:
        return {"type": kind, "item_id": self._item["id"], "output_index": len(self.items) - 1, **fields}

    def _begin(self, name: str, item: dict[str, Any]) -> Iterator[Event]:
        if self._open == name:
            return
        yield from self._close("completed")
        self._open = name
        self.items.append(item)
        index = len(self.items) - 1
        if item["type"] in ("function_call", "custom_tool_call"):
            self._arguments = ""
            yield {"type": "response.output_item.added", "output_index": index, "item": dict(item)}
            return
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "content": []}}
        yield self._event("response.content_part.added", content_index=0, part=_copied(self._part))

    def _close(self, status: str) -> Iterator[Event]:
        if self._open is None:
            return
        self._open = None
        item = self._item
        item["status"] = status
        if item["type"] == "function_call":
            yield self._event("response.function_call_arguments.done", name=item["name"], arguments=item["arguments"])
        elif item["type"] == "custom_tool_call":
            item["input"] = custom_input(self._arguments)
            yield self._event("response.custom_tool_call_input.delta", delta=item["input"])
            yield self._event("response.custom_tool_call_input.done", input=item["input"])
        else:
            text = {"content_index": 0, "text": self._part["text"]}
            if item["type"] == "message":
                yield self._event("response.output_text.done", logprobs=list(self._part["logprobs"]), **text)
            else:
                yield self._event("response.reasoning_text.done", **text)
            yield self._event("response.content_part.done", content_index=0, part=_copied(self._part))
        yield {"type": "response.output_item.done", "output_index": len(self.items) - 1, "item": item}


def is_cut(done: Completion) -> bool:
    """Whether an answer ended before the model ended it."""
    return done.finish_reason in ("length", "context", "repetition")


def _call(call_id: str, called: Called) -> dict[str, Any]:
    kind, prefix, given = (
        ("custom_tool_call", "ctc_", "input") if called.custom else ("function_call", "fc_", "arguments")
    )
    head = {"type": kind, "id": new_id(prefix), "status": "in_progress", "call_id": call_id, "name": called.name}
    return {**head, given: ""} | ({"namespace": called.namespace} if called.namespace else {})


def _reasoning() -> dict[str, Any]:
    part = {"type": "reasoning_text", "text": ""}
    return {"type": "reasoning", "id": new_id("rs_"), "status": "in_progress", "summary": [], "content": [part]}


def _message() -> dict[str, Any]:
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    head = {"type": "message", "id": new_id("msg_"), "status": "in_progress"}
    return {**head, "role": "assistant", "content": [part]}


def _copied(part: dict[str, Any]) -> dict[str, Any]:
    """A part as it is now: events are written later."""
    return {name: list(value) if isinstance(value, list) else value for name, value in part.items()}
