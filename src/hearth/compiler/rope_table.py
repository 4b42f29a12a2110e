"""What a table of rotations is, on every device."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from hearth.compiler.physical import in_name


@dataclass(frozen=True)
class RopeTableSpec:
    """Attributes:
    factor: multiplies cos and sin.
    streams: by which of a token's positions each frequency turns; none: by the one that there is.
    columns: positions of a token.
    """

    factor: float
    streams: tuple[int, ...] = ()
    columns: int = 1

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Neighbouring frequencies of one stream: stream, and how many."""
        return [(stream, len(list(run))) for stream, run in groupby(self.streams)]

    @property
    def name(self) -> str:
        runs = "".join(f"_{stream}x{count}" for stream, count in self.runs)
        return f"rope_table_{in_name(self.factor)}" + (f"_of{self.columns}{runs}" if runs else "")
