"""What a chat template does, told by what it renders for small conversations made for the question.

Words in a template's source say little: it may name a field only to skip it, or take tools under a name of its own. So
a template is asked, once for each question, and the answers are kept with it (`ChatTemplate.probe`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal, Protocol

from hearth.chat.prompt import Prompt
from hearth.errors import TemplateError

USER: Final[Mapping[str, Any]] = {"role": "user", "content": "Probe of a question."}
ASSISTANT: Final[Mapping[str, Any]] = {"role": "assistant", "content": "Probe of an answer."}
SYSTEM: Final[Mapping[str, Any]] = {"role": "system", "content": "Probe of a system prompt."}
FURTHER: Final[Mapping[str, Any]] = {"role": "system", "content": "Probe of a further one."}

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
_NAME: Final = "Probe_of_a_name"
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


Contents = Literal["text", "parts", "both"]


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
        self._contents: dict[str, Contents] = {}
        self._names: dict[str, bool] = {}
        self._pictures: dict[tuple[str, str], bool] = {}

    def text(self, *messages: Mapping[str, Any], **variables: Any) -> str | None:
        """What the template makes of a conversation."""
        try:
            return self._template.render([dict(m) for m in messages], **variables).text
        except TemplateError:
            return None

    def takes(self, role: str) -> Contents:
        """In which forms contents of a role reach the model: as a text, or as a list of parts. "text" where neither
        does."""
        if role not in self._contents:
            self._contents[role] = self._takes(role)
        return self._contents[role]

    def shows_name(self, role: str) -> bool:
        """Whether the `name` of a message of this role reaches the model."""
        if role not in self._names:
            said = {**self._fit({"role": role, "content": USER["content"]}), "name": _NAME}
            before = [self.user] if role == "assistant" else []
            after = [self.user] if role not in ("assistant", "user") else []
            self._names[role] = _NAME in (self.text(*before, said, *after) or "")
        return self._names[role]

    def shows_picture(self, role: str, marker: str) -> bool:
        """Whether the template writes `marker` where a message of this role has a picture, and its text besides."""
        if (role, marker) not in self._pictures:
            parts = [{"type": "image"}, {"type": "text", "text": USER["content"]}]
            before = [self.user] if role == "assistant" else list(HISTORY[:2]) if role == "tool" else []
            message = {**(HISTORY[2] if role == "tool" else {}), "role": role, "content": parts}
            text = self.text(*before, message, *([self.user] if role not in ("user", "tool") else [])) or ""
            self._pictures[role, marker] = marker in text and USER["content"] in text
        return self._pictures[role, marker]

    @cached_property
    def user(self) -> Mapping[str, Any]:
        """A question in the form that the template takes."""
        return _as_parts(USER) if self.takes("user") == "parts" else USER

    @cached_property
    def takes_system(self) -> bool:
        """Whether there is a place for a system message: it is neither refused nor left out."""
        text = self.text(self._fit(SYSTEM), self.user)
        if text is None:
            return self.text(self.user) is None  # then it fails anyway, and its own error says why
        return SYSTEM["content"] in text

    @cached_property
    def takes_two_systems(self) -> bool:
        """Whether two system messages at the beginning both reach the model."""
        text = self.text(self._fit(SYSTEM), self._fit(FURTHER), self.user) or ""
        return SYSTEM["content"] in text and FURTHER["content"] in text

    @cached_property
    def takes_late_system(self) -> bool:
        """Whether a system message in the middle of a conversation reaches the model."""
        return FURTHER["content"] in (self.text(self.user, self._fit(ASSISTANT), self._fit(FURTHER), self.user) or "")

    @cached_property
    def tools_variable(self) -> str | None:
        """The variable in which the template takes tools and shows them to the model; None where it has none."""
        named = sorted(n for n in self._template.variables if "tool" in n or "function" in n)
        known = [n for n in _TOOLS_FIRST if n in named]
        for name in (*known, *(n for n in named[:_MAX_NAMES] if n not in known)):
            if TOOL_NAME in (self.text(self.user, **{name: [TOOL]}) or ""):
                return name
        return None

    @cached_property
    def needs_tools(self) -> bool:
        """Whether the template fails without a list of tools, though it may be empty."""
        return self.text(self.user) is None and self.text(self.user, tools=[]) is not None

    @cached_property
    def tools(self) -> str | None:
        """A question with one tool, `TOOL`; None where the template does not show it."""
        name = self.tools_variable
        return self.text(self.user, **{name: [TOOL]}) if name else None

    @cached_property
    def call(self) -> str | None:
        """What the template writes of an earlier call (`CALL`) and its result, without what stands before; None where
        it shows no call."""
        given = {self.tools_variable: [TOOL]} if self.tools_variable else {}
        for variables in ({}, given):  # without tools first: what tells of them may show how a call looks
            text = self.text(self.user, *HISTORY[1:], add_generation_prompt=False, **variables)
            if text is not None and TOOL_NAME in text and VALUE in text:
                before = self.text(self.user, add_generation_prompt=False, **variables) or ""
                written = text[common_length(text, before) :]
                return written if TOOL_NAME in written and VALUE in written else text
        return None

    def _fit(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        return _as_parts(message) if self.takes(message["role"]) == "parts" else message

    def _takes(self, role: str) -> Contents:
        around: dict[str, tuple[list[Mapping[str, Any]], Mapping[str, Any], list[Mapping[str, Any]]]] = {
            "user": ([], USER, []),
            "assistant": ([USER], ASSISTANT, [USER]),
            "tool": (list(HISTORY[:2]), HISTORY[2], []),
        }
        before, message, after = around.get(role, ([], SYSTEM, [USER]))
        if role != "user":
            before, after = ([self.user if m is USER else m for m in part] for part in (before, after))
        text = self.text(*before, message, *after) or ""
        parts = self.text(*before, _as_parts(message), *after) or ""
        content = message["content"]
        # A list that is printed shows its notation.
        as_parts = content in parts and all(parts.count(key) <= text.count(key) for key in ("'text'", '"text"'))
        if content in text:
            return "both" if as_parts else "text"
        return "parts" if as_parts else "text"


def _as_parts(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


def common_length(a: str, b: str) -> int:
    """How many characters two texts begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
