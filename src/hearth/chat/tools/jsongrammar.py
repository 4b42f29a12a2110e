"""Grammars of calls written as JSON objects with a name and arguments: rules in llguidance's Lark.

What stands around the arguments may be spaced as pretty-printers do it, name them either way, and have an `id` or a
`type`. Where no marker tells a call from other JSON, an object that begins a line with the name of a tool is one; text
that begins like such a call, but does not go on as one, cannot be written, since it would be read as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hearth.chat.tools.jsoncalls import FENCE, FENCE_WORDS, KEYS, CallKeys, JsonSyntax
from hearth.chat.tools.lark import (
    BLANK,
    MORE_CALLS,
    End,
    Markers,
    any_order,
    arguments_rules,
    either,
    free_text,
    lazy,
    pattern,
)
from hearth.chat.tools.schema import arguments_schema, json_rule
from hearth.chat.tools.types import Tool

_GAP = r"( |\n {0,8})?"  # between two parts of an object
_TYPE = rf'"type":{_GAP}"function",{_GAP}'
_ARGUMENTS = '"(arguments|parameters)":'
_WORDS = "|".join(FENCE_WORDS)
# Up to the name as the reader takes it, which is more than what models write:
_SPACE = r"[ \t\n\r]*"
_NAMED = rf'{_SPACE}("type"{_SPACE}:{_SPACE}"function"{_SPACE},{_SPACE})?"name"{_SPACE}:{_SPACE}'
_PRINTED = rf"(print{_SPACE}\({_SPACE})?"


def call_rules(tools: Sequence[Tool], *, wrapped: bool = True, keys: CallKeys = KEYS) -> list[str]:
    """Rules `call`: an object of any of the tools, as it stands after a marker or another object.

    Args:
        wrapped: OpenAI's form around it is possible, `{"type": "function", "function": {...}}`.
        keys: of the object.
    """
    own_id = rf'"{keys.id}":{_GAP}"[a-zA-Z0-9_-]{{1,64}}"'
    first = f"({own_id},{_GAP})?" if keys.id_first else ""
    last = "" if keys.id_first else f"({_GAP},{_GAP}{own_id})?"
    rules = [either("call", tools), r"gap: / |\n {0,8}/", BLANK, rf"END: /{last}{_GAP}\}}/"]
    for i, tool in enumerate(tools):
        named = rf'{first}"{keys.name}":{_GAP}"{pattern(tool.name)}",{_GAP}{_ARGUMENTS}'
        arguments = f"arguments_{i}" if tool.parameters.get("required") else f'(arguments_{i} | "null")'
        ways = [rf"/\{{{_GAP}({_TYPE})?{named}/ gap? {arguments} END"]
        if wrapped:
            inner = rf'\{{{_GAP}{_TYPE}"function":{_GAP}\{{{_GAP}{named}'
            ways.append(rf"/{inner}/ gap? {arguments} /{_GAP}\}}{_GAP}\}}/")
        rules.append(f"call_{i}: {' | '.join(ways)}")
    return rules + arguments_rules(tools)


def call_list(*, parallel: bool) -> str:
    """The right side of a rule for a JSON list of calls."""
    more = rf"(/,{_GAP}/ call){MORE_CALLS}" if parallel else ""
    return rf"/\[{_GAP}/ call {more} /{_GAP}\]/"


class BareCalls:
    """Rules for calls that no marker begins: they begin a line, as an object or in a fenced block.

    Free text stops wherever a line begins with a brace or a fence. Then a call may follow, or text that does not go on
    as the beginning of one. So the names of tools are told apart only there, and the expressions stay small.

    Args:
        tools: those that may be called.
        syntax: of the family.
        parallel: whether there may be several.
    """

    def __init__(self, tools: Sequence[Tool], syntax: JsonSyntax, *, parallel: bool) -> None:
        self._tools = tools
        self._syntax = syntax
        self._names = "|".join(pattern(tool.name) for tool in tools)
        more = r"(/; ?|;?\n{1,2}/ call)" + MORE_CALLS if parallel else '""'
        self._rules = [f"more: {more}", rf"close: /\n?{FENCE}/"]
        following = rf"(/,{_GAP}/ call){MORE_CALLS}" if parallel else ""
        self._rest_of_list = rf"{following} /{_GAP}\]/"

    def required(self) -> list[str]:
        """Rules `begin`: calls alone."""
        if not self._syntax.fenced:
            return ["begin: call more blank?", *self._rules]
        fenced = rf"(fence (call more | /\[{_GAP}/ call {self._rest_of_list}) | python) close?"
        fence = rf"{FENCE}({_WORDS})\n"
        return [f"begin: (call more | {fenced}) blank?", f"fence: /{fence}/", *self._python(fence), *self._rules]

    def free(self, mark: Markers) -> list[str]:
        """Rules `begin`: text, calls, or both.

        Args:
            mark: names the markers, after which rule `calls` comes.
        """
        fenced, markers = self._syntax.fenced, self._syntax.markers
        ends = [End(r"\{", "in_object", at_line=True), *(End(pattern(marker), "calls") for marker in markers)]
        ends += [End(FENCE, "in_fence", at_line=True)] * fenced
        tokens = [(mark(marker), "calls") for marker in markers if mark.is_token(marker)]
        rules = [*self._rules, *self._objects("object", _NAMED)]
        rules += free_text("begin", ends, tokens=tokens)
        rules.append(f"in_object: object more {'close?' if fenced else ''} blank? | after_object")
        rules += free_text("after_object", ends, tokens=tokens, but=f'{_NAMED}"({self._names})"')
        if fenced:
            word = f"({_WORDS}){_SPACE}"
            listed = rf"\[{_SPACE}\{{{_NAMED}"
            rules += [*self._objects("listed", word + listed), *self._python(word)]
            rules.append(f"in_fence: (listed {self._rest_of_list} | python) close? blank? | after_fence")
            calls = rf'(\{{{_NAMED}|{listed})"({self._names})"|{_PRINTED}({self._names}){_SPACE}\('
            rules += free_text("after_fence", ends, tokens=tokens, but=f"{word}({calls})")
        return rules

    def _objects(self, rule: str, before: str) -> list[str]:
        """Rules for an object from its brace on, or from what stands before the name of the tool."""
        rules = [either(rule, self._tools)]
        for i, tool in enumerate(self._tools):
            rules.append(f"{rule}_{i}: {rule}_name_{i} /,{_GAP}{_ARGUMENTS}/ gap? arguments_{i} END")
            rules += lazy(f"{rule}_name_{i}", f'/{before}"{pattern(tool.name)}"/')
        return rules

    def _python(self, before: str) -> list[str]:
        """Rules for a call as Python writes it, each argument by its name and in JSON."""
        rules = [either("python", self._tools)]
        for i, tool in enumerate(self._tools):
            names, required, keywords = _keywords(f"keyword_{i}", tool)
            arguments, order = any_order(f"keywords_{i}", names, required, between="/, ?/")
            rules += [rf"python_{i}: called_{i} {arguments} /\)\)?/", *order, *keywords]
            rules += lazy(f"called_{i}", rf"/{before}{_PRINTED}{pattern(tool.name)}{_SPACE}\(/")
        return rules


def _keywords(rule: str, tool: Tool) -> tuple[list[str], list[str], list[str]]:
    """Rules for the arguments of a tool, `name=value`: the names of all, of those that are required, and the rules."""
    schema = arguments_schema(tool)
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    rules = []
    items = {name: f"{rule}_{number}" for number, name in enumerate(schema.get("properties", {}))}
    for name, item in items.items():
        inner = schema["properties"][name]
        value = {**shared, **inner} if isinstance(inner, Mapping) else {}
        rules += [f"{item}: /{pattern(name)} ?= ?/ {item}_value", f"{item}_value: {json_rule(value)}"]
    return list(items.values()), [items[name] for name in schema.get("required", ()) if name in items], rules
