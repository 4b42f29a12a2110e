"""Tables: plain aligned columns, and on a terminal that is too narrow for them a block of lines for each row.

Nothing is ever cut: names are there to be typed again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from hearth.cli.terminal import cells, columns, has_color, wrapped
from hearth.errors import shown

_BETWEEN = 2


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under their heads, to standard output. Cells may hold a stranger's words."""
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [max(cells(line[i]) for line in (heads, *rows)) for i in range(len(heads))]
    room = columns(sys.stdout)
    if room is not None and sum(widths) + _BETWEEN * (len(widths) - 1) > room:
        _print_blocks(heads, rows, room)
        return
    bold = has_color(sys.stdout)
    for line in (heads, *rows):
        text = (" " * _BETWEEN).join(_padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        click.echo(click.style(text, bold=True) if bold and line is heads else text)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Prints names and values, one a line, values aligned; long values go on under their beginning."""
    width = max(cells(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{_padded(name, width)}  {wrapped(shown(value), columns(sys.stdout), indent=width + _BETWEEN)}")


def _print_blocks(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> None:
    """The first cell of each row, and the others under it with their names."""
    width = max((cells(head) for head in heads[1:]), default=0)
    for row in rows:
        first = wrapped(row[0], room)
        click.echo(click.style(first, bold=True) if has_color(sys.stdout) else first)
        for head, cell in zip(heads[1:], row[1:], strict=True):
            if cell:
                click.echo(f"  {_padded(head, width)}  {wrapped(cell, room, indent=width + 4)}")


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))
