"""What may be tuned in a product: numbers that change its speed on a processor and never its result."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    prefetch_bytes: int = 8192
    tile_rows: int | None = None
    stretch_bytes: int = 256 * 1024
    chunk_bytes: int = 96 * 1024


DEFAULT_TUNING = Tuning()
"""What did best over the formats on the processors at hand."""
