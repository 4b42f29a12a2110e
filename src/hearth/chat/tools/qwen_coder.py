"""Qwen 3 Coder, Qwen 3.5 and their kin: calls as tags, values as they are.

    <tool_call>
    <function=get_weather>
    <parameter=city>
    Paris
    </parameter>
    </function>
    </tool_call>

A string stands there without quotes and escapes, anything else as JSON. Source: the format that the chat template of
Qwen3-Coder-30B-A3B-Instruct describes to the model.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from hearth.chat.tools.history import Message, normalized
from hearth.chat.tools.jsonscan import JsonScanner
from hearth.chat.tools.lark import MORE_CALLS, Markers, callable_tools, pattern, quoted, whole_answer
from hearth.chat.tools.reader import END, CallReader, NotACall, in_string
from hearth.chat.tools.repair import completed_object
from hearth.chat.tools.schema import ANNOTATIONS, arguments_schema, json_rule
from hearth.chat.tools.types import Choice, Tool, ToolParser
from hearth.errors import UsageError

_BEGIN, _END = "<tool_call>", "</tool_call>"
_VALUE_END = "\n</parameter>"


class QwenCoder:
    """For templates that write `<function=...>` and `<parameter=...>`; a `ToolFormat`.

    Args:
        control: text -> id of the model's control tokens.
    """

    name = "qwen-coder"
    markers = (_BEGIN, _END)

    def __init__(self, control: Mapping[str, int] | None = None) -> None:
        self._mark = Markers(control or {})

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas."""
        begin, end = self._mark(_BEGIN), self._mark(_END)
        chosen = callable_tools(tools, choice)
        more = f'("\\n" {begin} block){MORE_CALLS}' if parallel else ""
        rules = [f"calls: block {more}", f'block: "\\n" call "</function>\\n" {end}']
        rules.append("call: " + " | ".join(f"call_{i}" for i in range(len(chosen))))
        for i, tool in enumerate(chosen):
            rules += _tool_rules(tool, i)
        if choice.free:
            rules.append(self._mark.after_text([_BEGIN]))
        return whole_answer(choice, begin, rules)

    def parser(self, tools: Sequence[Tool]) -> ToolParser:
        """For one answer."""
        return _Reader(tools, [_BEGIN])

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
    parameters = "".join(f"<parameter={key}>\n{text}{_VALUE_END}\n" for key, text in texts)
    return f"{_BEGIN}\n<function={function['name']}>\n{parameters}</function>\n{_END}"


def _tool_rules(tool: Tool, number: int) -> list[str]:
    schema = arguments_schema(tool)
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    combined = sorted({"allOf", "anyOf", "oneOf", "not", "if", "minProperties"} & schema.keys())
    if combined or required - properties.keys():
        what = combined[0] if combined else f"required {sorted(required - properties.keys())[0]!r}"
        raise UsageError(
            f"The tool {tool.name!r}: parameters: {what} is not supported with this model.",
            why="It writes each argument by itself.",
        )
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    steps, rules = [], []
    for i, (name, inner) in enumerate(properties.items()):
        rule = f"p{number}_{i}"
        steps.append(rule if name in required else f"{rule}?")
        begin = quoted(f"<parameter={name}>\n")
        if is_text(inner):
            rules.append(f"{rule}: {begin} {rule}_text")
            rules.append(f"{rule}_text[lazy]: /(?s:.*){pattern(_VALUE_END)}\\n/")
        elif isinstance(inner, Mapping) and _is_choice(inner):
            values = " | ".join(quoted(value + _VALUE_END + "\n") for value in inner["enum"])
            rules.append(f"{rule}: {begin} ({values})")
        else:
            whole = {**shared, **inner} if isinstance(inner, Mapping) else inner
            value = json_rule(whole) if isinstance(whole, Mapping) else json_rule({})
            rules += [f"{rule}: {begin} {rule}_json {quoted(_VALUE_END + chr(10))}", f"{rule}_json: {value}"]
    return [f"call_{number}: {quoted(f'<function={tool.name}>' + chr(10))} {' '.join(steps)}", *rules]


def is_text(schema: object) -> bool:
    """Whether values are any text, and so stand without quotes."""
    return isinstance(schema, Mapping) and schema.get("type") == "string" and not schema.keys() - ANNOTATIONS


def _is_choice(schema: Mapping[str, Any]) -> bool:
    """Whether values are one of some texts."""
    values = schema.get("enum")
    plain = not schema.keys() - ANNOTATIONS - {"enum"} and schema.get("type", "string") == "string"
    return plain and isinstance(values, list) and all(isinstance(value, str) and value for value in values)


class _Reader(CallReader):
    def read_calls(self, marker: str) -> Generator[None, str, None]:
        """One call; others have their own markers."""
        yield from self.literal(("<function=",), (yield from self.space()))
        name = yield from self._name()
        if name not in self.tools:
            raise NotACall
        properties = self.tools[name].parameters.get("properties", {})
        self.announce(name)
        self.pass_on("{")
        seen: set[str] = set()
        while True:
            found = yield from self.literal(("<parameter=", "</function>"), (yield from self.space()))
            if found == "</function>":
                break
            key = yield from self._name()
            if key in seen:
                raise NotACall
            self.pass_on((", " if seen else "") + json.dumps(key, ensure_ascii=False) + ": ")
            seen.add(key)
            schema = properties.get(key)
            text = is_text(schema) or (isinstance(schema, Mapping) and _is_choice(schema))
            yield from self._value(text=text)
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

    def _value(self, *, text: bool) -> Generator[None, str, None]:
        """Between line ends, up to the closing tag. Text is passed on as it comes, else the whole value decides."""
        if (yield from self.next()) != "\n":
            raise NotACall
        if text:
            self.pass_on('"')
        value = begun = ""
        while begun != _VALUE_END:
            char = yield from self.next()
            if char == END:
                self.pass_on(in_string(begun) if text else value + begun)
                raise NotACall
            begun += char
            while not _VALUE_END.startswith(begun):
                if text:
                    self.pass_on(in_string(begun[0]))
                else:
                    value += begun[0]
                begun = begun[1:]
        self.pass_on('"' if text else _as_json(value))


def _as_json(value: str) -> str:
    """The value where it is JSON, else as a string."""
    scanner = JsonScanner()
    taken = all(scanner.push(char) for char in value)
    scanner.finish()
    return value if taken and scanner.done else json.dumps(value, ensure_ascii=False)
