"""Which family's format a chat template writes, told from the template's own text."""

from __future__ import annotations

import re

from hearth.chat.tokenizer import Tokenizer
from hearth.chat.tools.gemma import Gemma3
from hearth.chat.tools.gemma_calls import FUNCTION_GEMMA, GEMMA_4, GemmaCalls
from hearth.chat.tools.granite import Granite
from hearth.chat.tools.hermes import DescribedHermes, Hermes
from hearth.chat.tools.llama3 import Llama3
from hearth.chat.tools.mistral import MistralList, MistralNamed
from hearth.chat.tools.phi import Phi4Mini
from hearth.chat.tools.qwen_coder import QwenCoder
from hearth.chat.tools.types import ToolFormat

DEFAULT_FORMAT: ToolFormat = DescribedHermes()


def tool_format_for(template_source: str, tokenizer: Tokenizer) -> ToolFormat | None:
    """The format of a template's family; None where the template knows no tools or an unknown format.

    Then `DEFAULT_FORMAT` works, whose `describe` tells the model of the tools in the system prompt.
    """
    source, control = template_source, tokenizer.control
    for name, tokens in (("function-gemma", FUNCTION_GEMMA), ("gemma4", GEMMA_4)):
        if tokens.begin + "call:" in source:
            return GemmaCalls(name, tokens, control)
    if "[TOOL_CALLS]" in source:
        if "[ARGS]" in source:
            return MistralNamed(control, with_id="[CALL_ID]" in source)
        return MistralList(control)
    if "<function=" in source and "<parameter=" in source:
        return QwenCoder(control)
    if "</tool_call>" in source and re.search(r"\btools\b", source):
        return Hermes(control)
    if "<|start_of_role|>" in source and ("<|tool_call|>" in source or "available_tools" in source):
        return Granite(control, own_roles="assistant_tool_call" in source)
    if "<|/tool_call|>" in source or "<|/tool|>" in source:
        return Phi4Mini(control)
    if re.search(r"\btools\b", source):
        if '"parameters"' in source and ("<|start_header_id|>" in source or "<|header_start|>" in source):
            return Llama3(control)
    elif "<start_of_turn>" in source:
        return Gemma3(control)
    return None
