"""From Anthropic's messages to what `LLM.prepare_chat` takes, and from an answer to Anthropic's content blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from hearth.chat.answer import Completion
from hearth.chat.request import Prepared
from hearth.chat.template import ChatTemplate
from hearth.llm import LLM
from hearth.server.anthropic.schema import (
    CountRequest,
    Message,
    TextBlock,
    ThinkingBlock,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
)
from hearth.server.openai.common import joined
from hearth.server.pictures import ImageBlock, contents, joined_contents
from hearth.server.places import Places
from hearth.server.prompts import can_switch_thinking, for_template, no_switch, thinks
from hearth.server.warning import warn

PLACES: Final[Places] = (
    (re.compile(r"\.function\.parameters\b"), ".input_schema"),
    (re.compile(r"\b(tools\[\d+\])\.function\b"), r"\1"),
    (re.compile(r"\bresponse_format\.json_schema\b"), "output_config.format"),
    (re.compile(r"\bresponse_format\b"), "output_config.format"),
)
"""What this protocol calls the places that `chat` names."""

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"]


def prepare(llm: LLM, body: CountRequest, **settings: Any) -> Prepared:
    """The request for the engine. Runs in a thread."""
    messages, shaping = asked(llm, body)
    return llm.prepare_chat(messages, **shaping, **settings)


def count(llm: LLM, body: CountRequest) -> int:
    """Tokens of the prompt, also of one that is longer than the context. Runs in a thread."""
    messages, shaping = asked(llm, body)
    return len(llm.prompt_ids(messages, **shaping))


def asked(llm: LLM, body: CountRequest) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages, and what shapes prompt and answer, as `LLM.prepare_chat` takes them."""
    template = llm.chat_template
    choice, parallel = tool_choice(body)
    shape = body.output_config.format if body.output_config else None
    effort = body.output_config.effort if body.output_config else None
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": shape.schema_}} if shape else None
    tools = [_tool(tool) for tool in body.tools or ()]
    messages = for_template(as_messages(body, sees=llm.sees), template)
    return messages, {
        # What Anthropic calls prefilling an answer. Messages may all be empty.
        "continue_final_message": bool(messages) and messages[-1]["role"] == "assistant",
        "thinking": wanted_thinking(body, template),
        "tools": tools or None,
        "tool_choice": choice,
        "parallel_tool_calls": parallel,
        "response_format": wanted,
        "template_variables": (template.thinking.level(effort) if effort else None) or None,
    }


def as_messages(body: CountRequest, *, sees: bool) -> list[dict[str, Any]]:
    """The conversation as templates know it. Turns of one role that follow each other are one turn.

    Args:
        sees: whether the model looks at pictures.
    """
    result: list[dict[str, Any]] = []
    if body.system:
        result.append({"role": "system", "content": joined(body.system)})
    for message in body.messages:
        for part in _parts(message, sees):
            last = result[-1] if result else None
            if last is not None and last["role"] == part["role"] and set(last) == set(part) == {"role", "content"}:
                last["content"] = joined_contents(last["content"], part["content"])
            else:
                result.append(part)
    return result


def tool_choice(body: CountRequest) -> tuple[str | dict[str, Any], bool]:
    """As `LLM.prepare_chat` takes it, and whether one answer may hold several calls."""
    choice = body.tool_choice
    if choice is None:
        return "auto", True
    if choice.type == "none":
        return "none", True
    parallel = not choice.disable_parallel_tool_use
    if choice.type == "tool":
        return {"type": "function", "function": {"name": choice.name}}, parallel
    return ("required" if choice.type == "any" else "auto"), parallel


def wanted_thinking(body: CountRequest, template: ChatTemplate) -> bool | None:
    """Whether the model is to think first; None where it does what it always does.

    Raises:
        ApiError: the model thinks always, and is not to.
    """
    kind = body.thinking.type if body.thinking else None
    if kind == "adaptive":
        return None
    if can_switch_thinking(template):
        return kind == "enabled"
    if kind == "disabled" and thinks(template):
        raise no_switch("thinking")
    return None  # clients that know only Claude ask every model to think: one that cannot answers without


def content_of(done: Completion) -> list[dict[str, Any]]:
    """The blocks of an answer. A call that was cut short is left out: its input is no object."""
    blocks: list[dict[str, Any]] = []
    if done.thinking:
        blocks.append({"type": "thinking", "thinking": done.thinking, "signature": ""})
    if done.text:
        blocks.append({"type": "text", "text": done.text})
    for call in done.tool_calls:
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            continue
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments})
    return blocks


def stop_of(done: Completion, wanted: Sequence[str]) -> tuple[StopReason, str | None]:
    """Why an answer ended, in Anthropic's words, and the stop sequence that ended it."""
    match done.finish_reason:
        case "tool_calls":
            return "tool_use", None
        case "length" | "repetition":
            return "max_tokens", None
        case "context":
            return "model_context_window_exceeded", None
        case _:
            found = done.stop if done.stop in wanted else None  # else a stop string of the template
            return ("stop_sequence", found) if found is not None else ("end_turn", None)


def usage_of(done: Completion) -> dict[str, int]:
    """What a request cost."""
    cost = done.usage
    return {
        "input_tokens": cost.prompt_tokens - cost.cached_tokens,
        "cache_read_input_tokens": cost.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": cost.completion_tokens,
    }


def _tool(tool: Tool) -> dict[str, Any]:
    described = [tool.description] if tool.description else []
    if tool.input_examples:
        described += ["Examples of its input:", *(json.dumps(one, ensure_ascii=False) for one in tool.input_examples)]
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if described:
        function["description"] = "\n".join(described)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _parts(message: Message, sees: bool) -> list[dict[str, Any]]:
    """A turn as one or several messages: each result of a tool is one of its own, in its place."""
    if isinstance(message.content, str):
        return [{"role": message.role, "content": message.content}]
    parts: list[dict[str, Any]] = []
    said: list[TextBlock | ImageBlock] = []
    fields: dict[str, Any] = {}

    def end_text() -> None:
        if said or fields:
            parts.append({"role": message.role, "content": contents(said, sees=sees), **fields})
            said.clear()
            fields.clear()

    for block in message.content:
        if isinstance(block, TextBlock | ImageBlock):
            said.append(block)
        elif isinstance(block, ToolResultBlock):
            end_text()
            content = contents(block.content, sees=sees)
            if block.is_error:
                content = f"Error: {content}" if isinstance(content, str) else joined_contents("Error:", content)
            parts.append({"role": "tool", "content": content, "tool_call_id": block.tool_use_id})
        elif isinstance(block, ToolUseBlock):
            function = {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)}
            fields.setdefault("tool_calls", []).append({"id": block.id, "type": "function", "function": function})
        elif isinstance(block, ThinkingBlock):
            fields["reasoning_content"] = fields.get("reasoning_content", "") + block.thinking
        else:
            warn("left out", "redacted_thinking")
    end_text()
    return parts
