"""Grammars of answers that may hold calls, in llguidance's Lark (its docs/syntax.md).

What the reader of a format would take for a call is one by its grammar: a marker in free text, as a control token or
spelled out in characters, is always followed by calls of known tools with arguments that follow their schemas.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from hearth.chat.tools.schema import arguments_schema, json_rule
from hearth.chat.tools.types import Choice, Tool

MAX_CALLS = 16  # in one answer, so that a small model comes to an end
MORE_CALLS = f"{{0,{MAX_CALLS - 1}}}"
_ANY = "/(?s:.*)/"


def quoted(text: str) -> str:
    """A string of a grammar."""
    return json.dumps(text)


def pattern(text: str) -> str:
    """Text as part of a regular expression between slashes."""
    return "".join(char if char.isalnum() or char in "_ " else f"\\x{ord(char):02x}" for char in text)


class Markers:
    """Markers as a grammar names them: control tokens by id where the vocabulary has them, else text."""

    def __init__(self, control: Mapping[str, int]) -> None:
        self._control = control

    def __call__(self, text: str) -> str:
        """One marker."""
        return f"<[{self._control[text]}]>" if text in self._control else quoted(text)

    def after_text(self, texts: Sequence[str], *, but: str = "") -> str:
        """Rules `opening`: any text, then one of some markers.

        Args:
            but: the rest of a terminal, which says what the text may not be.
        """
        ways, rules = [], [f"ANY: {_ANY}{but}"]
        for i, text in enumerate(texts):
            if text in self._control:
                ways.append(f"ANY {self(text)}")
            ways.append(f"spelled_{i}")
            rules.append(f"spelled_{i}[lazy]: SPELLED_{i}")
            rules.append(f"SPELLED_{i}: /(?s:.*){pattern(text)}/{but}")
        return "\n".join([f"opening: {' | '.join(ways)}", *rules])


def call_rules(tools: Sequence[Tool], one: Callable[[Tool, str], str]) -> str:
    """Rules `call`: a call of any of the tools.

    Args:
        one: the right side of a rule for one tool, given the name of the rule for its arguments.
    """
    rules = ["call: " + " | ".join(f"call_{i}" for i in range(len(tools)))]
    for i, tool in enumerate(tools):
        rules.append(f"call_{i}: {one(tool, f'arguments_{i}')}")
        rules.append(f"arguments_{i}: {json_rule(arguments_schema(tool))}")
    return "\n".join(rules)


def call_list(*, parallel: bool, before: str = "") -> str:
    """Rule `calls`: a JSON list of calls."""
    more = f'(", " call){MORE_CALLS}' if parallel else ""
    return f'calls: {before} "[" call {more} "]"'


def named_object(key: str) -> Callable[[Tool, str], str]:
    """For `call_rules`: `{"name": ..., KEY: ...}`, spaced as Python and the templates' `tojson` do."""

    def one(tool: Tool, arguments: str) -> str:
        begin = f'{{"name": "{tool.name}", "{key}": '
        return " ".join([quoted(begin), arguments, quoted("}")])

    return one


def whole_answer(choice: Choice, *, must: str, may: Sequence[str], rules: Sequence[str], but: str = "") -> str:
    """The grammar of an answer.

    Args:
        must: what begins calls that must come; "" for nothing.
        may: ways to begin calls that may come; "" for nothing.
        rules: `calls`, which come after the beginning, and what else is used.
        but: the rest of a terminal, which says what an answer without calls may not be.
    """
    if choice.mode in ("required", "named"):
        start = [f"start: {must} calls"]
    else:
        start = ["start: " + " | ".join(["TEXT", *(f"{way} calls" for way in may)]), f"TEXT: {_ANY}{but}"]
    return "\n".join([*start, *rules])


def no_call_at_start(tools: Sequence[Tool], starts: Sequence[str]) -> str:
    """The rest of a terminal: but not what begins with one of some texts, and then as the call of a tool does."""
    space = "[ \\t\\n\\r]*"
    begins = "|".join(pattern(start.removesuffix("{")) for start in starts)
    names = "|".join(pattern(tool.name) for tool in tools)
    return f' & ~/{space}({begins}){space}\\{{{space}"name"{space}:{space}"({names})"(?s:.*)/'


def callable_tools(tools: Sequence[Tool], choice: Choice) -> tuple[Tool, ...]:
    """Those that may be called."""
    return tuple(tool for tool in tools if choice.mode != "named" or tool.name == choice.name)
