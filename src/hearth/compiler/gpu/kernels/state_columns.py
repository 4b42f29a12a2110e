"""How a head's state [row][column] is shared among invocations: workgroups have blocks of its columns, whose rows are
dealt out."""

from __future__ import annotations

COLUMNS = 16
"""Of a block."""
QUADS = COLUMNS // 4
_MOST_ROWS = 8
"""Of an invocation, where there can be as many invocations as that takes."""
_FEWEST_PARTS, _MOST_PARTS = 8, 64


def parts_of(rows: int) -> int:
    """How many invocations share a column of so many rows."""
    parts = _FEWEST_PARTS
    while parts < _MOST_PARTS and parts * _MOST_ROWS < rows:
        parts *= 2
    return parts
