"""Qwen 3 Coder, Qwen 3.5 and their kin: calls as tags, values as they are.

    <tool_call>
    <function=get_weather>
    <parameter=city>
    Paris
    </parameter>
    </function>
    </tool_call>

A string stands there without quotes and escapes, anything else as JSON. Source: the format that the chat template of
Qwen3-Coder-30B-A3B-Instruct describes to the model. Models also leave the first tag out, or write a parameter in one
line (llama.cpp, tests/test-chat.cpp, has cases of both).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from hearth.chat.structured_rules import Gap
from hearth.chat.tools.history import Message, normalized
from hearth.chat.tools.lark import (
    BLANK,
    MORE_CALLS,
    End,
    Markers,
    any_order,
    callable_tools,
    either,
    free_text,
    lazy,
    pattern,
    quoted,
)
from hearth.chat.tools.reader import END, CallReader, NotACall, in_string
from hearth.chat.tools.repair import completed_object
from hearth.chat.tools.schema import arguments_schema, json_rule
from hearth.chat.tools.types import Choice, Tool, ToolParser
from hearth.chat.tools.values import Values, values_of

# Keywords about several arguments together.
_JOINING = ("allOf", "anyOf", "oneOf", "$ref", "minProperties", "maxProperties", "patternProperties")
_BEGIN, _END = "<tool_call>", "</tool_call>"
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _VALUE_END = "<parameter=", "</parameter>"


class QwenCoder:
    """For templates that write `<function=...>` and `<parameter=...>`; a `ToolFormat`.

    Args:
        control: text -> id of the model's control tokens.
    """

    name = "qwen-coder"
    markers = (_BEGIN, _END)
    begins = (_BEGIN,)
    opens = (_FUNCTION,)

    def __init__(self, control: Mapping[str, int] | None = None) -> None:
        self._mark = Markers(control or {})

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        begin, end = self._mark(_BEGIN), self._mark(_END)
        chosen = callable_tools(tools, choice)
        names = "|".join(pattern(tool.name) for tool in chosen)
        rules = [
            BLANK,
            f"calls: blank? {quoted(_FUNCTION)} function more blank?",
            f"more: (blank? {end} (blank? {begin} blank? {quoted(_FUNCTION)} function blank? {end}){MORE_CALLS})?"
            if parallel
            else f"more: (blank? {end})?",
            either("function", chosen),
        ]
        for i, tool in enumerate(chosen):
            rules += _function_rules(tool, i)
        if not choice.free:
            return "\n".join([f"start: {begin} calls", *rules])
        ends = [End(pattern(_BEGIN), "calls"), End(pattern(_FUNCTION), "in_function", at_line=True)]
        tokens = [(begin, "calls")] if self._mark.is_token(_BEGIN) else []
        rules += free_text("begin", ends, tokens=tokens)
        rules.append("in_function: function more blank? | after_function")
        rules += free_text("after_function", ends, tokens=tokens, but=f"({names})>")
        return "\n".join(["start: begin", *rules])

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """What a schema says of several arguments together: each is written by itself."""
        schema, _ = _parameters(tool)
        why = "this model writes each argument by itself"
        return tuple(Gap(f"{place}.{key}", why) for key in schema if key in _JOINING)

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer."""
        return _Reader(tools, (_BEGIN,), () if marked else (_FUNCTION,))

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[Message]:
        """The template takes OpenAI's form, with arguments as objects, and writes values in its own way."""
        return normalized(messages)

    def write(self, calls: Sequence[Message]) -> str:
        """Calls as a model writes them."""
        return "\n".join(map(_written, calls))

    def describe(self, tools: Sequence[Tool]) -> str:
        """Nothing: the template tells of the tools."""
        return ""


def _written(call: Message) -> str:
    function = call["function"]
    arguments = function["arguments"]
    values = arguments if isinstance(arguments, Mapping) else completed_object(arguments)
    texts = ((key, v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)) for key, v in values.items())
    parameters = "".join(f"{_PARAMETER}{key}>\n{text}\n{_VALUE_END}\n" for key, text in texts)
    return f"{_BEGIN}\n{_FUNCTION}{function['name']}>\n{parameters}{_FUNCTION_END}\n{_END}"


