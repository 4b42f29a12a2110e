"""Calls whose name and arguments stand apart, between control tokens: DeepSeek's two forms, Kimi's and Solar's.

    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜>
    <｜tool▁calls▁end｜>

V3 and R1 write `function` before the separator, and the arguments in a fenced block. Kimi K2 counts the calls of a
conversation, `functions.get_weather:0`. Sources: the chat templates of DeepSeek V3, R1 and V3.1, of Kimi K2 and of
Solar Open; DeepSeek V3.1's model card (huggingface.co/deepseek-ai/DeepSeek-V3.1, "ToolCall"), and Kimi K2's
docs/tool_call_guidance.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearth.chat.literal import Composed, ControlToken
from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized, with_texts
from hearth.chat.tools.lark import (
    BLANK,
    MORE_CALLS,
    Markers,
    arguments_rules,
    callable_tools,
    either,
    quoted,
    whole_answer,
)
from hearth.chat.tools.reader import END, CallReader, Chars, NotACall
from hearth.chat.tools.types import Choice, Tool, ToolParser

_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
_LONGEST_NAME = 140


@dataclass(frozen=True)
class NamedSyntax:
    """What stands around names and arguments. Texts are control tokens where the vocabulary has them so.

    Attributes:
        begin, end: of all calls together.
        call: begins a call.
        before: texts between that and the name.
        prefix: of the name; models leave it out now and then.
        after: texts between the name and the arguments.
        close: texts after the arguments.
        numbered: `:` and a number follow on the name.
        identified: an id of the call's own stands first.
        between: what stands between two calls; white space is read in any case.
    """

    begin: str
    end: str
    call: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    close: tuple[str, ...]
    prefix: str = ""
    numbered: bool = False
    identified: bool = False
    between: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them, the one that begins calls first."""
        return tuple(dict.fromkeys((self.begin, self.end, self.call, *self.before, *self.after, *self.close)))


_DEEPSEEK = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>")
_SEP, _CALL_END = "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
DEEPSEEK = NamedSyntax(*_DEEPSEEK, (), (_SEP,), (_CALL_END,))
DEEPSEEK_FENCED = NamedSyntax(*_DEEPSEEK, ("function", _SEP), ("\n```json\n",), ("\n```", _CALL_END), between="\n")
KIMI = NamedSyntax(
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    (),
    ("<|tool_call_argument_begin|>",),
    ("<|tool_call_end|>",),
    prefix="functions.",
    numbered=True,
)
SOLAR = NamedSyntax(
    "<|tool_calls|>",
    "<|calls|>",
    "<|tool_call:begin|>",
    ("<|tool_call:name|>",),
    ("<|tool_call:args|>",),
    ("<|tool_call:end|>",),
    identified=True,
)
# Of two that could read the same text the stricter comes first.
NAMED = {"deepseek": DEEPSEEK, "deepseek-fenced": DEEPSEEK_FENCED, "kimi": KIMI, "solar": SOLAR}


