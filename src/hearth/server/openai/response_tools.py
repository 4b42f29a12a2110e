"""Tools of a response: what the model is told of them, and what its calls are in the protocol.

A model here knows functions with flat names and JSON arguments. A namespace is unfolded into its functions; a custom
tool, whose input is any text, becomes a function with one argument `input`; tools that a server would run are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, Tag
from pydantic_core import PydanticCustomError

from hearth.server import field_tables
from hearth.server.openai.common import ToolName
from hearth.server.places import Places
from hearth.server.results import text_or
from hearth.server.warning import warn
from hearth.server.wire import Body, ClientBody, JsonObject, ShortText, Text, shape, tagged

INPUT: Final = "input"
"""The one argument of a custom tool as the model knows it."""

_TOOL: Final = re.compile(r"\btools\[(\d+)\]\.function\b")
_FORMAT: Final = re.compile(r"\bresponse_format(?:\.json_schema)?\b")


class ResponseFunction(ClientBody):
    """A function that the model may call."""

    rules = field_tables.TOOL
    type: Literal["function"]
    name: ToolName
    description: Text | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class TextInput(ClientBody):
    """Any text."""

    type: Literal["text"]


class GrammarInput(ClientBody):
    """Text that keeps to a grammar: the model is told of it."""

    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: Text


class CustomTool(ClientBody):
    """A tool that takes text instead of JSON arguments."""

    rules = field_tables.TOOL
    type: Literal["custom"]
    name: ToolName
    description: Text | None = None
    format: (
        Annotated[
            Annotated[TextInput, Tag("(text)")] | Annotated[GrammarInput, Tag("(grammar)")],
            tagged("type"),
        ]
        | None
    ) = None


class OtherTool(Body):
    """A tool of another kind (web search, a computer, files): left out."""

    model_config = ConfigDict(extra="ignore")
    type: ShortText


InNamespace = Annotated[
    Annotated[ResponseFunction, Tag("(function)")]
    | Annotated[CustomTool, Tag("(custom)")]
    | Annotated[OtherTool, Tag("(other)")],
    text_or("function", "custom"),
]


class Namespace(ClientBody):
    """Tools under a common name."""

    rules = field_tables.TOOL
    type: Literal["namespace"]
    name: ToolName
    description: Text | None = None
    tools: Annotated[list[InNamespace], Field(max_length=128)] | None = None


ResponseTool = Annotated[
    Annotated[ResponseFunction, Tag("(function)")]
    | Annotated[CustomTool, Tag("(custom)")]
    | Annotated[Namespace, Tag("(namespace)")]
    | Annotated[OtherTool, Tag("(other)")],
    text_or("function", "custom", "namespace"),
]


class NamedTool(ClientBody):
    """This tool and no other."""

    type: Literal["function", "custom"]
    name: ToolName
    namespace: ToolName | None = None


class AllowedTools(ClientBody):
    """Only these of the tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[JsonObject], Field(max_length=128)]


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required", "any"], Tag("(word)")]
    | Annotated[
        Annotated[NamedTool, Tag("(function)")]
        | Annotated[NamedTool, Tag("(custom)")]
        | Annotated[AllowedTools, Tag("(allowed_tools)")],
        tagged("type"),
        Tag("(object)"),
    ],
    shape(word=str, object=dict),
]


@dataclass(frozen=True)
class Called:
    """What a function of the model's is in the protocol.

    Attributes:
        custom: its input is text.
        namespace: that it stands in; "" for none.
    """

    name: str
    custom: bool = False
    namespace: str = ""


class Toolbox:
    """The tools of one request.

    Attributes:
        functions: as `LLM.prepare_chat` takes them.
        choice: the same.
        places: what the protocol calls the places that `chat` names.
    """

    def __init__(self, tools: Sequence[Any], choice: Any) -> None:
        self._called: dict[str, Called] = {}
        self.functions: list[dict[str, Any]] = []
        origins: list[str] = []
        for place, called, function in _unfolded(tools, "tools"):
            origins.append(place)
            self._called[function["name"]] = called
            self.functions.append({"type": "function", "function": function})
        self.choice = self._chosen(choice)
        self.places: Places = (
            (_TOOL, lambda found: origins[int(found[1])] if int(found[1]) < len(origins) else found[0]),
            (_FORMAT, "text.format"),
        )

    def called(self, name: str) -> Called:
        """What a call of the model's is."""
        return self._called.get(name, Called(name))

    def _chosen(self, choice: Any) -> str | dict[str, Any]:
        match choice:
            case None:
                return "auto"
            case str():
                return "required" if choice == "any" else choice
            case AllowedTools():
                allowed = {flat_name(str(one.get("name")), str(one.get("namespace") or "")) for one in choice.tools}
                self.functions = [one for one in self.functions if one["function"]["name"] in allowed]
                return choice.mode if self.functions else "none"
            case _:
                name = flat_name(choice.name, choice.namespace or "")
                return {"type": "function", "function": {"name": name}}


def flat_name(name: str, namespace: str = "") -> str:
    """What a function is called before the model."""
    return f"{namespace.rstrip('_')}__{name}" if namespace else name


def custom_arguments(text: str) -> str:
    """The arguments of a call whose input is text."""
    return json.dumps({INPUT: text}, ensure_ascii=False)


def custom_input(arguments: str) -> str:
    """The text that a call's arguments hold; of a call that was cut, what is there of it."""
    for end in ("", '"}', '\\"}', "}"):
        try:
            given = json.loads(arguments + end)
        except ValueError:
            continue
        value = given.get(INPUT) if isinstance(given, Mapping) else None
        return value if isinstance(value, str) else ""
    return ""


def check_names(tools: Sequence[Any] | None) -> Sequence[Any] | None:
    """For a validator of `tools`: a name with its namespace before it must be one that models are told."""
    for index, tool in enumerate(tools or ()):
        for inner in (tool.tools or ()) if isinstance(tool, Namespace) else ():
            if not isinstance(inner, OtherTool) and len(flat_name(inner.name, tool.name)) > 128:
                raise PydanticCustomError(
                    "long_name", "name of tool {index} and its namespace are too long", {"index": index}
                )
    return tools


def _unfolded(tools: Sequence[Any], where: str, space: str = "") -> Iterator[tuple[str, Called, dict[str, Any]]]:
    """Place, meaning in the protocol, and function of each tool."""
    for index, tool in enumerate(tools):
        place = f"{where}[{index}]"
        match tool:
            case Namespace():
                yield from _unfolded(tool.tools or (), f"{place}.tools", tool.name)
            case ResponseFunction():
                function = tool.model_dump(exclude_none=True, exclude={"type"})
                yield place, Called(tool.name, namespace=space), {**function, "name": flat_name(tool.name, space)}
            case CustomTool():
                yield (
                    place,
                    Called(tool.name, custom=True, namespace=space),
                    {
                        "name": flat_name(tool.name, space),
                        "description": _described(tool),
                        "parameters": {
                            "type": "object",
                            "properties": {INPUT: {"type": "string"}},
                            "required": [INPUT],
                            "additionalProperties": False,
                        },
                    },
                )
            case _:
                warn("left out", f"a tool of type {tool.type}")


def _described(tool: CustomTool) -> str:
    text = tool.description or ""
    if isinstance(tool.format, GrammarInput):
        text += f"\n{INPUT} keeps to this {tool.format.syntax} grammar:\n{tool.format.definition}"
    return text.strip()