def _parameters(tool: Tool) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The schema of a tool's arguments, and that of each, since each is written by itself. One that is required and
    not described may be anything."""
    schema = arguments_schema(tool)
    properties = {name: inner for name, inner in schema.get("properties", {}).items() if inner is not False}
    others = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        properties.setdefault(name, others)
    return schema, properties


def _function_rules(tool: Tool, number: int) -> list[str]:
    """Rules `function_N`: a call from its name on."""
    schema, properties = _parameters(tool)
    required = set(schema.get("required", ()))
    rules, items = [], {name: f"p{number}_{i}" for i, name in enumerate(properties)}
    for name, rule in items.items():
        values = values_of(properties[name], schema)
        rules.append(f"{rule}: {quoted(f'{_PARAMETER}{name}>')} {rule}_value blank?")
        rules += _value_rules(f"{rule}_value", values, schema)
    parameters, order = any_order(f"all{number}", list(items.values()), [items[name] for name in required])
    body = f"name_{number} blank? {parameters} {quoted(_FUNCTION_END)}"
    return [f"function_{number}: {body}", *lazy(f"name_{number}", f"/{pattern(tool.name)}>/"), *order, *rules]


def _value_rules(rule: str, values: Values, root: Mapping[str, Any]) -> list[str]:
    """Rules for a value and the tag after it: on lines of its own, or right between the tags."""
    end = pattern(_VALUE_END)
    ways, rules = [], []
    if values.text:
        ways += [f"{rule}_lines", f"{rule}_inline"]
        lines, inline = _text_terminals(values.length)
        json_begins = "|".join(_JSON_BEGINS[kind] for kind in sorted(_types(values.schemas) & _JSON_BEGINS.keys()))
        no_json = rf" & ~/[ \t\n\r]*({json_begins})(?s:.*)/" if json_begins else ""
        rules += lazy(f"{rule}_lines", f"/{lines}{end}/ & ~/(?s:.*)\\n{end}(?s:.+)/{no_json}")
        rules += lazy(f"{rule}_inline", f"/{inline}{end}/ & ~/(?s:.*){end}(?s:.+)/{no_json}")
    if not values.text or values.length != (0, None):
        words = [*values.choices, *values.words]
        ways += [quoted(text) for word in words for text in (f"\n{word}\n{_VALUE_END}", word + _VALUE_END)]
    shared = {key: root[key] for key in ("$defs", "definitions") if key in root}
    for i, schema in enumerate(values.schemas):
        if values.text and not _types([schema]) & _JSON_BEGINS.keys():
            continue  # any text will do
        ways.append(f'"\\n" {rule}_{i} {quoted(chr(10) + _VALUE_END)} | {rule}_{i} {quoted(_VALUE_END)}')
        rules.append(f"{rule}_{i}: {json_rule({**shared, **schema} if isinstance(schema, Mapping) else {})}")
    return [f"{rule}: {' | '.join(ways)}", *rules]


_JSON_BEGINS = {"object": r"\{", "array": r"\["}


def _types(schemas: Sequence[Any]) -> set[str]:
    return {schema["type"] for schema in schemas if isinstance(schema, Mapping) and isinstance(schema.get("type"), str)}


def _text_terminals(length: tuple[int, int | None]) -> tuple[str, str]:
    """Regular expressions of a text on lines of its own, and of one that begins beside its tag."""
    low, high = length
    most = "" if high is None else high
    lines = rf"\n(?s:.){{{low},{most}}}\n"
    inline = rf"[^\n](?s:.){{{max(low - 1, 0)},{'' if high is None else high - 1}}}" if high != 0 else ""
    if low:
        return lines, inline
    return rf"({lines}|\n)", f"({inline})?" if inline else ""


class _Reader(CallReader):
    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One call; others have their own markers."""
        if marker == _BEGIN:
            yield from self.literal((_FUNCTION,), (yield from self.space()))
        name = yield from self._name()
        if name not in self.tools:
            raise NotACall
        schema = arguments_schema(self.tools[name])
        properties = schema.get("properties", {})
        self.announce(name)
        self.pass_on("{")
        seen: set[str] = set()
        while True:
            found = yield from self.literal((_PARAMETER, _FUNCTION_END), (yield from self.space()))
            if found == _FUNCTION_END:
                break
            key = yield from self._name()
            if key in seen:
                raise NotACall
            self.pass_on((", " if seen else "") + json.dumps(key, ensure_ascii=False) + ": ")
            seen.add(key)
            yield from self._value(values_of(properties.get(key, True), schema))
        self.pass_on("}")
        self.settle()
        yield from self.closing((_END,), (yield from self.space()))

    def _name(self) -> Generator[None, str, str]:
        """Up to the end of a tag."""
        name = ""
        while (char := (yield from self.next())) != ">":
            if char in (END, "\n", "<") or len(name) > 200:
                raise NotACall
            name += char
        return name

    def _value(self, values: Values) -> Generator[None, str, None]:
        """Up to the closing tag. What is certainly text is passed on as it comes, else the whole value decides."""
        char = yield from self.next()
        on_lines = char == "\n"  # then the line ends beside the tags are no part of it
        end = "\n" + _VALUE_END if on_lines else _VALUE_END
        value = begun = ""  # what came of the value and is held; of the closing tag
        passing = values.only_text
        if passing:
            self.pass_on('"')
        while True:
            begun += char
            while not end.startswith(begun):
                settled, begun = begun[0], begun[1:]
                if on_lines:
                    on_lines = False
                elif passing:
                    self.pass_on(in_string(settled))
                else:
                    value += settled
                    if values.text and not values.schemas and not values.begins_word(value):
                        passing = True
                        self.pass_on('"' + in_string(value))
            if begun == end:
                break
            if char == END:
                begun = begun[on_lines:]
                self.pass_on(in_string(begun) if passing else value + begun)
                raise NotACall
            char = yield from self.next()
        self.pass_on('"' if passing else values.json_of(value))