class NamedCalls:
    """For templates that write calls so; a `ToolFormat`.

    Args:
        control: text -> id of the model's control tokens.
        described: the template writes calls, but does not tell of the tools.
        as_text: it takes arguments as JSON text alone.
    """

    def __init__(
        self,
        name: str,
        syntax: NamedSyntax,
        control: Mapping[str, int] | None = None,
        *,
        described: bool = False,
        as_text: bool = False,
    ) -> None:
        self.name = name
        self.markers = tuple(text for text in syntax.texts if text.startswith("<"))
        self.begins, self.opens = (syntax.begin,), (syntax.call,)
        self._syntax = syntax
        self._control = control or {}
        self._mark = Markers(self._control)
        self._described = described
        self._as_text = as_text

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        syntax, mark, chosen = self._syntax, self._mark, callable_tools(tools, choice)
        between = f"{quoted(syntax.between)}? " if syntax.between else ""
        more = f"({between}{mark(syntax.call)} call){MORE_CALLS}" if parallel else ""
        before, after, close = (" ".join(map(mark, texts)) for texts in (syntax.before, syntax.after, syntax.close))
        own_id = "/[a-zA-Z0-9_-]{1,64}/" if syntax.identified else ""
        after = f"/:[0-9]{{1,4}}/ {after}" if syntax.numbered else after
        rules = [
            f"calls: blank? {mark(syntax.call)} call {more} blank? {mark(syntax.end)} blank?",
            BLANK,
            either("call", chosen),
            *(
                f"call_{i}: {own_id} {before} {quoted(syntax.prefix + tool.name)} {after} arguments_{i} {close}"
                for i, tool in enumerate(chosen)
            ),
            *arguments_rules(chosen),
        ]
        if choice.free:
            rules.append(mark.after_text([syntax.begin]))
        return whole_answer(choice, mark(syntax.begin), rules)

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """None: arguments are JSON."""
        return ()

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        return _Reader(tools, self._syntax)

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """Calls under the ids that the model knows. A turn without words has no content: some templates write one that
        is empty as a turn of its own."""
        prepared = normalized(messages)
        if self._syntax.numbered:
            prepared = _numbered(prepared, (self._syntax.prefix + "{}:{}").format)
        if self._as_text:
            prepared = with_texts(prepared)
        return [
            {**message, "content": None} if message.get("tool_calls") and not message["content"] else message
            for message in prepared
        ]

    def describe(self, tools: Sequence[Tool]) -> str:
        """The tools, and how to call them, where the template does not say so; in the layout of DeepSeek's cards."""
        if not self._described:
            return ""
        syntax = self._syntax
        shown = [
            syntax.begin,
            syntax.call,
            *syntax.before,
            syntax.prefix + "NAME",
            *syntax.after,
            "ARGUMENTS",
            *syntax.close,
        ]
        lines = ["## Tools\nYou can call these tools:"]
        for tool in tools:
            schema = json.dumps(tool.parameters, ensure_ascii=False)
            lines.append(f"### {tool.name}\nDescription: {tool.description}\n\nParameters: {schema}")
        lines.append("To call one, write exactly this, with its name and a JSON object that its parameters allow:\n")
        form = (ControlToken(text) if text in self._control else text for text in (*shown, syntax.end))
        return Composed("\n\n".join(lines), *form)


class _Reader(CallReader):
    def __init__(self, tools: Sequence[Tool], syntax: NamedSyntax) -> None:
        super().__init__(tools, (syntax.begin,))
        self._syntax = syntax

    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """All calls up to the end of the section."""
        syntax = self._syntax
        yield from self.literal((syntax.call,), (yield from self.space()))
        while True:
            char = yield from self._call()
            for texts in (*((text.strip(),) for text in syntax.close), (syntax.call, syntax.end)):
                found = yield from self.maybe(texts, (yield from self.space(char)))
                if not found:
                    return
                self.drop()
                char = " "
            if found == syntax.end:
                return

    def _call(self) -> Chars:
        """From the name to the end of the arguments; returns the character after them."""
        syntax = self._syntax
        char = yield from self.next()
        if syntax.identified:
            _, char = yield from self._word(char)
        for text in syntax.before:
            yield from self.literal((text,), char)
            char = yield from self.next()
        name, char = yield from self._word(char)
        if name not in self.tools:
            name = name.removeprefix(syntax.prefix)
        if name not in self.tools:
            raise NotACall
        if syntax.numbered and char == ":":
            char = yield from self.next()
            while char != END and char in "0123456789":
                char = yield from self.next()
        for text in map(str.strip, syntax.after):
            yield from self.literal((text,), (yield from self.space(char)))
            char = " "
        char = yield from self.space()
        if char != "{":
            raise NotACall
        self.announce(name)
        char = yield from self.arguments(char)
        self.settle(char)
        return char

    def _word(self, char: str) -> Generator[None, str, tuple[str, str]]:
        word = ""
        while char != END and char in _NAME_CHARS and len(word) <= _LONGEST_NAME:
            word += char
            char = yield from self.next()
        return word, char


def _numbered(messages: Sequence[Message], make_id: Callable[[str, int], str]) -> list[Message]:
    """The same with ids of calls, and of their results, that name the tool and count on through the conversation."""
    result, ids = [], dict[object, str]()
    count = 0
    for message in messages:
        copy = dict(message)
        calls = []
        for call in copy.get("tool_calls", ()):
            new = make_id(call["function"]["name"], count)
            ids[call.get("id")] = new
            calls.append({**call, "id": new})
            count += 1
        if calls:
            copy["tool_calls"] = calls
        if copy["role"] == "tool" and copy.get("tool_call_id") in ids:
            copy["tool_call_id"] = ids[copy["tool_call_id"]]
        result.append(copy)
    return result
