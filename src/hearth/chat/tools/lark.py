"""Grammars of answers that may hold calls, in llguidance's Lark (its docs/syntax.md).

What the reader of a format would take for a call is one by its grammar: a marker in free text, as a control token or
spelled out in characters, is always followed by calls of known tools with arguments that follow their schemas.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from hearth.chat.tools.schema import arguments_schema, json_rule
from hearth.chat.tools.types import Choice, Tool

MAX_CALLS = 16  # in one answer, so that a small model comes to an end
_MAX_BITS = 64  # things that llguidance can tell apart in any order; those after them have their order
BLANK = r"blank: /[ \n]{1,2}/"  # models put it beside their tags, and after all
MORE_CALLS = f"{{0,{MAX_CALLS - 1}}}"
ANY = "/(?s:.*)/"


def quoted(text: str) -> str:
    """A string of a grammar."""
    return json.dumps(text)


def pattern(text: str) -> str:
    """Text as part of a regular expression between slashes."""
    return "".join(char if char.isalnum() or char in "_ " else f"\\x{{{ord(char):x}}}" for char in text)


class Markers:
    """Markers as a grammar names them: control tokens by id where the vocabulary has them, else text."""

    def __init__(self, control: Mapping[str, int]) -> None:
        self._control = control

    def __call__(self, text: str) -> str:
        """One marker."""
        return f"<[{self._control[text]}]>" if text in self._control else quoted(text)

    def is_token(self, text: str) -> bool:
        """Whether it is a control token."""
        return text in self._control

    def after_text(self, texts: Sequence[str]) -> str:
        """Rules `opening`: any text, then one of some markers."""
        ways, rules = [], [f"ANY: {ANY}"]
        for i, text in enumerate(texts):
            if text in self._control:
                ways.append(f"ANY {self(text)}")
            ways.append(f"spelled_{i}")
            rules.append(f"spelled_{i}[lazy]: SPELLED_{i}")
            rules.append(f"SPELLED_{i}: /(?s:.*){pattern(text)}/")
        return "\n".join([f"opening: {' | '.join(ways)}", *rules])


class End(NamedTuple):
    """Where free text ends.

    Attributes:
        text: the regular expression at which it does, for the reader would begin to read something else there.
        then: the rule of what follows on that.
        at_line: it does so at the beginning of a line only.
    """

    text: str
    then: str
    at_line: bool = False


def free_text(rule: str, ends: Sequence[End], *, tokens: Sequence[tuple[str, str]] = (), but: str = "") -> list[str]:
    """Rules for text up to the end of the answer, or to where something else begins.

    Args:
        tokens: control tokens that end it, and the rules of what follows on these.
        but: with what the text may not begin; "" for the beginning of an answer, where a line begins as well.
    """
    terminal, not_so = rule.upper(), f" & ~/({but})(?s:.*)/" if but else ""
    line = r"(?s:.*)\n[ \t\r]*" if but else r"((?s:.*)\n)?[ \t\n\r]*"
    ways = [f"{terminal}?", *(f"{terminal}? {token} {then}" for token, then in tokens)]
    rules = [f"{terminal}: {ANY}{not_so}"]
    for i, end in enumerate(ends):
        ways.append(f"{rule}_{i} {end.then}")
        rules += lazy(f"{rule}_{i}", f"/{line if end.at_line else '(?s:.*)'}{end.text}/{not_so}")
    return [f"{rule}: {' | '.join(ways)}", *rules]


def lazy(rule: str, terminal: str) -> list[str]:
    """A rule for the shortest text that ends as a terminal does. Where it ends, no other terminal can go on."""
    return [f"{rule}[lazy]: {rule.upper()}", f"{rule.upper()}: {terminal}"]


def either(rule: str, tools: Sequence[Tool]) -> str:
    """A rule for one of those that are numbered as some tools are."""
    return f"{rule}: {' | '.join(f'{rule}_{i}' for i in range(len(tools)))}"


def arguments_rules(tools: Sequence[Tool]) -> list[str]:
    """Rules `arguments_0`, `arguments_1`, ...: JSON that follows the schemas of the tools."""
    return [f"arguments_{i}: {json_rule(arguments_schema(tool))}" for i, tool in enumerate(tools)]


def any_order(
    rule: str, items: Sequence[str], required: Collection[str], *, between: str = ""
) -> tuple[str, list[str]]:
    """Some rules in any order, each at most once and those that are required once: what names that, and its rules.

    Args:
        rule: a name for them.
        between: what stands between two of them.
    """
    if not items:
        return "", []
    items = sorted(items, key=lambda item: item not in required)  # those required have the lowest bits
    free, fixed = items[:_MAX_BITS], items[_MAX_BITS:]
    needed = min(len(required), _MAX_BITS)
    end = f'"" %if is_ones([0:{needed}])' if needed else '""'
    following = f"{rule}_next" if between else rule
    rules = []
    for name, before in ((rule, ""), (following, between))[: 2 if between else 1]:
        ways = (f"{before} {item} {following}::set_bit({bit}) %if bit_clear({bit})" for bit, item in enumerate(free))
        rules.append(f"{name}::_: " + "\n  | ".join([end, *ways]))
    rest = (f"({between} {item})" + "?" * (item not in required) for item in fixed)
    return " ".join([f"{rule}::0x0", *rest]), rules


def whole_answer(choice: Choice, begin: str, rules: Sequence[str]) -> str:
    """The grammar of an answer whose calls a marker begins.

    Args:
        begin: the marker, where no text stands before it.
        rules: `calls`, what comes after it; `opening`, text and then the marker; and what these are made of.
    """
    start = ["start: TEXT | opening calls", f"TEXT: {ANY}"] if choice.free else [f"start: {begin} calls"]
    return "\n".join([*start, *rules])


def callable_tools(tools: Sequence[Tool], choice: Choice) -> tuple[Tool, ...]:
    """Those that may be called."""
    return tuple(tool for tool in tools if choice.mode != "named" or tool.name == choice.name)
