"""A conversation as a model's template tells it: `tell`.

There may be several ways, with the template's own words for tools or with Hearth's; the first that leaves nothing out
is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearth.chat.choose import TOOL_TEMPLATE, ChosenTemplate
from hearth.chat.fit import fitted, with_text
from hearth.chat.prompt import Prompt
from hearth.chat.request_tools import ToolUse
from hearth.chat.told import untold
from hearth.errors import TemplateError


@dataclass(frozen=True)
class Told:
    """A chat as its template tells it.

    Attributes:
        use: of tools; None where there are none.
        asked: the messages as they came, parts of text joined where the template takes text only.
        messages: the same with tools, calls and results as the template takes them.
        variables: what the template was given besides.
        prompt: what it made of all that.
    """

    chosen: ChosenTemplate
    use: ToolUse | None
    asked: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    variables: Mapping[str, Any]
    prompt: Prompt


def tell(
    messages: list[dict[str, Any]],
    variables: Mapping[str, Any],
    thinking: bool | None,
    ways: Sequence[tuple[ChosenTemplate, ToolUse | None]],
) -> Told:
    """The chat told in the first way that leaves nothing of tools, calls and results out; where each does, in the
    first that the template takes.

    Raises:
        TemplateError: none is taken.
    """
    told: list[Told] = []
    refused: list[TemplateError] = []
    for chosen, use in ways:
        try:
            told.append(_tell_one(chosen, use, messages, variables, thinking))
        except TemplateError as error:
            refused.append(error)
            continue
        names = [tool.name for tool in use.tools] if use is not None else []
        if len(ways) == 1 or untold(told[-1].prompt.text, told[-1].asked, names) is None:
            return told[-1]
    if not told:
        raise refused[0]
    return told[0]


def _tell_one(
    chosen: ChosenTemplate,
    use: ToolUse | None,
    messages: list[dict[str, Any]],
    variables: Mapping[str, Any],
    thinking: bool | None,
) -> Told:
    template = chosen.template
    given = {**(template.thinking.variables(thinking) if thinking is not None else {}), **variables}
    asked = with_text(messages, template.probe)
    prepared = asked
    if use is not None:
        prepared, shown = use.messages(asked), use.for_template()
        if use.tools and shown is None and template.name == TOOL_TEMPLATE:
            shown = [tool.for_template() for tool in use.tools]
        given[template.probe.tools_variable or "tools"] = shown
    if given.get("tools") is None and template.probe.needs_tools:
        given["tools"] = []
    return Told(chosen, use, asked, prepared, given, rendered(chosen, prepared, given))


def rendered(chosen: ChosenTemplate, messages: list[dict[str, Any]], variables: Mapping[str, Any]) -> Prompt:
    """The prompt, with everything that the template would otherwise leave out."""
    return chosen.template.render(fitted(messages, chosen.template), **variables)
