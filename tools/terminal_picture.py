"""Draws what a terminal shows as an SVG for the documents.

    tmux capture-pane -e -p -t SESSION | python -m tools.terminal_picture docs/images/terminal.svg

Reads text with ANSI colours from standard input. The picture names no font that would have to be loaded from elsewhere.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 88


def draw(ansi: str, title: str) -> str:
    """The SVG of a terminal that shows the text."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(ansi.rstrip()))
    svg = console.export_svg(title=title)
    svg = re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.stdin.read(), "hearth chat smollm2"), encoding="utf-8")
