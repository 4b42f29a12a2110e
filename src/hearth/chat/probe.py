"""What a chat template does, told by what it renders for small conversations made for the question.

Words in a template's source say little: it may name a field only to skip it, or take tools under a name of its own. So
a template is asked, once for each question, and the answers are kept with it (`ChatTemplate.probe`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Protocol

from hearth.chat.prompt import Prompt
from hearth.errors import TemplateError

USER: Final[Mapping[str, Any]] = {"role": "user", "content": "Probe of a question."}
SYSTEM: Final[Mapping[str, Any]] = {"role": "system", "content": "Probe of a system prompt."}

TOOL_NAME: Final = "probe_weather"
ARGUMENT: Final = "probe_city"
VALUE: Final = "Probeville"
RESULT: Final = "Probe of a result."
TOOL: Final[Mapping[str, Any]] = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": "Probe of a tool.",
        "parameters": {
            "type": "object",
            "properties": {ARGUMENT: {"type": "string", "description": "Probe of a parameter."}},
            "required": [ARGUMENT],
        },
    },
}
_ID: Final = "probe0001"  # some templates take nothing but nine letters and digits
CALL: Final[Mapping[str, Any]] = {
    "id": _ID,
    "type": "function",
    "function": {"name": TOOL_NAME, "arguments": {ARGUMENT: VALUE}},
}
HISTORY: Final[tuple[Mapping[str, Any], ...]] = (
    USER,
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": _ID, "name": TOOL_NAME, "content": RESULT},
)
# Of several names under which a template takes tools the first counts: calls are read as JSON rather than as Python.
_TOOLS_FIRST: Final = ("tools", "xml_tools", "json_tools")
_MAX_NAMES = 16


class Renders(Protocol):
    """What a probe needs of a template."""

    @property
    def variables(self) -> frozenset[str]: ...

    def render(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True, **variables: Any
    ) -> Prompt: ...


class Probe:
    """Questions to one template. Each rendering is None where the template refuses or fails."""

    def __init__(self, template: Renders) -> None:
        self._template = template

    def text(self, *messages: Mapping[str, Any], **variables: Any) -> str | None:
        """What the template makes of a conversation."""
        try:
            return self._template.render([dict(m) for m in messages], **variables).text
        except TemplateError:
            return None

    @cached_property
    def takes_system(self) -> bool:
        """Whether there is a place for a system message: it is neither refused nor left out."""
        text = self.text(SYSTEM, USER)
        if text is None:
            return self.text(USER) is None  # then it fails anyway, and its own error says why
        return SYSTEM["content"] in text

    @cached_property
    def tools_variable(self) -> str | None:
        """The variable in which the template takes tools and shows them to the model; None where it has none."""
        named = sorted(n for n in self._template.variables if "tool" in n or "function" in n)
        known = [n for n in _TOOLS_FIRST if n in named]
        for name in (*known, *(n for n in named[:_MAX_NAMES] if n not in known)):
            if TOOL_NAME in (self.text(USER, **{name: [TOOL]}) or ""):
                return name
        return None

    @cached_property
    def tools(self) -> str | None:
        """A question with one tool, `TOOL`; None where the template does not show it."""
        name = self.tools_variable
        return self.text(USER, **{name: [TOOL]}) if name else None

    @cached_property
    def call(self) -> str | None:
        """What the template writes of an earlier call (`CALL`) and its result, without what stands before; None where
        it shows no call."""
        given = {self.tools_variable: [TOOL]} if self.tools_variable else {}
        for variables in ({}, given):  # without tools first: what tells of them may show how a call looks
            text = self.text(*HISTORY, add_generation_prompt=False, **variables)
            if text is not None and TOOL_NAME in text and VALUE in text:
                before = self.text(USER, add_generation_prompt=False, **variables) or ""
                written = text[_common(text, before) :]
                return written if TOOL_NAME in written and VALUE in written else text
        return None


def _common(a: str, b: str) -> int:
    """How many characters two texts begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
