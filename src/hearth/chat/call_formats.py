"""How a model's own chat templates have it call tools: what a bundle for pages says, for these cannot find it out."""

from __future__ import annotations

from hearth.chat.choose import choose_template
from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools import tool_format_for
from hearth.checkpoint.types import TokenizerSpec
from hearth.errors import TemplateError


def call_formats(spec: TokenizerSpec) -> dict[str, str | None]:
    """By the name of a template, `default` or another, that of the format (`ToolFormat.name`); None where it is broken,
    knows no tools, or wants to be given them otherwise than as `tools`."""
    tokenizer = Tokenizer(spec)
    names = {*spec.named_templates, *(["default"] if spec.chat_template else [])}
    return {name: _format_of(tokenizer, name) for name in sorted(names)}


def _format_of(tokenizer: Tokenizer, name: str) -> str | None:
    try:
        template = choose_template(tokenizer, "", name).template
    except TemplateError:
        return None
    found = tool_format_for(template, tokenizer)
    return found.name if found is not None and template.probe.tools_variable == "tools" else None
