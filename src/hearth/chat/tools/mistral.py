"""Mistral's two formats.

Older models (7B v0.3, Mixtral 8x22B, Nemo, Large, Small 3 and 3.1: tokenizers v3 to v7) write a list, newer ones (Small
3.2, Magistral, Devstral, Ministral 3: v11 and v13) each call with its name and arguments apart:

    [TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}]
    [TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}

v11 has an id between the two, `[CALL_ID]VvvODy9mT`. Ids in a conversation are 9 letters and digits. Sources:
mistral-common (github.com/mistralai/mistral-common, docs and `validator.py`), the chat templates of Nemo, Small 3.1 and
Ministral 3, vLLM's mistral_tool_parser ("must be alphanumeric with a length of 9").
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized
from hearth.chat.tools.jsoncalls import JsonCallReader, JsonSyntax
from hearth.chat.tools.jsonformat import JsonFormat
from hearth.chat.tools.jsongrammar import call_list, call_rules
from hearth.chat.tools.lark import MORE_CALLS, Markers, callable_tools, quoted, whole_answer
from hearth.chat.tools.reader import END, NotACall
from hearth.chat.tools.types import Choice, Tool, ToolParser

_CALLS, _ID, _ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
_ALPHABET = string.ascii_letters + string.digits
_NAME_CHARS = frozenset(_ALPHABET + "_-.")


class MistralList(JsonFormat):
    """For templates that write `[TOOL_CALLS] [{...}]`."""

    name = "mistral"
    syntax = JsonSyntax(markers=(_CALLS,))

    def calls(self, *, parallel: bool) -> str:
        """Rule `calls`: a list, a space before it or none."""
        return f'calls: " "? {call_list(parallel=parallel)} blank?'

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Ids as the templates accept them."""
        return with_short_ids(normalized(messages))


class MistralNamed:
    """For templates that write `[TOOL_CALLS]name[ARGS]{...}`; a `ToolFormat`. The older form is read, too.

    Args:
        control: text -> id of the model's control tokens.
        with_id: the template writes `[CALL_ID]` before `[ARGS]`.
    """

    name = "mistral-named"
    markers = (_CALLS, _ID, _ARGS)
    begins = (_CALLS,)
    opens = tuple(_ALPHABET + "_{[")

    def __init__(self, control: Mapping[str, int] | None = None, *, with_id: bool = False) -> None:
        self._mark = Markers(control or {})
        self._with_id = with_id

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        begin, between = self._mark(_CALLS), self._mark(_ARGS)
        if self._with_id:
            between = f"{self._mark(_ID)} /[a-zA-Z0-9]{{9}}/ {between}"
        chosen = callable_tools(tools, choice)
        more = f"({begin} named){MORE_CALLS}" if parallel else ""
        rules = [f'calls: (named {more} | " "? {call_list(parallel=parallel)}) blank?', *call_rules(chosen)]
        rules.append("named: " + " | ".join(f"named_{i}" for i in range(len(chosen))))
        rules += [f"named_{i}: {quoted(tool.name)} {between} arguments_{i}" for i, tool in enumerate(chosen)]
        if choice.free:
            rules.append(self._mark.after_text([_CALLS]))
        return whole_answer(choice, begin, rules)

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """None: arguments are JSON."""
        return ()

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        return _NamedReader(tools, JsonSyntax(markers=(_CALLS,)))

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Ids as the templates accept them."""
        return with_short_ids(normalized(messages))

    def describe(self, tools: Sequence[Tool]) -> str:
        """Nothing: the template tells of the tools."""
        return ""


class _NamedReader(JsonCallReader):
    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One call, others have their own markers; or a list."""
        char = yield from self.space()
        if char in ("[", "{"):
            yield from self.json_calls(char, bare=False)
            return
        name = ""
        while char != END and char in _NAME_CHARS:
            name += char
            char = yield from self.next()
        if name not in self.tools:
            raise NotACall
        if char == "[":
            found = yield from self.literal((_ID, _ARGS), char)
            if found == _ID:
                char = yield from self.next()
                while char != END and char in _ALPHABET:
                    char = yield from self.next()
                yield from self.literal((_ARGS,), char)
            char = yield from self.space()
        if char != "{":
            raise NotACall
        self.announce(name)
        self.settle((yield from self.arguments(char)))


def short_id(call_id: str) -> str:
    """Nine letters and digits that stand for any id, always the same for the same."""
    if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
        return call_id
    number = int.from_bytes(hashlib.sha256(call_id.encode()).digest()[:8], "big")
    letters = []
    for _ in range(9):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def with_short_ids(messages: Sequence[Message]) -> list[Message]:
    """The same conversation with ids of nine characters."""
    result = []
    for i, message in enumerate(messages):
        copy = dict(message)
        if "tool_calls" in copy:
            calls = copy["tool_calls"]
            copy["tool_calls"] = [{**call, "id": short_id(call.get("id", f"{i}.{j}"))} for j, call in enumerate(calls)]
        if isinstance(copy.get("tool_call_id"), str):
            copy["tool_call_id"] = short_id(copy["tool_call_id"])
        result.append(copy)
    return result
