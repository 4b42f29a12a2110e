"""Tool calling: how each family of models is told of tools, writes its calls, and how these are read."""

from __future__ import annotations

from hearth.chat.tools.detect import DEFAULT_FORMAT, takes_any_arguments, tool_format_for
from hearth.chat.tools.types import (
    Choice,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolFormat,
    ToolParser,
    checked_choice,
    checked_tools,
    new_call_id,
)

__all__ = [
    "DEFAULT_FORMAT",
    "Choice",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolFormat",
    "ToolParser",
    "checked_choice",
    "checked_tools",
    "new_call_id",
    "takes_any_arguments",
    "tool_format_for",
]
