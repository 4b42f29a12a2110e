"""Numbers as people read them: the one place that says how a size in bytes or a count is written."""

from __future__ import annotations


def format_bytes(size_bytes: float) -> str:
    """`1.5 GiB`, `12 MiB`: powers of 1024, the units in which memory is sold and this program counts everything."""
    value, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}" if unit in ("GiB", "TiB") else f"{value:.0f} {unit}"


def counted(number: int, what: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{number} {what}{'s' * (number != 1)}"
