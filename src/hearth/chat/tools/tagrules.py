"""Grammars of calls that are tags: rules for one function, its arguments in any order, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hearth.chat.tools.lark import Markers, any_order, lazy, pattern, quoted
from hearth.chat.tools.schema import json_rule, parameters_of
from hearth.chat.tools.tags import TagSyntax
from hearth.chat.tools.types import Tool
from hearth.chat.tools.values import Values, values_of

_JSON_BEGINS = {"object": r"\{", "array": r"\["}


class TagRules:
    """Rules for the calls of one syntax.

    Args:
        mark: names its control tokens.
    """

    def __init__(self, syntax: TagSyntax, mark: Markers) -> None:
        self._syntax = syntax
        self._mark = mark

    def function(self, tool: Tool, number: int) -> list[str]:
        """Rules `function_N`: a call from its name on."""
        syntax = self._syntax
        schema, properties = parameters_of(tool)
        required = set(schema.get("required", ()))
        rules, items = [], {name: f"p{number}_{i}" for i, name in enumerate(properties)}
        for name, rule in items.items():
            values = values_of(properties[name], schema)
            rules.append(f"{rule}: {self._key(name)} {rule}_value blank?")
            rules += self._value(f"{rule}_value", values, schema)
        parameters, order = any_order(f"all{number}", list(items.values()), [items[name] for name in required])
        body = f"name_{number} blank? {parameters} {self._mark(syntax.function_end)}"
        return [f"function_{number}: {body}", *self._name(f"name_{number}", tool.name), *order, *rules]

    def _name(self, rule: str, name: str) -> list[str]:
        end = self._syntax.name_end
        if not end or self._mark.is_token(end):
            return [f"{rule}: {quoted(name)} {self._mark(end) if end else ''}"]
        return lazy(rule, f"/{pattern(name)}{pattern(end)}/")

    def _key(self, name: str) -> str:
        """From the tag before an argument's name to what stands before its value."""
        syntax, mark = self._syntax, self._mark
        if not syntax.value_begin:
            return quoted(f"{syntax.parameter}{name}{syntax.key_end}")
        parts = mark(syntax.parameter), quoted(name), mark(syntax.key_end), "blank?", mark(syntax.value_begin)
        return " ".join(parts)

    def _value(self, rule: str, values: Values, root: Mapping[str, Any]) -> list[str]:
        """Rules for a value and the tag after it: on lines of its own where the syntax has that, or right between the
        tags."""
        typed = self._syntax.typed
        as_text, text_rules = self._text(rule, values)
        as_json, json_rules = self._json(rule, values, root)
        if typed is None:
            return [f"{rule}: {' | '.join([*as_text, *as_json])}", *text_rules, *json_rules]
        ways = [
            f"{quoted(mark)} ({' | '.join(ways)})" for mark, ways in zip(typed, (as_text, as_json), strict=True) if ways
        ]
        return [f"{rule}: {' | '.join(ways)}", *text_rules, *json_rules]

    def _text(self, rule: str, values: Values) -> tuple[list[str], list[str]]:
        """Ways of writing a text, and their rules."""
        ways: list[str] = []
        rules: list[str] = []
        any_text = values.text and values.length == (0, None)
        if not any_text:
            ways += self._bare(values.choices)
        if not values.text:
            return ways, rules
        end = pattern(self._syntax.value_end)
        others = _types(values.schemas) & _JSON_BEGINS.keys() if self._syntax.typed is None else set()
        begins = "|".join(_JSON_BEGINS[kind] for kind in sorted(others))
        no_json = rf" & ~/[ \t\n\r]*({begins})(?s:.*)/" if begins else ""
        for name, text in _texts(values.length, on_lines=self._syntax.on_lines).items():
            ways.append(f"{rule}_{name}")
            last = r"\n" if name == "lines" else ""
            if self._mark.is_token(self._syntax.value_end):
                terminal = f"{rule}_{name}".upper()
                rules.append(f"{rule}_{name}: {terminal} {self._mark(self._syntax.value_end)}")
                rules.append(f"{terminal}: /{text}/ & ~/(?s:.*){end}(?s:.*)/{no_json}")
            else:
                rules += lazy(f"{rule}_{name}", f"/{text}{end}/ & ~/(?s:.*){last}{end}(?s:.+)/{no_json}")
        return ways, rules

    def _json(self, rule: str, values: Values, root: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Ways of writing anything else, and their rules."""
        typed, end = self._syntax.typed is not None, self._mark(self._syntax.value_end)
        ways: list[str] = []
        rules: list[str] = []
        if not values.text or values.length != (0, None) or typed:
            ways += self._bare(values.words)
        shared = {key: root[key] for key in ("$defs", "definitions") if key in root}
        for i, schema in enumerate(values.schemas):
            if values.text and not typed and not _types([schema]) & _JSON_BEGINS.keys():
                continue  # any text will do
            if self._syntax.on_lines:
                ways.append(f'"\\n" {rule}_{i} "\\n" {end}')
            ways.append(f"{rule}_{i} {end}")
            rules.append(f"{rule}_{i}: {json_rule({**shared, **schema} if isinstance(schema, Mapping) else {})}")
        return ways, rules

    def _bare(self, words: Sequence[str] | Mapping[str, str]) -> list[str]:
        end = self._syntax.value_end
        if self._mark.is_token(end):
            return [f"{quoted(word)} {self._mark(end)}" for word in words]
        return [
            quoted(text)
            for word in words
            for text in ((f"\n{word}\n{end}",) if self._syntax.on_lines else ()) + (word + end,)
        ]


def _types(schemas: Sequence[Any]) -> set[str]:
    return {schema["type"] for schema in schemas if isinstance(schema, Mapping) and isinstance(schema.get("type"), str)}


def _texts(length: tuple[int, int | None], *, on_lines: bool) -> dict[str, str]:
    """Regular expressions of a text: on lines of its own, and beside its tag; or exactly."""
    low, high = length
    most = "" if high is None else high
    if not on_lines:
        return {"exact": rf"(?s:.){{{low},{most}}}"}
    lines = rf"\n(?s:.){{{low},{most}}}\n"
    inline = rf"[^\n](?s:.){{{max(low - 1, 0)},{'' if high is None else high - 1}}}" if high != 0 else ""
    if low:
        return {"lines": lines, "inline": inline}
    return {"lines": rf"({lines}|\n)", "inline": f"({inline})?" if inline else ""}
