"""What a tool is, which of them the model may call, and what a call is; checks of what callers pass in.

Tools come in OpenAI's form, `{"type": "function", "function": {"name", "description", "parameters"}}`. Everything in
them is a stranger's data: names go into prompts and grammars, schemas are compiled, so both are checked here.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hearth.chat.structured_rules import Gap
from hearth.errors import UsageError

MAX_TOOLS = 128
MAX_SCHEMA_CHARS = 64 << 10
MAX_ALL_CHARS = 512 << 10
MAX_DEPTH = 32
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
_TOOL_FIELDS = {"type", "function"}
_FUNCTION_FIELDS = {"name", "description", "parameters", "strict"}


@dataclass(frozen=True)
class Tool:
    """A function that the model may ask to be called.

    Attributes:
        name: letters, digits, `_`, `-` and `.`, at most 128.
        description: what it does, for the model; "" for none.
        parameters: JSON schema of its arguments, which are one object.
        strict: as given. Arguments always follow the schema, strict or not.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: _NO_PARAMETERS)
    strict: bool = False

    def for_template(self) -> dict[str, Any]:
        """In OpenAI's form, as chat templates know it."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class Choice:
    """Whether the model must call something.

    Attributes:
        mode: "none": it may not. "auto": it decides. "required": at least one tool. "named": just `name`.
        name: of the tool where the mode is "named", else "".
    """

    mode: Literal["none", "auto", "required", "named"] = "auto"
    name: str = ""

    @property
    def free(self) -> bool:
        """Whether an answer may be text."""
        return self.mode in ("auto", "none")


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asked for.

    Attributes:
        id: names this call; the result is sent back under it.
        arguments: JSON text of one object.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ToolCallDelta:
    """A piece of a streamed call. The first of each has no arguments yet, later ones have nothing but a piece of them.

    Attributes:
        index: which call of the answer, from 0.
        id, name: those of the call in its first piece, "" in later ones.
        arguments: all pieces together are the JSON text of one object.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class ToolParser(Protocol):
    """Tells calls from text in one streamed answer."""

    def push(self, text: str) -> list[str | ToolCallDelta]:
        """What this text settles: pieces of text, never empty, and pieces of calls, in order."""

    def finish(self) -> list[str | ToolCallDelta]:
        """What was held back, at the end of the answer."""


class ToolFormat(Protocol):
    """How a family of models writes calls.

    Attributes:
        name: of the format, for messages.
        markers: control tokens that belong to calls; the parser must see them as text.
        begins: texts of which each begins calls wherever it stands; some of the markers.
        opens: texts with one of which a call goes on after these, white space between them or not.
    """

    @property
    def name(self) -> str: ...

    @property
    def markers(self) -> tuple[str, ...]: ...

    @property
    def begins(self) -> tuple[str, ...]: ...

    @property
    def opens(self) -> tuple[str, ...]: ...

    def grammar(self, tools: Sequence[Tool], choice: Choice, *, parallel: bool = True) -> str:
        """llguidance grammar (Lark) of a whole answer, thinking excluded. Arguments follow the tools' schemas.

        Raises:
            UsageError: a schema is not supported; names the tool.
        """

    def gaps(self, tool: Tool, place: str) -> tuple[Gap, ...]:
        """What of a tool's schema calls may not keep to since the family's notation cannot, beside what no grammar can.

        Args:
            place: names the schema.
        """

    def parser(self, tools: Sequence[Tool], *, marked: bool = False) -> ToolParser:
        """For one answer.

        Args:
            marked: only what begins with one of `begins` is a call.
        """

    def prepare(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool] = ()) -> list[dict[str, Any]]:
        """A conversation in OpenAI's form, calls and results included, as the model's template wants it.

        Raises:
            UsageError: a call in it is malformed.
        """

    def describe(self, tools: Sequence[Tool]) -> str:
        """Text for the system prompt that tells of the tools; "" where the template itself does."""


def new_call_id() -> str:
    """An id for a call: "call_" and 24 URL-safe characters."""
    return "call_" + secrets.token_urlsafe(18)


def checked_tools(raw: object) -> tuple[Tool, ...]:
    """Tools from a caller's list in OpenAI's form. None is no tools.

    Raises:
        UsageError: something in it is wrong; says which tool and field.
    """
    if raw is None:
        return ()
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        raise UsageError(f"tools is {_kind(raw)}, but must be a list.", hint=_HINT)
    if len(raw) > MAX_TOOLS:
        raise UsageError(f"There are {len(raw)} tools; at most {MAX_TOOLS} are accepted.")
    tools = tuple(_checked_tool(item, f"tools[{i}]") for i, item in enumerate(raw))
    names: set[str] = set()
    for i, tool in enumerate(tools):
        if tool.name in names:
            raise UsageError(f"tools[{i}].function.name: there are two tools named {tool.name!r}.")
        names.add(tool.name)
    if sum(len(json.dumps(tool.parameters)) + len(tool.description) for tool in tools) > MAX_ALL_CHARS:
        raise UsageError(f"The tools together are longer than {MAX_ALL_CHARS} characters.")
    return tools


