"""FunctionGemma and Gemma 4: calls in control tokens and a notation of their own.

    <start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>
    <|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>

Several calls stand one after the other. Sources: "FunctionGemma formatting and best practices"
(ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices), "Function calling with Gemma 4"
(ai.google.dev/gemma/docs/capabilities/text/function-calling-gemma4), Gemma 4's chat template.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized, with_names
from hearth.chat.tools.lark import MORE_CALLS, Markers, callable_tools, quoted, whole_answer
from hearth.chat.tools.notation import NotationGrammar, NotationReader
from hearth.chat.tools.reader import END, NotACall
from hearth.chat.tools.schema import arguments_schema
from hearth.chat.tools.types import Choice, Tool, ToolParser


@dataclass(frozen=True)
class Tokens:
    """Three control tokens."""

    begin: str
    end: str
    quote: str


FUNCTION_GEMMA = Tokens("<start_function_call>", "<end_function_call>", "<escape>")
GEMMA_4 = Tokens("<|tool_call>", "<tool_call|>", '<|"|>')


class GemmaCalls:
    """For templates that write `call:name{...}` between control tokens; a `ToolFormat`.

    Args:
        control: text -> id of the model's control tokens.
        results_in_calls: the template takes results within the message that made the calls (Gemma 4's first ones).
    """

    def __init__(
        self,
        name: str,
        tokens: Tokens,
        control: Mapping[str, int] | None = None,
        *,
        results_in_calls: bool = False,
    ) -> None:
        self.name = name
        self.markers = (tokens.begin, tokens.end, tokens.quote)
        self.begins, self.opens = (tokens.begin,), ("call:",)
        self._tokens = tokens
        self._mark = Markers(control or {})
        self._results_in_calls = results_in_calls

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        begin, end = self._mark(self._tokens.begin), self._mark(self._tokens.end)
        chosen = callable_tools(tools, choice)
        rules = [f"calls: call ({begin} call){MORE_CALLS}" if parallel else "calls: call"]
        rules.append("call: " + " | ".join(f"call_{i}" for i in range(len(chosen))))
        for i, tool in enumerate(chosen):
            notation = NotationGrammar(self._mark, self._tokens.quote, f"v{i}")
            body = notation.root(arguments_schema(tool))
            rules.append(f"call_{i}: {quoted('call:' + tool.name)} {body} {end}")
            rules += [f"{name}: {right}" for name, right in notation.rules.items()]
        if choice.free:
            rules.append(self._mark.after_text([self._tokens.begin]))
        return whole_answer(choice, begin, rules)

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """What the notation's rules leave out of a schema."""
        notation = NotationGrammar(self._mark, self._tokens.quote, "v")
        notation.root(arguments_schema(tool), place)
        return tuple(notation.gaps)

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        return _Reader(tools, self._tokens)

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Results carry the tool's name."""
        named = with_names(normalized(messages))
        return _with_responses(named) if self._results_in_calls else named

    def describe(self, tools: Sequence[Tool]) -> str:
        """Nothing: the template tells of the tools."""
        return ""


class _Reader(NotationReader):
    def __init__(self, tools: Sequence[Tool], tokens: Tokens) -> None:
        super().__init__(tools, [tokens.begin])
        self.quote = tokens.quote
        self._end = tokens.end

    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One call; others have their own markers."""
        char = yield from self.space()
        yield from self.literal(("call:",), char)
        name, char = "", (yield from self.next())
        while char not in (END, "{") and len(name) <= 128:
            name += char
            char = yield from self.next()
        if char != "{" or name not in self.tools:
            raise NotACall
        self.announce(name)
        yield from self.object()
        self.settle()
        yield from self.closing((self._end,), (yield from self.space()))


def _with_responses(messages: Sequence[Message]) -> list[Message]:
    """Results, and the answer after them, within the message that made the calls."""
    result: list[Message] = []
    for message in messages:
        last = result[-1] if result else {}
        if message["role"] == "tool":
            response = {"name": message.get("name", "unknown"), "response": _parsed(message["content"])}
            if "tool_calls" not in last:
                result.append({"role": "assistant", "content": "", "tool_responses": [response]})
                continue
            last.setdefault("tool_responses", []).append(response)
        elif message["role"] == "assistant" and last.get("tool_responses") and "tool_calls" not in message:
            last["content"] = message["content"]
        elif message.get("tool_calls") and message["content"]:
            result.append({**message, "tool_calls": []})
            result.append({**message, "content": ""})
        else:
            result.append(dict(message))
    return result


def _parsed(content: object) -> object:
    """A result that is a JSON object, as one."""
    try:
        value = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        return content
    return value if isinstance(value, Mapping) else content
