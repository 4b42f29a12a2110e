"""What may be tuned in a product: numbers that change its speed on a processor and never its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIN_CHUNKS = 16
"""Pieces that a step is cut into at least, where it has as many units: fewer do not share evenly."""


@dataclass(frozen=True)
class Tuning:
    """How a product is computed.

    Attributes:
        prefetch_bytes: how far ahead weights are asked for; 0: not at all.
        tile_rows: rows of activations that are kept in registers at once, a power of two; None: the instruction set's.
        stretch_bytes: weights that all rows of a prompt meet before the next ones are read: as many as the second-level
            cache holds beside some activations.
        chunk_bytes: weights that a thread takes at once at most: long enough that the atomic counter costs nothing,
            short enough to share evenly.
        unroll: groups of a k-quant's block that are written out, 1, 2, 4 or 8; of no effect for other formats, whose
            blocks are.
    """

    prefetch_bytes: int = 8192
    tile_rows: int | None = None
    stretch_bytes: int = 256 * 1024
    chunk_bytes: int = 96 * 1024
    unroll: int = 1

    def grain(self, units: int, unit_bytes: int) -> int:
        """Units that a thread takes at once of a product with so many, each reading `unit_bytes` of weights."""
        return max(1, min(self.chunk_bytes // unit_bytes, units // MIN_CHUNKS))


DEFAULT_TUNING = Tuning()
"""What did best over the formats on the processors at hand."""

Tunings = Mapping[str, Tuning]
"""How products are computed that are not computed as by default, by `isa.symbol(spec.name)`."""
