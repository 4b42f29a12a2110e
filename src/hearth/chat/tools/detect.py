"""Which format a model writes calls in, told by what its chat template renders for small conversations.

Words in a template's source say little: `</tool_call>` stands in those of a dozen formats. So a format is taken only
where all of it holds together: the template shows the tool, an earlier call stands in the prompt so that the format's
own reader reads that very call, and its result stands there too. Or, where a template leaves calls to others, it
teaches the form in words. What the prompt teaches, what the grammar forces and what is read are then the same. Any
other template is described to: it gets no tools, and Hearth's own words instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from hearth.chat.probe import ARGUMENT, CALL, HISTORY, RESULT, TOOL, TOOL_NAME, USER, VALUE, common_length
from hearth.chat.template import ChatTemplate
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools.gemma import Gemma3
from hearth.chat.tools.gemma_calls import FUNCTION_GEMMA, GEMMA_4, GemmaCalls
from hearth.chat.tools.granite import Granite
from hearth.chat.tools.harmony import Harmony
from hearth.chat.tools.hermes import DescribedHermes, Hermes
from hearth.chat.tools.intext import CallsInText
from hearth.chat.tools.listed import Command, Nemotron, ToolCallLines, ToolCalls
from hearth.chat.tools.llama3 import Llama3
from hearth.chat.tools.mistral import MistralList, MistralNamed
from hearth.chat.tools.named import NAMED, NamedCalls, NamedSyntax
from hearth.chat.tools.phi import Phi4Mini
from hearth.chat.tools.pythonic import LFM2, OLMO_3, Pythonic
from hearth.chat.tools.tagged import TaggedCalls
from hearth.chat.tools.tags import QWEN_CODER, TAGGED, TagSyntax
from hearth.chat.tools.types import ToolFormat, checked_tools
from hearth.errors import UsageError

DEFAULT_FORMAT: ToolFormat = DescribedHermes()

_TOOLS = checked_tools([TOOL])
_SAID: Final = {"role": "assistant", "content": "\N{BULLET}"}  # which begins as no call does
_CUT: Final = VALUE[:-3]  # what is left of the argument where a call was cut
_Control = Mapping[str, int]
_Make = Callable[[_Control, str], ToolFormat]


def _tagged(syntax: TagSyntax, control: _Control, _: str) -> ToolFormat:
    return TaggedCalls(syntax, control)


def _named(name: str, syntax: NamedSyntax, control: _Control, _: str, *, described: bool, as_text: bool) -> ToolFormat:
    return NamedCalls(name, syntax, control, described=described, as_text=as_text)


# Formats whose calls templates write themselves, made of the control tokens and what a template writes of a call. Of
# two that could read the same text the stricter comes first.
_WRITTEN: tuple[_Make, ...] = (
    lambda control, _: GemmaCalls("function-gemma", FUNCTION_GEMMA, control),
    lambda control, _: GemmaCalls("gemma4", GEMMA_4, control),
    lambda control, _: GemmaCalls("gemma4", GEMMA_4, control, results_in_calls=True),
    lambda control, _: MistralList(control),
    lambda control, call: MistralNamed(control, with_id="[CALL_ID]" in call),
    *(partial(_tagged, syntax) for syntax in TAGGED),
    lambda control, _: Hermes(control),
    lambda control, _: Llama3(control),
    lambda control, _: Granite(control, own_roles=True),
    lambda control, _: Harmony(control),
    lambda control, _: Nemotron(control),
    lambda control, call: (ToolCalls if re.search(r"<tool_calls>\s*\[", call) else ToolCallLines)(control),
    lambda control, _: Command(control),
    lambda control, _: Pythonic(LFM2, control),
    lambda control, _: Pythonic(OLMO_3, control),
    *(
        partial(_named, name, syntax, described=described, as_text=as_text)
        for described in (False, True)  # some templates write calls, and leave it to others to tell of the tools
        for as_text in (False, True)
        for name, syntax in NAMED.items()
    ),
)
# Formats that templates teach in words, which stand in a prompt with tools, but do not write as they would be read:
# first for those that write something of a call nevertheless, then for those that leave it out.
_TAUGHT: tuple[tuple[str, tuple[Callable[[_Control], ToolFormat], ...]], ...] = (
    (r"<\|tool_call\|> followed by a JSON list", (Granite,)),
    (r"<\|tool\|>.*<\|/tool\|>", (Phi4Mini,)),
    (
        r"<tool_call>\s*<function=.*<parameter=.*</tool_call>",
        (
            lambda control: TaggedCalls(QWEN_CODER, control),
            lambda control: CallsInText(TaggedCalls(QWEN_CODER, control)),
        ),
    ),
    (r'<tool_call>\s*\{+"name": .*</tool_call>', (Hermes, lambda control: CallsInText(Hermes(control)))),
    # LFM2's templates show the tools in their own way, and no more.
    (r"List of tools: (<\|tool_list_start\|>)?\[", (lambda control: CallsInText(Pythonic(LFM2, control)),)),
    (r'\{"name": function name, "parameters": ', (Llama3, lambda control: CallsInText(Llama3(control)))),
)
_found: WeakKeyDictionary[ChatTemplate, ToolFormat | None] = WeakKeyDictionary()


def tool_format_for(template: ChatTemplate, tokenizer: Tokenizer) -> ToolFormat | None:
    """The format of a template's family; None where the template knows no tools or writes calls in another form.

    Then `DEFAULT_FORMAT` works, whose `describe` tells the model of the tools in the system prompt.
    """
    if template not in _found:
        _found[template] = _Trial(template, tokenizer).format()
    return _found[template]


def takes_any_arguments(template: ChatTemplate, tool_format: ToolFormat) -> bool:
    """Whether an earlier call may have arguments that are no JSON, since the template writes them as they are."""
    cut = json.dumps({ARGUMENT: VALUE}).partition(VALUE)[0] + _CUT
    call = {**CALL, "function": {"name": TOOL_NAME, "arguments": cut}}
    text = _render(template, tool_format, [USER, {**HISTORY[1], "tool_calls": [call]}, *HISTORY[2:]])
    return text is not None and _CUT in text


class _Trial:
    """One template, tried with one format after the other."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self._template = template
        self._tokenizer = tokenizer

    def format(self) -> ToolFormat | None:
        """The first that holds; None where none does."""
        control, call = self._tokenizer.control, self._template.probe.call or ""
        for make in _WRITTEN:
            made = make(control, call)
            if self._reads_back(made):
                return made
        for lesson, makes in _TAUGHT:
            for make_taught in makes:
                made = make_taught(control)
                asked, called = self._shown(made)
                if re.search(lesson, asked, re.DOTALL) and VALUE in called:
                    return made
        knows_tools = self._template.probe.tools_variable is not None
        gemma = "<start_of_turn>" in (self._template.probe.text(USER) or "")
        return Gemma3() if gemma and not knows_tools else None

    def _shown(self, tool_format: ToolFormat) -> tuple[str, str]:
        """A question with a tool, and a call and its result; empty where one of these is not shown."""
        asked = _render(self._template, tool_format, [USER]) or ""
        called = _render(self._template, tool_format, HISTORY) or ""
        told = TOOL_NAME in asked or bool(tool_format.describe(_TOOLS))
        return (asked, called) if told and RESULT in called else ("", "")

    def _reads_back(self, tool_format: ToolFormat) -> bool:
        """Whether the format reads the call that the template writes."""
        asked, called = self._shown(tool_format)
        # Where the answer begins: after what stands before one in words, or, where that shares a tag's first letters
        # with a call (`<think>`, `<tool_call>`), at least after the question.
        others = (_render(self._template, tool_format, [USER, _SAID]), asked.partition(USER["content"])[0])
        answers = (called[common_length(called, other) :] for other in others if other)
        return any(self._first_call(tool_format, one) == (TOOL_NAME, {ARGUMENT: VALUE}) for one in answers)

    def _first_call(self, tool_format: ToolFormat, text: str) -> tuple[str, Any] | None:
        """What the format's reader finds in a text; without a marker only where it begins with the call."""
        parser = tool_format.parser(_TOOLS)
        found = [*parser.push(text), *parser.finish()]
        if not found or (isinstance(found[0], str) and not any(marker in text for marker in tool_format.markers)):
            return None
        pieces = [piece for piece in found if not isinstance(piece, str)]
        name = next((piece.name for piece in pieces), None)
        if name is None:
            return None
        try:
            return name, json.loads("".join(piece.arguments for piece in pieces if piece.index == 0))
        except ValueError:
            return None


def _render(template: ChatTemplate, tool_format: ToolFormat, messages: Any) -> str | None:
    """What a conversation with the probe's tool becomes; None where template or format refuse it."""
    name = template.probe.tools_variable
    given = {name: [tool.for_template() for tool in _TOOLS]} if name and not tool_format.describe(_TOOLS) else {}
    try:
        prepared = tool_format.prepare(messages, _TOOLS)
    except UsageError:
        return None
    return template.probe.text(*prepared, **given)
