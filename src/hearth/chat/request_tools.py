"""Tools in one chat: how the model is told of them, what its answer may hold, and who reads its calls.

Ties the format of the model's family (`chat/tools`) to a request; knows none of the formats itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llguidance import LLMatcher

from hearth.chat.conversation import joined_contents
from hearth.chat.grammar_constraint import CallStart
from hearth.chat.literal import behind
from hearth.chat.structured import Structure
from hearth.chat.structured_keep import check_strict, kept_schema, notices_of
from hearth.chat.structured_schema import checked_schema
from hearth.chat.template import ChatTemplate
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools import (
    DEFAULT_FORMAT,
    Choice,
    Tool,
    ToolFormat,
    ToolParser,
    checked_choice,
    checked_tools,
    takes_any_arguments,
    tool_format_for,
)
from hearth.chat.tools.history import has_cut_calls, normalized, with_objects
from hearth.errors import UsageError

_FORBIDDEN = -100.0
# How a grammar of calls that must come begins, where JSON cannot begin so: by a control token, or a spelled out tag;
# by nothing where the calls themselves begin with one.
_MARKED = re.compile(r'start: (<\[\d+\]>|"<.*|"") calls')


@dataclass(frozen=True)
class ToolUse:
    """The tools of one chat.

    Attributes:
        tools: all that the model is told of.
        choice: which of them it may or must call.
        format: how its family writes calls.
        parallel: whether one answer may hold several.
        template: what shows all this to the model.
        notices: what of the tools' schemas is not kept to.
    """

    tools: tuple[Tool, ...]
    choice: Choice
    format: ToolFormat
    parallel: bool
    template: ChatTemplate
    notices: tuple[str, ...] = ()

    @property
    def callable(self) -> bool:
        """Whether the answer may hold calls."""
        return bool(self.tools) and self.choice.mode != "none"

    def messages(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The conversation as the model's template wants it, tools described where the template does not do so."""
        calls = normalized(messages)
        if has_cut_calls(calls) and not takes_any_arguments(self.template, self.format):
            calls = with_objects(calls)
        prepared = self.format.prepare(calls, self.tools)
        description = self.format.describe(self.tools) if self.tools else ""
        return _with_system(prepared, description) if description else prepared

    @property
    def is_described(self) -> bool:
        """Whether the model is told of the tools in Hearth's own words, not in its template's."""
        return self.format is DEFAULT_FORMAT

    def described(self, template: ChatTemplate) -> ToolUse:
        """The same told in Hearth's own words, with a template that need not know tools."""
        return replace(self, format=DEFAULT_FORMAT, template=template)

    def for_template(self) -> list[dict[str, Any]] | None:
        """What the template is given as `tools`; None where it gets none."""
        if not self.tools or self.format.describe(self.tools):
            return None
        return [tool.for_template() for tool in self.tools]

    def structure(self, wanted: Structure | None) -> Structure | None:
        """What the answer must keep to; None where it may be anything.

        Args:
            wanted: what an answer without calls shall keep to, if the caller asked for a form.

        Raises:
            UsageError: the form and calls of this family cannot be told apart.
        """
        if not self.callable:
            return wanted
        if wanted is None or self.choice.mode in ("required", "named"):
            return self._grammar(self.format.grammar(self.tools, self.choice, parallel=self.parallel))
        calls = self.format.grammar(self.tools, Choice("required"), parallel=self.parallel)
        begin, _, rules = calls.partition("\n")
        marked = _MARKED.fullmatch(begin)
        if not wanted.rule or not marked:
            why = "no control token or tag begins its calls" if not marked else "the form is no JSON"
            raise UsageError(
                "response_format and tools do not go together here:",
                why=f"an answer is either, and could not be told apart, since {why}.",
                hint="Leave one out, or set tool_choice to 'none'.",
            )
        both = f"start: called | formatted\ncalled: {marked[1]} calls\nformatted: {wanted.rule}\n{rules}"
        return self._grammar(both, wanted.notices)

    def _grammar(self, lark: str, notices: tuple[str, ...] = ()) -> Structure:
        what = "The schemas of the tools, together,"
        return Structure(LLMatcher.grammar_from_lark(lark), what, notices=(*notices, *self.notices))

    def parser(self, *, marked: bool = False) -> ToolParser | None:
        """Reads the calls; None where there may be none.

        Args:
            marked: only those that a marker begins, as among thoughts.
        """
        return self.format.parser(self.tools, marked=marked) if self.callable else None

    def call_start(self, tokenizer: Tokenizer) -> CallStart | None:
        """How the model may begin to call before it has closed its thinking; None where it may not call."""
        if not self.callable:
            return None
        begins = self.format.begins
        tokens = frozenset(tokenizer.control[text] for text in begins if text in tokenizer.control)
        return CallStart(tokens, begins, self.format.opens, must=not self.choice.free)

    def forbidden(self, tokenizer: Tokenizer) -> dict[int, float]:
        """A bias against the tokens that begin calls, where there may be none."""
        if not self.tools or self.callable:
            return {}
        return dict.fromkeys(tokenizer.ids_of(self.format.begins), _FORBIDDEN)


def tools_of_chat(
    messages: Sequence[Mapping[str, Any]],
    tools: object,
    choice: object,
    *,
    parallel: bool,
    template: ChatTemplate,
    tokenizer: Tokenizer,
) -> ToolUse | None:
    """The tools of a chat; None where there are none, and no call in its earlier turns.

    Raises:
        UsageError: a tool or the choice is wrong; names which and where.
    """
    checked = checked_tools(tools)
    chosen = checked_choice(choice, checked)
    tool_format = tool_format_for(template, tokenizer) or DEFAULT_FORMAT
    notices: list[str] = []
    for i, tool in enumerate(checked):
        place = f"tools[{i}].function.parameters"
        kept = kept_schema(checked_schema(tool.parameters, place), place, strict=tool.strict)
        beside = tool_format.gaps(tool, place)
        if tool.strict:
            check_strict(beside)
        notices.extend(notices_of([*kept.gaps, *beside]))
    if not isinstance(parallel, bool):
        raise UsageError(f"parallel_tool_calls is {parallel!r}, but must be true or false.")
    if not checked and not any(m.get("tool_calls") or m.get("role") == "tool" for m in messages):
        return None
    return ToolUse(checked, chosen, tool_format, parallel, template, tuple(notices))


def _with_system(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The messages with a text at the end of the system prompt."""
    if not messages or messages[0]["role"] not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    first = messages[0]
    before = first.get("content")
    joined = behind(before, text, "\n\n") if isinstance(before, str) else joined_contents(before, text)
    return [{**first, "content": joined}, *messages[1:]]
