"""Families that call as Python does, between two tags: LFM2 in a list, OLMo 3 a call a line.

    <|tool_call_start|>[get_weather(city="Paris"), get_time()]<|tool_call_end|>
    <function_calls>
    get_weather(city="Paris")
    </function_calls>

Sources: Liquid AI's documentation (docs.liquid.ai, "Tool use") and the chat templates of LFM2 and LFM2.5; the chat
template of OLMo 3, and vLLM's description of its calls (docs.vllm.ai, olmo3).
"""

from __future__ import annotations

import json
import keyword
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearth.chat.literal import Composed, ControlToken
from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized
from hearth.chat.tools.lark import (
    BLANK,
    MORE_CALLS,
    Markers,
    any_order,
    callable_tools,
    either,
    pattern,
    quoted,
    whole_answer,
)
from hearth.chat.tools.pycalls import PythonCallReader
from hearth.chat.tools.repair import completed_object
from hearth.chat.tools.schema import apart, json_rule, parameters_of
from hearth.chat.tools.types import Choice, Tool, ToolParser
from hearth.chat.tools.values import values_of

_TEXT = r"/'[^'\\\n\r\x00]*'/"  # in single quotes: what needs no escapes


@dataclass(frozen=True)
class PythonSyntax:
    """What stands around the calls.

    Attributes:
        listed: they are a list; else each has its line.
    """

    name: str
    begin: str
    end: str
    listed: bool


LFM2 = PythonSyntax("lfm2", "<|tool_call_start|>", "<|tool_call_end|>", listed=True)
OLMO_3 = PythonSyntax("olmo3", "<function_calls>", "</function_calls>", listed=False)


class Pythonic:
    """For templates that write calls so; a `ToolFormat`.

    Args:
        syntax: of the family.
        control: text -> id of the model's control tokens.
    """

    def __init__(self, syntax: PythonSyntax, control: Mapping[str, int] | None = None) -> None:
        self.name = syntax.name
        self.markers = (syntax.begin, syntax.end)
        self.begins = (syntax.begin,)
        self.opens = ("[",) if syntax.listed else ()
        self._syntax = syntax
        self._control = control or {}
        self._mark = Markers(self._control)

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        syntax, chosen = self._syntax, callable_tools(tools, choice)
        between = "/, ?/" if syntax.listed else r"/\n/"
        more = f"({between} call){MORE_CALLS}" if parallel else ""
        calls = f'"[" call {more} "]"' if syntax.listed else f"call {more}"
        rules = [f"calls: blank? {calls} blank? {self._mark(syntax.end)} blank?", BLANK, either("call", chosen)]
        for i, tool in enumerate(chosen):
            rules += _call_rules(f"call_{i}", tool)
        if choice.free:
            rules.append(self._mark.after_text([syntax.begin]))
        return whole_answer(choice, self._mark(syntax.begin), rules)

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """What a schema says of several arguments together, and arguments that Python could not name."""
        _, properties = parameters_of(tool)
        odd = [name for name in properties if not _is_name(name)]
        why = "this model calls as Python does, which has no such name for an argument"
        return (*apart(tool, place), *(Gap(f"{place}.properties.{name}", why) for name in odd))

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        return _Reader(tools, self._syntax)

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """The template takes OpenAI's form, with arguments as objects."""
        return normalized(messages)

    def write(self, calls: Sequence[Message]) -> str:
        """Calls as a model writes them."""
        syntax = self._syntax
        texts = list(map(_written, calls))
        text = f"[{', '.join(texts)}]" if syntax.listed else "\n".join(["", *texts, ""])
        parts = (ControlToken(part) if part in self._control else part for part in (syntax.begin, text, syntax.end))
        return Composed(*parts)

    def describe(self, tools: Sequence[Tool]) -> str:
        """Nothing: the template tells of the tools."""
        return ""


class _Reader(PythonCallReader):
    def __init__(self, tools: Sequence[Tool], syntax: PythonSyntax) -> None:
        super().__init__(tools, (syntax.begin,))
        self._syntax = syntax

    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """All calls up to the end tag."""
        char = yield from self.space()
        in_list = char == "["
        if in_list:
            char = yield from self.space()
        while True:
            char = yield from self.python_call(char, bare=False)
            if char == "," or (not in_list and (char.isalpha() or char == "_")):
                if char == ",":
                    self.drop()
                    char = yield from self.space()
                continue
            if in_list and char == "]":
                self.drop()
                char = yield from self.space()
            yield from self.closing((self._syntax.end,), char)
            return


def _call_rules(rule: str, tool: Tool) -> list[str]:
    """Rules for a call: each argument by its name, in any order."""
    schema, properties = parameters_of(tool)
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    rules, items = [], {name: f"{rule}_{number}" for number, name in enumerate(properties) if _is_name(name)}
    for name, item in items.items():
        inner = properties[name]
        values = values_of(inner, schema)
        ways = [json_rule({**shared, **inner} if isinstance(inner, Mapping) else {})]
        rules.append(f"{item}: /{pattern(name)}=/ {item}_value")
        words = [word for word in values.words if word[0].isupper()]
        others = [*map(quoted, words), *(quoted(f"'{one}'") for one in values.choices if _is_plain(one))]
        if values.text and values.length == (0, None):
            others.append(_TEXT)
        rules.append(f"{item}_json: {ways[0]}")
        rules.append(f"{item}_value: {' | '.join([f'{item}_json', *others])}")
    required = [items[name] for name in schema.get("required", ()) if name in items]
    arguments, order = any_order(f"{rule}_all", list(items.values()), required, between="/, ?/")
    return [f'{rule}: {quoted(tool.name + "(")} {arguments} ")"', *order, *rules]


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _is_plain(text: str) -> bool:
    return not any(char in "'\\" or char < " " for char in text)


def _written(call: Message) -> str:
    function = call["function"]
    arguments = function["arguments"]
    values = arguments if isinstance(arguments, Mapping) else completed_object(arguments)
    return f"{function['name']}({', '.join(f'{key}={_literal(value)}' for key, value in values.items())})"


def _literal(value: Any) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            pairs = (f"{json.dumps(key, ensure_ascii=False)}: {_literal(inner)}" for key, inner in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list():
            return "[" + ", ".join(map(_literal, value)) + "]"
        case _:
            return repr(value)
