"""What all tests of formats have in common: the tools, what an answer with calls amounts to, and what a family is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hearth.chat.tools import ToolFormat, checked_tools


def tool(name: str, properties: dict[str, object], required: tuple[str, ...] = ()) -> dict[str, object]:
    """One tool in OpenAI's form."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": schema}}


RAW_TOOLS = [
    tool(
        "get_weather",
        {
            "location": {"type": "string", "description": "City and country"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        ("location",),
    ),
    tool("get_time", {}),
    tool("get", {"ids": {"type": "array", "items": {"type": "integer"}, "maxItems": 2}, "deep": {"type": "boolean"}}),
]
TOOLS = checked_tools(RAW_TOOLS)

# What a reader made of an answer: texts, and calls as (name, arguments).
Read = list[str | tuple[str, dict[str, object]]]
PARIS: tuple[str, dict[str, object]] = ("get_weather", {"location": "Paris, France", "unit": "celsius"})
TIME: tuple[str, dict[str, object]] = ("get_time", {})
OSLO: tuple[str, dict[str, object]] = ("get_weather", {"location": "Oslo", "unit": "celsius"})


@dataclass(frozen=True)
class Example:
    """An answer.

    Attributes:
        text: what the model writes.
        read: what it amounts to.
        source: where this form is documented.
        strict: the grammar writes it so as well; False for what is only read.
    """

    text: str
    read: Read
    source: str
    strict: bool = True


@dataclass(frozen=True)
class Family:
    """One format.

    Attributes:
        make: the format, given the control tokens.
        template: a small template of our own that tells of tools and writes calls as the family's do; "" where the
            family is told by the absence of one.
        control: the markers are control tokens in the family's vocabulary; else they are spelled out.
    """

    id: str
    make: Callable[[Mapping[str, int]], ToolFormat]
    examples: tuple[Example, ...]
    template: str = ""
    control: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        return self.make({}).markers

    @property
    def begin(self) -> str:
        """With what a call begins."""
        return self.markers[0] if self.markers else '{"name": "get'


def template(call: str, *, tools: str = "{{ tools | tojson }}", before: str = "", after: str = "") -> str:
    """A chat template: turns, tools where they are given, and a turn's calls `c` of functions `f` between two texts."""
    return (
        "{% if tools %}[system]"
        + tools
        + "[end]{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% if m.tool_calls %}"
        + before
        + "{% for c in m.tool_calls %}{% set f = c.function %}"
        + call
        + "{% endfor %}"
        + after
        + "{% endif %}[end]{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )


# In a template of the family
LIST_ITEM = '{{ {"name": f.name, "arguments": f.arguments, "id": c.id} | tojson }}{% if not loop.last %}, {% endif %}'
# In answers
LIST_CALL = '{"name": "get_weather", "arguments": {"location": "Paris, France", "unit": "celsius"}}'
LIST_TIME = '{"name": "get_time", "arguments": {}}'
LLAMA_CPP_TESTS = "https://github.com/ggml-org/llama.cpp/blob/master/tests/test-chat.cpp"