def checked_choice(raw: object, tools: Sequence[Tool]) -> Choice:
    """A caller's `tool_choice`. None is "auto" where there are tools and "none" where not.

    Raises:
        UsageError: it is none of the forms, or demands a tool that is not there.
    """
    if raw is None:
        return Choice("auto" if tools else "none")
    match raw:
        case "none":
            return Choice("none")
        case "auto":
            return Choice("auto" if tools else "none")
        case "required":
            if not tools:
                raise UsageError("tool_choice is 'required', but there are no tools.")
            return Choice("required")
        case {"type": "function", "function": {"name": str(name)}}:
            if not any(tool.name == name for tool in tools):
                known = ", ".join(tool.name for tool in tools) or "none"
                raise UsageError(f"tool_choice names {name!r}, which is not among the tools.", hint=f"Tools: {known}.")
            return Choice("named", name)
    raise UsageError(
        f"tool_choice is {_shown(raw)}.",
        hint='It must be "none", "auto", "required" or {"type": "function", "function": {"name": ...}}.',
    )


_HINT = 'A tool is {"type": "function", "function": {"name": ..., "description": ..., "parameters": {JSON schema}}}.'


def _checked_tool(raw: object, where: str) -> Tool:
    if not isinstance(raw, Mapping):
        raise UsageError(f"{where} is {_kind(raw)}, but must be an object.", hint=_HINT)
    if raw.get("type") != "function":
        raise UsageError(f"{where}.type is {_shown(raw.get('type'))}; only 'function' is supported.", hint=_HINT)
    _no_others(raw, _TOOL_FIELDS, where)
    function, where = raw.get("function"), f"{where}.function"
    if not isinstance(function, Mapping):
        raise UsageError(f"{where} is {_kind(function)}, but must be an object.", hint=_HINT)
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{where}.name is {_shown(name)}.", hint="A name is 1 to 128 letters of a-z, A-Z, 0-9, '_', '-' and '.'."
        )
    where = f"{where} ({name})"
    _no_others(function, _FUNCTION_FIELDS, where)
    description = function.get("description")
    if description is not None and not isinstance(description, str):
        raise UsageError(f"{where}.description is {_kind(description)}, but must be text.")
    strict = function.get("strict")
    if strict is not None and not isinstance(strict, bool):
        raise UsageError(f"{where}.strict is {_kind(strict)}, but must be true or false.")
    parameters = function.get("parameters")
    schema = _NO_PARAMETERS if parameters is None else _checked_schema(parameters, f"{where}.parameters")
    return Tool(name, description or "", schema, bool(strict))


def _checked_schema(raw: object, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise UsageError(f"{where} is {_kind(raw)}, but must be a JSON schema.")
    if _depth(raw) > MAX_DEPTH:
        raise UsageError(f"{where} is nested deeper than {MAX_DEPTH} levels.")
    try:
        text = json.dumps(raw, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} is not JSON:", why=f"{error}.") from error
    if len(text) > MAX_SCHEMA_CHARS:
        raise UsageError(f"{where} is {len(text)} characters long; at most {MAX_SCHEMA_CHARS} are accepted.")
    if raw and raw.get("type") != "object":
        raise UsageError(
            f"{where}.type is {_shown(raw.get('type'))}.", hint="Arguments are one object, so it must be 'object'."
        )
    if not isinstance(raw.get("properties", {}), Mapping):
        raise UsageError(f"{where}.properties is {_kind(raw['properties'])}, but must be an object.")
    required = raw.get("required", [])
    if not isinstance(required, Sequence) or not all(isinstance(name, str) for name in required):
        raise UsageError(f"{where}.required must be a list of names.")
    schema: dict[str, Any] = json.loads(text)  # a copy that nobody else can change
    return schema or _NO_PARAMETERS


def _depth(value: object) -> int:
    """Levels of nesting, without recursion: the value is a stranger's."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        depth, level = depth + 1, [inner for outer in level for inner in _inner(outer)]
    return depth


def _inner(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value


def _no_others(raw: Mapping[Any, Any], known: set[str], where: str) -> None:
    for key in raw:
        if key not in known:
            raise UsageError(f"{where} has a field {_shown(key)}, which is not supported.", hint=_HINT)


def _kind(value: object) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:100]
