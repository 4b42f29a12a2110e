"""The tags of families whose calls are tags, with values as they are between them: a table.

Sources: the chat templates of the models named, and for DeepSeek V3.2 its encoding guide (huggingface.co/deepseek-ai/
DeepSeek-V3.2, encoding/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TagSyntax:
    """How a call is written: begin, function, its name, name_end; for each argument parameter, its key, key_end,
    value_begin, its value, value_end; function_end, end.

    White space may stand between tags.

    Attributes:
        name: of the format.
        begin, end: around one call or several; "": nothing.
        function: before a name; "": it follows on `begin`.
        name_end: after it; "": a line end, or nothing.
        parameter, key_end: around the name of an argument.
        value_begin, value_end: around its value. The first follows on `key_end`, where it is not "".
        function_end: after the arguments.
        on_lines: a value may stand on lines of its own, whose ends are no part of it.
        several: calls stand in one block; else each has its own.
        bare: models leave the first `begin` out.
        typed: after `key_end`, for a value that is text, and for one that is JSON; None: the schema tells.
    """

    name: str
    begin: str
    end: str
    function: str
    name_end: str
    parameter: str
    key_end: str
    value_begin: str
    value_end: str
    function_end: str
    on_lines: bool = False
    several: bool = False
    bare: bool = False
    typed: tuple[str, str] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of them that may be control tokens, first the one that begins calls."""
        names = (self.end, self.function, self.name_end, self.parameter, self.key_end)
        found = (*names, self.value_begin, self.value_end, self.function_end)
        whole = (text for text in found if text.startswith("<") and text.endswith(">"))
        return tuple(dict.fromkeys((self.begin or self.function, *whole)))


def _dsml(name: str, block: str) -> TagSyntax:
    """DeepSeek V3.2 and V4: a value says whether it is text."""
    tag, close = "<｜DSML｜", "</｜DSML｜"
    return TagSyntax(
        name,
        f"{tag}{block}>",
        f"{close}{block}>",
        f'{tag}invoke name="',
        '">',
        f'{tag}parameter name="',
        '" string="',
        "",
        f"{close}parameter>",
        f"{close}invoke>",
        several=True,
        typed=('true">', 'false">'),
    )


QWEN_CODER = TagSyntax(
    "qwen-coder",
    "<tool_call>",
    "</tool_call>",
    "<function=",
    ">",
    "<parameter=",
    ">",
    "",
    "</parameter>",
    "</function>",
    on_lines=True,
    bare=True,
)
SEED = TagSyntax(
    "seed",
    "<seed:tool_call>",
    "</seed:tool_call>",
    "<function=",
    ">",
    "<parameter=",
    ">",
    "",
    "</parameter>",
    "</function>",
)
GLM = TagSyntax(
    "glm", "<tool_call>", "", "", "", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>"
)
HUNYUAN = TagSyntax(
    "hunyuan",
    "<tool_calls:opensource>",
    "</tool_calls:opensource>",
    "<tool_call:opensource>",
    "<tool_sep:opensource>",
    "<arg_key:opensource>",
    "</arg_key:opensource>",
    "<arg_value:opensource>",
    "</arg_value:opensource>",
    "</tool_call:opensource>",
    several=True,
)
MINIMAX = TagSyntax(
    "minimax",
    "<minimax:tool_call>",
    "</minimax:tool_call>",
    '<invoke name="',
    '">',
    '<parameter name="',
    '">',
    "",
    "</parameter>",
    "</invoke>",
    several=True,
)
MINICPM = TagSyntax("minicpm", "", "", '<function name="', '">', '<param name="', '">', "", "</param>", "</function>")
DSML = _dsml("dsml", "function_calls")
DSML_4 = _dsml("dsml", "tool_calls")
# Of two that could read the same text the stricter comes first.
TAGGED = (SEED, GLM, HUNYUAN, MINIMAX, MINICPM, DSML, DSML_4, QWEN_CODER)
